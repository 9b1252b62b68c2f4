//! Dead letters: what becomes of deliveries that were given up (OB-154, OB-155).

use mainspring_schemas::{DeliveryId, Timestamp, event::endpoint::EndpointSettings};
use rusqlite::{Connection, params};

use super::cell::DeliveryRow;
use crate::{error::Result, value::integer};

/// A dead letter's row (OB-154): what cannot be read off the delivery later.
#[derive(Debug)]
pub(super) struct LetterRow {
    seq: u64,
    id: DeliveryId,
    url: String,
    kind: String,
    retry_count: u32,
    error: String,
    created_at: Timestamp,
}

impl LetterRow {
    /// The dead letter of a delivery that was given up.
    pub fn new(delivery: &DeliveryRow, settings: &EndpointSettings, created_at: Timestamp) -> Self {
        // The text of OB-132.
        let cause = delivery.last_error.as_deref().unwrap_or("unknown");
        Self {
            seq: delivery.seq,
            id: delivery.id,
            url: settings.url.clone(),
            kind: settings.kind.clone(),
            retry_count: delivery.attempts,
            error: format!("Exhausted {}: {cause}", delivery.attempts),
            created_at,
        }
    }
}

/// What happens to the dead letter of a delivery, by the delivery's place.
#[derive(Debug)]
pub(super) enum LetterChange {
    /// The delivery was given up; an entry that was retried opens again (DL-03).
    GivenUp(LetterRow),
    /// The delivery was requeued.
    Retried(u64, Timestamp),
    /// Nobody needs the entry any more.
    Discarded(u64),
}

/// Carries out changes, in their order.
pub(super) fn write(connection: &Connection, changes: &[LetterChange]) -> Result<()> {
    let mut insert = connection.prepare_cached(
        "INSERT INTO dead_letters (seq, id, url, kind, retry_count, error, status, created_at)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, 'pending', ?7)
         ON CONFLICT (seq) DO UPDATE SET url = excluded.url, kind = excluded.kind,
             retry_count = excluded.retry_count, error = excluded.error, status = 'pending'",
    )?;
    let mut retry = connection.prepare_cached(
        "UPDATE dead_letters SET status = 'retried', retried_at = ?2 WHERE seq = ?1 AND status = 'pending'",
    )?;
    let mut discard =
        connection.prepare_cached("UPDATE dead_letters SET status = 'discarded' WHERE seq = ?1")?;
    for change in changes {
        match change {
            LetterChange::GivenUp(letter) => insert.execute(params![
                integer(letter.seq),
                letter.id.0.as_bytes(),
                letter.url,
                letter.kind,
                letter.retry_count,
                letter.error,
                letter.created_at.0,
            ])?,
            LetterChange::Retried(seq, at) => retry.execute(params![integer(*seq), at.0])?,
            LetterChange::Discarded(seq) => discard.execute([integer(*seq)])?,
        };
    }
    Ok(())
}
