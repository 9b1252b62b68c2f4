//! What inbound sources need of the engine: origins of events, provider keys, events for those only who exist.

use futures_util::future::join_all;
use mainspring_actors::{
    Engine,
    api::{ContactView, EngineError, Identity, IngestCall, IngestOutcome, UpsertCall},
};
use mainspring_schemas::{
    ContactId, SourceId, Timestamp,
    event::{
        ContactEvent,
        contact::{Source, Via},
    },
    identity::KeyKind,
};

use crate::{
    harness::{DAY, HOUR, T0, definitions},
    world::{World, event, history, records},
};

fn source(id: &str) -> Source {
    Source::Webhook(SourceId::new(id).unwrap())
}

/// An event of a source about whoever the keys name.
fn from(id: &str, identity: Identity, name: &str) -> IngestCall {
    IngestCall { identity, source: source(id), ..event("", name) }
}

/// An event of the source `stripe` about its customer.
fn stripe(customer: &str, email: Option<&str>, name: &str) -> IngestCall {
    of_user(None, customer, email, name)
}

fn of_user(user: Option<&str>, customer: &str, email: Option<&str>, name: &str) -> IngestCall {
    let stripe = SourceId::new("stripe").unwrap();
    from("stripe", Identity::new(user, email, None).with_provider(&stripe, customer), name)
}

fn keyed(key: &str, call: IngestCall) -> IngestCall {
    IngestCall { idempotency_key: Some(key.into()), ..call }
}

fn by_user(user: &str) -> Identity {
    Identity::new(Some(user), None, None)
}

fn by_email(email: &str) -> Identity {
    Identity::new(None, Some(email), None)
}

async fn put(engine: &Engine, user: Option<&str>, email: Option<&str>) -> ContactId {
    let identity = Identity::new(user, email, None);
    let call = UpsertCall { identity, properties: Default::default(), via: Via::Attached, trace: None };
    engine.upsert(call).await.unwrap().id
}

async fn view(engine: &Engine, contact: ContactId) -> ContactView {
    engine.contact(contact).await.unwrap().unwrap()
}

/// The names of a contact's events with where they came from, oldest first.
async fn told(engine: &Engine, contact: ContactId) -> Vec<(String, String)> {
    let timeline = engine.timeline(contact, 100, 0).await.unwrap().unwrap();
    let told = |event: &mainspring_actors::api::TimelineEvent| {
        (event.name.to_string(), event.source.as_str().to_owned())
    };
    timeline.events.iter().rev().map(told).collect()
}

fn values(view: &ContactView, kind: KeyKind) -> Vec<&str> {
    view.keys.iter().filter(|key| key.kind == kind).map(|key| key.value.as_str()).collect()
}

#[actix::test]
async fn ss_05_a_waitlist_entry_and_the_sign_up_under_its_address_are_one_contact() {
    let world = World::new(T0);
    let running = world.start(None).await;
    let engine = &running.engine;
    let joined = engine.ingest(from("clerk", by_email("a@example.com"), "waitlist.joined")).await.unwrap();
    let identity = Identity::new(Some("user_1"), Some("a@example.com"), None);
    let signed_up = engine.ingest(from("clerk", identity, "contact.created")).await.unwrap();
    assert_eq!(signed_up.contact_id, joined.contact_id);
    assert_eq!(view(engine, joined.contact_id).await.contact.external_id.as_deref(), Some("user_1"));
    running.stop().await;
}

#[actix::test]
async fn ss_06_everything_about_a_customer_lands_on_the_contact_that_has_the_address() {
    let world = World::new(T0);
    let running = world.start(None).await;
    let engine = &running.engine;
    let app = put(engine, Some("user_1"), Some("a@example.com")).await;
    for (email, name) in [
        (Some("A@example.com "), "contact.created"),
        (None, "invoice.payment_failed"),
        (None, "invoice.paid"),
    ] {
        let outcome = engine.ingest(stripe("cus_9", email, name)).await.unwrap();
        assert_eq!((outcome.contact_id, outcome.contact_key.as_str()), (app, "user_1"), "{name}");
    }
    let names = told(engine, app).await;
    assert_eq!(names.len(), 3);
    assert!(names.iter().all(|(_, source)| source == "stripe"), "IG-45: {names:?}");
    let seen = view(engine, app).await;
    assert_eq!(seen.contact.email.as_deref(), Some("a@example.com"), "there is somebody to mail");
    assert_eq!(values(&seen, KeyKind::Provider), ["stripe:cus_9"]);
    assert_eq!(values(&seen, KeyKind::External), ["user_1"], "the customer id is no user id");
    assert_eq!(engine.resolve("stripe:cus_9").await.unwrap(), Some(app), "operators find it");
    for record in records(&**engine.log()).await {
        assert!(!record.stream.as_str().contains("cus"), "invariant 9: {}", record.stream.as_str());
    }
    running.stop().await;
}

#[actix::test]
async fn ws_15_a_source_announces_no_contact_of_its_own() {
    let world = World::new(T0);
    let running = world.start(None).await;
    let engine = &running.engine;
    let mut call = stripe("cus_9", Some("a@example.com"), "contact.created");
    for name in ["Ann", "Anna"] {
        call.contact_properties.insert("name".to_owned(), name.into());
        engine.ingest(call.clone()).await.unwrap();
    }
    let contact = engine.resolve("stripe:cus_9").await.unwrap().unwrap();
    assert_eq!(view(engine, contact).await.contact.properties["name"], "Anna", "WS-14");
    let announces = |event: &ContactEvent| matches!(event, ContactEvent::Announced(_));
    assert!(!history(&**engine.log(), contact).await.iter().any(announces));
    running.stop().await;
}

#[actix::test]
async fn ss_07_a_visitor_that_a_source_tells_of_becomes_a_user() {
    let world = World::new(T0);
    let running = world.start(None).await;
    let engine = &running.engine;
    let visitor = Identity::new(None, None, Some("v1"));
    let tracked = engine.ingest(from("segment", visitor.clone(), "page")).await.unwrap();
    let both = Identity::new(Some("user_1"), None, Some("v1"));
    let identified = engine.ingest(from("segment", both, "contact.updated")).await.unwrap();
    assert_eq!(identified.contact_id, tracked.contact_id);
    assert_eq!(told(engine, tracked.contact_id).await.len(), 2);

    let by_app = IngestCall { identity: visitor, ..event("", "page") };
    assert_eq!(engine.ingest(by_app).await, Err(EngineError::NoIdentity), "IG-01: never sufficient alone");
    let before = records(&**engine.log()).await.len();
    let disguised = from("segment", Identity::new(None, None, Some("user_1")), "page");
    assert_eq!(engine.ingest(disguised).await, Err(EngineError::NoIdentity), "KE-24: it is a user id");
    assert_eq!(records(&**engine.log()).await.len(), before);
    running.stop().await;
}

#[actix::test]
async fn ss_10_a_deletion_of_somebody_unknown_creates_nobody() {
    let world = World::new(T0);
    let running = world.start(None).await;
    let engine = &running.engine;
    let gone = |identity| IngestCall { existing_only: true, ..from("clerk", identity, "contact.deleted") };
    assert_eq!(engine.ingest(gone(by_user("user_1"))).await, Err(EngineError::NotFound));
    let customer = IngestCall { existing_only: true, ..stripe("cus_9", None, "contact.deleted") };
    assert_eq!(engine.ingest(customer.clone()).await, Err(EngineError::NotFound));
    assert!(records(&**engine.log()).await.is_empty(), "WS-52: nothing is written");

    let contact = put(engine, Some("user_1"), None).await;
    assert_eq!(engine.ingest(gone(by_user("user_1"))).await.unwrap().contact_id, contact);
    engine.delete_contact(contact).await.unwrap();
    assert_eq!(engine.ingest(gone(by_user("user_1"))).await, Err(EngineError::NotFound), "deleted for good");
    running.stop().await;
}

#[actix::test]
async fn ws_52_an_event_for_somebody_who_exists_never_brings_back_who_is_deleted_meanwhile() {
    let world = World::new(T0);
    let running = world.start(None).await;
    let engine = &running.engine;
    for round in 0..10 {
        let user = format!("user_{round}");
        let contact = put(engine, Some(&user), None).await;
        let call = IngestCall { existing_only: true, ..from("clerk", by_user(&user), "contact.deleted") };
        let until_gone = async || loop {
            match engine.ingest(call.clone()).await {
                Ok(outcome) => assert_eq!(outcome.contact_id, contact),
                Err(error) => break error,
            }
        };
        let all_until_gone = join_all((0..3).map(|_| until_gone()));
        let (deleted, ends) =
            futures_util::future::join(engine.delete_contact(contact), all_until_gone).await;
        deleted.unwrap();
        assert!(ends.iter().all(|end| *end == EngineError::NotFound), "{ends:?}");
        assert!(engine.find(&by_user(&user)).await.unwrap().is_empty());
    }
    running.stop().await;
}

#[actix::test]
async fn ws_52_erasing_by_a_provider_key_takes_whom_it_names() {
    let world = World::new(T0);
    let running = world.start(None).await;
    let engine = &running.engine;
    let contact = put(engine, Some("user_1"), Some("a@example.com")).await;
    let other = put(engine, Some("user_2"), Some("b@example.com")).await;
    engine.ingest(stripe("cus_9", Some("a@example.com"), "contact.created")).await.unwrap();
    let gone = stripe("cus_9", Some("b@example.com"), "contact.deleted").identity;
    assert_eq!(engine.erase(&gone).await.unwrap().contact, contact);
    assert_eq!(engine.resolve("stripe:cus_9").await.unwrap(), None, "the key is free");
    assert!(engine.contact(other).await.unwrap().is_some());
    let again = engine.ingest(stripe("cus_9", None, "contact.created")).await.unwrap();
    assert_ne!(again.contact_id, contact);
    assert_eq!(again.contact_key, "cus_9", "WS-106: created under the provider's id");
    running.stop().await;
}

#[actix::test]
async fn ss_11_an_event_of_three_hours_ago_counts_from_then_and_one_of_tomorrow_is_of_now() {
    let world = World::new(T0);
    let windows = "  - {id: fresh, name: Fresh, enabled: true, criteria: {event: paid, within: {hours: 2}}}\n  \
         - {id: recent, name: Recent, enabled: true, criteria: {event: paid, within: {hours: 4}}}";
    let running = world.start(Some(definitions(windows))).await;
    let engine = &running.engine;
    let at = |customer: &str, at: i64| IngestCall {
        occurred_at: Some(Timestamp(at)),
        ..keyed("evt_1", stripe(customer, None, "paid"))
    };
    let entered = |outcome: &IngestOutcome| -> Vec<String> {
        outcome.entered.iter().map(|bucket| bucket.to_string()).collect()
    };
    let late = engine.ingest(at("cus_1", T0 - 3 * HOUR)).await.unwrap();
    assert_eq!(entered(&late), ["recent"]);
    let again = engine.ingest(at("cus_1", T0 - 3 * HOUR)).await.unwrap();
    assert_eq!((again.stored, again.event_id, again.same_request), (false, late.event_id, Some(true)));
    let early = engine.ingest(at("cus_2", T0 + DAY)).await.unwrap();
    assert_eq!(entered(&early), ["fresh", "recent"]);
    let mut instants = Vec::new();
    for contact in [late.contact_id, early.contact_id] {
        let timeline = engine.timeline(contact, 10, 0).await.unwrap().unwrap();
        let paid = timeline.events.iter().find(|event| event.name == "paid").unwrap();
        instants.push(paid.at.0);
    }
    assert_eq!(instants, [T0 - 3 * HOUR, T0], "WS-51");

    let by_app = IngestCall { occurred_at: Some(Timestamp(T0 + DAY)), ..event("u1", "paid") };
    let stored = engine.ingest(by_app).await.unwrap();
    let timeline = engine.timeline(stored.contact_id, 10, 0).await.unwrap().unwrap();
    assert!(timeline.events.iter().any(|event| event.at == Timestamp(T0 + DAY)), "IG-25: as is");
    running.stop().await;
}

#[actix::test]
async fn ig_20_an_idempotency_key_is_one_per_origin_and_outlives_merges_and_restarts() {
    let world = World::new(T0);
    let running = world.start(None).await;
    let engine = &running.engine;
    let user = || by_user("user_1");
    let calls = [
        keyed("k", IngestCall { identity: user(), ..event("", "x") }),
        keyed("k", from("clerk", user(), "x")),
        keyed("k", from("segment", user(), "x")),
    ];
    let mut stored = Vec::new();
    for call in &calls {
        stored.push(engine.ingest(call.clone()).await.unwrap());
    }
    assert!(stored.iter().all(|outcome| outcome.stored), "nobody's key swallows another's event");
    world.clock.set(T0 - 1);
    // An older contact absorbs it.
    put(engine, Some("user_0"), Some("a@example.com")).await;
    let merged = Identity::new(Some("user_1"), Some("a@example.com"), None);
    let survivor = engine.ingest(IngestCall { identity: merged, ..event("", "y") }).await.unwrap().contact_id;
    running.stop().await;

    let running = world.start(None).await;
    for (call, stored) in calls.iter().zip(stored) {
        let again = running.engine.ingest(call.clone()).await.unwrap();
        assert_eq!((again.stored, again.event_id, again.contact_id), (false, stored.event_id, survivor));
        assert_eq!(again.same_request, Some(true));
    }
    assert_eq!(told(&running.engine, survivor).await.len(), 4);
    running.stop().await;
}

#[actix::test]
async fn ws_106_messages_of_a_provider_may_come_in_any_order() {
    let world = World::new(T0);
    let running = world.start(None).await;
    let engine = &running.engine;
    // The invoice comes first, and nothing in it says whose it is.
    let first = engine.ingest(stripe("cus_9", None, "invoice.created")).await.unwrap();
    assert_eq!(first.contact_key, "cus_9");
    world.clock.set(T0 + HOUR);
    let app = put(engine, Some("user_1"), Some("a@example.com")).await;
    let created = stripe("cus_9", Some("a@example.com"), "contact.created");
    let outcome = engine.ingest(created).await.unwrap();
    assert_eq!((outcome.contact_id, outcome.contact_key.as_str()), (app, "user_1"), "the user survives");
    assert_eq!(engine.answers_for(first.contact_id).await.unwrap(), Some(app));
    assert_eq!(told(engine, app).await.len(), 2);
    let survivor = view(engine, app).await;
    assert_eq!(values(&survivor, KeyKind::Provider), ["stripe:cus_9"], "the key moved");
    assert!(survivor.keys.iter().all(|key| key.kind != KeyKind::Provider || !key.primary));
    let later = engine.ingest(stripe("cus_9", None, "invoice.paid")).await.unwrap();
    assert_eq!(later.contact_id, app);

    engine.delete_contact(app).await.unwrap();
    let anew = engine.ingest(stripe("cus_9", None, "invoice.paid")).await.unwrap();
    assert!(anew.contact_id != app && anew.contact_id != first.contact_id, "CT-70: the key is free");
    running.stop().await;
}

#[actix::test]
async fn ws_106_an_address_that_is_another_users_stays_there() {
    let world = World::new(T0);
    let running = world.start(None).await;
    let engine = &running.engine;
    let one = put(engine, Some("user_1"), Some("a@example.com")).await;
    let two = put(engine, Some("user_2"), Some("b@example.com")).await;
    engine.ingest(stripe("cus_9", Some("a@example.com"), "contact.created")).await.unwrap();
    for _ in 0..2 {
        let changed = stripe("cus_9", Some("b@example.com"), "contact.updated");
        assert_eq!(engine.ingest(changed).await.unwrap().contact_id, one);
    }
    assert_eq!(values(&view(engine, one).await, KeyKind::Email), ["a@example.com"]);
    assert_eq!(view(engine, one).await.conflicts, [(KeyKind::Email, two)], "RS-24: once");
    assert_eq!(values(&view(engine, two).await, KeyKind::Provider), [""; 0]);

    // Somebody the application has not told of yet, and who pays with another user's address.
    let call = of_user(Some("user_3"), "cus_3", Some("b@example.com"), "invoice.paid");
    let three = engine.ingest(call).await.unwrap();
    assert!(three.contact_id != two && three.contact_key == "user_3");
    assert_eq!(values(&view(engine, three.contact_id).await, KeyKind::Provider), ["stripe:cus_3"]);
    running.stop().await;
}

#[actix::test]
async fn ws_106_a_user_id_in_the_metadata_gets_the_provider_key() {
    let world = World::new(T0);
    let running = world.start(None).await;
    let engine = &running.engine;
    let app = put(engine, Some("user_1"), None).await;
    let call = of_user(Some("user_1"), "cus_9", None, "invoice.paid");
    assert_eq!(engine.ingest(call).await.unwrap().contact_id, app);
    assert_eq!(engine.ingest(stripe("cus_9", None, "invoice.paid")).await.unwrap().contact_id, app);
    let attached: Vec<_> = history(&**engine.log(), app)
        .await
        .into_iter()
        .filter_map(|event| match event {
            ContactEvent::KeysAttached(attached) => Some(attached.keys),
            _ => None,
        })
        .collect();
    assert_eq!(attached.len(), 1, "once, in the append of the first event");
    running.stop().await;
}

#[actix::test]
async fn ws_106_first_messages_of_one_customer_at_once_make_one_contact() {
    let world = World::new(T0);
    let running = world.start(None).await;
    let engine = &running.engine;
    let calls = (0..20).map(|n| match n % 4 {
        0 => engine.ingest(stripe("cus_9", Some("a@example.com"), "contact.created")),
        1 => engine.ingest(stripe("cus_9", None, "invoice.created")),
        2 => engine.ingest(of_user(Some("user_1"), "cus_9", None, "invoice.paid")),
        _ => engine.ingest(IngestCall { identity: by_email("a@example.com"), ..event("", "x") }),
    });
    let stored = join_all(calls).await;
    assert!(stored.iter().all(|outcome| outcome.as_ref().is_ok_and(|outcome| outcome.stored)));
    let contact = engine.resolve("stripe:cus_9").await.unwrap().unwrap();
    assert_eq!(told(engine, contact).await.len(), 20);
    let seen = view(engine, contact).await;
    assert!(values(&seen, KeyKind::External).contains(&"user_1"));
    assert_eq!(values(&seen, KeyKind::Email), ["a@example.com"]);
    running.stop().await;
}
