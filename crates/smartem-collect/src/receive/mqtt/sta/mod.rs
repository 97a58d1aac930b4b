//! SensorThings over MQTT (OGC 18-088, sections 14 and 15): which topics are of it.
//!
//! What stands in paths and payloads, the service knows. Here are only the topics, as far as rights and
//! ways of messages go by them.

mod topic;

pub use topic::StaTopic;
