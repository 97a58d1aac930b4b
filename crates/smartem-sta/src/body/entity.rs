//! Entities: their properties and what they are related to.

use serde_json::{Map, Value};

use crate::{Draft, EntityType, Fields, Property, Related, Relation, Version};

use super::error::{BodyError, below};
use super::field::{self, COMPLEX_OBSERVATION};
use super::text::show;
use super::{Changes, DEPTH_MAX, ENTITIES_MAX, Earlier, reference};

/// Reads entities and collects what is wrong with them.
pub(super) struct Reader<'a> {
    version: Version,
    earlier: Earlier<'a>,
    error: BodyError,
    entities: usize,
    depth: usize,
}

/// What is done with an entity.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Purpose {
    Create,
    Replace,
    Change,
}

impl<'a> Reader<'a> {
    pub(super) fn new(version: Version, earlier: Earlier<'a>) -> Self {
        Self {
            version,
            earlier,
            error: BodyError {
                problems: Vec::new(),
                untold: 0,
            },
            entities: 0,
            depth: 0,
        }
    }

    /// What was read, unless anything was wrong.
    pub(super) fn finish<T>(self, read: Option<T>) -> Result<T, BodyError> {
        match read {
            Some(read) if self.error.problems.is_empty() => Ok(read),
            _ => Err(self.error),
        }
    }

    /// An entity to be made; `None` and a problem if there is none.
    pub(super) fn draft(&mut self, of: EntityType, value: &Value, pointer: &str) -> Option<Draft> {
        self.entities += 1;
        if self.entities == ENTITIES_MAX + 1 {
            self.error.add(
                pointer,
                format!("more than {ENTITIES_MAX} entities in one body; send several"),
            );
        }
        if self.entities > ENTITIES_MAX {
            return None;
        }
        if self.depth == DEPTH_MAX {
            self.error.add(
                pointer,
                format!("more than {DEPTH_MAX} entities within each other"),
            );
            return None;
        }
        self.depth += 1;
        let read = self.entity(of, value, pointer, Purpose::Create);
        self.depth -= 1;
        let (fields, related) = read?;
        Some(Draft {
            entity_type: of,
            fields,
            related,
        })
    }

    /// What changes of an entity.
    pub(super) fn changes(
        &mut self,
        of: EntityType,
        value: &Value,
        is_replacement: bool,
    ) -> Option<Changes> {
        let purpose = if is_replacement {
            Purpose::Replace
        } else {
            Purpose::Change
        };
        self.entity(of, value, "", purpose)
    }

    fn entity(
        &mut self,
        of: EntityType,
        value: &Value,
        pointer: &str,
        purpose: Purpose,
    ) -> Option<Changes> {
        let Value::Object(object) = value else {
            self.error.add(
                pointer,
                format!(
                    "expected a JSON object with a {}, found {}",
                    of.name(self.version),
                    show(value)
                ),
            );
            return None;
        };
        let mut fields = Fields::new();
        let mut related: Vec<(Relation, Vec<Related>)> = Vec::new();
        for (name, value) in object {
            let at = below(pointer, name);
            if let Some(property) = Property::of_name(of, name) {
                if !field::is_kept(of, property) {
                    let read = self.property((of, property), value, object, &at, purpose);
                    fields.extend(read.map(|value| (property, value)));
                }
            } else if let Some((relation, is_address)) = self.relation(of, name) {
                let found = if is_address {
                    self.addresses(relation, value, &at)
                } else {
                    self.relatives(relation, value, &at, purpose)
                };
                match related.iter_mut().find(|(known, _)| *known == relation) {
                    Some((_, known)) => known.extend(found),
                    None if found.is_empty() => {}
                    None => related.push((relation, found)),
                }
            } else if let Some(meant) = self.meant(of, name) {
                self.error.add(
                    at,
                    format!("there is no member of this name; write it `{meant}`"),
                );
            }
        }
        if purpose != Purpose::Change {
            self.check_complete(of, object, pointer);
        }
        if of == EntityType::MultiDatastream {
            self.complete_multi(&mut fields, &related, pointer, purpose);
        }
        if of == EntityType::Observation {
            self.check_multi_result(&fields, &related, pointer);
        }
        Some((fields, related))
    }

    /// The value of a property of a type; `None`: none is given, or it is wrong.
    fn property(
        &mut self,
        (of, property): (EntityType, Property),
        value: &Value,
        object: &Map<String, Value>,
        at: &str,
        purpose: Purpose,
    ) -> Option<Value> {
        if value.is_null() && property != Property::Result {
            let is_time = (of, property) == (EntityType::Observation, Property::PhenomenonTime);
            let is_needed = field::is_mandatory(of, property, self.version)
                || (is_time && purpose == Purpose::Change);
            if is_needed {
                let name = property.name();
                self.error.add(at, format!("`{name}` cannot be null"));
            }
            // What is not given when an entity is made, is not there.
            let is_emptied = !is_needed && !is_time && purpose != Purpose::Create;
            return is_emptied.then_some(Value::Null);
        }
        field::read(property, value, object)
            .map_err(|(rest, message)| self.error.add(format!("{at}{rest}"), message))
            .ok()
    }

    /// The relation that a member is about, and whether it has addresses (`Thing@iot.bind`).
    fn relation(&self, of: EntityType, name: &str) -> Option<(Relation, bool)> {
        if let Some(relation) = Relation::of_name(of, name, self.version) {
            return Some((relation, false));
        }
        let name = ["@iot.bind", "@odata.bind", "@bind"]
            .iter()
            .find_map(|suffix| name.strip_suffix(suffix))?;
        Relation::of_name(of, name, self.version).map(|relation| (relation, true))
    }

    /// What a member that is not known was surely meant to be: known but for its case or number.
    fn meant(&self, of: EntityType, name: &str) -> Option<&'static str> {
        let version = self.version;
        let of_number = of
            .relations_in(version)
            .find(|it| name == it.to.set_name(version) || name == it.to.name(version));
        if let Some(relation) = of_number {
            return Some(relation.name(version));
        }
        of.properties()
            .iter()
            .map(|it| it.name())
            .chain(of.relations_in(version).map(|it| it.name(version)))
            .chain(["@iot.id"])
            .find(|known| known.eq_ignore_ascii_case(name))
    }

    /// Related entities: links or new ones.
    fn relatives(
        &mut self,
        relation: Relation,
        value: &Value,
        at: &str,
        purpose: Purpose,
    ) -> Vec<Related> {
        match value {
            Value::Null if purpose == Purpose::Create => Vec::new(),
            Value::Array(items) if relation.is_many => items
                .iter()
                .enumerate()
                .filter_map(|(index, item)| {
                    self.relative(relation, item, &below(at, index), purpose)
                })
                .collect(),
            Value::Object(_) => self
                .relative(relation, value, at, purpose)
                .into_iter()
                .collect(),
            other => {
                let form = if relation.is_many {
                    "an array of entities or links, as in [{\"@iot.id\": 1}]"
                } else {
                    "an entity or a link, as in {\"@iot.id\": 1}"
                };
                self.error
                    .add(at, format!("must be {form}, and is {}", show(other)));
                Vec::new()
            }
        }
    }

    fn relative(
        &mut self,
        relation: Relation,
        value: &Value,
        at: &str,
        purpose: Purpose,
    ) -> Option<Related> {
        let link = value
            .as_object()
            .and_then(|object| reference::of_object(object, self.earlier));
        match link {
            Some(Ok(reference)) => Some(Related::Link(reference)),
            Some(Err((rest, message))) => {
                self.error.add(format!("{at}{rest}"), message);
                None
            }
            None if purpose != Purpose::Create && self.version.is_1() => {
                self.error.add(
                    at,
                    "an update makes no related entities; name one that is there, as in \
                     {\"@iot.id\": 1}",
                );
                None
            }
            None => self.draft(relation.to, value, at).map(Related::New),
        }
    }

    /// Addresses of related entities: `"Things(1)"` or an array of such.
    fn addresses(&mut self, relation: Relation, value: &Value, at: &str) -> Vec<Related> {
        let urls = match value {
            Value::Array(items) if relation.is_many => items.as_slice(),
            one => std::slice::from_ref(one),
        };
        let mut found = Vec::new();
        for url in urls {
            let reference = match url {
                Value::String(url) => {
                    reference::of_url(relation.to, self.version, url, self.earlier)
                }
                other => Err(format!(
                    "must be the address of an entity, and is {}",
                    show(other)
                )),
            };
            match reference {
                Ok(reference) => found.push(Related::Link(reference)),
                Err(message) => self.error.add(at, message),
            }
        }
        found
    }

    /// Tells which mandatory properties are missing.
    fn check_complete(&mut self, of: EntityType, object: &Map<String, Value>, pointer: &str) {
        for property in of.properties() {
            let is_there = object.contains_key(property.name());
            if !is_there && field::is_mandatory(of, *property, self.version) {
                self.error.add(
                    below(pointer, property.name()),
                    format!(
                        "`{}` is missing; a {} needs it",
                        property.name(),
                        of.name(self.version)
                    ),
                );
            }
        }
    }

    /// Checks that a `MultiDatastream` has as many units, types and observed properties, and results of that many
    /// values, and gives it its only observation type.
    fn complete_multi(
        &mut self,
        fields: &mut Fields,
        related: &[(Relation, Vec<Related>)],
        pointer: &str,
        purpose: Purpose,
    ) {
        if purpose != Purpose::Change {
            fields
                .entry(Property::ObservationType)
                .or_insert_with(|| Value::from(COMPLEX_OBSERVATION));
        }
        if let Some(given) = fields.get(&Property::ObservationType)
            && given != COMPLEX_OBSERVATION
        {
            self.error.add(
                below(pointer, Property::ObservationType.name()),
                format!(
                    "a MultiDatastream has the observation type {COMPLEX_OBSERVATION}, and this is {}",
                    show(given)
                ),
            );
        }
        let length = |property| {
            fields
                .get(&property)
                .and_then(Value::as_array)
                .map(Vec::len)
        };
        let observed = related
            .iter()
            .find(|(relation, _)| relation.to == EntityType::ObservedProperty)
            .map(|(_, members)| members.len());
        let counts = [
            ("unitOfMeasurements", length(Property::UnitOfMeasurements)),
            (
                "multiObservationDataTypes",
                length(Property::MultiObservationDataTypes),
            ),
            ("ObservedProperties", observed),
        ];
        let known = counts
            .iter()
            .filter_map(|(name, it)| it.map(|it| (*name, it)));
        let counts: Vec<(&str, usize)> = known.collect();
        let Some((_, dimension)) = counts.first().copied() else {
            return;
        };
        if counts.iter().any(|(_, count)| *count != dimension) {
            let told: Vec<String> = counts
                .iter()
                .map(|(name, count)| format!("{count} {name}"))
                .collect();
            self.error.add(
                pointer,
                format!(
                    "a MultiDatastream has as many of each, and this has {}",
                    told.join(", ")
                ),
            );
            return;
        }
        self.check_results(related, dimension, pointer);
    }

    /// Checks the results of observations that come with a `MultiDatastream`.
    fn check_results(
        &mut self,
        related: &[(Relation, Vec<Related>)],
        dimension: usize,
        pointer: &str,
    ) {
        let observations = related
            .iter()
            .filter(|(relation, _)| relation.to == EntityType::Observation)
            .flat_map(|(_, members)| members.iter().enumerate());
        for (index, observation) in observations {
            let Related::New(draft) = observation else {
                continue;
            };
            let result = draft.fields.get(&Property::Result);
            let length = result.and_then(Value::as_array).map(Vec::len);
            if result.is_some() && length != Some(dimension) {
                self.error.add(
                    format!("{pointer}/Observations/{index}/result"),
                    format!(
                        "must be an array of {dimension} values, one for each observed property"
                    ),
                );
            }
        }
    }

    /// Checks that an observation of a `MultiDatastream` has an array.
    fn check_multi_result(
        &mut self,
        fields: &Fields,
        related: &[(Relation, Vec<Related>)],
        pointer: &str,
    ) {
        let is_of = |of| related.iter().any(|(relation, _)| relation.to == of);
        let is_multi = is_of(EntityType::MultiDatastream);
        if is_multi && is_of(EntityType::Datastream) {
            self.error.add(
                below(pointer, "MultiDatastream"),
                "an Observation is of a Datastream or of a MultiDatastream, and this has both",
            );
        }
        if let Some(result) = fields.get(&Property::Result)
            && is_multi
            && !result.is_array()
        {
            self.error.add(
                below(pointer, "result"),
                format!(
                    "must be an array with a value for each observed property, and is {}",
                    show(result)
                ),
            );
        }
    }
}
