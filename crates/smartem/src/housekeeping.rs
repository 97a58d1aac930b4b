//! The process `housekeeping`, declared like a chain.

use async_trait::async_trait;
use jiff::{SignedDuration, Span, SpanRelativeTo};
use schemars::JsonSchema;
use serde::Deserialize;
use smartem_etl::{About, Kind, Outcome, Output, Process, ProcessError, Run, SettingsError};

use crate::config::{ConfigError, ProcessConfig};

/// The name of the process and of its output.
pub(crate) const HOUSEKEEPING: &str = "housekeeping";

/// Partitions are made for so many months to come.
const MONTHS_AHEAD: usize = 3;

/// Younger observations may still be refined anew, and would come back.
const LEAST_DAYS: i64 = 60;

/// What is kept.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(default)]
pub(crate) struct HousekeepingSettings {
    /// How long observations are kept, such as `"3650d"`; at least `"60d"`. Empty: for ever. They go by
    /// whole months (UTC), when the last day of a month is that old. Raw records stay, and refining their
    /// hours again makes the observations again.
    pub keep_observations: String,
}

const OUTPUT: About = About {
    name: HOUSEKEEPING,
    summary: "The upkeep of the store.",
    text: "Only with `input = \"store\"`. Drops observations that are older than they are kept, and makes the tables \
        for the months to come where the store is a PostgreSQL database: there a month is a partition, and dropping it \
        gives its space back at once. In the embedded store the space is used again. Counted: `observations_dropped`.",
    checkpoint: "None: what is old enough is found again.",
    example: r#"
[process.housekeeping]
input = "store"
output = ["housekeeping"]
schedule = "37 4 * * *"
[process.housekeeping.housekeeping]
keep_observations = "3650d"
"#,
};

/// The output as the registry of parts knows it.
pub(crate) fn output_kind() -> Kind<Box<dyn Output>> {
    Kind::new(OUTPUT, |_: HousekeepingSettings, _| {
        Err(SettingsError(
            "`housekeeping` is about the store: it needs `input = \"store\"` and no filter or other output"
                .to_owned(),
        ))
    })
}

/// The process of this declaration, if it is this one.
pub(crate) fn process(
    name: &str,
    declared: &ProcessConfig,
) -> anyhow::Result<Option<Box<dyn Process>>> {
    let is_this = declared.input == "store"
        && declared.filter.is_empty()
        && declared.output == [HOUSEKEEPING];
    if !is_this {
        return Ok(None);
    }
    let settings = declared.settings_of(HOUSEKEEPING)?;
    crate::backup::check(HOUSEKEEPING, &settings, &output_kind().settings())?;
    let settings: HousekeepingSettings = settings.try_into()?;
    Ok(Some(Box::new(Housekeeping {
        name: name.to_owned(),
        keep: kept(&settings.keep_observations)?,
    })))
}

/// How long observations are kept; `None`: for ever.
fn kept(text: &str) -> Result<Option<SignedDuration>, ConfigError> {
    if text.trim().is_empty() {
        return Ok(None);
    }
    let refused = |problem: &str| {
        ConfigError(format!(
            "`keep_observations` is `{text}`, {problem}; write for example \"3650d\""
        ))
    };
    let span: Span = text
        .trim()
        .parse()
        .map_err(|_| refused("which is no length of time"))?;
    let kept = span.to_duration(SpanRelativeTo::days_are_24_hours());
    // Months and years are not all of one length.
    let kept = kept.map_err(|_| refused("which is not in days or shorter units"))?;
    if kept < SignedDuration::from_hours(24 * LEAST_DAYS) {
        return Err(refused("which is less than 60 days"));
    }
    Ok(Some(kept))
}

struct Housekeeping {
    name: String,
    keep: Option<SignedDuration>,
}

#[async_trait]
impl Process for Housekeeping {
    fn name(&self) -> &str {
        &self.name
    }

    async fn run(&self, run: &Run) -> Result<Outcome, ProcessError> {
        run.store.prepare_months(run.now(), MONTHS_AHEAD).await?;
        let Some(keep) = self.keep else {
            return Ok(Outcome::Done);
        };
        // Nothing is older than the first time that there is.
        let Ok(before) = run.now().checked_sub(keep) else {
            return Ok(Outcome::Done);
        };
        while let Some(dropped) = run.store.drop_observations(before).await? {
            run.counters.add("observations_dropped", dropped);
            if let Some(end) = run.should_end() {
                return Ok(end);
            }
        }
        Ok(Outcome::Done)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_dropped_unless_it_is_said() {
        assert_eq!(kept("").unwrap(), None);
        let ten_years = SignedDuration::from_hours(24 * 3650);
        assert_eq!(kept("3650d").unwrap(), Some(ten_years));
        for (text, told) in [
            ("7d", "less than 60 days"),
            ("-400d", "less than 60 days"),
            ("10y", "not in days"),
            ("soon", "no length of time"),
        ] {
            let error = kept(text).unwrap_err().to_string();
            assert!(error.contains(told) && error.contains(text), "{error}");
        }
    }
}
