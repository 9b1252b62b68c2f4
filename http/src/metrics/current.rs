//! What the engine, the read models, the queue and the sources tell at the moment of the question.

use std::fmt;

use mainspring_actors::Engine;
use mainspring_projections::ReadModels;
use mainspring_schemas::Timestamp;
use prometheus_client::{collector::Collector, encoding::DescriptorEncoder};

use super::Text;
use crate::{
    sources::{registry::Registry as Sources, statistics::Figures},
    state::Settings,
};

/// Whoever is asked.
pub(super) struct Current {
    engine: Engine,
    read_models: ReadModels,
    sources: Sources,
    build: String,
}

impl Current {
    pub fn new(engine: &Engine, read_models: &ReadModels, settings: &Settings) -> Self {
        Self {
            engine: engine.clone(),
            read_models: read_models.clone(),
            sources: settings.sources.clone(),
            build: settings.build.clone(),
        }
    }

    fn engine(&self, text: &mut Text<'_>) -> fmt::Result {
        let health = self.engine.health();
        text.gauges("build_info", "The build", [([("version", self.build.as_str())], 1_u64)])?;
        text.gauge("accepting", "1 if calls are taken", u64::from(health.accepting))?;
        text.gauge("log_position", "Position of the next record", health.log_position)?;
        text.gauge("contacts_in_memory", "Contacts in memory", health.live_contacts as u64)?;
        text.gauge("timers_armed", "Timers in memory", health.armed_timers as u64)?;
        text.counter("refused_calls", "Calls refused because of overload", health.refused_calls)?;
        text.counter("refused_keys", "Keys not attached to a full contact", health.refused_keys)?;
        let position = self.read_models.position();
        let lag = health.log_position.saturating_sub(position);
        text.gauge("read_model_position", "Records that the read models reflect", position)?;
        text.gauge("read_model_lag_records", "Records that the read models do not reflect yet", lag)
    }

    fn queue(&self, text: &mut Text<'_>, now: Timestamp) -> fmt::Result {
        // What cannot be read is missing from the answer, and the reason is in the log.
        let queue = match self.read_models.queue_figures(now) {
            Ok(queue) => queue,
            Err(error) => {
                tracing::warn!(%error, "the queue cannot be measured");
                return Ok(());
            }
        };
        let age = queue.due_since.map_or(0.0, |at| now.since(at) as f64 / 1000.0);
        text.gauge("deliveries_pending", "Deliveries that wait, held ones included", queue.pending)?;
        text.gauge("deliveries_held", "Deliveries that wait for a disabled endpoint", queue.held)?;
        text.gauge(
            "delivery_queue_age_seconds",
            "How long the delivery that is due longest has been due",
            age,
        )?;
        text.gauge("endpoints_failing", "Enabled endpoints that fail", queue.failing)
    }

    fn sources(&self, text: &mut Text<'_>, now: Timestamp) -> fmt::Result {
        let figures: Vec<(&str, Figures)> =
            self.sources.iter().map(|source| (source.id.as_str(), source.statistics.figures(now))).collect();
        let outcomes = figures.iter().flat_map(|(id, figures)| {
            let counts = &figures.counts;
            [
                ("received", counts.received),
                ("verified", counts.verified),
                ("unauthenticated", counts.unauthenticated),
                ("skipped", counts.skipped),
                ("ingested", counts.ingested),
                ("duplicate", counts.duplicate),
                ("failed", counts.failed),
            ]
            .map(|(outcome, count)| ([("source", *id), ("outcome", outcome)], count))
        });
        text.counters("source_requests", "Inbound webhooks by what became of them", outcomes)?;
        let rejected = figures.iter().flat_map(|(id, figures)| {
            let reasons = figures.rejected_by_reason.iter();
            reasons.map(|(reason, count)| ([("source", *id), ("reason", *reason)], *count))
        });
        text.counters("source_rejected", "Inbound webhooks that were refused, by reason", rejected)?;
        let of_source = |figure: fn(&Figures) -> f64| {
            figures.iter().map(move |(id, figures)| ([("source", *id)], figure(figures)))
        };
        text.counters(
            "source_answer_seconds",
            "Time until inbound webhooks were answered, all together",
            of_source(|figures| figures.answer_time.as_secs_f64()),
        )?;
        let answers = figures.iter().map(|(id, figures)| ([("source", *id)], figures.answers));
        text.counters("source_answers", "Inbound webhooks answered", answers)?;
        let differences = figures
            .iter()
            .filter_map(|(id, figures)| Some(([("source", *id)], figures.clock_difference_secs?)));
        text.gauges(
            "source_clock_difference_seconds",
            "Our clock minus the provider's in the newest signed timestamp",
            differences,
        )
    }
}

impl fmt::Debug for Current {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Current").finish_non_exhaustive()
    }
}

impl Collector for Current {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let mut text = Text(encoder);
        let now = self.engine.now();
        self.engine(&mut text)?;
        self.queue(&mut text, now)?;
        self.sources(&mut text, now)
    }
}
