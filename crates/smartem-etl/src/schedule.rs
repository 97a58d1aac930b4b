use std::future::Future;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use croner::Cron;
use croner::parser::{CronParser, Seconds};
use jiff::{SignedDuration, Timestamp};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::process::Clock;

/// A cron expression in a time zone: five fields, or six with seconds first.
#[derive(Clone, Debug)]
pub struct Schedule {
    cron: Cron,
    zone: chrono_tz::Tz,
}

/// A text that is no schedule.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ScheduleError {
    /// No cron expression.
    #[error("`{text}` is no cron expression ({problem}); write for example `*/5 * * * *`")]
    Cron {
        /// As written.
        text: String,
        /// What is wrong with it.
        problem: String,
    },
    /// No time zone.
    #[error("`{0}` is no time zone; write an IANA name such as `UTC` or `Europe/Amsterdam`")]
    Zone(String),
}

impl FromStr for Schedule {
    type Err = ScheduleError;

    /// A schedule in UTC.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::new(text, "")
    }
}

impl Schedule {
    /// A schedule in the time zone of this IANA name; empty: UTC.
    ///
    /// Where clocks are put forward, a time that does not exist is taken at the change; where they
    /// are put back, a fixed time that comes twice is taken once.
    pub fn new(text: &str, zone: &str) -> Result<Self, ScheduleError> {
        let cron = CronParser::builder()
            .seconds(Seconds::Optional)
            .build()
            .parse(text)
            .map_err(|error| ScheduleError::Cron {
                text: text.to_owned(),
                problem: error.to_string(),
            })?;
        let zone = if zone.is_empty() { "UTC" } else { zone };
        let zone = zone
            .parse()
            .map_err(|_| ScheduleError::Zone(zone.to_owned()))?;
        Ok(Self { cron, zone })
    }

    /// The first time after `now`; `None` when there is none any more.
    pub fn next_after(&self, now: Timestamp) -> Option<Timestamp> {
        let now = chrono::DateTime::from_timestamp(now.as_second(), 0)?.with_timezone(&self.zone);
        let next = self.cron.find_next_occurrence(&now, false).ok()?;
        Timestamp::from_second(next.timestamp()).ok()
    }

    /// The longest pause between two starts, of those from `from` on until the first after `within`, at
    /// least two; `None` when there are not so many.
    pub fn longest_pause(&self, from: Timestamp, within: SignedDuration) -> Option<Duration> {
        let end = from.saturating_add(within).ok()?;
        let mut start = self.next_after(from)?;
        let mut longest = None;
        for _ in 0..MOST_STARTS {
            let Some(next) = self.next_after(start) else {
                break;
            };
            longest = longest.max(Duration::try_from(next.duration_since(start)).ok());
            if next > end {
                break;
            }
            start = next;
        }
        longest
    }
}

/// So many starts are looked at; a start every minute has fewer in a week.
const MOST_STARTS: usize = 12_000;

/// Runs jobs on their schedules inside one program, each in its own task.
///
/// A job that overruns its next time is not started twice: its next time is looked up when it ends.
pub struct Scheduler {
    clock: Clock,
    stop: CancellationToken,
    jobs: JoinSet<()>,
}

impl Scheduler {
    /// A scheduler without jobs, which ends when `stop` is set.
    pub fn new(clock: Clock, stop: CancellationToken) -> Self {
        Self {
            clock,
            stop,
            jobs: JoinSet::new(),
        }
    }

    /// Runs `job` right now and at every time of `schedule`.
    pub fn add<F, R>(&mut self, schedule: Schedule, job: F)
    where
        F: Fn() -> R + Send + Sync + 'static,
        R: Future<Output = ()> + Send,
    {
        let (clock, stop, job) = (self.clock.clone(), self.stop.clone(), Arc::new(job));
        self.jobs.spawn(async move {
            job().await;
            while let Some(next) = schedule.next_after(clock()) {
                let wait = Duration::try_from(next.duration_since(clock())).unwrap_or_default();
                tokio::select! {
                    () = stop.cancelled() => return,
                    () = tokio::time::sleep(wait) => job().await,
                }
            }
        });
    }

    /// Waits until all jobs have ended after `stop` was set.
    pub async fn join(mut self) {
        while self.jobs.join_next().await.is_some() {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn next(schedule: &str, now: &str) -> String {
        let schedule: Schedule = schedule.parse().unwrap();
        schedule
            .next_after(now.parse().unwrap())
            .unwrap()
            .to_string()
    }

    #[test]
    fn five_fields_are_minutes_and_six_begin_with_seconds() {
        assert_eq!(
            next("12,25 * * * *", "2026-11-22T10:12:00Z"),
            "2026-11-22T10:25:00Z"
        );
        assert_eq!(
            next("*/10 * * * * *", "2026-11-22T10:12:01Z"),
            "2026-11-22T10:12:10Z"
        );
        assert_eq!(
            next("17 2 * * *", "2026-12-31T02:17:00Z"),
            "2027-01-01T02:17:00Z"
        );
    }

    #[test]
    fn a_schedule_follows_the_clocks_of_its_zone() {
        let schedule = Schedule::new("30 2 * * *", "Europe/Amsterdam").unwrap();
        let next = |now: &str| {
            schedule
                .next_after(now.parse().unwrap())
                .unwrap()
                .to_string()
        };
        // Winter: one hour ahead of UTC; summer: two.
        assert_eq!(next("2026-01-10T00:00:00Z"), "2026-01-10T01:30:00Z");
        assert_eq!(next("2026-07-10T00:00:00Z"), "2026-07-10T00:30:00Z");
        // 02:30 does not exist on 29 March, and comes twice on 25 October.
        assert_eq!(next("2026-03-29T00:00:00Z"), "2026-03-29T01:00:00Z");
        assert_eq!(next("2026-10-25T00:00:00Z"), "2026-10-25T00:30:00Z");
        assert_eq!(next("2026-10-25T00:30:00Z"), "2026-10-26T01:30:00Z");
        let error = Schedule::new("* * * * *", "Mars/Olympus").unwrap_err();
        assert!(error.to_string().contains("Mars/Olympus"), "{error}");
    }

    #[test]
    fn the_longest_pause_is_that_between_two_starts() {
        let pause = |schedule: Schedule| {
            let from = "2026-11-28T10:07:30Z".parse().unwrap();
            let pause = schedule.longest_pause(from, SignedDuration::from_hours(8 * 24));
            pause.map(|it| it.as_secs())
        };
        let of = |schedule: &str| pause(schedule.parse().unwrap());
        let (minute, hour, day) = (60, 3600, 24 * 3600);
        assert_eq!(of("*/3 * * * *"), Some(3 * minute));
        // From the last one of an hour to the first of the next.
        assert_eq!(of("12,25,37,49 * * * *"), Some(23 * minute));
        assert_eq!(of("*/10 * * * * *"), Some(10));
        assert_eq!(of("17 2 * * *"), Some(day));
        assert_eq!(of("37 3 * * 0"), Some(7 * day));
        // From Friday evening to Monday morning.
        assert_eq!(of("0 8,18 * * 1-5"), Some(2 * day + 14 * hour));
        // The next two starts, however far away.
        assert_eq!(of("0 0 1 * *"), Some(31 * day));
        assert_eq!(of("0 0 31 2 *"), None);
        // Clocks are put forward within the days that are looked at.
        let schedule = Schedule::new("30 12 * * *", "Europe/Amsterdam").unwrap();
        let from = "2026-03-25T00:00:00Z".parse().unwrap();
        let pause = schedule.longest_pause(from, SignedDuration::from_hours(8 * 24));
        assert_eq!(pause.map(|it| it.as_secs()), Some(day));
        let from = "2026-10-20T00:00:00Z".parse().unwrap();
        let pause = schedule.longest_pause(from, SignedDuration::from_hours(8 * 24));
        assert_eq!(pause.map(|it| it.as_secs()), Some(25 * hour));
    }

    #[test]
    fn a_bad_expression_is_explained() {
        let error = "61 * * * *".parse::<Schedule>().unwrap_err().to_string();
        assert!(
            error.contains("`61 * * * *`") && error.contains("write for example"),
            "{error}"
        );
    }
}
