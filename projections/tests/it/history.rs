//! Valid histories from arbitrary numbers, with a model that knows what must come out.

mod buckets;
mod deletion;
mod endpoints;
mod erasure;
mod redelivery;

use std::collections::{BTreeMap, BTreeSet, HashMap};

use bytes::Bytes;
use compact_str::{CompactString, format_compact};
use mainspring_eventlog::Recorded;
use mainspring_schemas::{
    BucketId, ContactId, DeliveryId, EndpointId, MessageId, Properties, RecordId, RecoveryId, SourceId,
    StayId, StreamName, Timestamp,
    catalog::{BUCKET_ENTERED, BUCKET_LEFT, WEBHOOK_TEST, subscribes},
    codec::{
        Encoded,
        personal::{lift, personal_fields, split},
    },
    criteria::Criteria,
    definition::BucketDefinition,
    event::{
        AuditEvent, BucketEvent, ContactEvent, DeliveryEvent, EndpointEvent, IdentityEvent,
        SourceSecretEvent,
        audit::Acted,
        bucket::{
            BackfillAdvanced, BackfillCompleted, BackfillStarted, CatchUpPlanned, Defined, Purpose, Retired,
            Switched,
        },
        contact::{
            Absorbed, Announced, AttachedKey, BucketDeadline, BucketDwelled, BucketEntered, BucketLeft,
            Created, Deleted, DwellPlanned, Erased, EventRecorded, KeysAttached, LeaveReason, Looked,
            MergedInto, MovedStanding, MovedStay, PropertiesChanged, Reacted, ReactionOutcome, Restored,
            Seen, Source, TransitionSource, Via,
        },
        delivery::{AttemptResult, Attempted, DiscardReason, Discarded, RequeueCause, Requeued},
        endpoint::{
            EndpointCreated, EndpointDeleted, EndpointDisabled, EndpointEnabled, EndpointSettings,
            EndpointUpdated, SecretRotated, SigningSecret, TestRequested,
        },
        identity::Claimed,
        redelivery::{Expired, LetterDiscarded, Recovered, RecoveryAdvanced, RecoveryEnded, RecoveryStarted},
        source_secret::SecretStored,
    },
    identity::KeyKind,
};
use serde_json::json;
use uuid::Uuid;

/// One step: what, to whom, and a spare number.
pub type Step = (u8, u8, u8);

/// A stay as the model knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ModelStay {
    pub contact: ContactId,
    pub bucket: BucketId,
    pub epoch: u32,
    pub entered_at: Timestamp,
    pub left_at: Option<Timestamp>,
}

/// A contact as the model knows it.
#[derive(Clone, Debug)]
pub struct ModelContact {
    pub id: ContactId,
    pub live: bool,
    /// When it was deleted, if that can be undone.
    pub deleted_at: Option<Timestamp>,
    /// The stays that come back with it.
    pub hidden_stays: BTreeMap<StayId, ModelStay>,
    pub survivor: Option<ContactId>,
    pub keys: BTreeMap<(KeyKind, CompactString), bool>,
    pub properties: Properties,
    pub first_seen_at: Timestamp,
    pub last_seen_at: Timestamp,
    pub updated_at: Timestamp,
    pub wake_at: Option<Timestamp>,
    pub version: u64,
}

impl ModelContact {
    pub fn primary(&self, kind: KeyKind) -> Option<CompactString> {
        self.keys
            .iter()
            .find(|((k, _), primary)| *k == kind && **primary)
            .map(|((_, value), _)| value.clone())
    }
}

/// A delivery as the model knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ModelDelivery {
    pub endpoint: EndpointId,
    pub contact: Option<ContactId>,
    pub attempts: u32,
    pub requeues: u32,
    /// Whether what it was delivered with was a request.
    pub sent: bool,
    /// Whether it is sent again although the receiver has it.
    pub replay: bool,
    pub status: &'static str,
    /// When it got this status.
    pub since: Timestamp,
    /// Whether it tells that the contact is deleted: then it outlives the contact's erasure (OB-163).
    pub parting: bool,
}

impl ModelDelivery {
    fn new(endpoint: EndpointId, contact: Option<ContactId>, since: Timestamp) -> Self {
        let (attempts, requeues, status) = (0, 0, "pending");
        Self {
            endpoint,
            contact,
            attempts,
            requeues,
            sent: false,
            replay: false,
            status,
            since,
            parting: false,
        }
    }

    fn turn(&mut self, status: &'static str, at: Timestamp) {
        (self.status, self.since) = (status, at);
    }
}

#[derive(Clone, Debug)]
pub struct ModelEndpoint {
    pub id: EndpointId,
    pub event_types: Vec<String>,
    pub disabled: bool,
    pub deleted: bool,
}

/// A log in the making, and what is true after it.
#[derive(Default)]
pub struct History {
    pub records: Vec<Recorded>,
    pub contacts: Vec<ModelContact>,
    pub stays: BTreeMap<StayId, ModelStay>,
    pub endpoints: Vec<ModelEndpoint>,
    pub deliveries: BTreeMap<DeliveryId, ModelDelivery>,
    pub order: Vec<DeliveryId>,
    /// Contacts whose data keys are destroyed.
    pub erased: BTreeSet<ContactId>,
    versions: HashMap<StreamName, u64>,
    epochs: HashMap<(ContactId, BucketId), u32>,
    now: i64,
    keys: u32,
    wake: Option<Timestamp>,
}

/// The buckets of all histories.
pub const BUCKETS: [&str; 3] = ["power", "lapsed", "vip"];

fn object(value: serde_json::Value) -> Properties {
    value.as_object().unwrap().clone()
}

impl History {
    /// A history of these steps.
    pub fn of(steps: &[Step]) -> Self {
        let mut history = Self { now: 1_780_000_000_000, ..Self::default() };
        for step in steps {
            history.step(*step);
        }
        history
    }

    pub fn now(&self) -> Timestamp {
        Timestamp(self.now)
    }

    /// Appends one event as the engine would.
    pub fn append(&mut self, stream: StreamName, encoded: Encoded) -> RecordId {
        let position = self.records.len() as u64;
        let next = self.versions.entry(stream.clone()).or_default();
        let version = *next;
        *next += 1;
        let id = RecordId(Uuid::from_u128(0x7000 << 64 | u128::from(position)));
        self.records.push(Recorded {
            position,
            stream,
            version,
            recorded_at: Timestamp(self.now),
            id,
            event_type: encoded.event_type.into(),
            schema_version: encoded.schema_version,
            causation: None,
            trace: None,
            wake_at: self.wake,
            definitions: 0,
            sealed_with: None,
            payload: Bytes::from(encoded.payload),
        });
        id
    }

    fn contact_event(&mut self, index: usize, event: &ContactEvent) -> RecordId {
        let id = self.contacts[index].id;
        self.wake = (self.now % 3 == 0).then(|| Timestamp(self.now + 60_000));
        let record = self.append(StreamName::contact(id), event.encode().unwrap());
        let wake = self.wake.take();
        let contact = &mut self.contacts[index];
        contact.wake_at = wake;
        contact.version = self.versions[&StreamName::contact(id)] - 1;
        record
    }

    fn live(&self, pick: u8) -> Option<usize> {
        let live: Vec<usize> = (0..self.contacts.len()).filter(|index| self.contacts[*index].live).collect();
        (!live.is_empty()).then(|| live[usize::from(pick) % live.len()])
    }

    fn seen(&mut self, index: usize, changed: bool) {
        let now = self.now();
        let contact = &mut self.contacts[index];
        contact.last_seen_at = contact.last_seen_at.max(now);
        if changed {
            contact.updated_at = now;
        }
    }

    fn fresh_key(&mut self, kind: KeyKind) -> CompactString {
        self.keys += 1;
        match kind {
            KeyKind::Email => format_compact!("p{}_%@example.com", self.keys),
            KeyKind::Provider => format_compact!("stripe:cus_{}", self.keys),
            _ => format_compact!("Key-{}", self.keys),
        }
    }

    /// One step, skipped where it makes no sense.
    pub fn step(&mut self, (what, whom, spare): Step) {
        self.now += 1 + i64::from(spare) * 700_000;
        if spare % 32 == 31 {
            self.audit();
        }
        match what % 25 {
            0..=2 => {
                if spare.is_multiple_of(4) {
                    self.source_secret();
                }
                self.create(spare);
            }
            3..=7 => self.touch(whom, spare),
            8 | 9 => self.attach(whom, spare),
            10 | 11 => self.change(whom, spare),
            12 | 13 => self.enter(whom, spare),
            14 => self.leave(whom, spare),
            15 => self.merge(whom, spare),
            16 => self.end_or_go_on(whom, spare),
            17 => self.announce(whom, spare),
            18 | 19 => self.endpoint(whom, spare),
            20..=22 => self.attempt(whom, spare),
            23 => self.dwell(whom, spare),
            _ => self.bucket(whom, spare),
        }
    }

    /// A secret of a webhook source concerns no read model.
    fn source_secret(&mut self) {
        let secret = "5e".repeat(32);
        let stored = SourceSecretEvent::Stored(SecretStored { at: self.now(), secret });
        let source = SourceId::new(&format!("source-{}", self.records.len())).unwrap();
        self.append(StreamName::source(&source), stored.encode().unwrap());
    }

    /// An operator changed something: of no concern to any read model.
    fn audit(&mut self) {
        let event = AuditEvent::Acted(Acted {
            at: self.now(),
            actor: "ops".to_owned(),
            key: None,
            action: "webhooks.post".to_owned(),
            resource: "webhooks".to_owned(),
            resource_id: None,
            route: "/v1/admin/webhooks".to_owned(),
            fields: vec!["url".to_owned()],
            status: 201,
            request_id: None,
            ip_address: None,
        });
        self.append(StreamName::audit(), event.encode().unwrap());
    }

    pub fn create(&mut self, spare: u8) -> usize {
        let id = ContactId(Uuid::from_u128(0x18f_0000 << 64 | u128::from(self.records.len() as u64)));
        let mut keys = Vec::new();
        for (bit, kind) in KeyKind::ALL.into_iter().enumerate() {
            if spare >> bit & 1 == 1 {
                keys.push(AttachedKey {
                    kind,
                    value: self.fresh_key(kind),
                    primary: kind.has_primary(),
                    via: Via::Created,
                });
            }
        }
        let properties = if spare.is_multiple_of(2) {
            Properties::new()
        } else {
            object(json!({"plan": "free", "n": spare}))
        };
        let claim = IdentityEvent::Claimed(Claimed { at: self.now(), contact: id });
        let digest = u128::from(self.records.len() as u64).to_be_bytes();
        self.append(StreamName::identity("email", &digest), claim.encode().unwrap());
        let at = self.now();
        self.contacts.push(ModelContact {
            id,
            live: true,
            deleted_at: None,
            hidden_stays: BTreeMap::new(),
            survivor: None,
            keys: keys.iter().map(|key| ((key.kind, key.value.clone()), key.primary)).collect(),
            properties: properties.clone(),
            first_seen_at: at,
            last_seen_at: at,
            updated_at: at,
            wake_at: None,
            version: 0,
        });
        let index = self.contacts.len() - 1;
        self.contact_event(index, &ContactEvent::Created(Created { at, keys, properties }));
        index
    }

    pub fn touch(&mut self, whom: u8, spare: u8) {
        let Some(index) = self.live(whom) else { return };
        let at = self.now();
        let event = match spare % 5 {
            0 => ContactEvent::Seen(Seen { at }),
            1 => ContactEvent::Looked(Looked { at }),
            kind => ContactEvent::EventRecorded(EventRecorded {
                name: "app.opened".into(),
                occurred_at: at.plus(-86_400_000),
                at,
                properties: object(json!({"screen": "home"})),
                source: match kind {
                    2 => Source::Webhook(SourceId::new("stripe").unwrap()),
                    3 => Source::Api,
                    _ => Source::Bucket,
                },
                idempotency: None,
            }),
        };
        let unseen = match &event {
            ContactEvent::Looked(_) => true,
            ContactEvent::EventRecorded(event) => event.source == Source::Bucket,
            _ => false,
        };
        self.contact_event(index, &event);
        if !unseen {
            self.seen(index, false);
        }
    }

    fn attach(&mut self, whom: u8, spare: u8) {
        let Some(index) = self.live(whom) else { return };
        let kind = KeyKind::ALL[usize::from(spare) % KeyKind::ALL.len()];
        // Now and then a key that is attached already becomes primary.
        let known =
            self.contacts[index].keys.keys().find(|(k, _)| *k == kind).map(|(_, value)| value.clone());
        let value = match known.filter(|_| spare.is_multiple_of(3)) {
            Some(value) => value,
            None => self.fresh_key(kind),
        };
        let primary = kind.has_primary() && spare.is_multiple_of(2);
        let key = AttachedKey { kind, value: value.clone(), primary, via: Via::Attached };
        let at = self.now();
        self.contact_event(index, &ContactEvent::KeysAttached(KeysAttached { at, keys: vec![key] }));
        let keys = &mut self.contacts[index].keys;
        if primary {
            keys.iter_mut().filter(|((k, _), _)| *k == kind).for_each(|(_, held)| *held = false);
        }
        *keys.entry((kind, value)).or_default() |= primary;
        self.seen(index, true);
    }

    fn change(&mut self, whom: u8, spare: u8) {
        let Some(index) = self.live(whom) else { return };
        let (set, removed) = match spare % 3 {
            0 => (Properties::new(), vec!["plan".to_owned(), "n".to_owned()]),
            1 => (object(json!({"plan": "pro", "score": spare})), Vec::new()),
            _ => (object(json!({"tags": ["a", spare]})), vec!["plan".to_owned()]),
        };
        let properties = &mut self.contacts[index].properties;
        properties.extend(set.clone());
        removed.iter().for_each(|name| drop(properties.remove(name)));
        let at = self.now();
        let by_bucket = spare.is_multiple_of(7);
        let event = PropertiesChanged { at, set, removed, by_bucket };
        self.contact_event(index, &ContactEvent::PropertiesChanged(event));
        if by_bucket {
            self.contacts[index].updated_at = at;
        } else {
            self.seen(index, true);
        }
    }

    fn active(&self, contact: ContactId, bucket: &BucketId) -> Option<StayId> {
        let active =
            |stay: &ModelStay| stay.contact == contact && stay.bucket == *bucket && stay.left_at.is_none();
        self.stays.iter().find(|(_, stay)| active(stay)).map(|(id, _)| *id)
    }

    pub fn enter(&mut self, whom: u8, spare: u8) {
        let Some(index) = self.live(whom) else { return };
        let bucket = BucketId::new(BUCKETS[usize::from(spare) % BUCKETS.len()]).unwrap();
        let contact = self.contacts[index].id;
        if self.active(contact, &bucket).is_some() {
            return;
        }
        let epoch = self.epochs.entry((contact, bucket.clone())).or_default();
        *epoch += 1;
        let (epoch, at) = (*epoch, self.now());
        let stay = StayId::of(contact, &bucket, epoch);
        self.stays.insert(
            stay,
            ModelStay { contact, bucket: bucket.clone(), epoch, entered_at: at, left_at: None },
        );
        let announced = !spare.is_multiple_of(4);
        let record = self.contact_event(
            index,
            &ContactEvent::BucketEntered(BucketEntered {
                at,
                bucket_name: bucket.as_str().to_uppercase(),
                bucket,
                stay,
                epoch,
                source: TransitionSource::Event,
                announced,
                max_dwell_at: spare.is_multiple_of(5).then_some(at.plus(1000)),
                dwell_anchor_at: None,
                user_key: "u".into(),
                email: None,
            }),
        );
        if announced {
            self.told(record, BUCKET_ENTERED, Some(contact));
        }
    }

    fn end(&mut self, index: usize, stay: StayId, reason: LeaveReason, announced: bool) {
        let at = self.now();
        let ended = self.stays.get_mut(&stay).unwrap();
        ended.left_at = Some(at);
        let left = BucketLeft {
            at,
            bucket: ended.bucket.clone(),
            bucket_name: "Name".to_owned(),
            stay,
            epoch: ended.epoch,
            entered_at: ended.entered_at,
            source: TransitionSource::Reconcile,
            reason,
            announced,
            user_key: "u".into(),
            email: Some("a@example.com".into()),
        };
        let record = self.contact_event(index, &ContactEvent::BucketLeft(left));
        if announced {
            self.told(record, BUCKET_LEFT, Some(self.contacts[index].id));
        }
    }

    fn leave(&mut self, whom: u8, spare: u8) {
        let Some(index) = self.live(whom) else { return };
        let contact = self.contacts[index].id;
        let active =
            self.stays.iter().find(|(_, s)| s.contact == contact && s.left_at.is_none()).map(|(id, _)| *id);
        if let Some(stay) = active {
            self.end(index, stay, LeaveReason::Criteria, !spare.is_multiple_of(3));
        }
    }

    /// What happens to a stay while it lasts.
    pub fn dwell(&mut self, whom: u8, spare: u8) {
        let Some(index) = self.live(whom) else { return };
        let contact = self.contacts[index].id;
        let active = self.stays.iter().find(|(_, s)| s.contact == contact && s.left_at.is_none());
        let Some((stay, epoch, bucket)) = active.map(|(id, stay)| (*id, stay.epoch, stay.bucket.clone()))
        else {
            return;
        };
        let at = self.now();
        let event = match spare % 4 {
            3 => ContactEvent::DwellPlanned(DwellPlanned {
                at,
                bucket,
                stay,
                epoch,
                label: "after-1000".into(),
                since: at,
                due: at.plus(700),
            }),
            0 => ContactEvent::BucketDeadline(BucketDeadline {
                at,
                bucket,
                stay,
                epoch,
                max_dwell_at: at.plus(5000),
            }),
            1 => ContactEvent::BucketDwelled(BucketDwelled {
                at,
                bucket_name: bucket.as_str().to_uppercase(),
                bucket,
                stay,
                epoch,
                label: "every-1000".into(),
                ordinal: 3,
                source: TransitionSource::Reconcile,
                user_key: "u".into(),
                email: None,
            }),
            _ => ContactEvent::Reacted(Reacted {
                at,
                reaction: format_compact!("bucket-{bucket}-on-enter"),
                bucket,
                stay,
                epoch,
                transition: RecordId(Uuid::from_u128(9)),
                outcome: ReactionOutcome::Ran,
            }),
        };
        self.contact_event(index, &event);
    }

    /// Both halves of a merge, with something else in between now and then (MC-43).
    pub fn merge(&mut self, whom: u8, spare: u8) {
        let (Some(loser), Some(survivor)) = (self.live(whom), self.live(whom.wrapping_add(1))) else {
            return;
        };
        if loser == survivor {
            return;
        }
        let at = self.now();
        let (loser_id, survivor_id) = (self.contacts[loser].id, self.contacts[survivor].id);
        let loser_version = self.contacts[loser].version;
        self.contact_event(loser, &ContactEvent::MergedInto(MergedInto { at, survivor: survivor_id }));
        self.contacts[loser].live = false;
        self.contacts[loser].survivor = Some(survivor_id);
        if spare.is_multiple_of(3) {
            self.create(spare);
        }
        let taken = std::mem::take(&mut self.contacts[loser].keys);
        let mut keys = Vec::new();
        for ((kind, value), was_primary) in taken {
            let primary = was_primary && self.contacts[survivor].primary(kind).is_none();
            self.contacts[survivor].keys.insert((kind, value.clone()), primary);
            keys.push(AttachedKey { kind, value, primary, via: Via::Merge });
        }
        let mut properties = self.contacts[loser].properties.clone();
        properties.extend(self.contacts[survivor].properties.clone());
        let mut standings = Vec::new();
        for bucket in BUCKETS {
            let bucket = BucketId::new(bucket).unwrap();
            let epochs = self.epochs.get(&(loser_id, bucket.clone())).copied().unwrap_or_default();
            if epochs == 0 {
                continue;
            }
            *self.epochs.entry((survivor_id, bucket.clone())).or_default() += epochs;
            let own = self.active(survivor_id, &bucket);
            let moving = self.active(loser_id, &bucket);
            let active = moving.filter(|_| own.is_none()).map(|id| {
                let stay = &self.stays[&id];
                MovedStay {
                    stay: id,
                    epoch: stay.epoch,
                    entered_at: stay.entered_at,
                    source: TransitionSource::Event,
                    max_dwell_at: None,
                    dwell_anchor_at: None,
                    dwelled: Vec::new(),
                    dwell_plans: Vec::new(),
                }
            });
            let ended_by_merge = moving.is_some() && active.is_none();
            if let Some(stay) = moving.filter(|_| ended_by_merge) {
                self.stays.get_mut(&stay).unwrap().left_at = Some(at);
            }
            standings.push(MovedStanding { bucket, epochs, last_left_at: None, active, ended_by_merge });
        }
        for stay in self.stays.values_mut().filter(|stay| stay.contact == loser_id) {
            stay.contact = survivor_id;
        }
        let first_seen_at = self.contacts[loser].first_seen_at;
        let absorbed = Absorbed {
            at,
            loser: loser_id,
            loser_version,
            aliases: Vec::new(),
            keys,
            properties: properties.clone(),
            first_seen_at,
            occurrences: BTreeMap::new(),
            idempotency: Vec::new(),
            by_reference: false,
            standings,
        };
        self.contact_event(survivor, &ContactEvent::Absorbed(Box::new(absorbed)));
        let contact = &mut self.contacts[survivor];
        contact.properties = properties;
        contact.first_seen_at = contact.first_seen_at.min(first_seen_at);
        contact.last_seen_at = contact.last_seen_at.max(at);
        contact.updated_at = at;
        if spare.is_multiple_of(2) {
            let data = object(json!({"id": loser_id, "reason": "merged"}));
            let (outbound_type, about) = ("contact.deleted".into(), Some(loser_id));
            let event = Announced { at, outbound_type, about, data };
            let record = self.contact_event(survivor, &ContactEvent::Announced(event));
            self.told(record, "contact.deleted", Some(loser_id));
        }
    }

    pub fn delete(&mut self, whom: u8, spare: u8) {
        let Some(index) = self.live(whom) else { return };
        let contact = self.contacts[index].id;
        let active: Vec<StayId> = self
            .stays
            .iter()
            .filter(|(_, s)| s.contact == contact && s.left_at.is_none())
            .map(|(id, _)| *id)
            .collect();
        for stay in active {
            self.end(index, stay, LeaveReason::Deleted, false);
        }
        let at = self.now();
        let erases = spare.is_multiple_of(2);
        if erases {
            self.erase(index);
        }
        let reason = if erases { "erased" } else { "deleted" };
        if !erases {
            let data =
                object(json!({"id": contact, "email": format!("p{index}@example.com"), "reason": reason}));
            let event = Announced { at, outbound_type: "contact.deleted".into(), about: None, data };
            let record = self.contact_event(index, &ContactEvent::Announced(event));
            self.told(record, "contact.deleted", Some(contact));
        }
        self.contact_event(index, &ContactEvent::Deleted(Deleted { at, reason: reason.into() }));
        let gone = self.stays.extract_if(.., |_, stay| stay.contact == contact);
        let gone: BTreeMap<StayId, ModelStay> = gone.collect();
        self.contacts[index].hidden_stays = if erases { BTreeMap::new() } else { gone };
        self.contacts[index].live = false;
        self.contacts[index].deleted_at = (!erases).then_some(at);
        self.contacts[index].keys.clear();
    }

    pub fn announce(&mut self, whom: u8, spare: u8) {
        let Some(index) = self.live(whom) else { return };
        let outbound_type = if spare.is_multiple_of(2) { "contact.updated" } else { "contact.created" };
        let data = object(json!({"id": self.contacts[index].id, "properties": {"b": 1, "a": null}}));
        let event = Announced { at: self.now(), outbound_type: outbound_type.into(), about: None, data };
        let record = self.contact_event(index, &ContactEvent::Announced(event));
        self.told(record, outbound_type, Some(self.contacts[index].id));
    }

    fn told(&mut self, record: RecordId, outbound_type: &str, contact: Option<ContactId>) {
        let message = MessageId::of(record, outbound_type);
        for endpoint in self.endpoints.iter().filter(|endpoint| !endpoint.deleted) {
            if endpoint.event_types.iter().any(|pattern| subscribes(pattern, outbound_type)) {
                let id = DeliveryId::of(&message, endpoint.id);
                let endpoint = endpoint.id;
                let mut delivery = ModelDelivery::new(endpoint, contact, Timestamp(self.now));
                delivery.parting = outbound_type == "contact.deleted";
                self.deliveries.insert(id, delivery);
                self.order.push(id);
            }
        }
    }

    /// Ids of live contacts.
    pub fn live_ids(&self) -> BTreeSet<ContactId> {
        self.contacts.iter().filter(|contact| contact.live).map(|contact| contact.id).collect()
    }
}
