//! SensorThings over MQTT (OGC 18-088, sections 14 and 15), as far as it can be without SensorThings.
//!
//! [`StaTopic`] says which topics are of the API. [`StaInbox`] is a service that creates entities of
//! messages; the receiver of MQTT hands them over. [`StaChanges`] is a service that tells of changed
//! entities; [`StaOutlet`] publishes them to those who subscribe. What stands in paths, options of
//! queries and payloads, only these services know.

mod inbox;
mod outlet;
mod topic;

pub use inbox::{StaInbox, StaMessage, StaRefused};
pub use outlet::{StaChanges, StaOutlet, StaOutletCounts};
pub use topic::StaTopic;

/// The service cannot do it now; it is tried again.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{problem}")]
pub struct StaUnavailable {
    /// Why not, for the log.
    pub problem: String,
}
