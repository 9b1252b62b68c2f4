//! How each event changes a contact. The only code that does.

use mainspring_eventlog::{Position, Version};
use mainspring_schemas::{
    ContactId, RecordId, Timestamp,
    event::contact::{
        Absorbed, AttachedKey, ContactEvent, DwellPlan, EventRecorded, LeaveReason, MovedStanding, Source,
    },
    identity::IdentityKey,
    properties::Change,
};
use serde_json::Value;

use super::state::{ContactState, Fate, HeldKey, Remembered, Standing, Stay, digest_of};

/// What is stored beside an event and matters to the state.
#[derive(Clone, Copy, Debug)]
pub struct Meta {
    /// The contact whose stream it is.
    pub contact: ContactId,
    /// The record's id.
    pub id: RecordId,
    /// Place in the stream.
    pub version: Version,
    /// The instant of the decision.
    pub recorded_at: Timestamp,
    /// The next wake-up, as of this record.
    pub wake_at: Option<Timestamp>,
    /// The definitions in force.
    pub definitions: Position,
}

/// Brings `state` to where it is after `event`. If that is an [`Absorbed`] by reference, whoever applies it lets the
/// state unite its history with the loser's.
pub fn apply(state: &mut ContactState, event: &ContactEvent, meta: Meta) {
    state.id = Some(meta.contact);
    state.version = Some(meta.version);
    state.definitions = state.definitions.max(meta.definitions);
    // Who must be looked at earlier was not decided up to now: the turn did not get through.
    let settled = meta.wake_at.map_or(meta.recorded_at, |wake| meta.recorded_at.min(wake.plus(-1)));
    state.settled = state.settled.max(settled);
    state.recorded_wake = meta.wake_at;
    match event {
        ContactEvent::Created(created) => {
            state.fate = Fate::Live;
            state.first_seen_at = created.at;
            state.last_seen_at = created.at;
            state.created_at = created.at;
            state.updated_at = created.at;
            attach(state, &created.keys, created.at);
            let change = Change { set: created.properties.clone(), removed: Vec::new() };
            change_properties(state, &change);
        }
        ContactEvent::KeysAttached(attached) => {
            attach(state, &attached.keys, attached.at);
            seen(state, attached.at);
            state.updated_at = attached.at;
        }
        ContactEvent::PropertiesChanged(changed) => {
            change_properties(state, &Change { set: changed.set.clone(), removed: changed.removed.clone() });
            if !changed.by_bucket {
                seen(state, changed.at);
            }
            state.updated_at = changed.at;
        }
        ContactEvent::Seen(event) => seen(state, event.at),
        ContactEvent::EventRecorded(event) => record(state, event, meta.id),
        ContactEvent::BucketEntered(entered) => {
            let standing = state.standing_mut(&entered.bucket);
            standing.epochs = standing.epochs.max(entered.epoch);
            standing.stay = Some(Stay {
                id: entered.stay,
                epoch: entered.epoch,
                entered_at: entered.at,
                source: entered.source,
                max_dwell_at: entered.max_dwell_at,
                dwell_anchor_at: entered.dwell_anchor_at,
                dwelled: Vec::new(),
                dwell_plans: Vec::new(),
            });
        }
        ContactEvent::BucketLeft(left) => {
            let standing = state.standing_mut(&left.bucket);
            standing.stay = None;
            standing.last_left_at = standing.last_left_at.max(Some(left.at));
            standing.last_reason = Some(left.reason);
        }
        ContactEvent::BucketDwelled(dwelled) => {
            if let Some(stay) = state.stay_mut(&dwelled.bucket, dwelled.stay) {
                stay.dwell(&dwelled.label, dwelled.ordinal);
            }
        }
        ContactEvent::BucketDeadline(deadline) => {
            if let Some(stay) = state.stay_mut(&deadline.bucket, deadline.stay) {
                stay.max_dwell_at = Some(deadline.max_dwell_at);
            }
        }
        ContactEvent::DwellPlanned(planned) => {
            if let Some(stay) = state.stay_mut(&planned.bucket, planned.stay) {
                let (label, since, due) = (planned.label.clone(), planned.since, planned.due);
                stay.plan_dwell(DwellPlan { label, since, due });
            }
        }
        ContactEvent::Absorbed(absorbed) => absorb(state, absorbed),
        ContactEvent::MergedInto(merged) => state.fate = Fate::MergedInto(merged.survivor),
        ContactEvent::Erased(_) => {
            state.fate = Fate::Erased;
            state.agenda.clear();
        }
        ContactEvent::Deleted(deleted) => {
            // The last word of an erasure undoes nothing of it.
            if state.fate != Fate::Erased {
                state.fate = Fate::Deleted(deleted.at);
            }
            state.agenda.clear();
        }
        ContactEvent::Restored(restored) => {
            state.fate = Fate::Live;
            state.keys.clear();
            attach(state, &restored.keys, restored.at);
            state.updated_at = restored.at;
        }
        ContactEvent::IdentityConflict(conflict) => state.conflicts.push((conflict.kind, conflict.other)),
        ContactEvent::Reacted(_) | ContactEvent::Announced(_) | ContactEvent::Looked(_) => {}
    }
}

fn seen(state: &mut ContactState, at: Timestamp) {
    state.last_seen_at = state.last_seen_at.max(at);
}

fn record(state: &mut ContactState, event: &EventRecorded, id: RecordId) {
    state.occurrences.add(&event.name, event.occurred_at);
    if event.source != Source::Bucket {
        seen(state, event.at);
    }
    if let Some(idempotency) = &event.idempotency {
        state.remembered.insert(Remembered {
            digest: digest_of(&idempotency.key, event.source.origin()),
            event: id,
            request: idempotency.request,
        });
    }
}

fn attach(state: &mut ContactState, keys: &[AttachedKey], at: Timestamp) {
    for attached in keys {
        let key = IdentityKey { kind: attached.kind, value: attached.value.clone() };
        if attached.primary {
            for held in state.keys.iter_mut().filter(|held| held.key.kind == attached.kind) {
                held.primary = false;
            }
        }
        match state.keys.iter_mut().find(|held| held.key == key) {
            Some(held) => held.primary |= attached.primary,
            None => state.keys.push(HeldKey { key, primary: attached.primary, via: attached.via, since: at }),
        }
    }
}

/// Size of one member on the wire: quoted name, colon, value, comma.
fn member_size(name: &str, value: &Value) -> usize {
    name.len() + 4 + value_size(value)
}

/// About how many bytes a value takes as compact JSON.
pub(super) fn value_size(value: &Value) -> usize {
    match value {
        Value::Null | Value::Bool(true) => 4,
        Value::Bool(false) => 5,
        Value::Number(number) => number.to_string().len(),
        Value::String(text) => text.len() + 2,
        Value::Array(elements) => 2 + elements.iter().map(|element| value_size(element) + 1).sum::<usize>(),
        Value::Object(members) => {
            2 + members.iter().map(|(name, value)| member_size(name, value)).sum::<usize>()
        }
    }
}

/// The size of the properties after a change.
pub(super) fn size_after(state: &ContactState, change: &Change) -> usize {
    let size = |name: &str| state.properties.get(name).map_or(0, |value| member_size(name, value));
    let gone: usize = change.keys().map(size).sum();
    let come: usize = change.set.iter().map(|(name, value)| member_size(name, value)).sum();
    (state.properties_size + come).saturating_sub(gone)
}

fn change_properties(state: &mut ContactState, change: &Change) {
    state.properties_size = size_after(state, change);
    change.apply(&mut state.properties);
}

/// A loser's standing joins the survivor's own (BK-61, BK-240).
fn unite(standing: &mut Standing, moved: &MovedStanding, at: Timestamp, survivor_stays: bool) {
    standing.epochs += moved.epochs;
    if moved.last_left_at > standing.last_left_at {
        standing.last_left_at = moved.last_left_at;
        standing.last_reason = None;
    }
    match &moved.active {
        Some(stay) if !survivor_stays => {
            standing.stay = Some(Stay {
                id: stay.stay,
                epoch: stay.epoch,
                entered_at: stay.entered_at,
                source: stay.source,
                max_dwell_at: stay.max_dwell_at,
                dwell_anchor_at: stay.dwell_anchor_at,
                dwelled: stay.dwelled.clone(),
                dwell_plans: stay.dwell_plans.clone(),
            });
        }
        _ if moved.ended_by_merge => {
            standing.last_left_at = standing.last_left_at.max(Some(at));
            standing.last_reason = Some(LeaveReason::Merged);
        }
        _ => {}
    }
}

fn absorb(state: &mut ContactState, absorbed: &Absorbed) {
    attach(state, &absorbed.keys, absorbed.at);
    state.aliases.push(absorbed.loser);
    state.aliases.extend_from_slice(&absorbed.aliases);
    state.properties_size = absorbed.properties.iter().map(|(name, value)| member_size(name, value)).sum();
    state.properties = absorbed.properties.clone();
    state.first_seen_at = state.first_seen_at.min(absorbed.first_seen_at);
    state.updated_at = absorbed.at;
    seen(state, absorbed.at);
    for (name, instants) in &absorbed.occurrences {
        state.occurrences.unite(name, instants);
    }
    state.remembered.insert_all(absorbed.idempotency.iter().map(|moved| {
        let digest = u128::from_be_bytes(moved.digest);
        Remembered { digest, event: moved.event, request: moved.request }
    }));
    for moved in &absorbed.standings {
        let standing = state.standing_mut(&moved.bucket);
        let survivor_stays = standing.stay.is_some();
        unite(standing, moved, absorbed.at, survivor_stays);
    }
}
