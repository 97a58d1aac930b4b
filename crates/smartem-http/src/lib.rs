//! What every HTTP face of smartem shares; it knows no particular service and no store.
//!
//! - [`ServicePart`]: what a service contributes: routes, links, its part of the OpenAPI document
//! - [`assemble`]: sums the parts and lays the common layers around them, within [`Limits`];
//!   [`Routers`]: the same for a public and an internal address
//! - [`Problem`], [`Kind`]: what went wrong, safe to send; RFC 9457 is its default dialect
//! - [`Params`]: reads a query string and refuses what nobody asked for
//! - [`auth`]: who may write: credentials, principals, and the guard before what not all may do
//! - [`ETag`]: conditional requests
//! - [`HttpMetrics`]: counts requests; [`Readiness`]: whether the process wants any
//! - [`serve`]: listens until told to stop, then finishes what was begun; what it serves may be an
//!   [`Exchange`], whose router comes later
//!
//! A request passes, from the outside in: request id, log line and metrics; security headers;
//! CORS; compression; the rendering of problems; panics caught; then, for the part it belongs to,
//! its own dialect of problems, the body limit, the limit of requests at a time and the time limit.

pub mod auth;

mod assemble;
mod conditional;
mod exchange;
mod layers;
mod metric;
mod metrics;
mod params;
mod part;
mod problem;
mod readiness;
mod request_id;
mod serve;

pub use assemble::{Limits, Routers, assemble, openapi};
pub use conditional::ETag;
pub use exchange::Exchange;
pub use metric::{Metric, MetricSource};
pub use metrics::{BUCKETS, HttpMetrics, RequestCount, RouteTime};
pub use params::{Params, shorten};
pub use part::{Dialect, Link, ServicePart};
pub use problem::{Kind, Problem, ProblemBody};
pub use readiness::Readiness;
pub use request_id::RequestId;
pub use serve::serve;
