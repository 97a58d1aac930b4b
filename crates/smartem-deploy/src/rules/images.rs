//! Images.

use super::Report;
use crate::objects::{Render, text};
use crate::tables::Tables;
use crate::workloads::workloads;

/// Every image is one of the table, with its tag, which is not `latest`, and its digest where one is known.
pub(super) fn images_pinned(render: &Render, tables: &Tables, report: &mut Report) {
    let wanted: Vec<String> = tables
        .images
        .iter()
        .map(|(key, image)| match tables.digests.get(key) {
            Some(digest) => format!("{image}@{digest}"),
            None => image.clone(),
        })
        .collect();
    for (key, image) in &tables.images {
        let tag = image.rsplit_once(':').map_or("", |(_, tag)| tag);
        if tag.is_empty() || tag.contains('/') || tag == "latest" {
            report.place(
                "deploy/images.toml",
                format!("`{key}` is `{image}`, which changes under the same name"),
                "name a tag that stays",
            );
        }
    }
    for workload in workloads(render) {
        for container in workload.all_containers() {
            let image = text(container, "/image");
            if !wanted.iter().any(|known| known == image) {
                report.object(
                    workload.object,
                    format!("the image `{image}` is not in deploy/images.toml"),
                    "add the component `images` to the overlay, or the image to the table",
                );
            }
        }
    }
}
