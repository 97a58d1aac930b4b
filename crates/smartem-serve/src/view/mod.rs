//! The viewer: the files of `web/dist`, embedded in the program.

use std::fmt::Write as _;

use axum::extract::Request;
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::{any, get};
use rust_embed::{Embed, EmbeddedFile};
use smartem_http::{ETag, Kind, Link, Problem, ServicePart, shorten};
use utoipa::OpenApi;

use crate::answer::text_hash;

/// What `make build` made of the folder `web`; empty when it was not built.
#[derive(Embed)]
#[folder = "$CARGO_MANIFEST_DIR/../../web/dist"]
#[allow_missing = true]
pub(crate) struct Dist;

/// Viewers of the original platform, whose work this one does; links to them are in reports and bookmarks.
const FORMER: [&str; 4] = ["heron", "smartapp", "waalkade", "home"];

const NOT_BUILT: &str = include_str!("not_built.html");
const NOT_FOUND: &str = include_str!("not_found.html");
const HTML: HeaderValue = HeaderValue::from_static("text/html; charset=utf-8");

#[derive(OpenApi)]
#[openapi(paths(index))]
struct Document;

pub(crate) fn part<Files: Embed + 'static>() -> ServicePart {
    ServicePart::new("view")
        .openapi(Document::openapi())
        .route(
            "/",
            get(async |headers: HeaderMap| index::<Files>(&headers)),
        )
        .fallback(any(async |request: Request| {
            file_or_nothing::<Files>(&request)
        }))
        .link(Link {
            rel: "alternate",
            href: "/",
            media_type: "text/html",
            title: "The viewer",
        })
}

/// The viewer.
#[utoipa::path(get, path = "/", tag = "view", responses(
    (status = 200, body = String, content_type = "text/html"),
    (status = 304, description = "The client has it"),
))]
fn index<Files: Embed>(headers: &HeaderMap) -> Response {
    match Files::get("index.html") {
        Some(page) => file("index.html", page, headers),
        None => not_built(headers),
    }
}

fn not_built(headers: &HeaderMap) -> Response {
    let etag = ETag::new(&text_hash(NOT_BUILT.as_bytes()));
    if etag.is_known_to(headers) {
        return etag.not_modified();
    }
    etag.on(([(header::CONTENT_TYPE, HTML)], NOT_BUILT))
}

fn file_or_nothing<Files: Embed>(request: &Request) -> Response {
    let path = request.uri().path();
    let is_api = path == "/api" || path.starts_with("/api/");
    let found = if is_api {
        None
    } else {
        Files::get(path.trim_start_matches('/'))
    };
    let Some(found) = found else {
        if is_former(path) {
            return Redirect::permanent("/").into_response();
        }
        return nothing(path, is_api, request.headers());
    };
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        let detail = "This is a file, which answers GET and HEAD.";
        let mut response = Problem::new(Kind::MethodNotAllowed, detail).into_response();
        let allowed = HeaderValue::from_static("GET,HEAD");
        response.headers_mut().insert(header::ALLOW, allowed);
        return response;
    }
    file(path.trim_start_matches('/'), found, request.headers())
}

/// Whether a viewer of the original platform was there, or a page of it.
fn is_former(path: &str) -> bool {
    let first = path.trim_start_matches('/').split('/').next();
    first.is_some_and(|first| FORMER.contains(&first))
}

fn file(path: &str, file: EmbeddedFile, headers: &HeaderMap) -> Response {
    let mut tag = String::new();
    for byte in &file.metadata.sha256_hash()[..12] {
        let _ = write!(tag, "{byte:02x}");
    }
    let etag = ETag::new(&tag);
    let mut response = if etag.is_known_to(headers) {
        etag.not_modified()
    } else {
        let kind = media_type(file.metadata.mimetype());
        etag.on(([(header::CONTENT_TYPE, kind)], file.data))
    };
    // The build puts a hash of the content into the names of these files only.
    if path.starts_with("assets/") {
        let forever = HeaderValue::from_static("public, max-age=31536000, immutable");
        response
            .headers_mut()
            .insert(header::CACHE_CONTROL, forever);
    }
    response
}

fn media_type(guessed: &str) -> HeaderValue {
    let text = guessed.starts_with("text/") && !guessed.contains("charset");
    let charset = if text { "; charset=utf-8" } else { "" };
    HeaderValue::from_str(&format!("{guessed}{charset}"))
        .unwrap_or(HeaderValue::from_static("application/octet-stream"))
}

/// A page for people, a problem for programs.
fn nothing(path: &str, is_api: bool, headers: &HeaderMap) -> Response {
    let accept = headers.get(header::ACCEPT).and_then(|it| it.to_str().ok());
    if !is_api && accept.is_some_and(|accept| accept.contains("text/html")) {
        return (
            StatusCode::NOT_FOUND,
            [(header::CONTENT_TYPE, HTML)],
            NOT_FOUND,
        )
            .into_response();
    }
    let path = shorten(path);
    let detail = format!("There is nothing at `{path}`; /api/v1/ lists what there is.");
    Problem::new(Kind::NotFound, detail).into_response()
}

#[cfg(test)]
mod tests;
