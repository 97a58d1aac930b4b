//! Progress on a terminal.

use std::sync::OnceLock;
use std::time::Duration;

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};

/// The terminal that bars are drawn on. Whatever else is written there is written while it is
/// [suspended](MultiProgress::suspend), so that lines and bars do not run into each other.
pub fn terminal() -> &'static MultiProgress {
    static TERMINAL: OnceLock<MultiProgress> = OnceLock::new();
    TERMINAL.get_or_init(MultiProgress::new)
}

/// How far a run is: done and known, and what it counted.
///
/// Drawn on standard error when that is a terminal, and nowhere else.
pub struct Progress(ProgressBar);

/// While the work is not known.
const SPINNER: &str = "{prefix} {spinner} {wide_msg} {elapsed}";

/// When it is.
const BAR: &str = "{prefix} {bar:24} {human_pos}/{human_len} {wide_msg} {elapsed}";

impl Progress {
    /// One that is never drawn.
    pub fn hidden() -> Self {
        Self(ProgressBar::hidden())
    }

    /// The bar of what is called `process`.
    pub fn shown(process: &str) -> Self {
        let bar = terminal().add(ProgressBar::new_spinner().with_style(style(SPINNER)));
        bar.set_prefix(process.to_owned());
        bar.enable_steady_tick(Duration::from_millis(200));
        Self(bar)
    }

    /// Says how much more there is to do.
    pub fn add_goal(&self, more: u64) {
        if self.0.length().is_none() {
            self.0.set_style(style(BAR));
        }
        self.0.set_length(self.0.length().unwrap_or(0) + more);
    }

    /// Says how much there is to do.
    pub fn set_goal(&self, goal: u64) {
        self.0.set_style(style(BAR));
        self.0.set_length(goal);
    }

    /// Adds to what is done.
    pub fn advance(&self, by: u64) {
        self.0.inc(by);
    }

    /// Says something beside the bar.
    pub fn tell(&self, what: String) {
        self.0.set_message(what);
    }

    /// Takes the bar away.
    pub fn finish(&self) {
        self.0.finish_and_clear();
    }
}

fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_spinner())
}
