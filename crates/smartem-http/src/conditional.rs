use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};

/// Names a state of a resource, so that a client need not be sent twice what it has.
///
/// A weak one: two answers with the same tag mean the same, but one of them may be compressed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ETag {
    value: HeaderValue,
}

impl ETag {
    /// A tag of this text; what a tag may not hold is replaced.
    pub fn new(text: &str) -> Self {
        let allowed = |c: char| {
            if c.is_ascii_graphic() && c != '"' {
                c
            } else {
                '_'
            }
        };
        let tag: String = text.chars().map(allowed).collect();
        // Printable ASCII is always a header value.
        let value = HeaderValue::from_str(&format!("W/\"{tag}\""));
        Self {
            value: value.unwrap_or(HeaderValue::from_static("W/\"\"")),
        }
    }

    /// The value of the header.
    pub fn value(&self) -> &HeaderValue {
        &self.value
    }

    /// Whether the client says in `If-None-Match` that it has this state.
    pub fn is_known_to(&self, request: &HeaderMap) -> bool {
        let own = opaque(self.value.to_str().unwrap_or_default());
        request
            .get_all(header::IF_NONE_MATCH)
            .iter()
            .filter_map(|list| list.to_str().ok())
            .flat_map(|list| list.split(','))
            .map(str::trim)
            .any(|tag| tag == "*" || opaque(tag) == own)
    }

    /// The answer to a client that has this state.
    pub fn not_modified(&self) -> Response {
        self.on(StatusCode::NOT_MODIFIED)
    }

    /// Adds the tag to a response, and the request to ask before using it again.
    pub fn on(&self, response: impl IntoResponse) -> Response {
        let mut response = response.into_response();
        let headers = response.headers_mut();
        headers.insert(header::ETAG, self.value.clone());
        headers
            .entry(header::CACHE_CONTROL)
            .or_insert(HeaderValue::from_static("no-cache"));
        response
    }
}

/// Tags are compared weakly (RFC 9110, 13.1.2).
fn opaque(tag: &str) -> &str {
    tag.strip_prefix("W/").unwrap_or(tag)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tag_is_known_in_every_form_a_client_or_a_proxy_gives_it() {
        let tag = ETag::new("7-1.0");
        for (given, known) in [
            ("W/\"7-1.0\"", true),
            ("\"7-1.0\"", true),
            ("\"a\", W/\"7-1.0\" ,\"b\"", true),
            ("*", true),
            ("\"7-1.1\"", false),
            ("7-1.0", false),
            ("", false),
        ] {
            let mut request = HeaderMap::new();
            request.insert(header::IF_NONE_MATCH, HeaderValue::from_static(given));
            assert_eq!(tag.is_known_to(&request), known, "{given}");
        }
        assert!(!tag.is_known_to(&HeaderMap::new()));
    }

    #[test]
    fn a_tag_is_always_a_header_value() {
        assert_eq!(ETag::new("a\"b\nc é").value(), "W/\"a_b_c__\"");
    }
}
