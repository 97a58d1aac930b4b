use axum::Router;
use axum::response::Response;
use axum::routing::MethodRouter;
use serde::Serialize;
use utoipa::ToSchema;
use utoipa::openapi::OpenApi;

use crate::{Problem, RequestId};

/// Writes problems in the words of a service; the status is that of the problem.
pub type Dialect = fn(&Problem, Option<&RequestId>) -> Response;

/// What a service contributes to the server.
///
/// Every route goes through [`ServicePart::route`], so that a test can compare them with the
/// OpenAPI document.
#[derive(Clone)]
pub struct ServicePart {
    name: &'static str,
    pub(crate) router: Router,
    paths: Vec<&'static str>,
    links: Vec<Link>,
    pub(crate) openapi: Option<OpenApi>,
    pub(crate) body_limit: usize,
    pub(crate) always_answers: bool,
    pub(crate) fallback: Option<MethodRouter>,
    pub(crate) dialect: Option<Dialect>,
    reach: Reach,
}

/// Where a part answers when there is an internal address beside the public one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reach {
    Public,
    Internal,
    Both,
}

impl ServicePart {
    /// What a question may bring; services that take data in say what they take.
    const BODY_LIMIT: usize = 64 * 1024;

    /// A part without any route.
    pub fn new(name: &'static str) -> Self {
        Self {
            name,
            router: Router::new(),
            paths: Vec::new(),
            links: Vec::new(),
            openapi: None,
            body_limit: Self::BODY_LIMIT,
            always_answers: false,
            fallback: None,
            dialect: None,
            reach: Reach::Public,
        }
    }

    /// Adds a route; its path has the form that axum and OpenAPI share: `/stations/{id}`.
    #[must_use]
    pub fn route(mut self, path: &'static str, methods: MethodRouter) -> Self {
        self.router = self.router.route(path, methods);
        self.paths.push(path);
        self
    }

    /// Adds a route for all paths that begin alike; `path` ends with the `{*name}` of axum, and `described`
    /// is what stands for it in the OpenAPI document, which has no such form.
    #[must_use]
    pub fn route_below(
        mut self,
        path: &'static str,
        described: &'static str,
        methods: MethodRouter,
    ) -> Self {
        self.router = self.router.route(path, methods);
        self.paths.push(described);
        self
    }

    /// Writes every problem of its routes in a dialect of its own: limits, timeouts and panics as well.
    #[must_use]
    pub fn dialect(mut self, dialect: Dialect) -> Self {
        self.dialect = Some(dialect);
        self
    }

    /// Adds a link to the landing document.
    #[must_use]
    pub fn link(mut self, link: Link) -> Self {
        self.links.push(link);
        self
    }

    /// Describes the routes.
    #[must_use]
    pub fn openapi(mut self, document: OpenApi) -> Self {
        self.openapi = Some(document);
        self
    }

    /// Takes bodies up to this size, in bytes.
    #[must_use]
    pub fn body_limit(mut self, bytes: usize) -> Self {
        self.body_limit = bytes;
        self
    }

    /// Answers also when there are too many requests: what a probe or a scraper asks for.
    #[must_use]
    pub fn always_answers(mut self) -> Self {
        self.always_answers = true;
        self
    }

    /// Answers everything that no route answers; only one part may.
    #[must_use]
    pub fn fallback(mut self, methods: MethodRouter) -> Self {
        self.fallback = Some(methods);
        self
    }

    /// Is not for everybody: where there is an internal address, it answers only there.
    #[must_use]
    pub fn only_internal(mut self) -> Self {
        self.reach = Reach::Internal;
        self
    }

    /// Answers on the public address and, where there is one, on the internal one.
    #[must_use]
    pub fn also_internal(mut self) -> Self {
        self.reach = Reach::Both;
        self
    }

    /// Whether the public address answers it even where there is an internal one.
    pub fn is_public(&self) -> bool {
        self.reach != Reach::Internal
    }

    pub(crate) fn is_internal(&self) -> bool {
        self.reach != Reach::Public
    }

    /// The name of the service.
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// The paths of its routes.
    pub fn paths(&self) -> &[&'static str] {
        &self.paths
    }

    /// Its links for the landing document.
    pub fn links(&self) -> &[Link] {
        &self.links
    }
}

/// A link to a resource.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct Link {
    /// What it is to the document with the link, after the registry of the IANA.
    pub rel: &'static str,
    /// Where it is; `{id}` stands for the id of a station.
    pub href: &'static str,
    /// The media type of the answer.
    #[serde(rename = "type")]
    pub media_type: &'static str,
    /// What it is, in words.
    pub title: &'static str,
}
