//! A small kubelet: pods of rendered manifests, run with podman.
//!
//! It takes the typed template of a workload and the objects beside it, and does what a node would: init
//! containers in order, environment, volumes, users, limits, names, and the order of a stop. Probes are asked
//! over the address of the container, because images without a shell can run none inside. What it cannot do
//! is an error, never left out in silence.
//!
//! `plan` is the pure part, from a template to arguments of podman; `files` lays out `ConfigMaps` and Secrets as
//! a kubelet does; `node` owns networks and folders; `running` is a pod that runs.

mod environment;
mod files;
pub mod http;
mod node;
mod objects;
mod plan;
mod podman;
mod running;

#[cfg(test)]
mod tests;

pub use node::Node;
pub use objects::{Objects, Workload};
pub use plan::{Launch, Plan};
pub use podman::{Unavailable, available, podman};
pub use running::{End, Memory, Pod};

use std::path::PathBuf;

/// Why a pod does not run.
#[derive(Debug, thiserror::Error)]
pub enum PodError {
    /// A document of a render is not what it says.
    #[error("{name}: {problem}")]
    Render {
        /// Which object.
        name: String,
        /// What is wrong.
        problem: String,
    },
    /// An object is named and not there.
    #[error("{place} names {kind} `{name}`, which is not there")]
    Missing {
        /// Who names it.
        place: String,
        /// Of which kind it is.
        kind: &'static str,
        /// Which, with its key.
        name: String,
    },
    /// A field that this kubelet does not know.
    #[error("{place}: `{field}` is not supported by the pods of the tests")]
    Unsupported {
        /// Whose.
        place: String,
        /// Which.
        field: String,
    },
    /// podman refused.
    #[error("podman {command}: {problem}")]
    Podman {
        /// The arguments.
        command: String,
        /// What it wrote.
        problem: String,
    },
    /// An init container ended otherwise than with 0.
    #[error("init container `{name}` ended with {code}:\n{logs}")]
    Init {
        /// Which.
        name: String,
        /// Its exit code.
        code: i32,
        /// What it wrote.
        logs: String,
    },
    /// A file or folder.
    #[error("{}: {source}", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// It took too long.
    #[error("{what} after {seconds} s")]
    Late {
        /// What was waited for.
        what: String,
        /// How long.
        seconds: u64,
    },
}
