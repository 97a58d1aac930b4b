//! R3: from the list of a record to samples in order of time, each used once.

use std::borrow::Cow;
use std::collections::{BTreeSet, HashMap};

use jiff::Timestamp;
use smartem_model::raw::{Cell, CellNumber, Column, RawRecord, RecordTime};
use smartem_model::{Example, RejectReason, Rejection, parse_timestamp};

use crate::definition::{Definition, StreamKey};

/// The usable samples of a record, in order of time, then stream.
pub(crate) struct Prepared<'a> {
    record: &'a RawRecord,
    pub samples: Vec<Sample>,
    /// Rows of samples that were put together from several.
    merged: Vec<Vec<u32>>,
    /// Whether sample n is row n, for all rows.
    is_in_order: bool,
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

/// What a sample says under a key: a finite number, or why there is none.
///
/// One f64: what is no number is a NaN that tells which, so a test against bounds rejects it
/// without looking closer, and a column of readings is a column of numbers.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reading(f64);

/// A reading taken apart.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Said {
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
        let mut candidates = timed(record, definition, &streams, &stream_of_row, &mut refused);
        drop_sent_again(record, &mut candidates, &mut refused);
        candidates.sort_by_key(|candidate| (candidate.time, candidate.stream));
        let mut prepared = Self {
            record,
            samples: Vec::with_capacity(candidates.len()),
            merged: Vec::new(),
            is_in_order: false,
            streams,
            rejected: Vec::new(),
        };
        prepared.unite(&candidates, &mut refused);
        prepared.is_in_order = prepared.samples.len() == record.samples.len()
            && (0..)
                .zip(&prepared.samples)
                .all(|(at, sample)| matches!(sample.rows, Rows::One(row) if row == at));
        prepared.rejected = refused.into_rejections(record, definition);
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

    /// The readings of all keys that the definition reads.
    pub(crate) fn readings(&self, definition: &Definition) -> Readings {
        let mut readings = Readings {
            samples: self.samples.len(),
            all: Vec::with_capacity(definition.keys.len() * self.samples.len()),
        };
        let reading_key = definition
            .stream
            .as_ref()
            .and_then(|stream| stream.reading.as_deref());
        for key in &definition.keys {
            match reading_key {
                None => self.append_readings(key, &mut readings.all),
                Some(reading_key) => {
                    self.append_readings_of_stream(key, reading_key, &mut readings.all);
                }
            }
        }
        readings
    }

    /// The readings of one key, whichever stream they are of.
    pub(crate) fn readings_of(&self, key: &str) -> Vec<Reading> {
        let mut readings = Vec::with_capacity(self.samples.len());
        self.append_readings(key, &mut readings);
        readings
    }

    fn append_readings(&self, key: &str, out: &mut Vec<Reading>) {
        let Some(column) = self.record.samples.column(key) else {
            out.resize(out.len() + self.samples.len(), Reading::ABSENT);
            return;
        };
        if self.is_in_order {
            out.extend(column.numbers().map(Reading::of_number));
            return;
        }
        let readings = self.samples.iter();
        out.extend(readings.map(|sample| self.reading(column, *sample)));
    }

    fn append_readings_of_stream(&self, stream: &str, key: &str, out: &mut Vec<Reading>) {
        let stream = self.streams.iter().position(|name| name == stream);
        let column = self.record.samples.column(key);
        out.extend(self.samples.iter().map(|sample| match column {
            Some(column) if Some(sample.stream) == stream => self.reading(column, *sample),
            _ => Reading::ABSENT,
        }));
    }

    fn reading(&self, column: &Column, sample: Sample) -> Reading {
        let several = match sample.rows {
            Rows::One(row) => return Reading::of_number(column.number(row as usize)),
            Rows::Several(at) => &self.merged[at],
        };
        let mut rows = several.iter().map(|row| *row as usize);
        let mut given = rows
            .by_ref()
            .map(|row| (row, column.cell(row)))
            .filter(|(_, cell)| !cell.is_absent());
        let Some((row, first)) = given.next() else {
            return Reading::ABSENT;
        };
        if given.all(|(_, cell)| cell.same_reading(first)) {
            Reading::of_number(column.number(row))
        } else {
            Reading::CONFLICTING
        }
    }

    /// The time by which parameters are chosen: the start of the hour, or the newest sample of a
    /// snapshot.
    pub(crate) fn reference_time(&self, time: &RecordTime) -> Option<Timestamp> {
        match time {
            RecordTime::Hour(hour) => Some(hour.period().start),
            RecordTime::Snapshot(_) => self.samples.last()?.time,
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
                self.reading(column, self.samples[sample]).said() == Said::Conflicting
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
    const ABSENT: Self = Self(f64::from_bits(0x7FF8_0000_0000_0001));
    const CONFLICTING: Self = Self(f64::from_bits(0x7FF8_0000_0000_0002));
    const NOT_A_NUMBER: Self = Self(f64::NAN);

    #[inline]
    fn of_number(number: CellNumber) -> Self {
        match number {
            CellNumber::Absent => Self::ABSENT,
            CellNumber::Number(number) => Self(number),
            CellNumber::NotANumber => Self::NOT_A_NUMBER,
        }
    }

    /// The number, or NaN where there is none.
    #[inline]
    pub(crate) fn number(self) -> f64 {
        self.0
    }

    #[inline]
    pub(crate) fn is_absent(self) -> bool {
        self.0.to_bits() == Self::ABSENT.0.to_bits()
    }

    pub(crate) fn said(self) -> Said {
        if !self.0.is_nan() {
            Said::Number(self.0)
        } else if self.is_absent() {
            Said::Absent
        } else if self.0.to_bits() == Self::CONFLICTING.0.to_bits() {
            Said::Conflicting
        } else {
            Said::NotANumber
        }
    }
}

/// The readings of several keys, one for each sample and key.
pub(crate) struct Readings {
    samples: usize,
    /// Key by key.
    all: Vec<Reading>,
}

impl Readings {
    /// Number of samples.
    pub(crate) fn samples(&self) -> usize {
        self.samples
    }

    /// The readings of the key at this position of the definition's keys.
    #[inline]
    pub(crate) fn of(&self, slot: usize) -> &[Reading] {
        &self.all[slot * self.samples..(slot + 1) * self.samples]
    }
}

/// Names of the streams in bytewise order, and the stream of each row (R3.5).
fn streams(record: &RawRecord, key: Option<&StreamKey>) -> (Vec<String>, Vec<usize>) {
    let rows = record.samples.len();
    let Some(key) = key else {
        return (vec![String::new()], vec![0; rows]);
    };
    let column = record.samples.column(&key.key);
    let cells: Vec<Cell<'_>> = match column {
        Some(column) => column.cells().collect(),
        None => vec![Cell::Absent; rows],
    };
    let names = cells.iter().map(|cell| {
        let text = cell.text().filter(|text| !text.is_empty());
        text.unwrap_or_else(|| Cow::Borrowed(&*key.default))
    });
    let mut streams: Vec<Cow<'_, str>> = Vec::new();
    let mut stream_of_row = Vec::with_capacity(rows);
    for name in names {
        // A station has few instruments, so looking through them is quickest.
        let known = streams.iter().position(|stream| *stream == name);
        stream_of_row.push(known.unwrap_or(streams.len()));
        if known.is_none() {
            streams.push(name);
        }
    }
    let mut order: Vec<usize> = (0..streams.len()).collect();
    order.sort_by(|a, b| streams[*a].cmp(&streams[*b]));
    let mut rank = vec![0; streams.len()];
    for (place, stream) in order.iter().enumerate() {
        rank[*stream] = place;
    }
    for stream in &mut stream_of_row {
        *stream = rank[*stream];
    }
    let streams = order.iter().map(|at| streams[*at].to_string()).collect();
    (streams, stream_of_row)
}

/// Gives each row its time, or refuses it (R3.1 to R3.4).
fn timed(
    record: &RawRecord,
    definition: &Definition,
    streams: &[String],
    stream_of_row: &[usize],
    refused: &mut Refusals,
) -> Vec<Candidate> {
    let is_known: Vec<bool> = streams
        .iter()
        .map(|stream| definition.knows_stream(stream))
        .collect();
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
        if !is_known[*stream] {
            refused.add(row, None, RejectReason::UnknownSensor);
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
    let id_of = |candidate: &Candidate| match ids.cell(candidate.row as usize) {
        Cell::Text("") => None,
        Cell::Text(text) => Some(Cow::Borrowed(text)),
        time @ Cell::Time(..) => time.text().map(|text| Cow::Owned(text.into_owned())),
        _ => None,
    };
    // Identities that only grow are all different; most are made that way.
    let is_growing = candidates.windows(2).all(|pair| {
        let (a, b) = (
            ids.cell(pair[0].row as usize),
            ids.cell(pair[1].row as usize),
        );
        matches!((a, b), (Cell::Text(a), Cell::Text(b)) if a < b)
    });
    if is_growing {
        return;
    }
    let mut earliest: HashMap<Cow<'_, str>, Timestamp> = HashMap::with_capacity(candidates.len());
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

    fn into_rejections(self, record: &RawRecord, definition: &Definition) -> Vec<Rejection> {
        let stream_key = definition.stream.as_ref().map(|stream| &*stream.key);
        let example = |row: u32, reason: RejectReason| {
            let cell = |name: &str| {
                record
                    .samples
                    .column(name)
                    .map_or(Cell::Absent, |column| column.cell(row as usize))
            };
            let input = match reason {
                RejectReason::NotAnObject | RejectReason::Duplicate => None,
                RejectReason::UnknownSensor => stream_key.map(str::to_owned),
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
                    None => input.as_ref().and_then(|input| cell(input).to_json()),
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
