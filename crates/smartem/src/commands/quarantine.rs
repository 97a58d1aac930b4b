//! `smartem quarantine list|show|drop`.

use std::process::ExitCode;

use smartem_store::QuarantineFilter;

use super::{load_config, open_store, print_table};
use crate::cli::{Global, Quarantine};
use crate::config::UsageError;
use crate::output;

/// So many entries are listed.
const LISTED: usize = 1000;

pub(super) async fn run(args: &Quarantine, global: &Global) -> anyhow::Result<ExitCode> {
    let store = open_store(&load_config(global)?).await?;
    let unknown = |id: i64| {
        UsageError(format!(
            "there is no quarantine entry {id}; `smartem quarantine list` shows them"
        ))
    };
    match args {
        Quarantine::List { all } => {
            let filter = QuarantineFilter {
                open_only: !all,
                limit: LISTED,
            };
            let rows: Vec<[String; _]> = store
                .quarantine_list(filter)
                .await?
                .into_iter()
                .map(|entry| {
                    [
                        entry.id.to_string(),
                        entry.reason.to_string(),
                        entry.source,
                        entry.place,
                        format!("{:.0}", entry.last_seen),
                        entry.seen.to_string(),
                        if entry.resolved_at.is_some() {
                            "resolved"
                        } else {
                            "open"
                        }
                        .to_owned(),
                        entry.detail,
                    ]
                })
                .collect();
            print_table(
                &[
                    "id",
                    "reason",
                    "source",
                    "place",
                    "last seen",
                    "times",
                    "state",
                    "detail",
                ],
                &rows,
            );
        }
        Quarantine::Show { id } => {
            let entry = store
                .quarantine_get(*id)
                .await?
                .ok_or_else(|| unknown(*id))?;
            output::line(format_args!(
                "{}: {} ({})",
                entry.place, entry.reason, entry.detail
            ));
            if let Some(body) = &entry.body {
                output::line(String::from_utf8_lossy(body));
            }
        }
        Quarantine::Drop { id } => {
            if !store.quarantine_drop(*id).await? {
                return Err(unknown(*id).into());
            }
            output::line(format_args!("entry {id} is forgotten"));
        }
    }
    Ok(ExitCode::SUCCESS)
}
