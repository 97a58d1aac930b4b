//! `smartem healthcheck`: for containers without curl.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, bail};

use super::load_config;
use crate::cli::Global;
use crate::output;

/// A service that takes longer is not ready.
const PATIENCE: Duration = Duration::from_secs(5);

/// The checks in their order: whether it lives, and whether it can answer.
const CHECKS: [&str; 2] = ["/healthz", "/readyz"];

pub(super) async fn run(global: &Global) -> anyhow::Result<ExitCode> {
    let serve = load_config(global)?.serve;
    // An address on the command line is the one that is meant.
    let internal = serve.internal_listen.filter(|_| global.listen.is_none());
    let address = reachable(internal.unwrap_or(serve.listen));
    let client = reqwest::Client::builder()
        .timeout(PATIENCE)
        .no_proxy()
        .build()
        .context("making a client")?;
    for path in CHECKS {
        let url = format!("http://{address}{path}");
        let answer = client.get(&url).send().await;
        let answer = answer.with_context(|| format!("{path} failed: asking {url}"))?;
        let status = answer.status();
        if !status.is_success() {
            let told = answer.text().await.unwrap_or_default();
            bail!("{path} failed: {url} answered {status}{}", detail(&told));
        }
    }
    output::line("ready");
    Ok(ExitCode::SUCCESS)
}

/// What a problem says of itself.
fn detail(body: &str) -> String {
    let problem = serde_json::from_str::<serde_json::Value>(body).ok();
    let detail = problem.as_ref().and_then(|it| it.get("detail")?.as_str());
    detail.map_or_else(String::new, |detail| format!(": {detail}"))
}

/// Where on this machine somebody is reached who listens at every address.
fn reachable(address: SocketAddr) -> SocketAddr {
    let ip = match address.ip() {
        IpAddr::V4(Ipv4Addr::UNSPECIFIED) => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(Ipv6Addr::UNSPECIFIED) => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, address.port())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_listens_everywhere_is_asked_on_this_machine() {
        let asked = |address: &str| reachable(address.parse().unwrap()).to_string();
        assert_eq!(asked("0.0.0.0:8081"), "127.0.0.1:8081");
        assert_eq!(asked("[::]:8081"), "[::1]:8081");
        assert_eq!(asked("192.0.2.1:8081"), "192.0.2.1:8081");
    }

    #[test]
    fn a_problem_tells_why() {
        assert_eq!(detail(r#"{"detail": "Not yet."}"#), ": Not yet.");
        assert_eq!(detail("no problem"), "");
    }
}
