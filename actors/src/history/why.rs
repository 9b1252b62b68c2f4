//! Why a contact is in a bucket at an instant, or is not.

use mainspring_schemas::{
    BucketId, ContactId, StayId, Timestamp,
    criteria::{Explanation, explain},
    event::contact::{LeaveReason, TransitionSource},
};
use serde::Serialize;

use crate::{
    bucket::BucketState,
    contact::{ContactState, next_look},
    rules::Rule,
};

/// What makes the answer what it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Because {
    /// The criteria say so.
    Criteria,
    /// The bucket is switched off: its stays are left as they are (BK-200).
    Disabled,
    /// The criteria are false, and the stay is too young to end (BK-92).
    MinDwell,
    /// The criteria are true, and the last stay ended by its maximum; nothing has touched the bucket since (BK-141).
    MaxDwell,
    /// The criteria say otherwise, and nothing that touches the bucket has happened since they do (BK-40).
    NotDecided,
}

/// An active stay.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct CurrentStay {
    /// Its id.
    pub id: StayId,
    /// When it began.
    pub entered_at: Timestamp,
    /// Its ordinal.
    pub entry_count: u32,
    /// Who decided.
    pub source: TransitionSource,
    /// Before this instant criteria that become false do not end it; `None` without a shortest stay.
    pub min_dwell_until: Option<Timestamp>,
    /// Its unconditional end.
    pub max_dwell_at: Option<Timestamp>,
}

/// The definition in force.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct DefinitionInForce {
    /// The bucket.
    pub id: BucketId,
    /// Its name.
    pub name: String,
    /// Digest of its criteria (BK-181).
    pub criteria_hash: String,
    /// Since when contacts are decided by it.
    pub since: Timestamp,
    /// Whether it decides anything.
    pub enabled: bool,
}

/// The answer, and everything it rests on.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Why {
    /// The contact that answers.
    pub contact_id: ContactId,
    /// The instant asked for.
    pub at: Timestamp,
    /// Whether it is a member.
    pub member: bool,
    /// What makes it so.
    pub because: Because,
    /// Its stay, if it is a member.
    pub stay: Option<CurrentStay>,
    /// The definition it is decided by.
    pub definition: DefinitionInForce,
    /// The criteria, with what they see of the contact.
    pub criteria: Explanation,
    /// The next instant at which the clock alone may change the answer.
    pub next_change_at: Option<Timestamp>,
}

/// Explains the standing of a contact with a bucket, both as they are at `at`; `None` if the bucket is not defined.
pub(crate) fn why(
    bucket: &BucketState,
    contact: ContactId,
    state: &ContactState,
    at: Timestamp,
) -> Option<Why> {
    let rule = bucket.rule()?;
    let criteria = explain(&rule.criteria, state, at);
    let stay = state.stay(rule.bucket()).map(|stay| CurrentStay {
        id: stay.id,
        entered_at: stay.entered_at,
        entry_count: stay.epoch,
        source: stay.source,
        min_dwell_until: (rule.min_dwell > 0).then(|| stay.entered_at.plus(rule.min_dwell)),
        max_dwell_at: stay.max_dwell_at,
    });
    let next_change_at = if rule.enabled { next_look(&rule, state, at) } else { None };
    Some(Why {
        contact_id: contact,
        at,
        member: stay.is_some(),
        because: because(&rule, state, stay.as_ref(), criteria.holds(), at),
        stay,
        definition: DefinitionInForce {
            id: rule.bucket().clone(),
            name: rule.definition.name.clone(),
            criteria_hash: bucket.criteria_hash.clone(),
            since: rule.activated_at,
            enabled: rule.enabled,
        },
        criteria,
        next_change_at,
    })
}

fn because(
    rule: &Rule,
    state: &ContactState,
    stay: Option<&CurrentStay>,
    holds: bool,
    at: Timestamp,
) -> Because {
    let timed_out = || {
        state
            .standing(rule.bucket())
            .is_some_and(|standing| standing.last_reason == Some(LeaveReason::MaxDwell))
    };
    match stay {
        _ if !rule.enabled => Because::Disabled,
        Some(_) if holds => Because::Criteria,
        None if !holds => Because::Criteria,
        Some(stay) if stay.min_dwell_until.is_some_and(|until| at < until) => Because::MinDwell,
        None if timed_out() => Because::MaxDwell,
        _ => Because::NotDecided,
    }
}
