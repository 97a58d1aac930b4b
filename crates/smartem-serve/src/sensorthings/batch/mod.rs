//! Many calls in one request: `multipart/mixed` (18-088, 11) or JSON (OData 4.01, 19).
//!
//! Calls are answered in their order. Those of a change set happen all or not at all. A later call names what
//! an earlier one made by `$` and the id of that call: in its URL, and as `@iot.id` in its body.

mod json;
mod multipart;

use std::collections::BTreeMap;
use std::str::FromStr as _;
use std::sync::Arc;

use axum::http::{HeaderMap, Method, header};
use bytes::Bytes;
use smartem_sta::{Author, EntityType, Operation, Outcome, Version};
use tracing::error;

use super::Sta;
use super::call::{self, Call, Reply, Who};
use super::change::{self, Name, Names};
use super::fault::Fault;
use super::read;
use smartem_http::Problem;

/// Calls of one batch at most.
const MOST: usize = 1000;

/// One call of a batch as it is written.
#[derive(Debug)]
struct Part {
    /// By which later ones name what it made.
    id: Option<String>,
    method: String,
    /// Relative to the face, to the server, or whole.
    url: String,
    headers: HeaderMap,
    body: Bytes,
}

/// What happens at once.
#[derive(Debug)]
enum Step {
    One(Part),
    /// A change set.
    All(Vec<Part>),
}

/// The replies to a step, by their part; to a change set that failed there is one.
enum Answered {
    One(Reply),
    All(Vec<Reply>),
    /// The place of the part that is to blame, where that is known.
    Failed(Option<usize>, Reply),
}

pub(super) async fn answer(sta: &Sta, call: &Call) -> Result<Reply, Fault> {
    match call.media_type().as_str() {
        "multipart/mixed" => multipart::answer(sta, call).await,
        "application/json" => json::answer(sta, call).await,
        other => Err(Fault::new(
            axum::http::StatusCode::UNSUPPORTED_MEDIA_TYPE,
            format!("a batch is `multipart/mixed` or `application/json`, and this is `{other}`"),
        )
        .about("Content-Type")),
    }
}

/// Refuses a batch of too many calls.
fn check_number(number: usize) -> Result<(), Fault> {
    if number <= MOST {
        return Ok(());
    }
    Err(Fault::invalid(format!(
        "the batch has {number} requests; send at most {MOST} at a time"
    )))
}

/// Goes through the steps of one batch.
struct Run<'a> {
    sta: &'a Sta,
    version: Version,
    root: Arc<str>,
    /// Who sends the batch; found out for all its calls at the first one that writes.
    who: Who,
    names: Names,
}

impl<'a> Run<'a> {
    fn new(sta: &'a Sta, call: &Call) -> Self {
        Self {
            sta,
            version: call.version,
            root: Arc::clone(&call.root),
            who: call.who.clone(),
            names: Names::default(),
        }
    }

    async fn step(&mut self, step: Step) -> Answered {
        match step {
            Step::One(part) => match self.one(part).await {
                Ok(reply) => Answered::One(reply),
                Err(fault) => Answered::One(logged(fault.reply())),
            },
            Step::All(parts) => match self.all(parts).await {
                Ok(replies) => Answered::All(replies),
                Err((place, fault)) => Answered::Failed(place, logged(fault.reply())),
            },
        }
    }

    async fn one(&mut self, part: Part) -> Result<Reply, Fault> {
        let id = part.id.clone();
        let call = self.call(part)?;
        if matches!(call.method, Method::GET | Method::HEAD) {
            return read::answer(self.sta, &call).await;
        }
        let author = self.author(&call).await?;
        let (reply, made) = change::one(self.sta, &call, &author, &self.names).await?;
        if let (Some(id), Some((of, made))) = (id, made) {
            self.names.add(id, Name::Known(of, made));
        }
        Ok(reply)
    }

    /// The replies, or which part is to blame and why.
    async fn all(&mut self, parts: Vec<Part>) -> Result<Vec<Reply>, (Option<usize>, Fault)> {
        let mut names = self.names.clone();
        let mut ids: BTreeMap<usize, String> = BTreeMap::new();
        let (mut calls, mut operations) = (Vec::new(), Vec::new());
        let mut author = Author::default();
        for (place, part) in parts.into_iter().enumerate() {
            let at = |fault| (Some(place), fault);
            let id = part.id.clone();
            let call = self.call(part).map_err(at)?;
            author = self.author(&call).await.map_err(at)?;
            if matches!(call.method, Method::GET | Method::HEAD) {
                let message = "a change set has no requests that only read; send them beside it";
                return Err(at(Fault::invalid(message)));
            }
            let plan = change::plan(self.sta, &call, &names).await.map_err(at)?;
            if let Some(id) = id {
                if let Operation::Create { draft, .. } = &plan.operation {
                    names.add(id.clone(), Name::Earlier(place, draft.entity_type));
                }
                ids.insert(place, id);
            }
            calls.push((call, plan.told_as));
            operations.push(plan.operation);
        }
        let now = (self.sta.clock)();
        let written = self.sta.store.sta_write(&author, operations, now).await;
        let outcomes = written.map_err(|error| (None, error.into()))?;
        let mut replies = Vec::with_capacity(outcomes.len());
        for (place, ((call, told_as), outcome)) in calls.iter().zip(&outcomes).enumerate() {
            if let (Some(id), Some((of, made))) = (ids.get(&place), made(outcome)) {
                self.names.add(id.clone(), Name::Known(of, made));
            }
            let told = change::told(self.sta, call, told_as, outcome).await;
            replies.push(told.unwrap_or_else(|fault| logged(fault.reply())));
        }
        Ok(replies)
    }

    async fn author(&mut self, call: &Call) -> Result<Author, Fault> {
        let author = self.sta.author(call).await?;
        self.who = Who::Author(author.clone());
        Ok(author)
    }

    fn call(&self, part: Part) -> Result<Call, Fault> {
        let method = part.method.to_ascii_uppercase();
        let method = Method::from_str(&method)
            .map_err(|_| Fault::invalid(format!("`{}` is no HTTP method", part.method)))?;
        let (path, query) = self.resolve(&part.url);
        if path == call::BATCH {
            return Err(Fault::invalid("a batch has no further batch in it"));
        }
        Ok(Call {
            version: self.version,
            root: Arc::clone(&self.root),
            method,
            path,
            query,
            headers: part.headers,
            body: part.body,
            who: self.who.clone(),
        })
    }

    /// Path below the face, and query, of a URL that is whole, begins at the server, or at the face.
    fn resolve(&self, url: &str) -> (String, String) {
        let (path, query) = url.split_once('?').unwrap_or((url, ""));
        let version = format!("/{}/", self.version.as_str());
        let below = match path.strip_prefix(&*self.root) {
            Some(below) => below,
            None if path.starts_with('/') || path.contains("://") => path
                .split_once(version.as_str())
                .map_or(path, |(_, below)| below),
            None => path,
        };
        (self.names.known(below.trim_matches('/')), query.to_owned())
    }
}

/// The entity that an operation made.
fn made(outcome: &Outcome) -> Option<(EntityType, i64)> {
    match outcome {
        Outcome::Created {
            entity_type, id, ..
        } => Some((*entity_type, *id)),
        _ => None,
    }
}

/// Within a batch nobody else sees the cause of a problem.
fn logged(mut reply: Reply) -> Reply {
    if let Some(problem) = reply.extensions_mut().remove::<Problem>()
        && let Some(cause) = problem.cause()
    {
        error!(cause, "request of a batch met a fault");
    }
    reply
}

/// The headers of a reply that a part of a batch has.
fn told_headers(reply: &Reply) -> impl Iterator<Item = (&'static str, &str)> {
    const TOLD: [header::HeaderName; 6] = [
        header::ALLOW,
        header::CONTENT_TYPE,
        header::ETAG,
        header::LOCATION,
        header::RETRY_AFTER,
        header::WARNING,
    ];
    const NAMES: [&str; 6] = [
        "Allow",
        "Content-Type",
        "ETag",
        "Location",
        "Retry-After",
        "Warning",
    ];
    TOLD.into_iter().zip(NAMES).filter_map(|(header, name)| {
        let value = reply.headers().get(header)?.to_str().ok()?;
        Some((name, value))
    })
}
