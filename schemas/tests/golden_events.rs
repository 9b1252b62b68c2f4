//! Every event type, encoded once and for ever: `tests/golden/<type>.v<version>.hex` pins the bytes that older releases
//! wrote. A new field needs a serde default; a changed meaning needs a new version and an upcaster.
//!
//! `MAINSPRING_BLESS=1 cargo test -p mainspring-schemas --test golden_events` writes files that are missing; a file
//! that exists is never changed.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "helpers of tests may stop a test")]

use std::{collections::BTreeSet, num::NonZeroU32, path::PathBuf};

use mainspring_schemas::{
    BucketId, ContactId, DeliveryId, KeyId, RecordId, RecoveryId, SourceId, StayId, StreamName, Timestamp,
    codec::{self, Encoded, personal},
    criteria::Criteria,
    definition::BucketDefinition,
    event::{
        AccessEvent, AuditEvent, BucketEvent, ContactEvent, DeliveryEvent, DomainEvent, EndpointEvent,
        IdentityEvent, SourceSecretEvent, access, audit, bucket, contact, delivery, endpoint, identity,
        redelivery, source_secret,
    },
    identity::KeyKind,
};
use serde_json::{Map, Value, json};
use uuid::Uuid;

const AT: Timestamp = Timestamp(1_780_272_000_000);

fn object(value: Value) -> Map<String, Value> {
    value.as_object().cloned().unwrap()
}

fn contact_id(n: u128) -> ContactId {
    ContactId(Uuid::from_u128(n))
}

fn bucket_id() -> BucketId {
    BucketId::new("power-users").unwrap()
}

fn stay() -> StayId {
    StayId::of(contact_id(1), &bucket_id(), 2)
}

fn keys() -> Vec<contact::AttachedKey> {
    [KeyKind::External, KeyKind::Email, KeyKind::Discord, KeyKind::Anonymous]
        .into_iter()
        .map(|kind| contact::AttachedKey {
            kind,
            value: "k".into(),
            primary: true,
            via: contact::Via::Created,
        })
        .collect()
}

fn properties() -> Map<String, Value> {
    object(json!({"plan": "pro", "score": 42, "ratio": 0.5, "tags": [null, "a"], "deep": {"x": true}}))
}

fn contact_events() -> Vec<ContactEvent> {
    let (bucket, bucket_name) = (bucket_id(), "Power users".to_owned());
    vec![
        ContactEvent::Created(contact::Created { at: AT, keys: keys(), properties: properties() }),
        ContactEvent::KeysAttached(contact::KeysAttached { at: AT, keys: keys() }),
        ContactEvent::PropertiesChanged(contact::PropertiesChanged {
            at: AT,
            set: properties(),
            removed: vec!["old".into()],
            by_bucket: false,
        }),
        ContactEvent::Seen(contact::Seen { at: AT }),
        ContactEvent::EventRecorded(contact::EventRecorded {
            name: "order.placed".into(),
            occurred_at: AT,
            at: AT.plus(5),
            properties: properties(),
            source: contact::Source::Api,
            idempotency: Some(contact::Idempotency { key: "k-1".into(), request: u64::MAX }),
        }),
        ContactEvent::BucketEntered(contact::BucketEntered {
            at: AT,
            bucket: bucket.clone(),
            bucket_name: bucket_name.clone(),
            stay: stay(),
            epoch: 2,
            source: contact::TransitionSource::Reconcile,
            announced: true,
            max_dwell_at: Some(AT),
            dwell_anchor_at: Some(AT),
            user_key: "u1".into(),
            email: Some("a@example.com".into()),
        }),
        ContactEvent::BucketLeft(contact::BucketLeft {
            at: AT,
            bucket: bucket.clone(),
            bucket_name,
            stay: stay(),
            epoch: 2,
            entered_at: AT,
            source: contact::TransitionSource::Event,
            reason: contact::LeaveReason::MaxDwell,
            announced: false,
            user_key: "u1".into(),
            email: None,
        }),
        ContactEvent::BucketDwelled(contact::BucketDwelled {
            at: AT,
            bucket: bucket.clone(),
            bucket_name: "Power users".into(),
            stay: stay(),
            epoch: 2,
            label: "every-3600000".into(),
            ordinal: 6,
            source: contact::TransitionSource::Reconcile,
            user_key: "u1".into(),
            email: Some("u1@example.com".into()),
        }),
        ContactEvent::BucketDeadline(contact::BucketDeadline {
            at: AT,
            bucket: bucket.clone(),
            stay: stay(),
            epoch: 2,
            max_dwell_at: AT.plus(86_400_000),
        }),
        ContactEvent::DwellPlanned(contact::DwellPlanned {
            at: AT,
            bucket: bucket.clone(),
            stay: stay(),
            epoch: 2,
            label: "after-86400000".into(),
            since: AT,
            due: AT.plus(90_000),
        }),
        ContactEvent::Reacted(contact::Reacted {
            at: AT,
            bucket: bucket.clone(),
            reaction: "bucket-power-users-on-enter".into(),
            stay: stay(),
            epoch: 2,
            transition: RecordId(Uuid::from_u128(7)),
            outcome: contact::ReactionOutcome::Ran,
        }),
        ContactEvent::Announced(contact::Announced {
            at: AT,
            outbound_type: "contact.updated".into(),
            about: None,
            data: properties(),
        }),
        ContactEvent::MergedInto(contact::MergedInto { at: AT, survivor: contact_id(2) }),
        ContactEvent::Absorbed(Box::new(contact::Absorbed {
            at: AT,
            loser: contact_id(3),
            loser_version: 7,
            aliases: vec![contact_id(4)],
            keys: keys(),
            properties: properties(),
            first_seen_at: AT,
            occurrences: [("a".into(), vec![AT, AT.plus(1)])].into(),
            idempotency: vec![contact::MovedIdempotency {
                digest: [9; 16],
                event: RecordId(Uuid::from_u128(5)),
                request: 6,
            }],
            by_reference: false,
            standings: vec![contact::MovedStanding {
                bucket,
                epochs: 2,
                last_left_at: Some(AT),
                active: Some(contact::MovedStay {
                    stay: stay(),
                    epoch: 2,
                    entered_at: AT,
                    source: contact::TransitionSource::Backfill,
                    max_dwell_at: None,
                    dwell_anchor_at: Some(AT),
                    dwelled: Vec::new(),
                    dwell_plans: Vec::new(),
                }),
                ended_by_merge: false,
            }],
        })),
        ContactEvent::IdentityConflict(contact::IdentityConflict {
            at: AT,
            kind: KeyKind::Anonymous,
            other: contact_id(8),
        }),
        ContactEvent::Erased(contact::Erased {
            at: AT,
            data_keys: vec![Uuid::from_u128(1), Uuid::from_u128(2)],
            former: vec![contact_id(3)],
        }),
        ContactEvent::Deleted(contact::Deleted { at: AT, reason: "deleted".into() }),
        ContactEvent::Restored(contact::Restored {
            at: AT,
            keys: keys(),
            properties: properties(),
            first_seen_at: AT.plus(-3),
            last_seen_at: AT.plus(-2),
            created_at: AT.plus(-3),
        }),
        ContactEvent::Looked(contact::Looked { at: AT }),
    ]
}

fn bucket_events() -> Vec<BucketEvent> {
    let criteria: Criteria =
        serde_json::from_value(json!({"type": "composite", "operator": "and", "conditions": [
            {"type": "property", "property": "plan", "operator": "eq", "value": "pro"},
            {"type": "event", "eventName": "key.action", "check": "count", "operator": "gte", "value": 10,
             "within": {"hours": 720}},
        ]}))
        .unwrap();
    let definition = BucketDefinition::new(bucket_id(), "Power users", criteria);
    let criteria_hash = definition.criteria_hash();
    vec![
        BucketEvent::Defined(Box::new(bucket::Defined {
            at: AT,
            definition,
            criteria_hash: criteria_hash.clone(),
            re_evaluates: true,
            replans: false,
        })),
        BucketEvent::Retired(bucket::Retired { at: AT }),
        BucketEvent::Switched(bucket::Switched { at: AT, enabled: false }),
        BucketEvent::BackfillStarted(bucket::BackfillStarted {
            at: AT,
            criteria_hash: criteria_hash.clone(),
            total: 1000,
            purpose: bucket::Purpose::Membership,
        }),
        BucketEvent::BackfillAdvanced(bucket::BackfillAdvanced {
            at: AT,
            cursor: contact_id(1),
            processed: 500,
            purpose: bucket::Purpose::Membership,
        }),
        BucketEvent::BackfillCompleted(bucket::BackfillCompleted {
            at: AT,
            criteria_hash,
            processed: 1000,
            purpose: bucket::Purpose::Membership,
        }),
        BucketEvent::CatchUpPlanned(bucket::CatchUpPlanned {
            at: AT,
            first: AT.plus(5),
            count: 30,
            per_minute: NonZeroU32::new(10).unwrap(),
        }),
    ]
}

fn endpoint_events() -> Vec<EndpointEvent> {
    let settings = endpoint::EndpointSettings {
        url: "https://hooks.example.com/x".into(),
        description: Some("crm".into()),
        event_types: vec!["bucket.*".into()],
        kind: "webhook".into(),
        config: Some(object(json!({"a": 1}))),
        ..endpoint::EndpointSettings::default()
    };
    let secret = endpoint::SigningSecret { secret: "whsec_AAAA".into(), expires_at: Some(AT) };
    vec![
        EndpointEvent::Created(endpoint::EndpointCreated {
            at: AT,
            settings: settings.clone(),
            secret: Some(secret.clone()),
            disabled: false,
        }),
        EndpointEvent::Updated(endpoint::EndpointUpdated { at: AT, settings }),
        EndpointEvent::SecretRotated(endpoint::SecretRotated { at: AT, secrets: vec![secret] }),
        EndpointEvent::Disabled(endpoint::EndpointDisabled { at: AT, reason: "gone".into() }),
        EndpointEvent::Enabled(endpoint::EndpointEnabled { at: AT }),
        EndpointEvent::Deleted(endpoint::EndpointDeleted { at: AT, data_key: None }),
        EndpointEvent::TestRequested(endpoint::TestRequested { at: AT, data: properties() }),
    ]
}

fn delivery_events() -> Vec<DeliveryEvent> {
    let attempted = delivery::Attempted {
        at: AT,
        delivery: DeliveryId(Uuid::from_u128(1)),
        attempt: 2,
        result: delivery::AttemptResult::Retry { next_at: AT.plus(5000) },
        duration_ms: 12,
        response_status: Some(503),
        response_snippet: Some("busy".into()),
        error: Some("HTTP 503".into()),
        error_class: Some("http".into()),
        secret_count: None,
        requeues: 0,
        throttled_until: None,
    };
    let (delivery, recovery) = (DeliveryId(Uuid::from_u128(1)), RecoveryId(Uuid::from_u128(4)));
    let cause = delivery::RequeueCause::Retry;
    let reason = delivery::DiscardReason::Held;
    vec![
        DeliveryEvent::Attempted(attempted),
        DeliveryEvent::Requeued(delivery::Requeued { at: AT, delivery, cause, recovery: None }),
        DeliveryEvent::Discarded(delivery::Discarded { at: AT, delivery, reason }),
        DeliveryEvent::RecoveryStarted(redelivery::RecoveryStarted {
            at: AT,
            recovery,
            since: AT.plus(-5000),
            until: AT,
            statuses: vec!["failed".into()],
            event_types: vec!["bucket.*".into()],
            include_missed: true,
            matched: 3,
            end: 77,
        }),
        DeliveryEvent::Recovered(redelivery::Recovered {
            at: AT,
            recovery,
            source: RecordId(Uuid::from_u128(9)),
            event_type: "bucket.entered".into(),
            contact: Some(contact_id(1)),
            body: "{}".into(),
        }),
        DeliveryEvent::RecoveryAdvanced(redelivery::RecoveryAdvanced {
            at: AT,
            recovery,
            through: 70,
            queued: 2,
            missed: 1,
        }),
        DeliveryEvent::RecoveryEnded(redelivery::RecoveryEnded { at: AT, recovery }),
        DeliveryEvent::LetterDiscarded(redelivery::LetterDiscarded { at: AT, delivery }),
        DeliveryEvent::Expired(redelivery::Expired {
            at: AT,
            ended_until: AT.plus(-5000),
            failed_until: AT.plus(-9000),
        }),
    ]
}

fn access_events() -> Vec<AccessEvent> {
    let created = access::KeyCreated {
        at: AT,
        id: KeyId(Uuid::from_u128(1)),
        name: "ci".into(),
        digest: "ab".repeat(32),
        prefix: "hsk_abcd".into(),
        scopes: access::Scope::ALL.to_vec(),
        created_by: Some("boot".into()),
        expires_at: None,
    };
    vec![
        AccessEvent::Created(created),
        AccessEvent::Revoked(access::KeyRevoked { at: AT, id: KeyId(Uuid::from_u128(1)) }),
    ]
}

fn audit_events() -> Vec<AuditEvent> {
    vec![AuditEvent::Acted(audit::Acted {
        at: AT,
        actor: "ci".into(),
        key: Some(KeyId(Uuid::from_u128(1))),
        action: "webhooks.patch".into(),
        resource: "webhooks".into(),
        resource_id: Some("0197b6c2-5a0e-7cc3-8a4e-3f1f6ad0b7f1".into()),
        route: "/v1/admin/webhooks/{id}".into(),
        fields: vec!["disabled".into()],
        status: 200,
        request_id: Some("r-1".into()),
        ip_address: Some("203.0.113.9".into()),
    })]
}

/// Every event with a stream of its family.
fn all() -> Vec<(StreamName, DomainEvent, Encoded)> {
    let mut all = Vec::new();
    let mut add = |stream: &str, event: DomainEvent, encoded: Encoded| {
        all.push((StreamName::new(stream), event, encoded));
    };
    for event in contact_events() {
        add("contact-1", DomainEvent::Contact(event.clone()), event.encode().unwrap());
    }
    for event in bucket_events() {
        add("bucket-1", DomainEvent::Bucket(event.clone()), event.encode().unwrap());
    }
    for event in [
        IdentityEvent::Claimed(identity::Claimed { at: AT, contact: contact_id(1) }),
        IdentityEvent::Released(identity::Released { at: AT }),
    ] {
        add("identity-email-1", DomainEvent::Identity(event.clone()), event.encode().unwrap());
    }
    for event in endpoint_events() {
        add("endpoint-1", DomainEvent::Endpoint(event.clone()), event.encode().unwrap());
    }
    for event in delivery_events() {
        add("deliveries-1", DomainEvent::Delivery(event.clone()), event.encode().unwrap());
    }
    for event in access_events() {
        add("access-keys", DomainEvent::Access(event.clone()), event.encode().unwrap());
    }
    let stored = source_secret::SecretStored { at: AT, secret: "5e".repeat(32) };
    let event = SourceSecretEvent::Stored(stored);
    add("source-posthog", DomainEvent::SourceSecret(event.clone()), event.encode().unwrap());
    for event in audit_events() {
        add("audit", DomainEvent::Audit(event.clone()), event.encode().unwrap());
    }
    all
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn unhex(text: &str) -> Vec<u8> {
    let text = text.trim();
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap()).collect()
}

fn golden(event_type: &str, version: u16) -> PathBuf {
    let name = format!("{event_type}.v{version}.hex");
    ["tests", "golden", &name].iter().collect()
}

#[test]
fn every_event_type_has_a_golden_file_that_still_reads_and_still_writes_the_same() {
    for (stream, event, encoded) in all() {
        check(encoded.event_type, &stream, &event, &encoded);
    }
}

/// Compares an event with the pinned bytes of the given name.
fn check(name: &str, stream: &StreamName, event: &DomainEvent, encoded: &Encoded) {
    let path = golden(name, encoded.schema_version);
    if !path.exists() && std::env::var_os("MAINSPRING_BLESS").is_some() {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, hex(&encoded.payload) + "\n").unwrap();
    }
    let text = std::fs::read_to_string(&path)
        .unwrap_or_else(|error| panic!("{}: {error}; run with MAINSPRING_BLESS=1", path.display()));
    let pinned = unhex(&text);
    let read = codec::decode(stream, encoded.event_type, encoded.schema_version, &pinned).unwrap();
    assert_eq!(read, *event, "{name} reads differently than it was written");
    assert_eq!(hex(&encoded.payload), text.trim(), "{name} is written differently");
}

/// Events with the fields that came after their type was pinned, by a name of their own.
fn later_fields() -> Vec<(&'static str, StreamName, DomainEvent, Encoded)> {
    let criteria =
        serde_json::from_value(json!({"type": "event", "eventName": "e", "check": "exists"})).unwrap();
    let mut definition = BucketDefinition::new(bucket_id(), "Power users", criteria);
    definition.reactions = serde_json::from_value(json!([
        {"on": "enter", "firstEntryOnly": true, "do": [{"set": {"tier": 1, "trial": null}}]},
        {"on": "leave", "reason": ["criteria", "maxDwell"], "do": [{"track": {"event": "gone"}}]},
        {"on": "dwell", "after": {"hours": 168}, "do": [{"send": {"name": "week", "data": {"a": [1, null]}}}]},
        {"on": "dwell", "every": {"hours": 1}, "do": [{"track": {"event": "hour", "properties": {"n": 0.5}}}]},
    ]))
    .unwrap();
    let contact_events = [
        ContactEvent::PropertiesChanged(contact::PropertiesChanged {
            at: AT,
            set: properties(),
            removed: Vec::new(),
            by_bucket: true,
        }),
        ContactEvent::Absorbed(Box::new(contact::Absorbed {
            at: AT,
            loser: contact_id(3),
            loser_version: 7,
            aliases: Vec::new(),
            keys: Vec::new(),
            properties: Map::new(),
            first_seen_at: AT,
            occurrences: [].into(),
            idempotency: Vec::new(),
            by_reference: false,
            standings: vec![contact::MovedStanding {
                bucket: bucket_id(),
                epochs: 2,
                last_left_at: None,
                active: Some(contact::MovedStay {
                    stay: stay(),
                    epoch: 2,
                    entered_at: AT,
                    source: contact::TransitionSource::Event,
                    max_dwell_at: None,
                    dwell_anchor_at: None,
                    dwelled: vec![contact::Dwelled { label: "every-3600000".into(), ordinal: 6 }],
                    dwell_plans: Vec::new(),
                }),
                ended_by_merge: false,
            }],
        })),
    ];
    let criteria_hash = definition.criteria_hash();
    let purpose = bucket::Purpose::Clocks;
    let bucket_events = [
        BucketEvent::Defined(Box::new(bucket::Defined {
            at: AT,
            definition,
            criteria_hash: criteria_hash.clone(),
            re_evaluates: false,
            replans: true,
        })),
        BucketEvent::BackfillStarted(bucket::BackfillStarted {
            at: AT,
            criteria_hash: criteria_hash.clone(),
            total: 1000,
            purpose,
        }),
        BucketEvent::BackfillAdvanced(bucket::BackfillAdvanced {
            at: AT,
            cursor: contact_id(1),
            processed: 500,
            purpose,
        }),
        BucketEvent::BackfillCompleted(bucket::BackfillCompleted {
            at: AT,
            criteria_hash,
            processed: 1000,
            purpose,
        }),
    ];
    let settings = endpoint::EndpointSettings {
        url: "https://hooks.example.com/x".into(),
        event_types: vec!["*".into()],
        kind: "webhook".into(),
        rate_limit: Some(50),
        headers: [("x-tenant".to_owned(), "acme".to_owned())].into(),
        ordering: endpoint::Ordering::Contact,
        ..endpoint::EndpointSettings::default()
    };
    let endpoint_events = [
        EndpointEvent::Created(endpoint::EndpointCreated {
            at: AT,
            settings: settings.clone(),
            secret: None,
            disabled: true,
        }),
        EndpointEvent::Updated(endpoint::EndpointUpdated { at: AT, settings }),
        EndpointEvent::Deleted(endpoint::EndpointDeleted { at: AT, data_key: Some(Uuid::from_u128(5)) }),
    ];
    let delivery_events = [DeliveryEvent::Attempted(delivery::Attempted {
        at: AT,
        delivery: DeliveryId(Uuid::from_u128(1)),
        attempt: 1,
        result: delivery::AttemptResult::Retry { next_at: AT.plus(120_000) },
        duration_ms: 12,
        response_status: Some(429),
        response_snippet: None,
        error: Some("HTTP 429".into()),
        error_class: Some("throttled".into()),
        secret_count: None,
        requeues: 0,
        throttled_until: Some(AT.plus(120_000)),
    })];
    let of_a_source = [
        ContactEvent::KeysAttached(contact::KeysAttached {
            at: AT,
            keys: vec![contact::AttachedKey {
                kind: KeyKind::Provider,
                value: "stripe:cus_9".into(),
                primary: false,
                via: contact::Via::Attached,
            }],
        }),
        ContactEvent::EventRecorded(contact::EventRecorded {
            name: "invoice.payment_failed".into(),
            occurred_at: AT,
            at: AT.plus(5),
            properties: properties(),
            source: contact::Source::Webhook(SourceId::new("stripe").unwrap()),
            idempotency: Some(contact::Idempotency { key: "evt_1".into(), request: 7 }),
        }),
    ];
    let by_reference = ContactEvent::Absorbed(Box::new(contact::Absorbed {
        at: AT,
        loser: contact_id(3),
        loser_version: 7,
        aliases: Vec::new(),
        keys: keys(),
        properties: properties(),
        first_seen_at: AT,
        occurrences: [].into(),
        idempotency: Vec::new(),
        by_reference: true,
        standings: Vec::new(),
    }));
    let of_a_merge = [ContactEvent::Announced(contact::Announced {
        at: AT,
        outbound_type: "contact.deleted".into(),
        about: Some(contact_id(3)),
        data: properties(),
    })];
    let of_contact = |name: &'static str| {
        move |event: ContactEvent| {
            let encoded = event.encode().unwrap();
            (name, StreamName::new("contact-1"), DomainEvent::Contact(event), encoded)
        }
    };
    let of_bucket = |event: BucketEvent| {
        let encoded = event.encode().unwrap();
        ("reactions", StreamName::new("bucket-1"), DomainEvent::Bucket(event), encoded)
    };
    let concealed = endpoint::EndpointSettings {
        url: "https://hooks.example.com/x".into(),
        kind: "slack".into(),
        ..endpoint::EndpointSettings::default()
    }
    .concealed(true);
    let concealed_events = [
        EndpointEvent::Created(endpoint::EndpointCreated {
            at: AT,
            settings: concealed.clone(),
            secret: None,
            disabled: false,
        }),
        EndpointEvent::Updated(endpoint::EndpointUpdated { at: AT, settings: concealed }),
    ];
    let of_endpoint = |name: &'static str| {
        move |event: EndpointEvent| {
            let encoded = event.encode().unwrap();
            (name, StreamName::new("endpoint-1"), DomainEvent::Endpoint(event), encoded)
        }
    };
    let of_delivery = |name: &'static str| {
        move |event: DeliveryEvent| {
            let encoded = event.encode().unwrap();
            (name, StreamName::new("deliveries-1"), DomainEvent::Delivery(event), encoded)
        }
    };
    let contact_events = contact_events.into_iter().map(of_contact("reactions"));
    let of_a_source = of_a_source.into_iter().map(of_contact("source"));
    contact_events
        .chain(of_a_source)
        .chain(std::iter::once(by_reference).map(of_contact("reference")))
        .chain(of_a_merge.into_iter().map(of_contact("about")))
        .chain(bucket_events.into_iter().map(of_bucket))
        .chain(requeued_events().into_iter().map(of_delivery("requeues")))
        .chain(endpoint_events.into_iter().map(of_endpoint("limits")))
        .chain(concealed_events.into_iter().map(of_endpoint("concealed")))
        .chain(delivery_events.into_iter().map(of_delivery("limits")))
        .collect()
}

fn requeued_events() -> [DeliveryEvent; 2] {
    let delivery = DeliveryId(Uuid::from_u128(1));
    [
        DeliveryEvent::Attempted(delivery::Attempted {
            at: AT,
            delivery,
            attempt: 3,
            result: delivery::AttemptResult::Delivered,
            duration_ms: 12,
            response_status: Some(200),
            response_snippet: None,
            error: None,
            error_class: None,
            secret_count: Some(2),
            requeues: 1,
            throttled_until: None,
        }),
        DeliveryEvent::Requeued(delivery::Requeued {
            at: AT,
            delivery,
            cause: delivery::RequeueCause::Recovery,
            recovery: Some(RecoveryId(Uuid::from_u128(4))),
        }),
    ]
}

#[test]
fn fields_that_came_later_are_pinned_too() {
    for (name, stream, event, encoded) in later_fields() {
        check(&format!("{}.{name}", encoded.event_type), &stream, &event, &encoded);
    }
}

#[test]
fn no_event_type_is_left_out() {
    let pinned: BTreeSet<&str> = all().iter().map(|(_, _, encoded)| encoded.event_type).collect();
    let known: BTreeSet<&str> = [
        ContactEvent::TYPES,
        BucketEvent::TYPES,
        IdentityEvent::TYPES,
        EndpointEvent::TYPES,
        DeliveryEvent::TYPES,
        AccessEvent::TYPES,
        SourceSecretEvent::TYPES,
        AuditEvent::TYPES,
    ]
    .into_iter()
    .flatten()
    .copied()
    .collect();
    assert_eq!(pinned, known);
}

#[test]
fn an_event_comes_together_again_from_its_two_parts_and_its_open_part_reads_alone() {
    let mut sealed = BTreeSet::new();
    for (stream, event, encoded) in all() {
        let may_be_sealed = !matches!(
            event,
            DomainEvent::Bucket(_)
                | DomainEvent::Identity(_)
                | DomainEvent::Access(_)
                | DomainEvent::Audit(_)
        );
        let fields = personal::personal_fields(encoded.event_type);
        assert_eq!(fields.is_some(), may_be_sealed, "{}: is anything of it personal?", encoded.event_type);
        let fields = fields.unwrap_or_default();
        let read = |payload: &[u8]| codec::decode(&stream, encoded.event_type, 1, payload).unwrap();
        let lifted = personal::lift(&encoded.payload, fields).unwrap();
        let parts = personal::split(&lifted, fields).unwrap();
        let open = parts.open();
        assert_eq!(parts.has_personal(), open != encoded.payload, "{}", encoded.event_type);
        if parts.has_personal() {
            // What stands before the two parts is of no concern.
            let mut whole = [b"..".as_slice(), &open].concat();
            parts.write_personal(&mut whole);
            let start = personal::join(&mut whole, 2, 2 + open.len()).unwrap();
            let lowered = personal::lower(&whole[start..], fields).unwrap();
            assert_eq!(read(lowered.as_deref().unwrap_or(&whole[start..])), event);
            assert_ne!(read(&open), event, "{}", encoded.event_type);
            sealed.extend(fields.iter().map(|field| (encoded.event_type, *field)));
        }
        for field in fields {
            let field = field.rsplit('.').next().unwrap_or(field);
            let named = open.windows(field.len()).any(|window| window == field.as_bytes());
            assert!(!named, "{} shows {field}", encoded.event_type);
        }
    }
    for named in [
        ("contact.created", "keys"),
        ("contact.bucket-left", "email"),
        ("endpoint.created", "secret"),
        ("endpoint.updated", "settings.config"),
        ("endpoint.rotated", "secrets"),
        ("source.secret-stored", "secret"),
    ] {
        assert!(sealed.contains(&named), "{named:?}");
    }
}

#[test]
fn what_is_no_map_is_not_taken_apart() {
    let (_, _, encoded) = all().swap_remove(0);
    for end in 0..encoded.payload.len() {
        assert!(personal::split(&encoded.payload[..end], &["keys"]).is_err(), "cut at {end}");
    }
    for payload in [[0xc0].as_slice(), &[0x81, 0x01, 0x01], &[0x80, 0x00]] {
        assert!(personal::split(payload, &[]).is_err(), "{payload:?}");
    }
}

#[test]
fn what_cannot_be_read_is_refused_by_name() {
    let stream = StreamName::new("contact-1");
    let unknown = codec::decode(&stream, "contact.unheard", 1, &[]).unwrap_err();
    assert_eq!(unknown.to_string(), "unknown event type contact.unheard in a stream of category contact");
    let newer = codec::decode(&stream, "contact.seen", 2, &[]).unwrap_err();
    assert_eq!(newer.to_string(), "event contact.seen has version 2, this program reads up to 1");
    assert!(matches!(
        codec::decode(&stream, "contact.seen", 1, &[0xc1]),
        Err(codec::DecodeError::Damaged { .. })
    ));
}
