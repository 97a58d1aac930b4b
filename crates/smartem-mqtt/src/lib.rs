//! MQTT: an embedded broker and a client; it knows nothing of payloads.
//!
//! - [`Broker`]: clients connect to us (MQTT 3.1, 3.1.1 and 5, with or without TLS)
//! - [`Subscription`]: we connect to a broker of somebody else
//!
//! Both hand [`Incoming`] messages to a channel, many at a time. A message of QoS 1 or 2 comes with a
//! [`Receipt`]: the sender hears that it has arrived when the receiver confirms, and not before.

mod broker;
mod incoming;
mod reach;
mod subscription;
mod tls;

pub use broker::{
    Authority, Broker, BrokerCounts, BrokerError, BrokerSettings, Door, Filters, Login,
    LoginRefused, Place, Publisher,
};
pub use incoming::{Incoming, QoS, Receipt, Refused, Topic};
pub use reach::{ReachError, reach};
pub use subscription::{RemoteTls, Subscription, SubscriptionError, SubscriptionSettings};
pub use tls::{TlsError, TlsFiles};
