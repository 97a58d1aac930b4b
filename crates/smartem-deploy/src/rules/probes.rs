//! Probes.

use super::Report;
use crate::objects::{Render, list, text};
use crate::tables::Tables;
use crate::workloads::workloads;

/// Paths that answer without looking at anything else.
const CHEAP: [&str; 4] = ["/healthz", "/ping", "/-/healthy", "/api/health"];

/// What runs for ever has all three probes; liveness asks nothing that depends on others, because a restart does
/// not make a slow database fast.
pub(super) fn liveness_is_cheap(render: &Render, _: &Tables, report: &mut Report) {
    for workload in workloads(render).filter(|workload| !workload.is_job()) {
        for container in workload.containers() {
            let name = text(container, "/name");
            for probe in ["livenessProbe", "readinessProbe", "startupProbe"] {
                if container.get(probe).is_none() && !list(container, "/ports").is_empty() {
                    report.object(
                        workload.object,
                        format!("container `{name}` has no {probe}"),
                        "add one",
                    );
                }
            }
            let path = text(container, "/livenessProbe/httpGet/path");
            if !path.is_empty() && !CHEAP.contains(&path) {
                report.object(
                    workload.object,
                    format!("liveness of `{name}` asks `{path}`, which may depend on others"),
                    format!("ask one of {}", CHEAP.join(", ")),
                );
            }
            if container.pointer("/livenessProbe/exec").is_some() {
                report.object(
                    workload.object,
                    format!("liveness of `{name}` starts a program each time"),
                    "ask a port or path",
                );
            }
            let own = text(container, "/image").starts_with("smartem:");
            if own && text(container, "/readinessProbe/httpGet/path") != "/readyz" {
                report.object(
                    workload.object,
                    format!("readiness of `{name}` does not ask /readyz"),
                    "ask it: it looks at the store, and tells of shutting down",
                );
            }
        }
    }
}
