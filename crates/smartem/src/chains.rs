//! Chains: from the declaration of a process in the configuration to its parts.

use std::fmt;
use std::sync::Arc;

use anyhow::anyhow;
use jiff::{SignedDuration, Timestamp};
use smartem_etl::{Chain, Filter, Input, Output, Process, Registry, Site, StoreOutputs};
use smartem_model::Vocabulary;
use smartem_serve::Planned;

use crate::config::{self, Config, ConfigError, ProcessConfig};
use crate::platform::Platform;

/// Output into the store: station-hours. Also the input of the refiner.
const RAW: &str = "store.raw";
/// Output into the store: newest values.
const LAST: &str = "store.last";
/// Output into the store: refined values.
const OBSERVATIONS: &str = "store.observations";
/// The input that reads the newest values of the sources of other processes.
const SOURCES_OF: &str = "last";
/// So far schedules are looked at for pauses: a week, and a day more.
const PLANNED: SignedDuration = SignedDuration::from_hours(8 * 24);
/// The filter that makes observations of station-hours.
const REFINE: &str = "refine";

/// All kinds of inputs, filters and outputs.
pub(crate) fn registry() -> Registry {
    Registry::default()
        .input(smartem_collect::harvest::influxdb::kind())
        .input(smartem_collect::harvest::opensensemap::kind())
        .input(smartem_collect::harvest::rivm::kind())
        .input(smartem_collect::harvest::sensorthings::kind())
        .input(smartem_collect::harvest::whale::kind())
        .input(smartem_collect::harvest::sensor_community::kind())
        .input(smartem_collect::harvest::csv::kind())
        .input(crate::backup::input_kind())
        .input(smartem_etl::stored::raw_kind())
        .input(smartem_etl::stored::observations_kind())
        .filter(smartem_etl::extract::kind())
        .filter(smartem_etl::select::kind())
        .output(smartem_publish::influxdb::kind())
        .output(smartem_publish::sensorthings::kind())
        .output(crate::backup::output_kind())
        .output(crate::housekeeping::output_kind())
}

/// Builds the process of this declaration.
pub(crate) fn build(
    platform: &Platform,
    name: &str,
    process: &ProcessConfig,
) -> anyhow::Result<Box<dyn Process>> {
    // What is built in stays where an output was taken out of a process.
    let is_built_in = |part: &&str| {
        let settings = process.settings_of(part).ok();
        settings.is_some() && settings == config::built_in_settings(name, part).ok()
    };
    if let Some(stray) = process.strays().find(|part| !is_built_in(part)) {
        return Err(refused(format!(
            "`{stray}` is no setting and none of its parts; a process has `input`, `filter`, \
             `output`, `schedule`, `time_zone`, `budget`, `sources_of`, `source`, and a table of \
             settings for each of its parts"
        )));
    }
    if process.output.iter().any(|output| output == OBSERVATIONS) {
        return refiner(platform, process);
    }
    let parts = Parts {
        platform,
        registry: registry(),
        site: Site {
            process: name.to_owned(),
            folder: platform.config.folder().to_owned(),
            catalogue: platform.catalogue.clone(),
            vocabulary: Arc::new(Vocabulary::builtin().clone()),
        },
    };
    if process.output.is_empty() {
        return Err(refused("no `output`".to_owned()));
    }
    if waits_for(name, process)?.is_some() {
        // Built as a chain that has nothing to read, so that a schedule does no harm.
        let (catalogue, models) = (platform.catalogue.clone(), platform.models.clone());
        let nothing = StoreOutputs::default();
        return Ok(Box::new(Chain::new(
            name,
            Vec::new(),
            nothing,
            catalogue,
            models,
        )));
    }
    if let Some(process) = crate::backup::process(&platform.config, name, process)? {
        return Ok(process);
    }
    if let Some(process) = crate::housekeeping::process(name, process)? {
        return Ok(process);
    }
    let store = StoreOutputs {
        raw: process.output.iter().any(|output| output == RAW),
        last: process.output.iter().any(|output| output == LAST),
    };
    let inputs = parts.inputs(process)?;
    let (catalogue, models) = (platform.catalogue.clone(), platform.models.clone());
    let chain = Chain::new(name, inputs, store, catalogue, models);
    Ok(Box::new(
        chain.through(parts.filters(process)?, parts.outputs(process)?),
    ))
}

/// Why a process has nothing to do, whatever its schedule says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rest<'a> {
    /// It has no output but this one, which lacks settings.
    Output(&'a str),
    /// Nobody named a source.
    Source,
    /// It verifies backups, and nobody said where they are.
    Backup,
}

impl fmt::Display for Rest<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Output(output) => write!(f, "rests: `{output}` is not configured"),
            Self::Source => f.write_str("rests: no source yet"),
            Self::Backup => f.write_str("rests: no place of backups yet"),
        }
    }
}

/// Why a process rests; `None` of one that works.
pub(crate) fn rests<'a>(
    config: &Config,
    name: &str,
    process: &'a ProcessConfig,
) -> anyhow::Result<Option<Rest<'a>>> {
    if let Some(output) = waits_for(name, process)? {
        return Ok(Some(Rest::Output(output)));
    }
    let of_others = |name: &String| config.process.get(name).and_then(source_names);
    let sources = if process.input == SOURCES_OF {
        let others = process.sources_of.iter().filter_map(of_others);
        Some(others.flatten().collect())
    } else {
        source_names(process)
    };
    if sources.is_some_and(|names| names.is_empty()) {
        return Ok(Some(Rest::Source));
    }
    let rests = crate::backup::lacks_place(config, process)?;
    Ok(rests.then_some(Rest::Backup))
}

/// The names of the sources of a process; `None` when its input has none of its own.
pub(crate) fn source_names(process: &ProcessConfig) -> Option<Vec<&str>> {
    if !has_sources(&process.input) {
        return None;
    }
    let names = process.source.iter().filter_map(|it| it.get("name"));
    Some(names.filter_map(toml::Value::as_str).collect())
}

/// What the services tell of processes.
///
/// What is wrong with a process is told by what runs it, so it is left out here.
pub(crate) fn planned(config: &Config, now: Timestamp) -> Planned {
    let mut planned = Planned::default();
    for (name, process) in &config.process {
        if let Some(sources) = source_names(process) {
            let sources = sources.into_iter().map(str::to_owned).collect();
            planned.sources.insert(name.clone(), sources);
        }
        let Ok(Some(schedule)) = process.schedule() else {
            continue;
        };
        let pause = schedule.longest_pause(now, PLANNED);
        if let (Some(pause), Ok(None)) = (pause, rests(config, name, process)) {
            planned.schedules.insert(name.clone(), pause);
        }
    }
    planned
}

/// Whether an input of this name reads the `source`s of its process.
fn has_sources(input: &str) -> bool {
    let registry = registry();
    registry
        .inputs
        .get(input)
        .is_some_and(|kind| kind.has_sources)
}

/// The outputs of a process that nobody has configured yet; they are left out of its chain.
///
/// Such an output lacks settings that it must have, and those that it has are the built-in ones.
pub(crate) fn unconfigured_outputs<'a>(
    name: &str,
    process: &'a ProcessConfig,
) -> anyhow::Result<Vec<&'a str>> {
    let registry = registry();
    let mut unconfigured = Vec::new();
    for output in &process.output {
        let Some(kind) = registry.outputs.get(output.as_str()) else {
            continue;
        };
        let settings = process.settings_of(output)?;
        if kind.lacks_settings(&settings) && settings == config::built_in_settings(name, output)? {
            unconfigured.push(output.as_str());
        }
    }
    Ok(unconfigured)
}

/// The output that a process waits for; it rests while it has no other.
pub(crate) fn waits_for<'a>(
    name: &str,
    process: &'a ProcessConfig,
) -> anyhow::Result<Option<&'a str>> {
    let unconfigured = unconfigured_outputs(name, process)?;
    let rests = unconfigured.len() == process.output.len();
    Ok(unconfigured.first().copied().filter(|_| rests))
}

/// The refiner reads what is marked in the store and hands on state from hour to hour: it is a
/// process of its own, declared like a chain.
fn refiner(platform: &Platform, process: &ProcessConfig) -> anyhow::Result<Box<dyn Process>> {
    let is_refiner = process.input == RAW
        && process.output == [OBSERVATIONS]
        && (process.filter.is_empty() || process.filter == [REFINE]);
    if is_refiner {
        Ok(Box::new(platform.refiner()))
    } else {
        Err(refused(format!(
            "the output `{OBSERVATIONS}` needs `input = \"{RAW}\"`, `filter = [\"{REFINE}\"]` \
             and no other output"
        )))
    }
}

/// Builds the parts of one process.
struct Parts<'a> {
    platform: &'a Platform,
    registry: Registry,
    site: Site,
}

impl Parts<'_> {
    fn inputs(&self, process: &ProcessConfig) -> anyhow::Result<Vec<Box<dyn Input>>> {
        if process.input == SOURCES_OF {
            return self.inputs_of_others(process);
        }
        let known = &self.registry.inputs;
        let kind = known.get(process.input.as_str()).ok_or_else(|| {
            let others = [SOURCES_OF].into_iter();
            unknown("input", &process.input, known.keys().copied().chain(others))
        })?;
        if !kind.has_sources {
            let built = kind.build(process.settings_of(&process.input)?, &self.site);
            let built = built.map_err(|error| refused(format!("`{}`: {error}", process.input)))?;
            return Ok(vec![built]);
        }
        check_names(process)?;
        let sources = process.source.iter();
        let build = |settings: &toml::Table| {
            let built = kind.build(settings.clone(), &self.site);
            built.map_err(|error| {
                let name = settings.get("name").and_then(toml::Value::as_str);
                let of = name.map_or_else(String::new, |name| format!("source `{name}`: "));
                refused(format!("{of}{error}"))
            })
        };
        sources.map(build).collect()
    }

    /// The sources of other processes, as an input of its own.
    fn inputs_of_others(&self, process: &ProcessConfig) -> anyhow::Result<Vec<Box<dyn Input>>> {
        let mut inputs = Vec::new();
        if process.sources_of.is_empty() {
            return Err(refused(
                "`sources_of` is empty; name the harvesters whose newest values are read"
                    .to_owned(),
            ));
        }
        for name in &process.sources_of {
            let other = self.platform.config.process(name);
            let (_, other) = other.map_err(|error| refused(format!("`sources_of`: {error}")))?;
            if !has_sources(&other.input) {
                return Err(refused(format!(
                    "`sources_of`: `{name}` reads `{}`, which has no sources; name harvesters",
                    other.input
                )));
            }
            inputs.extend(self.inputs(other)?);
        }
        Ok(inputs)
    }

    fn filters(&self, process: &ProcessConfig) -> anyhow::Result<Vec<Box<dyn Filter>>> {
        let known = &self.registry.filters;
        let build = |part: &String| {
            let kind = known
                .get(part.as_str())
                .ok_or_else(|| unknown("filter", part, known.keys().copied().chain([REFINE])))?;
            let built = kind.build(process.settings_of(part)?, &self.site);
            built.map_err(|error| refused(format!("`{part}`: {error}")))
        };
        process.filter.iter().map(build).collect()
    }

    fn outputs(&self, process: &ProcessConfig) -> anyhow::Result<Vec<Box<dyn Output>>> {
        let known = &self.registry.outputs;
        let unconfigured = unconfigured_outputs(&self.site.process, process)?;
        let outside = process.output.iter().filter(|output| {
            *output != RAW && *output != LAST && !unconfigured.contains(&output.as_str())
        });
        let build = |part: &String| {
            let kind = known.get(part.as_str()).ok_or_else(|| {
                let others = [RAW, LAST, OBSERVATIONS].into_iter();
                unknown("output", part, known.keys().copied().chain(others))
            })?;
            let built = kind.build(process.settings_of(part)?, &self.site);
            built.map_err(|error| refused(format!("`{part}`: {error}")))
        };
        outside.map(build).collect()
    }
}

/// Each source has a name of its own: checkpoints are kept by it.
fn check_names(process: &ProcessConfig) -> anyhow::Result<()> {
    let mut names = std::collections::BTreeSet::new();
    // A name that is missing is told with the other settings.
    let given = process
        .source
        .iter()
        .filter_map(|source| source.get("name")?.as_str());
    for name in given.map(str::trim) {
        if name.is_empty() {
            return Err(refused(
                "a source has an empty `name`; checkpoints are kept by it".to_owned(),
            ));
        }
        if !names.insert(name) {
            return Err(refused(format!(
                "two sources are named `{name}`; checkpoints are kept by name, so give each its own"
            )));
        }
    }
    Ok(())
}

fn unknown<'a>(
    what: &str,
    name: &str,
    known: impl Iterator<Item = &'a str> + Clone,
) -> anyhow::Error {
    let mut names: Vec<&str> = known.collect();
    names.sort_unstable();
    let names = names.join("`, `");
    refused(match name {
        "" => format!("no `{what}`; it can be `{names}`"),
        _ => format!("there is no {what} `{name}`; it can be `{names}`"),
    })
}

fn refused(problem: String) -> anyhow::Error {
    anyhow!(ConfigError(problem))
}
