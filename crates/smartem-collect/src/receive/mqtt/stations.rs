use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use smartem_model::StationId;
use smartem_store::{Store, StoreError};
use tokio::time::Instant;

use super::MqttConfig;
use crate::receive::stations;

/// How long what is known of a station is not asked again.
const REMEMBER: Duration = Duration::from_secs(10);
/// So many stations are remembered at most.
const REMEMBERED: usize = 100_000;

/// The type of a station, or what keeps its messages from being taken.
pub(super) type Known = Result<Arc<str>, Arc<str>>;

/// The types of the stations of a store; also which names are of no station is remembered.
pub(super) struct Stations {
    stations: stations::Stations,
    known: HashMap<String, (Known, Instant)>,
}

impl Stations {
    pub(super) fn new(store: Store) -> Self {
        Self {
            stations: stations::Stations::new(store),
            known: HashMap::new(),
        }
    }

    /// The type of a station, or what keeps its messages from being taken. `told` is the type that the
    /// message tells.
    pub(super) async fn station_type(
        &mut self,
        name: &str,
        told: Option<&str>,
        config: &MqttConfig,
        now: Timestamp,
    ) -> Result<Known, StoreError> {
        if let Some((known, since)) = self.known.get(name)
            && since.elapsed() < REMEMBER
        {
            return Ok(check(name, known, told));
        }
        let known = self.look_up(name, told, config, now).await?;
        if self.known.len() >= REMEMBERED {
            self.known.clear();
        }
        let answer = check(name, &known, told);
        self.known.insert(name.to_owned(), (known, Instant::now()));
        Ok(answer)
    }

    async fn look_up(
        &self,
        name: &str,
        told: Option<&str>,
        config: &MqttConfig,
        now: Timestamp,
    ) -> Result<Known, StoreError> {
        let Some(id) = StationId::new(name) else {
            return Ok(Err(format!("`{name}` cannot be the id of a station").into()));
        };
        if let Some(known) = self.stations.find(&id).await? {
            return Ok(Ok(known.station_type));
        }
        if !config.auto_register {
            return Ok(Err(format!(
                "station `{name}` is not known; register it with `smartem device import`, or set \
                 auto_register"
            )
            .into()));
        }
        let new = stations::Known {
            station_type: told.unwrap_or(&config.station_type).into(),
            project: config.project.as_deref().map(Into::into),
        };
        let made = self.stations.register(&id, new, super::DATABASE, now);
        Ok(Ok(made.await?.station_type))
    }
}

fn check(name: &str, known: &Known, told: Option<&str>) -> Known {
    let known = known.clone()?;
    match told {
        Some(told) if *told != *known => {
            Err(format!("station `{name}` is of type `{known}`, not `{told}`").into())
        }
        _ => Ok(known),
    }
}
