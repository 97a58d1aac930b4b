//! Which version answers where.

use std::net::IpAddr;
use std::sync::Arc;

use axum::http::{HeaderMap, header};
use smartem_sta::Version;

/// A version at a path.
pub(super) struct Face {
    pub(super) version: Version,
    pub(super) prefix: &'static str,
    pub(super) with_slash: &'static str,
    /// Everything below, as axum matches it.
    pub(super) below: &'static str,
    /// The same in the OpenAPI document.
    pub(super) described: &'static str,
}

/// All of them.
pub(super) static ALL: [Face; 4] = [
    Face {
        version: Version::V1_1,
        prefix: "/sta/v1.1",
        with_slash: "/sta/v1.1/",
        below: "/sta/v1.1/{*path}",
        described: "/sta/v1.1/{path}",
    },
    Face {
        version: Version::V1_0,
        prefix: "/sta/v1.0",
        with_slash: "/sta/v1.0/",
        below: "/sta/v1.0/{*path}",
        described: "/sta/v1.0/{path}",
    },
    Face {
        version: Version::V1_0,
        prefix: "/gost/v1.0",
        with_slash: "/gost/v1.0/",
        below: "/gost/v1.0/{*path}",
        described: "/gost/v1.0/{path}",
    },
    Face {
        version: Version::V2_0,
        prefix: "/sta/v2.0",
        with_slash: "/sta/v2.0/",
        below: "/sta/v2.0/{*path}",
        described: "/sta/v2.0/{path}",
    },
];

impl Face {
    /// What follows the face in a path, without slashes around it.
    pub(super) fn rest<'p>(&self, path: &'p str) -> &'p str {
        let rest = path.strip_prefix(self.prefix).unwrap_or_default();
        rest.trim_matches('/')
    }

    /// The URL of its root: below the public one where that is set, else as the request names the server.
    pub(super) fn root(
        &self,
        public_url: Option<&str>,
        headers: &HeaderMap,
        peer: Option<IpAddr>,
    ) -> Arc<str> {
        let server = match public_url {
            Some(url) => url.trim_end_matches('/').to_owned(),
            None => server(headers, peer),
        };
        format!("{server}{}", self.prefix).into()
    }
}

/// Scheme and host of the server as a request names them. A proxy within the own network may say that it was
/// reached by TLS, and under which name.
fn server(headers: &HeaderMap, peer: Option<IpAddr>) -> String {
    let text = |name: &str| headers.get(name)?.to_str().ok();
    let of_proxy = |name: &str| {
        let value = text(name).filter(|_| peer.is_none_or(is_near))?;
        // The first is of the proxy that the client reached.
        Some(value.split(',').next().unwrap_or_default().trim())
    };
    let scheme = match of_proxy("x-forwarded-proto") {
        Some("https") => "https",
        _ => "http",
    };
    let host = of_proxy("x-forwarded-host").filter(|host| is_host(host));
    let host = host.or_else(|| text(header::HOST.as_str()).filter(|host| is_host(host)));
    format!("{scheme}://{}", host.unwrap_or("localhost"))
}

/// Whether an address is of this machine or of a private network.
fn is_near(address: IpAddr) -> bool {
    match address.to_canonical() {
        IpAddr::V4(four) => four.is_loopback() || four.is_private() || four.is_link_local(),
        IpAddr::V6(six) => {
            six.is_loopback() || six.is_unique_local() || six.is_unicast_link_local()
        }
    }
}

/// Letters, digits and what else a host with a port may have (RFC 3986, 3.2.2, without encoded bytes).
fn is_host(text: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b".-_:[]".contains(&byte);
    !text.is_empty() && text.len() <= 255 && text.bytes().all(allowed)
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    fn root(public: Option<&str>, peer: &str, given: &[(&'static str, &'static str)]) -> String {
        let mut headers = HeaderMap::new();
        for (name, value) in given {
            headers.insert(*name, HeaderValue::from_static(value));
        }
        let peer = Some(peer.parse().unwrap());
        ALL[0].root(public, &headers, peer).to_string()
    }

    #[test]
    fn links_begin_with_the_name_by_which_the_server_was_reached() {
        let near = "10.1.2.3";
        let host = ("host", "sta.example.org:8080");
        let proto = ("x-forwarded-proto", "https");
        let other = ("x-forwarded-host", "data.example.org");
        assert_eq!(
            root(None, near, &[host]),
            "http://sta.example.org:8080/sta/v1.1"
        );
        assert_eq!(
            root(None, near, &[host, proto]),
            "https://sta.example.org:8080/sta/v1.1"
        );
        assert_eq!(
            root(None, near, &[host, proto, other]),
            "https://data.example.org/sta/v1.1"
        );
        assert_eq!(
            root(None, "192.0.2.1", &[host, proto, other]),
            "http://sta.example.org:8080/sta/v1.1"
        );
        assert_eq!(
            root(Some("https://air.example.org/"), near, &[host]),
            "https://air.example.org/sta/v1.1"
        );
        assert_eq!(
            root(None, near, &[("host", "a\"b.example.org")]),
            "http://localhost/sta/v1.1"
        );
    }

    #[test]
    fn the_rest_of_a_path_has_no_slashes_around_it() {
        for (path, rest) in [
            ("/sta/v1.1", ""),
            ("/sta/v1.1/", ""),
            ("/sta/v1.1/Things(1)/Locations/", "Things(1)/Locations"),
            ("/sta/v1.1/Things%281%29", "Things%281%29"),
        ] {
            assert_eq!(ALL[0].rest(path), rest);
        }
    }
}
