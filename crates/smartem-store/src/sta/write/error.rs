//! Refusals.

use smartem_sta::{EntityType, Version};

use super::Named;
use crate::sta::error::{Fault, StaError};

/// `Things(5)`.
pub(super) fn shown((entity_type, id): Named) -> String {
    format!("{}({id})", entity_type.set_name(Version::V1_1))
}

/// The name of one of a type.
pub(super) fn name_of(entity_type: EntityType) -> &'static str {
    entity_type.name(Version::V1_1)
}

pub(super) fn invalid(detail: impl Into<String>) -> Fault {
    Fault::Sta(StaError::Invalid {
        detail: detail.into(),
        at: None,
    })
}

pub(super) fn conflict(detail: impl Into<String>) -> Fault {
    Fault::Sta(StaError::Conflict {
        detail: detail.into(),
    })
}

pub(super) fn forbidden(detail: impl Into<String>) -> Fault {
    Fault::Sta(StaError::Forbidden {
        detail: detail.into(),
    })
}

/// What a path names is not there.
pub(super) fn not_found(named: Named) -> Fault {
    Fault::Sta(StaError::NotFound { what: shown(named) })
}

/// What a body names is not there.
pub(super) fn no_such_link(named: Named) -> Fault {
    invalid(format!(
        "there is no {} to link to; name one that is there, or give the new one in its place",
        shown(named)
    ))
}

pub(super) fn missing(of: EntityType, what: &str) -> Fault {
    let name = name_of(of);
    invalid(format!(
        "{what} is missing: a {name} needs one; give it in the body, or post to a path that leads to it"
    ))
}
