use std::borrow::Cow;
use std::ops::RangeInclusive;

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::Offset;
use smartem_model::parse_timestamp;

use smartem_model::nearest;

use crate::{Kind, Problem};

/// The parameters of a query string, each known and given at most once.
#[derive(Debug)]
pub struct Params<'a> {
    given: Vec<(Cow<'a, str>, Cow<'a, str>)>,
}

impl<'a> Params<'a> {
    /// Reads a query string whose parameters may be `known` ones.
    ///
    /// # Errors
    /// [`Kind::UnknownParameter`] naming the nearest known one, or [`Kind::InvalidParameter`] for
    /// one that is given twice.
    pub fn read(query: Option<&'a str>, known: &[&str]) -> Result<Self, Problem> {
        let mut given: Vec<(Cow<'a, str>, Cow<'a, str>)> = Vec::new();
        for (name, value) in form_urlencoded::parse(query.unwrap_or_default().as_bytes()) {
            if !known.contains(&name.as_ref()) {
                return Err(unknown(&name, known));
            }
            if given.iter().any(|(other, _)| *other == name) {
                let detail = format!("`{name}` is given more than once; give it once.");
                return Err(Problem::new(Kind::InvalidParameter, detail));
            }
            given.push((name, value));
        }
        Ok(Self { given })
    }

    /// The value as it was given.
    pub fn text(&self, name: &str) -> Option<&str> {
        let (_, value) = self.given.iter().find(|(given, _)| given == name)?;
        Some(value)
    }

    /// An instant: a time of RFC 3339, or a date, which is its first instant in UTC.
    pub fn time(&self, name: &str) -> Result<Option<Timestamp>, Problem> {
        self.parsed(name, time, |value| {
            format!(
                "`{name}` is `{value}`, which is no RFC 3339 time and no date; write for example \
                 2026-11-15T00:00:00Z or 2026-11-15."
            )
        })
    }

    /// A whole number within a range.
    pub fn integer(
        &self,
        name: &str,
        range: RangeInclusive<usize>,
    ) -> Result<Option<usize>, Problem> {
        let read = |text: &str| text.parse().ok().filter(|number| range.contains(number));
        self.parsed(name, read, |value| {
            let (first, last) = (range.start(), range.end());
            format!(
                "`{name}` is `{value}`, which is no whole number from {first} to {last}; write \
                 for example {first}."
            )
        })
    }

    /// A value read by `read`; of one that it does not understand, `refusal` tells what to write.
    pub fn parsed<T>(
        &self,
        name: &str,
        read: impl FnOnce(&str) -> Option<T>,
        refusal: impl FnOnce(&str) -> String,
    ) -> Result<Option<T>, Problem> {
        let Some(text) = self.text(name) else {
            return Ok(None);
        };
        match read(text) {
            Some(value) => Ok(Some(value)),
            None => Err(Problem::new(
                Kind::InvalidParameter,
                refusal(&shorten(text)),
            )),
        }
    }
}

/// A text of a client as it is shown in a detail: not longer than is needed to recognise it.
pub fn shorten(text: &str) -> Cow<'_, str> {
    const LONGEST: usize = 60;
    match text.char_indices().nth(LONGEST) {
        Some((cut, _)) => Cow::Owned(format!("{}…", &text[..cut])),
        None => Cow::Borrowed(text),
    }
}

fn unknown(name: &str, known: &[&str]) -> Problem {
    let shown = shorten(name);
    let remedy = match (nearest(name, known.iter().copied()), known) {
        (Some(near), _) => format!("did you mean `{near}`?"),
        (None, []) => "this resource has none.".to_owned(),
        (None, _) => format!("known are `{}`.", known.join("`, `")),
    };
    let detail = format!("There is no parameter `{shown}`; {remedy}");
    Problem::new(Kind::UnknownParameter, detail)
}

fn time(text: &str) -> Option<Timestamp> {
    // The plus of a zone that was not percent-encoded arrives as a blank.
    let zone_mended = || match text.rfind(' ') {
        Some(at) if at >= 19 => parse_timestamp(&format!("{}+{}", &text[..at], &text[at + 1..])),
        _ => None,
    };
    parse_timestamp(text)
        .or_else(zone_mended)
        .or_else(|| midnight(text))
}

fn midnight(text: &str) -> Option<Timestamp> {
    // The library reads more forms of a date than the one that is offered.
    if text.len() != 10 {
        return None;
    }
    let date: Date = text.parse().ok()?;
    Offset::UTC.to_timestamp(date.at(0, 0, 0, 0)).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn detail(query: &str, known: &[&str]) -> String {
        Params::read(Some(query), known)
            .unwrap_err()
            .detail()
            .to_owned()
    }

    #[test]
    fn an_unknown_parameter_is_refused_with_the_nearest_known_one() {
        assert_eq!(
            detail("indicater=no2", &["indicator", "from"]),
            "There is no parameter `indicater`; did you mean `indicator`?"
        );
        assert_eq!(
            detail("colour=red", &["indicator", "from"]),
            "There is no parameter `colour`; known are `indicator`, `from`."
        );
        assert_eq!(
            detail("a=1", &[]),
            "There is no parameter `a`; this resource has none."
        );
        assert_eq!(
            detail("from=1&from=2", &["from"]),
            "`from` is given more than once; give it once."
        );
    }

    #[test]
    fn a_time_may_be_a_date_and_may_have_lost_its_plus() {
        let midnight: Timestamp = "2026-11-15T00:00:00Z".parse().unwrap();
        for query in [
            "from=2026-11-15",
            "from=2026-11-15T00:00:00Z",
            "from=2026-11-15T00%3A00%3A00Z",
            "from=2026-11-15T01:00:00+01:00",
            "from=2026-11-15T01:00:00%2B01:00",
            "from=2026-11-15+00:00:00",
        ] {
            let params = Params::read(Some(query), &["from"]).unwrap();
            assert_eq!(params.time("from").unwrap(), Some(midnight), "{query}");
        }
    }

    #[test]
    fn a_bad_value_is_refused_with_the_place_the_value_and_the_remedy() {
        let params = Params::read(Some("from=yesterday&limit=0"), &["from", "limit"]).unwrap();
        assert_eq!(
            params.time("from").unwrap_err().detail(),
            "`from` is `yesterday`, which is no RFC 3339 time and no date; write for example \
             2026-11-15T00:00:00Z or 2026-11-15."
        );
        assert_eq!(
            params.integer("limit", 1..=10).unwrap_err().detail(),
            "`limit` is `0`, which is no whole number from 1 to 10; write for example 1."
        );
    }

    #[test]
    fn a_long_value_is_shown_in_part() {
        let long = "é".repeat(1000);
        assert_eq!(shorten(&long).chars().count(), 61);
    }
}
