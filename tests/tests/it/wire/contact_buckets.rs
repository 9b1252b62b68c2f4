//! A contact's buckets in one place, on the admin plane.

use serde_json::json;

use super::{
    Table,
    bucket_members::{FIELDS, contact, event, pro},
    error, members, site,
};

#[tokio::test]
async fn bk_229_a_contacts_buckets_newest_first() {
    let site = site();
    let server = site.start();
    let mut table = Table::default();
    pro(&server, "ann").await;
    event(&server, json!({"name": "x", "userId": "ann", "contactProperties": {"plan": "free"}})).await;
    pro(&server, "ann").await;
    event(&server, json!({"name": "order.placed", "userId": "ann"})).await;
    event(&server, json!({"name": "order.placed", "userId": "ann", "email": "ann@example.com"})).await;
    let path = "/v1/admin/contacts/ann/buckets";
    let all = server.get(path).await;
    table.same("BK-229", members(&all.json()), vec!["limit", "offset", "stays", "total"]);
    let expected = json!({"total": 3, "limit": 50, "offset": 0, "stays": [
        {"bucketId": "buyers", "bucketName": "Buyers", "status": "active", "entryCount": 1},
        {"bucketId": "pro", "bucketName": "Pro", "status": "active", "entryCount": 2, "leftAt": null},
        {"bucketId": "pro", "bucketName": "Pro", "status": "left", "entryCount": 1, "reason": "criteria",
         "expiresAt": null, "lastEvaluatedAt": null},
    ]});
    table.row("BK-229", &all, 200, &expected);
    let stays = all.json()["stays"].clone();
    let last = contact(&server, "ann").await["lastSeenAt"].clone();
    for stay in stays.as_array().unwrap() {
        let mut fields = FIELDS.to_vec();
        fields.insert(1, "bucketName");
        table.same("BK-60", members(stay), fields);
        table.same("BK-60", &stay["userEmail"], &json!("ann@example.com"));
        if stay["status"] == "active" {
            table.same("BK-60", &stay["lastEvaluatedAt"], &last);
        }
    }
    let mut in_bucket =
        server.get("/v1/admin/buckets/buyers/members").await.expect(200)["members"][0].clone();
    in_bucket["bucketName"] = json!("Buyers");
    table.same("BK-212", &in_bucket, &stays[0]);
    for (query, expected) in [
        ("status=left", json!({"total": 1, "stays": [{"status": "left"}]})),
        ("status=active", json!({"total": 2, "stays": [{"bucketId": "buyers"}, {"bucketId": "pro"}]})),
        ("limit=1&offset=1", json!({"total": 3, "limit": 1, "offset": 1, "stays": [{"entryCount": 2}]})),
    ] {
        table.row(query, &server.get(&format!("{path}?{query}")).await, 200, &expected);
    }
    table.row("BK-229", &server.get(&format!("{path}?status=all")).await, 400, &json!({"success": false}));
    let by_address = server.get("/v1/admin/contacts/ann%40example.com/buckets").await;
    table.same("RS-61", by_address.expect(200), all.json());
    table.row(
        "BK-229",
        &server.get("/v1/admin/contacts/nobody/buckets").await,
        404,
        &error("Contact not found"),
    );

    // What was retired keeps its name, and its stays decide nothing any more (BK-203).
    server.stop();
    std::fs::remove_file(site.definitions().join("b-pro.yaml")).unwrap();
    let server = site.start();
    let retired =
        json!({"bucketName": "Pro", "status": "active", "expiresAt": null, "lastEvaluatedAt": null});
    table.row(
        "BK-203",
        &server.get(&format!("{path}?limit=1&offset=1")).await,
        200,
        &json!({"stays": [retired]}),
    );
    table.row("BK-203", &server.get("/v1/admin/buckets/pro/members").await, 404, &error("Bucket not found"));
    table.row("BK-203", &server.get("/v1/admin/metrics/overview").await, 200, &json!({"bucketMembers": 1}));
    table.end();
}
