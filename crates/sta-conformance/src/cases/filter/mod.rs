//! `$filter`: what is wrong (here), `operations` with literals and paths, and `functions`.
//!
//! All but the errors are rows of tables: an expression over the data of the run (`own.rs`) and the entities that it
//! must leave. Expressions are chosen so that a server that ignores the filter, or that always leaves nothing, fails.

mod functions;
mod operations;

pub(crate) use functions::FUNCTIONS;
pub(crate) use operations::OPERATIONS;

use crate::bench::Bench;
use crate::cases::{Row, check};
use crate::outcome::Check;

const FILTER: &str = "9.3.3.5";
const OPERATORS: &str = "9.3.3.5.1";
const FUNCTION: &str = "9.3.3.5.2";

/// What a broken filter is answered with.
pub(crate) const CASES: &[Row] = &[
    Row::read(
        "broken-syntax-is-an-error",
        OPERATORS,
        "A filter that is no expression is answered with 400.",
        check!(broken_syntax),
    ),
    Row::read(
        "unknown-property-is-an-error",
        FILTER,
        "A filter over a property that entities of the set do not have is answered with 400.",
        check!(unknown_property),
    ),
    Row::read(
        "unknown-function-is-an-error",
        FUNCTION,
        "A filter with a function that does not exist is answered with 400 or 501.",
        check!(unknown_function),
    ),
    Row::read(
        "filter-on-an-unknown-path-is-an-error",
        FILTER,
        "A filter over a navigation that does not exist is answered with 400.",
        check!(unknown_path),
    ),
];

async fn broken_syntax(bench: &Bench<'_>) -> Check {
    for filter in [
        "name eq",
        "name eq 'a",
        "(name eq 'a'",
        "eq 'a'",
        "name 'a'",
        "name eq 'a' and",
    ] {
        bench.wrong("Things", ("$filter", filter), &[400]).await?;
    }
    Ok(())
}

async fn unknown_property(bench: &Bench<'_>) -> Check {
    let filter = ("$filter", "nosuchproperty eq 1");
    bench.wrong("Things", filter, &[400]).await
}

async fn unknown_function(bench: &Bench<'_>) -> Check {
    let filter = ("$filter", "nosuchfunction(name) eq 1");
    bench.wrong("Things", filter, &[400, 501]).await
}

async fn unknown_path(bench: &Bench<'_>) -> Check {
    let filter = ("$filter", "Sensor/name eq 'a'");
    bench.wrong("Things", filter, &[400]).await
}
