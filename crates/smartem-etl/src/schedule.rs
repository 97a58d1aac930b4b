use std::future::Future;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use croner::Cron;
use croner::parser::{CronParser, Seconds};
use jiff::Timestamp;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::process::Clock;

/// A cron expression in UTC: five fields, or six with seconds first.
#[derive(Clone, Debug)]
pub struct Schedule(Cron);

/// A text that is no cron expression.
#[derive(Debug, thiserror::Error)]
#[error("`{text}` is no cron expression ({problem}); write for example `*/5 * * * *`")]
pub struct ScheduleError {
    text: String,
    problem: String,
}

impl FromStr for Schedule {
    type Err = ScheduleError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        CronParser::builder()
            .seconds(Seconds::Optional)
            .build()
            .parse(text)
            .map(Self)
            .map_err(|error| ScheduleError {
                text: text.to_owned(),
                problem: error.to_string(),
            })
    }
}

impl Schedule {
    /// The first time after `now`; `None` when there is none any more.
    pub fn next_after(&self, now: Timestamp) -> Option<Timestamp> {
        let now = chrono::DateTime::from_timestamp(now.as_second(), 0)?;
        let next = self.0.find_next_occurrence(&now, false).ok()?;
        Timestamp::from_second(next.timestamp()).ok()
    }
}

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
    fn a_bad_expression_is_explained() {
        let error = "61 * * * *".parse::<Schedule>().unwrap_err().to_string();
        assert!(
            error.contains("`61 * * * *`") && error.contains("write for example"),
            "{error}"
        );
    }
}
