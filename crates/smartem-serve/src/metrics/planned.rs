use std::collections::BTreeMap;
use std::time::Duration;

use super::text::Text;

/// What the configuration of this program says of processes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Planned {
    /// The longest pause between two scheduled starts, by process; none of a process that rests.
    pub schedules: BTreeMap<String, Duration>,
    /// The names of the sources of every process whose input has sources.
    pub sources: BTreeMap<String, Vec<String>>,
}

impl Planned {
    pub(super) fn write(&self, text: &mut Text) {
        text.gauge(
            "smartem_etl_schedule_interval_seconds",
            "Longest pause between two scheduled starts of a process that does not rest.",
        );
        for (process, pause) in &self.schedules {
            text.sample(&[("process", process)], pause.as_secs_f64());
        }
        text.gauge(
            "smartem_etl_sources",
            "Sources that the configuration names for a process.",
        );
        for (process, sources) in &self.sources {
            text.sample(&[("process", process)], sources.len() as f64);
        }
        text.gauge(
            "smartem_etl_source_info",
            "A source that the configuration names.",
        );
        for (process, sources) in &self.sources {
            for source in sources {
                text.sample(&[("process", process), ("source", source)], 1.0);
            }
        }
    }
}
