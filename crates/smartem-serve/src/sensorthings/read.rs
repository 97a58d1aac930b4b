//! Answers to GET.

use axum::http::{HeaderValue, StatusCode, header};
use smartem_http::ETag;
use smartem_sta::write::{self, Frame};
use smartem_sta::{Query, ResourcePath, Target, Version};
use smartem_store::StaError;

use super::Sta;
use super::call::{Call, Reply};
use super::fault::Fault;
use crate::answer::{store_fault, text_hash};

pub(super) async fn answer(sta: &Sta, call: &Call) -> Result<Reply, Fault> {
    let path = ResourcePath::parse(&call.path, call.version).map_err(Fault::of_path)?;
    let query = Query::parse(
        &call.query,
        path.entity_type(),
        call.version,
        path.is_single(),
    )?;
    let is_entity = is_plain_entity(&path, &call.query);
    let of_state = if is_entity {
        None
    } else {
        // Taken before the store is read, so that a tag is never newer than its answer.
        let etag = state(sta, call).await?;
        if etag.is_known_to(&call.headers) {
            return Ok(not_modified(&etag));
        }
        Some(etag)
    };
    let limits = sta.limits(call.version);
    let answered = sta.store.sta_read(&path, &query, &limits).await;
    let answer = answered.map_err(|error| placed(error, &query))?;
    let frame = Frame {
        version: call.version,
        root: &call.root,
        path: &path,
        path_text: &call.path,
        query: &query,
    };
    let body = match write::answer(&answer, &frame) {
        Ok(body) => body,
        Err(write::WriteError::Null) => return Ok(nothing(call.version, &path)),
        Err(error) => return Err(error.into()),
    };
    let etag = of_state.unwrap_or_else(|| content(&body.bytes));
    if etag.is_known_to(&call.headers) {
        return Ok(not_modified(&etag));
    }
    let mut reply = super::reply(StatusCode::OK, body.media_type, body.bytes);
    tag(&mut reply, &etag);
    Ok(reply)
}

/// An error of the store with its place, where that can only be in one option.
fn placed(error: StaError, query: &Query) -> Fault {
    let at = match &error {
        StaError::Invalid { at, .. } => at.as_ref().map(|at| at.start),
        _ => None,
    };
    let fault = Fault::from(error);
    let has_place = |name: &str| matches!(name, "$filter" | "$orderby" | "$apply" | "$expand");
    let mut options = query.source.iter().filter(|(name, _)| has_place(name));
    match (at, options.next(), options.next()) {
        (Some(at), Some((name, value)), None) if name != "$expand" => {
            let before = value.char_indices().take_while(|(place, _)| *place < at);
            fault.at(name, before.count() + 1)
        }
        _ => fault,
    }
}

/// Whether a call asks for one entity as it is. Its tag is made of what it says, so that it holds while only
/// others change.
fn is_plain_entity(path: &ResourcePath, query: &str) -> bool {
    path.is_single() && path.target == Target::Entities && query.is_empty()
}

/// The tag of an answer by the state of the store. Answers of different roots have different links.
async fn state(sta: &Sta, call: &Call) -> Result<ETag, Fault> {
    let change = sta.store.change().await.map_err(store_fault)?;
    let root = text_hash(call.root.as_bytes());
    Ok(ETag::new(&format!("{change}-{root}-{}", sta.version)))
}

/// The tag of what a body says.
pub(super) fn content(body: &[u8]) -> ETag {
    ETag::new(&text_hash(body))
}

/// Adds a tag to a reply, and the request to ask before it is used again.
pub(super) fn tag(reply: &mut Reply, etag: &ETag) {
    let headers = reply.headers_mut();
    headers.insert(header::ETAG, etag.value().clone());
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
}

fn not_modified(etag: &ETag) -> Reply {
    let mut reply = Reply::default();
    *reply.status_mut() = StatusCode::NOT_MODIFIED;
    tag(&mut reply, etag);
    reply
}

/// The answer for a null: 204; in version 1.0 the null itself, which its official tests ask for.
fn nothing(version: Version, path: &ResourcePath) -> Reply {
    if let (Version::V1_0, Target::Property(property, members)) = (version, &path.target)
        && members.is_empty()
    {
        let body = format!("{{\"{}\":null}}", property.name());
        return super::reply(StatusCode::OK, "application/json", body.into_bytes());
    }
    let mut reply = Reply::default();
    *reply.status_mut() = StatusCode::NO_CONTENT;
    reply
}
