//! Volumes, claims, and where containers can write.

use std::collections::BTreeSet;

use super::Report;
use crate::objects::{Render, is_true, list, text};
use crate::tables::Tables;
use crate::workloads::workloads;

/// Every claim is mounted by a pod, and every claim that a pod names is there.
pub(super) fn claims_are_used(render: &Render, _: &Tables, report: &mut Report) {
    let mut used = BTreeSet::new();
    for workload in workloads(render) {
        let namespace = workload.object.namespace();
        let mounted: BTreeSet<_> = workload
            .all_containers()
            .flat_map(|container| list(container, "/volumeMounts"))
            .map(|mount| text(mount, "/name"))
            .collect();
        for volume in workload.volumes() {
            let claim = text(volume, "/persistentVolumeClaim/claimName");
            if claim.is_empty() {
                continue;
            }
            if mounted.contains(text(volume, "/name")) {
                used.insert((namespace, claim));
            }
            if !is_claim(render, namespace, claim) {
                report.object(
                    workload.object,
                    format!("there is no claim `{claim}`"),
                    "name one that is",
                );
            }
        }
        for template in list(&workload.object.0, "/spec/volumeClaimTemplates") {
            let name = text(template, "/metadata/name");
            if !mounted.contains(name) {
                report.object(
                    workload.object,
                    format!("nothing mounts its claim `{name}`"),
                    "mount it, or drop it",
                );
            }
        }
    }
    for claim in render.of_kind("PersistentVolumeClaim") {
        if !used.contains(&(claim.namespace(), claim.name())) {
            report.object(claim, "no pod mounts it", "mount it, or drop it");
        }
    }
}

/// Whether a claim is written as such, or comes from the template of a `StatefulSet`.
fn is_claim(render: &Render, namespace: &str, name: &str) -> bool {
    render
        .find("PersistentVolumeClaim", namespace, name)
        .is_some()
        || render.of_kind("StatefulSet").any(|set| {
            set.namespace() == namespace
                && list(&set.0, "/spec/volumeClaimTemplates")
                    .iter()
                    .any(|template| {
                        let made = format!("{}-{}-0", text(template, "/metadata/name"), set.name());
                        made == name
                    })
        })
}

/// Folders below which a container may be told to write.
const WRITABLE: [&str; 3] = ["/backup", "/scratch", "/var/lib/"];

/// No container writes into its image: the root is read-only, `/tmp` is a sized volume, and so is what its
/// arguments name to write to.
pub(super) fn read_only_root(render: &Render, _: &Tables, report: &mut Report) {
    for workload in workloads(render) {
        let mut volumes: BTreeSet<_> = workload
            .volumes()
            .iter()
            .map(|volume| text(volume, "/name"))
            .collect();
        volumes.extend(
            list(&workload.object.0, "/spec/volumeClaimTemplates")
                .iter()
                .map(|template| text(template, "/metadata/name")),
        );
        for container in workload.all_containers() {
            let name = text(container, "/name");
            if !is_true(container, "/securityContext/readOnlyRootFilesystem") {
                report.object(
                    workload.object,
                    format!("container `{name}` can write into its image"),
                    "set securityContext.readOnlyRootFilesystem to true",
                );
            }
            let mounts = list(container, "/volumeMounts");
            for mount in mounts {
                let volume = text(mount, "/name");
                if !volumes.contains(volume) {
                    report.object(
                        workload.object,
                        format!("container `{name}` mounts `{volume}`, which is no volume"),
                        "add the volume",
                    );
                }
            }
            let is_mounted = |path: &str| {
                mounts
                    .iter()
                    .map(|mount| text(mount, "/mountPath"))
                    .any(|place| path == place || path.starts_with(&format!("{place}/")))
            };
            if !is_mounted("/tmp") {
                report.object(
                    workload.object,
                    format!("container `{name}` has no /tmp"),
                    "mount a sized emptyDir",
                );
            }
            for path in list(container, "/args")
                .iter()
                .chain(list(container, "/command"))
                .filter_map(|arg| {
                    let arg = arg.as_str()?;
                    let path = arg.split_once('=').map_or(arg, |(_, value)| value);
                    WRITABLE
                        .iter()
                        .any(|folder| path.starts_with(folder))
                        .then_some(path)
                })
            {
                if !is_mounted(path) {
                    report.object(
                        workload.object,
                        format!("container `{name}` is told of `{path}`, where no volume is"),
                        "mount one",
                    );
                }
            }
        }
        for volume in workload.volumes() {
            if volume.pointer("/emptyDir").is_some()
                && text(volume, "/emptyDir/sizeLimit").is_empty()
            {
                report.object(
                    workload.object,
                    format!("the emptyDir `{}` has no size", text(volume, "/name")),
                    "set sizeLimit",
                );
            }
        }
    }
}
