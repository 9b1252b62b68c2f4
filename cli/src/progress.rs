//! How far long work is: a bar on a terminal, a line every ten seconds otherwise, NDJSON if asked for (OC-05).
//!
//! All of it goes to stderr; stdout is for data.

use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};
use serde_json::json;

use crate::output;

/// Pause between lines where there is no bar.
const PACE: Duration = Duration::from_secs(10);

/// How often work is measured at most.
const GLANCE: Duration = Duration::from_millis(50);

enum Shown {
    Bar(ProgressBar),
    Lines,
    Json,
}

/// Tells how far a piece of work is. Dropping it takes the bar away.
pub struct Progress {
    what: &'static str,
    total: u64,
    began: Instant,
    told: Instant,
    looked: Instant,
    shown: Shown,
}

impl Progress {
    /// Begins a piece of work of `total` records.
    pub fn new(what: &'static str, total: u64, json: bool) -> Self {
        let shown = if json {
            Shown::Json
        } else if output::on_terminal() {
            Shown::Bar(bar(what, total))
        } else {
            Shown::Lines
        };
        let now = Instant::now();
        Self { what, total, began: now, told: now, looked: now, shown }
    }

    /// Another stretch of the same work: what is done, and how much there is in all.
    pub fn set(&mut self, done: u64, total: u64) {
        if self.looked.elapsed() < GLANCE && done < total {
            return;
        }
        self.looked = Instant::now();
        if total != self.total {
            self.total = total;
            if let Shown::Bar(bar) = &self.shown {
                bar.set_length(total);
            }
        }
        match &self.shown {
            Shown::Bar(bar) => bar.set_position(done),
            Shown::Lines | Shown::Json if self.told.elapsed() >= PACE => self.tell(done),
            Shown::Lines | Shown::Json => {}
        }
    }

    fn tell(&mut self, done: u64) {
        self.told = Instant::now();
        let seconds = self.began.elapsed().as_secs_f64().max(1e-9);
        #[expect(clippy::cast_precision_loss, reason = "figures for people")]
        let (rate, rest) = (done as f64 / seconds, self.total.saturating_sub(done) as f64);
        let remaining = if rate > 0.0 { rest / rate } else { 0.0 };
        if matches!(self.shown, Shown::Json) {
            output::notice(json!({
                "progress": self.what, "done": done, "total": self.total,
                "perSecond": rate.round(), "remainingSeconds": remaining.round(),
            }));
        } else {
            let Self { what, total, .. } = self;
            output::notice(format_args!("{what}: {done} of {total}, {rate:.0}/s, {remaining:.0} s left"));
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if let Shown::Bar(bar) = &self.shown {
            bar.finish_and_clear();
        }
    }
}

fn bar(what: &'static str, total: u64) -> ProgressBar {
    let template = "{prefix} {wide_bar} {human_pos}/{human_len} {per_sec} {elapsed} eta {eta}";
    let style = ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
    let bar = ProgressBar::new(total).with_style(style).with_prefix(what);
    bar.enable_steady_tick(Duration::from_millis(250));
    bar
}
