//! `smartem healthcheck`: for containers without curl.

use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, bail};

use super::load_config;
use crate::cli::Global;
use crate::output;

/// A service that takes longer is not ready.
const PATIENCE: Duration = Duration::from_secs(5);

pub(super) async fn run(global: &Global) -> anyhow::Result<ExitCode> {
    let url = format!("http://{}/readyz", load_config(global)?.serve.listen);
    let client = reqwest::Client::builder()
        .timeout(PATIENCE)
        .build()
        .context("making a client")?;
    let answer = client
        .get(&url)
        .send()
        .await
        .with_context(|| format!("asking {url}"))?;
    if !answer.status().is_success() {
        bail!("{url} answered {}", answer.status());
    }
    output::line("ready");
    Ok(ExitCode::SUCCESS)
}
