//! Requests and limits.

use super::Report;
use crate::objects::{Render, text};
use crate::quantity::thousandths;
use crate::tables::Tables;
use crate::workloads::workloads;

const WANTED: [&str; 5] = [
    "/resources/requests/cpu",
    "/resources/requests/memory",
    "/resources/requests/ephemeral-storage",
    "/resources/limits/memory",
    "/resources/limits/ephemeral-storage",
];

/// Every container says what it needs and what it may use. No limit on the processor of what serves, because that
/// makes it wait; one on jobs.
pub(super) fn resources_declared(render: &Render, _: &Tables, report: &mut Report) {
    for workload in workloads(render) {
        for container in workload.all_containers() {
            let name = text(container, "/name");
            for place in WANTED {
                if thousandths(text(container, place)).is_none() {
                    report.object(
                        workload.object,
                        format!("container `{name}` has no amount at {place}"),
                        "write one, such as 64Mi",
                    );
                }
            }
            for resource in ["memory", "ephemeral-storage", "cpu"] {
                let at = |kind: &str| {
                    thousandths(text(container, &format!("/resources/{kind}/{resource}")))
                };
                if let (Some(asked), Some(most)) = (at("requests"), at("limits"))
                    && asked > most
                {
                    report.object(
                        workload.object,
                        format!("container `{name}` asks for more {resource} than it may use"),
                        "raise the limit",
                    );
                }
            }
            let limited = container.pointer("/resources/limits/cpu").is_some();
            if workload.is_job() && !limited {
                report.object(
                    workload.object,
                    format!("container `{name}` may take all processors"),
                    "limit its cpu",
                );
            }
            if !workload.is_job() && limited {
                report.object(
                    workload.object,
                    format!("container `{name}` is slowed down by its cpu limit"),
                    "leave the limit out",
                );
            }
        }
    }
}
