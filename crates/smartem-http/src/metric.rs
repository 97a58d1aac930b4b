use std::sync::Arc;

/// A family of numbers that a part of the program tells beside those of the store.
#[derive(Clone, Debug, PartialEq)]
pub struct Metric {
    /// The name, after the conventions of Prometheus.
    pub name: &'static str,
    /// What it is, in words.
    pub help: &'static str,
    /// Whether it only grows.
    pub is_counter: bool,
    /// Labels with their values, and the number.
    pub samples: Vec<(Vec<(&'static str, String)>, f64)>,
}

impl Metric {
    /// A number that goes up and down, without labels.
    pub fn gauge(name: &'static str, help: &'static str, value: f64) -> Self {
        Self {
            name,
            help,
            is_counter: false,
            samples: vec![(Vec::new(), value)],
        }
    }

    /// A number that only grows, without labels.
    pub fn counter(name: &'static str, help: &'static str, value: f64) -> Self {
        Self {
            is_counter: true,
            ..Self::gauge(name, help, value)
        }
    }
}

/// Tells its numbers when it is asked, on a thread where it may block shortly.
pub type MetricSource = Arc<dyn Fn() -> Vec<Metric> + Send + Sync>;
