//! A batch as JSON (OData JSON Format 4.01, 19).

use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use smartem_sta::write::Body;

use super::{Answered, Part, Run, Step, check_number, told_headers};
use crate::sensorthings::Sta;
use crate::sensorthings::call::{Call, Reply};
use crate::sensorthings::fault::Fault;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Batch {
    requests: Vec<Request>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Request {
    id: String,
    method: String,
    url: String,
    #[serde(default)]
    headers: Map<String, Value>,
    #[serde(default)]
    body: Value,
    /// Requests that follow each other and have the same happen all or not at all.
    atomicity_group: Option<String>,
    /// Requests and groups that must have succeeded.
    #[serde(default)]
    depends_on: Vec<String>,
}

/// Requests that are one step.
struct Group {
    name: Option<String>,
    ids: Vec<String>,
    depends_on: Vec<String>,
    step: Step,
}

pub(super) async fn answer(sta: &Sta, call: &Call) -> Result<Reply, Fault> {
    let batch: Batch = serde_json::from_slice(&call.body).map_err(|error| {
        Fault::invalid(format!(
            "the body is no batch: {error}; it is {{\"requests\": [{{\"id\": \"1\", \"method\": \"get\", \
             \"url\": \"Things\"}}]}}"
        ))
    })?;
    check_number(batch.requests.len())?;
    let groups = groups(batch.requests)?;
    let mut run = Run::new(sta, call);
    let mut failed: Vec<String> = Vec::new();
    let mut responses = Vec::new();
    for group in groups {
        let group_name = group.name.as_deref();
        if let Some(cause) = group.depends_on.iter().find(|it| failed.contains(it)) {
            let fault = failed_dependency(&format!("`{cause}`, on which this depends, failed"));
            let reply = fault.reply();
            for id in &group.ids {
                responses.push(response(id, group_name, &reply));
            }
            failed.extend(group.ids.into_iter().chain(group.name));
            continue;
        }
        let (replies, is_failed) = replies(run.step(group.step).await, group.ids.len());
        for (id, reply) in group.ids.iter().zip(&replies) {
            if is_failed || reply.status().is_client_error() || reply.status().is_server_error() {
                failed.push(id.clone());
            }
            responses.push(response(id, group_name, reply));
        }
        failed.extend(group.name.filter(|_| is_failed));
    }
    let bytes = json!({"responses": responses}).to_string().into_bytes();
    Ok(super::super::reply(StatusCode::OK, Body::JSON, bytes))
}

/// The replies to the requests of a group, and whether it failed.
fn replies(answered: Answered, number: usize) -> (Vec<Reply>, bool) {
    match answered {
        Answered::One(reply) => {
            let is_failed = reply.status().is_client_error() || reply.status().is_server_error();
            (vec![reply], is_failed)
        }
        Answered::All(replies) => (replies, false),
        Answered::Failed(blamed, reply) => {
            let others = "another request of the group failed, so this was not done";
            let reply_to = |place: usize| match blamed {
                Some(blamed) if blamed != place => failed_dependency(others).reply(),
                _ => reply.clone(),
            };
            ((0..number).map(reply_to).collect(), true)
        }
    }
}

fn failed_dependency(message: &str) -> Fault {
    Fault::new(StatusCode::FAILED_DEPENDENCY, message)
}

/// Requests in their order, those of a group together.
fn groups(requests: Vec<Request>) -> Result<Vec<Group>, Fault> {
    let mut groups: Vec<Group> = Vec::new();
    let mut seen: Vec<String> = Vec::new();
    for request in requests {
        let id = request.id.clone();
        if seen.contains(&id) {
            let message = format!("two requests have the id `{id}`; give each its own");
            return Err(Fault::invalid(message));
        }
        for named in &request.depends_on {
            let is_group = groups.iter().any(|it| it.name.as_ref() == Some(named));
            if !seen.contains(named) && !is_group {
                let message = format!(
                    "request `{id}` depends on `{named}`, which does not stand before it in the batch"
                );
                return Err(Fault::invalid(message));
            }
        }
        seen.push(id.clone());
        let name = request.atomicity_group.clone();
        let depends_on = request.depends_on.clone();
        let part = part(request)?;
        let Some(name) = name else {
            groups.push(Group {
                name: None,
                ids: vec![id],
                depends_on,
                step: Step::One(part),
            });
            continue;
        };
        let is_known = groups.iter().any(|it| it.name.as_ref() == Some(&name));
        match groups.last_mut() {
            Some(group) if group.name.as_ref() == Some(&name) => {
                // Within a group, all fail together anyway.
                let others = depends_on.into_iter();
                let others: Vec<_> = others.filter(|it| !group.ids.contains(it)).collect();
                group.depends_on.extend(others);
                group.ids.push(id);
                if let Step::All(parts) = &mut group.step {
                    parts.push(part);
                }
            }
            _ if is_known => {
                let message = format!(
                    "the requests of the group `{name}` do not follow each other; put them together"
                );
                return Err(Fault::invalid(message));
            }
            _ => groups.push(Group {
                name: Some(name),
                ids: vec![id],
                depends_on,
                step: Step::All(vec![part]),
            }),
        }
    }
    Ok(groups)
}

fn part(request: Request) -> Result<Part, Fault> {
    let mut headers = HeaderMap::new();
    for (name, value) in &request.headers {
        let parsed = HeaderName::from_bytes(name.as_bytes()).ok();
        let parsed = parsed.zip(value.as_str().and_then(|it| HeaderValue::from_str(it).ok()));
        let Some((name, value)) = parsed else {
            let message = format!("request `{}` has a bad header `{name}`", request.id);
            return Err(Fault::invalid(message));
        };
        headers.append(name, value);
    }
    let body = match request.body {
        Value::Null => Vec::new(),
        Value::String(text) => text.into_bytes(),
        other => other.to_string().into_bytes(),
    };
    Ok(Part {
        id: Some(request.id),
        method: request.method,
        url: request.url,
        headers,
        body: body.into(),
    })
}

fn response(id: &str, group: Option<&str>, reply: &Reply) -> Value {
    let mut response = json!({"id": id, "status": reply.status().as_u16()});
    if let Some(group) = group {
        response["atomicityGroup"] = group.into();
    }
    let headers: Map<String, Value> = told_headers(reply)
        .map(|(name, value)| (name.to_ascii_lowercase(), value.into()))
        .collect();
    let is_json = headers
        .get("content-type")
        .and_then(Value::as_str)
        .is_some_and(|it| it.split(';').next().is_some_and(|it| it.ends_with("json")));
    if !headers.is_empty() {
        response["headers"] = headers.into();
    }
    if !reply.body().is_empty() {
        let of_json = is_json.then(|| serde_json::from_slice(reply.body()).ok());
        response["body"] = of_json
            .flatten()
            .unwrap_or_else(|| String::from_utf8_lossy(reply.body()).into());
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(requests: Value) -> Result<Vec<Group>, String> {
        let requests: Vec<Request> = serde_json::from_value(requests).unwrap();
        groups(requests).map_err(|fault| fault.message().to_owned())
    }

    #[test]
    fn requests_of_a_group_are_one_step() {
        let get = |id: &str| json!({"id": id, "method": "get", "url": "Things"});
        let post = |id: &str, group: &str| {
            json!({"id": id, "method": "post", "url": "Things", "atomicityGroup": group,
                "body": {"name": "a"}, "headers": {"Prefer": "return=minimal"}})
        };
        let groups = of(json!([
            get("1"),
            post("2", "a"),
            post("3", "a"),
            post("4", "b")
        ]))
        .unwrap();
        let shape: Vec<(Option<&str>, usize)> = groups
            .iter()
            .map(|it| (it.name.as_deref(), it.ids.len()))
            .collect();
        assert_eq!(shape, [(None, 1), (Some("a"), 2), (Some("b"), 1)]);
    }

    #[test]
    fn a_batch_that_makes_no_sense_is_refused() {
        let with = |more: Value| {
            let mut request = json!({"id": "1", "method": "get", "url": "Things"});
            for (key, value) in more.as_object().unwrap() {
                request[key] = value.clone();
            }
            request
        };
        for (requests, told) in [
            (json!([with(json!({})), with(json!({}))]), "two requests"),
            (json!([with(json!({"dependsOn": ["9"]}))]), "`9`"),
            (
                json!([with(json!({"headers": {"a b": "c"}}))]),
                "bad header",
            ),
            (
                json!([
                    with(json!({"atomicityGroup": "a"})),
                    with(json!({"id": "2"})),
                    with(json!({"id": "3", "atomicityGroup": "a"})),
                ]),
                "do not follow",
            ),
        ] {
            let message = of(requests).err().unwrap();
            assert!(message.contains(told), "{message}");
        }
    }
}
