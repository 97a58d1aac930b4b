//! MQTT: an embedded broker and a client; it knows nothing of payloads.
//!
//! - [`Broker`]: clients connect to us (MQTT 3.1, 3.1.1 and 5, with or without TLS)
//! - [`Subscription`]: we connect to a broker of somebody else
//! - [`Publisher`]: messages of our own to those who subscribe at our broker
//! - [`Remote`]: messages of our own to a broker of somebody else
//!
//! The first two hand [`Incoming`] messages to a channel, many at a time. A message of QoS 1 or 2 comes with a
//! [`Receipt`]: the sender hears that it has arrived when the receiver confirms, and not before.

mod broker;
mod client;
mod incoming;
mod reach;
mod remote;
mod subscription;
mod tls;

pub use broker::{
    Authority, Broker, BrokerCounts, BrokerError, BrokerSettings, BrokerState, Door, Filters,
    Login, LoginRefused, Place, Publisher,
};
pub use client::{ConnectError, RemoteTls};
pub use incoming::{Incoming, QoS, Receipt, Refused, Topic};
pub use reach::{ReachError, reach};
pub use remote::{PublishError, Remote, RemotePublisher, RemoteSettings};
pub use subscription::{Subscription, SubscriptionSettings};
pub use tls::{TlsError, TlsFiles};
