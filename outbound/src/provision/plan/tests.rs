use super::*;

const WANTED: Wanted<'_> =
    Wanted { webhook_url: "https://engine.example/v1/webhooks/posthog", secret: "5ec7e7" };

/// A destination as PostHog shows one that was made by us.
fn existing() -> Value {
    let Plan::Create(mut made) = plan(None, &WANTED) else { panic!("nothing is made") };
    made["id"] = json!("0190-1");
    for input in made["inputs"].as_object_mut().unwrap().values_mut() {
        input["bytecode"] = json!(["_H", 1]);
        input["order"] = json!(0);
    }
    made["filters"]["bytecode"] = json!(["_H", 1]);
    made
}

/// The destination after a plan was carried out.
fn after(mut destination: Value, done: &Plan) -> Value {
    if let Plan::Update(patch) = done {
        destination.as_object_mut().unwrap().extend(patch.as_object().unwrap().clone());
    }
    destination
}

#[test]
fn ws_93_the_destination_that_is_made() {
    let Plan::Create(made) = plan(None, &WANTED) else { panic!("nothing is made") };
    assert_eq!((&made["template_id"], &made["enabled"]), (&json!("template-webhook"), &json!(true)));
    let expected = json!({
        "url": {"value": "https://engine.example/v1/webhooks/posthog"},
        "method": {"value": "POST"},
        "body": {"value": {"event": "{event}", "person": "{person}"}},
        "headers": {"value": {"Content-Type": "application/json", "x-posthog-webhook-secret": "5ec7e7"}},
    });
    assert_eq!(made["inputs"], expected);
    let filter = json!([{"key": "$is_identified", "type": "event", "operator": "exact", "value": ["true"]}]);
    assert_eq!(made["filters"]["properties"], filter);
    assert!(candidates(&[made]).len() == 1);
}

#[test]
fn ws_93_what_is_enforced() {
    assert!(plan(Some(&existing()), &WANTED) == Plan::Unchanged);
    let changes: [(&str, Value, &[&str]); 13] = [
        ("/inputs/url/value", json!("https://old.example/v1/webhooks/posthog"), &["inputs"]),
        ("/inputs/method/value", json!("PUT"), &["inputs"]),
        ("/inputs/body/value", json!({"event": "{event}"}), &["inputs"]),
        (
            "/inputs/body",
            json!({"value": {"event": "{event}", "person": "{person}"}, "templating": "liquid"}),
            &["inputs"],
        ),
        ("/inputs/headers/value", json!({}), &["inputs"]),
        ("/inputs/headers/value/x-posthog-webhook-secret", json!("old"), &["inputs"]),
        ("/inputs", Value::Null, &["inputs"]),
        ("/enabled", json!(false), &["enabled"]),
        ("/filters", Value::Null, &["filters"]),
        ("/filters/properties", json!([]), &["filters"]),
        ("/filters/properties/0/operator", json!("is_not"), &["filters"]),
        ("/filters/properties/0/value", json!(["true", "false"]), &["filters"]),
        ("/filters/properties/0/key", json!("plan"), &["filters"]),
    ];
    for (place, value, expected) in changes {
        let mut destination = existing();
        *destination.pointer_mut(place).unwrap() = value;
        let done = plan(Some(&destination), &WANTED);
        let Plan::Update(patch) = &done else { panic!("{place}: not updated") };
        assert!(patch.as_object().unwrap().keys().eq(expected), "{place}");
        assert!(!patch.to_string().contains("bytecode"), "{place}");
        assert!(plan(Some(&after(destination, &done)), &WANTED) == Plan::Unchanged, "{place}: twice");
    }
}

#[test]
fn ws_93_what_others_added_is_kept() {
    let mut destination = existing();
    destination["name"] = json!("Ours");
    destination["description"] = json!("Do not touch");
    destination["inputs"]["debug"] = json!({"value": true, "bytecode": []});
    destination["inputs"]["headers"]["value"] =
        json!({"content-type": "application/json", "X-Team": "growth", "X-PostHog-Webhook-Secret": "old"});
    let plan_filter = json!({"key": "plan", "type": "person", "operator": "exact", "value": ["pro"]});
    destination["filters"] = json!({
        "source": "events", "events": [{"id": "signed up"}], "filter_test_accounts": true,
        "properties": [{"key": "$is_identified", "type": "event", "operator": "is_set"}, plan_filter],
    });
    assert!(matches!(plan(Some(&existing()), &WANTED), Plan::Unchanged));
    let done = plan(Some(&destination), &WANTED);
    let Plan::Update(patch) = &done else { panic!("not updated") };
    assert_eq!(patch["inputs"]["debug"], json!({"value": true}));
    let headers =
        json!({"content-type": "application/json", "X-Team": "growth", "x-posthog-webhook-secret": "5ec7e7"});
    assert_eq!(patch["inputs"]["headers"]["value"], headers);
    assert_eq!(patch["filters"]["properties"], json!([plan_filter, own_filter()]));
    assert_eq!(patch["filters"]["events"], json!([{"id": "signed up"}]));
    assert_eq!(patch["filters"]["filter_test_accounts"], true);
    let kept = after(destination, &done);
    assert_eq!((&kept["name"], &kept["description"]), (&json!("Ours"), &json!("Do not touch")));
    assert!(plan(Some(&kept), &WANTED) == Plan::Unchanged);
}

#[test]
fn ws_93_our_path_counts_on_whatever_host() {
    for ours in [
        "https://engine.example/v1/webhooks/posthog",
        "http://10.0.0.1:3002/v1/webhooks/posthog/",
        "https://x.example/base/v1/webhooks/posthog?a=b#c",
    ] {
        assert!(leads_here(ours), "{ours}");
    }
    for foreign in [
        "",
        "posthog",
        "/v1/webhooks/posthog",
        "https://x.example/v1/webhooks/posthog/more",
        "https://x.example/?u=/v1/webhooks/posthog",
        "https://x.example/v1/webhooks/segment",
    ] {
        assert!(!leads_here(foreign), "{foreign}");
    }
}

#[test]
fn ws_93_at_most_twenty_five_are_looked_at_and_ours_first() {
    let mut listed: Vec<Value> = (0..40).map(|n| json!({"id": n.to_string(), "name": "Slack"})).collect();
    listed.push(json!({"id": "template", "name": null, "template": {"id": "template-webhook"}}));
    listed.push(json!({"id": "old", "name": "to HogSend"}));
    listed.push(json!({"id": "ours", "name": "MAINSPRING 2", "template_id": "template-webhook"}));
    let chosen = candidates(&listed);
    assert_eq!(chosen.len(), 25);
    let ids: Vec<&str> = chosen.iter().take(4).map(|found| found["id"].as_str().unwrap()).collect();
    assert_eq!(ids, ["ours", "old", "template", "0"]);
}
