//! SIGTERM and SIGINT: the first ends the work in order, the second at once; and what does not end in
//! time is left.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::Context;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tracing::{error, info};

/// Exit status of a program that was interrupted, as shells have it for SIGINT.
const INTERRUPTED: i32 = 130;

/// How long the end may take: less than the usual grace of what sends SIGKILL after it.
const LIMIT: Duration = Duration::from_secs(40);

/// Whether the work at hand ends in order at a signal.
static IN_ORDER: AtomicBool = AtomicBool::new(false);

/// What is still to end, by number.
static UNFINISHED: Mutex<BTreeMap<u64, String>> = Mutex::new(BTreeMap::new());

/// A token that is cancelled at the first signal. From then on the program has 40 s.
///
/// It is asked for before anything else: what runs as the first process of a container is sent no signal
/// that it does not listen to.
pub(crate) fn stop_token() -> anyhow::Result<CancellationToken> {
    IN_ORDER.store(true, Ordering::Release);
    let stop = CancellationToken::new();
    let mut signals = Signals::listen()?;
    let token = stop.clone();
    tokio::spawn(async move {
        let (signal, _) = signals.next().await;
        info!(
            signal,
            "stopping after the work at hand; a second signal stops at once"
        );
        limit();
        token.cancel();
        signals.next().await;
        std::process::exit(INTERRUPTED);
    });
    Ok(stop)
}

/// Ends a command at the first signal that has no order in which it ends, also where nobody would do
/// that: the first process of a container.
pub(crate) fn end_without_order() -> anyhow::Result<()> {
    let mut signals = Signals::listen()?;
    tokio::spawn(async move {
        loop {
            let (signal, number) = signals.next().await;
            if !IN_ORDER.load(Ordering::Acquire) {
                info!(signal, "stopping at once");
                std::process::exit(128 + number);
            }
        }
    });
    Ok(())
}

struct Signals {
    terminate: tokio::signal::unix::Signal,
    interrupt: tokio::signal::unix::Signal,
}

impl Signals {
    fn listen() -> anyhow::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate()).context("listening for SIGTERM")?,
            interrupt: signal(SignalKind::interrupt()).context("listening for SIGINT")?,
        })
    }

    /// Name and number of the next signal.
    async fn next(&mut self) -> (&'static str, i32) {
        tokio::select! {
            _ = self.terminate.recv() => ("SIGTERM", SignalKind::terminate().as_raw_value()),
            _ = self.interrupt.recv() => ("SIGINT", SignalKind::interrupt().as_raw_value()),
        }
    }
}

/// Something that must end before the program does, until it is dropped.
#[derive(Debug)]
pub(crate) struct Unfinished(u64);

impl Unfinished {
    /// It is told by this name when it does not end in time.
    pub(crate) fn begin(name: impl Into<String>) -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        unfinished().insert(number, name.into());
        Self(number)
    }
}

impl Drop for Unfinished {
    fn drop(&mut self) {
        unfinished().remove(&self.0);
    }
}

fn unfinished() -> MutexGuard<'static, BTreeMap<u64, String>> {
    UNFINISHED.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Ends the program after the limit, in a thread that nothing holds up.
fn limit() {
    std::thread::spawn(|| {
        std::thread::sleep(LIMIT);
        let left: Vec<String> = unfinished().values().cloned().collect();
        let left = if left.is_empty() {
            "the command".to_owned()
        } else {
            left.join(", ")
        };
        error!(
            left,
            seconds = LIMIT.as_secs(),
            "did not end in time; ending without it, the next start goes on where this one was"
        );
        std::process::exit(smartem_etl::ExitCode::TryAgain.code().into());
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_still_to_end_is_known_until_it_has() {
        let names = || unfinished().values().cloned().collect::<Vec<_>>();
        let first = Unfinished::begin("the test of parts");
        let second = Unfinished::begin("another test of parts");
        assert!(names().contains(&"the test of parts".to_owned()));
        drop(first);
        assert!(!names().contains(&"the test of parts".to_owned()));
        assert!(names().contains(&"another test of parts".to_owned()));
        drop(second);
    }
}
