//! The filter `select`: only some rows go on.

use std::collections::BTreeSet;

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;

use crate::batch::{Batch, Row};
use crate::chain::Filter;
use crate::component::{About, Kind, SettingsError};
use crate::process::Counters;

const ABOUT: About = About {
    name: "select",
    summary: "Only rows of some indicators, stations, station types, networks or projects go on.",
    text: "A row stays when, for each setting that is given, its attribute of that name is in the list. \
        Station-hours and newest values are not touched.",
    checkpoint: "None: it keeps nothing. The same rows stay whenever a batch is met again.",
    example: r#"
[process.publisher-influxdb]
input = "store.observations"
filter = ["select"]
output = ["influxdb"]

[process.publisher-influxdb.select]
indicator = ["co", "no", "no2", "o3", "co2"]

[process.publisher-influxdb.influxdb]
url = "http://influxdb.example:8086"
database = "smartemission"
measurement = "joserefined"
"#,
};

/// Settings of the filter `select`; an empty list lets everything pass.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(default)]
pub struct SelectSettings {
    /// Names of indicators, such as `no2`.
    pub indicator: BTreeSet<String>,
    /// Ids of stations.
    pub station: BTreeSet<String>,
    /// Names of station types.
    pub station_type: BTreeSet<String>,
    /// Names of networks.
    pub network: BTreeSet<String>,
    /// Names of projects.
    pub project: BTreeSet<String>,
}

/// The filter `select`.
pub fn kind() -> Kind<Box<dyn Filter>> {
    Kind::new(ABOUT, |settings: SelectSettings, site| {
        if let Some(unknown) = settings
            .indicator
            .iter()
            .find(|name| site.vocabulary.get(name).is_none())
        {
            return Err(SettingsError(format!(
                "`indicator`: there is no indicator `{unknown}`"
            )));
        }
        Ok(Box::new(Select(settings)))
    })
}

struct Select(SelectSettings);

impl Select {
    fn lets_pass(&self, row: &Row) -> bool {
        let lists = [
            ("indicator", &self.0.indicator),
            ("station", &self.0.station),
            ("station_type", &self.0.station_type),
            ("network", &self.0.network),
            ("project", &self.0.project),
        ];
        lists.iter().all(|(name, list)| {
            let value = row.attributes.get(name).and_then(Value::as_str);
            list.is_empty() || value.is_some_and(|value| list.contains(value))
        })
    }
}

impl Filter for Select {
    fn apply(&self, batch: &mut Batch, counters: &Counters) {
        let before = batch.rows.len();
        batch.rows.retain(|row| self.lets_pass(row));
        counters.add("rows_left_out", (before - batch.rows.len()) as u64);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_row_stays_when_every_list_that_is_given_names_it() {
        let settings = |indicator: &[&str], station: &[&str]| SelectSettings {
            indicator: indicator.iter().map(|name| (*name).to_owned()).collect(),
            station: station.iter().map(|name| (*name).to_owned()).collect(),
            ..SelectSettings::default()
        };
        let rows = || {
            let row = |indicator: &str, station: &str| Row {
                attributes: [("indicator", json!(indicator)), ("station", json!(station))].into(),
                ..Row::default()
            };
            vec![row("no2", "23"), row("o3", "23"), row("no2", "55")]
        };
        for (settings, left) in [
            (settings(&[], &[]), 3),
            (settings(&["no2"], &[]), 2),
            (settings(&["no2"], &["23"]), 1),
            (settings(&["co"], &[]), 0),
        ] {
            let mut batch = Batch {
                rows: rows(),
                ..Batch::default()
            };
            let counters = Counters::default();
            Select(settings).apply(&mut batch, &counters);
            assert_eq!(batch.rows.len(), left);
        }
    }
}
