//! What both faces do with a request.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::fmt::Write as _;

use axum::body::Body;
use axum::http::HeaderMap;
use smartem_http::Problem;
use smartem_http::auth::{Caller, Right};
use smartem_points::line_protocol::{Dialect, LineErrors, Reserved, read, take_reserved};
use smartem_points::{PointBatch, Precision};
use smartem_store::{PointsError, Refusal};
use tracing::{error, info};
use url::form_urlencoded;

use super::body::{BodyError, Encoding, receive, unpack};
use super::{DatabaseCounts, Face};

/// Larger bodies are read on a thread where that may take its time.
const QUICK: usize = 64 * 1024;

/// So many bytes of faulty lines are sent back.
const SENT_BACK: usize = 1024 * 1024;

/// The parameters of a query string; of two with one name the first holds.
pub(super) struct Query<'a>(&'a str);

impl<'a> Query<'a> {
    pub(super) fn new(text: Option<&'a str>) -> Self {
        Self(text.unwrap_or_default())
    }

    /// The value of a parameter; an empty one is none.
    pub(super) fn get(&self, name: &str) -> Option<Cow<'a, str>> {
        let pairs = &mut form_urlencoded::parse(self.0.as_bytes());
        let (_, value) = pairs.find(|(key, _)| key == name)?;
        Some(value).filter(|value| !value.is_empty())
    }
}

/// The unit of a name of InfluxDB 1.x or 2.
pub(super) fn precision(name: Option<&str>) -> Option<Precision> {
    match name {
        None | Some("n" | "ns") => Some(Precision::Nanoseconds),
        Some("u" | "us" | "µ" | "µs" | "μ" | "μs") => Some(Precision::Microseconds),
        Some("ms") => Some(Precision::Milliseconds),
        Some("s") => Some(Precision::Seconds),
        Some("m") => Some(Precision::Minutes),
        Some("h") => Some(Precision::Hours),
        Some(_) => None,
    }
}

/// Where points go and how they are written.
pub(super) struct Target<'a> {
    pub(super) database: &'a str,
    pub(super) precision: Precision,
    pub(super) dialect: Dialect,
}

/// Why nothing of a request was kept.
#[derive(Debug)]
pub(super) enum Failure {
    /// The sender is not known, or there are too many requests.
    Unknown(Problem),
    /// The sender may not write there; its name.
    Forbidden { name: String },
    /// The body was not taken.
    Body(BodyError),
    /// The database is not there, or cannot be written.
    Write(PointsError),
    /// The thread that read the lines ended early.
    Internal,
}

impl From<BodyError> for Failure {
    fn from(error: BodyError) -> Self {
        Self::Body(error)
    }
}

/// What became of the lines of a request.
pub(super) struct Outcome {
    /// Points that could be read.
    pub(super) points: usize,
    /// Why points that could be read were not kept, in InfluxDB's words, and how many.
    pub(super) refused: Option<(String, u64)>,
    /// What could not be read, and the first line of it.
    pub(super) faulty: Option<(String, u32)>,
}

/// Who sends the request, if it may write there.
pub(super) async fn admit(face: &Face, caller: &Caller, database: &str) -> Result<(), Failure> {
    let identified = face.guard.identify(caller).await;
    let principal = identified.map_err(Failure::Unknown)?;
    let project = face.points.project_of(database);
    if principal.may(Right::Write, project.as_deref()) {
        return Ok(());
    }
    Err(Failure::Forbidden {
        name: principal.name.to_string(),
    })
}

/// Takes the lines of a body in.
pub(super) async fn take_in(
    face: &Face,
    target: &Target<'_>,
    headers: &HeaderMap,
    body: Body,
) -> Result<Outcome, Failure> {
    let encoding = Encoding::of(headers)?;
    let received = receive(headers, encoding, body, &face.settings, &face.memory).await?;
    let lines = Lines {
        encoding,
        limit: face.settings.unpacked_limit,
        precision: target.precision,
        // Times of points reach to 2262, and so does this.
        now: i64::try_from((face.clock)().as_nanosecond()).unwrap_or(i64::MAX),
        dialect: target.dialect,
    };
    let bytes = received.bytes;
    let read = if bytes.len() < QUICK && encoding == Encoding::Plain {
        lines.read(bytes)?
    } else {
        let reading = tokio::task::spawn_blocking(move || lines.read(bytes));
        reading.await.map_err(|_| Failure::Internal)??
    };
    let points = read.points;
    let written = face.points.write(target.database, read.batch).await;
    let report = written.map_err(|error| {
        if let PointsError::Unavailable { problem } = &error {
            error!(database = target.database, problem, "points cannot be kept");
        }
        Failure::Write(error)
    })?;
    let refused = refused(&read.reserved, &report.refused);
    let counts = DatabaseCounts {
        written: report.written,
        faulty: read.errors.total(),
        refused: refused.as_ref().map_or(0, |(_, count)| *count),
    };
    face.counts.add(target.database, counts);
    log(target.database, &read.errors, refused.as_ref());
    Ok(Outcome {
        points,
        refused,
        faulty: read.faulty,
    })
}

/// How the lines of a body are to be read.
struct Lines {
    encoding: Encoding,
    limit: usize,
    precision: Precision,
    now: i64,
    dialect: Dialect,
}

struct Read {
    batch: PointBatch,
    points: usize,
    reserved: Vec<Reserved>,
    errors: LineErrors,
    faulty: Option<(String, u32)>,
}

impl Lines {
    fn read(&self, bytes: Vec<u8>) -> Result<Read, BodyError> {
        let text = unpack(bytes, self.encoding, self.limit)?;
        let mut batch = PointBatch::new();
        let errors = read(&text, self.precision, self.now, self.dialect, &mut batch);
        let points = batch.len();
        let reserved = take_reserved(&mut batch);
        let faulty = errors
            .first()
            .map(|first| (faulty(&text, &errors), first.line));
        Ok(Read {
            batch,
            points,
            reserved,
            errors,
            faulty,
        })
    }
}

/// The faulty lines with what is wrong with them, in InfluxDB's words.
fn faulty(text: &[u8], errors: &LineErrors) -> String {
    let mut message = String::new();
    let mut told: u64 = 0;
    for error in errors {
        let room = SENT_BACK.saturating_sub(message.len());
        if told > 0 && error.place.len() > room {
            break;
        }
        if told > 0 {
            message.push('\n');
        }
        let line = &text[error.place.clone()];
        let cut = &line[..line.len().min(room)];
        let more = if cut.len() < line.len() { "…" } else { "" };
        let line = String::from_utf8_lossy(cut);
        // Writing to a string never fails.
        let _ = write!(message, "unable to parse '{line}{more}': {}", error.reason);
        told += 1;
    }
    let untold = errors.total() - told;
    if untold > 0 {
        let _ = write!(message, "\nand {untold} more lines");
    }
    message
}

/// Why points were not kept, and how many. As InfluxDB tells only one reason, it is the same one: a
/// reserved tag, else that of the first line.
fn refused(reserved: &[Reserved], refusals: &[Refusal]) -> Option<(String, u64)> {
    let in_tag = |it: &&Reserved| matches!(it, Reserved::Tag { .. });
    let line = |it: &Reserved| match it {
        Reserved::Tag { line, .. } | Reserved::Field { line, .. } | Reserved::Time { line, .. } => {
            *line
        }
    };
    let first_reserved = reserved.iter().find(in_tag).or(reserved.first());
    let first_refusal = refusals.iter().min_by_key(|refusal| refusal.line);
    let reason = match (first_reserved, first_refusal) {
        (None, None) => return None,
        (Some(own), None) => own.to_string(),
        (Some(own), Some(other)) if in_tag(&own) || line(own) < other.line => own.to_string(),
        (_, Some(refusal)) => conflict(refusal),
    };
    let refused: BTreeSet<u32> = refusals.iter().map(|refusal| refusal.line).collect();
    Some((reason, (reserved.len() + refused.len()) as u64))
}

fn conflict(refusal: &Refusal) -> String {
    let Refusal {
        measurement,
        field,
        sent,
        known,
        ..
    } = refusal;
    format!(
        "field type conflict: input field \"{field}\" on measurement \"{measurement}\" is type \
         {sent}, already exists as type {known}"
    )
}

fn log(database: &str, errors: &LineErrors, refused: Option<&(String, u64)>) {
    if let Some(first) = errors.first() {
        let lines = errors.total();
        info!(database, lines, %first, "lines that cannot be read were left out");
    }
    if let Some((reason, points)) = refused {
        info!(database, points, reason, "points were not kept");
    }
}
