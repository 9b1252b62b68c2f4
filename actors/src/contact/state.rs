//! What is true about one contact, and the questions that can be answered from it.

use compact_str::{CompactString, ToCompactString};
use mainspring_eventlog::{Position, Version};
use mainspring_schemas::{
    BucketId, ContactId, Properties, RecordId, SourceId, StayId, Timestamp,
    catalog::PublicContact,
    criteria::Facts,
    event::contact::{DwellPlan, Dwelled, LeaveReason, TransitionSource, Via},
    identity::{IdentityKey, KeyKind},
};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::{agenda::Agenda, occurrences::Occurrences, used_keys::UsedKeys};
use crate::api::{ContactView, KeyView, StayView};

/// What became of a contact.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Fate {
    /// Never written.
    #[default]
    Absent,
    /// Alive.
    Live,
    /// Another contact answers for it.
    MergedInto(ContactId),
    /// Deleted at this instant; its keys are free. That can be undone for a while (GD-02).
    Deleted(Timestamp),
    /// Gone for good: nothing personal about it can be read any more (GD-03).
    Erased,
}

/// A key the contact owns.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HeldKey {
    /// The key.
    pub key: IdentityKey,
    /// Whether the wire fields show it.
    pub primary: bool,
    /// How it came.
    pub via: Via,
    /// Since when.
    pub since: Timestamp,
}

/// An idempotency key that was used.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Remembered {
    /// Digest of the key.
    pub digest: u128,
    /// The event it stored.
    pub event: RecordId,
    /// Digest of the request.
    pub request: u64,
}

/// Digest under which an idempotency key is remembered. Keys of different origins never share one; `None` is the
/// application.
pub fn digest_of(key: &str, origin: Option<&SourceId>) -> u128 {
    let mut digest = Sha256::digest(key.as_bytes());
    if let Some(origin) = origin {
        // The inner digest has a fixed length: no other pair reads the same, whatever a key holds.
        digest = Sha256::new().chain_update(digest).chain_update(origin.as_str()).finalize();
    }
    digest[..16].iter().fold(0, |sum, byte| sum << 8 | u128::from(*byte))
}

/// An uninterrupted stay in a bucket.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stay {
    /// Its id.
    pub id: StayId,
    /// Its ordinal.
    pub epoch: u32,
    /// When it began.
    pub entered_at: Timestamp,
    /// Who decided.
    pub source: TransitionSource,
    /// Its unconditional end.
    pub max_dwell_at: Option<Timestamp>,
    /// Its historical dwell start.
    pub dwell_anchor_at: Option<Timestamp>,
    /// What each schedule fired last in it; schedules that did not fire are not there.
    pub dwelled: Vec<Dwelled>,
    /// When it catches up with schedules that came later.
    pub dwell_plans: Vec<DwellPlan>,
}

impl Stay {
    /// The instant from which its dwell counts (BK-130).
    pub fn dwell_clock(&self) -> Timestamp {
        self.dwell_anchor_at.unwrap_or(self.entered_at)
    }

    /// The ordinal that a schedule fired last; 0 if it did not.
    pub fn last_dwell(&self, label: &str) -> u64 {
        self.dwelled.iter().find(|dwelled| dwelled.label == label).map_or(0, |dwelled| dwelled.ordinal)
    }

    /// The instant given to the stay to catch up with a schedule that decides since `since`.
    pub fn planned_dwell(&self, label: &str, since: Timestamp) -> Option<Timestamp> {
        let planned = self.dwell_plans.iter().find(|plan| plan.label == label && plan.since == since);
        planned.map(|plan| plan.due)
    }

    /// A newer plan for a schedule takes the place of an older one.
    pub(super) fn plan_dwell(&mut self, plan: DwellPlan) {
        self.dwell_plans.retain(|known| known.label != plan.label);
        self.dwell_plans.push(plan);
    }

    pub(super) fn dwell(&mut self, label: &CompactString, ordinal: u64) {
        match self.dwelled.iter_mut().find(|dwelled| dwelled.label == *label) {
            Some(dwelled) => dwelled.ordinal = dwelled.ordinal.max(ordinal),
            None => self.dwelled.push(Dwelled { label: label.clone(), ordinal }),
        }
    }
}

/// What the contact is, and was, to one bucket.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Standing {
    /// The bucket.
    pub bucket: BucketId,
    /// Number of stays so far, or the highest epoch if that is more (BK-61).
    pub epochs: u32,
    /// When the last ended stay ended.
    pub last_left_at: Option<Timestamp>,
    /// Why it ended.
    pub last_reason: Option<LeaveReason>,
    /// The active stay.
    pub stay: Option<Stay>,
}

/// One customer, as the replay of its stream gives it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ContactState {
    /// Its id; `None` until it is created.
    pub id: Option<ContactId>,
    /// What became of it.
    pub fate: Fate,
    /// Version of its last record.
    pub version: Option<Version>,
    /// The definitions in force when its last record was decided.
    pub definitions: Position,
    /// The instant of its last decision: everything the clock decides up to here is decided.
    pub settled: Timestamp,
    /// The wake-up its last record carries.
    pub recorded_wake: Option<Timestamp>,
    /// Its keys, in the order they came.
    pub keys: Vec<HeldKey>,
    /// Ids of contacts it absorbed, directly or not.
    pub aliases: Vec<ContactId>,
    /// Its properties.
    pub properties: Properties,
    /// Their size on the wire, in bytes.
    pub properties_size: usize,
    /// CT-07.
    pub first_seen_at: Timestamp,
    /// CT-08.
    pub last_seen_at: Timestamp,
    /// CT-09.
    pub created_at: Timestamp,
    /// CT-09.
    pub updated_at: Timestamp,
    /// What it did and when.
    pub occurrences: Occurrences,
    /// Idempotency keys used.
    pub remembered: UsedKeys,
    /// Evidence that contradicted itself: the kind of a key, and who keeps it (RS-24).
    pub conflicts: Vec<(KeyKind, ContactId)>,
    /// Its standing with each bucket it ever was in, sorted by bucket.
    pub standings: Vec<Standing>,
    /// When to look again at which bucket; derived, never stored.
    #[serde(skip)]
    pub(super) agenda: Agenda,
    /// The definitions the agenda was made for; derived, never stored.
    #[serde(skip)]
    pub(super) agenda_revision: Option<Position>,
    /// Whether its last turn ended before everything was decided that had fallen due; derived, never stored.
    #[serde(skip)]
    pub(super) unfinished: bool,
}

impl ContactState {
    /// The primary key of a kind.
    pub fn primary(&self, kind: KeyKind) -> Option<&CompactString> {
        self.keys.iter().find(|held| held.primary && held.key.kind == kind).map(|held| &held.key.value)
    }

    /// Whether the contact owns a key.
    pub fn holds(&self, key: &IdentityKey) -> bool {
        self.keys.iter().any(|held| held.key == *key)
    }

    /// Whether the contact owns an external key.
    pub fn is_identified(&self) -> bool {
        self.keys.iter().any(|held| held.key.kind == KeyKind::External)
    }

    /// The string by which the contact is called on the wire (KE-20).
    pub fn contact_key(&self) -> CompactString {
        self.primary(KeyKind::External)
            .or_else(|| self.primary(KeyKind::Anonymous))
            .cloned()
            .unwrap_or_else(|| self.id.map(|id| id.to_compact_string()).unwrap_or_default())
    }

    /// The standing with a bucket.
    pub fn standing(&self, bucket: &BucketId) -> Option<&Standing> {
        self.standings.binary_search_by(|s| s.bucket.cmp(bucket)).ok().map(|index| &self.standings[index])
    }

    /// The active stay in a bucket.
    pub fn stay(&self, bucket: &BucketId) -> Option<&Stay> {
        self.standing(bucket)?.stay.as_ref()
    }

    /// The active stay in a bucket, if it is the one meant.
    pub(super) fn stay_mut(&mut self, bucket: &BucketId, stay: StayId) -> Option<&mut Stay> {
        let index = self.standings.binary_search_by(|s| s.bucket.cmp(bucket)).ok()?;
        self.standings[index].stay.as_mut().filter(|active| active.id == stay)
    }

    pub(super) fn standing_mut(&mut self, bucket: &BucketId) -> &mut Standing {
        let index = match self.standings.binary_search_by(|s| s.bucket.cmp(bucket)) {
            Ok(index) => index,
            Err(index) => {
                let standing = Standing {
                    bucket: bucket.clone(),
                    epochs: 0,
                    last_left_at: None,
                    last_reason: None,
                    stay: None,
                };
                self.standings.insert(index, standing);
                index
            }
        };
        &mut self.standings[index]
    }

    /// How many instants and idempotency keys its history consists of.
    pub(super) fn history_len(&self) -> usize {
        let instants = self.occurrences.iter().map(|(_, instants)| instants.len()).sum::<usize>();
        instants + self.remembered.len()
    }

    /// Adds what another contact did and which idempotency keys it used (BK-240, MC-31).
    pub(crate) fn unite_history(&mut self, other: &Self) {
        for (name, instants) in other.occurrences.iter() {
            self.occurrences.unite(name, instants);
        }
        self.remembered.insert_all(other.remembered.sorted());
    }

    /// When the contact must be looked at next. A turn that did not get through goes on right after the instant up to
    /// which all is decided.
    pub fn wake_at(&self) -> Option<Timestamp> {
        match self.fate {
            Fate::Live if self.unfinished => Some(self.settled.plus(1)),
            Fate::Live => self.agenda.first(),
            _ => None,
        }
    }

    /// The public shape (CT-12).
    pub fn public(&self) -> PublicContact {
        PublicContact {
            id: self.id.unwrap_or(ContactId(uuid::Uuid::nil())),
            external_id: self.primary(KeyKind::External).cloned(),
            email: self.primary(KeyKind::Email).cloned(),
            properties: self.properties.clone(),
            first_seen_at: self.first_seen_at,
            last_seen_at: self.last_seen_at,
            created_at: self.created_at,
            updated_at: self.updated_at,
        }
    }

    /// Everything an operator may see.
    pub fn view(&self) -> ContactView {
        ContactView {
            contact: self.public(),
            anonymous_id: self.primary(KeyKind::Anonymous).cloned(),
            discord_id: self.primary(KeyKind::Discord).cloned(),
            contact_key: self.contact_key(),
            keys: self
                .keys
                .iter()
                .map(|held| KeyView {
                    kind: held.key.kind,
                    value: held.key.value.clone(),
                    primary: held.primary,
                    since: held.since,
                    via: held.via,
                })
                .collect(),
            stays: self
                .standings
                .iter()
                .filter_map(|standing| {
                    let stay = standing.stay.as_ref()?;
                    Some(StayView {
                        stay: stay.id,
                        bucket: standing.bucket.clone(),
                        entered_at: stay.entered_at,
                        epoch: stay.epoch,
                        source: stay.source,
                        expires_at: self.agenda.of_bucket(&standing.bucket),
                        max_dwell_at: stay.max_dwell_at,
                    })
                })
                .collect(),
            conflicts: self.conflicts.clone(),
            version: self.version.unwrap_or_default(),
            wake_at: self.recorded_wake,
            decided_at: self.settled,
        }
    }
}

impl Facts for ContactState {
    fn property(&self, name: &str) -> Option<&Value> {
        self.properties.get(name)
    }

    fn occurrences(&self, event: &str) -> &[Timestamp] {
        self.occurrences.of(event)
    }
}
