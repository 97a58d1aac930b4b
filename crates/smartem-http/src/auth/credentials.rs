use std::fmt;

use axum::http::{HeaderMap, HeaderValue, header};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::{Kind, Problem};

/// What a request says to show who sends it: a secret, and perhaps a name.
///
/// Neither `Debug` nor any message shows the secret.
#[derive(Clone, PartialEq, Eq)]
pub struct Credentials {
    name: Option<String>,
    secret: String,
}

impl Credentials {
    /// A secret that is the name itself (a token), or the password of this name.
    pub fn new(name: Option<String>, secret: impl Into<String>) -> Self {
        Self {
            name: name.filter(|name| !name.is_empty()),
            secret: secret.into(),
        }
    }

    /// The credentials of a request, `None` when it has none.
    ///
    /// Read are the parameters `u` and `p` of the query string (InfluxDB 1.x), then the header
    /// `Authorization` with `Bearer secret` (RFC 6750), `Token secret` (InfluxDB 2.x),
    /// `Token name:password` (1.8 by the protocol of 2.x), or `Basic` (RFC 7617).
    ///
    /// # Errors
    /// [`Kind::Unauthorized`] for a header that has none of these forms.
    pub fn of(headers: &HeaderMap, query: Option<&str>) -> Result<Option<Self>, Problem> {
        if let Some(query) = query
            && let Some(found) = Self::from_pairs(form_urlencoded::parse(query.as_bytes()))
        {
            return Ok(Some(found));
        }
        match headers.get(header::AUTHORIZATION) {
            Some(value) => Self::from_header(value),
            None => Ok(None),
        }
    }

    /// The parameters `u` and `p` among those of a query string or a form.
    pub fn from_pairs<K: AsRef<str>, V: Into<String>>(
        pairs: impl IntoIterator<Item = (K, V)>,
    ) -> Option<Self> {
        let (mut name, mut secret) = (None, None);
        for (key, value) in pairs {
            match key.as_ref() {
                "u" => name = name.or_else(|| Some(value.into())),
                "p" => secret = secret.or_else(|| Some(value.into())),
                _ => {}
            }
        }
        let (name, secret) = (name.unwrap_or_default(), secret.unwrap_or_default());
        Self::unless_empty(&name, &secret)
    }

    fn from_header(value: &HeaderValue) -> Result<Option<Self>, Problem> {
        let text = value.to_str().map_err(|_| not_understood())?.trim();
        let (scheme, rest) = text.split_once(' ').ok_or_else(not_understood)?;
        let rest = rest.trim();
        // Schemes are compared without regard to case (RFC 9110, 11.1).
        match scheme.to_ascii_lowercase().as_str() {
            "bearer" => Ok(Self::unless_empty("", rest)),
            "token" => Ok(match rest.split_once(':') {
                Some((name, secret)) => Self::unless_empty(name, secret),
                None => Self::unless_empty("", rest),
            }),
            "basic" => {
                let decoded = STANDARD.decode(rest).map_err(|_| not_understood())?;
                let pair = String::from_utf8(decoded).map_err(|_| not_understood())?;
                let (name, secret) = pair.split_once(':').ok_or_else(not_understood)?;
                Ok(Self::unless_empty(name, secret))
            }
            _ => Err(not_understood()),
        }
    }

    /// Clients that were given neither name nor secret send both empty.
    fn unless_empty(name: &str, secret: &str) -> Option<Self> {
        if name.is_empty() && secret.is_empty() {
            return None;
        }
        Some(Self::new(Some(name.to_owned()), secret))
    }

    /// The name, where one was given.
    pub fn name(&self) -> Option<&str> {
        self.name.as_deref()
    }

    /// The secret. It goes to the authority and nowhere else.
    pub fn secret(&self) -> &str {
        &self.secret
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Who mixes the two up has the secret in the place of the name.
        f.write_str("Credentials(..)")
    }
}

fn not_understood() -> Problem {
    let detail = "The header `Authorization` is not understood; write `Bearer TOKEN`, \
                  `Token TOKEN`, `Token NAME:PASSWORD`, or `Basic` with name and password in base64.";
    Problem::new(Kind::Unauthorized, detail)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(header: Option<&str>, query: Option<&str>) -> Result<Option<Credentials>, Problem> {
        let mut headers = HeaderMap::new();
        if let Some(header) = header {
            headers.insert(header::AUTHORIZATION, header.parse().unwrap());
        }
        Credentials::of(&headers, query)
    }

    #[test]
    fn every_form_that_clients_use_is_read() {
        let named = |name: &str, secret: &str| Some(Credentials::new(Some(name.into()), secret));
        let alone = |secret: &str| Some(Credentials::new(None, secret));
        for (header, query, expected) in [
            (None, None, None),
            (None, Some("db=a&precision=s"), None),
            (Some("Bearer smt_x"), None, alone("smt_x")),
            (Some("bearer  smt_x "), None, alone("smt_x")),
            (Some("Token smt_x"), None, alone("smt_x")),
            (Some("Token ada:love:lace"), None, named("ada", "love:lace")),
            (Some("Token :"), None, None),
            (
                Some("Basic YWRhOmxvdmVsYWNl"),
                None,
                named("ada", "lovelace"),
            ),
            (Some("Basic Og=="), None, None),
            (None, Some("db=a&u=ada&p=a%20b%2B"), named("ada", "a b+")),
            (None, Some("p=smt_x"), alone("smt_x")),
            (None, Some("u=ada"), named("ada", "")),
            (Some("Token smt_y"), Some("u=ada&p=x"), named("ada", "x")),
            (Some("Token smt_y"), Some("u=&p="), alone("smt_y")),
        ] {
            assert_eq!(
                read(header, query).unwrap(),
                expected,
                "{header:?} {query:?}"
            );
        }
    }

    #[test]
    fn another_form_is_refused_without_saying_what_was_sent() {
        for header in ["secret", "Digest secret", "Basic secret!", "Basic c2VjcmV0"] {
            let problem = read(Some(header), None).unwrap_err();
            assert_eq!(problem.kind(), Kind::Unauthorized);
            assert!(!problem.detail().contains("secret"), "{problem:?}");
        }
    }

    #[test]
    fn debug_shows_neither_name_nor_secret() {
        let shown = format!("{:?}", Credentials::new(Some("smt_a".into()), "smt_b"));
        assert!(!shown.contains("smt_"), "{shown}");
    }
}
