//! What every source has in its settings.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use smartem_etl::Origin;

/// The names of a source.
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema)]
pub struct Names {
    /// Names the source in checkpoints, logs and metrics.
    pub name: String,
    /// Network of the stations; the name of the source when it is not given.
    #[serde(default)]
    pub network: Option<String>,
    /// Project that the stations belong to.
    #[serde(default)]
    pub project: Option<String>,
}

impl Names {
    /// The identity of the source.
    pub fn origin(&self) -> Origin {
        Origin {
            source: self.name.clone(),
            network: self.network.clone().unwrap_or_else(|| self.name.clone()),
            project: self.project.clone(),
        }
    }
}
