//! Text of URLs to [`ResourcePath`](crate::ResourcePath) and [`Query`](crate::Query) (18-088, sections 9.2 and
//! 9.3; the grammar of expressions is that of OData 4.0).
//!
//! What real clients send is understood where it can only mean one thing: a missing blank (`eq'x'`), a time in
//! quotes compared with a property that is a time, an offset whose `+` arrived as a blank. Whatever else is
//! wrong is a [`SyntaxError`] that names the place.
//!
//! Every expression that comes out has its type, and its operands fit:
//!
//! - `and`, `or`, `not` have booleans; a member of JSON is compared with `true` there
//! - `eq`, `ne` have operands of one type, or one is null or JSON; an instant fits with an interval. The other
//!   comparisons have no booleans, nulls or geometries
//! - `add`, `sub`, `mul`, `div`, `mod` have numbers or JSON and give numbers; `add` and `sub` also have a time or
//!   date and a duration (which gives such a time or date) and two durations; `sub` two times or two dates (a
//!   duration); `mul` and `div` a duration and a number (a duration)
//! - the list of `in` has literals
//!
//! Long chains of `and` and `or` come out as balanced trees, so that no reader of them runs deep.

mod apply;
mod check;
mod decode;
mod error;
mod expand;
mod expr;
mod function;
mod geometry;
mod literal;
mod option;
mod path;
mod scan;
mod time;

pub use error::SyntaxError;

/// The longest value of an option, in bytes.
const OPTION_MAX: usize = 65_536;
/// How deep parentheses, functions and operators may be within each other.
const DEPTH_MAX: usize = 100;
/// How many parts the expressions and relations of one query may have.
const NODES_MAX: usize = 1_000;
/// How deep relations may be expanded.
const EXPAND_DEPTH_MAX: usize = 6;
/// How many relations a path may follow.
const RELATIONS_MAX: usize = 16;

#[cfg(test)]
mod properties;
#[cfg(test)]
mod tests;
