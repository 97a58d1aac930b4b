//! Whether the process lives (`/healthz`) and whether it wants requests (`/readyz`).

use std::time::Duration;

use axum::extract::State;
use axum::routing::{any, get};
use smartem_http::{Kind, Link, Problem, ProblemBody, Readiness, ServicePart};
use tokio::time::timeout;
use utoipa::OpenApi;

use crate::ServeState;

/// Probes usually wait one second longer than this or more.
const STORE_TIME: Duration = Duration::from_secs(2);

#[derive(OpenApi)]
#[openapi(paths(healthz, readyz))]
struct Document;

pub(crate) fn part(state: ServeState) -> ServicePart {
    let link = |href, title| Link {
        rel: "status",
        href,
        media_type: "text/plain",
        title,
    };
    ServicePart::new("health")
        .always_answers()
        .also_internal()
        .openapi(Document::openapi())
        .route("/healthz", get(healthz))
        .route("/readyz", get(readyz).with_state(state))
        .link(link("/healthz", "Whether the process lives"))
        .link(link("/readyz", "Whether it can answer"))
}

/// The same before the store is reached, and what all other paths answer then.
pub(crate) fn waiting(readiness: Readiness) -> ServicePart {
    let unready = async move || {
        if readiness.is_stopping() {
            going_down()
        } else {
            not_reached()
        }
    };
    ServicePart::new("waiting")
        .always_answers()
        .also_internal()
        .route("/healthz", get(healthz))
        .route("/readyz", get(unready))
        .fallback(any(async || not_reached()))
}

fn going_down() -> Problem {
    Problem::new(Kind::Unavailable, "The server is going down.")
}

fn not_reached() -> Problem {
    let detail = "The database is not reached yet; the server goes on trying.";
    Problem::new(Kind::Unavailable, detail)
}

/// Whether the process lives; asks nothing else.
#[utoipa::path(get, path = "/healthz", tag = "health", responses(
    (status = 200, body = String, content_type = "text/plain"),
))]
async fn healthz() -> &'static str {
    "ok"
}

/// Whether the process can answer and is not going down.
#[utoipa::path(get, path = "/readyz", tag = "health", responses(
    (status = 200, body = String, content_type = "text/plain"),
    (status = 503, body = ProblemBody, content_type = "application/problem+json"),
))]
async fn readyz(State(state): State<ServeState>) -> Result<&'static str, Problem> {
    let unready = |detail: &str| Problem::new(Kind::Unavailable, detail);
    if state.readiness.is_stopping() {
        return Err(going_down());
    }
    match timeout(STORE_TIME, state.store.change()).await {
        Ok(Ok(_)) => Ok("ready"),
        Ok(Err(error)) => Err(unready("The store cannot be read.").because(error)),
        Err(elapsed) => Err(unready("The store does not answer in time.").because(elapsed)),
    }
}
