//! What a job has measured, for monitoring: plain values, which the doors write down in Prometheus' format.

/// One measured value. All are gauges: a program that ends has no counters.
#[derive(Debug, Clone, PartialEq)]
pub struct Metric {
    /// Its name, with the unit at its end, such as `nightshard_backup_bytes`.
    pub name: &'static str,
    /// What it tells, in a sentence without its dot.
    pub help: &'static str,
    /// What tells it from others of its name.
    pub labels: Vec<(&'static str, String)>,
    /// The value; seconds since 1970-01-01 for an instant.
    pub value: f64,
}

impl Metric {
    /// A value without labels.
    #[must_use]
    pub fn new(name: &'static str, help: &'static str, value: f64) -> Metric {
        Metric { name, help, labels: Vec::new(), value }
    }

    /// The same with one more label.
    #[must_use]
    pub fn with(mut self, label: &'static str, value: impl Into<String>) -> Metric {
        self.labels.push((label, value.into()));
        self
    }
}
