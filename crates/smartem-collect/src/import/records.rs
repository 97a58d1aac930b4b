//! Raw records from JSON files: one object, a list, or an object on each line.

use std::path::{Path, PathBuf};

use async_trait::async_trait;
use serde_json::value::RawValue;
use smartem_etl::{Batch, Input, InputError, Intent, Origin, Outcome, Run, Sink};
use smartem_model::raw::{RawRecord, RecordTime};
use smartem_model::{Quarantine, QuarantineReason};
use smartem_store::{IMPORT_NETWORK, ReceivedRecord};

use super::Fault;

/// The source under which imported records, and those in quarantine, are kept.
pub const SOURCE: &str = "import";

/// So many records, or bytes of text, are committed at a time.
const BATCH_RECORDS: usize = 100;
const BATCH_BYTES: usize = 16 << 20;

/// Files of raw records, read like a source of a harvester.
///
/// A record is checked as any that comes in: one that fails a rule goes to quarantine, whole, and
/// those beside it are taken in. A file is held in memory as a whole while it is read.
pub struct Records {
    origin: Origin,
    files: Vec<PathBuf>,
    types: Vec<String>,
    refused: Box<Refused>,
}

/// Is told of a record of a file that is set aside.
type Refused = dyn Fn(&Path, Fault) + Send + Sync;

impl Records {
    /// These files, in this order; `types` are the station types that are known, `refused` is told
    /// of every record that is set aside.
    pub fn new(
        files: Vec<PathBuf>,
        types: Vec<String>,
        refused: impl Fn(&Path, Fault) + Send + Sync + 'static,
    ) -> Self {
        Self {
            origin: Origin {
                source: SOURCE.to_owned(),
                network: IMPORT_NETWORK.to_owned(),
                project: None,
            },
            files,
            types,
            refused: Box::new(refused),
        }
    }

    async fn read_file(
        &self,
        file: &Path,
        run: &Run,
        sink: &Sink<'_>,
    ) -> Result<Option<Outcome>, InputError> {
        let unreadable = |error: std::io::Error| InputError::Unreachable {
            place: file.display().to_string(),
            problem: error.to_string(),
        };
        let bytes = tokio::fs::read(file).await.map_err(unreadable)?;
        let mut batch = Batch::default();
        let text = match String::from_utf8(bytes) {
            Ok(text) => text,
            Err(error) => {
                let problem = format!("not UTF-8: {}", error.utf8_error());
                let quarantine = Quarantine::new(QuarantineReason::MalformedRecord, problem);
                self.tell(file, "", 0, &quarantine);
                let place = file.display().to_string();
                batch.set_aside(quarantine, &place, None, error.into_bytes());
                sink.take(batch).await?;
                return Ok(None);
            }
        };
        let (mut records, mut length) = (0, 0);
        for (place, record) in places(file, split(&text)) {
            self.push(&mut batch, file, &text, record, &place);
            (records, length) = (records + 1, length + record.len());
            if records >= BATCH_RECORDS || length >= BATCH_BYTES {
                sink.take(std::mem::take(&mut batch)).await?;
                (records, length) = (0, 0);
                if let Some(outcome) = run.should_end() {
                    return Ok(Some(outcome));
                }
            }
        }
        sink.take(batch).await?;
        Ok(None)
    }

    fn push(&self, batch: &mut Batch, file: &Path, text: &str, record: &str, place: &str) {
        let is_known = |name: &str| self.types.iter().any(|it| it == name);
        match RawRecord::from_json(record, &is_known) {
            Ok(record) => {
                let list = match record.time {
                    RecordTime::Hour(_) => &mut batch.hours,
                    RecordTime::Snapshot(_) => &mut batch.snapshots,
                };
                list.push(ReceivedRecord::whole(record, place));
            }
            Err(quarantine) => {
                self.tell(file, text, offset(text, record), &quarantine);
                batch.set_aside(quarantine, place, None, record.as_bytes().to_vec());
            }
        }
    }

    fn tell(&self, file: &Path, text: &str, at: usize, quarantine: &Quarantine) {
        let remedy = match quarantine.reason {
            QuarantineReason::UnknownDeviceType => format!(
                "known are `{}`; put its definition into the folder `refine.definitions_dir`",
                self.types.join("`, `")
            ),
            QuarantineReason::InvalidHour => {
                "write for example \"day\": 20260301, \"hour\": 24".to_owned()
            }
            QuarantineReason::MalformedRecord
            | QuarantineReason::NoLocation
            | QuarantineReason::RefusedByOutput
            | QuarantineReason::UnknownStation => {
                "a record has `device_id`, `device_type`, `day`, `hour` and `data.timeseries`"
                    .to_owned()
            }
        };
        let message = format!("put into quarantine: {quarantine}; {remedy}");
        (self.refused)(file, Fault::at(text, at, message));
    }
}

#[async_trait]
impl Input for Records {
    fn origin(&self) -> &Origin {
        &self.origin
    }

    async fn read(
        &self,
        run: &Run,
        _intent: Intent,
        sink: &Sink<'_>,
    ) -> Result<Outcome, InputError> {
        for file in &self.files {
            if let Some(outcome) = self.read_file(file, run, sink).await? {
                return Ok(outcome);
            }
        }
        Ok(Outcome::Done)
    }
}

/// Where each record is found: the file, with the number of the record where there are several.
///
/// A mended record at the same place resolves the quarantine entry of the bad one.
fn places<'a>(
    file: &Path,
    records: Vec<&'a str>,
) -> impl Iterator<Item = (String, &'a str)> + use<'a> {
    let (name, single) = (file.display().to_string(), records.len() == 1);
    records.into_iter().zip(1..).map(move |(record, number)| {
        let place = if single {
            name.clone()
        } else {
            format!("{name}#{number}")
        };
        (place, record)
    })
}

/// The records of a file: the items of a list, the lines that are objects, else the whole.
///
/// Whatever is left over is a record of its own, so that it is told and kept.
fn split(text: &str) -> Vec<&str> {
    if let Ok(list) = serde_json::from_str::<Vec<&RawValue>>(text) {
        return list.into_iter().map(RawValue::get).collect();
    }
    let is_object =
        |line: &str| line.starts_with('{') && serde_json::from_str::<&RawValue>(line).is_ok();
    let is_one = || serde_json::from_str::<&RawValue>(text).is_ok();
    if text.lines().any(is_object) && !is_one() {
        let lines = text.lines().map(str::trim);
        return lines.filter(|line| !line.is_empty()).collect();
    }
    vec![text.trim()]
}

/// Where a part begins in the text that it is a part of.
fn offset(text: &str, part: &str) -> usize {
    part.as_ptr().addr().saturating_sub(text.as_ptr().addr())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_object_a_list_and_lines_are_told_apart() {
        let pretty = "{\n  \"a\": {},\n  \"b\": [\n{}\n]}\n";
        assert_eq!(split(pretty), [pretty.trim()]);
        assert_eq!(split("[{\"a\": 1},\n 5]"), ["{\"a\": 1}", "5"]);
        assert_eq!(
            split("{\"a\": 1}\n\n{\"a\": \n{\"b\": 2}\n"),
            ["{\"a\": 1}", "{\"a\":", "{\"b\": 2}"]
        );
        // Cut short, it is one bad record.
        let cut = "{\n  \"a\": [{\"b\": 1},\n  {\"b\": 2}";
        assert_eq!(split(cut), [cut]);
        assert_eq!(split("[]"), [""; 0]);
        assert_eq!(split(""), [""]);
    }

    #[test]
    fn a_part_is_found_in_its_text() {
        let text = "[1,\n  {\"a\": 2}]";
        let parts = split(text);
        let fault = Fault::at(text, offset(text, parts[1]), "");
        assert_eq!((fault.line, fault.column), (2, 3));
    }

    #[test]
    fn the_place_of_a_single_record_is_its_file() {
        let place = |records: Vec<&'static str>| -> Vec<String> {
            places(Path::new("a.json"), records)
                .map(|(place, _)| place)
                .collect()
        };
        assert_eq!(place(vec!["{}"]), ["a.json"]);
        assert_eq!(place(vec!["{}", "{}"]), ["a.json#1", "a.json#2"]);
    }
}
