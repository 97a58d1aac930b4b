//! Bodies within limits, unpacked.

use std::io::{self, Read as _};

use axum::body::Body;
use axum::http::{HeaderMap, header};
use flate2::bufread::MultiGzDecoder;
use futures::StreamExt as _;
use tokio::sync::{Semaphore, SemaphorePermit};

use super::InfluxdbSettings;

/// Memory is given out in places of so many bytes.
const PLACE: usize = 16 * 1024;

/// Line protocol is seldom packed to less than a tenth.
const USUAL_RATIO: usize = 10;

/// Why a body was not taken.
#[derive(Debug, thiserror::Error)]
pub(super) enum BodyError {
    #[error("Request Entity Too Large")]
    TooLarge,
    /// The connection ended before the body did, or what is packed does.
    #[error("unexpected EOF")]
    CutShort,
    /// Nothing at all, where something packed was announced.
    #[error("EOF")]
    Empty,
    #[error("gzip: invalid header")]
    NoGzip,
    #[error("gzip: invalid body")]
    Corrupt,
    #[error("the content encoding {0:?} is not understood; send gzip, or none")]
    Encoding(String),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Encoding {
    Plain,
    Gzip,
}

impl Encoding {
    pub(super) fn of(headers: &HeaderMap) -> Result<Self, BodyError> {
        let Some(value) = headers.get(header::CONTENT_ENCODING) else {
            return Ok(Self::Plain);
        };
        let name = String::from_utf8_lossy(value.as_bytes()).to_ascii_lowercase();
        match name.trim() {
            "" | "identity" => Ok(Self::Plain),
            "gzip" | "x-gzip" => Ok(Self::Gzip),
            other => Err(BodyError::Encoding(other.chars().take(40).collect())),
        }
    }
}

/// How many places of memory so many bytes take.
pub(super) fn places(bytes: usize) -> usize {
    bytes.div_ceil(PLACE).min(Semaphore::MAX_PERMITS)
}

/// A body in memory, and the places that it takes there.
pub(super) struct Received<'a> {
    pub(super) bytes: Vec<u8>,
    _places: Option<SemaphorePermit<'a>>,
}

/// Reads a body as it comes, waiting for memory first.
pub(super) async fn receive<'a>(
    headers: &HeaderMap,
    encoding: Encoding,
    body: Body,
    settings: &InfluxdbSettings,
    memory: &'a Semaphore,
) -> Result<Received<'a>, BodyError> {
    let announced = headers.get(header::CONTENT_LENGTH);
    let announced = announced.and_then(|value| value.to_str().ok()?.parse::<usize>().ok());
    if announced.is_some_and(|length| length > settings.body_limit) {
        return Err(BodyError::TooLarge);
    }
    let expected = match (announced, encoding) {
        (Some(length), Encoding::Plain) => length,
        (Some(length), Encoding::Gzip) => {
            (length.saturating_mul(USUAL_RATIO)).min(settings.unpacked_limit)
        }
        (None, Encoding::Plain) => settings.body_limit,
        (None, Encoding::Gzip) => settings.unpacked_limit,
    };
    let wanted = u32::try_from(places(expected)).unwrap_or(u32::MAX);
    // Never closed, so there is always a permit in the end.
    let places = memory.acquire_many(wanted).await.ok();
    let mut bytes = Vec::with_capacity(announced.unwrap_or(0));
    let mut stream = body.into_data_stream();
    while let Some(part) = stream.next().await {
        let part = part.map_err(|_| BodyError::CutShort)?;
        if bytes.len() + part.len() > settings.body_limit {
            return Err(BodyError::TooLarge);
        }
        bytes.extend_from_slice(&part);
    }
    Ok(Received {
        bytes,
        _places: places,
    })
}

/// The text of a body.
pub(super) fn unpack(
    bytes: Vec<u8>,
    encoding: Encoding,
    limit: usize,
) -> Result<Vec<u8>, BodyError> {
    match encoding {
        Encoding::Plain => Ok(bytes),
        Encoding::Gzip if bytes.is_empty() => Err(BodyError::Empty),
        Encoding::Gzip => {
            let mut text = Vec::with_capacity(bytes.len().saturating_mul(4).min(limit));
            let more_than_may_be = u64::try_from(limit).unwrap_or(u64::MAX).saturating_add(1);
            let mut gzip = MultiGzDecoder::new(&*bytes).take(more_than_may_be);
            gzip.read_to_end(&mut text)
                .map_err(|error| of_gzip(&error))?;
            if text.len() > limit {
                return Err(BodyError::TooLarge);
            }
            Ok(text)
        }
    }
}

fn of_gzip(error: &io::Error) -> BodyError {
    match error.kind() {
        io::ErrorKind::UnexpectedEof => BodyError::CutShort,
        io::ErrorKind::InvalidInput if error.to_string().contains("header") => BodyError::NoGzip,
        _ => BodyError::Corrupt,
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use flate2::Compression;
    use flate2::write::GzEncoder;

    use super::*;

    fn packed(text: &[u8]) -> Vec<u8> {
        let mut gzip = GzEncoder::new(Vec::new(), Compression::best());
        gzip.write_all(text).unwrap();
        gzip.finish().unwrap()
    }

    fn fault(bytes: &[u8], limit: usize) -> String {
        match unpack(bytes.to_vec(), Encoding::Gzip, limit) {
            Ok(text) => format!("{} bytes", text.len()),
            Err(error) => error.to_string(),
        }
    }

    #[test]
    fn what_is_packed_is_unpacked_up_to_the_limit() {
        let mut two = packed(b"m v=1\n");
        two.extend(packed(b"m v=2\n"));
        assert_eq!(fault(&two, 12), "12 bytes");
        assert_eq!(fault(&two, 11), "Request Entity Too Large");
        let bomb = packed(&vec![b'x'; 50_000_000]);
        assert!(bomb.len() < 100_000);
        assert_eq!(fault(&bomb, 1_000_000), "Request Entity Too Large");
    }

    #[test]
    fn what_is_not_whole_is_refused() {
        let good = packed(b"m v=1\nm v=2\n");
        for length in 1..good.len() {
            assert_eq!(fault(&good[..length], 100), "unexpected EOF", "{length}");
        }
        assert_eq!(fault(b"", 100), "EOF");
        assert_eq!(fault(b"air no2=1,pm10=2", 100), "gzip: invalid header");
        let mut wrong = good.clone();
        let end = wrong.len() - 6;
        wrong[end] ^= 1;
        assert_eq!(fault(&wrong, 100), "gzip: invalid body");
    }
}
