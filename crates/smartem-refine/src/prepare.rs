//! R3: from the list of a record to samples in order of time, each used once.

use std::collections::{BTreeSet, HashMap};

use jiff::Timestamp;
use smartem_model::raw::{Cell, Column, RawRecord, RecordTime};
use smartem_model::{Example, RejectReason, Rejection, parse_timestamp};

use crate::definition::{Definition, StreamKey};

/// The usable samples of a record, in order of time, then stream.
pub(crate) struct Prepared<'a> {
    record: &'a RawRecord,
    pub samples: Vec<Sample>,
    /// Rows of samples that were put together from several.
    merged: Vec<Vec<u32>>,
    /// Names of the streams, in bytewise order.
    pub streams: Vec<String>,
    /// Samples refused as a whole.
    pub rejected: Vec<Rejection>,
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Sample {
    /// `None`: belongs to the hour as a whole, and counts as older than every time.
    pub time: Option<Timestamp>,
    pub stream: usize,
    rows: Rows,
}

#[derive(Clone, Copy, Debug)]
enum Rows {
    One(u32),
    /// Position in `merged`.
    Several(usize),
}

/// What a sample says under a key.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Reading {
    Absent,
    /// Samples of one instant disagree.
    Conflicting,
    Number(f64),
    NotANumber,
}

/// A row on its way in.
struct Candidate {
    row: u32,
    time: Option<Timestamp>,
    stream: usize,
}

impl<'a> Prepared<'a> {
    pub(crate) fn new(record: &'a RawRecord, definition: &Definition) -> Self {
        let mut refused = Refusals::default();
        let (streams, stream_of_row) = streams(record, definition.stream.as_ref());
        let mut candidates = timed(record, definition, &stream_of_row, &mut refused);
        drop_sent_again(record, &mut candidates, &mut refused);
        candidates.sort_by_key(|candidate| (candidate.time, candidate.stream));
        let mut prepared = Self {
            record,
            samples: Vec::with_capacity(candidates.len()),
            merged: Vec::new(),
            streams,
            rejected: Vec::new(),
        };
        prepared.unite(&candidates, &mut refused);
        prepared.rejected = refused.into_rejections(record);
        prepared
    }

    /// Puts samples of one stream and one time together (R3.6).
    fn unite(&mut self, candidates: &[Candidate], refused: &mut Refusals) {
        let same = |a: &Candidate, b: &Candidate| {
            a.time.is_some() && a.time == b.time && a.stream == b.stream
        };
        for group in candidates.chunk_by(same) {
            let rows = match group {
                [only] => Rows::One(only.row),
                several => {
                    let mut rows: Vec<u32> =
                        several.iter().map(|candidate| candidate.row).collect();
                    rows.sort_unstable();
                    for row in &rows[1..] {
                        refused.add(*row, group[0].time, RejectReason::Duplicate);
                    }
                    self.merged.push(rows);
                    Rows::Several(self.merged.len() - 1)
                }
            };
            self.samples.push(Sample {
                time: group[0].time,
                stream: group[0].stream,
                rows,
            });
        }
    }

    /// The readings of a key, one for each sample.
    pub(crate) fn readings(&self, key: &str) -> Vec<Reading> {
        let Some(column) = self.record.samples.column(key) else {
            return vec![Reading::Absent; self.samples.len()];
        };
        self.samples
            .iter()
            .map(|sample| self.reading(column, *sample))
            .collect()
    }

    fn reading(&self, column: &Column, sample: Sample) -> Reading {
        let several = match sample.rows {
            Rows::One(row) => return Reading::of(column.cell(row as usize)),
            Rows::Several(at) => &self.merged[at],
        };
        let mut cells = several
            .iter()
            .map(|row| column.cell(*row as usize))
            .filter(|cell| !cell.is_absent());
        let Some(first) = cells.next() else {
            return Reading::Absent;
        };
        if cells.all(|cell| cell.same_reading(first)) {
            Reading::of(first)
        } else {
            Reading::Conflicting
        }
    }

    /// Shows a sample in a rejection: its time, and what it holds under `key`.
    pub(crate) fn example(&self, sample: usize, key: Option<&str>) -> Example {
        let rows: &[u32] = match &self.samples[sample].rows {
            Rows::One(row) => std::slice::from_ref(row),
            Rows::Several(at) => &self.merged[*at],
        };
        let shown = |name: &str| {
            let column = self.record.samples.column(name)?;
            let cell = rows
                .iter()
                .map(|row| column.cell(*row as usize))
                .find(|cell| !cell.is_absent())?;
            Some((
                cell.to_json(),
                cell.text().map(std::borrow::Cow::into_owned),
            ))
        };
        let is_conflict = |name: &str| {
            self.record.samples.column(name).is_some_and(|column| {
                self.reading(column, self.samples[sample]) == Reading::Conflicting
            })
        };
        Example {
            time: shown("time")
                .and_then(|(_, text)| text)
                .or_else(|| self.samples[sample].time.map(|time| time.to_string())),
            input: key.map(str::to_owned),
            // Of readings that disagree none is the value.
            value: key
                .filter(|name| !is_conflict(name))
                .and_then(shown)
                .and_then(|(json, _)| json),
        }
    }
}

impl Reading {
    fn of(cell: Cell<'_>) -> Self {
        if cell.is_absent() {
            return Self::Absent;
        }
        cell.number().map_or(Self::NotANumber, Self::Number)
    }
}

/// Names of the streams in bytewise order, and the stream of each row (R3.5).
fn streams(record: &RawRecord, key: Option<&StreamKey>) -> (Vec<String>, Vec<usize>) {
    let rows = record.samples.len();
    let Some(key) = key else {
        return (vec![String::new()], vec![0; rows]);
    };
    let column = record.samples.column(&key.key);
    let name_of = |row: usize| {
        let cell = column.map_or(Cell::Absent, |column| column.cell(row));
        let text = cell.text().filter(|text| !text.is_empty());
        text.map_or_else(|| key.default.to_string(), std::borrow::Cow::into_owned)
    };
    let names: Vec<String> = (0..rows).map(name_of).collect();
    let streams: Vec<String> = names
        .iter()
        .collect::<BTreeSet<_>>()
        .into_iter()
        .cloned()
        .collect();
    let positions: HashMap<&str, usize> = streams
        .iter()
        .enumerate()
        .map(|(at, name)| (name.as_str(), at))
        .collect();
    let stream_of_row = names.iter().map(|name| positions[name.as_str()]).collect();
    (streams, stream_of_row)
}

/// Gives each row its time, or refuses it (R3.1 to R3.4).
fn timed(
    record: &RawRecord,
    definition: &Definition,
    stream_of_row: &[usize],
    refused: &mut Refusals,
) -> Vec<Candidate> {
    let times = record.samples.column("time");
    let period = match record.time {
        RecordTime::Hour(hour) => Some(hour.period()),
        RecordTime::Snapshot(_) => None,
    };
    let mut candidates = Vec::with_capacity(record.samples.len());
    let odd: BTreeSet<u32> = record
        .samples
        .oddments()
        .iter()
        .map(|(row, _)| *row)
        .collect();
    for (row, stream) in stream_of_row.iter().enumerate() {
        let row = u32::try_from(row).unwrap_or(u32::MAX);
        if odd.contains(&row) {
            refused.add(row, None, RejectReason::NotAnObject);
            continue;
        }
        let cell = times.map_or(Cell::Absent, |column| column.cell(row as usize));
        match time_of(cell, record, definition) {
            Err(reason) => refused.add(row, None, reason),
            Ok(Some(time)) if period.is_some_and(|p| time < p.start || time >= p.end) => {
                refused.add(row, Some(time), RejectReason::OutsideHour);
            }
            Ok(time) => candidates.push(Candidate {
                row,
                time,
                stream: *stream,
            }),
        }
    }
    candidates
}

fn time_of(
    cell: Cell<'_>,
    record: &RawRecord,
    definition: &Definition,
) -> Result<Option<Timestamp>, RejectReason> {
    if !cell.is_absent() {
        return match cell {
            Cell::Time(time, _) => Ok(Some(time)),
            Cell::Text(text) => parse_timestamp(text)
                .map(Some)
                .ok_or(RejectReason::InvalidTime),
            _ => Err(RejectReason::InvalidTime),
        };
    }
    match &record.time {
        RecordTime::Hour(_) if definition.untimed_belong_to_hour => Ok(None),
        // A record time that is none cannot serve.
        RecordTime::Snapshot(Some(json)) => serde_json::from_str::<String>(json)
            .ok()
            .and_then(|text| parse_timestamp(&text))
            .map(Some)
            .ok_or(RejectReason::MissingTime),
        _ => Err(RejectReason::MissingTime),
    }
}

/// Of samples with one `_id` and different times only the earliest stay (R3.5).
fn drop_sent_again(record: &RawRecord, candidates: &mut Vec<Candidate>, refused: &mut Refusals) {
    let Some(ids) = record.samples.column("_id") else {
        return;
    };
    let id_of = |candidate: &Candidate| {
        let cell = ids.cell(candidate.row as usize);
        let is_text =
            matches!(cell, Cell::Text(text) if !text.is_empty()) || matches!(cell, Cell::Time(..));
        if is_text { cell.to_json() } else { None }
    };
    let mut earliest: HashMap<String, Timestamp> = HashMap::with_capacity(candidates.len());
    for candidate in candidates.iter() {
        if let (Some(time), Some(id)) = (candidate.time, id_of(candidate)) {
            earliest
                .entry(id)
                .and_modify(|known| *known = time.min(*known))
                .or_insert(time);
        }
    }
    candidates.retain(|candidate| {
        let later = candidate
            .time
            .zip(id_of(candidate))
            .is_some_and(|(time, id)| earliest.get(&id).is_some_and(|first| time > *first));
        if later {
            refused.add(candidate.row, candidate.time, RejectReason::Duplicate);
        }
        !later
    });
}

/// Samples refused as a whole, by reason.
#[derive(Default)]
struct Refusals(Vec<(RejectReason, u64, (Option<Timestamp>, u32))>);

impl Refusals {
    fn add(&mut self, row: u32, time: Option<Timestamp>, reason: RejectReason) {
        let place = (time, row);
        match self.0.iter_mut().find(|(known, ..)| *known == reason) {
            Some((_, count, first)) => {
                *count += 1;
                *first = place.min(*first);
            }
            None => self.0.push((reason, 1, place)),
        }
    }

    fn into_rejections(self, record: &RawRecord) -> Vec<Rejection> {
        let example = |row: u32, reason: RejectReason| {
            let cell = |name: &str| {
                record
                    .samples
                    .column(name)
                    .map_or(Cell::Absent, |column| column.cell(row as usize))
            };
            let input = match reason {
                RejectReason::NotAnObject | RejectReason::Duplicate => None,
                _ => Some("time".to_owned()),
            };
            let odd = record
                .samples
                .oddments()
                .iter()
                .find(|(odd, _)| *odd == row);
            Example {
                time: cell("time").text().map(std::borrow::Cow::into_owned),
                value: match odd {
                    Some((_, json)) => Some(json.to_string()),
                    None => input.as_ref().and_then(|_| cell("time").to_json()),
                },
                input,
            }
        };
        self.0
            .into_iter()
            .map(|(reason, count, (_, row))| Rejection {
                indicator: None,
                sensor: None,
                reason,
                count,
                example: example(row, reason),
            })
            .collect()
    }
}
