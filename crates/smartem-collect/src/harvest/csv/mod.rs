//! CSV files and archives as a source: files of a folder or addresses, with a mapping of columns.

mod change;
mod check;
mod clock;
mod config;
mod files;
mod layout;
mod presets;
mod read;
mod rows;
mod table;
mod time;
mod units;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::ops::Bound;
use std::path::PathBuf;
use std::sync::Arc;

use async_trait::async_trait;
use reqwest::header::HeaderMap;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest, Sha256};
use smartem_etl::{
    About, Batch, Input, InputError, Intent, Kind, Origin, Outcome, Run, SettingsError, Sink,
};
use smartem_model::{Quarantine, QuarantineReason, Vocabulary};
use smartem_store::{ReceivedRecord, Standing};
use tracing::warn;
use url::Url;

pub use config::{
    ChangedColumn, ColumnSetting, CsvConfig, FileStanding, Mapping, Place, Rest, Stamp,
};
pub(super) use layout::Format;
pub(super) use presets::complete;
pub(super) use read::BAD_ROWS;
pub(super) use table::{Entry, Table, TableError};

use super::http::{Client, FetchError, Validators};
use files::Content;
use read::{Piece, Position, Reading};

/// What the reference says of this input.
const ABOUT: About = About {
    name: "csv",
    summary: "Station-hours from CSV files and archives, of a folder or from addresses.",
    text: "Reads `*.csv`, `*.csv.gz` and the `*.csv` in `*.zip`. A preset gives the settings of a known \
        format: `sensor-community-archive`, `madavi`, `rivm-samenmeten`, `luchtmeetnet`, `knmi`, \
        `uci-air-quality`, `aberdeen`, `opensensemap`; settings that are given beside it come first, \
        of `columns` key by key.\n\n\
        A row must have as many fields as the header, a time, a station, and numbers in the columns of \
        `columns`. One that has not is set aside alone, with file, line, column and value, and the file \
        goes on; of a file with more than a hundred such rows the further ones are counted. A file \
        whose header is not that of the settings is set aside as a whole. Rows without any value are \
        left out. Files are UTF-8 or Latin-1.\n\n\
        A file that has changed is read again as a whole, and so are all files when the settings have \
        changed; what is stored already is not written again.",
    checkpoint: "For each file its version (size and time of the last change, or the SHA-256 of the \
        body with the validators of its server) and the rows that are done. A killed read goes on \
        there.",
    example: r#"
[process.harvester-csv]
input = "csv"
output = ["store.raw"]

[[process.harvester-csv.source]]
name = "samenmeten"
path = "import/samenmeten"
preset = "rivm-samenmeten"

[[process.harvester-csv.source]]
name = "school"
path = "import/school.csv"
station = "school:roof"
time_column = "Datum"
time_format = ["%d-%m-%Y %H:%M"]
time_zone = "Europe/Amsterdam"
columns.no2 = { column = "NO2 (ppb)", unit = "[ppb]" }
columns.temperature = "Temp"
"#,
};

/// This kind of input.
pub fn kind() -> Kind<Box<dyn Input>> {
    Kind::new(ABOUT, |mut config: CsvConfig, site| {
        config.path = config.path.map(|path| site.path(&path));
        let is_known = |name: &str| site.catalogue.get(name).is_some();
        let csv = Csv::new(config, Some(&site.vocabulary))?;
        let station_type = csv.format.station_type();
        if !is_known(station_type) {
            return Err(SettingsError(format!(
                "`station_type`: there is no station type `{station_type}`"
            )));
        }
        Ok(Box::new(csv))
    })
}

/// Station-hours committed together.
const HOURS: usize = 100;

/// CSV files as an input.
pub struct Csv {
    origin: Origin,
    path: Option<PathBuf>,
    urls: Vec<Url>,
    client: Client,
    format: Format,
    /// Tells these settings from others: files read with others are read again.
    settings: String,
}

impl Csv {
    /// An input over this source; `path` is taken as it is.
    ///
    /// # Errors
    /// When a setting is missing or makes no sense.
    pub fn new(config: CsvConfig, vocabulary: Option<&Vocabulary>) -> Result<Self, SettingsError> {
        let failed = |error: &dyn std::fmt::Display| SettingsError(error.to_string());
        let origin = config.names.origin();
        let mapping = complete(&config.mapping, config.preset.as_deref())?;
        let text = serde_json::to_string(&mapping).map_err(|e| failed(&e))?;
        let urls: Vec<Url> = config.url.into_iter().chain(config.urls).collect();
        if config.path.is_none() && urls.is_empty() {
            return Err(SettingsError(
                "write `path`, `url` or `urls`: where the files are".to_owned(),
            ));
        }
        Ok(Self {
            format: Format::new(mapping, &origin.network, vocabulary)?,
            path: config.path,
            urls,
            client: Client::new(HeaderMap::new(), config.http).map_err(|e| failed(&e))?,
            settings: digest(format!("{} {text}", origin.network).as_bytes()),
            origin,
        })
    }

    /// Every file in turn; one that fails stops none of the others.
    async fn read_files(&self, run: &Run, sink: &Sink<'_>) -> Result<Outcome, InputError> {
        let store = sink.store();
        let source = Source {
            csv: self,
            run,
            sink,
            known: store.checkpoints(&run.process, &self.origin.source).await?,
            open: store
                .open_quarantine_places(&self.origin.source)
                .await?
                .into_keys()
                .collect(),
        };
        let mut last_failure = None;
        let mut any_success = false;
        let mut note = |read: Result<(), InputError>| match read {
            Err(InputError::Unreachable { place, problem }) => {
                warn!(source = %self.origin.source, place, problem, "file left for the next run");
                run.counters.add("files_unreachable", 1);
                last_failure = Some(InputError::Unreachable { place, problem });
                Ok(())
            }
            Ok(()) => {
                any_success = true;
                Ok(())
            }
            other => other,
        };
        let listed = self.listed().await?;
        source.forget_gone(&listed).await?;
        for found in listed {
            if let Some(outcome) = run.should_end() {
                return Ok(outcome);
            }
            let version = format!("{}-{}", found.version, self.settings);
            let content = Content::File(found.path);
            let validators = Validators::default();
            note(source.read(&found.name, version, content, validators).await)?;
        }
        for url in &self.urls {
            if let Some(outcome) = run.should_end() {
                return Ok(outcome);
            }
            note(source.fetch(url).await)?;
        }
        match last_failure {
            Some(failure) if !any_success => Err(failure),
            _ => Ok(Outcome::Done),
        }
    }

    async fn listed(&self) -> Result<Vec<files::Found>, InputError> {
        let Some(path) = self.path.clone() else {
            return Ok(Vec::new());
        };
        let place = path.display().to_string();
        let listed = blocking(&place, move || files::list(&path)).await?;
        listed.map_err(|error| unreachable(&place, &error))
    }
}

#[async_trait]
impl Input for Csv {
    fn origin(&self) -> &Origin {
        &self.origin
    }

    async fn read(
        &self,
        run: &Run,
        intent: Intent,
        sink: &Sink<'_>,
    ) -> Result<Outcome, InputError> {
        // A file has no newest values: what it holds is history.
        if intent.wants_history() {
            self.read_files(run, sink).await
        } else {
            Ok(Outcome::Done)
        }
    }
}

/// How far a file is, as its checkpoint says.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(default)]
struct Progress {
    version: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    position: Option<Position>,
    done: bool,
    validators: Validators,
}

/// A source while it is read.
struct Source<'a> {
    csv: &'a Csv,
    run: &'a Run,
    sink: &'a Sink<'a>,
    known: BTreeMap<String, Value>,
    open: BTreeSet<String>,
}

impl Source<'_> {
    fn progress(&self, name: &str) -> Progress {
        let known = self.known.get(name).filter(|_| self.run.replay.is_none());
        let read = known.and_then(|position| serde_json::from_value(position.clone()).ok());
        read.unwrap_or_default()
    }

    /// Settles what is set aside of files that are gone. One that comes back is read again.
    async fn forget_gone(&self, listed: &[files::Found]) -> Result<(), InputError> {
        if self.run.replay.is_some() {
            return Ok(());
        }
        let addresses = self.csv.urls.iter().map(name_of);
        let here: BTreeSet<String> = listed
            .iter()
            .map(|found| found.name.clone())
            .chain(addresses)
            .collect();
        let mut batch = Batch::default();
        for name in self.known.keys().filter(|name| !here.contains(*name)) {
            // A name may begin as another one does, but a place is of one file only.
            let mine = self.places_of(name);
            let gone = mine.filter(|place| !here.iter().any(|file| is_of(place, file)));
            let gone: Vec<String> = gone.cloned().collect();
            if !gone.is_empty() {
                batch.understood.extend(gone);
                batch
                    .checkpoints
                    .push(checkpoint(name, &Progress::default()));
            }
        }
        self.sink.take(batch).await
    }

    /// Open quarantine places of a file.
    fn places_of<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a String> {
        let after = self
            .open
            .range::<str, _>((Bound::Included(name), Bound::Unbounded));
        after
            .take_while(move |place| place.starts_with(name))
            .filter(move |place| is_of(place, name))
    }

    async fn fetch(&self, url: &Url) -> Result<(), InputError> {
        let name = name_of(url);
        let known = self.progress(&name);
        // A version read with other settings must come again in whole.
        let is_done = known.done && known.version.ends_with(&self.csv.settings);
        let validators = if is_done {
            known.validators
        } else {
            Validators::default()
        };
        let client = &self.csv.client;
        let answer = client.get_if_changed(self.run, url, &validators).await;
        let document = match answer {
            Ok(None) => return Ok(()),
            Ok(Some(document)) => document,
            Err(FetchError::Refused(status)) => {
                return Err(InputError::Unreachable {
                    place: name,
                    problem: format!("the server answered {status}"),
                });
            }
            Err(error) => return Err(error.at(name)),
        };
        let version = format!("{}-{}", digest(&document.body), self.csv.settings);
        let content = Content::Bytes(Arc::new(document.body));
        self.read(&name, version, content, document.validators)
            .await
    }

    /// Reads a file from where it was left, piece by piece.
    async fn read(
        &self,
        name: &str,
        version: String,
        content: Content,
        validators: Validators,
    ) -> Result<(), InputError> {
        let known = self.progress(name);
        let is_same = known.version == version;
        if is_same && known.done {
            return Ok(());
        }
        let from = known.position.filter(|_| is_same).unwrap_or_default();
        let is_from_begin = from == Position::default();
        let mut members = BTreeSet::new();
        let (pieces, mut taken) = tokio::sync::mpsc::channel(1);
        let reading = Reading {
            format: self.csv.format.clone(),
            name: name.to_owned(),
            content,
            from,
            open: self.open.clone(),
            pieces,
        };
        let reader = tokio::task::spawn_blocking(move || reading.run());
        let mut progress = Progress {
            version,
            ..Progress::default()
        };
        // A file that was not understood is asked for again, in case it was the server's mistake.
        let mut is_understood = true;
        while let Some(piece) = taken.recv().await {
            is_understood &= piece.bad.iter().all(|(place, ..)| *place != piece.name);
            members.insert(piece.name.clone());
            progress.position = Some(piece.position);
            self.take(name, piece, &progress).await?;
            if self.run.should_end().is_some() {
                // The reader ends when it finds nobody to take its next piece.
                return Err(InputError::Interrupted);
            }
        }
        let read = reader.await.map_err(|error| unreachable(name, &error))?;
        read.map_err(|error| unreachable(name, &error))?;
        progress.position = None;
        progress.done = true;
        if is_understood {
            progress.validators = validators;
        }
        self.run.counters.add("files_read", 1);
        let mut batch = Batch::default();
        if is_understood && self.open.contains(name) {
            batch.understood.push(name.to_owned());
        }
        if is_from_begin {
            // Members that are no more, or have no rows any more.
            let open = self.places_of(name);
            let gone = open.filter(|place| !members.iter().any(|member| is_of(place, member)));
            batch.understood.extend(gone.cloned());
        }
        batch.checkpoints.push(checkpoint(name, &progress));
        self.sink.take(batch).await
    }

    /// Commits a piece: station by station, its checkpoint with the last hours.
    async fn take(&self, name: &str, piece: Piece, progress: &Progress) -> Result<(), InputError> {
        let counters = &self.run.counters;
        counters.add_labelled("samples_skipped", "no_value", piece.empty);
        counters.add_labelled("samples_skipped", "bad_row", piece.bad_not_kept);
        let standing = match self.csv.format.standing() {
            FileStanding::Part => Standing::Part,
            FileStanding::Archive => Standing::Archive,
            FileStanding::Whole => Standing::Whole,
        };
        let mut hours = piece.hours;
        if self.run.replay.is_some() {
            hours.retain(|station, hour| self.run.replays(station, hour));
        }
        let mut batch = Batch::default();
        for record in hours.into_records(self.csv.format.station_type()) {
            match record {
                Ok(record) => {
                    let received = ReceivedRecord::new(record, piece.name.as_str(), standing);
                    batch.hours.push(received);
                }
                Err(fault) => batch.set_aside(fault, &piece.name, None, Vec::new()),
            }
            if batch.hours.len() >= HOURS {
                self.sink.take(std::mem::take(&mut batch)).await?;
            }
        }
        for (place, detail, text) in piece.bad {
            let fault = Quarantine::new(QuarantineReason::MalformedRecord, detail);
            batch.set_aside(fault, &place, None, text);
        }
        batch.understood = piece.understood;
        batch.checkpoints.push(checkpoint(name, progress));
        self.sink.take(batch).await
    }
}

/// Whether a place in quarantine is a file, or a line or member of it.
fn is_of(place: &str, file: &str) -> bool {
    let below = place.strip_prefix(file);
    below.is_some_and(|below| below.is_empty() || below.starts_with([':', '#', '/']))
}

fn checkpoint(name: &str, progress: &Progress) -> (String, Value) {
    // Texts and numbers are always JSON.
    let position = serde_json::to_value(progress).unwrap_or_default();
    (name.to_owned(), position)
}

/// Host and path of an address; a query may hold a secret, so of that only a digest is kept.
fn name_of(url: &Url) -> String {
    let query = url.query().map(|query| digest(query.as_bytes()));
    let query = query.map_or_else(String::new, |digest| format!("?{}", &digest[..8]));
    format!(
        "{}{}{query}",
        url.host_str().unwrap_or_default(),
        url.path()
    )
}

fn digest(bytes: &[u8]) -> String {
    let mut text = String::new();
    // Half of it is more than enough to tell versions apart.
    for byte in Sha256::digest(bytes).iter().take(16) {
        // Writing to a text cannot fail.
        let _ = write!(text, "{byte:02x}");
    }
    text
}

fn unreachable(place: &str, error: &dyn std::error::Error) -> InputError {
    InputError::Unreachable {
        place: place.to_owned(),
        problem: error.to_string(),
    }
}

async fn blocking<T: Send + 'static>(
    place: &str,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, InputError> {
    let task = tokio::task::spawn_blocking(work);
    task.await.map_err(|error| unreachable(place, &error))
}
