//! What the store and the backups tell of the last days.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use smartem_backup::{Backup, BackupError, Repository, Target};
use smartem_etl::ExitCode;
use smartem_store::{Access, Store};

use super::{Findings, database, told};
use crate::clock;
use crate::config::{self, Config};

/// For an object storage that does not answer.
const PATIENCE: Duration = Duration::from_secs(10);

/// A backup is made every day, and verified every week; twice that is too long.
const OLD: SignedDuration = SignedDuration::from_hours(48);
const UNVERIFIED: SignedDuration = SignedDuration::from_hours(14 * 24);

/// Runs and quarantine; `None` when there is no store to ask, which others have told.
pub(super) async fn store(config: &Config) -> Option<Findings> {
    let dir = &config.store.data_dir;
    let store = match config.postgres().ok()? {
        None => Store::open(dir, Access::Existing).await,
        Some(settings) => {
            let settings = database::impatient(settings);
            Store::connect(dir, &settings, Access::Existing).await
        }
    };
    let store = store.ok()?;
    let mut findings = Findings::new("history");
    match store.runs_latest().await {
        Err(error) => findings.fail(
            "runs",
            told(&error.into()),
            "read the message; `smartem store check` looks for damage",
        ),
        Ok(runs) => {
            let mut good = 0;
            for run in &runs {
                let code = run.exit_code.unwrap_or(0);
                if code == 0 {
                    good += 1;
                    continue;
                }
                let what = format!("last run of {}", run.process);
                let detail = format!(
                    "{} with exit status {code}, begun {:.0}",
                    run.outcome.as_deref().unwrap_or("ended"),
                    run.started_at
                );
                let remedy = format!(
                    "`smartem etl run {}` says why; docs/reference/commands.md says what each status means",
                    run.process
                );
                if code == i32::from(ExitCode::TryAgain.code()) {
                    findings.warn(&what, detail, remedy);
                } else {
                    findings.fail(&what, detail, remedy);
                }
            }
            let detail = match runs.len() {
                0 => "no process has run yet".to_owned(),
                all => format!("the last ones of {good} of {all} processes were good"),
            };
            findings.ok("runs", detail);
        }
    }
    if let Ok(backlog) = store.backlog().await {
        let open: u64 = backlog.quarantine.iter().map(|count| count.open).sum();
        if open == 0 {
            findings.ok("quarantine", "nothing is open");
        } else {
            findings.warn(
                "quarantine",
                format!("{open} entries are open"),
                "look at them with `smartem quarantine list`",
            );
        }
    }
    Some(findings)
}

/// The places of backups, whether they can be written, and how old what is there is.
pub(super) async fn backups(config: &Config, offline: bool) -> Findings {
    let mut findings = Findings::new("backup");
    for (name, process) in &config.process {
        if process.input != "store" || !process.output.iter().any(|it| it == "backup") {
            continue;
        }
        let settings = process.settings_of("backup").unwrap_or_default();
        let to = settings.get("to").and_then(toml::Value::as_str);
        let Some(to) = to.filter(|to| !to.is_empty()) else {
            if config.store.backend == config::StoreBackend::Sqlite {
                findings.warn(
                    &format!("process {name}"),
                    "no place for backups is configured",
                    format!("set `[process.{name}.backup] to`"),
                );
            }
            continue;
        };
        if offline && to.contains("://") && !to.starts_with("file://") {
            continue;
        }
        place(&mut findings, name, to).await;
    }
    findings
}

async fn place(findings: &mut Findings, name: &str, to: &str) {
    if !to.contains("://") && !std::path::Path::new(to).exists() {
        findings.warn(
            &format!("place of {name}"),
            format!("{to} is not there yet"),
            format!("run `smartem etl run {name}`, which makes it, or mount it"),
        );
        return;
    }
    let repository = match Target::open(to, &config::storage_credentials(), false) {
        Ok(target) => Repository::new(target),
        Err(error) => {
            findings.fail(
                &format!("place of {name}"),
                told(&error.into()),
                "make the folder, or correct `to` and the keys in the environment",
            );
            return;
        }
    };
    let what = format!("place of {name}");
    let place = repository.name().to_owned();
    let asked = async {
        repository.try_writing().await?;
        repository.backups(smartem_backup::store::LINE).await
    };
    let found: Result<Vec<Backup>, String> = match tokio::time::timeout(PATIENCE, asked).await {
        Ok(found) => found.map_err(|error: BackupError| told(&error.into())),
        Err(_) => Err(format!("no answer within {} s", PATIENCE.as_secs())),
    };
    match found {
        Err(problem) => findings.fail(
            &what,
            format!("{place}: {problem}"),
            "let smartem list and write there: rights of the folder, or the keys in the environment",
        ),
        Ok(backups) => {
            findings.ok(&what, format!("{place} can be listed and written"));
            ages(findings, name, &backups, (clock::system())());
        }
    }
}

fn ages(findings: &mut Findings, name: &str, backups: &[Backup], now: Timestamp) {
    let age = |backup: &Backup| now.duration_since(backup.made_at);
    let words = |age: SignedDuration| format!("{} h old", age.as_hours().max(0));
    let what = format!("newest of {name}");
    let run = format!("run `smartem etl run {name}` and read why it does not by itself");
    match backups.last().map(age) {
        None => findings.warn(&what, "there is none", run),
        Some(age) if age > OLD => findings.warn(&what, words(age), run),
        Some(age) => findings.ok(&what, words(age)),
    }
    let what = format!("newest verified of {name}");
    let verify = "run `smartem etl run backup-verify`; until then no older one is forgotten";
    match backups.iter().rev().find(|it| it.verified).map(age) {
        None if backups.is_empty() => {}
        None => findings.warn(&what, "there is none", verify),
        Some(age) if age > UNVERIFIED => findings.warn(&what, words(age), verify),
        Some(age) => findings.ok(&what, words(age)),
    }
}

#[cfg(test)]
mod tests {
    use super::super::Level;
    use super::*;

    #[test]
    fn old_and_unverified_backups_are_told() {
        let now: Timestamp = "2026-11-28T12:00:00Z".parse().unwrap();
        let levels = |backups: &[(&str, bool)]| {
            let backups: Vec<Backup> = backups
                .iter()
                .map(|(made_at, verified)| Backup {
                    made_at: made_at.parse().unwrap(),
                    id: (*made_at).to_owned(),
                    verified: *verified,
                })
                .collect();
            let mut findings = Findings::new("backup");
            ages(&mut findings, "backup", &backups, now);
            findings
                .checks
                .iter()
                .map(|it| it.level)
                .collect::<Vec<_>>()
        };
        let (ok, warn) = (Level::Ok, Level::Warn);
        assert_eq!(levels(&[]), [warn]);
        assert_eq!(levels(&[("2026-11-28T02:17:00Z", false)]), [ok, warn]);
        let both = [
            ("2026-11-23T02:17:00Z", true),
            ("2026-11-28T02:17:00Z", false),
        ];
        assert_eq!(levels(&both), [ok, ok]);
        assert_eq!(levels(&[("2026-11-01T02:17:00Z", true)]), [warn, warn]);
    }
}
