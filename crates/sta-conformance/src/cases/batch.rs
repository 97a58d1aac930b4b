//! Several requests in one: as multipart, and as JSON.

use std::fmt::Write as _;

use reqwest::Method;
use serde_json::{Value, json};

use crate::bench::Bench;
use crate::cases::{Row, check};
use crate::client::Answer;
use crate::outcome::{Check, ensure, skip};
use crate::server::Version;

const MULTI: &str = "11.1";
const FORM: &str = "OData JSON 4.01, 19";

pub(crate) const MULTIPART: &[Row] = &[
    Row::read(
        "answers-in-order",
        MULTI,
        "A batch of requests is answered with their answers, in their order.",
        check!(reads),
    ),
    Row::read(
        "relative-addresses",
        MULTI,
        "Requests may be relative to the service, or paths with a Host.",
        check!(addresses),
    ),
    Row::read(
        "error-in-its-place",
        MULTI,
        "A request that fails is answered with its own status, and the others go on.",
        check!(errors),
    ),
    Row::write(
        "change-set",
        MULTI,
        "The requests of a change set are carried out and answered within one part.",
        check!(changes),
    ),
    Row::write(
        "change-set-of-updates",
        MULTI,
        "A change set may change and delete.",
        check!(updates),
    ),
    Row::write(
        "reference-within-a-change-set",
        MULTI,
        "A request may refer to the entity that one before it made, by `$` and its Content-ID.",
        check!(references),
    ),
    Row::write(
        "reference-in-an-address",
        MULTI,
        "The address of a request may begin with the entity that one before it made.",
        check!(reference_in_address),
    ),
    Row::write(
        "change-set-all-or-nothing",
        MULTI,
        "When one request of a change set fails, none of it is carried out.",
        check!(atomic),
    ),
    Row::read(
        "no-batch",
        MULTI,
        "A body that is no batch is answered with 400.",
        check!(broken),
    ),
];

pub(crate) const JSON: &[Row] = &[
    Row::read(
        "answers-with-ids",
        FORM,
        "Each request is answered under its id.",
        check!(json_reads),
    ),
    Row::read(
        "error-in-its-place",
        FORM,
        "A request that fails is answered with its own status, and the others go on.",
        check!(json_errors),
    ),
    Row::write(
        "changes",
        FORM,
        "Entities are made, changed and deleted within a batch.",
        check!(json_changes),
    ),
    Row::write(
        "references",
        FORM,
        "A request may refer to the entity that one before it made, by `$` and its id.",
        check!(json_references),
    ),
    Row::write(
        "group-all-or-nothing",
        FORM,
        "When one request of an atomicity group fails, none of it is carried out.",
        check!(json_atomic),
    ),
    Row::read(
        "no-batch",
        FORM,
        "A body that is no batch is answered with 400.",
        check!(json_broken),
    ),
];

const BOUNDARY: &str = "batch_conformance";
const INNER: &str = "changes_conformance";

/// A request within a batch.
struct Part {
    method: &'static str,
    url: String,
    id: Option<&'static str>,
    host: Option<String>,
    body: Option<Value>,
}

impl Part {
    fn get(url: impl Into<String>) -> Self {
        Self {
            method: "GET",
            url: url.into(),
            id: None,
            host: None,
            body: None,
        }
    }

    fn post(id: &'static str, url: impl Into<String>, body: Value) -> Self {
        Self {
            method: "POST",
            url: url.into(),
            id: Some(id),
            host: None,
            body: Some(body),
        }
    }

    /// It as a part of a multipart body.
    fn text(&self) -> String {
        let mut text =
            String::from("Content-Type: application/http\r\nContent-Transfer-Encoding: binary\r\n");
        // Writing to a string cannot fail.
        if let Some(id) = self.id {
            let _ = write!(text, "Content-ID: {id}\r\n");
        }
        let _ = write!(text, "\r\n{} {} HTTP/1.1\r\n", self.method, self.url);
        if let Some(host) = &self.host {
            let _ = write!(text, "Host: {host}\r\n");
        }
        match &self.body {
            Some(body) => {
                let body = body.to_string();
                let length = body.len();
                let _ = write!(
                    text,
                    "Content-Type: application/json\r\nContent-Length: {length}\r\n\r\n{body}"
                );
            }
            None => text.push_str("\r\n"),
        }
        text
    }
}

/// A multipart body.
fn multipart(boundary: &str, parts: &[String]) -> String {
    let each = parts
        .iter()
        .map(|part| format!("--{boundary}\r\n{part}\r\n"));
    let parts: String = each.collect();
    format!("{parts}--{boundary}--\r\n")
}

/// A change set as a part.
fn change_set(parts: &[Part]) -> String {
    let inner: Vec<_> = parts.iter().map(Part::text).collect();
    let inner = multipart(INNER, &inner);
    format!("Content-Type: multipart/mixed; boundary={INNER}\r\n\r\n{inner}")
}

/// An answer within the answer to a batch.
#[derive(Debug, PartialEq)]
struct Inner {
    status: u16,
    location: Option<String>,
    body: String,
}

/// Sends a batch and takes its answer apart; a server of 1.0 need not offer batches.
async fn sent(bench: &Bench<'_>, parts: &[String]) -> Check<(Answer, Vec<Inner>)> {
    let content_type = format!("multipart/mixed; boundary={BOUNDARY}");
    let body = Some((content_type.as_str(), multipart(BOUNDARY, parts)));
    let answer = bench.client.send(Method::POST, "$batch", body).await?;
    offered(bench, &answer)?;
    let answer = answer.expect(&[200, 202])?;
    answer.ensure(answer.content_type.contains("multipart/mixed"), || {
        format!(
            "multipart/mixed was expected, not `{}`",
            answer.content_type
        )
    })?;
    let mut inner = Vec::new();
    split(&answer.content_type, &answer.text, &mut inner)
        .map_err(|why| answer.fault(format!("the body is no multipart body: {why}")))?;
    Ok((answer, inner))
}

/// A skip where a server that declares nothing has no batches.
fn offered(bench: &Bench<'_>, answer: &Answer) -> Check {
    if bench.server.version == Version::V10 && matches!(answer.status, 404 | 405 | 501) {
        return Err(skip(format!(
            "not offered: answered with {}",
            answer.status
        )));
    }
    Ok(())
}

/// Takes a multipart body apart, with those within it.
fn split(content_type: &str, text: &str, into: &mut Vec<Inner>) -> Result<(), String> {
    let (_, boundary) = content_type
        .split_once("boundary=")
        .ok_or("no boundary in the content type")?;
    let boundary = boundary
        .split(';')
        .next()
        .unwrap_or_default()
        .trim()
        .trim_matches('"');
    let text = text.replace("\r\n", "\n");
    let mark = format!("--{boundary}");
    let mut pieces = format!("\n{text}");
    pieces = pieces.replace(&format!("\n{mark}--"), &format!("\n{mark}\n"));
    let pieces: Vec<_> = pieces
        .split(&format!("\n{mark}\n"))
        .skip(1)
        .map(str::to_owned)
        .collect();
    if pieces.is_empty() {
        return Err(format!("no part between boundaries {boundary}"));
    }
    for piece in pieces {
        if piece.trim().is_empty() {
            continue;
        }
        let (head, rest) = piece.split_once("\n\n").unwrap_or((&piece, ""));
        match header(head, "content-type") {
            Some(kind) if kind.contains("multipart/mixed") => split(&kind, rest, into)?,
            _ => into.push(http(rest)?),
        }
    }
    Ok(())
}

/// A header within the head of a part.
fn header(head: &str, name: &str) -> Option<String> {
    head.lines().find_map(|line| {
        let (key, value) = line.split_once(':')?;
        key.trim()
            .eq_ignore_ascii_case(name)
            .then(|| value.trim().to_owned())
    })
}

/// An HTTP answer as text.
fn http(text: &str) -> Result<Inner, String> {
    let text = text.trim_start();
    let (head, body) = text.split_once("\n\n").unwrap_or((text, ""));
    let status = head.split_whitespace().nth(1).and_then(|s| s.parse().ok());
    Ok(Inner {
        status: status.ok_or_else(|| format!("no status in `{head}`"))?,
        location: header(head, "location"),
        body: body.trim().to_owned(),
    })
}

/// Ends the case unless a batch was answered with these statuses.
fn statuses(answer: &Answer, inner: &[Inner], expected: &[&[u16]]) -> Check {
    let got: Vec<_> = inner.iter().map(|i| i.status).collect();
    let fits = got.len() == expected.len()
        && got
            .iter()
            .zip(expected)
            .all(|(got, allowed)| allowed.contains(got));
    answer.ensure(fits, || {
        format!("the statuses {expected:?} were expected, not {got:?}")
    })
}

async fn reads(bench: &Bench<'_>) -> Check {
    let parts = ["Things?$top=1", "Sensors?$top=1"].map(|url| Part::get(url).text());
    let (answer, inner) = sent(bench, &parts).await?;
    statuses(&answer, &inner, &[&[200], &[200]])?;
    for (inner, set) in inner.iter().zip(["Things", "Sensors"]) {
        let body: Value = serde_json::from_str(&inner.body).unwrap_or_default();
        let first = body
            .pointer("/value/0/@iot.selfLink")
            .and_then(Value::as_str);
        let listed = body.get("value").is_some_and(Value::is_array);
        answer.ensure(
            listed && first.is_none_or(|link| link.contains(set)),
            || format!("the list of {set} was expected in its place"),
        )?;
    }
    Ok(())
}

async fn addresses(bench: &Bench<'_>) -> Check {
    let root = bench.client.root();
    let behind = root.split_once("://").map_or(root, |(_, rest)| rest);
    let (host, path) = behind.split_once('/').unwrap_or((behind, ""));
    let mut with_host = Part::get(format!("/{path}/Things?$top=1"));
    with_host.host = Some(host.to_owned());
    let parts = [
        Part::get("Things?$top=1"),
        with_host,
        Part::get(format!("{root}/Things?$top=1")),
    ];
    let texts = parts.map(|part| part.text());
    let (answer, inner) = sent(bench, &texts).await?;
    statuses(&answer, &inner, &[&[200], &[200], &[200]])
}

async fn errors(bench: &Bench<'_>) -> Check {
    let urls = ["Things?$top=1", "NoSuchThings", "Sensors?$top=1"];
    let (answer, inner) = sent(bench, &urls.map(|url| Part::get(url).text())).await?;
    statuses(&answer, &inner, &[&[200], &[400, 404], &[200]])
}

/// The body of a Thing.
fn thing(bench: &Bench<'_>, label: &str) -> Value {
    json!({ "name": bench.scribe.name(label), "description": "made in a batch" })
}

/// Remembers what a batch made.
fn adopt(bench: &Bench<'_>, inner: &[Inner]) {
    let made = inner.iter().filter(|inner| inner.status == 201);
    for location in made.filter_map(|inner| inner.location.as_deref()) {
        if let Some(path) = location.rsplit('/').next() {
            bench.scribe.adopt(path);
        }
    }
}

async fn changes(bench: &Bench<'_>) -> Check {
    let parts = [
        change_set(&[
            Part::post("1", "Things", thing(bench, "batch one")),
            Part::post("2", "Things", thing(bench, "batch two")),
        ]),
        Part::get("Things?$top=1").text(),
    ];
    let (answer, inner) = sent(bench, &parts).await?;
    adopt(bench, &inner);
    statuses(&answer, &inner, &[&[201], &[201], &[200]])?;
    for label in ["batch one", "batch two"] {
        let made = bench.named("Things", label).await?;
        answer.ensure(made == 1, || format!("{made} Things were made for {label}"))?;
    }
    Ok(())
}

async fn updates(bench: &Bench<'_>) -> Check {
    let changed = bench.small_station("batch changed").await?.thing.path;
    let deleted = bench.small_station("batch deleted").await?.thing.path;
    let mut patch = Part::post("1", changed.clone(), json!({ "description": "patched" }));
    patch.method = "PATCH";
    let mut delete = Part::get(deleted.clone());
    delete.method = "DELETE";
    delete.id = Some("2");
    let (answer, inner) = sent(bench, &[change_set(&[patch, delete])]).await?;
    statuses(&answer, &inner, &[&[200, 204], &[200, 204]])?;
    let description = bench.read(&changed).await?.get("description").cloned();
    answer.ensure(description == Some(json!("patched")), || {
        "nothing was patched".to_owned()
    })?;
    bench.gone(&deleted).await
}

/// The body of a Datastream of the Thing that the request `1` makes.
fn stream_of(bench: &Bench<'_>, reference: &str) -> Check<Value> {
    let own = &bench.own;
    let sensor = own.sensor()?.reference();
    let property = own.property()?.reference();
    let mut stream = crate::own::datastream(&bench.scribe, "batch stream", &sensor, &property);
    stream["Thing"] = json!({ "@iot.id": reference });
    Ok(stream)
}

async fn references(bench: &Bench<'_>) -> Check {
    let parts = [change_set(&[
        Part::post("1", "Things", thing(bench, "batch referred")),
        Part::post("2", "Datastreams", stream_of(bench, "$1")?),
    ])];
    let (answer, inner) = sent(bench, &parts).await?;
    adopt(bench, &inner);
    statuses(&answer, &inner, &[&[201], &[201]])?;
    related(bench, "batch referred").await
}

async fn reference_in_address(bench: &Bench<'_>) -> Check {
    let place = crate::own::location(&bench.scribe, "batch place", &bench.spot());
    let mut patch = Part::post("3", "$1", json!({ "description": "patched" }));
    patch.method = "PATCH";
    let parts = [change_set(&[
        Part::post("1", "Things", thing(bench, "batch addressed")),
        Part::post("2", "$1/Locations", place),
        patch,
    ])];
    let (answer, inner) = sent(bench, &parts).await?;
    adopt(bench, &inner);
    statuses(&answer, &inner, &[&[201], &[201], &[200, 204]])?;
    let filter = format!("name eq '{}'", bench.scribe.name("batch addressed"));
    let options = [("$filter", filter.as_str()), ("$expand", "Locations")];
    let things = bench.list("Things", &options).await?;
    let patched = things.first().and_then(|t| t.get("description")).cloned();
    let places = things
        .first()
        .and_then(|t| t.get("Locations")?.as_array().map(Vec::len));
    ensure(
        patched == Some(json!("patched")) && places == Some(1),
        || format!("the Thing was expected to be patched and to have the Location: {things:?}"),
    )
}

/// Ends the case unless the Thing of a batch has a Datastream.
async fn related(bench: &Bench<'_>, label: &str) -> Check {
    let filter = format!("name eq '{}'", bench.scribe.name(label));
    let options = [("$filter", filter.as_str()), ("$expand", "Datastreams")];
    let things = bench.list("Things", &options).await?;
    let streams = things
        .first()
        .and_then(|t| t.get("Datastreams")?.as_array().map(Vec::len));
    ensure(streams == Some(1), || {
        format!("the Thing was expected to have the Datastream of the batch: {things:?}")
    })
}

async fn atomic(bench: &Bench<'_>) -> Check {
    let parts = [change_set(&[
        Part::post("1", "Things", thing(bench, "batch undone")),
        Part::post("2", "Things", json!({ "description": "without a name" })),
    ])];
    let (answer, inner) = sent(bench, &parts).await?;
    adopt(bench, &inner);
    let failed = inner.iter().any(|i| i.status >= 400);
    answer.ensure(failed, || "an error was expected".to_owned())?;
    let left = bench.named("Things", "batch undone").await?;
    answer.ensure(left == 0, || {
        "the first request was carried out all the same".to_owned()
    })
}

async fn broken(bench: &Bench<'_>) -> Check {
    sent(bench, &[Part::get("Things?$top=1").text()]).await?;
    let content_type = format!("multipart/mixed; boundary={BOUNDARY}");
    let body = Some((content_type.as_str(), "no parts".to_owned()));
    let answer = bench.client.send(Method::POST, "$batch", body).await?;
    offered(bench, &answer)?;
    answer.expect(&[400]).map(drop)
}

/// Sends a batch as JSON and gives its answers by their ids.
async fn json_sent(bench: &Bench<'_>, requests: &Value) -> Check<(Answer, Vec<Value>)> {
    let body = json!({ "requests": requests });
    let answer = bench.client.json(Method::POST, "$batch", &body).await?;
    if bench.server.conformance.is_none() && matches!(answer.status, 400 | 404 | 405 | 415 | 501) {
        return Err(skip(format!(
            "not offered: answered with {}",
            answer.status
        )));
    }
    let answer = answer.ok()?;
    let responses = answer.member("responses")?;
    let responses = responses.as_array().cloned();
    let responses = responses.ok_or_else(|| answer.fault("`responses` is no list"))?;
    for response in &responses {
        if let Some(own) = location_of(response) {
            bench.scribe.adopt(&own);
        }
    }
    Ok((answer, responses))
}

/// The path of the entity that an answer says was made.
fn location_of(response: &Value) -> Option<String> {
    if response.get("status").and_then(Value::as_u64) != Some(201) {
        return None;
    }
    let headers = response.get("headers").and_then(Value::as_object);
    let header = headers.and_then(|headers| {
        let found = headers
            .iter()
            .find(|(name, _)| name.eq_ignore_ascii_case("location"));
        found.and_then(|(_, value)| value.as_str())
    });
    let location = header.or_else(|| response.get("location").and_then(Value::as_str))?;
    location.rsplit('/').next().map(str::to_owned)
}

/// The status under an id.
fn status_of(answer: &Answer, responses: &[Value], id: &str) -> Check<u64> {
    let found = responses
        .iter()
        .find(|r| r.get("id").and_then(Value::as_str) == Some(id));
    found
        .and_then(|response| response.get("status")?.as_u64())
        .ok_or_else(|| answer.fault(format!("no answer with a status under the id {id}")))
}

/// Ends the case unless each id has one of its statuses.
fn json_statuses(answer: &Answer, responses: &[Value], expected: &[(&str, &[u64])]) -> Check {
    for (id, allowed) in expected {
        let status = status_of(answer, responses, id)?;
        answer.ensure(allowed.contains(&status), || {
            format!("request {id}: {allowed:?} was expected, not {status}")
        })?;
    }
    Ok(())
}

async fn json_reads(bench: &Bench<'_>) -> Check {
    let requests = json!([
        { "id": "a", "method": "get", "url": "Things?$top=1" },
        { "id": "b", "method": "get", "url": "Sensors?$top=1" },
    ]);
    let (answer, responses) = json_sent(bench, &requests).await?;
    json_statuses(&answer, &responses, &[("a", &[200]), ("b", &[200])])?;
    let body = responses.iter().find_map(|r| r.get("body")?.get("value"));
    answer.ensure(body.is_some_and(Value::is_array), || {
        "a body with a list was expected".to_owned()
    })
}

async fn json_errors(bench: &Bench<'_>) -> Check {
    let requests = json!([
        { "id": "1", "method": "get", "url": "Things?$top=1" },
        { "id": "2", "method": "get", "url": "NoSuchThings" },
        { "id": "3", "method": "get", "url": "Sensors?$top=1" },
    ]);
    let (answer, responses) = json_sent(bench, &requests).await?;
    json_statuses(
        &answer,
        &responses,
        &[("1", &[200]), ("2", &[400, 404]), ("3", &[200])],
    )
}

async fn json_changes(bench: &Bench<'_>) -> Check {
    let changed = bench.small_station("json batch changed").await?.thing.path;
    let deleted = bench.small_station("json batch deleted").await?.thing.path;
    let requests = json!([
        { "id": "1", "method": "post", "url": "Things", "body": thing(bench, "json batch made") },
        { "id": "2", "method": "patch", "url": changed, "body": { "description": "patched" } },
        { "id": "3", "method": "delete", "url": deleted },
    ]);
    let (answer, responses) = json_sent(bench, &requests).await?;
    let expected: [(&str, &[u64]); 3] = [("1", &[201]), ("2", &[200, 204]), ("3", &[200, 204])];
    json_statuses(&answer, &responses, &expected)?;
    let made = bench.named("Things", "json batch made").await?;
    answer.ensure(made == 1, || format!("{made} Things were made"))?;
    let description = bench.read(&changed).await?.get("description").cloned();
    answer.ensure(description == Some(json!("patched")), || {
        "nothing was patched".to_owned()
    })?;
    bench.gone(&deleted).await
}

async fn json_references(bench: &Bench<'_>) -> Check {
    let requests = json!([
        {
            "id": "t", "atomicityGroup": "g", "method": "post", "url": "Things",
            "body": thing(bench, "json batch referred"),
        },
        {
            "id": "s", "atomicityGroup": "g", "method": "post", "url": "Datastreams",
            "body": stream_of(bench, "$t")?,
        },
    ]);
    let (answer, responses) = json_sent(bench, &requests).await?;
    json_statuses(&answer, &responses, &[("t", &[201]), ("s", &[201])])?;
    related(bench, "json batch referred").await
}

async fn json_atomic(bench: &Bench<'_>) -> Check {
    let requests = json!([
        {
            "id": "1", "atomicityGroup": "g", "method": "post", "url": "Things",
            "body": thing(bench, "json batch undone"),
        },
        {
            "id": "2", "atomicityGroup": "g", "method": "post", "url": "Things",
            "body": { "description": "without a name" },
        },
    ]);
    let (answer, responses) = json_sent(bench, &requests).await?;
    let status = status_of(&answer, &responses, "2")?;
    answer.ensure(status >= 400, || {
        format!("an error was expected, not {status}")
    })?;
    let left = bench.named("Things", "json batch undone").await?;
    answer.ensure(left == 0, || {
        "the first request was carried out all the same".to_owned()
    })
}

async fn json_broken(bench: &Bench<'_>) -> Check {
    let good = json!([{ "id": "1", "method": "get", "url": "Things?$top=1" }]);
    json_sent(bench, &good).await?;
    for body in [json!({}), json!({ "requests": 1 }), json!([])] {
        let answer = bench.client.json(Method::POST, "$batch", &body).await?;
        answer.expect(&[400])?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_batch_within_a_batch_is_taken_apart_in_order() {
        let inner = "--in\r\nContent-Type: application/http\r\n\r\nHTTP/1.1 201 Created\r\n\
                     Location: http://h/v1.1/Things(1)\r\n\r\n\r\n--in--\r\n";
        let text = format!(
            "--out\r\nContent-Type: multipart/mixed; boundary=in\r\n\r\n{inner}\r\n\
             --out\r\nContent-Type: application/http\r\n\r\nHTTP/1.1 200 OK\r\n\
             Content-Type: application/json\r\n\r\n{{\"value\":[]}}\r\n--out--\r\n"
        );
        let mut parts = Vec::new();
        split("multipart/mixed; boundary=\"out\"", &text, &mut parts).unwrap();
        assert_eq!(parts.len(), 2);
        assert_eq!((parts[0].status, parts[1].status), (201, 200));
        assert_eq!(
            parts[0].location.as_deref(),
            Some("http://h/v1.1/Things(1)")
        );
        assert_eq!(parts[1].body, "{\"value\":[]}");
    }

    #[test]
    fn a_body_without_parts_is_no_batch() {
        assert!(split("multipart/mixed; boundary=x", "{}", &mut Vec::new()).is_err());
        assert!(split("application/json", "{}", &mut Vec::new()).is_err());
    }
}
