//! Entities in the JSON of a version.

use super::select::{self, Part};
use super::text::{self, Links};
use super::value::{self, Val};
use super::{page, swe};
use crate::{Entity, EntityType, Expansion, Property, Query, Record, Relation, Version};

/// Writes entities of one type in the form that a query asks for; what is the same for all of them is
/// prepared once.
pub(super) struct Writer<'a> {
    links: &'a Links,
    query: &'a Query,
    /// The beginning of an entity's link.
    stem: String,
    has_id: bool,
    has_self_link: bool,
    properties: Vec<Column>,
    relations: Vec<RelationWriter<'a>>,
}

struct Column {
    property: Property,
    /// `"name":`
    key: Vec<u8>,
    part: Part,
}

struct RelationWriter<'a> {
    relation: Relation,
    form: RelationForm<'a>,
}

enum RelationForm<'a> {
    /// A link: what stands before the link, and behind the id.
    Link { before: Vec<u8>, behind: Vec<u8> },
    /// The entities, in the place where the answer has them.
    Content {
        name: &'static str,
        writer: Box<Writer<'a>>,
    },
}

impl<'a> Writer<'a> {
    pub(super) fn new(links: &'a Links, of: EntityType, query: &'a Query) -> Self {
        let select = query.select.as_slice();
        let is_named = |property| select::part(select, property).is_some();
        let version = links.version;
        let column = |property: Property| {
            let part = select::part(select, property)?;
            let mut key = Vec::new();
            text::json(&mut key, swe::name(property, version));
            key.push(b':');
            Some(Column {
                property,
                key,
                part,
            })
        };
        let mut writer = Self {
            links,
            query,
            stem: links.stem(of),
            has_id: is_named(Property::Id),
            has_self_link: is_named(Property::SelfLink),
            properties: of.properties().iter().copied().filter_map(column).collect(),
            relations: Vec::new(),
        };
        let relations = of.relations_in(version);
        let relations = relations.filter_map(|it| writer.relation(it)).collect();
        writer.relations = relations;
        writer
    }

    fn relation(&self, relation: Relation) -> Option<RelationWriter<'a>> {
        let name = relation.name(self.links.version);
        let expand = self.query.expand.iter().find(|it| it.relation == relation);
        let form = match expand {
            Some(expand) => RelationForm::Content {
                name,
                writer: Box::new(Writer::new(self.links, relation.to, &expand.query)),
            },
            None if select::has_relation(&self.query.select, relation) => {
                let annotation = self.links.annotation();
                RelationForm::Link {
                    before: format!("\"{name}{annotation}navigationLink\":\"{}", self.stem)
                        .into_bytes(),
                    behind: format!(")/{name}\"").into_bytes(),
                }
            }
            None => return None,
        };
        Some(RelationWriter { relation, form })
    }

    /// Writes an entity as an object.
    pub(super) fn write(&self, out: &mut Vec<u8>, entity: &Entity) {
        out.push(b'{');
        let start = out.len();
        self.write_members(out, entity);
        // Every member ends with a comma, the last one without.
        if out.len() > start {
            out.pop();
        }
        out.push(b'}');
    }

    fn write_members(&self, out: &mut Vec<u8>, entity: &Entity) {
        if self.has_id {
            out.push(b'"');
            out.extend_from_slice(self.links.id_key().as_bytes());
            out.extend_from_slice(b"\":");
            text::integer(out, entity.id);
            out.push(b',');
        }
        if self.has_self_link {
            self.write_self_link(out, entity.id);
            out.push(b',');
        }
        for column in &self.properties {
            column.write(out, entity, self.links.version);
        }
        for relation in &self.relations {
            self.write_relation(out, entity, relation);
        }
    }

    /// `"@iot.selfLink":"..."`
    pub(super) fn write_self_link(&self, out: &mut Vec<u8>, id: i64) {
        out.push(b'"');
        out.extend_from_slice(self.links.self_key().as_bytes());
        out.extend_from_slice(b"\":\"");
        out.extend_from_slice(self.stem.as_bytes());
        text::integer(out, id);
        out.extend_from_slice(b")\"");
    }

    fn write_relation(&self, out: &mut Vec<u8>, entity: &Entity, it: &RelationWriter<'_>) {
        if !applies(it.relation, entity, self.links.version) {
            return;
        }
        match &it.form {
            RelationForm::Link { before, behind } => {
                out.extend_from_slice(before);
                text::integer(out, entity.id);
                out.extend_from_slice(behind);
                out.push(b',');
            }
            RelationForm::Content { name, writer } => {
                let mut expanded = entity.expanded.iter();
                let expanded = expanded.find(|expanded| expanded.relation == it.relation);
                match expanded.map(|expanded| &expanded.content) {
                    Some(Expansion::Many(content)) => {
                        let link = format!("{}{})/{name}", self.stem, entity.id);
                        writer.write_many(out, name, content, &link);
                    }
                    Some(Expansion::One(Some(one))) => {
                        write_key(out, name, "");
                        writer.write(out, one);
                    }
                    Some(Expansion::One(None)) | None if it.relation.is_many => {
                        write_key(out, name, "");
                        out.extend_from_slice(b"[]");
                    }
                    Some(Expansion::One(None)) | None => {
                        write_key(out, name, "");
                        out.extend_from_slice(b"null");
                    }
                }
                out.push(b',');
            }
        }
    }

    /// Writes related entities: their number where that was asked, and where to go on.
    fn write_many(&self, out: &mut Vec<u8>, name: &str, content: &crate::Page, link: &str) {
        let annotation = self.links.annotation();
        if let Some(count) = content.count {
            write_key(out, name, &format!("{annotation}count"));
            text::unsigned(out, count);
            out.push(b',');
        }
        write_key(out, name, "");
        self.write_array(out, &content.entities);
        if let Some(next) = &content.next {
            out.push(b',');
            write_key(out, name, &format!("{annotation}nextLink"));
            out.push(b'"');
            out.extend_from_slice(link.as_bytes());
            let query = page::next_options(self.query, next);
            out.extend_from_slice(text::escaped(&query).as_bytes());
            out.push(b'"');
        }
    }

    /// Writes entities as an array.
    pub(super) fn write_array(&self, out: &mut Vec<u8>, entities: &[Entity]) {
        out.push(b'[');
        for (place, entity) in entities.iter().enumerate() {
            if place > 0 {
                out.push(b',');
            }
            self.write(out, entity);
        }
        out.push(b']');
    }
}

impl Column {
    fn write(&self, out: &mut Vec<u8>, entity: &Entity, version: Version) {
        let value = value::of(entity, self.property, version);
        if value.is_absent() {
            return;
        }
        match &self.part {
            Part::Whole => {
                out.extend_from_slice(&self.key);
                value.write_json(out);
                out.push(b',');
            }
            Part::Members(paths) => {
                if let Some(members) = value::members(&value.to_value(), paths) {
                    out.extend_from_slice(&self.key);
                    Val::Json(&members).write_json(out);
                    out.push(b',');
                }
            }
        }
    }
}

/// An observation is of one of the two kinds of datastreams of versions 1.x.
fn applies(relation: Relation, entity: &Entity, version: Version) -> bool {
    match (&entity.record, relation.to) {
        (Record::Observation(it), EntityType::Datastream) => !it.is_multi || !version.is_1(),
        (Record::Observation(it), EntityType::MultiDatastream) => it.is_multi,
        _ => true,
    }
}

/// `"nameannotation":`
fn write_key(out: &mut Vec<u8>, name: &str, annotation: &str) {
    out.push(b'"');
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(annotation.as_bytes());
    out.extend_from_slice(b"\":");
}
