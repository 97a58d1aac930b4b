//! Requests and their answers.
//!
//! An [`Answer`] keeps the request that led to it, so that a fault can be shown as an exchange. Nothing here knows
//! of SensorThings beyond `value`, the list of an entity set.

use std::fmt::Write as _;
use std::time::Duration;

use reqwest::header::{ACCEPT, CONTENT_TYPE, HeaderName, HeaderValue, LOCATION};
use reqwest::{Method, redirect};
use serde_json::Value;

use crate::outcome::{Check, Fault, Stop, ensure, fault};

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// How much of a body is shown beside a fault, in characters.
const SHOWN: usize = 600;

/// Speaks with one service.
pub(crate) struct Client {
    http: reqwest::Client,
    root: String,
}

impl Client {
    /// A client of the service at `root`, that sends `headers` with every request.
    ///
    /// # Errors
    /// The HTTP client could not be built, or a header is none.
    pub(crate) fn new(root: &str, headers: &[(String, String)]) -> Result<Self, String> {
        let mut sent = reqwest::header::HeaderMap::new();
        for (name, value) in headers {
            let name = HeaderName::try_from(name.as_str()).map_err(|e| format!("{name}: {e}"))?;
            let mut value = HeaderValue::try_from(value.as_str())
                .map_err(|error| format!("{name}: {error}"))?;
            value.set_sensitive(true);
            sent.insert(name, value);
        }
        let http = reqwest::Client::builder()
            .default_headers(sent)
            .timeout(PATIENCE)
            .redirect(redirect::Policy::none())
            .user_agent(concat!("sta-conformance/", env!("CARGO_PKG_VERSION")))
            .build()
            .map_err(|error| error.to_string())?;
        Ok(Self {
            http,
            root: root.trim_end_matches('/').to_owned(),
        })
    }

    /// The address of the service, without a slash at its end.
    pub(crate) fn root(&self) -> &str {
        &self.root
    }

    /// The address of a path of the service; whole addresses stay as they are.
    pub(crate) fn address(&self, path: &str) -> String {
        if path.starts_with("http://") || path.starts_with("https://") {
            path.to_owned()
        } else if path.is_empty() {
            self.root.clone()
        } else {
            format!("{}/{}", self.root, path.trim_start_matches('/'))
        }
    }

    /// Asks for a path of the service or for a whole address.
    pub(crate) async fn get(&self, path: &str) -> Check<Answer> {
        self.send(Method::GET, path, None).await
    }

    /// Asks for a path with query options, whose values are encoded here.
    pub(crate) async fn query(&self, path: &str, options: &[(&str, &str)]) -> Check<Answer> {
        self.get(&with_options(path, options)).await
    }

    /// Sends JSON.
    pub(crate) async fn json(&self, method: Method, path: &str, body: &Value) -> Check<Answer> {
        let body = body.to_string();
        self.send(method, path, Some(("application/json", body)))
            .await
    }

    /// Sends a DELETE.
    pub(crate) async fn delete(&self, path: &str) -> Check<Answer> {
        self.send(Method::DELETE, path, None).await
    }

    /// Sends a request with a body of a content type, or without.
    ///
    /// # Errors
    /// A fault when there was no answer at all.
    pub(crate) async fn send(
        &self,
        method: Method,
        path: &str,
        body: Option<(&str, String)>,
    ) -> Check<Answer> {
        let address = self.address(path);
        let mut shown = format!("{method} {address}");
        let mut request = self
            .http
            .request(method, &address)
            .header(ACCEPT, "application/json, */*;q=0.5");
        if let Some((content_type, body)) = body {
            shown = format!("{shown}\n{}", shorten(&body));
            request = request.header(CONTENT_TYPE, content_type).body(body);
        }
        let no_answer = |error: reqwest::Error| {
            Stop::Fault(Box::new(Fault {
                what: format!("no answer: {}", causes(&error)),
                request: Some(shown.clone()),
                answer: None,
            }))
        };
        let response = request.send().await.map_err(no_answer)?;
        let status = response.status().as_u16();
        let header = |name| {
            let value: Option<&HeaderValue> = response.headers().get(name);
            value.and_then(|v| v.to_str().ok()).map(str::to_owned)
        };
        let content_type = header(CONTENT_TYPE).unwrap_or_default();
        let location = header(LOCATION);
        let text = response.text().await.map_err(no_answer)?;
        Ok(Answer {
            request: shown,
            status,
            content_type,
            location,
            text,
        })
    }
}

/// An answer, with the request that led to it.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    request: String,
    /// The HTTP status.
    pub(crate) status: u16,
    /// The content type, or nothing.
    pub(crate) content_type: String,
    /// The header `Location`.
    pub(crate) location: Option<String>,
    /// The body.
    pub(crate) text: String,
}

impl Answer {
    /// An answer that says nothing.
    #[cfg(test)]
    pub(crate) fn of_nothing() -> Self {
        Self {
            request: String::new(),
            status: 200,
            content_type: String::new(),
            location: None,
            text: String::new(),
        }
    }

    /// A fault that this exchange shows.
    pub(crate) fn fault(&self, what: impl Into<String>) -> Stop {
        Stop::Fault(Box::new(Fault {
            what: what.into(),
            request: Some(self.request.clone()),
            answer: Some(format!("{} {}", self.status, shorten(&self.text))),
        }))
    }

    /// Ends the case with a fault unless `condition` holds.
    pub(crate) fn ensure(&self, condition: bool, what: impl FnOnce() -> String) -> Check {
        if condition {
            Ok(())
        } else {
            Err(self.fault(what()))
        }
    }

    /// The answer, if its status is one of these.
    pub(crate) fn expect(self, allowed: &[u16]) -> Check<Self> {
        let asked = allowed
            .iter()
            .map(u16::to_string)
            .collect::<Vec<_>>()
            .join(" or ");
        self.ensure(allowed.contains(&self.status), || {
            format!("status {asked} was expected, not {}", self.status)
        })?;
        Ok(self)
    }

    /// The answer, if it says that the request was good: 200.
    pub(crate) fn ok(self) -> Check<Self> {
        self.expect(&[200])
    }

    /// The answer, if it says that the client was wrong.
    pub(crate) fn refused(self) -> Check<Self> {
        self.expect(&[400, 404, 409, 422])
    }

    /// The body as JSON.
    pub(crate) fn value(&self) -> Check<Value> {
        serde_json::from_str(&self.text)
            .map_err(|error| self.fault(format!("the body is no JSON: {error}")))
    }

    /// The entities of the list in `value`.
    pub(crate) fn list(&self) -> Check<Vec<Value>> {
        match self.value()?.get_mut("value").map(Value::take) {
            Some(Value::Array(entities)) => Ok(entities),
            _ => Err(self.fault("the body has no array `value`")),
        }
    }

    /// A member of the JSON object in the body.
    pub(crate) fn member(&self, name: &str) -> Check<Value> {
        match self.value()?.get_mut(name) {
            Some(member) => Ok(member.take()),
            None => Err(self.fault(format!("the body has no member `{name}`"))),
        }
    }

    /// Whether the JSON object in the body has a member.
    pub(crate) fn has(&self, name: &str) -> Check<bool> {
        Ok(self.value()?.get(name).is_some())
    }
}

/// A path with query options, their values encoded.
pub(crate) fn with_options(path: &str, options: &[(&str, &str)]) -> String {
    let mut address = path.to_owned();
    for (name, value) in options {
        address.push(if address.contains('?') { '&' } else { '?' });
        address.push_str(name);
        address.push('=');
        address.push_str(&encoded(value));
    }
    address
}

/// Percent-encodes what may not stand in the value of a query option.
pub(crate) fn encoded(text: &str) -> String {
    const PLAIN: &[u8] = b"-._~!$'()*,;:@/?";
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || PLAIN.contains(&byte) {
            out.push(char::from(byte));
        } else {
            // Writing to a string cannot fail.
            let _ = write!(out, "%{byte:02X}");
        }
    }
    out
}

/// The beginning of a text, in one line where it is JSON.
fn shorten(text: &str) -> String {
    let text = text.trim();
    if text.chars().count() <= SHOWN {
        return text.to_owned();
    }
    let head: String = text.chars().take(SHOWN).collect();
    format!("{head}…")
}

/// An error with its causes.
fn causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        text = format!("{text}: {cause}");
        next = cause.source();
    }
    text
}

/// A member of a JSON object that must be there.
pub(crate) fn member<'a>(object: &'a Value, name: &str) -> Check<&'a Value> {
    object
        .get(name)
        .ok_or_else(|| fault(format!("`{name}` is missing in {object}")))
}

/// Ends the case unless both JSON values are the same; numbers are compared by value.
pub(crate) fn same(what: &str, sent: &Value, got: &Value) -> Check {
    ensure(equal(sent, got), || {
        format!("{what}: {sent} was expected, not {got}")
    })
}

/// Whether two JSON values are the same, where 1 and 1.0 are.
pub(crate) fn equal(left: &Value, right: &Value) -> bool {
    match (left, right) {
        (Value::Number(a), Value::Number(b)) => match (a.as_f64(), b.as_f64()) {
            (Some(a), Some(b)) => (a - b).abs() <= f64::EPSILON * a.abs().max(b.abs()),
            _ => a == b,
        },
        (Value::Array(a), Value::Array(b)) => {
            a.len() == b.len() && a.iter().zip(b).all(|(a, b)| equal(a, b))
        }
        (Value::Object(a), Value::Object(b)) => {
            a.len() == b.len()
                && a.iter()
                    .all(|(name, a)| b.get(name).is_some_and(|b| equal(a, b)))
        }
        _ => left == right,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn literals_survive_the_query() {
        assert_eq!(
            with_options(
                "Things",
                &[("$filter", "name eq 'a+b & c%'"), ("$top", "1")]
            ),
            "Things?$filter=name%20eq%20'a%2Bb%20%26%20c%25'&$top=1"
        );
    }

    #[test]
    fn an_integer_equals_the_same_number_with_a_fraction_but_no_text() {
        assert!(equal(&json!({"a": [1, 2.5]}), &json!({"a": [1.0, 2.5]})));
        assert!(!equal(&json!(1), &json!("1")));
        assert!(!equal(&json!({"a": 1}), &json!({"a": 1, "b": 2})));
    }
}
