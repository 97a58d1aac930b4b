//! Comma-separated values (RFC 4180), with a header row.

use serde_json::Value;

use super::entity::Writer;
use super::select::{self, Part};
use super::text::Links;
use super::value::{self, Val};
use super::{Body, Frame, swe};
use crate::{Entity, EntityType, Expansion, Property, Query, Relation, Version};

/// A column: where its value is, from the entity of the row on.
struct Column<'q> {
    header: String,
    /// Along these relations, each to one entity.
    way: Vec<Relation>,
    source: Source<'q>,
}

enum Source<'q> {
    /// A property, or a member of it.
    Property(Property, Vec<String>),
    /// Related entities, as a JSON array.
    Entities(Relation, &'q Query),
}

/// One row for each entity.
pub(super) fn entities<'e>(
    entities: impl IntoIterator<Item = &'e Entity>,
    of: EntityType,
    frame: &Frame<'_>,
) -> Body {
    let mut columns = Vec::new();
    collect(&mut columns, of, frame.query, "", &[], frame.version);
    let links = Links::new(frame.version, frame.root);
    let mut out = Vec::with_capacity(4096);
    write_row(&mut out, columns.iter().map(|it| it.header.as_bytes()));
    let mut field = Vec::new();
    for entity in entities {
        for (place, column) in columns.iter().enumerate() {
            if place > 0 {
                out.push(b',');
            }
            field.clear();
            column.write(&mut field, entity, &links);
            write_field(&mut out, &field);
        }
        out.extend_from_slice(b"\r\n");
    }
    body(out)
}

/// Rows of sums; the columns are the keys, in the order in which they are met.
pub(super) fn rows(rows: &[Value]) -> Body {
    let mut keys: Vec<&str> = Vec::new();
    for key in rows
        .iter()
        .filter_map(Value::as_object)
        .flat_map(|it| it.keys())
    {
        if !keys.contains(&key.as_str()) {
            keys.push(key);
        }
    }
    let mut out = Vec::new();
    write_row(&mut out, keys.iter().map(|key| key.as_bytes()));
    let mut field = Vec::new();
    for row in rows {
        for (place, key) in keys.iter().enumerate() {
            if place > 0 {
                out.push(b',');
            }
            field.clear();
            if let Some(value) = row.get(key) {
                Val::Json(value).write_plain(&mut field);
            }
            write_field(&mut out, &field);
        }
        out.extend_from_slice(b"\r\n");
    }
    body(out)
}

fn body(bytes: Vec<u8>) -> Body {
    Body {
        media_type: Body::CSV,
        bytes,
    }
}

fn collect<'q>(
    columns: &mut Vec<Column<'q>>,
    of: EntityType,
    query: &'q Query,
    prefix: &str,
    way: &[Relation],
    version: Version,
) {
    let mut add = |name: &str, source| {
        columns.push(Column {
            header: format!("{prefix}{name}"),
            way: way.to_vec(),
            source,
        });
    };
    for property in [Property::Id].iter().chain(of.properties()) {
        let name = match property {
            Property::Id => "id",
            other => swe::name(*other, version),
        };
        match select::part(&query.select, *property) {
            None => {}
            Some(Part::Whole) => add(name, Source::Property(*property, Vec::new())),
            Some(Part::Members(paths)) => {
                for path in paths {
                    let header = format!("{name}/{}", path.join("/"));
                    add(&header, Source::Property(*property, path));
                }
            }
        }
    }
    for expand in &query.expand {
        let name = expand.relation.name(version);
        if expand.relation.is_many {
            columns.push(Column {
                header: format!("{prefix}{name}"),
                way: way.to_vec(),
                source: Source::Entities(expand.relation, &expand.query),
            });
        } else {
            let way: Vec<Relation> = way.iter().copied().chain([expand.relation]).collect();
            let prefix = format!("{prefix}{name}/");
            collect(
                columns,
                expand.relation.to,
                &expand.query,
                &prefix,
                &way,
                version,
            );
        }
    }
}

impl Column<'_> {
    fn write(&self, out: &mut Vec<u8>, row: &Entity, links: &Links) {
        let entity =
            self.way
                .iter()
                .try_fold(row, |entity, relation| match related(entity, *relation)? {
                    Expansion::One(one) => one.as_deref(),
                    Expansion::Many(_) => None,
                });
        let Some(entity) = entity else {
            return;
        };
        match &self.source {
            Source::Property(property, path) => {
                let value = value::of(entity, *property, links.version);
                if path.is_empty() {
                    value.write_plain(out);
                } else if let Some(member) = value::walk(&value.to_value(), path) {
                    Val::Json(member).write_plain(out);
                }
            }
            Source::Entities(relation, query) => {
                if let Some(Expansion::Many(page)) = related(entity, *relation) {
                    Writer::new(links, relation.to, query).write_array(out, &page.entities);
                }
            }
        }
    }
}

fn related(entity: &Entity, relation: Relation) -> Option<&Expansion> {
    let mut expanded = entity.expanded.iter();
    let expanded = expanded.find(|it| it.relation == relation)?;
    Some(&expanded.content)
}

fn write_row<'f>(out: &mut Vec<u8>, fields: impl Iterator<Item = &'f [u8]>) {
    for (place, field) in fields.enumerate() {
        if place > 0 {
            out.push(b',');
        }
        write_field(out, field);
    }
    out.extend_from_slice(b"\r\n");
}

fn write_field(out: &mut Vec<u8>, field: &[u8]) {
    let needs_quotes = field
        .iter()
        .any(|it| matches!(it, b',' | b'"' | b'\r' | b'\n'));
    if !needs_quotes {
        out.extend_from_slice(field);
        return;
    }
    out.push(b'"');
    for byte in field {
        if *byte == b'"' {
            out.push(b'"');
        }
        out.push(*byte);
    }
    out.push(b'"');
}
