//! Stays as operators see them (BK-60): what the read models hold, and what only the contacts themselves know.

use std::collections::HashMap;

use actix_web::{rt, web::Data};
use mainspring_actors::api::StayView;
use mainspring_projections::{Stay, StayStatus};
use mainspring_schemas::{ContactId, StayId, Timestamp};
use serde_json::{Value, json};

use crate::state::AppState;

/// Contacts asked at a time.
const AT_ONCE: usize = 16;

/// What a contact knows of one of its active stays.
struct Outlook {
    /// When the clock alone may end it by criteria, or end its deferral.
    expires_at: Option<Timestamp>,
    /// When it was decided last that it goes on.
    evaluated_at: Timestamp,
}

impl Outlook {
    fn of(stay: &StayView, decided_at: Timestamp) -> Self {
        // The end by maximum stay is no matter of criteria and has a field of its own.
        let expires_at = stay.expires_at.filter(|at| Some(*at) != stay.max_dwell_at);
        Self { expires_at, evaluated_at: decided_at }
    }
}

/// A stay with its wire fields, as far as the read models hold them.
pub(super) fn stay(stay: &Stay) -> Value {
    json!({
        "id": stay.id,
        "contactId": stay.contact,
        "userId": stay.user_key,
        "userEmail": stay.email,
        "bucketId": stay.bucket,
        "status": stay.status.as_str(),
        "enteredAt": stay.entered_at,
        "leftAt": stay.left_at,
        "reason": stay.reason,
        "expiresAt": null,
        "maxDwellAt": stay.max_dwell_at,
        "lastEvaluatedAt": null,
        "entryCount": stay.entry_count,
        "source": stay.source,
        "context": {},
        "createdAt": stay.created_at,
        "updatedAt": stay.updated_at,
    })
}

/// A page of stays with all their wire fields. `expiresAt` and `lastEvaluatedAt` are the contacts' own answers; both are
/// null for a stay that ended, in a bucket that decides nothing (BK-201), and of a contact that cannot answer now.
pub(super) async fn shapes(state: &Data<AppState>, stays: &[Stay]) -> Vec<Value> {
    let outlooks = outlooks(state, stays).await;
    let shapes = stays.iter().map(|row| {
        let mut shape = stay(row);
        if let Some(outlook) = outlooks.get(&row.id) {
            shape["expiresAt"] = json!(outlook.expires_at);
            shape["lastEvaluatedAt"] = json!(outlook.evaluated_at);
        }
        shape
    });
    shapes.collect()
}

async fn outlooks(state: &Data<AppState>, stays: &[Stay]) -> HashMap<StayId, Outlook> {
    let decides = |stay: &&Stay| {
        stay.status == StayStatus::Active
            && state.engine.buckets().get(stay.bucket.as_str()).is_some_and(|bucket| bucket.enabled)
    };
    let wanted: Vec<&Stay> = stays.iter().filter(decides).collect();
    let mut contacts: Vec<ContactId> = wanted.iter().map(|stay| stay.contact).collect();
    contacts.sort_unstable();
    contacts.dedup();
    let mut outlooks = HashMap::with_capacity(wanted.len());
    for some in contacts.chunks(AT_ONCE) {
        let asked: Vec<_> = some
            .iter()
            .map(|contact| {
                let (state, contact) = (state.clone(), *contact);
                rt::spawn(async move { state.engine.contact(contact).await })
            })
            .collect();
        for answer in asked {
            match answer.await {
                Ok(Ok(Some(view))) => {
                    let known = view.stays.iter().map(|stay| (stay.stay, Outlook::of(stay, view.decided_at)));
                    outlooks.extend(known);
                }
                // Deleted since the read models were asked.
                Ok(Ok(None)) => {}
                Ok(Err(error)) => tracing::debug!(%error, "a contact of a list did not answer"),
                Err(error) => tracing::debug!(%error, "a contact of a list was not asked to the end"),
            }
        }
    }
    outlooks.retain(|id, _| wanted.iter().any(|stay| stay.id == *id));
    outlooks
}
