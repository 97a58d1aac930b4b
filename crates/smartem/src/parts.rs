//! What the parts of chains say of themselves: their pages in the reference.

use std::fmt::Write as _;

use smartem_etl::{About, Registry, Setting};

use crate::chains;

/// A part of a chain with its documentation.
pub(crate) struct Part {
    /// `input`, `filter` or `output`.
    pub kind: &'static str,
    pub about: About,
    /// Where its settings stand; `None` for a part without any.
    settings: Option<(String, Vec<Setting>)>,
}

/// Parts that are wired into the store and the refiner.
const BUILT_IN: [(&str, About); 7] = [
    (
        "input",
        About {
            name: "last",
            summary: "The newest values of the sources of other processes.",
            text: "Asks every source of the processes in `sources_of` for its newest values only. Between \
                two runs of their harvesters the map so stays at most as old as this process runs often: \
                every three minutes by default. A value is shown as stale when it is older than \
                `serve.stale_after` (two hours) at the moment of looking, also when its source is gone.",
            checkpoint: "None: a newer value takes the place of an older one, whoever brings it.",
            example: r#"
[process.last]
input = "last"
sources_of = ["harvester-whale", "harvester-influxdb"]
output = ["store.last"]
schedule = "*/3 * * * *"
budget = "150s"
"#,
        },
    ),
    (
        "filter",
        About {
            name: "refine",
            summary: "Observations of raw station-hours: validated, converted, calibrated, averaged.",
            text: "The refiner: `store.raw | refine | store.observations`. It takes what is marked in the \
                store, a station at a time, its hours in order, because each hour hands on state to the \
                next. An hour that changes, or whose incoming state changes, is refined again. An hour \
                that comes in parts is refined when it has ended. Settings are those of `[refine]`.",
            checkpoint: "The marks in the store: an hour is unmarked in the transaction that writes its \
                observations.",
            example: r#"
[process.refiner]
input = "store.raw"
filter = ["refine"]
output = ["store.observations"]
schedule = "1-59/5 * * * *"
budget = "280s"
"#,
        },
    ),
    (
        "output",
        About {
            name: "store.raw",
            summary: "Raw station-hours into the store, with the checkpoints that cover them.",
            text: "Hours, checkpoints and quarantine of a batch are one transaction. An hour that is there \
                with the same content is left alone; another content takes its place and is refined \
                again. Hours that come in parts are united; substitutes (averages made by the source, \
                archives) only fill hours that have no measured samples, and give way to them.",
            checkpoint: "Those of the input.",
            example: r#"
[process.harvester-whale]
input = "whale"
output = ["store.raw"]
"#,
        },
    ),
    (
        "output",
        About {
            name: "store.last",
            summary: "Newest values into the store.",
            text: "A newest value is refined as a snapshot and kept as the last value of its series, where \
                it is newer than what is there.",
            checkpoint: "None.",
            example: r#"
[process.harvester-whale]
input = "whale"
output = ["store.raw", "store.last"]
"#,
        },
    ),
    (
        "output",
        About {
            name: "store.observations",
            summary: "Observations into the store, in place of those that their hours had before.",
            text: "Only for the refiner, see the filter `refine`.",
            checkpoint: "The marks in the store.",
            example: r#"
[process.refiner]
input = "store.raw"
filter = ["refine"]
output = ["store.observations"]
"#,
        },
    ),
    (
        "input",
        About {
            name: "store",
            summary: "The whole store, to be backed up.",
            text: "Only for the output `backup`.",
            checkpoint: "None.",
            example: r#"
[process.backup]
input = "store"
output = ["backup"]
[process.backup.backup]
to = "/backup/smartem"
"#,
        },
    ),
    (
        "output",
        About {
            name: "verify",
            summary: "Reads a backup back, checks it as a restore does, and notes that beside it.",
            text: "Only for the input `backup`. The backup is restored into a scratch folder: every piece and every \
                file is compared with its sum, rows of every table and times with the manifest, every raw \
                record with its sum; then the scratch folder is dropped. Only backups older than a \
                verified one are forgotten. The process rests while no place is configured.",
            checkpoint: "A note beside the backup that it was verified.",
            example: r#"
[process.backup-verify]
input = "backup"
output = ["verify"]
schedule = "37 3 * * 0"
"#,
        },
    ),
];

/// All parts, by kind and name.
pub(crate) fn all() -> Vec<Part> {
    let Registry {
        inputs,
        filters,
        outputs,
    } = chains::registry();
    let own = |name: &str| format!("`[process.<name>.{}]`", name.replace('.', "_"));
    let mut parts: Vec<Part> = BUILT_IN
        .into_iter()
        .map(|(kind, about)| Part {
            kind,
            about,
            settings: None,
        })
        .collect();
    for kind in inputs.values() {
        let place = if kind.has_sources {
            "`[[process.<name>.source]]`, once for each source".to_owned()
        } else {
            own(kind.about.name)
        };
        parts.push(Part {
            kind: "input",
            about: kind.about,
            settings: Some((place, kind.settings())),
        });
    }
    for kind in filters.values() {
        parts.push(Part {
            kind: "filter",
            about: kind.about,
            settings: Some((own(kind.about.name), kind.settings())),
        });
    }
    for kind in outputs.values() {
        parts.push(Part {
            kind: "output",
            about: kind.about,
            settings: Some((own(kind.about.name), kind.settings())),
        });
    }
    let rank = |part: &Part| {
        ["input", "filter", "output"]
            .iter()
            .position(|it| *it == part.kind)
    };
    parts.sort_by_key(|part| (rank(part), part.about.name));
    parts
}

impl Part {
    /// The page of the part, Markdown.
    pub(crate) fn page(&self) -> String {
        let About {
            name,
            summary,
            text,
            checkpoint,
            example,
        } = self.about;
        let mut page = format!("# `{name}` ({})\n\n{summary}\n\n{text}\n\n", self.kind);
        if let Some((place, settings)) = &self.settings {
            page.push_str(&table(place, settings));
        }
        let _ = write!(
            page,
            "## Checkpoint\n\n{checkpoint}\n\n## Example\n\n```toml\n{}\n```\n",
            example.trim()
        );
        page
    }
}

/// The settings of a part: those that must be given first.
fn table(place: &str, settings: &[Setting]) -> String {
    let mut table =
        format!("## Settings\n\nIn {place}.\n\n| Setting | Default | Meaning |\n|---|---|---|\n");
    let (needed, others): (Vec<_>, Vec<_>) = settings.iter().partition(|it| it.default.is_none());
    for setting in needed.into_iter().chain(others) {
        let default = match (&setting.default, setting.default_text()) {
            (None, _) => "must be given".to_owned(),
            (Some(_), None) => "none".to_owned(),
            (Some(_), Some(text)) => format!("`{text}`"),
        };
        let meaning = setting.text.replace("\n\n", " ").replace('\n', " ");
        let _ = writeln!(table, "| `{}` | {default} | {meaning} |", setting.name);
    }
    table.push('\n');
    table
}
