//! What became of attempts, for metrics (OB-153). Labels are kinds and classes, never an endpoint or an address.

use mainspring_schemas::event::delivery::{AttemptResult, Attempted};
use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family, histogram::Histogram},
    registry::Registry,
};

/// Bounds of the durations of attempts, in seconds.
const SECONDS: [f64; 10] = [0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 15.0];

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Made {
    kind: String,
    result: &'static str,
    class: String,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct OfKind {
    kind: String,
}

/// Counts attempts. Clones count together.
#[derive(Clone)]
pub struct Attempts {
    made: Family<Made, Counter>,
    took: Family<OfKind, Histogram, fn() -> Histogram>,
}

impl Default for Attempts {
    fn default() -> Self {
        let histogram: fn() -> Histogram = || Histogram::new(SECONDS);
        Self { made: Family::default(), took: Family::new_with_constructor(histogram) }
    }
}

impl Attempts {
    /// Counts an attempt whose outcome is recorded, to an endpoint of a kind.
    pub fn recorded(&self, kind: &str, attempted: &Attempted) {
        let result = match attempted.result {
            AttemptResult::Delivered => "delivered",
            AttemptResult::Retry { .. } => "retry",
            AttemptResult::Failed => "failed",
        };
        let class = attempted.error_class.clone().unwrap_or_else(|| "none".to_owned());
        self.made.get_or_create(&Made { kind: kind.to_owned(), result, class }).inc();
        let seconds = f64::from(attempted.duration_ms) / 1000.0;
        self.took.get_or_create(&OfKind { kind: kind.to_owned() }).observe(seconds);
    }

    /// Makes them part of the metrics.
    pub fn register(&self, metrics: &mut Registry) {
        let help = "Attempts whose outcome is recorded, by kind of endpoint, result and class of error";
        metrics.register("delivery_attempts", help, self.made.clone());
        let help = "How long attempts took, by kind of endpoint";
        metrics.register("delivery_attempt_duration_seconds", help, self.took.clone());
    }
}
