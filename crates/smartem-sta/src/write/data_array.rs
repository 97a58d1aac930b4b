//! Observations as rows of arrays, grouped by datastream (18-088, 12).

use super::Frame;
use super::page;
use super::select::{self, Part};
use super::text::{self, Links};
use super::value::{self, Val};
use crate::{Entity, EntityType, Page, Property, Record, Version};

pub(super) const ONLY_OBSERVATIONS: &str =
    "`$resultFormat=dataArray` is a form of sets of Observations; ask for one of those";

pub(super) fn observations(page: &Page, frame: &Frame<'_>) -> Vec<u8> {
    let links = Links::new(frame.version, frame.root);
    let components = components(frame);
    let mut out = Vec::with_capacity(256 + page.entities.len() * 96);
    page::begin(&mut out, page.count, &links);
    out.extend_from_slice(b"\"value\":[");
    let groups = page
        .entities
        .chunk_by(|a, b| datastream(a) == datastream(b));
    for (place, group) in groups.enumerate() {
        if place > 0 {
            out.push(b',');
        }
        write_group(&mut out, group, &components, &links);
    }
    out.push(b']');
    page::end(&mut out, page.next.as_ref(), frame, &links);
    out
}

/// Which datastream an observation is of, and whether that is one of several properties.
fn datastream(entity: &Entity) -> Option<(i64, bool)> {
    match &entity.record {
        Record::Observation(it) => Some((it.datastream, it.is_multi)),
        _ => None,
    }
}

/// The properties of a row, with the parts that are asked for.
fn components(frame: &Frame<'_>) -> Vec<(Property, Part)> {
    let select = frame.query.select.as_slice();
    let properties = EntityType::Observation.properties();
    [Property::Id]
        .iter()
        .chain(properties)
        .filter_map(|property| Some((*property, select::part(select, *property)?)))
        .collect()
}

fn write_group(
    out: &mut Vec<u8>,
    group: &[Entity],
    components: &[(Property, Part)],
    links: &Links,
) {
    let Some((id, is_multi)) = group.first().and_then(datastream) else {
        return;
    };
    let of = if is_multi && links.version.is_1() {
        EntityType::MultiDatastream
    } else {
        EntityType::Datastream
    };
    let (name, annotation) = (of.name(links.version), links.annotation());
    let stem = links.stem(of);
    let head = format!("{{\"{name}{annotation}navigationLink\":\"{stem}{id})\",\"components\":[");
    out.extend_from_slice(head.as_bytes());
    for (place, (property, _)) in components.iter().enumerate() {
        if place > 0 {
            out.push(b',');
        }
        let name = match property {
            Property::Id => "id",
            other => other.name(),
        };
        text::json(out, name);
    }
    let count = format!(
        "],\"dataArray{annotation}count\":{},\"dataArray\":[",
        group.len()
    );
    out.extend_from_slice(count.as_bytes());
    for (place, entity) in group.iter().enumerate() {
        if place > 0 {
            out.push(b',');
        }
        write_row(out, entity, components, links.version);
    }
    out.extend_from_slice(b"]}");
}

fn write_row(
    out: &mut Vec<u8>,
    entity: &Entity,
    components: &[(Property, Part)],
    version: Version,
) {
    out.push(b'[');
    for (place, (property, part)) in components.iter().enumerate() {
        if place > 0 {
            out.push(b',');
        }
        let value = value::of(entity, *property, version);
        match part {
            Part::Whole => value.write_json(out),
            Part::Members(paths) => match value::members(&value.to_value(), paths) {
                Some(members) => Val::Json(&members).write_json(out),
                None => out.extend_from_slice(b"null"),
            },
        }
    }
    out.push(b']');
}
