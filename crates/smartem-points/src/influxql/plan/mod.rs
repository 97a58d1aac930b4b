//! From a SELECT as it is written to one that can run.

mod calls;
mod check;
mod expand;
mod level;
mod names;

pub(crate) use check::check;
pub(crate) use expand::expand;
pub(crate) use level::{Argument, Call, Input, Level, Reference, build, constant};
