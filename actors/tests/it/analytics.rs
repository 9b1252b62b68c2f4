//! What an analytics provider is told (AA-01 to AA-14, BK-116, BK-117).

use mainspring_actors::contact::Policy;
use mainspring_schemas::event::contact::ContactEvent;
use serde_json::{Value, json};

use crate::harness::{DAY, Person, T0, definitions};

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
