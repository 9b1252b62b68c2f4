//! Buckets on the admin plane.

use serde_json::json;

use super::{Table, error, members, site};

#[tokio::test]
async fn bk_220_to_bk_225_buckets_for_operators() {
    let site = site();
    let server = site.start();
    let mut table = Table::default();
    for n in 0..3 {
        let body = json!({"name": "x", "userId": format!("u{n}"), "email": format!("u{n}@example.com"), "contactProperties": {"plan": "pro"}});
        server.post("/v1/events", &body).await.expect(202);
    }
    server
        .post("/v1/events", &json!({"name": "x", "userId": "u0", "contactProperties": {"plan": "free"}}))
        .await
        .expect(202);
    let listed = server.get("/v1/admin/buckets").await;
    let pro = json!({
        "id": "pro", "name": "Pro", "description": "Who pays", "enabled": true, "kind": "dynamic", "timeBased": false,
        "entryLimit": "unlimited", "counts": {"active": 2, "left": 1},
    });
    table.row(
        "BK-220",
        &listed,
        200,
        &json!({"total": 2, "buckets": [{"id": "buyers", "counts": {"active": 0, "left": 0}}, pro]}),
    );
    let one = server.get("/v1/admin/buckets/pro").await;
    table.row("BK-221", &one, 200, &json!({"bucket": pro}));
    let bucket = one.json()["bucket"].clone();
    table.row("BK-221", &one, 200, &json!({"bucket": {"fastExpiry": false, "syncToPostHog": false, "feedsJourneys": [], "recentMembers": [{"userId": "u2"}, {"userId": "u1"}]}}));
    table.same("BK-221", &bucket["criteria"]["operator"], &json!("eq"));
    table.row("BK-221", &server.get("/v1/admin/buckets/nothing").await, 404, &error("Bucket not found"));

    let active = server.get("/v1/admin/buckets/pro/members").await;
    table.row(
        "BK-223",
        &active,
        200,
        &json!({"total": 2, "members": [{"userId": "u2", "status": "active"}, {"userId": "u1"}]}),
    );
    let stay = active.json()["members"][0].clone();
    for field in [
        "id",
        "userId",
        "userEmail",
        "bucketId",
        "status",
        "enteredAt",
        "leftAt",
        "maxDwellAt",
        "entryCount",
        "source",
        "context",
        "createdAt",
        "updatedAt",
    ] {
        table.same(&format!("BK-60 {field}"), members(&stay).contains(&field), true);
    }
    table.row("BK-223 left", &server.get("/v1/admin/buckets/pro/members?status=left").await, 200,
        &json!({"total": 1, "members": [{"userId": "u0", "status": "left", "reason": "criteria", "entryCount": 1}]}));
    table.row(
        "BK-223 any key",
        &server.get("/v1/admin/buckets/pro/members?userId=u1%40example.com").await,
        200,
        &json!({"total": 1, "members": [{"userId": "u1"}]}),
    );
    table.row(
        "BK-223 nobody",
        &server.get("/v1/admin/buckets/pro/members?userId=nobody").await,
        200,
        &json!({"total": 0, "members": []}),
    );
    table.row(
        "BK-223",
        &server.get("/v1/admin/buckets/pro/members?status=gone").await,
        400,
        &json!({"success": false}),
    );
    table.row(
        "BK-223",
        &server.get("/v1/admin/buckets/pro/members?limit=1&offset=1").await,
        200,
        &json!({"total": 2, "members": [{"userId": "u1"}]}),
    );
    table.row(
        "BK-223",
        &server.get("/v1/admin/buckets/nothing/members").await,
        404,
        &error("Bucket not found"),
    );
    table.row("BK-224", &server.get("/v1/admin/metrics/buckets").await, 200, &json!({"buckets": [{"bucketId": "buyers", "size": 0}, {"bucketId": "pro", "size": 2, "entered": 3, "left": 1}]}));
    table.row(
        "BK-225",
        &server.get("/v1/admin/metrics/buckets/pro").await,
        200,
        &json!({"bucketId": "pro", "size": 2, "points": [{"entered": 3, "left": 1}]}),
    );
    table.row("BK-225", &server.get("/v1/admin/metrics/buckets/nothing").await, 404, &json!({}));

    for body in [json!({}), json!({"enabled": "no"}), json!({"enabled": null})] {
        table.row(
            "BK-222",
            &server.patch("/v1/admin/buckets/pro", &body).await,
            400,
            &json!({"success": false}),
        );
    }
    table.row(
        "BK-222",
        &server.patch("/v1/admin/buckets/nothing", &json!({"enabled": true})).await,
        404,
        &error("Bucket not found"),
    );
    let off = server.patch("/v1/admin/buckets/pro", &json!({"enabled": false})).await;
    table.row("BK-222", &off, 200, &json!({"bucket": {"id": "pro", "name": "Pro", "enabled": false}}));
    table.row(
        "BK-220",
        &server.get("/v1/admin/buckets?enabled=true").await,
        200,
        &json!({"total": 1, "buckets": [{"id": "buyers"}]}),
    );
    let ignored = json!({"name": "x", "userId": "u9", "contactProperties": {"plan": "pro"}});
    table.row(
        "BK-200",
        &server.post("/v1/events", &ignored).await,
        202,
        &json!({"buckets": {"entered": [], "left": []}}),
    );

    // The switch outlives the process; switching on decides everybody anew.
    server.stop();
    let server = site.start();
    table.row(
        "BK-200",
        &server.get("/v1/admin/buckets/pro").await,
        200,
        &json!({"bucket": {"enabled": false}}),
    );
    server.patch("/v1/admin/buckets/pro", &json!({"enabled": true})).await.expect(200);
    crate::server::eventually("the bucket is built", async || {
        server.get("/v1/admin/buckets/pro").await.expect(200)["bucket"]["state"] == "live"
    })
    .await;
    table.row(
        "BK-183",
        &server.get("/v1/admin/buckets/pro").await,
        200,
        &json!({"bucket": {"enabled": true, "counts": {"active": 3}}}),
    );
    table.end();
}
