//! Sets of entities, references and rows, page by page.

use serde_json::Value;

use super::Frame;
use super::entity::Writer;
use super::text::{self, Links};
use crate::{Cursor, Entity, Page, Query};

/// `{"@iot.count": 1, "value": [...], "@iot.nextLink": "..."}`
pub(super) fn entities(page: &Page, frame: &Frame<'_>) -> Vec<u8> {
    let links = Links::new(frame.version, frame.root);
    let writer = Writer::new(&links, frame.path.entity_type(), frame.query);
    let mut out = Vec::with_capacity(256 + page.entities.len() * 512);
    begin(&mut out, page.count, &links);
    out.extend_from_slice(b"\"value\":");
    writer.write_array(&mut out, &page.entities);
    end(&mut out, page.next.as_ref(), frame, &links);
    out
}

/// Only the links of entities.
pub(super) fn references(page: &Page, frame: &Frame<'_>) -> Vec<u8> {
    let links = Links::new(frame.version, frame.root);
    let writer = Writer::new(&links, frame.path.entity_type(), frame.query);
    let mut out = Vec::with_capacity(256 + page.entities.len() * 96);
    begin(&mut out, page.count, &links);
    out.extend_from_slice(b"\"value\":[");
    for (place, entity) in page.entities.iter().enumerate() {
        if place > 0 {
            out.push(b',');
        }
        out.push(b'{');
        writer.write_self_link(&mut out, entity.id);
        out.push(b'}');
    }
    out.push(b']');
    end(&mut out, page.next.as_ref(), frame, &links);
    out
}

/// Only the link of an entity.
pub(super) fn reference(entity: &Entity, frame: &Frame<'_>) -> Vec<u8> {
    let links = Links::new(frame.version, frame.root);
    let writer = Writer::new(&links, frame.path.entity_type(), frame.query);
    let mut out = vec![b'{'];
    writer.write_self_link(&mut out, entity.id);
    out.push(b'}');
    out
}

/// Rows of sums or averages.
pub(super) fn rows(rows: &[Value], next: Option<&Cursor>, frame: &Frame<'_>) -> Vec<u8> {
    let links = Links::new(frame.version, frame.root);
    let mut out = Vec::with_capacity(64 + rows.len() * 128);
    begin(&mut out, None, &links);
    out.extend_from_slice(b"\"value\":");
    text::json(&mut out, rows);
    end(&mut out, next, frame, &links);
    out
}

pub(super) fn begin(out: &mut Vec<u8>, count: Option<u64>, links: &Links) {
    out.push(b'{');
    if let Some(count) = count {
        out.push(b'"');
        out.extend_from_slice(links.annotation().as_bytes());
        out.extend_from_slice(b"count\":");
        text::unsigned(out, count);
        out.push(b',');
    }
}

pub(super) fn end(out: &mut Vec<u8>, next: Option<&Cursor>, frame: &Frame<'_>, links: &Links) {
    if let Some(next) = next {
        out.extend_from_slice(b",\"");
        out.extend_from_slice(links.annotation().as_bytes());
        out.extend_from_slice(b"nextLink\":");
        text::json(out, &next_link(frame, next));
    }
    out.push(b'}');
}

/// The URL of the next page: that of this one, with the place where it goes on.
fn next_link(frame: &Frame<'_>, next: &Cursor) -> String {
    let options = next_options(frame.query, next);
    format!("{}/{}{options}", frame.root, frame.path_text)
}

/// The query string for the page that begins at a place, with its question mark.
pub(super) fn next_options(query: &Query, next: &Cursor) -> String {
    let changes = [("$skip", None), ("$skiptoken", Some(next.0.as_str()))];
    format!("?{}", query.to_url_with(&changes))
}
