use std::sync::Arc;

use axum::extract::rejection::PathRejection;
use axum::extract::{Path, RawQuery, State};
use axum::http::{HeaderMap, Uri};
use axum::response::Response;
use form_urlencoded::Serializer;
use smartem_http::{ETag, Kind, Params, Problem, ProblemBody};
use smartem_store::{Cursor, ObservationQuery};

use super::Api;
use super::wire::ObservationsBody;
use crate::answer::{json, store_fault};

const PARAMETERS: [&str; 5] = ["indicator", "from", "to", "limit", "cursor"];

/// Observations of a station, ascending in time.
///
/// Without `from` and `to` the newest ones, and `next` leads to older ones; else from the first
/// one on, and `next` leads to later ones.
#[utoipa::path(get, path = "/api/v1/stations/{id}/observations", tag = "api",
    params(
        ("id" = String, Path, description = "The id of the station"),
        ("indicator" = Option<String>, Query, description = "Only of this indicator"),
        ("from" = Option<String>, Query, example = "2026-11-15T00:00:00Z",
            description = "Only those that end after this time; a date is its midnight in UTC"),
        ("to" = Option<String>, Query, example = "2026-11-16",
            description = "Only those that start before this time; a date is its midnight in UTC"),
        ("limit" = Option<u16>, Query, minimum = 1, maximum = 10000,
            description = "At most so many; 1000 when not given"),
        ("cursor" = Option<String>, Query, description = "Where a page ended, from its `next`"),
    ),
    responses(
        (status = 200, body = ObservationsBody),
        (status = 304, description = "The client has it"),
        (status = 400, body = ProblemBody, content_type = "application/problem+json"),
        (status = 404, body = ProblemBody, content_type = "application/problem+json"),
    )
)]
pub(super) async fn list(
    State(api): State<Arc<Api>>,
    id: Result<Path<String>, PathRejection>,
    RawQuery(query): RawQuery,
    uri: Uri,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let params = Params::read(query.as_deref(), &PARAMETERS)?;
    let (from, to) = (params.time("from")?, params.time("to")?);
    if let (Some(start), Some(end)) = (from, to)
        && start > end
    {
        let detail = format!("`from` is {start}, which is after `to`, {end}; exchange them.");
        return Err(Problem::new(Kind::InvalidParameter, detail));
    }
    let limit = params.integer("limit", 1..=10_000)?.unwrap_or(1000);
    let after: Option<Cursor> = params.parsed(
        "cursor",
        |text| text.parse().ok(),
        |value| format!("`cursor` is `{value}`, which was not given out; use `next` as it is."),
    )?;

    let change = api.moment().await?.change;
    let station = api.station(id).await?;
    let indicator = params.text("indicator").map(str::to_owned);
    if let Some(name) = &indicator {
        api.check_indicator(name, std::slice::from_ref(&station))?;
    }
    let etag = ETag::new(&format!("{change}-{}", api.version()));
    if etag.is_known_to(&headers) {
        return Ok(etag.not_modified());
    }

    let asked = ObservationQuery {
        station: station.id.clone(),
        indicator,
        from,
        to,
        limit,
        after,
        newest_first: from.is_none() && to.is_none(),
    };
    let page = api
        .state
        .store
        .observations(asked)
        .await
        .map_err(store_fault)?;
    let next = page.next.map(|cursor| next_page(&uri, &params, &cursor));
    Ok(etag.on(json(&ObservationsBody::new(
        &station.id,
        &page.observations,
        next,
    ))?))
}

/// The same question, going on at the cursor.
fn next_page(uri: &Uri, params: &Params<'_>, cursor: &Cursor) -> String {
    let mut query = Serializer::new(String::new());
    for name in PARAMETERS {
        match params.text(name) {
            Some(value) if name != "cursor" => query.append_pair(name, value),
            _ => &mut query,
        };
    }
    query.append_pair("cursor", &cursor.to_string());
    format!("{}?{}", uri.path(), query.finish())
}
