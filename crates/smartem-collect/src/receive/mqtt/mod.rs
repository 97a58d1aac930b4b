//! Messages of MQTT into points.
//!
//! What a message is, its topic says ([`Topics`]). [`MqttReceiver`] gathers messages, writes their
//! points together, and only then answers their senders. What cannot be understood goes to quarantine
//! with its topic as its place, and its sender is told that it has arrived.
//!
//! Messages of SensorThings go to a service of its own ([`sta`]). [`Doorkeeper`] says who may do what, and
//! [`websocket`] lets clients in over HTTP.

mod doorkeeper;
mod payload;
mod receiver;
pub mod sta;
mod stations;
mod topics;
pub mod websocket;

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use smartem_points::FieldValue;

pub use doorkeeper::{Access, Doorkeeper};
pub use receiver::{MqttCounts, MqttReceiver};
pub use topics::{Target, Topics};

/// The database of plain numbers and pushed objects.
pub const DATABASE: &str = "mqtt";

/// How messages are taken.
#[derive(Clone, Debug)]
pub struct MqttConfig {
    /// Which topics are ours.
    pub topics: Topics,
    /// The station type of stations that are seen for the first time and do not tell theirs.
    pub station_type: String,
    /// Whether stations that are not known are registered; else what they send is quarantined.
    pub auto_register: bool,
    /// The project of stations that are registered.
    pub project: Option<String>,
    /// So long messages are gathered before they are written together.
    pub gather: Duration,
    /// So many messages are gathered at most.
    pub gather_most: usize,
}

impl Default for MqttConfig {
    fn default() -> Self {
        Self {
            topics: Topics::new("smartem"),
            station_type: "vanilla".to_owned(),
            auto_register: false,
            project: None,
            gather: Duration::from_millis(5),
            gather_most: 20_000,
        }
    }
}

/// One sample of a pushed object.
#[derive(Clone, Debug, PartialEq)]
struct PushedSample {
    /// The id of the station.
    station: String,
    /// Its type, where the object tells it.
    station_type: Option<String>,
    /// Nanoseconds since 1970; `None`: the time of arrival.
    time: Option<i64>,
    /// The instrument (`meta_id`).
    instrument: Option<String>,
    /// Keys with their values.
    values: Vec<(String, FieldValue<'static>)>,
}

/// Tells the time.
pub type Clock = Arc<dyn Fn() -> Timestamp + Send + Sync>;
