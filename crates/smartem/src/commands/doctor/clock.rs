//! This machine's clock against those of others.

use jiff::fmt::rfc2822::DateTimeParser;
use jiff::{SignedDuration, Timestamp};

use super::{Findings, Level};

const WARN: SignedDuration = SignedDuration::from_secs(2);
const FAIL: SignedDuration = SignedDuration::from_secs(60);

/// How much the clocks of others are before this machine's, by who they are.
#[derive(Default)]
pub(super) struct Clocks {
    seen: Vec<(String, SignedDuration)>,
}

impl Clocks {
    /// Notes a clock, once for each of those who have one.
    pub(super) fn note(&mut self, whose: &str, ahead: SignedDuration) {
        if self.seen.iter().all(|(seen, _)| seen != whose) {
            self.seen.push((whose.to_owned(), ahead));
        }
    }

    pub(super) fn check(&self) -> Findings {
        let mut findings = Findings::new("clock");
        for (whose, ahead) in &self.seen {
            let level = judge(*ahead);
            let direction = if ahead.is_negative() {
                "behind"
            } else {
                "before"
            };
            let detail = format!(
                "{:.1} s {direction} this machine's",
                ahead.abs().as_secs_f64()
            );
            let remedy = (level != Level::Ok).then(|| {
                "find out which of the two is wrong, and let it keep time by NTP (chrony or \
                 systemd-timesyncd)"
                    .to_owned()
            });
            findings.add(level, &format!("clock of {whose}"), detail, remedy);
        }
        findings
    }
}

fn judge(ahead: SignedDuration) -> Level {
    match ahead.abs() {
        by if by >= FAIL => Level::Fail,
        by if by >= WARN => Level::Warn,
        _ => Level::Ok,
    }
}

/// How much a clock is ahead that said `date` (RFC 9110, section 5.6.7: whole seconds) between two times
/// of ours: the least that it may be. `None` for what is no date.
pub(super) fn ahead(date: &str, before: Timestamp, after: Timestamp) -> Option<SignedDuration> {
    let said = DateTimeParser::new().parse_timestamp(date).ok()?;
    // It was within the second that began at `said`, and we asked within `before..=after`.
    let least = said.duration_since(after);
    let most = said.duration_since(before) + SignedDuration::from_secs(1);
    Some(if least.is_positive() {
        least
    } else if most.is_negative() {
        most
    } else {
        SignedDuration::ZERO
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_date_of_whole_seconds_is_judged_by_the_least_it_may_be_off() {
        let date = "Sun, 06 Nov 1994 08:49:37 GMT";
        let off = |before: &str, after: &str| {
            let (before, after) = (before.parse().unwrap(), after.parse().unwrap());
            ahead(date, before, after).unwrap().as_millis()
        };
        assert_eq!(off("1994-11-06T08:49:37.1Z", "1994-11-06T08:49:37.9Z"), 0);
        assert_eq!(off("1994-11-06T08:49:36Z", "1994-11-06T08:49:39Z"), 0);
        assert_eq!(off("1994-11-06T08:49:30Z", "1994-11-06T08:49:31Z"), 6000);
        assert_eq!(
            off("1994-11-06T08:59:38Z", "1994-11-06T08:59:39Z"),
            -600_000
        );
        let now = Timestamp::UNIX_EPOCH;
        assert_eq!(ahead("yesterday", now, now), None);
    }

    #[test]
    fn two_seconds_are_told_and_a_minute_fails() {
        let level = |millis| judge(SignedDuration::from_millis(millis));
        assert_eq!(level(-1999), Level::Ok);
        assert_eq!(level(2000), Level::Warn);
        assert_eq!(level(-59_999), Level::Warn);
        assert_eq!(level(60_000), Level::Fail);
        assert_eq!(level(-600_000), Level::Fail);
    }
}
