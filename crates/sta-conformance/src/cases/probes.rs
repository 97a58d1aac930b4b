//! Cases that are a filter over the data of the run and the entities that it must leave.

use crate::bench::Bench;
use crate::cases::{Case, Class, Level, Run};
use crate::outcome::{Check, skip};
use crate::own::{Own, key_of, unmade};
use crate::server::Version;

/// What a filter is tried on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Over {
    /// The Observations of *numbers*, by their results.
    Numbers,
    /// The Observations of *words*, by their results.
    Words,
    /// The Observations of *spans*.
    Spans,
    /// The three Things.
    Things,
    /// The three Locations.
    Locations,
    /// The three Datastreams.
    Datastreams,
}

/// A filter and the entities that it must leave.
#[derive(Debug)]
pub(crate) struct Probe {
    /// The name of the case.
    pub(crate) name: &'static str,
    /// What the standard asks, in own words.
    pub(crate) requirement: &'static str,
    /// Section of the standard.
    pub(crate) section: &'static str,
    /// What it is tried on.
    pub(crate) over: Over,
    /// The expression; `{mark}` stands for the mark of the run and `{alpha}` for the key of that Thing.
    pub(crate) filter: &'static str,
    /// The labels of what must be left, and of nothing else.
    pub(crate) leaves: &'static [&'static str],
    /// Whether a server may answer that it does not know the expression.
    pub(crate) optional: bool,
}

impl Probe {
    /// A filter that every server must know.
    pub(crate) const fn new(
        name: &'static str,
        section: &'static str,
        requirement: &'static str,
        over: Over,
        filter: &'static str,
        leaves: &'static [&'static str],
    ) -> Self {
        Self {
            name,
            requirement,
            section,
            over,
            filter,
            leaves,
            optional: false,
        }
    }

    /// The same, that a server need not know.
    pub(crate) const fn optional(mut self) -> Self {
        self.optional = true;
        self
    }

    /// It as a case of a class.
    pub(crate) fn case(&'static self, class: Class) -> Case {
        Case {
            class,
            name: self.name,
            set: None,
            requirement: self.requirement,
            section: self.section,
            level: Level::Write,
            since: Version::V10,
            requires: None,
            run: Run::Probe(self),
        }
    }
}

/// Asks with the filter and compares what is left.
pub(crate) async fn attempt(bench: &Bench<'_>, probe: &Probe) -> Check {
    let (path, own, scope) = scope(bench, probe.over)?;
    let mut expression = probe.filter.replace("{mark}", bench.scribe.mark());
    if expression.contains("{alpha}") {
        expression = expression.replace("{alpha}", bench.own.thing("alpha")?.key());
    }
    let filter = match scope {
        Some(scope) => format!("({scope}) and ({expression})"),
        None => expression,
    };
    let answer = bench.client.query(&path, &[("$filter", &filter)]).await?;
    if probe.optional && matches!(answer.status, 400 | 404 | 422 | 501) {
        return Err(skip(format!(
            "not offered: answered with {}",
            answer.status
        )));
    }
    let answer = answer.ok()?;
    let mut left = Vec::new();
    for entity in answer.list()? {
        let key = entity.get("@iot.id").map(key_of).unwrap_or_default();
        let known = own.iter().find(|own| own.key() == key);
        left.push(known.map_or(format!("another ({key})"), |own| own.label.clone()));
    }
    left.sort();
    let mut expected: Vec<String> = probe.leaves.iter().map(|&l| l.to_owned()).collect();
    expected.sort();
    answer.ensure(left == expected, || {
        format!(
            "`{filter}` must leave [{}], not [{}]",
            expected.join(", "),
            left.join(", ")
        )
    })
}

/// The path to ask, the entities that may come, and the filter that keeps other data away.
fn scope<'a>(bench: &'a Bench<'_>, over: Over) -> Check<(String, &'a [Own], Option<String>)> {
    let own = &bench.own;
    let observations = |label: &str, list: &'a Check<Vec<Own>>| match list {
        Ok(list) => Ok((
            format!("{}/Observations", own.datastream(label)?.path),
            list.as_slice(),
            None,
        )),
        Err(why) => Err(unmade(why)),
    };
    let set = |set: &str, list: &'a Check<Vec<Own>>| match list {
        Ok(list) => Ok((set.to_owned(), list.as_slice(), Some(names(bench, list)))),
        Err(why) => Err(unmade(why)),
    };
    match over {
        Over::Numbers => observations("numbers", &own.numbers),
        Over::Words => observations("words", &own.words),
        Over::Spans => observations("spans", &own.spans),
        Over::Things => set("Things", &own.things),
        Over::Locations => set("Locations", &own.locations),
        Over::Datastreams => set("Datastreams", &own.datastreams),
    }
}

/// A filter for the names of these entities.
fn names(bench: &Bench<'_>, list: &[Own]) -> String {
    let each = list
        .iter()
        .map(|own| format!("name eq '{}'", bench.scribe.name(&own.label)));
    each.collect::<Vec<_>>().join(" or ")
}
