use std::convert::Infallible;
use std::net::{IpAddr, Ipv6Addr};

use axum::extract::FromRequestParts;
use axum::http::request::Parts;

use super::Credentials;
use crate::Problem;

/// The other end of the connection of a request; [`serve`](crate::serve) puts it there.
#[derive(Clone, Copy, Debug)]
pub struct PeerAddress(pub IpAddr);

/// Who sends a request, as far as the request says; an argument of handlers.
#[derive(Clone, Debug)]
pub struct Caller {
    pub(super) peer: Option<IpAddr>,
    /// The addresses of `X-Forwarded-For`, the nearest one last.
    pub(super) forwarded: Vec<IpAddr>,
    pub(super) credentials: Result<Option<Credentials>, Problem>,
}

impl Caller {
    /// A caller on another way than HTTP.
    pub fn new(peer: Option<IpAddr>, credentials: Option<Credentials>) -> Self {
        Self {
            peer,
            forwarded: Vec::new(),
            credentials: Ok(credentials),
        }
    }

    /// The caller with these credentials, where the request itself had none: those of a form.
    #[must_use]
    pub fn or_with(mut self, credentials: Option<Credentials>) -> Self {
        if let Ok(None) = self.credentials {
            self.credentials = Ok(credentials);
        }
        self
    }

    /// Whether there are credentials, good or not.
    pub fn has_credentials(&self) -> bool {
        !matches!(self.credentials, Ok(None))
    }

    /// The address of the client: the nearest one that is not a trusted proxy.
    ///
    /// A network of 2^64 addresses, as one connection gets it in IPv6, counts as one.
    pub(super) fn client(&self, proxies: &[IpAddr]) -> Option<IpAddr> {
        let is_proxy = |address: &IpAddr| proxies.contains(&address.to_canonical());
        let peer = self.peer?;
        let way = self.forwarded.iter().rev().copied();
        let client = std::iter::once(peer)
            .chain(way)
            .find(|address| !is_proxy(address))
            .unwrap_or(peer);
        Some(network(client.to_canonical()))
    }
}

fn network(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(_) => address,
        IpAddr::V6(six) => {
            let [a, b, c, d, ..] = six.segments();
            IpAddr::V6(Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0))
        }
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Caller {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Self::Rejection> {
        let peer = parts.extensions.get().map(|PeerAddress(peer)| *peer);
        let forwarded = parts
            .headers
            .get_all("x-forwarded-for")
            .iter()
            .filter_map(|value| value.to_str().ok())
            .flat_map(|list| list.split(','))
            .filter_map(|address| address.trim().parse().ok())
            .collect();
        Ok(Self {
            peer,
            forwarded,
            credentials: Credentials::of(&parts.headers, parts.uri.query()),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn caller(peer: &str, forwarded: &[&str]) -> Caller {
        Caller {
            peer: Some(peer.parse().unwrap()),
            forwarded: forwarded.iter().map(|one| one.parse().unwrap()).collect(),
            credentials: Ok(None),
        }
    }

    #[test]
    fn only_a_trusted_proxy_says_for_whom_it_asks() {
        let proxies = ["10.0.0.1".parse().unwrap(), "10.0.0.2".parse().unwrap()];
        for (peer, forwarded, client) in [
            ("192.0.2.7", &[][..], "192.0.2.7"),
            ("192.0.2.7", &["198.51.100.1"], "192.0.2.7"),
            ("10.0.0.1", &["198.51.100.1"], "198.51.100.1"),
            ("10.0.0.1", &["203.0.113.9", "198.51.100.1"], "198.51.100.1"),
            ("10.0.0.1", &["198.51.100.1", "10.0.0.2"], "198.51.100.1"),
            ("10.0.0.1", &[], "10.0.0.1"),
            ("::ffff:192.0.2.7", &[], "192.0.2.7"),
            ("2001:db8:1:2:3:4:5:6", &[], "2001:db8:1:2::"),
        ] {
            let found = caller(peer, forwarded).client(&proxies);
            assert_eq!(found, Some(client.parse().unwrap()), "{peer} {forwarded:?}");
        }
    }
}
