//! Rows of many observations (18-088, section 12): `[{"Datastream": …, "components": […], "dataArray": [[…], …]}]`.

use std::fmt;

use serde::de::{self, DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, de::value::MapAccessDeserializer};
use serde_json::Value;
use serde_json::value::RawValue;
use smartem_model::nearest;

use crate::{NewObservation, Reference, ResultValue};

use super::error::{BodyError, BodyProblem, below};
use super::field::{self, period};
use super::observation::{Id, Instant, PlainResult, Time, result_of};
use super::text::{Problem, check_json, show};
use super::{NO_BATCH, reference};

/// Reads the body of `CreateObservations`: the observations of all its groups in their order, and for each row that
/// is wrong what is wrong with it.
///
/// # Errors
/// When a group as a whole cannot be read: no JSON, no datastream, unknown components.
pub fn data_array(body: &[u8]) -> Result<Vec<Result<NewObservation, BodyProblem>>, BodyError> {
    let text = std::str::from_utf8(body)
        .map_err(|error| BodyError::one("", format!("the body is no UTF-8: {error}")))?;
    let Groups(groups) = serde_json::from_str(text).map_err(|error| BodyError::syntax(&error))?;
    let rows = groups
        .iter()
        .filter_map(|it| it.rows.as_ref())
        .map(Vec::len);
    let mut observations = Vec::with_capacity(rows.sum());
    for (index, group) in groups.iter().enumerate() {
        let pointer = below("", index);
        let table = table(group, &pointer)?;
        let Some(rows) = &group.rows else {
            return Err(BodyError::one(
                below(&pointer, "dataArray"),
                "`dataArray` is missing, as in [[\"2020-01-31T12:00:00Z\", 5]]",
            ));
        };
        let read = rows.iter().enumerate().map(|(index, row)| {
            table.row(row.get()).map_err(|(rest, message)| BodyProblem {
                pointer: format!("{pointer}/dataArray/{index}{rest}"),
                message,
            })
        });
        observations.extend(read);
    }
    Ok(observations)
}

/// One group, or an array of them.
struct Groups<'a>(Vec<Group<'a>>);

/// A group, whose rows are read once its components are known.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Group<'a> {
    #[serde(rename = "Datastream")]
    datastream: Option<Value>,
    #[serde(rename = "MultiDatastream")]
    multi_datastream: Option<Value>,
    components: Option<Vec<String>>,
    #[serde(rename = "dataArray", borrow)]
    rows: Option<Vec<&'a RawValue>>,
}

impl<'de: 'a, 'a> Deserialize<'de> for Groups<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(GroupsVisitor)
    }
}

struct GroupsVisitor;

impl<'de> Visitor<'de> for GroupsVisitor {
    type Value = Groups<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array of objects with Datastream, components and dataArray")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Groups<'de>, A::Error> {
        let mut groups = Vec::new();
        while let Some(group) = items.next_element()? {
            groups.push(group);
        }
        Ok(Groups(groups))
    }

    fn visit_map<A: MapAccess<'de>>(self, members: A) -> Result<Groups<'de>, A::Error> {
        let group = Group::deserialize(MapAccessDeserializer::new(members))?;
        Ok(Groups(vec![group]))
    }
}

/// What the rows of a group have in common.
struct Table {
    datastream: i64,
    is_multi: bool,
    columns: Vec<Column>,
}

/// What stands at one place of each row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Column {
    PhenomenonTime,
    ResultTime,
    Result,
    ResultQuality,
    ValidTime,
    Parameters,
    Feature,
    /// An id, as rows have it that were received.
    Ignored,
}

impl Column {
    const NAMES: [(&'static str, Self); 12] = [
        ("phenomenonTime", Self::PhenomenonTime),
        ("resultTime", Self::ResultTime),
        ("result", Self::Result),
        ("resultQuality", Self::ResultQuality),
        ("validTime", Self::ValidTime),
        ("parameters", Self::Parameters),
        ("FeatureOfInterest/id", Self::Feature),
        ("FeatureOfInterest/@iot.id", Self::Feature),
        ("Feature/id", Self::Feature),
        ("Feature/@id", Self::Feature),
        ("id", Self::Ignored),
        ("@iot.id", Self::Ignored),
    ];

    fn of_name(name: &str) -> Option<Self> {
        let known = Self::NAMES.iter().find(|(known, _)| *known == name);
        known.map(|(_, column)| *column)
    }
}

fn table(group: &Group<'_>, pointer: &str) -> Result<Table, BodyError> {
    let (datastream, is_multi) = datastream(group, pointer)?;
    let at = below(pointer, "components");
    let names = group.components.as_ref().ok_or_else(|| {
        BodyError::one(
            at.as_str(),
            "`components` is missing, as in [\"phenomenonTime\",\"result\"]",
        )
    })?;
    Ok(Table {
        datastream,
        is_multi,
        columns: columns(names, &at)?,
    })
}

/// The datastream of a group, and whether it is a multi one.
fn datastream(group: &Group<'_>, pointer: &str) -> Result<(i64, bool), BodyError> {
    let (name, link, is_multi) = match (&group.datastream, &group.multi_datastream) {
        (Some(link), None) => ("Datastream", link, false),
        (None, Some(link)) => ("MultiDatastream", link, true),
        _ => {
            return Err(BodyError::one(
                pointer,
                "a group names one datastream, as in \"Datastream\": {\"@iot.id\": 1}",
            ));
        }
    };
    let at = below(pointer, name);
    let link = link
        .as_object()
        .and_then(|object| reference::of_object(object, NO_BATCH));
    match link {
        Some(Ok(Reference::Id(id))) => Ok((id, is_multi)),
        Some(Err((rest, message))) => Err(BodyError::one(at + &rest, message)),
        Some(Ok(Reference::Earlier(_))) | None => Err(BodyError::one(
            at,
            "must name a datastream by its id, as in {\"@iot.id\": 1}",
        )),
    }
}

fn columns(names: &[String], pointer: &str) -> Result<Vec<Column>, BodyError> {
    let mut columns: Vec<Column> = Vec::with_capacity(names.len());
    for (index, name) in names.iter().enumerate() {
        let at = || below(pointer, index);
        let column = Column::of_name(name).ok_or_else(|| {
            let hint = match nearest(name, Column::NAMES.iter().map(|(known, _)| *known)) {
                Some(known) => format!("did you mean `{known}`?"),
                None => "known are phenomenonTime, resultTime, result, resultQuality, \
                         validTime, parameters, FeatureOfInterest/id"
                    .to_owned(),
            };
            BodyError::one(at(), format!("there is no component of this name; {hint}"))
        })?;
        if column != Column::Ignored && columns.contains(&column) {
            return Err(BodyError::one(at(), "this component is there twice"));
        }
        columns.push(column);
    }
    if !columns.contains(&Column::Result) {
        return Err(BodyError::one(pointer, "the component `result` is missing"));
    }
    Ok(columns)
}

impl Table {
    fn row(&self, text: &str) -> Result<NewObservation, Problem> {
        let mut deserializer = serde_json::Deserializer::from_str(text);
        match Row(self).deserialize(&mut deserializer) {
            Ok(observation) if !self.is_multi || is_array(&observation.result) => Ok(observation),
            // Slower, and it finds what is wrong.
            _ => self.checked_row(text),
        }
    }

    fn empty(&self) -> NewObservation {
        NewObservation {
            datastream: self.datastream,
            phenomenon_time: None,
            result_time: None,
            result: ResultValue::Json(Value::Null),
            result_quality: None,
            valid_time: None,
            parameters: None,
            feature: None,
        }
    }

    fn checked_row(&self, text: &str) -> Result<NewObservation, Problem> {
        let here = |message: String| (String::new(), message);
        let row: Value = serde_json::from_str(text)
            .map_err(|error| here(format!("the row is no JSON: {error}")))?;
        let cells = row
            .as_array()
            .ok_or_else(|| here(format!("a row is an array, and this is {}", show(&row))))?;
        if cells.len() != self.columns.len() {
            return Err(here(format!(
                "the row has {} values for {} components",
                cells.len(),
                self.columns.len()
            )));
        }
        let mut observation = self.empty();
        for (index, (column, cell)) in self.columns.iter().zip(cells).enumerate() {
            self.cell(&mut observation, *column, cell)
                .map_err(|(rest, message)| (below("", index) + &rest, message))?;
        }
        Ok(observation)
    }

    fn cell(
        &self,
        observation: &mut NewObservation,
        column: Column,
        cell: &Value,
    ) -> Result<(), Problem> {
        let here = |message: String| (String::new(), message);
        if column == Column::Result {
            check_json(cell)?;
            if self.is_multi && !cell.is_array() {
                return Err(here(
                    "a result of a MultiDatastream is an array, a value for each observed property"
                        .to_owned(),
                ));
            }
            observation.result = result_of(cell.clone());
            return Ok(());
        }
        if cell.is_null() {
            return Ok(());
        }
        match column {
            Column::PhenomenonTime => {
                observation.phenomenon_time = Some(field::time(cell).map_err(here)?);
            }
            Column::ResultTime => {
                observation.result_time = Some(field::instant(cell).map_err(here)?);
            }
            Column::ValidTime => {
                observation.valid_time = Some(period(field::time(cell).map_err(here)?));
            }
            Column::ResultQuality => {
                check_json(cell)?;
                observation.result_quality = Some(cell.clone());
            }
            Column::Parameters => {
                field::check_parameters(cell)?;
                observation.parameters = Some(cell.clone());
            }
            Column::Feature => match reference::id(cell, NO_BATCH).map_err(here)? {
                Reference::Id(id) => observation.feature = Some(id),
                Reference::Earlier(_) => {
                    return Err(here(format!("{} is no id", show(cell))));
                }
            },
            Column::Result | Column::Ignored => {}
        }
        Ok(())
    }
}

fn is_array(result: &ResultValue) -> bool {
    matches!(result, ResultValue::Json(Value::Array(_)))
}

/// Reads a row without making JSON of it.
struct Row<'t>(&'t Table);

impl<'de> DeserializeSeed<'de> for Row<'_> {
    type Value = NewObservation;

    fn deserialize<D: Deserializer<'de>>(
        self,
        deserializer: D,
    ) -> Result<NewObservation, D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'de> Visitor<'de> for Row<'_> {
    type Value = NewObservation;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a row")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut cells: A) -> Result<NewObservation, A::Error> {
        let mut observation = self.0.empty();
        for column in &self.0.columns {
            match column {
                Column::Result => observation.result = next::<PlainResult, A>(&mut cells)?.0,
                Column::PhenomenonTime => {
                    let time: Option<Time> = next(&mut cells)?;
                    observation.phenomenon_time = time.map(|it| it.0);
                }
                Column::ResultTime => {
                    let time: Option<Instant> = next(&mut cells)?;
                    observation.result_time = time.map(|it| it.0);
                }
                Column::ValidTime => {
                    let time: Option<Time> = next(&mut cells)?;
                    observation.valid_time = time.map(|it| period(it.0));
                }
                Column::Feature => {
                    let id: Option<Id> = next(&mut cells)?;
                    observation.feature = id.map(|it| it.0);
                }
                Column::ResultQuality => {
                    let value: Option<Value> = next(&mut cells)?;
                    observation.result_quality = checked(value, check_json)?;
                }
                Column::Parameters => {
                    let value: Option<Value> = next(&mut cells)?;
                    observation.parameters = checked(value, field::check_parameters)?;
                }
                Column::Ignored => {
                    next::<IgnoredAny, A>(&mut cells)?;
                }
            }
        }
        if cells.next_element::<IgnoredAny>()?.is_some() {
            return Err(de::Error::custom("too many values"));
        }
        Ok(observation)
    }
}

fn next<'de, T: Deserialize<'de>, A: SeqAccess<'de>>(cells: &mut A) -> Result<T, A::Error> {
    cells
        .next_element()?
        .ok_or_else(|| de::Error::custom("too few values"))
}

fn checked<E: de::Error>(
    value: Option<Value>,
    check: fn(&Value) -> Result<(), Problem>,
) -> Result<Option<Value>, E> {
    if let Some(value) = &value {
        check(value).map_err(|(_, message)| E::custom(message))?;
    }
    Ok(value)
}
