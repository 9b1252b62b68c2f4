//! How the queue as a whole is doing (HE-04, OB-153).

use mainspring_schemas::{Timestamp, endpoint_health::FAILING};
use rusqlite::{Connection, params};

use super::query_endpoint::counts;
use crate::{
    error::Result,
    value::{count, maybe_instant},
};

/// The queue at one instant.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct QueueFigures {
    /// Deliveries that wait, held ones included.
    pub pending: u64,
    /// Deliveries that wait for a disabled endpoint.
    pub held: u64,
    /// Enabled endpoints that are failing (OB-151).
    pub failing: u64,
    /// Since when the delivery that is due longest has been due; held ones are not.
    pub due_since: Option<Timestamp>,
    /// The same, over endpoints that neither fail nor asked for patience: nobody but us makes these wait.
    pub overdue_since: Option<Timestamp>,
}

/// The queue as of `now`. Costs two look-ups per endpoint with something pending.
pub(crate) fn queue_figures(connection: &Connection, now: Timestamp) -> Result<QueueFigures> {
    let total = counts(connection, None)?;
    let mut figures = QueueFigures { pending: total.pending, held: total.held, ..QueueFigures::default() };
    figures.failing = connection
        .prepare_cached(
            "SELECT count(*) FROM endpoints
             WHERE deleted_at IS NULL AND disabled_at IS NULL AND consecutive_failures >= ?1",
        )?
        .query_row([FAILING], |row| count(row, 0))?;
    // Among first attempts the oldest one is due longest; the others have an index by their instants.
    let mut waiting = connection.prepare_cached(
        "SELECT (SELECT d.next_attempt_at FROM deliveries d
                 WHERE d.endpoint = e.id AND d.status = 'pending' AND d.attempts = 0 ORDER BY d.seq LIMIT 1),
                (SELECT min(d.next_attempt_at) FROM deliveries d
                 WHERE d.endpoint = e.id AND d.status = 'pending' AND (d.attempts > 0 OR d.requeues > 0)),
                e.consecutive_failures < ?1 AND coalesce(e.throttled_until <= ?2, TRUE)
         FROM delivery_counts c JOIN endpoints e ON e.id = c.endpoint
         WHERE c.status = 'pending' AND c.amount > 0 AND e.disabled_at IS NULL AND e.deleted_at IS NULL",
    )?;
    let mut found = waiting.query(params![FAILING, now.0])?;
    while let Some(row) = found.next()? {
        let instants = [maybe_instant(row, 0)?, maybe_instant(row, 1)?];
        let due = instants.into_iter().flatten().filter(|at| *at <= now).min();
        figures.due_since = sooner(figures.due_since, due);
        if row.get(2)? {
            figures.overdue_since = sooner(figures.overdue_since, due);
        }
    }
    Ok(figures)
}

fn sooner(one: Option<Timestamp>, other: Option<Timestamp>) -> Option<Timestamp> {
    one.into_iter().chain(other).min()
}
