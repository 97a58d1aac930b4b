//! Schedules of `CronJobs`: the five fields that Kubernetes takes, in UTC.

use chrono::{DateTime, TimeDelta, Utc};
use croner::Cron;
use croner::parser::{CronParser, Seconds};

/// Minutes of the week that is looked at.
pub const WEEK: i64 = 7 * 24 * 60;

/// Monday, the first of a month, so that all kinds of schedules have their turn within the week.
const MONDAY: i64 = 1_780_272_000;

/// What is wrong with a schedule; `None`: nothing.
pub fn fault(schedule: &str) -> Option<String> {
    if schedule.contains("TZ=") {
        return Some("a time zone has a field of its own, `timeZone`".to_owned());
    }
    let fields = schedule.split_whitespace().count();
    if fields != 5 {
        return Some(format!("{fields} fields instead of 5"));
    }
    // What other programs understand and Kubernetes does not: `L`, `W`, `#`, `?`.
    if let Some(odd) = schedule.chars().find(|c| "LW#?".contains(*c)) {
        return Some(format!("Kubernetes does not know `{odd}`"));
    }
    parse(schedule).err()
}

fn parse(schedule: &str) -> Result<Cron, String> {
    CronParser::builder()
        .seconds(Seconds::Disallowed)
        .build()
        .parse(schedule)
        .map_err(|error| error.to_string())
}

fn monday() -> Option<DateTime<Utc>> {
    DateTime::from_timestamp(MONDAY, 0)
}

/// Minutes of a day.
const DAY: i64 = 24 * 60;

/// Minutes at which it starts, since the beginning of the week that is looked at, within `minutes`.
pub fn starts(schedule: &str, minutes: i64) -> Vec<i64> {
    // One day is like the other; looking up each start takes long.
    if minutes > DAY && schedule.ends_with(" * * *") {
        let day = starts(schedule, DAY);
        return (0..minutes / DAY)
            .flat_map(|at| day.iter().map(move |minute| at * DAY + minute))
            .collect();
    }
    let (Ok(cron), Some(from)) = (parse(schedule), monday()) else {
        return Vec::new();
    };
    let end = from + TimeDelta::minutes(minutes);
    let mut starts = Vec::new();
    let mut at = from;
    while let Ok(next) = cron.find_next_occurrence(&at, starts.is_empty()) {
        if next >= end {
            break;
        }
        starts.push((next - from).num_minutes());
        at = next;
    }
    starts
}

/// The shortest pause between two starts, in seconds; `None` when it starts less than twice in three weeks.
pub fn shortest_pause(schedule: &str) -> Option<i64> {
    starts(schedule, 3 * WEEK)
        .windows(2)
        .map(|pair| (pair[1] - pair[0]) * 60)
        .min()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_kubernetes_does_not_take_is_a_fault() {
        for good in [
            "*/3 * * * *",
            "37 3 * * 0",
            "0 0 31 2 *",
            "12,25,37,49 * * * *",
        ] {
            assert_eq!(fault(good), None, "{good}");
        }
        for bad in [
            "not a cron",
            "* * * *",
            "0 * * * * *",
            "61 * * * *",
            "0 0 L * *",
            "TZ=UTC 0 0 * * *",
        ] {
            assert!(fault(bad).is_some(), "{bad}");
        }
    }

    #[test]
    fn starts_are_counted_from_monday() {
        assert_eq!(monday().unwrap().to_rfc3339(), "2026-06-01T00:00:00+00:00");
        assert_eq!(starts("0,30 1 * * 1", WEEK), [60, 90]);
        assert_eq!(starts("0 0 31 2 *", WEEK), [0; 0]);
        assert_eq!(shortest_pause("12,25,37,49 * * * *"), Some(720));
        assert_eq!(shortest_pause("37 3 * * 0"), Some(7 * 24 * 3600));
        assert_eq!(shortest_pause("0 0 31 2 *"), None);
    }
}
