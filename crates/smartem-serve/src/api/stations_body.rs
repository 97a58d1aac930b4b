//! The answer that every open map asks for each minute, made once for all of them.

use std::io::{BufWriter, Write};
use std::time::{Duration, Instant};

use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use smartem_http::Problem;
use smartem_store::StationView;
use tokio::sync::Mutex;

use super::Moment;
use super::stations::blocking;
use super::wire::{Freshness, StationsBody};
use crate::ServeState;
use crate::answer::store_fault;

/// Holds the body compressed: of 11,000 stations it has 30 MB, and nearly all clients take gzip.
#[derive(Default)]
pub(super) struct Cache {
    // Held while a body is made, so that those who ask meanwhile wait for it and get it too.
    made: Mutex<Option<Made>>,
}

struct Made {
    moment: Moment,
    gzip: Bytes,
    began: Instant,
    took: Duration,
}

impl Made {
    /// Below this a body is made anew as often as it is asked for.
    const CHEAP: Duration = Duration::from_millis(100);

    fn serves(&self, moment: Moment) -> bool {
        let same = self.moment.change == moment.change && self.moment.minute() == moment.minute();
        // On a large platform every second brings a change: no more than about a tenth of a
        // processor goes into keeping up with them, at the price of a few seconds' delay.
        let resting = self.took > Self::CHEAP && self.began.elapsed() < self.took * 10;
        same || resting
    }
}

impl Cache {
    /// The body for a moment, or for one shortly before, with the moment it was made for.
    pub(super) async fn get(
        &self,
        state: &ServeState,
        moment: Moment,
    ) -> Result<(Moment, Bytes), Problem> {
        let mut slot = self.made.lock().await;
        if let Some(made) = slot.as_ref().filter(|made| made.serves(moment)) {
            return Ok((made.moment, made.gzip.clone()));
        }
        let began = Instant::now();
        let views = state.store.stations().await.map_err(store_fault)?;
        let freshness = Freshness::new(state, moment.now);
        let gzip: Bytes = blocking(move || pack(&views, freshness))
            .await?
            .map_err(Problem::internal)?
            .into();
        *slot = Some(Made {
            moment,
            gzip: gzip.clone(),
            began,
            took: began.elapsed(),
        });
        Ok((moment, gzip))
    }
}

/// Compresses while it writes, so that the plain text is never held as a whole.
fn pack(views: &[StationView], freshness: Freshness) -> std::io::Result<Vec<u8>> {
    let encoder = GzEncoder::new(Vec::new(), Compression::fast());
    let mut buffer = BufWriter::with_capacity(64 * 1024, encoder);
    serde_json::to_writer(&mut buffer, &StationsBody::new(views, freshness))?;
    buffer.flush()?;
    let encoder = buffer
        .into_inner()
        .map_err(std::io::IntoInnerError::into_error)?;
    encoder.finish()
}
