use std::io::Read;
use std::sync::Arc;

use axum::extract::rejection::PathRejection;
use axum::extract::{Path, RawQuery, State};
use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use flate2::read::GzDecoder;
use smartem_http::{Params, Problem, ProblemBody};
use smartem_model::Position;
use smartem_store::StationView;

use super::wire::{Freshness, StationDetailBody, StationsBody};
use super::{Api, Moment};
use crate::answer::{JSON, json, store_fault};

/// All stations with their newest values.
///
/// Whether values are stale is judged once a minute; `time` says when.
#[utoipa::path(get, path = "/api/v1/stations", tag = "api",
    params(
        ("indicator" = Option<String>, Query,
            description = "Only this indicator, and only stations that measure it"),
        ("bbox" = Option<String>, Query, example = "5.7,51.7,6.0,52.0",
            description = "Only stations within `west,south,east,north` in degrees; west may \
                exceed east across the antimeridian"),
    ),
    responses(
        (status = 200, body = StationsBody),
        (status = 304, description = "The client has it"),
        (status = 400, body = ProblemBody, content_type = "application/problem+json"),
    )
)]
pub(super) async fn list(
    State(api): State<Arc<Api>>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let params = Params::read(query.as_deref(), &["indicator", "bbox"])?;
    let indicator = params.text("indicator").map(str::to_owned);
    let bbox = params.parsed("bbox", Bbox::read, |value| {
        format!(
            "`bbox` is `{value}`, which is not `west,south,east,north` in degrees; write for \
             example 5.7,51.7,6.0,52.0."
        )
    })?;
    let moment = api.moment().await?;
    if indicator.is_some() || bbox.is_some() {
        return some(&api, moment, indicator, bbox, &headers).await;
    }
    let etag = moment.etag(api.version());
    if etag.is_known_to(&headers) {
        return Ok(etag.not_modified());
    }
    let (moment, gzip) = api.stations.get(&api.state, moment).await?;
    let etag = moment.etag(api.version());
    if etag.is_known_to(&headers) {
        return Ok(etag.not_modified());
    }
    let typed = [(header::CONTENT_TYPE, JSON)];
    let mut response = if accepts_gzip(&headers) {
        let coding = [(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"))];
        (typed, coding, gzip).into_response()
    } else {
        (typed, unpack(gzip).await?).into_response()
    };
    let vary = HeaderValue::from_static("accept-encoding");
    response.headers_mut().insert(header::VARY, vary);
    Ok(etag.on(response))
}

/// The stations that a client chose, which is seldom asked and so made each time.
async fn some(
    api: &Api,
    moment: Moment,
    indicator: Option<String>,
    bbox: Option<Bbox>,
    headers: &HeaderMap,
) -> Result<Response, Problem> {
    let mut views = api.state.store.stations().await.map_err(store_fault)?;
    if let Some(name) = &indicator {
        api.check_indicator(name, &views)?;
    }
    let etag = moment.etag(api.version());
    if etag.is_known_to(headers) {
        return Ok(etag.not_modified());
    }
    let freshness = Freshness::new(&api.state, moment.now);
    let make = move || {
        if let Some(bbox) = bbox {
            views.retain(|view| view.location.is_some_and(|position| bbox.holds(position)));
        }
        if let Some(name) = &indicator {
            for view in &mut views {
                view.last.retain(|last| *last.indicator == **name);
            }
            views.retain(|view| !view.last.is_empty());
        }
        serde_json::to_vec(&StationsBody::new(&views, freshness))
    };
    let bytes = blocking(make).await?.map_err(Problem::internal)?;
    let response = ([(header::CONTENT_TYPE, JSON)], bytes).into_response();
    Ok(etag.on(response))
}

/// A station with its newest values.
#[utoipa::path(get, path = "/api/v1/stations/{id}", tag = "api",
    params(("id" = String, Path, description = "The id of the station")),
    responses(
        (status = 200, body = StationDetailBody),
        (status = 304, description = "The client has it"),
        (status = 400, body = ProblemBody, content_type = "application/problem+json"),
        (status = 404, body = ProblemBody, content_type = "application/problem+json"),
    )
)]
pub(super) async fn one(
    State(api): State<Arc<Api>>,
    id: Result<Path<String>, PathRejection>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    Params::read(query.as_deref(), &[])?;
    let moment = api.moment().await?;
    let view: StationView = api.station(id).await?;
    let etag = moment.etag(api.version());
    if etag.is_known_to(&headers) {
        return Ok(etag.not_modified());
    }
    let freshness = Freshness::new(&api.state, moment.now);
    Ok(etag.on(json(&StationDetailBody::new(&view, freshness))?))
}

/// A box on the map, in degrees.
#[derive(Clone, Copy)]
struct Bbox {
    west: f64,
    south: f64,
    east: f64,
    north: f64,
}

impl Bbox {
    fn read(text: &str) -> Option<Self> {
        let mut numbers = text.split(',').map(|part| part.trim().parse::<f64>().ok());
        let mut next = |limit: f64| {
            let number = numbers.next().flatten()?;
            (-limit..=limit).contains(&number).then_some(number)
        };
        let (west, south, east, north) = (next(180.0)?, next(90.0)?, next(180.0)?, next(90.0)?);
        let complete = numbers.next().is_none() && south <= north;
        complete.then_some(Self {
            west,
            south,
            east,
            north,
        })
    }

    fn holds(self, position: Position) -> bool {
        let beyond_west = self.west <= position.lon;
        let before_east = position.lon <= self.east;
        let between = if self.west <= self.east {
            beyond_west && before_east
        } else {
            beyond_west || before_east
        };
        between && (self.south..=self.north).contains(&position.lat)
    }
}

/// Whether the client takes gzip (RFC 9110, 12.5.3).
fn accepts_gzip(headers: &HeaderMap) -> bool {
    let refused = |params: &str| {
        let quality = params.trim().strip_prefix("q=");
        quality.is_some_and(|q| q.trim().parse::<f32>().is_ok_and(|q| q <= 0.0))
    };
    headers
        .get_all(header::ACCEPT_ENCODING)
        .iter()
        .filter_map(|list| list.to_str().ok())
        .flat_map(|list| list.split(','))
        .any(|coding| {
            let (name, params) = coding.split_once(';').unwrap_or((coding, ""));
            name.trim().eq_ignore_ascii_case("gzip") && !refused(params)
        })
}

async fn unpack(gzip: Bytes) -> Result<Vec<u8>, Problem> {
    let read = move || {
        let mut plain = Vec::new();
        GzDecoder::new(&*gzip)
            .read_to_end(&mut plain)
            .map(|_| plain)
    };
    blocking(read).await?.map_err(Problem::internal)
}

/// Runs what takes the processor long beside the tasks that answer others.
pub(super) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, Problem> {
    tokio::task::spawn_blocking(work)
        .await
        .map_err(Problem::internal)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_box_may_cross_the_antimeridian() {
        let position = |lon| Position::horizontal(lon, -17.0).unwrap();
        let fiji = Bbox::read("177,-20,-178,-15").unwrap();
        assert!(fiji.holds(position(179.0)) && fiji.holds(position(-179.0)));
        assert!(!fiji.holds(position(0.1)));
        let nijmegen = Bbox::read("5.7, 51.7, 6.0, 52.0").unwrap();
        assert!(nijmegen.holds(Position::horizontal(5.86, 51.84).unwrap()));
        assert!(!nijmegen.holds(Position::horizontal(5.86, 52.1).unwrap()));
    }

    #[test]
    fn what_is_no_box_is_refused() {
        for text in [
            "",
            "1,2,3",
            "1,2,3,4,5",
            "1,x,3,4",
            "0,50,1,49",
            "0,0,181,1",
            "0,NaN,1,1",
        ] {
            assert!(Bbox::read(text).is_none(), "{text}");
        }
    }

    #[test]
    fn gzip_is_sent_to_those_who_take_it() {
        for (given, taken) in [
            ("gzip", true),
            ("br, gzip;q=0.5", true),
            ("GZIP", true),
            ("gzip;q=0", false),
            ("identity", false),
            ("", false),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(header::ACCEPT_ENCODING, HeaderValue::from_static(given));
            assert_eq!(accepts_gzip(&headers), taken, "{given}");
        }
    }
}
