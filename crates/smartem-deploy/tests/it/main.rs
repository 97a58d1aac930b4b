//! The manifests of `deploy/`.
