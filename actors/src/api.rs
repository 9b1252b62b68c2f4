//! What callers ask of the engine and what they are told.

use std::borrow::Cow;

use compact_str::CompactString;
use mainspring_eventlog::Position;
use mainspring_schemas::{
    BucketId, ContactId, Properties, RecordId, SourceId, StayId, Timestamp,
    catalog::PublicContact,
    event::contact::{Source, TransitionSource, Via},
    identity::{IdentityKey, KeyKind},
};
use uuid::Uuid;

/// The keys a call names a person by, normalized; blank ones are gone (KE-07).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Identity {
    /// `userId`.
    pub external: Option<IdentityKey>,
    /// `email`.
    pub email: Option<IdentityKey>,
    /// `anonymousId`.
    pub anonymous: Option<IdentityKey>,
    /// A connector's `discordId`.
    pub discord: Option<IdentityKey>,
    /// A provider's id of its customer (WS-106).
    pub provider: Option<IdentityKey>,
}

impl Identity {
    /// Normalizes what the data plane can supply.
    pub fn new(user_id: Option<&str>, email: Option<&str>, anonymous_id: Option<&str>) -> Self {
        let key = |kind, value: Option<&str>| value.and_then(|value| IdentityKey::new(kind, value));
        Self {
            external: key(KeyKind::External, user_id),
            email: key(KeyKind::Email, email),
            anonymous: key(KeyKind::Anonymous, anonymous_id),
            discord: None,
            provider: None,
        }
    }

    /// Whether anything but an anonymous id is supplied, which is never sufficient alone (IG-01), but for a webhook source
    /// that tells of visitors (WS-113).
    pub fn is_sufficient(&self) -> bool {
        self.keys().any(|key| key.kind != KeyKind::Anonymous)
    }

    /// Adds a provider's id of its customer (WS-106); a blank one counts as not supplied.
    ///
    /// With a `userId` the id is one more key of whoever that names. Without one it decides who is meant, before the
    /// address, and stands in for the user id: a contact whose external id it is is found by it, and a contact that
    /// comes into being gets it as its external id.
    #[must_use]
    pub fn with_provider(self, provider: &SourceId, id: &str) -> Self {
        Self { provider: IdentityKey::of_provider(provider, id), ..self }
    }

    /// The keys supplied, in attach order (RS-06), a provider's after the user id.
    pub fn keys(&self) -> impl Iterator<Item = &IdentityKey> {
        [&self.external, &self.provider, &self.email, &self.discord, &self.anonymous].into_iter().flatten()
    }

    /// The external key that a provider's id stands in for, if no user id was supplied.
    pub fn stand_in(&self) -> Option<IdentityKey> {
        let id = self.provider.as_ref().filter(|_| self.external.is_none())?.id_at_provider()?;
        IdentityKey::new(KeyKind::External, id)
    }

    /// Everything that says who is meant, in the order in which it is weighed: the keys, and what stands in for a user
    /// id, which comes before the address (WS-106).
    pub fn evidence(&self) -> impl Iterator<Item = Cow<'_, IdentityKey>> {
        let decides = [&self.external, &self.provider].into_iter().flatten().map(Cow::Borrowed);
        let others = [&self.email, &self.discord, &self.anonymous].into_iter().flatten().map(Cow::Borrowed);
        decides.chain(self.stand_in().map(Cow::Owned)).chain(others)
    }
}

/// One application event (IG-01).
#[derive(Clone, Debug, PartialEq)]
pub struct IngestCall {
    /// Who.
    pub identity: Identity,
    /// The event's name.
    pub name: CompactString,
    /// The event's own properties.
    pub event_properties: Properties,
    /// Patch of the contact's properties.
    pub contact_properties: Properties,
    /// Present if a repeat must be recognized.
    pub idempotency_key: Option<CompactString>,
    /// When it happened; now if absent.
    pub occurred_at: Option<Timestamp>,
    /// Where it came from.
    pub source: Source,
    /// Whether the event is only for somebody who exists: no contact comes into being for it (WS-52).
    pub existing_only: bool,
    /// The request it came with.
    pub trace: Option<Uuid>,
}

/// What became of an event.
#[derive(Clone, Debug, PartialEq)]
pub struct IngestOutcome {
    /// `false` for a repeat.
    pub stored: bool,
    /// The stored event; for a repeat the one stored first.
    pub event_id: RecordId,
    /// For a repeat: whether it was the same request (IK-02).
    pub same_request: Option<bool>,
    /// Whose event it is.
    pub contact_id: ContactId,
    /// The contact's canonical key afterwards (KE-20).
    pub contact_key: CompactString,
    /// Buckets entered in the same append, announced or not.
    pub entered: Vec<BucketId>,
    /// Buckets left in the same append.
    pub left: Vec<BucketId>,
    /// The last record written; reads wait for it. `None` if nothing was written.
    pub position: Option<Position>,
}

/// An explicit write of a contact (CT-40).
#[derive(Clone, Debug, PartialEq)]
pub struct UpsertCall {
    /// Who.
    pub identity: Identity,
    /// Patch of the properties.
    pub properties: Properties,
    /// How keys come to the contact.
    pub via: Via,
    /// The request it came with.
    pub trace: Option<Uuid>,
}

/// A change of one contact by an operator (CT-83).
#[derive(Clone, Debug, PartialEq)]
pub struct EditCall {
    /// Which contact.
    pub contact: ContactId,
    /// Its primary address from now on; as it is if absent.
    pub email: Option<IdentityKey>,
    /// Patch of the properties.
    pub properties: Properties,
    /// Whether the contact and the address's owner may become one.
    pub merge: bool,
    /// The request it came with.
    pub trace: Option<Uuid>,
}

/// What became of an upsert.
#[derive(Clone, Debug, PartialEq)]
pub struct UpsertOutcome {
    /// The contact, after all merges.
    pub id: ContactId,
    /// It did not exist before.
    pub created: bool,
    /// It existed before (RS-04).
    pub linked: bool,
    /// Contacts became one.
    pub merged: bool,
    /// Its canonical key afterwards.
    pub contact_key: CompactString,
    /// The last record written, if any.
    pub position: Option<Position>,
}

/// A contact as its actor knows it.
#[derive(Clone, Debug, PartialEq)]
pub struct ContactView {
    /// The public shape.
    pub contact: PublicContact,
    /// Primary anonymous key; shown by the admin plane only.
    pub anonymous_id: Option<CompactString>,
    /// Primary Discord key; shown by the admin plane only.
    pub discord_id: Option<CompactString>,
    /// Canonical key.
    pub contact_key: CompactString,
    /// Every key.
    pub keys: Vec<KeyView>,
    /// Active stays.
    pub stays: Vec<StayView>,
    /// Keys that calls brought and that stayed with another contact: which kind, and with whom (RS-24).
    pub conflicts: Vec<(KeyKind, ContactId)>,
    /// The last version of its stream.
    pub version: u64,
    /// When its answer can change next by the clock alone.
    pub wake_at: Option<Timestamp>,
    /// Up to when every bucket that decides anything is decided: `recordedAt` of its newest record (BK-60).
    pub decided_at: Timestamp,
}

/// A key of a contact.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyView {
    /// Which kind.
    pub kind: KeyKind,
    /// The value.
    pub value: CompactString,
    /// Whether the wire fields show it.
    pub primary: bool,
    /// Since when.
    pub since: Timestamp,
    /// How it came.
    pub via: Via,
}

/// An active stay.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StayView {
    /// The stay.
    pub stay: StayId,
    /// The bucket.
    pub bucket: BucketId,
    /// When it began.
    pub entered_at: Timestamp,
    /// Its ordinal.
    pub epoch: u32,
    /// Who decided.
    pub source: TransitionSource,
    /// The earliest instant at which the clock alone may end it.
    pub expires_at: Option<Timestamp>,
    /// Its unconditional end.
    pub max_dwell_at: Option<Timestamp>,
}

/// One event of a contact's history (CT-85).
#[derive(Clone, Debug, PartialEq)]
pub struct TimelineEvent {
    /// The event.
    pub id: RecordId,
    /// When it happened.
    pub at: Timestamp,
    /// Its name.
    pub name: CompactString,
    /// Its own properties.
    pub properties: Properties,
    /// Where it came from (IG-45); a bucket's transition comes from the bucket.
    pub source: Source,
}

/// A part of a contact's history.
#[derive(Clone, Debug, PartialEq)]
pub struct Timeline {
    /// The events asked for, newest first.
    pub events: Vec<TimelineEvent>,
    /// How many there are in all.
    pub total: u64,
}

/// Whom a key designates that may be old (TK-20).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Subject {
    /// A live contact, which is called by this canonical key now.
    Known {
        /// Who.
        contact: ContactId,
        /// KE-20.
        contact_key: CompactString,
    },
    /// Whom it designated is deleted.
    Deleted,
    /// Nobody ever.
    Unknown,
}

/// Why a call had no effect.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EngineError {
    /// No key is left after normalization (KE-07).
    #[error("email or userId is required")]
    NoIdentity,
    /// Nobody, or nothing, by that key.
    #[error("not found")]
    NotFound,
    /// The keys belong to two contacts, and the call must not choose (DP-26).
    #[error("email and userId belong to different contacts")]
    DifferentContacts,
    /// The address is another contact's (CT-83).
    #[error("Email belongs to another contact")]
    EmailTaken,
    /// A rule of the domain refuses; the text may be shown to the caller.
    #[error("{0}")]
    Refused(String),
    /// The object is not in a state that allows it; the text may be shown to the caller.
    #[error("{0}")]
    State(String),
    /// Queues are full, the disk is, or the engine is stopping; nothing was stored.
    #[error("overloaded")]
    Overloaded,
    /// The log failed, or cannot be read now; if something was to be written, whether it is, is unknown. Worth another
    /// try.
    #[error("the log failed: {0}")]
    LogFailed(String),
    /// What follows from the call can never be written; nothing was stored. A defect.
    #[error("the log can never hold this: {0}")]
    Unwritable(String),
}
