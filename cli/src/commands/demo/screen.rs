//! What is seen: a block that is drawn again and again on a terminal, a line per second elsewhere.

use std::{
    fmt::Write as _,
    io::{IsTerminal, Write as _},
    net::SocketAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use mainspring_actors::Engine;
use mainspring_projections::ReadModels;
use serde_json::{Value, json};

use super::figures::Figures;
use crate::output;

/// Pause between two looks.
const GLANCE: Duration = Duration::from_millis(200);

/// Everything that is shown.
#[derive(Clone)]
pub struct Screen {
    /// For definitions.
    pub engine: Engine,
    /// For members and deliveries.
    pub read_models: ReadModels,
    /// For the rest.
    pub figures: Arc<Figures>,
    /// Where the server listens.
    pub address: SocketAddr,
    /// When it all began.
    pub began: Instant,
}

/// One bucket's line.
struct Line {
    id: String,
    members: u64,
    entered: u64,
    left: u64,
}

impl Screen {
    fn buckets(&self) -> anyhow::Result<Vec<Line>> {
        let figures = self.read_models.all_bucket_figures()?;
        let lines = self.engine.buckets().list().into_iter().map(|view| {
            let figures = figures.get(&view.definition.id);
            Line {
                id: view.definition.id.to_string(),
                members: figures.map_or(0, |figures| figures.size),
                entered: figures.map_or(0, |figures| figures.entered),
                left: figures.map_or(0, |figures| figures.left),
            }
        });
        Ok(lines.collect())
    }

    /// The block, and how many events per second there were lately.
    fn block(&self, rate: f64) -> anyhow::Result<String> {
        let (customers, deliveries) =
            (self.read_models.contact_total()?, self.read_models.delivery_counts(None)?);
        let seconds = self.began.elapsed().as_secs();
        let mut text = String::new();
        self.figures.read(|counts| {
            let (p50, p99) = percentiles(&counts.latencies);
            writeln!(text, "Mainspring demo, {seconds} s, http://{}   Ctrl-C ends it", self.address)?;
            writeln!(text)?;
            writeln!(
                text,
                "events     {:>8} acknowledged  {rate:>6.0}/s   answered in {p50:.1} ms (p50), {p99:.1} ms (p99)",
                counts.acknowledged,
            )?;
            writeln!(text, "customers  {customers:>8} known")?;
            writeln!(
                text,
                "webhooks   {:>8} delivered, {} verified, {} rejected, {} under way",
                deliveries.delivered, counts.verified, counts.rejected, deliveries.pending,
            )
        })?;
        writeln!(text)?;
        writeln!(text, "{:<22} {:>8} {:>8} {:>8}", "bucket", "members", "entered", "left")?;
        for Line { id, members, entered, left } in self.buckets()? {
            writeln!(text, "{id:<22} {members:>8} {entered:>8} {left:>8}")?;
        }
        writeln!(text)?;
        self.figures
            .read(|counts| counts.transitions.iter().try_for_each(|line| writeln!(text, "  {line}")))?;
        Ok(text)
    }

    fn line(&self, rate: f64) -> anyhow::Result<String> {
        let members: Vec<String> =
            self.buckets()?.iter().map(|line| format!("{} {}", line.id, line.members)).collect();
        let customers = self.read_models.contact_total()?;
        Ok(self.figures.read(|counts| {
            format!(
                "{:>3} s  {} events ({rate:.0}/s), {customers} customers, {} webhooks verified, {} rejected; members: {}",
                self.began.elapsed().as_secs(),
                counts.acknowledged,
                counts.verified,
                counts.rejected,
                members.join(", "),
            )
        }))
    }

    /// Draws until it is dropped.
    pub async fn draw(&self) -> anyhow::Result<()> {
        let terminal = std::io::stderr().is_terminal();
        let pace = if terminal { GLANCE } else { Duration::from_secs(1) };
        let (mut drawn, mut lately) = (0, Rate::default());
        loop {
            let rate = lately.per_second(self.figures.read(|counts| counts.acknowledged));
            if terminal {
                let block = self.block(rate)?;
                redraw(&block, drawn);
                drawn = block.lines().count();
            } else {
                output::notice(self.line(rate)?);
            }
            tokio::time::sleep(pace).await;
        }
    }

    /// What it came to: one document, or lines for people.
    pub fn summary(&self, as_json: bool) -> anyhow::Result<()> {
        let deliveries = self.read_models.delivery_counts(None)?;
        let customers = self.read_models.contact_total()?;
        let seconds = self.began.elapsed().as_secs_f64();
        let buckets = self.buckets()?;
        self.figures.read(|counts| {
            let (p50, p99) = percentiles(&counts.latencies);
            if as_json {
                let bucket = |line: &Line| {
                    let figures = json!({"members": line.members, "entered": line.entered, "left": line.left});
                    (line.id.clone(), figures)
                };
                let buckets: serde_json::Map<String, Value> = buckets.iter().map(bucket).collect();
                return output::document(&json!({
                    "seconds": seconds,
                    "events": {"acknowledged": counts.acknowledged, "refused": counts.refused, "p50Ms": p50, "p99Ms": p99},
                    "customers": customers,
                    "webhooks": {
                        "delivered": deliveries.delivered, "pending": deliveries.pending, "failed": deliveries.failed,
                        "verified": counts.verified, "rejected": counts.rejected, "repeated": counts.repeated,
                    },
                    "buckets": buckets,
                }));
            }
            output::data(format_args!(
                "{} events of {customers} customers in {seconds:.0} s, each answered once it was on disk: \
                 {p50:.1} ms (p50), {p99:.1} ms (p99)",
                counts.acknowledged,
            ));
            output::data(format_args!(
                "{} webhooks delivered, {} verified, {} rejected, {} still to come",
                deliveries.delivered, counts.verified, counts.rejected, deliveries.pending,
            ));
            for Line { id, members, entered, left } in &buckets {
                output::data(format_args!("{id}: {entered} entered, {left} left, {members} members"));
            }
            Ok(())
        })
    }
}

/// Median and 99th percentile in milliseconds.
fn percentiles(latencies: &hdrhistogram::Histogram<u64>) -> (f64, f64) {
    #[expect(clippy::cast_precision_loss, reason = "figures for people")]
    let millis = |quantile| latencies.value_at_quantile(quantile) as f64 / 1000.0;
    (millis(0.5), millis(0.99))
}

/// Draws a block over the one before.
fn redraw(block: &str, drawn: usize) {
    let mut text = String::new();
    if drawn > 0 {
        let _ = write!(text, "\x1b[{drawn}A");
    }
    for line in block.lines() {
        let _ = writeln!(text, "\x1b[2K{line}");
    }
    text.push_str("\x1b[J");
    // A terminal that went away shows nothing; the demo goes on until it is told to end.
    let _ = std::io::stderr().lock().write_all(text.as_bytes());
}

/// Events per second over the last second or so.
#[derive(Debug, Default)]
struct Rate {
    seen: std::collections::VecDeque<(Instant, u64)>,
}

impl Rate {
    fn per_second(&mut self, total: u64) -> f64 {
        let now = Instant::now();
        self.seen.push_back((now, total));
        while self.seen.len() > 2 && now.duration_since(self.seen[1].0) > Duration::from_secs(1) {
            self.seen.pop_front();
        }
        let Some((then, before)) = self.seen.front() else { return 0.0 };
        let seconds = now.duration_since(*then).as_secs_f64();
        #[expect(clippy::cast_precision_loss, reason = "figures for people")]
        let events = (total - before) as f64;
        if seconds > 0.0 { events / seconds } else { 0.0 }
    }
}
