//! Contacts on the admin plane: what operators create, change and read.

use serde_json::{Value, json};

use super::{Table, error, issues, members, site, wanted};
use crate::server::Server;

async fn put(server: &Server, body: Value) -> String {
    server.put("/v1/contacts", &body).await.expect(200)["id"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn ct_82_and_ap_03_an_operator_creates_or_finds() {
    let server = site().start();
    let mut table = Table::default();
    let path = "/v1/admin/contacts";
    let body = json!({"externalId": "ann", "email": " ", "properties": {"plan": "pro"}});
    let answer = server.post(path, &body).await;
    table.same(
        "CT-82 address",
        (answer.status(), issues(&answer)),
        (400, wanted(&[("invalid_format", "email")])),
    );
    let created = server
        .post(path, &json!({"externalId": "ann", "email": "Ann@x.io", "properties": {"plan": "pro"}}))
        .await;
    let expected =
        json!({"contact": {"externalId": "ann", "email": "ann@x.io", "properties": {"plan": "pro"}}});
    table.row("CT-82", &created, 201, &expected);
    let fields = vec![
        "anonymousId",
        "conflicts",
        "contactKey",
        "createdAt",
        "discordId",
        "email",
        "externalId",
        "firstSeenAt",
        "id",
        "keys",
        "lastSeenAt",
        "properties",
        "timezone",
        "updatedAt",
        "version",
        "wakeAt",
    ];
    table.same("CT-05", members(&created.json()["contact"]), fields);
    let id = created.json()["contact"]["id"].clone();
    let again = server.post(path, &json!({"email": "ann@x.io", "properties": {"plan": null, "n": 1}})).await;
    table.row("IF-33", &again, 201, &json!({"contact": {"id": id, "properties": {"n": 1}}}));
    for body in [json!({}), json!({"externalId": "  "}), json!({"properties": {"a": 1}})] {
        let answer = server.post(path, &body).await;
        table.row("CT-82 no key", &answer, 400, &json!({"success": false}));
        let message = &answer.json()["issues"][0]["message"];
        table.same("CT-82 no key", message, &json!("Provide at least one of externalId or email"));
    }
    table.row(
        "HT-63",
        &server.get(path).await,
        200,
        &json!({"total": 1, "contacts": [{"id": id, "discordId": null, "keys": [
            {"kind": "external", "value": "ann", "primary": true, "via": "created"},
            {"kind": "email", "value": "ann@x.io", "primary": true, "via": "created"},
        ]}]}),
    );
    table.end();
}

#[tokio::test]
async fn ct_83_and_ap_04_a_patch_changes_that_contact_and_no_other() {
    let server = site().start();
    let mut table = Table::default();
    let mail_only = put(&server, json!({"email": "one@x.io"})).await;
    let user =
        put(&server, json!({"userId": "u", "email": "two@x.io", "properties": {"a": 1, "b": 1}})).await;
    let path = |id: &str| format!("/v1/admin/contacts/{id}");

    let patched = server.patch(&path("u"), &json!({"properties": {"a": null, "c": 3}})).await;
    table.row("CT-83", &patched, 200, &json!({"contact": {"id": user}}));
    table.same("CT-83 RS-50", &patched.json()["contact"]["properties"], &json!({"b": 1, "c": 3}));

    // BUG behind CT-83: an address-only contact gets the address itself, and no new contact appears.
    let patched = server.patch(&path(&mail_only), &json!({"email": "New@x.io"})).await;
    table.row("RS-30", &patched, 200, &json!({"contact": {"id": mail_only, "email": "new@x.io"}}));
    table.row(
        "RS-30",
        &server.get("/v1/contacts/find?email=one%40x.io").await,
        200,
        &json!({"contacts": [{"id": mail_only}]}),
    );
    table.row("RS-30", &server.get("/v1/admin/contacts").await, 200, &json!({"total": 2}));
    let replaced = server.patch(&path("u"), &json!({"email": "three@x.io"})).await;
    table.row("RS-30", &replaced, 200, &json!({"contact": {"id": user, "email": "three@x.io"}}));
    // An address it already has becomes primary again.
    let back = server.patch(&path("u"), &json!({"email": "two@x.io"})).await;
    table.row("RS-30", &back, 200, &json!({"contact": {"id": user, "email": "two@x.io"}}));

    let taken = server.patch(&path("u"), &json!({"email": "one@x.io", "properties": {"c": 4}})).await;
    table.row("CT-83", &taken, 409, &error("Email belongs to another contact"));
    let unchanged = server.get(&path("u")).await;
    table.row(
        "HT-35",
        &unchanged,
        200,
        &json!({"contact": {"id": user, "email": "two@x.io", "properties": {"c": 3}}}),
    );
    let merged = server.patch(&format!("{}?merge=true", path("u")), &json!({"email": "one@x.io"})).await;
    table.row("CT-83 merge", &merged, 200, &json!({"contact": {"id": user, "email": "one@x.io"}}));
    table.row("MC-13", &server.get(&path(&mail_only)).await, 200, &json!({"contact": {"id": user}}));
    table.row(
        "MC-13",
        &server.patch(&path(&mail_only), &json!({"properties": {"d": 1}})).await,
        200,
        &json!({"contact": {"id": user}}),
    );

    table.row("CT-83", &server.patch(&path("nobody"), &json!({})).await, 404, &error("Contact not found"));
    for (body, issue) in [
        (json!({"email": "no address"}), ("invalid_format", "email")),
        (json!({"email": null}), ("invalid_type", "email")),
        (json!({"properties": []}), ("invalid_type", "properties")),
    ] {
        let answer = server.patch(&path("u"), &body).await;
        table.same("CT-83 shape", (answer.status(), issues(&answer)), (400, wanted(&[issue])));
    }
    let answer = server.patch(&format!("{}?merge=maybe", path("u")), &json!({})).await;
    table.same("HT-09", answer.status(), 400);
    table.end();
}

#[tokio::test]
async fn rs_61_a_path_names_an_id_first_and_any_key_after_that() {
    let server = site().start();
    let mut table = Table::default();
    let first =
        put(&server, json!({"userId": "first", "email": "first@x.io", "anonymousId": "device-1"})).await;
    // RS-60: a user id that looks like a UUID is found; one that is another contact's id names that contact.
    let look_alike = "0190a000-0000-4000-8000-000000000001";
    let second = put(&server, json!({ "userId": look_alike })).await;
    for (key, id) in [
        (look_alike, &second),
        (&first.to_uppercase(), &first),
        ("first%40x.io", &first),
        ("device-1", &first),
    ] {
        let answer = server.get(&format!("/v1/admin/contacts/{key}")).await;
        table.row(
            &format!("RS-61 {key}"),
            &answer,
            200,
            &json!({"contact": {"id": id}, "preferences": null}),
        );
    }
    table.end();
}

#[tokio::test]
async fn ct_85_and_rp_20_one_history_newest_first() {
    let server = site().start();
    let mut table = Table::default();
    let event = async |user: &str, name: &str, day: u32, properties: Value| {
        let at = format!("2026-03-{day:02}T00:00:00Z");
        let body = json!({"userId": user, "name": name, "timestamp": at, "eventProperties": properties});
        server.post("/v1/events", &body).await.expect(202)["eventId"].clone()
    };
    let oldest = event("b", "signed.up", 1, json!({"from": "web"})).await;
    event("a", "second", 2, json!({})).await;
    event("b", "fourth", 4, json!({})).await;
    event("a", "third", 3, json!({})).await;
    server.put("/v1/contacts", &json!({"userId": "b", "email": "b@x.io"})).await.expect(200);
    server.put("/v1/contacts", &json!({"userId": "a", "email": "b@x.io"})).await.expect(200);
    let path = "/v1/admin/contacts/b/timeline";
    let names = |answer: &crate::http::Message| -> Vec<String> {
        let body = answer.json();
        let entries = body["timeline"].as_array().cloned().unwrap_or_default();
        entries.iter().map(|entry| entry["data"]["event"].as_str().unwrap().to_owned()).collect()
    };
    let all = server.get(path).await;
    table.row("CT-85", &all, 200, &json!({"total": 4, "limit": 50, "offset": 0}));
    table.same("MC-30", names(&all), ["fourth", "third", "second", "signed.up"].map(str::to_owned).to_vec());
    table.same(
        "CT-85",
        &all.json()["timeline"][3],
        &json!({"type": "event", "timestamp": "2026-03-01T00:00:00.000Z",
            "data": {"id": oldest, "event": "signed.up", "properties": {"from": "web"}, "source": "api"}}),
    );
    let page = server.get(&format!("{path}?limit=2&offset=1&type=event")).await;
    table.row("HT-60", &page, 200, &json!({"total": 4, "limit": 2, "offset": 1}));
    table.same("HT-60", names(&page), vec!["third".to_owned(), "second".to_owned()]);
    for kind in ["journey", "email"] {
        let none = server.get(&format!("{path}?type={kind}")).await;
        table.row("CT-85", &none, 200, &json!({"timeline": [], "total": 0}));
    }
    table.same("HT-09", server.get(&format!("{path}?type=any")).await.status(), 400);
    let nobody = server.get("/v1/admin/contacts/nobody/timeline").await;
    table.row("CT-85", &nobody, 404, &error("Contact not found"));

    // BK-100: an announced transition is an event of the contact too.
    server.put("/v1/contacts", &json!({"userId": "c", "properties": {"plan": "pro"}})).await.expect(200);
    let joined = server.get("/v1/admin/contacts/c/timeline").await;
    table.row("BK-100", &joined, 200, &json!({"total": 1, "timeline": [{"type": "event", "data": {
        "event": "bucket:entered:pro", "source": "bucket",
        "properties": {"bucketId": "pro", "bucketName": "Pro", "userId": "c", "transition": "entered", "entryCount": 1},
    }}]}));
    table.end();
}

#[tokio::test]
async fn ct_80_search_is_literal_and_covers_additional_keys() {
    let server = site().start();
    let mut table = Table::default();
    for (user, email) in [("a_b", "a_b@x.io"), ("axb", "axb@x.io"), ("50%", "fifty@x.io")] {
        put(&server, json!({"userId": user, "email": email})).await;
    }
    server.put("/v1/contacts", &json!({"userId": "axb", "email": "Second.Address@x.io"})).await.expect(200);
    for (search, expected) in [("A_B", "a_b"), ("%25", "50%"), ("second.addr", "axb"), ("AXB%40", "axb")] {
        let found = server.get(&format!("/v1/admin/contacts?search={search}")).await;
        table.row(
            &format!("CT-80 {search}"),
            &found,
            200,
            &json!({"total": 1, "contacts": [{"externalId": expected}]}),
        );
    }
    table.end();
}
