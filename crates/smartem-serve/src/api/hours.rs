use std::sync::Arc;

use axum::extract::rejection::PathRejection;
use axum::extract::{Path, RawQuery, State};
use axum::http::{HeaderMap, header};
use axum::response::{IntoResponse, Response};
use smartem_http::{ETag, Kind, Params, Problem, ProblemBody, shorten};
use smartem_model::{Hour, StationId, parse_timestamp};

use super::Api;
use super::stations::blocking;
use super::wire::HourBody;
use crate::answer::{JSON, json, store_fault};

/// What was made of a station-hour, and how: where each of its values comes from.
#[utoipa::path(get, path = "/api/v1/stations/{id}/hours/{hour}", tag = "api",
    params(
        ("id" = String, Path, description = "The id of the station"),
        ("hour" = String, Path, example = "2026-11-15T10",
            description = "The start of the hour in UTC, 2026-11-15T10 or 2026-11-15T10:00:00Z"),
    ),
    responses(
        (status = 200, body = HourBody),
        (status = 304, description = "The client has it"),
        (status = 400, body = ProblemBody, content_type = "application/problem+json"),
        (status = 404, body = ProblemBody, content_type = "application/problem+json"),
    )
)]
pub(super) async fn one(
    State(api): State<Arc<Api>>,
    path: Result<Path<(String, String)>, PathRejection>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let asked = Asked::read(&api, path, query.as_deref()).await?;
    let view = api.state.store.hour_view(&asked.station, asked.hour).await;
    let view = view.map_err(store_fault)?.ok_or_else(|| asked.unknown())?;
    if asked.etag.is_known_to(&headers) {
        return Ok(asked.etag.not_modified());
    }
    let body = HourBody::new(&asked.station, asked.hour, &view).map_err(Problem::internal)?;
    Ok(asked.etag.on(json(&body)?))
}

/// The raw record of a station-hour, equal to what was received.
#[utoipa::path(get, path = "/api/v1/stations/{id}/hours/{hour}/raw", tag = "api",
    params(
        ("id" = String, Path, description = "The id of the station"),
        ("hour" = String, Path, example = "2026-11-15T10",
            description = "The start of the hour in UTC, 2026-11-15T10 or 2026-11-15T10:00:00Z"),
    ),
    responses(
        (status = 200, body = Object, description = "In the form of its source"),
        (status = 304, description = "The client has it"),
        (status = 400, body = ProblemBody, content_type = "application/problem+json"),
        (status = 404, body = ProblemBody, content_type = "application/problem+json"),
    )
)]
pub(super) async fn raw(
    State(api): State<Arc<Api>>,
    path: Result<Path<(String, String)>, PathRejection>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let asked = Asked::read(&api, path, query.as_deref()).await?;
    let record = api.state.store.raw_record(&asked.station, asked.hour).await;
    let record = record
        .map_err(store_fault)?
        .ok_or_else(|| asked.unknown())?;
    if asked.etag.is_known_to(&headers) {
        return Ok(asked.etag.not_modified());
    }
    let body = blocking(move || record.to_json()).await?;
    let response = ([(header::CONTENT_TYPE, JSON)], body).into_response();
    Ok(asked.etag.on(response))
}

/// The station-hour of a request.
struct Asked {
    station: StationId,
    hour: Hour,
    etag: ETag,
}

impl Asked {
    async fn read(
        api: &Api,
        path: Result<Path<(String, String)>, PathRejection>,
        query: Option<&str>,
    ) -> Result<Self, Problem> {
        Params::read(query, &[])?;
        let Ok(Path((id, hour))) = path else {
            let detail = "The path is no UTF-8 text; encode station and hour as such.";
            return Err(Problem::new(Kind::InvalidParameter, detail));
        };
        let hour = hour_of(&hour)?;
        let change = api.moment().await?.change;
        Ok(Self {
            station: api.station_called(&id).await?.id,
            hour,
            etag: ETag::new(&format!("{change}-{}", api.version())),
        })
    }

    fn unknown(&self) -> Problem {
        let (id, start) = (self.station.as_str(), self.hour.period().start);
        let detail = format!(
            "Nothing was received of station `{}` in the hour from {start}; \
             its `first_time` and `last_time` say where to look.",
            shorten(id)
        );
        Problem::new(Kind::NotFound, detail)
    }
}

/// The hour that starts at a time, written whole or down to the hour.
fn hour_of(text: &str) -> Result<Hour, Problem> {
    let refused = |problem: String| {
        let detail = format!(
            "The hour in the path is `{}`, {problem}; write for example 2026-11-15T10 or \
             2026-11-15T10:00:00Z.",
            shorten(text)
        );
        Problem::new(Kind::InvalidParameter, detail)
    };
    let whole = if text.len() == 13 {
        parse_timestamp(&format!("{text}:00:00Z"))
    } else {
        parse_timestamp(text)
    };
    let time = whole.ok_or_else(|| refused("which is no time".to_owned()))?;
    let hour = Hour::containing(time)
        .ok_or_else(|| refused("which is before 1970 or after 2999".to_owned()))?;
    let start = hour.period().start;
    if start != time {
        return Err(refused(format!(
            "which is not the start of an hour; the hour around it starts at {start}"
        )));
    }
    Ok(hour)
}
