//! Raw records: what a station sent in one hour, or as its last value, whole and unchanged.
//!
//! A [`RawRecord`] is the JSON document of a record taken apart into its *envelope* (everything
//! but the samples) and its [`Samples`], stored column by column. Nothing is lost on the way:
//! [`RawRecord::to_json`] gives back a document equal to the one that was read.

mod decode;
mod samples;
mod scan;
mod tags;
#[cfg(test)]
mod tests;
mod unite;

pub use decode::{MalformedJson, RawRecord, RecordTime};
pub use samples::{Cell, CellNumber, Column, Samples};
pub use unite::Union;
