//! Who may connect, and what they may do there.

use std::net::SocketAddr;
use std::sync::Arc;

use async_trait::async_trait;

/// What a client shows when it connects.
#[derive(Clone, Copy)]
pub struct Login<'a> {
    /// The client id; given by the broker where the client has none.
    pub client: &'a str,
    /// The user name.
    pub user: Option<&'a str>,
    /// The password or token.
    pub password: Option<&'a [u8]>,
    /// From where.
    pub peer: SocketAddr,
    /// Whether the connection is encrypted.
    pub encrypted: bool,
}

/// Why a client may not connect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LoginRefused {
    /// The user is unknown or the password wrong.
    BadCredentials,
    /// The user is known but may not connect.
    NotAuthorized,
    /// It cannot be told now.
    Unavailable,
}

/// Says who may do what; asked for each connection, subscription and message.
#[async_trait]
pub trait Authority: Send + Sync + 'static {
    /// The name by which a client is known from now on: [`Incoming::user`](crate::Incoming::user).
    async fn connect(&self, login: Login<'_>) -> Result<Arc<str>, LoginRefused>;

    /// Whether a user may publish to a topic. It is asked for each message and must not block.
    fn may_publish(&self, user: &str, topic: &str) -> bool;

    /// Whether a user may subscribe to all that a filter takes.
    fn may_subscribe(&self, user: &str, filter: &str) -> bool;

    /// Whether this is the name of those whom nobody knows. Guests leave places to others
    /// ([`BrokerSettings::max_guests`](super::BrokerSettings::max_guests)), have few subscriptions, and
    /// no session that outlives the connection.
    fn is_guest(&self, _user: &str) -> bool {
        false
    }

    /// Whether subscribers get what clients publish to a topic, and it may be retained. Where not, only
    /// the receiver gets it, and what subscribers get is what the program itself publishes.
    fn is_shared(&self, _topic: &str) -> bool {
        true
    }
}
