//! Settings of identity, each through the whole server (KE-12, RS-23, RS-32), and what merges tell the world (MC-45).

use serde_json::{Value, json};

use super::{Table, site};
use crate::{
    receiver::Receiver,
    server::{Server, eventually},
};

async fn put(server: &Server, body: Value) -> Value {
    server.put("/v1/contacts", &body).await.expect(200)
}

async fn event(server: &Server, body: Value) -> Value {
    server.post("/v1/events", &body).await.expect(202)
}

#[tokio::test]
async fn rs_23_merge_policies() {
    for (policy, shares_a_browser, shares_an_address) in
        [("strong", false, true), ("any", true, true), ("never", false, false)]
    {
        let server = site().with("IDENTITY_MERGE_POLICY", policy).start();
        let mut table = Table::default();
        let first = put(&server, json!({"userId": "p1", "anonymousId": "browser"})).await;
        let second = event(&server, json!({"name": "x", "userId": "p2", "anonymousId": "browser"})).await;
        table.same(policy, first["id"] == second["contactId"], shares_a_browser);
        put(&server, json!({"userId": "q1", "email": "q@x.io"})).await;
        let other = put(&server, json!({"userId": "q2"})).await;
        let called = event(&server, json!({"name": "x", "userId": "q2", "email": "q@x.io"})).await;
        let still = server.get("/v1/contacts/find?userId=q2").await.json()["contacts"][0]["id"].clone();
        table.same(policy, still == called["contactId"], true);
        table.same(policy, called["contactKey"] == "q1", shares_an_address);
        table.same(policy, called["contactId"] == other["id"], !shares_an_address);
        let conflicts = server.get("/v1/admin/contacts/p2").await.json()["contact"]["conflicts"].clone();
        let expected = json!([{"kind": "anonymous", "otherContactId": first["id"]}]);
        table.same("RS-24", conflicts, if shares_a_browser { json!([]) } else { expected });
        if policy == "never" {
            let patched = server.patch("/v1/admin/contacts/q2?merge=true", &json!({"email": "q@x.io"})).await;
            table.same("CT-83", patched.status(), 409);
        }
        table.end();
    }
}

#[tokio::test]
async fn rs_32_which_calls_replace_an_address() {
    for (policy, by_event, by_upsert) in
        [("upsert", "old", "new"), ("any", "seen", "new"), ("never", "old", "old")]
    {
        let server = site().with("IDENTITY_EMAIL_UPDATE", policy).start();
        let mut table = Table::default();
        let address = async || {
            let found = server.get("/v1/contacts/find?userId=u").await.json();
            found["contacts"][0]["email"].as_str().unwrap_or_default().trim_end_matches("@x.io").to_owned()
        };
        put(&server, json!({"userId": "u", "email": "old@x.io"})).await;
        event(&server, json!({"name": "x", "userId": "u", "email": "seen@x.io"})).await;
        table.same(policy, address().await, by_event.to_owned());
        let id = put(&server, json!({"userId": "u", "email": "new@x.io"})).await["id"].clone();
        table.same(policy, address().await, by_upsert.to_owned());
        for email in ["old", "seen", "new"] {
            let found = server.get(&format!("/v1/contacts/find?email={email}%40x.io")).await;
            table.row(policy, &found, 200, &json!({"contacts": [{"id": id}]}));
        }
        table.end();
    }
}

#[tokio::test]
async fn ke_12_a_contact_gets_no_more_keys_than_it_may() {
    let server = site().with("IDENTITY_MAX_KEYS_PER_KIND", "2").start();
    let mut table = Table::default();
    let id = put(&server, json!({"userId": "u", "anonymousId": "v1"})).await["id"].clone();
    put(&server, json!({"userId": "u", "anonymousId": "v2"})).await;
    let third = event(&server, json!({"name": "x", "userId": "u", "anonymousId": "v3"})).await;
    table.same("KE-12 the call goes on", (&third["stored"], &third["contactId"]), (&json!(true), &id));
    let keys = server.get("/v1/admin/contacts/u").await.json()["contact"]["keys"].clone();
    table.same("KE-12", keys.as_array().map(Vec::len), Some(3));
    table.same(
        "KE-12 other kinds have room",
        put(&server, json!({"userId": "u", "email": "u@x.io"})).await["id"] == id,
        true,
    );
    // The key that found no room stays free for others.
    let other = put(&server, json!({"userId": "w", "anonymousId": "v3"})).await;
    table.same("KE-12", other["created"].clone(), json!(true));
    put(&server, json!({"userId": "u", "email": "u2@x.io"})).await;
    let full = server.patch("/v1/admin/contacts/u", &json!({"email": "u3@x.io"})).await;
    table.same("CT-83", full.status(), 409);
    table.end();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn mc_45_a_merge_is_told_to_whoever_subscribes() {
    let (receiver, deaf) = (Receiver::start().await, Receiver::start().await);
    let server = site().start();
    server.subscribe(&receiver.url(), &["contact.merged"]).await;
    server.subscribe(&deaf.url(), &["contact.created", "contact.deleted"]).await;
    let survivor = put(&server, json!({"userId": "u", "properties": {"a": 1}})).await["id"].clone();
    let loser = put(&server, json!({"email": "e@x.io", "properties": {"b": 2}})).await["id"].clone();
    event(&server, json!({"name": "x", "userId": "u", "email": "e@x.io"})).await;
    eventually("contact.merged arrives", async || !receiver.arrivals().is_empty()).await;
    eventually("both creations arrive", async || deaf.arrivals().len() == 2).await;
    server.stop();
    assert_eq!((receiver.arrivals().len(), deaf.arrivals().len()), (1, 2));
    let envelope = receiver.arrivals()[0].request.json();
    assert_eq!(envelope["type"], "contact.merged");
    let data = &envelope["data"];
    assert_eq!(data["loser"], json!({"id": loser, "externalId": null, "email": "e@x.io"}));
    assert_eq!((&data["survivor"]["id"], &data["reason"]), (&survivor, &json!("collide_merge")));
    assert_eq!(
        data["survivor"]["properties"],
        json!({"a": 1, "b": 2}),
        "the survivor as it is after the call"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ob_41_with_all_every_change_is_told() {
    let receiver = Receiver::start().await;
    let server = site().with("OUTBOUND_CONTACT_SCOPE", "all").start();
    server.subscribe(&receiver.url(), &["contact.*"]).await;
    event(&server, json!({"name": "x", "userId": "u"})).await;
    event(&server, json!({"name": "x", "email": "e@x.io"})).await;
    event(&server, json!({"name": "x", "userId": "u", "email": "e@x.io"})).await;
    eventually("all five arrive", async || receiver.arrivals().len() >= 5).await;
    server.stop();
    let mut types: Vec<String> = receiver
        .arrivals()
        .iter()
        .map(|arrival| arrival.request.json())
        .map(|envelope| format!("{} {}", envelope["type"].as_str().unwrap(), envelope["data"]["reason"]))
        .collect();
    types.sort_unstable();
    let expected = [
        "contact.created null",
        "contact.created null",
        "contact.deleted \"merged\"",
        "contact.merged \"collide_merge\"",
        "contact.updated null",
    ];
    assert_eq!(types, expected);
}
