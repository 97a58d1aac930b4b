//! Comparisons of instants and intervals.
//!
//! An interval is half-open, and an instant is an interval without extent. One time is
//! - `lt` another when it is over before the other begins: `[10:00,11:00) lt 11:00`, but not `lt 10:30`;
//!   `before` is the same; `gt` and `after` are its mirror;
//! - `le` another when it neither begins nor ends later; `ge` is its mirror;
//! - `eq` another when both begin and end together.
//!
//! So `phenomenonTime ge A and phenomenonTime le B` holds for what lies within A and B, and each comparison
//! has one of the start alone, which an index serves.
//!
//! `meets`: it ends when the other begins; `during`: within the other; `overlaps`: both have a moment in
//! common; `starts`: both begin together, and it ends no later; `finishes`: both end together, and it begins
//! no earlier.

use smartem_sta::{BinaryOp, Function};

use crate::sta::sql::Dialect;

use super::Value;

/// Start and end of an instant or interval.
pub(super) fn bounds(value: &Value) -> Option<(&str, &str)> {
    match value {
        Value::Instant(at) => Some((at, at)),
        Value::Time(start, end) => Some((start, end)),
        _ => None,
    }
}

/// How two times compare; `None` where one is none.
pub(super) fn compared(op: BinaryOp, left: &Value, right: &Value) -> Option<String> {
    let (left, right) = (bounds(left)?, bounds(right)?);
    let ((s1, e1), (s2, e2)) = (left, right);
    Some(match op {
        BinaryOp::Eq => format!("({s1} = {s2} AND {e1} = {e2})"),
        BinaryOp::Ne => format!("(NOT ({s1} = {s2} AND {e1} = {e2}))"),
        BinaryOp::Lt => earlier(left, right),
        BinaryOp::Gt => earlier(right, left),
        BinaryOp::Le => format!("({s1} <= {s2} AND {e1} <= {e2})"),
        BinaryOp::Ge => format!("({s1} >= {s2} AND {e1} >= {e2})"),
        _ => return None,
    })
}

fn earlier((s1, e1): (&str, &str), (s2, _): (&str, &str)) -> String {
    format!("({s1} < {s2} AND {e1} <= {s2})")
}

/// How two times lie to each other; `None` where one is none.
pub(super) fn related(function: Function, left: &Value, right: &Value) -> Option<String> {
    let (left, right) = (bounds(left)?, bounds(right)?);
    let ((s1, e1), (s2, e2)) = (left, right);
    Some(match function {
        Function::Before => earlier(left, right),
        Function::After => earlier(right, left),
        Function::Meets => format!("({e1} = {s2})"),
        Function::During => {
            format!("({s1} >= {s2} AND {e1} <= {e2} AND ({s1} < {e2} OR {s1} = {s2}))")
        }
        Function::Overlaps => format!(
            "({s1} = {s2} OR ({s1} < {s2} AND {e1} > {s2}) OR ({s2} < {s1} AND {e2} > {s1}))"
        ),
        Function::Starts => format!("({s1} = {s2} AND {e1} <= {e2})"),
        Function::Finishes => format!("({e1} = {e2} AND {s1} >= {s2})"),
        _ => return None,
    })
}

/// A time, later or earlier by so many microseconds.
pub(super) fn shifted(dialect: Dialect, time: &str, sign: &str, by: &str) -> String {
    match dialect {
        Dialect::Sqlite => format!("({time} {sign} {by})"),
        Dialect::Postgres => format!("({time} {sign} {by} * interval '1 microsecond')"),
    }
}
