//! All cases, as a table: one row for each requirement, in the order of the conformance classes.

mod batch;
mod create_update_delete;
mod data_array;
mod data_model;
mod extensions;
mod filter;
mod multi_datastream;
mod probes;
mod request_data;
mod resource_path;

use std::future::Future;
use std::pin::Pin;

use crate::bench::Bench;
use crate::model::{KINDS, Kind};
use crate::outcome::Check;
use crate::server::{Declared, Server, Version};

pub(crate) use probes::Probe;

/// A conformance class, or a part of one that is reported by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Class {
    DataModel,
    ResourcePath,
    RequestData,
    FilterOperations,
    FilterFunctions,
    CreateUpdateDelete,
    MultiDatastream,
    DataArray,
    Batch,
    JsonBatch,
    Extensions,
}

impl Class {
    /// All, in the order of the report.
    pub(crate) const ALL: [Self; 11] = [
        Self::DataModel,
        Self::ResourcePath,
        Self::RequestData,
        Self::FilterOperations,
        Self::FilterFunctions,
        Self::CreateUpdateDelete,
        Self::MultiDatastream,
        Self::DataArray,
        Self::Batch,
        Self::JsonBatch,
        Self::Extensions,
    ];

    /// The name in patterns and in names of cases.
    pub(crate) fn key(self) -> &'static str {
        match self {
            Self::DataModel => "data-model",
            Self::ResourcePath => "resource-path",
            Self::RequestData => "request-data",
            Self::FilterOperations => "filter-operations",
            Self::FilterFunctions => "filter-functions",
            Self::CreateUpdateDelete => "create-update-delete",
            Self::MultiDatastream => "multi-datastream",
            Self::DataArray => "data-array",
            Self::Batch => "batch",
            Self::JsonBatch => "json-batch",
            Self::Extensions => "extensions",
        }
    }

    /// The heading in the report.
    pub(crate) fn title(self) -> &'static str {
        match self {
            Self::DataModel => "Data model",
            Self::ResourcePath => "Resource path",
            Self::RequestData => "Request data: query options and paging",
            Self::FilterOperations => "Request data: operators of $filter",
            Self::FilterFunctions => "Request data: functions of $filter",
            Self::CreateUpdateDelete => "Create, update, delete",
            Self::MultiDatastream => "MultiDatastream extension",
            Self::DataArray => "Data array extension",
            Self::Batch => "Batch requests, multipart",
            Self::JsonBatch => "Batch requests, JSON (OData 4.01)",
            Self::Extensions => "Extensions in common use, beyond the standard",
        }
    }

    /// Whether a server declares it, by what it declares and what its root document lists.
    pub(crate) fn declared(self, server: &Server) -> Declared {
        match self {
            Self::DataModel => server.declares_class("datamodel"),
            Self::ResourcePath => server.declares_class("resource-path"),
            Self::RequestData => server.declares_class("request-data"),
            Self::FilterOperations => any_of(
                server,
                &[
                    "request-data/filter",
                    "request-data/built-in-filter-operations",
                ],
            ),
            Self::FilterFunctions => any_of(server, &["request-data/built-in-query-functions"]),
            Self::CreateUpdateDelete => server.declares_class("create-update-delete"),
            Self::MultiDatastream => match server.declares_class("multi-datastream") {
                Declared::Unknown => server.lists("MultiDatastreams"),
                declared => declared,
            },
            Self::DataArray => server.declares_class("data-array"),
            Self::Batch => server.declares_class("batch-request"),
            Self::JsonBatch => server.mentions(&["json", "batch"]),
            // Nobody declares them in one way; a case that is answered with 400 or 501 is skipped.
            Self::Extensions => Declared::Unknown,
        }
    }
}

/// Whether a server declares one of these.
fn any_of(server: &Server, requirements: &[&str]) -> Declared {
    let all = requirements.iter().map(|r| server.declares(r));
    all.fold(Declared::No, |sum, declared| match (sum, declared) {
        (Declared::Yes, _) | (_, Declared::Yes) => Declared::Yes,
        (_, Declared::Unknown) => Declared::Unknown,
        (sum, Declared::No) => sum,
    })
}

/// What a case needs of the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Level {
    /// Only reading; data that are there already will do.
    Read,
    /// Data of the run.
    Write,
}

/// What a running case comes to.
type Running<'a> = Pin<Box<dyn Future<Output = Check> + 'a>>;

/// How a case is tried.
#[derive(Clone, Copy)]
pub(crate) enum Run {
    /// By a function.
    Check(for<'a> fn(&'a Bench<'a>) -> Running<'a>),
    /// By a function, for one set of entities.
    Kind(
        for<'a> fn(&'a Bench<'a>, &'static Kind) -> Running<'a>,
        &'static Kind,
    ),
    /// By a filter and the entities that it must leave.
    Probe(&'static Probe),
}

/// One requirement and how to try it.
#[derive(Clone, Copy)]
pub(crate) struct Case {
    /// Its class.
    pub(crate) class: Class,
    /// Its name within the class.
    pub(crate) name: &'static str,
    /// The set it is tried on, if there is such a case for several.
    pub(crate) set: Option<&'static str>,
    /// What the standard asks, in own words.
    pub(crate) requirement: &'static str,
    /// Section of the standard.
    pub(crate) section: &'static str,
    /// What it needs.
    pub(crate) level: Level,
    /// The first version of the standard that asks for it.
    pub(crate) since: Version,
    /// The requirement that a server of 1.1 must declare for the case to be tried, where that is not the class.
    pub(crate) requires: Option<&'static str>,
    /// How it is tried.
    pub(crate) run: Run,
}

impl Case {
    /// Class and name, and the set where there are several: `data-model/properties/Things`.
    pub(crate) fn full_name(&self) -> String {
        match self.set {
            Some(set) => format!("{}/{}/{set}", self.class.key(), self.name),
            None => format!("{}/{}", self.class.key(), self.name),
        }
    }

    /// Tries it.
    pub(crate) async fn attempt<'a>(&'a self, bench: &'a Bench<'a>) -> Check {
        match self.run {
            Run::Check(check) => check(bench).await,
            Run::Kind(check, kind) => check(bench, kind).await,
            Run::Probe(probe) => probes::attempt(bench, probe).await,
        }
    }
}

/// A row of a table of cases.
pub(crate) struct Row {
    name: &'static str,
    requirement: &'static str,
    section: &'static str,
    level: Level,
    since: Version,
    requires: Option<&'static str>,
    run: RowRun,
}

/// How a row is tried.
enum RowRun {
    Check(for<'a> fn(&'a Bench<'a>) -> Running<'a>),
    Kinds(for<'a> fn(&'a Bench<'a>, &'static Kind) -> Running<'a>),
}

impl Row {
    /// A case that only reads.
    const fn read(
        name: &'static str,
        section: &'static str,
        requirement: &'static str,
        run: for<'a> fn(&'a Bench<'a>) -> Running<'a>,
    ) -> Self {
        Self {
            name,
            requirement,
            section,
            level: Level::Read,
            since: Version::V10,
            requires: None,
            run: RowRun::Check(run),
        }
    }

    /// A case that needs data of the run.
    const fn write(
        name: &'static str,
        section: &'static str,
        requirement: &'static str,
        run: for<'a> fn(&'a Bench<'a>) -> Running<'a>,
    ) -> Self {
        let mut row = Self::read(name, section, requirement, run);
        row.level = Level::Write;
        row
    }

    /// A case for each of the eight sets, that only reads. Without a section, that of the set is named.
    const fn read_each(
        name: &'static str,
        section: &'static str,
        requirement: &'static str,
        run: for<'a> fn(&'a Bench<'a>, &'static Kind) -> Running<'a>,
    ) -> Self {
        Self {
            name,
            requirement,
            section,
            level: Level::Read,
            since: Version::V10,
            requires: None,
            run: RowRun::Kinds(run),
        }
    }

    /// A case for each of the eight sets, that needs data of the run.
    const fn write_each(
        name: &'static str,
        section: &'static str,
        requirement: &'static str,
        run: for<'a> fn(&'a Bench<'a>, &'static Kind) -> Running<'a>,
    ) -> Self {
        let mut row = Self::read_each(name, section, requirement, run);
        row.level = Level::Write;
        row
    }

    /// The same, only since 1.1.
    const fn since_1_1(mut self) -> Self {
        self.since = Version::V11;
        self
    }

    /// The same, only where a server of 1.1 declares this requirement.
    const fn requires(mut self, requirement: &'static str) -> Self {
        self.requires = Some(requirement);
        self
    }

    /// The cases of this row.
    fn cases(&self, class: Class) -> Vec<Case> {
        let case = |set, section, run| Case {
            class,
            name: self.name,
            set,
            requirement: self.requirement,
            section,
            level: self.level,
            since: self.since,
            requires: self.requires,
            run,
        };
        match self.run {
            RowRun::Check(check) => vec![case(None, self.section, Run::Check(check))],
            RowRun::Kinds(check) => KINDS
                .iter()
                .map(|kind| {
                    let own = self.section.is_empty();
                    let section = if own { kind.section } else { self.section };
                    case(Some(kind.set), section, Run::Kind(check, kind))
                })
                .collect(),
        }
    }
}

/// An async function as a case.
macro_rules! check {
    ($function:path) => {
        |bench| Box::pin($function(bench))
    };
}

/// An async function as a case for each set.
macro_rules! each {
    ($function:path) => {
        |bench, kind| Box::pin($function(bench, kind))
    };
}

use {check, each};

/// Every case, in the order in which they are tried: those that only look before those that change.
pub(crate) fn all() -> Vec<Case> {
    let tables: [(Class, &[Row], &'static [Probe]); 11] = [
        (Class::DataModel, data_model::CASES, &[]),
        (Class::ResourcePath, resource_path::CASES, &[]),
        (Class::RequestData, request_data::CASES, &[]),
        (Class::FilterOperations, filter::CASES, filter::OPERATIONS),
        (Class::FilterFunctions, &[], filter::FUNCTIONS),
        (Class::Extensions, extensions::CASES, extensions::PROBES),
        (Class::CreateUpdateDelete, create_update_delete::CASES, &[]),
        (Class::MultiDatastream, multi_datastream::CASES, &[]),
        (Class::DataArray, data_array::CASES, &[]),
        (Class::Batch, batch::MULTIPART, &[]),
        (Class::JsonBatch, batch::JSON, &[]),
    ];
    let mut cases = Vec::new();
    for (class, rows, probes) in tables {
        cases.extend(rows.iter().flat_map(|row| row.cases(class)));
        cases.extend(probes.iter().map(|probe| probe.case(class)));
    }
    cases
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn names_of_cases_are_unique_and_every_case_says_what_it_asks() {
        let mut names = BTreeSet::new();
        for case in all() {
            assert!(names.insert(case.full_name()), "{}", case.full_name());
            assert!(case.requirement.ends_with('.'), "{}", case.full_name());
            assert!(!case.section.is_empty(), "{}", case.full_name());
        }
    }

    #[test]
    fn every_class_has_cases() {
        let cases = all();
        for class in Class::ALL {
            assert!(cases.iter().any(|case| case.class == class), "{class:?}");
        }
    }
}
