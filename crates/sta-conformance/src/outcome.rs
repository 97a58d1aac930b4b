//! What a case comes to: nothing to say, a fault of the server, or a reason why it was not tried.

/// The result of a case or of a step in it.
pub(crate) type Check<T = ()> = Result<T, Stop>;

/// Why a case stopped before its end.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Stop {
    /// The server does not do what the requirement asks.
    Fault(Box<Fault>),
    /// The case could not be tried, with the reason.
    Skip(String),
}

/// What was wrong, and the exchange that showed it.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Fault {
    /// What was asked for and what came instead.
    pub(crate) what: String,
    /// Method, address and body of the request, where one request shows the fault.
    pub(crate) request: Option<String>,
    /// Status and the beginning of the body of its answer.
    pub(crate) answer: Option<String>,
}

/// A fault that no single request shows.
pub(crate) fn fault(what: impl Into<String>) -> Stop {
    Stop::Fault(Box::new(Fault {
        what: what.into(),
        ..Fault::default()
    }))
}

/// A case that cannot be tried.
pub(crate) fn skip(why: impl Into<String>) -> Stop {
    Stop::Skip(why.into())
}

/// Ends the case with a fault unless `condition` holds.
pub(crate) fn ensure(condition: bool, what: impl FnOnce() -> String) -> Check {
    if condition {
        Ok(())
    } else {
        Err(fault(what()))
    }
}
