//! Section 14 of the webhook sources specification.

use serde_json::{Value, json};

use super::{
    CLERK, SEGMENT, SUPABASE, callback, clerk, clerk_at, contacts, events, posthog, refused, seconds,
    segment, site, skipped, stripe,
};
use crate::server::Site;

fn user(id: &str, kind: &str, email: &str) -> Value {
    json!({"type": kind, "data": {
        "id": id, "primary_email_address_id": "e1", "first_name": "Ada",
        "email_addresses": [{"id": "e1", "email_address": email}],
    }})
}

#[tokio::test]
async fn ss_01_ss_02_ss_16_what_is_not_mounted_is_unknown() {
    let server =
        Site::new(&[]).with("CLERK_WEBHOOK_SECRET", CLERK).with("ENABLED_WEBHOOK_PRESETS", "none").start();
    for source in ["stripe", "clerk", "posthog", "resend", "nobody"] {
        refused(&server.send(callback(source, "{}")).await, 404, "Unknown webhook source");
    }
    server.stop();

    let server = Site::new(&[]).with("WEBHOOK_ALLOW_UNAUTHENTICATED", "posthog").start();
    let event = json!({"event": {"event": "seen", "distinct_id": "u1"}});
    let answer = server.send(callback("posthog", event.to_string())).await.expect(200);
    assert_eq!(answer, json!({"ok": true, "event": "seen", "userId": "u1", "exits": [], "stored": true}));
}

#[tokio::test]
async fn ss_04_ws_50_a_redelivery_is_recognized_by_the_message_s_id() {
    let server = site().start();
    let body = user("user_1", "user.created", "ada@example.com");
    let first = server.send(clerk("msg_1", &body)).await.expect(200);
    assert_eq!((&first["stored"], &first["userId"]), (&json!(true), &json!("user_1")));
    let second = server.send(clerk_at("msg_1", seconds(-100), body.to_string())).await.expect(200);
    assert_eq!(
        second,
        json!({"ok": true, "event": "contact.created", "userId": "user_1", "exits": [], "stored": false})
    );
    let contacts = contacts(&server).await;
    assert_eq!(contacts.len(), 1);
    assert_eq!(contacts[0]["properties"]["firstName"], "Ada");
    assert_eq!(
        events(&server, &contacts[0]).await,
        [("contact.created".to_owned(), "clerk".to_owned())],
        "WS-16"
    );

    // Another source's, and the application's own keys are others (section 5).
    let event = json!({"name": "own", "userId": "user_1", "idempotencyKey": "clerk:msg_1"});
    assert_eq!(server.post("/v1/events", &event).await.expect(202)["stored"], true);
    let event = json!({"type": "track", "event": "T", "userId": "user_1", "messageId": "clerk:msg_1"});
    assert_eq!(server.send(segment(&event)).await.expect(200)["stored"], true);
}

#[tokio::test]
async fn ss_05_ws_70_a_waiting_person_and_the_later_sign_up_are_one() {
    let server = site().start();
    let waiting =
        json!({"type": "waitlistEntry.created", "data": {"id": "wle_1", "email_address": "Ada@example.com"}});
    let answer = server.send(clerk("m1", &waiting)).await.expect(200);
    assert_eq!(answer, json!({"ok": true, "event": "waitlist.joined", "exits": [], "stored": true}));
    server.send(clerk("m2", &user("user_1", "user.created", "ada@example.com"))).await.expect(200);
    let contacts = contacts(&server).await;
    assert_eq!(contacts.len(), 1);
    assert_eq!(
        (&contacts[0]["externalId"], &contacts[0]["email"]),
        (&json!("user_1"), &json!("ada@example.com"))
    );
}

fn of_stripe(id: &str, kind: &str, object: Value) -> Value {
    json!({"id": id, "type": kind, "created": seconds(-5), "livemode": false, "data": {"object": object}})
}

#[tokio::test]
async fn ss_06_ws_106_what_stripe_calls_a_customer_is_remembered() {
    let server = site().start();
    let event = json!({"name": "signed_up", "userId": "user_1", "email": "a@example.com"});
    server.post("/v1/events", &event).await.expect(202);
    let customer = json!({"id": "cus_9", "object": "customer", "email": "a@example.com", "name": "Ada"});
    let created = server.send(stripe(&of_stripe("evt_1", "customer.created", customer))).await.expect(200);
    assert_eq!(created["userId"], "cus_9");
    let invoice = json!({"id": "in_1", "object": "invoice", "customer": "cus_9", "amount_due": 990});
    server.send(stripe(&of_stripe("evt_2", "invoice.payment_failed", invoice))).await.expect(200);
    let contacts = contacts(&server).await;
    assert_eq!(contacts.len(), 1);
    assert_eq!(
        (&contacts[0]["externalId"], &contacts[0]["email"]),
        (&json!("user_1"), &json!("a@example.com"))
    );
    let names: Vec<String> = events(&server, &contacts[0]).await.into_iter().map(|(name, _)| name).collect();
    assert_eq!(names, ["signed_up", "invoice.payment_failed", "contact.created"]);

    let gone = json!({"id": "cus_9", "object": "customer"});
    let answer = server.send(stripe(&of_stripe("evt_3", "customer.deleted", gone))).await.expect(200);
    assert_eq!(answer["stored"], true, "a deletion of somebody known is an event");
}

#[tokio::test]
async fn ss_07_ss_08_a_visitor_and_the_person_are_one() {
    let server = site().start();
    let track = json!({"type": "track", "event": "Viewed", "anonymousId": "anon-1", "messageId": "1"});
    let answer = server.send(segment(&track)).await.expect(200);
    assert_eq!(answer, json!({"ok": true, "event": "Viewed", "exits": [], "stored": true}));
    let identify =
        json!({"type": "identify", "userId": "u1", "anonymousId": "anon-1", "traits": {"plan": "pro"}});
    server.send(segment(&identify)).await.expect(200);
    let found = contacts(&server).await;
    assert_eq!(found.len(), 1);
    assert_eq!(found[0]["externalId"], "u1");
    assert_eq!(found[0]["properties"], json!({"plan": "pro", "source": "segment"}));
    assert_eq!(events(&server, &found[0]).await.len(), 2);

    // SS-08: signed by the provider's own code, with SHA-1.
    let path = "vectors/webhook-sources/segment.json";
    let vectors: Value = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    let case = &vectors["cases"][0];
    assert_eq!(
        (&case["signedWith"], &case["env"]["SEGMENT_WEBHOOK_SECRET"]),
        (&json!("sha1"), &json!(SEGMENT))
    );
    let signature = case["request"]["headers"]["x-signature"].as_str().unwrap();
    let body = case["request"]["body"].as_str().unwrap();
    let answer = server.send(callback("segment", body).header("X-Signature", signature)).await.expect(200);
    assert_eq!((&answer["event"], &answer["stored"]), (&json!("Order Completed"), &json!(true)));
    let replayed = server.send(callback("segment", body).header("X-Signature", signature)).await.expect(200);
    assert_eq!(replayed["stored"], false, "WS-117");
}

#[tokio::test]
async fn ss_09_ss_10_ss_14_callbacks_that_change_nothing() {
    let server = site().start();
    let row = |signed_in: &str| json!({"id": "u1", "email": "g@example.com", "last_sign_in_at": signed_in});
    let login = json!({"type": "UPDATE", "schema": "auth", "table": "users", "record": row("b"), "old_record": row("a")});
    let database =
        |body: &Value| callback("supabase", body.to_string()).header("x-supabase-webhook-secret", SUPABASE);
    skipped(&server.send(database(&login)).await);
    skipped(&server.send(clerk("m1", &user("user_404", "user.deleted", "nobody@example.com"))).await);
    let echo =
        json!({"event": {"event": "email.opened", "distinct_id": "u1", "properties": {"$lib": "hogsend"}}});
    skipped(&server.send(posthog(&echo)).await);
    let reserved = json!({"event": {"event": "bucket:entered:x", "distinct_id": "u1"}});
    skipped(&server.send(posthog(&reserved)).await);
    assert!(contacts(&server).await.is_empty(), "WS-52");
}

#[tokio::test]
async fn ss_11_ws_51_a_late_event_counts_from_when_it_happened() {
    let windowed = |hours: u32| {
        format!("id: w{hours}\nname: W\nenabled: true\ncriteria: {{event: invoice.paid, within: {hours}h}}\n")
    };
    let (two, four) = (windowed(2), windowed(4));
    let site = Site::new(&[("two", &two), ("four", &four)]).with("STRIPE_WEBHOOK_SECRET", super::STRIPE);
    let server = site.start();
    let at = seconds(-3 * 3600);
    let event = json!({"id": "evt_1", "type": "invoice.paid", "created": at, "data": {"object": {"customer": "cus_1"}}});
    server.send(stripe(&event)).await.expect(200);
    let found = contacts(&server).await;
    let path = format!("/v1/admin/contacts/{}", found[0]["id"].as_str().unwrap());
    let timeline = server.get(&format!("{path}/timeline")).await.expect(200);
    let events = timeline["timeline"].as_array().unwrap();
    let event = events.iter().find(|entry| entry["data"]["event"] == "invoice.paid").unwrap();
    let dated: mainspring_schemas::Timestamp = event["timestamp"].as_str().unwrap().parse().unwrap();
    assert_eq!(dated.0, at * 1000);
    let buckets = server.get(&format!("{path}/buckets")).await.expect(200).to_string();
    assert!(buckets.contains("\"w4\"") && !buckets.contains("\"w2\""), "{buckets}");
}

#[tokio::test]
async fn ss_12_ss_13_replays_and_bytes_that_are_no_text() {
    let server = site().start();
    let body = user("user_1", "user.created", "ada@example.com").to_string();
    server.send(clerk_at("m1", seconds(0), body.as_str())).await.expect(200);
    let stale = server.send(clerk_at("m1", seconds(-360), body.as_str())).await;
    refused(&stale, 401, "Invalid webhook signature");
    let replayed = server.send(clerk_at("m1", seconds(-200), body.as_str())).await.expect(200);
    assert_eq!(replayed["stored"], false);
    let broken = [body.as_bytes(), b"\xff"].concat();
    let answer = server.send(clerk_at("m2", seconds(0), broken)).await.expect(400);
    assert_eq!(answer, json!({"error": "Invalid payload", "details": "Malformed JSON"}));
}

#[tokio::test]
async fn ss_15_what_was_not_acknowledged_is_taken_once_when_it_comes_again() {
    let site = site();
    let server = site.start();
    let body = user("user_1", "user.created", "ada@example.com");
    // The process dies right after its answer; the provider, which did not hear it, sends again.
    server.send(clerk("m1", &body)).await.expect(200);
    server.kill();
    let server = site.start();
    assert_eq!(server.send(clerk("m1", &body)).await.expect(200)["stored"], false);
    let contacts = contacts(&server).await;
    assert_eq!(events(&server, &contacts[0]).await.len(), 1);
}

#[tokio::test]
async fn ws_52_a_reported_deletion_can_erase() {
    let server = site().with("WEBHOOK_ERASE_ON_DELETE", "clerk").start();
    server.send(clerk("m1", &user("user_1", "user.created", "ada@example.com"))).await.expect(200);
    assert_eq!(contacts(&server).await.len(), 1);
    let gone = json!({"type": "user.deleted", "data": {"id": "user_1", "deleted": true}});
    let answer = server.send(clerk("m2", &gone)).await.expect(200);
    assert_eq!((&answer["ok"], &answer["event"]), (&json!(true), &json!("contact.deleted")));
    assert!(contacts(&server).await.is_empty());
    skipped(&server.send(clerk("m2", &gone)).await);
}

#[tokio::test]
async fn ws_52_a_deletion_erases_whom_its_user_id_names_and_nobody_else_with_that_address() {
    let server = site().with("WEBHOOK_ERASE_ON_DELETE", "supabase").start();
    let deletion = |id: &str, email: &str| {
        let old = json!({"id": id, "email": email});
        let body =
            json!({"type": "DELETE", "schema": "auth", "table": "users", "record": null, "old_record": old});
        callback("supabase", body.to_string()).header("x-supabase-webhook-secret", SUPABASE)
    };
    for person in [
        json!({"name": "x", "userId": "app-1", "email": "ada@example.com"}),
        json!({"name": "x", "email": "reader@example.com"}),
        json!({"name": "x", "userId": "sb-3", "email": "eve@example.com"}),
    ] {
        server.post("/v1/events", &person).await.expect(202);
    }
    skipped(&server.send(deletion("sb-1", "ada@example.com")).await);
    assert_eq!(contacts(&server).await.len(), 3, "another account had the address of the application's user");
    let erased = server.send(deletion("sb-2", "reader@example.com")).await.expect(200);
    assert_eq!(erased["event"], "contact.deleted", "nobody else can be meant by that address");
    server.send(deletion("sb-3", "ada@example.com")).await.expect(200);
    let left = contacts(&server).await;
    assert_eq!(left.len(), 1);
    assert_eq!(left[0]["externalId"], "app-1");
}
