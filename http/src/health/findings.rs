//! What has to be looked up before health can be told: kept for a moment, because everybody may ask (HE-01).

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use actix_web::{rt, web};
use mainspring_projections::{ProjectionError, QueueFigures};
use mainspring_schemas::Timestamp;
use parking_lot::Mutex;

use crate::state::AppState;

/// For how long an answer is good enough for the next caller.
const FRESH: Duration = Duration::from_secs(1);

/// How long the read models may take to answer (HE-01).
const PATIENCE: Duration = Duration::from_millis(1500);

/// Overdue timers are counted up to here.
const MOST_OVERDUE: usize = 1000;

/// What was found.
#[derive(Clone, Debug, Default)]
pub(super) struct Found {
    /// The delivery queue; `None` if the read models did not answer.
    pub queue: Option<QueueFigures>,
    /// Timers whose instant has passed, up to [`MOST_OVERDUE`].
    pub overdue: usize,
    /// How late the latest of them is, in milliseconds.
    pub timers_late: i64,
    /// How old the oldest record is that the read models do not reflect yet, in milliseconds.
    pub lag: i64,
    /// How long ago the newest record was appended, in milliseconds; `None` if there is none.
    pub appended_ago: Option<i64>,
    /// When this was found.
    pub at: Timestamp,
}

/// The newest findings.
#[derive(Default)]
pub(crate) struct Findings(Mutex<Option<(Instant, Arc<Found>)>>);

impl Findings {
    /// What there is to know now, at most [`FRESH`] old. While one caller looks, others get what was known before.
    pub(super) async fn get(&self, state: &AppState) -> Arc<Found> {
        let now = Instant::now();
        if let Some((until, found)) = &mut *self.0.lock() {
            if *until > now {
                return Arc::clone(found);
            }
            *until = now + PATIENCE;
        }
        let found = Arc::new(look(state).await);
        *self.0.lock() = Some((Instant::now() + FRESH, Arc::clone(&found)));
        found
    }
}

async fn recorded_at(state: &AppState, position: u64) -> Option<Timestamp> {
    let records = state.engine.log().read_all(position, 1).await.ok()?;
    records.first().map(|record| record.recorded_at)
}

async fn look(state: &AppState) -> Found {
    let now = state.engine.now();
    let models = state.read_models.clone();
    let question = web::block(move || {
        let overdue = models.due_wakes(None, now, MOST_OVERDUE)?;
        Ok::<_, ProjectionError>((models.queue_figures(now)?, overdue.len(), overdue.first().map(|w| w.0)))
    });
    let answer = rt::time::timeout(PATIENCE, question).await.ok().and_then(Result::ok).and_then(Result::ok);
    let end = state.engine.log().durable_end();
    let position = state.read_models.position();
    let lag = match position < end {
        true => recorded_at(state, position).await.map_or(0, |at| now.since(at).max(0)),
        false => 0,
    };
    let newest = match end.checked_sub(1) {
        Some(newest) => recorded_at(state, newest).await,
        None => None,
    };
    let (queue, overdue, due) = match answer {
        Some((queue, overdue, due)) => (Some(queue), overdue, due),
        None => (None, 0, None),
    };
    Found {
        queue,
        overdue,
        // A timer that fired while the read models lag still stands in them.
        timers_late: due.map_or(0, |at| (now.since(at) - lag).max(0)),
        lag,
        appended_ago: newest.map(|at| now.since(at).max(0)),
        at: now,
    }
}
