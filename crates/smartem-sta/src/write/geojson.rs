//! Entities as GeoJSON features (RFC 7946).

use serde_json::Value;

use super::select::{self, Part};
use super::text::{self, Links};
use super::value::{self, Val};
use super::{Body, Frame, page, swe};
use crate::{Entity, Expansion, Page, Property, Query, Record, Version};

/// Entities as a feature collection.
pub(super) fn collection(page: &Page, frame: &Frame<'_>) -> Body {
    let links = Links::new(frame.version, frame.root);
    let mut out = Vec::with_capacity(256 + page.entities.len() * 512);
    page::begin(&mut out, page.count, &links);
    out.extend_from_slice(b"\"type\":\"FeatureCollection\",\"features\":[");
    for (place, entity) in page.entities.iter().enumerate() {
        if place > 0 {
            out.push(b',');
        }
        write_feature(&mut out, entity, frame.query, frame.version);
    }
    out.push(b']');
    page::end(&mut out, page.next.as_ref(), frame, &links);
    body(out)
}

/// One entity as a feature.
pub(super) fn feature(entity: &Entity, frame: &Frame<'_>) -> Body {
    let mut out = Vec::with_capacity(1024);
    write_feature(&mut out, entity, frame.query, frame.version);
    body(out)
}

fn body(bytes: Vec<u8>) -> Body {
    Body {
        media_type: Body::GEO_JSON,
        bytes,
    }
}

fn write_feature(out: &mut Vec<u8>, entity: &Entity, query: &Query, version: Version) {
    out.extend_from_slice(b"{\"type\":\"Feature\",\"id\":");
    text::integer(out, entity.id);
    out.extend_from_slice(b",\"geometry\":");
    match geometry(entity) {
        Some(geometry) => text::json(out, geometry),
        None => out.extend_from_slice(b"null"),
    }
    out.extend_from_slice(b",\"properties\":{");
    let start = out.len();
    write_properties(out, "", entity, query, version);
    // Every member ends with a comma, the last one without.
    if out.len() > start {
        out.pop();
    }
    out.extend_from_slice(b"}}");
}

/// Its own geometry, else the first one among what is expanded.
fn geometry(entity: &Entity) -> Option<&Value> {
    let own = match &entity.record {
        Record::Location(it) => Some(&it.location),
        Record::Feature(it) => Some(&it.feature),
        Record::Datastream(it) => it.observed_area.as_ref(),
        _ => None,
    };
    own.and_then(of_geojson).or_else(|| {
        entity.expanded.iter().find_map(|it| match &it.content {
            Expansion::One(one) => one.as_deref().and_then(geometry),
            Expansion::Many(page) => page.entities.iter().find_map(geometry),
        })
    })
}

/// The geometry of GeoJSON: itself, or that of a feature.
fn of_geojson(value: &Value) -> Option<&Value> {
    match value.get("type")?.as_str()? {
        "Feature" => value.get("geometry").filter(|it| it.is_object()),
        "Point" | "MultiPoint" | "LineString" | "MultiLineString" | "Polygon" | "MultiPolygon"
        | "GeometryCollection" => Some(value),
        _ => None,
    }
}

/// Properties with flat names: `name`, `properties/owner`, `Datastream/name`, `Observations/0/result`.
fn write_properties(
    out: &mut Vec<u8>,
    prefix: &str,
    entity: &Entity,
    query: &Query,
    version: Version,
) {
    let properties = entity.record.entity_type().properties();
    for property in [Property::Id].iter().chain(properties) {
        let Some(part) = select::part(&query.select, *property) else {
            continue;
        };
        let is_geometry = matches!(
            property,
            Property::Location | Property::Feature | Property::ObservedArea
        );
        let value = value::of(entity, *property, version);
        if value.is_absent() || is_geometry && of_geojson(&value.to_value()).is_some() {
            continue;
        }
        let name = match property {
            Property::Id => "id",
            other => swe::name(*other, version),
        };
        let value = match part {
            Part::Whole => value,
            Part::Members(paths) => match value::members(&value.to_value(), &paths) {
                Some(members) => {
                    write_flat(out, &format!("{prefix}{name}"), &members);
                    continue;
                }
                None => continue,
            },
        };
        write_value(out, &format!("{prefix}{name}"), value);
    }
    for expanded in &entity.expanded {
        let name = expanded.relation.name(version);
        let mut expand = query.expand.iter();
        let Some(expand) = expand.find(|it| it.relation == expanded.relation) else {
            continue;
        };
        match &expanded.content {
            Expansion::One(None) => {}
            Expansion::One(Some(one)) => {
                let prefix = format!("{prefix}{name}/");
                write_properties(out, &prefix, one, &expand.query, version);
            }
            Expansion::Many(page) => {
                for (place, one) in page.entities.iter().enumerate() {
                    let prefix = format!("{prefix}{name}/{place}/");
                    write_properties(out, &prefix, one, &expand.query, version);
                }
            }
        }
    }
}

fn write_value(out: &mut Vec<u8>, name: &str, value: Val<'_>) {
    match value {
        Val::Json(json) => write_flat(out, name, json),
        Val::Quality(_) | Val::Parameters(_) | Val::Span(_) | Val::ResultType(_) => {
            write_flat(out, name, &value.to_value());
        }
        _ => {
            text::json(out, name);
            out.push(b':');
            value.write_json(out);
            out.push(b',');
        }
    }
}

/// Objects become members of their own, everything else stays as it is.
fn write_flat(out: &mut Vec<u8>, name: &str, value: &Value) {
    if let Value::Object(members) = value {
        for (key, member) in members {
            write_flat(out, &format!("{name}/{key}"), member);
        }
        return;
    }
    text::json(out, name);
    out.push(b':');
    text::json(out, value);
    out.push(b',');
}
