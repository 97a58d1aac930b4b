//! The one place that reads the clock.

use std::sync::Arc;

use jiff::Timestamp;
use smartem_etl::Clock;

/// The clock of the machine.
pub(crate) fn system() -> Clock {
    #[expect(clippy::disallowed_methods, reason = "this is the one place")]
    Arc::new(Timestamp::now)
}

/// A clock that stands still, for reproducible simulations.
pub(crate) fn fixed(time: Timestamp) -> Clock {
    Arc::new(move || time)
}
