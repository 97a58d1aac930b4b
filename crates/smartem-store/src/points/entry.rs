//! Entries of the append log: definitions and points as bytes.
//!
//! An entry is what one write brought, whole: it is applied in the order of its parts.

use smartem_points::{FieldType, FieldValue, PointBatch};

use super::catalogue::{Catalogue, Definition, SeriesNo};
use super::engine::State;
use super::numbering::{Counts, Numbers};
use super::rows::FieldNo;
use crate::codec::CodecError;
use crate::codec::bytes::{Reader, put_text, put_varint, unzigzag, zigzag};
use tracing::error;

const DATABASE: u8 = 1;
const MEASUREMENT: u8 = 2;
const FIELD: u8 = 3;
const SERIES: u8 = 4;
const POINT: u8 = 5;
/// A point with the fields of the point before.
const SIMILAR_POINT: u8 = 6;
/// How many of each kind are defined before this.
const COUNTS: u8 = 7;

const UNDEFINED: &str = "a part of something that is not defined";

/// An entry being written.
#[derive(Default)]
pub(crate) struct EntryWriter {
    bytes: Vec<u8>,
    time: i64,
    fields: Vec<FieldNo>,
}

impl EntryWriter {
    pub(crate) fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    pub(crate) fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }

    /// Says how many of each kind are defined before what comes.
    pub(crate) fn counts(&mut self, counts: &Counts) {
        self.bytes.push(COUNTS);
        counts.put(&mut self.bytes);
    }

    pub(crate) fn define(&mut self, definition: &Definition) {
        let out = &mut self.bytes;
        match definition {
            Definition::Database { name } => {
                out.push(DATABASE);
                put_text(out, name);
            }
            Definition::Measurement { database, name } => {
                out.push(MEASUREMENT);
                put_varint(out, u64::from(*database));
                put_text(out, name);
            }
            Definition::Field {
                measurement,
                name,
                field_type,
            } => {
                out.push(FIELD);
                put_varint(out, u64::from(*measurement));
                out.push(type_number(*field_type));
                put_text(out, name);
            }
            Definition::Series { measurement, tags } => {
                out.push(SERIES);
                put_varint(out, u64::from(*measurement));
                put_varint(out, tags.len() as u64);
                for (key, value) in tags {
                    put_text(out, key);
                    put_text(out, value);
                }
            }
        }
    }

    /// Adds a point of a series; `fields` are the numbers of its fields.
    pub(crate) fn point(
        &mut self,
        series: SeriesNo,
        point: smartem_points::BatchPoint<'_>,
        fields: &[FieldNo],
    ) {
        let out = &mut self.bytes;
        let is_similar = self.fields == fields;
        out.push(if is_similar { SIMILAR_POINT } else { POINT });
        put_varint(out, u64::from(series));
        put_varint(out, zigzag(point.time.wrapping_sub(self.time)));
        self.time = point.time;
        if !is_similar {
            put_varint(out, fields.len() as u64);
            for field in fields {
                put_varint(out, u64::from(*field));
            }
            fields.clone_into(&mut self.fields);
        }
        for (_, value) in point.fields() {
            match value {
                FieldValue::Float(value) => out.extend_from_slice(&value.to_le_bytes()),
                FieldValue::Integer(value) => put_varint(out, zigzag(value)),
                FieldValue::Unsigned(value) => put_varint(out, value),
                FieldValue::Boolean(value) => out.push(u8::from(value)),
                FieldValue::String(text) => put_text(out, &text),
            }
        }
    }
}

/// Reads an entry into memory.
pub(crate) fn replay(
    entry: &[u8],
    state: &mut State,
    numbers: &mut Numbers,
) -> Result<(), CodecError> {
    let mut reader = Reader::new(entry);
    let (mut time, mut fields) = (0_i64, Vec::new());
    let mut batch = PointBatch::new();
    // Series and fields are named by their numbers; the batch only carries the values.
    let (mut series_of, mut fields_of) = (Vec::new(), Vec::new());
    let nothing = batch.add_series(smartem_points::SeriesKey::new("", []));
    let nameless = batch.add_field("");
    while !reader.is_at_end() {
        let kind = reader.byte()?;
        if kind == COUNTS {
            numbers.begin(Counts::read(&mut reader)?);
            continue;
        }
        if kind != POINT && kind != SIMILAR_POINT {
            let definition = definition(kind, &mut reader)?;
            define(definition, state, numbers)?;
            continue;
        }
        let series = number(&mut reader)?;
        time = time.wrapping_add(unzigzag(reader.varint()?));
        if kind == POINT {
            let count = reader.length()?;
            fields = (0..count)
                .map(|_| number(&mut reader))
                .collect::<Result<Vec<_>, _>>()?;
        }
        let series = numbers.series(series)?;
        let mut kept = Vec::with_capacity(fields.len());
        for (field, sent, known) in fields_of_point(&state.catalogue, numbers, series, &fields)? {
            let value = value(sent, &mut reader)?;
            if sent == known {
                batch.push_field(nameless, &value);
                kept.push(field);
            } else {
                error!(series, field, %sent, %known,
                    "a value of the log is left out: another collector gave its field another type");
            }
        }
        if kept.is_empty() {
            continue;
        }
        batch.end_point(nothing, time, 0);
        series_of.push(series);
        fields_of.push(kept);
    }
    for ((point, series), fields) in batch.points().zip(series_of).zip(&fields_of) {
        state.active.push(series, point, fields);
    }
    Ok(())
}

fn define(
    definition: Definition,
    state: &mut State,
    numbers: &mut Numbers,
) -> Result<(), CodecError> {
    let Numbers::Former(numbering) = numbers else {
        return state.define_again(definition).map(|_| ());
    };
    let numbering = numbering.running()?;
    let translated = numbering.translated(&definition);
    let translated = translated.ok_or(CodecError::Malformed(UNDEFINED))?;
    let number = state.define_again(translated)?;
    numbering.defined(&definition, number);
    Ok(())
}

/// Of fields of a point: the number of each, the type of its value, and the type that it has.
fn fields_of_point(
    catalogue: &Catalogue,
    numbers: &Numbers,
    series: SeriesNo,
    fields: &[FieldNo],
) -> Result<Vec<(FieldNo, FieldType, FieldType)>, CodecError> {
    let known = catalogue.series(series);
    let measurement = known.and_then(|it| catalogue.measurement(it.measurement));
    let measurement = measurement.ok_or(CodecError::Malformed("a series that is not defined"))?;
    let undefined = || CodecError::Malformed("a field that is not defined");
    let of_field = |field: &FieldNo| {
        let translated = match numbers {
            Numbers::Own => None,
            Numbers::Former(it) => {
                let found = it.as_running()?.field(catalogue, series, *field);
                Some(found.ok_or_else(undefined)?)
            }
        };
        let number = translated.map_or(*field, |(number, _)| number);
        let known = measurement.fields.get(number as usize);
        let known = known.ok_or_else(undefined)?.field_type;
        Ok((number, translated.map_or(known, |(_, sent)| sent), known))
    };
    fields.iter().map(of_field).collect()
}

fn definition(kind: u8, reader: &mut Reader<'_>) -> Result<Definition, CodecError> {
    Ok(match kind {
        DATABASE => Definition::Database {
            name: reader.text()?.into(),
        },
        MEASUREMENT => Definition::Measurement {
            database: number(reader)?,
            name: reader.text()?.into(),
        },
        FIELD => Definition::Field {
            measurement: number(reader)?,
            field_type: type_of(reader.byte()?)?,
            name: reader.text()?.into(),
        },
        SERIES => {
            let measurement = number(reader)?;
            let mut tags = Vec::new();
            for _ in 0..reader.length()? {
                tags.push((reader.text()?.into(), reader.text()?.into()));
            }
            Definition::Series {
                measurement,
                tags: tags.into(),
            }
        }
        _ => return Err(CodecError::Malformed("an unknown part of an entry")),
    })
}

fn value<'a>(field_type: FieldType, reader: &mut Reader<'a>) -> Result<FieldValue<'a>, CodecError> {
    Ok(match field_type {
        FieldType::Float => {
            let mut bytes = [0; 8];
            bytes.copy_from_slice(reader.take(8)?);
            FieldValue::Float(f64::from_le_bytes(bytes))
        }
        FieldType::Integer => FieldValue::Integer(unzigzag(reader.varint()?)),
        FieldType::Unsigned => FieldValue::Unsigned(reader.varint()?),
        FieldType::Boolean => FieldValue::Boolean(reader.byte()? != 0),
        FieldType::String => FieldValue::String(reader.text()?.into()),
    })
}

fn number(reader: &mut Reader<'_>) -> Result<u32, CodecError> {
    let number = u32::try_from(reader.varint()?);
    number.map_err(|_| CodecError::Malformed("a number out of range"))
}

/// The number by which a type is kept.
pub(crate) fn type_number(field_type: FieldType) -> u8 {
    match field_type {
        FieldType::Float => 0,
        FieldType::Integer => 1,
        FieldType::Unsigned => 2,
        FieldType::Boolean => 3,
        FieldType::String => 4,
    }
}

pub(crate) fn type_of(number: u8) -> Result<FieldType, CodecError> {
    Ok(match number {
        0 => FieldType::Float,
        1 => FieldType::Integer,
        2 => FieldType::Unsigned,
        3 => FieldType::Boolean,
        4 => FieldType::String,
        _ => return Err(CodecError::Malformed("an unknown type of field")),
    })
}
