//! Messages that an endpoint never had a delivery of (OB-161), found in the log itself.

use mainspring_eventlog::{EventLog, Position};
use mainspring_schemas::{ContactId, DeliveryId, RecordId, catalog::subscribes};
use uuid::Uuid;

use crate::{
    delivery_queue::{
        RecoverySpan,
        project::{QueueChange, Receivers, project},
    },
    error::Result,
    fact::Fact,
    read_models::ReadModels,
};

/// Records read at a time.
const PAGE: usize = 2048;

/// The types of records that tell the world something; all others need not be decoded.
const TELLING: [&str; 3] = ["contact.announced", "contact.bucket-entered", "contact.bucket-left"];

/// A message without a delivery.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Missed {
    /// Position of the record that causes it.
    pub position: Position,
    /// That record.
    pub source: RecordId,
    /// The outbound type.
    pub event_type: String,
    /// Whom it is about.
    pub contact: Option<ContactId>,
    /// The envelope, as a live delivery would have it.
    pub body: String,
    /// The data key that seals the record, so that the envelope goes when the record goes.
    pub sealed_with: Option<Uuid>,
}

/// A stretch of the log with what was missed in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MissedPage {
    /// In log order.
    pub found: Vec<Missed>,
    /// Everything below this position was looked at.
    pub through: Position,
}

/// How much is looked for at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MissedLimit {
    /// Most messages.
    pub messages: usize,
    /// No further message once the envelopes have this many bytes. One envelope may be as large as a contact.
    pub bytes: usize,
}

/// Looks through the log from `from` up to `end` until it has found as much as `limit` allows, or the end.
///
/// `subscribed` are the patterns the endpoint is subscribed to now. What was recorded before deliveries were forgotten
/// by age is left out: it cannot be told any more whether it was missed (OB-163). The read models must reflect the log
/// up to `end`.
///
/// # Errors
/// If the log or the read models cannot be read.
pub async fn missed(
    log: &dyn EventLog,
    models: &ReadModels,
    span: &RecoverySpan,
    subscribed: &[String],
    from: Position,
    end: Position,
    limit: MissedLimit,
) -> Result<MissedPage> {
    let forgot_until = models.forgot_until(span.endpoint)?;
    let mut page = MissedPage { found: Vec::new(), through: from };
    let mut bytes = 0;
    let full = |found: usize, bytes: usize| found >= limit.messages || bytes >= limit.bytes;
    while page.through < end && !full(page.found.len(), bytes) {
        let records = log.read_all(page.through, PAGE).await?;
        if records.is_empty() {
            page.through = end;
        }
        for record in records {
            if record.position >= end || full(page.found.len(), bytes) {
                break;
            }
            page.through = record.position + 1;
            let in_time = (span.since..=span.until).contains(&record.recorded_at)
                && forgot_until.is_none_or(|until| record.recorded_at > until);
            if in_time
                && TELLING.contains(&record.event_type.as_str())
                && let Some(found) = message(&Fact::of(record)?, models, span, subscribed)?
            {
                bytes += found.body.len();
                page.found.push(found);
            }
        }
    }
    Ok(page)
}

/// The message of a record, if the endpoint should have had it and had not.
fn message(
    fact: &Fact,
    models: &ReadModels,
    span: &RecoverySpan,
    subscribed: &[String],
) -> Result<Option<Missed>> {
    let Some(QueueChange::Deliver { message, contact, content, receivers: Receivers::Subscribed }) =
        project(fact)
    else {
        return Ok(None);
    };
    let outbound_type = content.outbound_type();
    let covers = |patterns: &[String]| patterns.iter().any(|pattern| subscribes(pattern, outbound_type));
    let wanted = covers(subscribed) && (span.event_types.is_empty() || covers(&span.event_types));
    if !wanted || models.needs_no_delivery(DeliveryId::of(&message, span.endpoint), contact)? {
        return Ok(None);
    }
    Ok(Some(Missed {
        position: fact.position(),
        source: fact.record.id,
        event_type: outbound_type.to_owned(),
        contact,
        body: String::from_utf8_lossy(&content.body(message)?).into_owned(),
        sealed_with: fact.record.sealed_with,
    }))
}
