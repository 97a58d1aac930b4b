//! A batch as `multipart/mixed`, each part an HTTP request (RFC 2046, RFC 9112).

use std::fmt::Write as _;

use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use bytes::Bytes;

use super::{Answered, Part, Run, Step, check_number, told_headers};
use crate::answer::text_hash;
use crate::sensorthings::Sta;
use crate::sensorthings::call::{Call, Reply};
use crate::sensorthings::fault::Fault;

/// Headers of one part at most.
const HEADERS_MAX: usize = 64;

pub(super) async fn answer(sta: &Sta, call: &Call) -> Result<Reply, Fault> {
    let boundary = boundary(call.header(header::CONTENT_TYPE.as_str()))?;
    let steps = read(&call.body, &boundary)?;
    let mut run = Run::new(sta, call);
    let mut out = Mixed::new(&call.body);
    for step in steps {
        let ids: Vec<Option<String>> = match &step {
            Step::One(part) => vec![part.id.clone()],
            Step::All(parts) => parts.iter().map(|part| part.id.clone()).collect(),
        };
        match run.step(step).await {
            Answered::One(reply) => {
                let id = ids.first().and_then(Option::as_deref);
                out.add_reply(&reply, id);
            }
            Answered::Failed(_, reply) => out.add_reply(&reply, None),
            Answered::All(replies) => {
                let mut inner = Mixed::new(out.boundary.as_bytes());
                for (reply, id) in replies.iter().zip(&ids) {
                    inner.add_reply(reply, id.as_deref());
                }
                out.add_mixed(&inner);
            }
        }
    }
    let (media_type, bytes) = out.end();
    let mut reply = Reply::new(bytes.into());
    *reply.status_mut() = StatusCode::OK;
    if let Ok(media_type) = HeaderValue::from_str(&media_type) {
        reply.headers_mut().insert(header::CONTENT_TYPE, media_type);
    }
    Ok(reply)
}

/// The parameter `boundary` of a media type.
fn boundary(media_type: &str) -> Result<String, Fault> {
    let parameters = media_type.split(';').skip(1);
    let mut named = parameters.filter_map(|it| it.trim().split_once('='));
    let found = named.find(|(name, _)| name.trim().eq_ignore_ascii_case("boundary"));
    let boundary = found.map(|(_, value)| value.trim().trim_matches('"'));
    boundary
        .filter(|it| (1..=70).contains(&it.len()))
        .map(str::to_owned)
        .ok_or_else(|| {
            let message = "the media type `multipart/mixed` needs a boundary of 1 to 70 characters: \
                           `multipart/mixed; boundary=batch_1`";
            Fault::invalid(message).about("Content-Type")
        })
}

/// The steps of a batch.
fn read(body: &Bytes, boundary: &str) -> Result<Vec<Step>, Fault> {
    let mut steps = Vec::new();
    let mut number = 0;
    for (place, part) in parts(body, boundary)?.into_iter().enumerate() {
        let place = (place + 1).to_string();
        let (headers, content) = headers(&part, &place)?;
        let media_type = text(&headers, header::CONTENT_TYPE.as_str());
        if media_type
            .to_ascii_lowercase()
            .starts_with("multipart/mixed")
        {
            let inner = self::boundary(media_type)?;
            let mut set = Vec::new();
            for (inner_place, part) in parts(&content, &inner)?.iter().enumerate() {
                let place = format!("{place}.{}", inner_place + 1);
                let (headers, content) = self::headers(part, &place)?;
                set.push(request(&headers, &content, &place)?);
            }
            number += set.len();
            steps.push(Step::All(set));
        } else {
            number += 1;
            steps.push(Step::One(request(&headers, &content, &place)?));
        }
        check_number(number)?;
    }
    Ok(steps)
}

/// What stands between the lines with the boundary.
fn parts(body: &Bytes, boundary: &str) -> Result<Vec<Bytes>, Fault> {
    let (delimiter, last) = (format!("--{boundary}"), format!("--{boundary}--"));
    let mut parts = Vec::new();
    let mut start: Option<usize> = None;
    let mut at = 0;
    for line in body.split_inclusive(|byte| *byte == b'\n') {
        let begin = at;
        at += line.len();
        let line = line.trim_ascii_end();
        if line != delimiter.as_bytes() && line != last.as_bytes() {
            continue;
        }
        if let Some(start) = start {
            // The line break before a boundary belongs to the boundary.
            let content = body.slice(start..begin);
            let end = content
                .strip_suffix(b"\r\n")
                .or_else(|| content.strip_suffix(b"\n"))
                .map_or(content.len(), <[u8]>::len);
            parts.push(content.slice(..end));
        }
        if line == last.as_bytes() {
            return Ok(parts);
        }
        start = Some(at);
    }
    Err(Fault::invalid(format!(
        "the body does not end with the boundary `{last}`; is it cut off?"
    )))
}

/// The headers at the beginning of a part, and what follows the empty line.
fn headers(part: &Bytes, place: &str) -> Result<(HeaderMap, Bytes), Fault> {
    let faulty = |what: &str| Fault::invalid(format!("part {place} of the batch {what}"));
    // Headers without a body may end with the part.
    let mut ended = part.to_vec();
    ended.extend_from_slice(b"\r\n\r\n");
    let mut slots = [httparse::EMPTY_HEADER; HEADERS_MAX];
    let parsed = httparse::parse_headers(&ended, &mut slots);
    let (end, given) = match parsed {
        Ok(httparse::Status::Complete(it)) => it,
        Ok(httparse::Status::Partial) => return Err(faulty("has headers that do not end")),
        Err(error) => {
            return Err(faulty(&format!(
                "has headers that cannot be read: {error}; after them there is an empty line"
            )));
        }
    };
    let mut headers = HeaderMap::new();
    for header in given {
        let name = HeaderName::from_bytes(header.name.as_bytes());
        let value = HeaderValue::from_bytes(header.value);
        if let (Ok(name), Ok(value)) = (name, value) {
            headers.append(name, value);
        }
    }
    Ok((headers, part.slice(end.min(part.len())..)))
}

/// The request that a part holds.
fn request(part: &HeaderMap, content: &Bytes, place: &str) -> Result<Part, Fault> {
    let media_type = text(part, header::CONTENT_TYPE.as_str());
    let faulty = |what: &str| Fault::invalid(format!("part {place} of the batch {what}"));
    if !media_type
        .to_ascii_lowercase()
        .starts_with("application/http")
    {
        return Err(faulty(&format!(
            "is `{media_type}`; it must be `application/http`, or a change set of `multipart/mixed`"
        )));
    }
    // Empty lines before a request are allowed (RFC 9112, 2.2).
    let skipped = content.len() - content.trim_ascii_start().len();
    let content = content.slice(skipped..);
    let line_end = content.iter().position(|byte| *byte == b'\n');
    let line_end = line_end.map_or(content.len(), |end| end + 1);
    let line = std::str::from_utf8(&content[..line_end])
        .map_err(|_| faulty("has a request line that is no UTF-8"))?;
    // Addresses in batches are often written with blanks.
    let line = line.trim();
    let line = line.rsplit_once(" HTTP/").map_or(line, |(line, _)| line);
    let (method, url) = line.split_once(' ').ok_or_else(|| {
        faulty("has no request line such as `POST Things HTTP/1.1` after its own headers")
    })?;
    let (headers, body) = self::headers(&content.slice(line_end..), place)?;
    let id = text(part, "content-id");
    let id = if id.is_empty() {
        text(&headers, "content-id")
    } else {
        id
    };
    Ok(Part {
        id: (!id.is_empty()).then(|| id.to_owned()),
        method: method.to_owned(),
        url: url.trim().to_owned(),
        headers,
        body,
    })
}

fn text<'h>(headers: &'h HeaderMap, name: &str) -> &'h str {
    let value = headers.get(name).and_then(|value| value.to_str().ok());
    value.unwrap_or_default().trim()
}

/// A body of several parts as it grows.
struct Mixed {
    boundary: String,
    bytes: Vec<u8>,
}

impl Mixed {
    /// With a boundary made of what it answers, which no answer has by accident.
    fn new(asked: &[u8]) -> Self {
        Self {
            boundary: format!("smartem_{}", text_hash(asked)),
            bytes: Vec::new(),
        }
    }

    fn begin_part(&mut self, headers: &str) {
        let begin = format!("--{}\r\n{headers}\r\n", self.boundary);
        self.bytes.extend_from_slice(begin.as_bytes());
    }

    fn add_reply(&mut self, reply: &Reply, id: Option<&str>) {
        let mut headers = String::from("Content-Type: application/http\r\n");
        if let Some(id) = id {
            // Writing to a text cannot fail, here and below.
            let _ = write!(headers, "Content-ID: {id}\r\n");
        }
        self.begin_part(&headers);
        let status = reply.status();
        let reason = status.canonical_reason().unwrap_or_default();
        let mut head = format!("HTTP/1.1 {} {reason}\r\n", status.as_str());
        for (name, value) in told_headers(reply) {
            let _ = write!(head, "{name}: {value}\r\n");
        }
        let _ = write!(head, "Content-Length: {}\r\n\r\n", reply.body().len());
        self.bytes.extend_from_slice(head.as_bytes());
        self.bytes.extend_from_slice(reply.body());
        self.bytes.extend_from_slice(b"\r\n");
    }

    fn add_mixed(&mut self, inner: &Self) {
        let headers = format!("Content-Type: {}\r\n", inner.media_type());
        self.begin_part(&headers);
        self.bytes.extend_from_slice(&inner.bytes);
        let end = format!("--{}--\r\n\r\n", inner.boundary);
        self.bytes.extend_from_slice(end.as_bytes());
    }

    fn media_type(&self) -> String {
        format!("multipart/mixed; boundary={}", self.boundary)
    }

    /// Its media type and bytes.
    fn end(mut self) -> (String, Vec<u8>) {
        let end = format!("--{}--\r\n", self.boundary);
        self.bytes.extend_from_slice(end.as_bytes());
        (self.media_type(), self.bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn steps(body: &str) -> Vec<Step> {
        read(&Bytes::from(body.to_owned()), "b").unwrap()
    }

    const BATCH: &str = "preamble\r\n--b\r\nContent-Type: application/http\r\n\r\n\
        GET Things?$filter=name eq 'a b' HTTP/1.1\r\nHost: localhost\r\n\r\n\r\n\
        --b\r\nContent-Type: multipart/mixed; boundary=\"in ner\"\r\n\r\n\
        --in ner\r\nContent-Type: application/http\r\nContent-ID: 1\r\n\r\n\
        POST /sta/v1.1/Things HTTP/1.1\r\nContent-Type: application/json\r\n\r\n\
        {\"name\": \"--b\"}\r\n--in ner--\r\n--b--\r\nepilogue";

    #[test]
    fn parts_and_change_sets_are_read_with_both_line_ends() {
        for text in [BATCH.to_owned(), BATCH.replace("\r\n", "\n")] {
            let steps = steps(&text);
            let [Step::One(get), Step::All(set)] = steps.as_slice() else {
                panic!("{steps:?}");
            };
            assert_eq!(get.method, "GET");
            assert_eq!(get.url, "Things?$filter=name eq 'a b'");
            let [post] = set.as_slice() else {
                panic!("{set:?}");
            };
            assert_eq!(post.id.as_deref(), Some("1"));
            assert_eq!(post.url, "/sta/v1.1/Things");
            assert_eq!(&post.body[..], b"{\"name\": \"--b\"}");
            assert_eq!(text_of(post), "application/json");
        }
    }

    fn text_of(part: &Part) -> &str {
        text(&part.headers, "content-type")
    }

    #[test]
    fn a_request_may_have_no_headers_and_no_version() {
        let steps = steps("--b\nContent-Type: application/http\n\nDELETE Things(1)\n--b--");
        let [Step::One(part)] = steps.as_slice() else {
            panic!("{steps:?}");
        };
        assert_eq!((&*part.method, &*part.url), ("DELETE", "Things(1)"));
        assert!(part.body.is_empty());
    }

    #[test]
    fn what_cannot_be_read_is_told_with_its_part() {
        for (body, told) in [
            (
                "--b\r\nContent-Type: application/http\r\n\r\nGET a",
                "cut off",
            ),
            (
                "--b\r\nContent-Type: text/plain\r\n\r\nGET a\r\n--b--",
                "text/plain",
            ),
            ("--b\r\nno header\r\n\r\nGET a\r\n--b--", "part 1"),
            (
                "--b\r\nContent-Type: application/http\r\n\r\nGET\r\n--b--",
                "request line",
            ),
        ] {
            let fault = read(&Bytes::from(body), "b").unwrap_err();
            assert!(fault.message().contains(told), "{}", fault.message());
        }
        assert!(boundary("multipart/mixed").is_err());
        assert_eq!(boundary("multipart/mixed; Boundary=\"x\"").unwrap(), "x");
    }
}
