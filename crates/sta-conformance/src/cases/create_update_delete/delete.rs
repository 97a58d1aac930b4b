//! DELETE, and what goes with what.

use serde_json::json;

use super::{body, dropped, made};
use crate::bench::{Bench, SmallStation};
use crate::cases::data_model::kind;
use crate::cases::resource_path::absent;
use crate::model::Kind;
use crate::outcome::{Check, Stop, ensure, fault};
use crate::own::Own;

pub(super) async fn delete(bench: &Bench<'_>) -> Check {
    for set in [
        "Things",
        "Locations",
        "Sensors",
        "ObservedProperties",
        "FeaturesOfInterest",
    ] {
        let (own, _) = made(bench, kind(set)?, "to be deleted").await?;
        dropped(bench, &own).await?;
        bench.gone(&own.path).await?;
        bench.client.delete(&own.path).await?.expect(&[404])?;
    }
    Ok(())
}

pub(super) async fn delete_at_once(bench: &Bench<'_>) -> Check {
    for label in ["at once one", "at once two"] {
        let path = bench.small_station(label).await?.thing.path;
        let answers = tokio::join!(
            bench.client.delete(&path),
            bench.client.delete(&path),
            bench.client.delete(&path),
            bench.client.delete(&path),
        );
        let answers = [answers.0?, answers.1?, answers.2?, answers.3?];
        let mut deleted = 0;
        for answer in answers {
            let answer = answer.expect(&[200, 204, 404, 410])?;
            deleted += usize::from(answer.status < 300);
        }
        ensure(deleted == 1, || {
            format!("{path} was deleted by {deleted} of 4 requests at once")
        })?;
        bench.gone(&path).await?;
    }
    Ok(())
}

pub(super) async fn delete_none(bench: &Bench<'_>, kind: &'static Kind) -> Check {
    let own = bench.sample(kind).await?;
    bench
        .client
        .delete(&absent(&own))
        .await?
        .expect(&[404])
        .map(drop)
}

/// A station with everything that a deletion can touch.
struct Doomed {
    station: SmallStation,
    sensor: Own,
    property: Own,
    feature: Own,
    observation: Own,
    history: Own,
}

impl Doomed {
    async fn make(bench: &Bench<'_>, label: &str) -> Check<Self> {
        let station = bench.small_station(label).await?;
        let scribe = &bench.scribe;
        let feature = body(bench, "FeaturesOfInterest", label)?;
        let feature = scribe.post("FeaturesOfInterest", &feature).await?;
        let observation = json!({
            "phenomenonTime": "2021-03-04T05:06:07Z",
            "result": 1,
            "Datastream": station.datastream.reference(),
            "FeatureOfInterest": feature.reference(),
        });
        let observation = scribe.post("Observations", &observation).await?;
        let path = &station.datastream.path;
        let sensor = bench.read(&format!("{path}/Sensor")).await?;
        let property = bench.read(&format!("{path}/ObservedProperty")).await?;
        let history = bench
            .list(&format!("{}/HistoricalLocations", station.thing.path), &[])
            .await?;
        let history = history
            .first()
            .ok_or_else(|| fault("a HistoricalLocation was expected"))?;
        Ok(Self {
            sensor: scribe.own("Sensors", &sensor)?,
            property: scribe.own("ObservedProperties", &property)?,
            history: scribe.own("HistoricalLocations", history)?,
            feature,
            observation,
            station,
        })
    }

    /// All of it.
    fn all(&self) -> [&Own; 8] {
        [
            &self.station.thing,
            &self.station.location,
            &self.history,
            &self.station.datastream,
            &self.sensor,
            &self.property,
            &self.observation,
            &self.feature,
        ]
    }
}

/// Deletes one part of a station and looks what is gone: that part and `with_it`, and nothing else.
async fn deletes(
    bench: &Bench<'_>,
    label: &str,
    part: impl Fn(&Doomed) -> &Own,
    with_it: &[&str],
) -> Check {
    let doomed = Doomed::make(bench, label).await?;
    let part = part(&doomed);
    dropped(bench, part).await?;
    for own in doomed.all() {
        let set = own.path.split('(').next().unwrap_or_default();
        let state = if own.path == part.path || with_it.contains(&set) {
            bench.gone(&own.path).await
        } else {
            bench.there(&own.path).await
        };
        state.map_err(|stop| behind(stop, &part.path))?;
    }
    Ok(())
}

/// The same stop, said to come after a deletion.
fn behind(stop: Stop, deleted: &str) -> Stop {
    match stop {
        Stop::Fault(mut fault) => {
            fault.what = format!("after {deleted} was deleted: {}", fault.what);
            Stop::Fault(fault)
        }
        Stop::Skip(why) => Stop::Skip(why),
    }
}

pub(super) async fn delete_thing(bench: &Bench<'_>) -> Check {
    let with_it = ["Datastreams", "Observations", "HistoricalLocations"];
    deletes(bench, "doomed thing", |d| &d.station.thing, &with_it).await
}

pub(super) async fn delete_location(bench: &Bench<'_>) -> Check {
    deletes(
        bench,
        "doomed location",
        |d| &d.station.location,
        &["HistoricalLocations"],
    )
    .await
}

pub(super) async fn delete_datastream(bench: &Bench<'_>) -> Check {
    deletes(
        bench,
        "doomed datastream",
        |d| &d.station.datastream,
        &["Observations"],
    )
    .await
}

pub(super) async fn delete_sensor(bench: &Bench<'_>) -> Check {
    let with_it = ["Datastreams", "Observations"];
    deletes(bench, "doomed sensor", |d| &d.sensor, &with_it).await
}

pub(super) async fn delete_property(bench: &Bench<'_>) -> Check {
    let with_it = ["Datastreams", "Observations"];
    deletes(bench, "doomed property", |d| &d.property, &with_it).await
}

pub(super) async fn delete_feature(bench: &Bench<'_>) -> Check {
    deletes(bench, "doomed feature", |d| &d.feature, &["Observations"]).await
}

pub(super) async fn delete_observation(bench: &Bench<'_>) -> Check {
    deletes(bench, "doomed observation", |d| &d.observation, &[]).await
}

pub(super) async fn delete_history(bench: &Bench<'_>) -> Check {
    deletes(bench, "doomed history", |d| &d.history, &[]).await
}
