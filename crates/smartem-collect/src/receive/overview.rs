//! What the collector has: numbers, and the series that are of no station.

use std::sync::Arc;

use axum::Json;
use axum::extract::{RawQuery, State};
use axum::routing::get;
use serde::Serialize;
use smartem_http::{Link, Metric, MetricSource, Params, Problem, ProblemBody, ServicePart};
use smartem_store::Points;
use tracing::warn;
use utoipa::{OpenApi, ToSchema};

/// Series in one answer, when nothing is said, and at most.
const USUAL_LIMIT: usize = 1_000;
const MOST: usize = 10_000;

#[derive(OpenApi)]
#[openapi(paths(collector, series))]
struct Document;

/// The routes below `/api/v1/collector`.
pub fn part(points: Points) -> ServicePart {
    ServicePart::new("collector")
        .openapi(Document::openapi())
        .route(
            "/api/v1/collector",
            get(collector).with_state(points.clone()),
        )
        .route("/api/v1/collector/series", get(series).with_state(points))
        .link(Link {
            rel: "related",
            href: "/api/v1/collector",
            media_type: "application/json",
            title: "What stations push",
        })
}

/// The same numbers for Prometheus.
pub fn metrics(points: Points) -> MetricSource {
    Arc::new(move || {
        let numbers = points.numbers();
        let trouble = if points.trouble().is_some() { 0.0 } else { 1.0 };
        let log = points.log_bytes().map(|bytes| {
            Metric::gauge(
                "smartem_points_log_bytes",
                "Bytes of the append log on disk, with segments set aside as damaged.",
                bytes as f64,
            )
        });
        let mut told = vec![
            Metric::gauge(
                "smartem_points_up",
                "Whether points can be written.",
                trouble,
            ),
            Metric::counter(
                "smartem_points_written_total",
                "Points written since the start.",
                numbers.written as f64,
            ),
            Metric::counter(
                "smartem_points_refused_total",
                "Points refused since the start, their field having another type.",
                numbers.refused as f64,
            ),
            Metric::gauge(
                "smartem_points_waiting_bytes",
                "Bytes of points in memory that are not committed yet.",
                numbers.memory as f64,
            ),
            Metric::gauge(
                "smartem_points_series",
                "Series of points.",
                numbers.series as f64,
            ),
            Metric::gauge(
                "smartem_points_unmapped_series",
                "Series of points that are of no station.",
                numbers.unmapped_series as f64,
            ),
        ];
        match log {
            Ok(log) => told.push(log),
            Err(error) => warn!(%error, "the size of the append log cannot be read"),
        }
        told
    })
}

/// What the collector has.
#[derive(Serialize, ToSchema)]
#[schema(as = Collector)]
struct CollectorBody {
    /// Databases.
    databases: u64,
    /// Series of points.
    series: u64,
    /// Series that are of no station: their points are kept and answer queries, and are not refined.
    unmapped_series: u64,
    /// Points written since the start.
    written: u64,
    /// Points refused since the start, because a field had another type than before.
    refused: u64,
    /// Bytes of points in memory that are on disk in the append log and not committed yet.
    waiting_bytes: u64,
    /// Why nothing can be written just now; null when all is well.
    #[schema(required)]
    trouble: Option<String>,
}

/// What the collector has: databases, series, points since the start.
#[utoipa::path(get, path = "/api/v1/collector", tag = "collector", responses(
    (status = 200, body = CollectorBody),
    (status = 400, body = ProblemBody, content_type = "application/problem+json"),
))]
async fn collector(
    State(points): State<Points>,
    RawQuery(query): RawQuery,
) -> Result<Json<CollectorBody>, Problem> {
    Params::read(query.as_deref(), &[])?;
    let numbers = points.numbers();
    Ok(Json(CollectorBody {
        databases: numbers.databases,
        series: numbers.series,
        unmapped_series: numbers.unmapped_series,
        written: numbers.written,
        refused: numbers.refused,
        waiting_bytes: numbers.memory,
        trouble: points.trouble(),
    }))
}

/// Series of points.
#[derive(Serialize, ToSchema)]
#[schema(as = CollectorSeries)]
struct SeriesBody {
    /// In the order in which they came.
    series: Vec<OneSeries>,
    /// What to give as `after` for more; null when these are all.
    #[schema(required)]
    next: Option<u32>,
}

/// A series of points.
#[derive(Serialize, ToSchema)]
struct OneSeries {
    /// The database.
    database: String,
    /// The measurement.
    measurement: String,
    /// The tags.
    tags: std::collections::BTreeMap<String, String>,
    /// The id of the station whose series it is; null: of none.
    #[schema(required)]
    station: Option<String>,
}

/// Series of points, all or those that are of no station.
#[utoipa::path(get, path = "/api/v1/collector/series", tag = "collector", params(
    ("mapped" = Option<bool>, Query, description = "`false`: only series that are of no station"),
    ("after" = Option<u32>, Query, description = "`next` of the answer before"),
    ("limit" = Option<u32>, Query, description = "Series in the answer, 1 to 10000; 1000 when it is not given"),
), responses(
    (status = 200, body = SeriesBody),
    (status = 400, body = ProblemBody, content_type = "application/problem+json"),
))]
async fn series(
    State(points): State<Points>,
    RawQuery(query): RawQuery,
) -> Result<Json<SeriesBody>, Problem> {
    let params = Params::read(query.as_deref(), &["mapped", "after", "limit"])?;
    let read_false = |text: &str| (text == "false").then_some(true);
    let unmapped = params.parsed("mapped", read_false, |value| {
        format!("`mapped` is `{value}`; write `false` for series that are of no station.")
    })?;
    let after = params.parsed(
        "after",
        |text| text.parse::<u32>().ok(),
        |value| format!("`after` is `{value}`; write the `next` of the answer before."),
    )?;
    let limit = params.integer("limit", 1..=MOST)?.unwrap_or(USUAL_LIMIT);
    let (found, last) = points.series_overview(after, limit, unmapped.is_some());
    let next = last.filter(|_| found.len() == limit);
    let one = |it: smartem_store::SeriesOverview| OneSeries {
        database: it.database,
        measurement: it.key.measurement.to_string(),
        tags: it
            .key
            .tags
            .iter()
            .map(|(key, value)| (key.to_string(), value.to_string()))
            .collect(),
        station: it.station,
    };
    Ok(Json(SeriesBody {
        series: found.into_iter().map(one).collect(),
        next,
    }))
}
