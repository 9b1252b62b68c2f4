//! Contacts on both planes.

use serde_json::{Value, json};

use super::{Table, error, members, site};
use crate::{
    http::{Connection, Request},
    receiver::Receiver,
    server::{ADMIN, eventually},
};

#[tokio::test]
async fn dp_20_to_dp_28_contacts() {
    let server = site().start();
    let mut table = Table::default();
    let body =
        json!({"userId": "c1", "email": "C1@example.com", "properties": {"plan": "pro", "gone": null}});
    let created = server.put("/v1/contacts", &body).await;
    table.row("DP-20", &created, 200, &json!({"created": true, "linked": false}));
    let id = created.json()["id"].clone();
    let linked =
        server.put("/v1/contacts", &json!({"email": "c1@example.com", "properties": {"seats": 2}})).await;
    table.row("DP-20", &linked, 200, &json!({"id": id, "created": false, "linked": true}));
    let contact = server.get("/v1/contacts/find?userId=c1").await.expect(200)["contacts"][0].clone();
    let fields = vec![
        "createdAt",
        "email",
        "externalId",
        "firstSeenAt",
        "id",
        "lastSeenAt",
        "properties",
        "updatedAt",
    ];
    table.same("DP-23", members(&contact), fields);
    table.same("DP-23", &contact["properties"], &json!({"plan": "pro", "seats": 2}));
    table.same(
        "DP-23",
        (&contact["externalId"], &contact["email"]),
        (&json!("c1"), &json!("c1@example.com")),
    );
    table.same(
        "HT-06",
        contact["createdAt"].as_str().map(|at| (at.len(), at.ends_with('Z'))),
        Some((24, true)),
    );
    let id_text = id.as_str().unwrap().to_owned();
    for (name, query) in [
        ("DP-21", "email=C1%40EXAMPLE.com".to_owned()),
        ("DP-25 uuid", format!("userId={id_text}")),
        ("DP-21 both", "userId=c1&email=c1%40example.com".to_owned()),
        ("DP-21 blank", "userId=c1&email=".to_owned()),
    ] {
        let found = server.get(&format!("/v1/contacts/find?{query}")).await;
        table.row(name, &found, 200, &json!({"contacts": [{"id": id}]}));
    }
    table.row("DP-21", &server.get("/v1/contacts/find?userId=nobody").await, 200, &json!({"contacts": []}));
    for query in ["", "?email=", "?userId=%20"] {
        table.row(
            "DP-21",
            &server.get(&format!("/v1/contacts/find{query}")).await,
            400,
            &error("email or userId is required"),
        );
    }
    table.row(
        "DP-20",
        &server.put("/v1/contacts", &json!({"anonymousId": "a"})).await,
        400,
        &error("email or userId is required"),
    );
    let lists = json!({"userId": "c7", "email": "c7@example.com", "lists": {"news": true}});
    table.row("DP-24", &server.put("/v1/contacts", &lists).await, 400, &error("Unknown list: news"));
    table.row("HS-06", &server.get("/v1/contacts/find?userId=c7").await, 200, &json!({"contacts": []}));

    // DP-28, HS-16: two contacts become one, and the loser's keys lead to the survivor.
    let second = server
        .put("/v1/contacts", &json!({"userId": "c2", "email": "c2@example.com"}))
        .await
        .expect(200)["id"]
        .clone();
    table.row(
        "DP-26",
        &server
            .send(
                Request::new("DELETE", "/v1/contacts")
                    .key(ADMIN)
                    .json(&json!({"userId": "c1", "email": "c2@example.com"})),
            )
            .await,
        409,
        &error("email and userId belong to different contacts"),
    );
    let merged = server.put("/v1/contacts", &json!({"userId": "c1", "email": "c2@example.com"})).await;
    table.row("DP-28", &merged, 200, &json!({"created": false, "linked": true}));
    let survivor = merged.json()["id"].clone();
    table.same("DP-28", survivor == id || survivor == second, true);
    for query in [
        "userId=c1",
        "userId=c2",
        "email=c1%40example.com",
        "email=c2%40example.com",
        &format!("userId={id_text}"),
    ] {
        let found = server.get(&format!("/v1/contacts/find?{query}")).await;
        table.row(&format!("HS-16 {query}"), &found, 200, &json!({"contacts": [{"id": survivor}]}));
    }
    table.row(
        "HS-16 admin",
        &server.get("/v1/admin/contacts/c2").await,
        200,
        &json!({"contact": {"id": survivor}}),
    );

    let delete = |body: Value| Request::new("DELETE", "/v1/contacts").key(ADMIN).json(&body);
    table.row("DP-22", &server.send(delete(json!({}))).await, 400, &error("email or userId is required"));
    table.row(
        "DP-22",
        &server.send(delete(json!({"userId": "nobody"}))).await,
        404,
        &error("Contact not found"),
    );
    table.row(
        "HS-16 delete",
        &server.send(delete(json!({"userId": "c2"}))).await,
        200,
        &json!({"deleted": true}),
    );
    table.row("DP-22", &server.get("/v1/contacts/find?userId=c1").await, 200, &json!({"contacts": []}));
    server.put("/v1/contacts", &json!({"userId": "c3"})).await.expect(200);
    table.row("DP-22 query", &server.delete("/v1/contacts?userId=c3").await, 200, &json!({"deleted": true}));
    table.row(
        "DP-22 query",
        &server.delete("/v1/contacts?userId=c3").await,
        404,
        &error("Contact not found"),
    );
    table.end();
}

#[tokio::test]
async fn ap_01_to_ap_05_contacts_for_operators() {
    let server = site().start();
    let mut table = Table::default();
    for (user, plan) in [("ann", "pro"), ("bob", "free"), ("100%", "pro")] {
        let body =
            json!({"userId": user, "anonymousId": format!("anon-{user}"), "properties": {"plan": plan}});
        server.put("/v1/contacts", &body).await.expect(200);
    }
    let listed = server.get("/v1/admin/contacts").await;
    table.row("AP-01", &listed, 200, &json!({"total": 3, "limit": 50, "offset": 0, "contacts": [{"externalId": "100%"}, {"externalId": "bob"}, {"externalId": "ann"}]}));
    table.same("AP-01", &listed.json()["contacts"][2]["anonymousId"], &json!("anon-ann"));
    table.row("AP-01 search", &server.get("/v1/admin/contacts?search=AN").await, 200, &json!({"total": 3}));
    table.row("AP-01 search", &server.get("/v1/admin/contacts?search=anN").await, 200, &json!({"total": 1}));
    table.row(
        "AP-01 literal",
        &server.get("/v1/admin/contacts?search=%25").await,
        200,
        &json!({"total": 1, "contacts": [{"externalId": "100%"}]}),
    );
    table.row("AP-01 bucket", &server.get("/v1/admin/contacts?bucket=pro").await, 200, &json!({"total": 2}));
    table.row(
        "AP-02",
        &server.get("/v1/admin/contacts/bob").await,
        200,
        &json!({"contact": {"externalId": "bob", "anonymousId": "anon-bob"}, "preferences": null}),
    );
    table.row(
        "HT-07 one segment",
        &server.get("/v1/admin/contacts/100%25").await,
        200,
        &json!({"contact": {"externalId": "100%"}}),
    );
    table.row("AP-02", &server.get("/v1/admin/contacts/nobody").await, 404, &error("Contact not found"));
    table.row("AP-05", &server.delete("/v1/admin/contacts/bob").await, 200, &json!({"deleted": true}));
    table.row("AP-05", &server.delete("/v1/admin/contacts/bob").await, 404, &error("Contact not found"));
    table.row("HT-63", &server.get("/v1/admin/contacts").await, 200, &json!({"total": 2}));
    let stays = server.get("/v1/admin/contacts/ann/buckets").await;
    table.row("BK-229", &stays, 200, &json!({"stays": [{"bucketId": "pro", "status": "active"}]}));
    table.row(
        "AP-60",
        &server.get("/v1/admin/metrics/overview").await,
        200,
        &json!({"totalContacts": 2, "activeBuckets": 1, "bucketMembers": 2}),
    );
    table.end();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hs_11_of_many_concurrent_puts_one_creates() {
    let receiver = Receiver::start().await;
    let server = site().start();
    server.subscribe(&receiver.url(), &["contact.created"]).await;
    let calls: Vec<_> = (0..200)
        .map(|_| {
            let request = Request::new("PUT", "/v1/contacts")
                .key(ADMIN)
                .json(&json!({"userId": "new", "properties": {"a": 1}}));
            let address = server.address;
            tokio::spawn(async move {
                Connection::open(address).await.unwrap().send(&request).await.unwrap().expect(200)
            })
        })
        .collect();
    let mut created = 0;
    let mut ids = std::collections::BTreeSet::new();
    for call in calls {
        let answer = call.await.unwrap();
        created += usize::from(answer["created"] == true);
        assert_ne!(answer["created"], answer["linked"]);
        ids.insert(answer["id"].as_str().unwrap().to_owned());
    }
    assert_eq!((created, ids.len()), (1, 1));
    eventually("contact.created arrives", async || !receiver.arrivals().is_empty()).await;
    server.stop();
    let arrivals = receiver.arrivals();
    assert_eq!(arrivals.len(), 1);
    let envelope = arrivals[0].request.json();
    assert_eq!(
        (&envelope["type"], &envelope["data"]["externalId"]),
        (&json!("contact.created"), &json!("new"))
    );
}
