//! The JSON API: stations, their newest values and their observations.

mod hours;
mod indicators;
mod observations;
mod stations;
mod stations_body;
mod wire;

use std::sync::Arc;

use axum::extract::rejection::PathRejection;
use axum::extract::{Path, RawQuery, State};
use axum::response::Response;
use axum::routing::get;
use jiff::Timestamp;
use smartem_http::{ETag, Kind, Link, Params, Problem, ProblemBody, ServicePart, shorten};
use smartem_model::StationId;
use smartem_store::StationView;
use utoipa::OpenApi;

use crate::answer::{json, store_fault};
use crate::{ServeState, ViewerSettings};

#[derive(OpenApi)]
#[openapi(paths(
    viewer,
    indicators::list,
    indicators::units,
    stations::list,
    stations::one,
    observations::list,
    hours::one,
    hours::raw
))]
struct Document;

struct Api {
    state: ServeState,
    indicators: indicators::Body,
    units: indicators::Body,
    stations: stations_body::Cache,
}

pub(crate) fn part(state: ServeState) -> ServicePart {
    let api = Arc::new(Api {
        indicators: indicators::Body::indicators(&state.vocabulary, &state.viewer.version),
        units: indicators::Body::units(&state.vocabulary, &state.viewer.version),
        stations: stations_body::Cache::default(),
        state,
    });
    let link = |rel, href, title| Link {
        rel,
        href,
        media_type: "application/json",
        title,
    };
    ServicePart::new("api")
        .openapi(Document::openapi())
        .route("/api/v1/viewer", get(viewer).with_state(api.clone()))
        .route(
            "/api/v1/indicators",
            get(indicators::list).with_state(api.clone()),
        )
        .route(
            "/api/v1/units",
            get(indicators::units).with_state(api.clone()),
        )
        .route(
            "/api/v1/stations",
            get(stations::list).with_state(api.clone()),
        )
        .route(
            "/api/v1/stations/{id}",
            get(stations::one).with_state(api.clone()),
        )
        .route(
            "/api/v1/stations/{id}/observations",
            get(observations::list).with_state(api.clone()),
        )
        .route(
            "/api/v1/stations/{id}/hours/{hour}",
            get(hours::one).with_state(api.clone()),
        )
        .route(
            "/api/v1/stations/{id}/hours/{hour}/raw",
            get(hours::raw).with_state(api),
        )
        .link(link("self", "/api/v1/", "This list"))
        .link(link(
            "item",
            "/api/v1/stations",
            "All stations with their newest values",
        ))
        .link(link("item", "/api/v1/stations/{id}", "A station"))
        .link(link(
            "item",
            "/api/v1/stations/{id}/observations",
            "Observations of a station",
        ))
        .link(link(
            "item",
            "/api/v1/stations/{id}/hours/{hour}",
            "What was made of a station-hour",
        ))
        .link(link(
            "item",
            "/api/v1/stations/{id}/hours/{hour}/raw",
            "The raw record of a station-hour",
        ))
        .link(link(
            "item",
            "/api/v1/indicators",
            "The indicators with units and colours",
        ))
        .link(link(
            "item",
            "/api/v1/units",
            "The units with symbols and names",
        ))
        .link(link("item", "/api/v1/viewer", "Settings of the viewer"))
}

/// Settings of the viewer.
#[utoipa::path(get, path = "/api/v1/viewer", tag = "api", responses(
    (status = 200, body = ViewerSettings),
    (status = 400, body = ProblemBody, content_type = "application/problem+json"),
))]
async fn viewer(
    State(api): State<Arc<Api>>,
    RawQuery(query): RawQuery,
) -> Result<Response, Problem> {
    Params::read(query.as_deref(), &[])?;
    json(&api.state.viewer)
}

/// A state of the store at a time, from which the tags of answers are made.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Moment {
    now: Timestamp,
    change: u64,
}

impl Moment {
    /// Whether values go stale depends on the time, so this tag also changes with the minute.
    fn etag(self, version: &str) -> ETag {
        ETag::new(&format!("{}-{}-{version}", self.change, self.minute()))
    }

    fn minute(self) -> i64 {
        self.now.as_second().div_euclid(60)
    }
}

impl Api {
    /// To be taken before the store is read, so that a tag is never newer than its answer.
    async fn moment(&self) -> Result<Moment, Problem> {
        let change = self.state.store.change().await.map_err(store_fault)?;
        let now = (self.state.clock)();
        Ok(Moment { now, change })
    }

    fn version(&self) -> &str {
        &self.state.viewer.version
    }

    async fn station(
        &self,
        id: Result<Path<String>, PathRejection>,
    ) -> Result<StationView, Problem> {
        let Ok(Path(id)) = id else {
            let detail = "The id of the station in the path is no UTF-8 text; encode it as such.";
            return Err(Problem::new(Kind::InvalidParameter, detail));
        };
        self.station_called(&id).await
    }

    async fn station_called(&self, id: &str) -> Result<StationView, Problem> {
        let station = match StationId::new(id) {
            Some(id) => self.state.store.station(&id).await.map_err(store_fault)?,
            None => None,
        };
        station.ok_or_else(|| {
            let id = shorten(id);
            let detail = format!("There is no station `{id}`; /api/v1/stations lists them.");
            Problem::new(Kind::NotFound, detail)
        })
    }

    /// Refuses an indicator that neither the vocabulary nor a series of `stations` has.
    fn check_indicator(&self, name: &str, stations: &[StationView]) -> Result<(), Problem> {
        let in_series = || stations.iter().flat_map(|station| &station.last);
        if self.state.vocabulary.get(name).is_some()
            || in_series().any(|last| &*last.indicator == name)
        {
            return Ok(());
        }
        let indicators = self.state.vocabulary.indicators().iter();
        let mut known: Vec<&str> = indicators.map(|indicator| &*indicator.name).collect();
        for last in in_series() {
            if !known.contains(&&*last.indicator) {
                known.push(&last.indicator);
            }
        }
        let guess = match smartem_model::nearest(name, known.iter().copied()) {
            Some(near) => format!("did you mean `{near}`? Known"),
            None => "known".to_owned(),
        };
        let detail = format!(
            "`indicator` is `{}`, which is not known; {guess} are `{}`.",
            shorten(name),
            known.join("`, `")
        );
        Err(Problem::new(Kind::InvalidParameter, detail))
    }
}
