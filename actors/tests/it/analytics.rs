//! What an analytics provider is told (AA-01 to AA-14, BK-116, BK-117).

use mainspring_actors::contact::Policy;
use mainspring_schemas::event::contact::ContactEvent;
use serde_json::{Value, json};

use crate::{
    harness::{DAY, Person, T0, definitions},
    world::{World, event, history},
};

const MIRRORED: &str = "  - {id: pro, name: Pro, enabled: true, criteria: {prop: plan, eq: pro}, entryLimit: once, syncToPostHog: true}";

fn person(yaml: &str, analytics: bool) -> Person {
    let mut person = Person::new(yaml);
    person.policy = Policy { analytics, ..Policy::default() };
    person
}

/// What analytics were told so far.
fn told(person: &Person) -> Vec<(String, Value)> {
    let told = person.history.iter().filter_map(|(event, _)| match event {
        ContactEvent::Announced(told) if told.outbound_type.starts_with("analytics.") => {
            Some((told.outbound_type.to_string(), Value::Object(told.data.clone())))
        }
        _ => None,
    });
    told.collect()
}

fn membership(is_member: bool) -> (String, Value) {
    let data = json!({"userId": "u1", "property": "hogsend_bucket_pro", "isMember": is_member});
    ("analytics.person".to_owned(), data)
}

#[test]
fn sb_73_bk_117_the_mirror_follows_membership_not_announcements() {
    let mut ann = person(MIRRORED, true);
    ann.put(T0, json!({"plan": "pro"}));
    ann.put(T0 + 1, json!({"plan": "free"}));
    // The entry limit makes this join silent; the property follows all the same.
    ann.put(T0 + 2, json!({"plan": "pro"}));
    assert_eq!(told(&ann), [membership(true), membership(false), membership(true)]);
    let announced = |event: &ContactEvent| matches!(event, ContactEvent::BucketEntered(e) if e.announced);
    assert_eq!(ann.history.iter().filter(|(event, _)| announced(event)).count(), 1);
}

#[test]
fn bk_117_back_filled_joins_are_mirrored_and_without_a_provider_nothing_is() {
    for analytics in [true, false] {
        let mut ann =
            person("  - {id: other, name: Other, enabled: true, criteria: {prop: other, eq: 1}}", analytics);
        ann.put(T0, json!({"plan": "pro"}));
        ann.now = T0 + DAY;
        ann.redefine(definitions(MIRRORED), 2);
        ann.meet();
        let expected = if analytics { vec![membership(true)] } else { vec![] };
        assert_eq!(told(&ann), expected);
    }
    let mut ann = person(&MIRRORED.replace("syncToPostHog: true", "syncToPostHog: false"), true);
    ann.put(T0, json!({"plan": "pro"}));
    assert_eq!(told(&ann), [], "BK-24: only if the bucket asks for it");
}

#[actix::test]
async fn tk_13_tk_16_a_session_is_absorbed_unless_there_is_somebody_behind_it() {
    for analytics in [true, false] {
        let mut world = World::new(T0);
        world.policy.analytics = analytics;
        let running = world.start(None).await;
        let engine = &running.engine;
        let subject = engine.ingest(event("u1 v1", "x")).await.unwrap().contact_id;
        let other = engine.ingest(event("u2 e2 v2", "x")).await.unwrap().contact_id;
        let visitor = engine.ingest(event("e3 v3", "x")).await.unwrap().contact_id;
        let gone = engine.ingest(event("e4", "x")).await.unwrap().contact_id;
        engine.delete_contact(gone).await.unwrap();
        let ids = [other, visitor, gone, subject].map(|id| id.to_string());
        let identified = ["u1", "u2", "e2@example.com", " E2@Example.com", "v2", " "];
        for session in identified.into_iter().chain(ids.iter().map(String::as_str)) {
            assert_eq!(engine.absorb_session(subject, session).await.unwrap(), None, "{session}");
        }
        for session in ["browser-1", "v1", "v3"] {
            let told = engine.absorb_session(subject, session).await.unwrap();
            assert_eq!(told.is_some(), analytics, "{session}");
        }
        let told: Vec<Value> = history(&**engine.log(), subject)
            .await
            .into_iter()
            .filter_map(|event| match event {
                ContactEvent::Announced(told) => Some(Value::Object(told.data)),
                _ => None,
            })
            .collect();
        let alias = |alias| json!({"userId": "u1", "alias": alias, "reason": "click_identify"});
        let expected: Vec<Value> = ["browser-1", "v1", "v3"].into_iter().map(alias).collect();
        assert_eq!(told, if analytics { expected } else { Vec::new() });
        running.stop().await;
    }
}
