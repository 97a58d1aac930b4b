//! The program podman, called.

use std::process::{Command, Stdio};

use super::PodError;

/// Why pods cannot be run on this machine.
#[derive(Debug, thiserror::Error)]
#[error("podman cannot run containers here: {0}")]
pub struct Unavailable(String);

/// Runs podman and gives back what it wrote on standard output.
pub fn podman<S: AsRef<str>>(arguments: &[S]) -> Result<String, PodError> {
    let arguments: Vec<&str> = arguments.iter().map(AsRef::as_ref).collect();
    let failed = |problem: String| PodError::Podman {
        command: arguments.join(" "),
        problem,
    };
    let output = Command::new("podman")
        .args(&arguments)
        .stdin(Stdio::null())
        .output()
        .map_err(|error| failed(error.to_string()))?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned());
    }
    Err(failed(
        String::from_utf8_lossy(&output.stderr).trim().to_owned(),
    ))
}

/// Whether a container of this image runs to its end.
pub fn available(image: &str, command: &[&str]) -> Result<(), Unavailable> {
    let mut arguments = vec!["run", "--rm", "--network=none", "--no-healthcheck", image];
    arguments.extend(command);
    podman(&arguments)
        .map(|_| ())
        .map_err(|error| Unavailable(error.to_string()))
}
