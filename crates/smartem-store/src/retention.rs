//! How long observations are kept: by calendar months (UTC), which are dropped whole.

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;

use crate::backend::{Backend, on};
use crate::{Store, StoreError};

/// A calendar month (UTC).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Month(Date);

impl Month {
    pub(crate) fn of(date: Date) -> Self {
        Self(date.first_of_month())
    }

    pub(crate) fn at(time: Timestamp) -> Self {
        Self::of(time.to_zoned(TimeZone::UTC).date())
    }

    pub(crate) fn year(self) -> i16 {
        self.0.year()
    }

    pub(crate) fn month(self) -> i8 {
        self.0.month()
    }

    /// The month after it; the last that there is has none, and stays.
    pub(crate) fn next(self) -> Self {
        let next = self.0.last_of_month().tomorrow();
        next.map_or(self, Self::of)
    }
}

/// When a month begins.
pub(crate) fn start_of(month: Month) -> Timestamp {
    let start = month.0.to_zoned(TimeZone::UTC);
    start.map_or(Timestamp::MIN, |start| start.timestamp())
}

impl Store {
    /// Drops some of the observations of months that ended before the month of `time` (UTC) began; how
    /// many, `None` when there are none left. To be called until then.
    ///
    /// Counts, extents and newest values of their series follow. Raw records stay: refining their hours again
    /// makes the observations again.
    ///
    /// # Errors
    /// [`StoreError::Locked`] when others are at work with the observations all the time.
    pub async fn drop_observations(&self, time: Timestamp) -> Result<Option<u64>, StoreError> {
        on!(self.backend(), drop_observations(Month::at(time)))
    }

    /// Makes room ahead for the observations of this month and so many more, where a backend needs that.
    pub async fn prepare_months(&self, now: Timestamp, more: usize) -> Result<(), StoreError> {
        let Backend::Postgres(it) = self.backend() else {
            return Ok(());
        };
        let months = std::iter::successors(Some(Month::at(now)), |month| Some(month.next()));
        it.prepare_months(months.take(more + 1).collect()).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_month_is_of_the_calendar_of_utc() {
        let month = Month::at("2024-02-29T23:59:59.999Z".parse().unwrap());
        assert_eq!(start_of(month).to_string(), "2024-02-01T00:00:00Z");
        assert_eq!(start_of(month.next()).to_string(), "2024-03-01T00:00:00Z");
        let december = Month::at("2024-12-01T00:00:00Z".parse().unwrap());
        assert_eq!((december.next().year(), december.next().month()), (2025, 1));
    }
}
