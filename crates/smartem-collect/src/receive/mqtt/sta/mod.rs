//! SensorThings over MQTT (OGC 18-088, sections 14 and 15).
//!
//! [`StaTopic`] says which topics are of the API. [`StaInbox`] is a service that creates entities of
//! messages; the receiver of MQTT hands them over. [`StaChanges`] is a service that tells of changed
//! entities; [`StaOutlet`] publishes them to those who subscribe at our broker, [`StaRelay`] to another
//! broker. What stands in paths, options of queries and payloads, only these services know: [`StoreInbox`] and
//! [`StoreChanges`], over the entities of a store.

mod changes;
mod inbox;
mod outlet;
mod relay;
mod store_changes;
mod store_inbox;
mod topic;

pub use changes::StaChanges;
pub use inbox::{StaInbox, StaMessage, StaRefused};
pub use outlet::{StaOutlet, StaOutletCounts};
pub use relay::StaRelay;
pub use store_changes::{StoreChange, StoreChanges, StoreFilter, StoreMark};
pub use store_inbox::StoreInbox;
pub use topic::StaTopic;

/// The service cannot do it now; it is tried again.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{problem}")]
pub struct StaUnavailable {
    /// Why not, for the log.
    pub problem: String,
}
