//! Recorded answers from a folder, served byte for byte.
//!
//! Which files of the folder and its subfolders (hidden ones and links to folders left out) are served, and where:
//!
//! | file | served as |
//! |---|---|
//! | path ends in `devices/{id}/timeseries/{yyyymmdd}/{hour}.json`, whatever it holds, also broken JSON | that hour |
//! | an object with `id`, `date`, `hour` and `timeseries`, of whatever kind | the hour that it says, even hour 25 |
//! | an object with `id` and `outputs` | `/devices/{id}` |
//! | `last*.json`, one object or several in a row, each with `id` | `last` of these devices; the newest `time` wins |
//! | `devices/{id}/last.json` that the row above cannot read | `last` of that device |
//!
//! Other JSON (lists of devices, days, hours) is left aside, because devices, days and hours follow from the files
//! above. Files that are not JSON are named in a warning and skipped. The clock has no influence.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use jiff::Timestamp;
use serde_json::value::RawValue;

use crate::josene;
use crate::whale::World;

/// Recordings of any number of devices.
#[derive(Debug)]
pub struct Recorded {
    devices: BTreeMap<Id, Device>,
}

/// A folder that cannot be served.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RecordedError {
    /// The folder, or one below it, cannot be listed.
    #[error("cannot read the folder of recordings {}: give a folder that exists and is readable", .folder.display())]
    Folder {
        /// The folder.
        folder: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A file cannot be read.
    #[error("cannot read the recording {}: make it readable or move it out of the folder", .file.display())]
    File {
        /// The file.
        file: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// There is nothing to serve.
    #[error(
        "found no recording in {}: put in JSON files that hold an hour (an object with id, date, hour and timeseries), \
         or files named last*.json",
        .folder.display()
    )]
    Empty {
        /// The folder.
        folder: PathBuf,
    },
    /// Two files claim one address.
    #[error(
        "both {} and {} hold {address}: move one of them out of the folder",
        .first.display(),
        .second.display()
    )]
    Twice {
        /// Path of the request that both would answer.
        address: String,
        /// The file that comes first by name.
        first: PathBuf,
        /// The other one.
        second: PathBuf,
    },
}

impl Recorded {
    /// Reads the whole folder into memory.
    ///
    /// # Errors
    /// [`RecordedError`] when the folder or a file cannot be read, when nothing is found, or when two files hold the
    /// same hour or device.
    pub fn load(folder: &Path) -> Result<Self, RecordedError> {
        let mut files = Vec::new();
        list(folder, &mut files)?;
        files.sort();
        let mut recorded = Self {
            devices: BTreeMap::new(),
        };
        for file in files {
            let bytes = fs::read(&file).map_err(|source| RecordedError::File {
                file: file.clone(),
                source,
            })?;
            recorded.take(file, bytes.into())?;
        }
        if recorded.devices.is_empty() {
            return Err(RecordedError::Empty {
                folder: folder.to_owned(),
            });
        }
        Ok(recorded)
    }

    /// Finds the place of one file.
    fn take(&mut self, file: PathBuf, bytes: Bytes) -> Result<(), RecordedError> {
        let place = Place::of(&file);
        if let Some(Place::Hour { id, day, hour }) = place {
            return self.put_hour(id, day, hour, file, bytes);
        }
        let is_last = file
            .file_name()
            .and_then(|name| name.to_str())
            .is_some_and(|name| name.starts_with("last"));
        match object(&bytes) {
            Ok(Some(keys)) => {
                if let Some((id, day, hour)) = hour_address(&keys) {
                    return self.put_hour(id, day, hour, file, bytes);
                }
                if HOUR_KEYS.iter().all(|key| keys.contains_key(*key)) {
                    tracing::warn!(file = %file.display(),
                        "skipping an hour whose id, date or hour gives no address");
                    return Ok(());
                }
                if let (Some(id), true) = (identity(&keys), keys.contains_key("outputs")) {
                    return self.put_device(id, file, bytes);
                }
            }
            Err(error) if !is_last => {
                tracing::warn!(
                    file = %file.display(), line = error.line(), column = error.column(), %error,
                    "skipping a file that is not JSON"
                );
                return Ok(());
            }
            Ok(None) | Err(_) => {}
        }
        if is_last {
            self.take_last(&file, &bytes, place);
        }
        Ok(())
    }

    /// Reads a sequence of `last` answers; what comes before a broken one is kept.
    fn take_last(&mut self, file: &Path, bytes: &Bytes, place: Option<Place>) {
        let mut found = false;
        for part in serde_json::Deserializer::from_slice(bytes).into_iter::<&RawValue>() {
            let text = match part {
                Ok(raw) => raw.get().as_bytes(),
                Err(error) => {
                    tracing::warn!(
                        file = %file.display(), line = error.line(), column = error.column(), %error,
                        "the rest of a file of last answers is not JSON"
                    );
                    break;
                }
            };
            let Ok(Some(keys)) = object(text) else {
                continue;
            };
            let Some(id) = identity(&keys) else { continue };
            found = true;
            let last = Last {
                time: time(&keys),
                body: bytes.slice_ref(text),
            };
            let known = &mut self.devices.entry(id).or_default().last;
            if known.as_ref().is_none_or(|known| known.time < last.time) {
                *known = Some(last);
            }
        }
        match place {
            Some(Place::Last { id }) if !found => {
                let last = Last {
                    time: None,
                    body: bytes.clone(),
                };
                self.devices.entry(id).or_default().last.get_or_insert(last);
            }
            _ if !found => {
                tracing::warn!(file = %file.display(), "found no answer with an id in a last file");
            }
            _ => {}
        }
    }

    fn put_hour(
        &mut self,
        id: Id,
        day: String,
        hour: i64,
        file: PathBuf,
        body: Bytes,
    ) -> Result<(), RecordedError> {
        let address = format!("/devices/{}/timeseries/{day}/{hour}", id.text);
        let hours = self
            .devices
            .entry(id)
            .or_default()
            .days
            .entry(day)
            .or_default();
        if let Some(known) = hours.get(&hour) {
            return Err(RecordedError::Twice {
                address,
                first: known.file.clone(),
                second: file,
            });
        }
        hours.insert(hour, Answer { file, body });
        Ok(())
    }

    fn put_device(&mut self, id: Id, file: PathBuf, body: Bytes) -> Result<(), RecordedError> {
        let address = format!("/devices/{}", id.text);
        let description = &mut self.devices.entry(id).or_default().description;
        if let Some(known) = description {
            return Err(RecordedError::Twice {
                address,
                first: known.file.clone(),
                second: file,
            });
        }
        *description = Some(Answer { file, body });
        Ok(())
    }

    fn find(&self, id: &str) -> Option<&Device> {
        self.devices.get(&Id::new(id.to_owned())?)
    }
}

impl World for Recorded {
    fn devices(&self, _: Timestamp) -> Vec<String> {
        self.devices.keys().map(|id| id.text.clone()).collect()
    }

    fn device(&self, id: &str, _: Timestamp) -> Option<Bytes> {
        let device = self.find(id)?;
        Some(match &device.description {
            Some(answer) => answer.body.clone(),
            None => josene::device(id).into(),
        })
    }

    fn days(&self, id: &str, _: Timestamp) -> Option<Vec<String>> {
        Some(self.find(id)?.days.keys().cloned().collect())
    }

    fn hours(&self, id: &str, day: &str, _: Timestamp) -> Option<Vec<i64>> {
        Some(self.find(id)?.days.get(day)?.keys().copied().collect())
    }

    fn hour(&self, id: &str, day: &str, hour: i64, _: Timestamp) -> Option<Bytes> {
        Some(self.find(id)?.days.get(day)?.get(&hour)?.body.clone())
    }

    fn last(&self, id: &str, _: Timestamp) -> Option<Bytes> {
        let device = self.find(id)?;
        match &device.last {
            Some(last) => Some(last.body.clone()),
            None => device
                .days
                .values()
                .rev()
                .flat_map(|hours| hours.values().rev())
                .find_map(|answer| newest_sample(id, &answer.body)),
        }
    }
}

/// A device id; ordered by number, texts after all numbers.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Id {
    number: u64,
    text: String,
}

impl Id {
    /// None for a text that cannot be one part of a path.
    fn new(text: String) -> Option<Self> {
        if text.is_empty() || text.contains(['/', '?', '#']) {
            return None;
        }
        let number = text.parse().unwrap_or(u64::MAX);
        Some(Self { number, text })
    }
}

#[derive(Debug, Default)]
struct Device {
    description: Option<Answer>,
    /// Day (yyyymmdd) and hour.
    days: BTreeMap<String, BTreeMap<i64, Answer>>,
    last: Option<Last>,
}

#[derive(Debug)]
struct Answer {
    file: PathBuf,
    body: Bytes,
}

#[derive(Debug)]
struct Last {
    /// None sorts before any time.
    time: Option<Timestamp>,
    body: Bytes,
}

/// An address that follows from the path of a file.
enum Place {
    Hour { id: Id, day: String, hour: i64 },
    Last { id: Id },
}

impl Place {
    fn of(file: &Path) -> Option<Self> {
        let stem = file.file_stem()?.to_str()?;
        let mut above = file
            .parent()?
            .components()
            .rev()
            .map(|part| part.as_os_str().to_str().unwrap_or(""));
        let (near, next) = (above.next()?, above.next()?);
        if stem == "last" && next == "devices" {
            return Some(Self::Last {
                id: Id::new(near.to_owned())?,
            });
        }
        let (id, devices) = (above.next()?, above.next()?);
        if (next, devices) != ("timeseries", "devices") {
            return None;
        }
        let id = Id::new(id.to_owned())?;
        Some(Self::Hour {
            id,
            day: eight_digits(near)?,
            hour: digits(stem)?,
        })
    }
}

const HOUR_KEYS: [&str; 4] = ["id", "date", "hour", "timeseries"];

type Keys<'a> = BTreeMap<String, &'a RawValue>;

/// The keys of an object; None for other JSON.
fn object(bytes: &[u8]) -> Result<Option<Keys<'_>>, serde_json::Error> {
    let raw: &RawValue = serde_json::from_slice(bytes)?;
    if raw.get().starts_with('{') {
        serde_json::from_str(raw.get()).map(Some)
    } else {
        Ok(None)
    }
}

/// Id, day and hour that an hour says of itself.
fn hour_address(keys: &Keys<'_>) -> Option<(Id, String, i64)> {
    let _ = keys.get("timeseries")?;
    let date = text_or_number(keys.get("date")?)?;
    let day = match date.as_bytes() {
        [_, _, _, _, b'-', _, _, b'-', _, _] => date.replace('-', ""),
        _ => date,
    };
    Some((
        identity(keys)?,
        eight_digits(&day)?,
        digits(&text_or_number(keys.get("hour")?)?)?,
    ))
}

fn identity(keys: &Keys<'_>) -> Option<Id> {
    Id::new(text_or_number(keys.get("id")?)?)
}

fn time(keys: &Keys<'_>) -> Option<Timestamp> {
    serde_json::from_str::<String>(keys.get("time")?.get())
        .ok()?
        .parse()
        .ok()
}

/// A text as it is, an integer as its digits.
fn text_or_number(raw: &RawValue) -> Option<String> {
    let json = raw.get();
    if json.starts_with('"') {
        return serde_json::from_str(json).ok();
    }
    json.parse::<i64>().ok().map(|number| number.to_string())
}

fn eight_digits(text: &str) -> Option<String> {
    (text.len() == 8 && text.bytes().all(|b| b.is_ascii_digit())).then(|| text.to_owned())
}

fn digits(text: &str) -> Option<i64> {
    text.trim().parse().ok()
}

/// The newest sample of an hour as a `last` answer: `id` as text, without `_id`, readings untouched.
fn newest_sample(id: &str, hour: &[u8]) -> Option<Bytes> {
    let keys = object(hour).ok()??;
    let samples: Vec<&RawValue> = serde_json::from_str(keys.get("timeseries")?.get()).ok()?;
    let (_, mut newest) = samples
        .into_iter()
        .filter_map(|sample| object(sample.get().as_bytes()).ok()?)
        .filter_map(|sample| Some((time(&sample)?, sample)))
        .max_by_key(|(time, _)| *time)?;
    newest.remove("_id");
    newest.remove("id");
    let mut body = format!("{{\"id\":{}", serde_json::Value::from(id));
    for (key, value) in newest {
        body.push(',');
        body.push_str(&serde_json::Value::from(key).to_string());
        body.push(':');
        body.push_str(value.get());
    }
    body.push('}');
    Some(body.into())
}

/// Collects the JSON files of a folder and the folders below it.
fn list(folder: &Path, files: &mut Vec<PathBuf>) -> Result<(), RecordedError> {
    let failed = |source| RecordedError::Folder {
        folder: folder.to_owned(),
        source,
    };
    for entry in fs::read_dir(folder).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        let path = entry.path();
        // Hidden entries are also how Kubernetes keeps the versions of a mounted ConfigMap.
        if entry.file_name().as_encoded_bytes().starts_with(b".") {
            continue;
        }
        if entry.file_type().map_err(failed)?.is_dir() {
            list(&path, files)?;
        } else if path
            .extension()
            .is_some_and(|e| e.eq_ignore_ascii_case("json"))
            && path.is_file()
        {
            files.push(path);
        }
    }
    Ok(())
}
