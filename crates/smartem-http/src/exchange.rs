use std::sync::{Arc, PoisonError, RwLock};

use axum::Router;
use axum::extract::Request;
use tower::ServiceExt as _;

/// A place for a router while it is served: a server listens before it can answer everything.
///
/// Connections go on when the router is exchanged; each request meets the one of its time.
#[derive(Clone)]
pub struct Exchange(Arc<RwLock<Router>>);

impl Exchange {
    /// A place that holds this router at first.
    pub fn new(first: Router) -> Self {
        Self(Arc::new(RwLock::new(first)))
    }

    /// From now on this one answers.
    pub fn put(&self, router: Router) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = router;
    }

    /// What can be served: it passes every request to the router of its time.
    pub fn router(&self) -> Router {
        let this = self.clone();
        Router::new().fallback(move |request: Request| this.current().oneshot(request))
    }

    fn current(&self) -> Router {
        self.0
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}
