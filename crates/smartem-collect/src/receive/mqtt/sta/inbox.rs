use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use smartem_mqtt::Refused;

use super::StaUnavailable;

/// A message that is to create an entity.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StaMessage {
    /// The name of the token of who sent it; `None` where another broker has checked that.
    pub user: Option<Arc<str>>,
    /// The only project in which the sender may create something; `None`: in all.
    pub project: Option<Arc<str>>,
    /// The version of the API, `v1.0` or `v1.1`.
    pub version: &'static str,
    /// The path of the set of entities, such as `Datastreams(1)/Observations`.
    pub path: Box<str>,
    /// The entity, as JSON.
    pub payload: Bytes,
    /// Whether the sender may have sent it before, and did not hear that it had arrived.
    pub again: bool,
}

/// Why no entity was created of a message, now or ever.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StaRefused {
    /// What the sender is told, where its version of MQTT can tell it.
    pub why: Refused,
    /// What is wrong, and the remedy; it stands in the quarantine.
    pub reason: String,
}

/// Creates entities of messages.
#[async_trait]
pub trait StaInbox: Send + Sync + 'static {
    /// Creates the entities of messages, in their order; an answer for each. What is accepted is durable
    /// when this returns: then its sender is told so.
    ///
    /// # Errors
    /// When nothing can be created now. Then nothing of this was, as far as possible: all messages are
    /// handed over once more, and meanwhile nothing else is taken.
    async fn create(
        &self,
        messages: &[StaMessage],
    ) -> Result<Vec<Result<(), StaRefused>>, StaUnavailable>;
}
