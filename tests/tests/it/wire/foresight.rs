//! What criteria would match, and why somebody is in a bucket.

use mainspring_schemas::Timestamp;
use serde_json::json;

use super::{Table, error, members, site};

#[tokio::test]
async fn bk_229_a_preview_counts_and_shows_who_criteria_would_match() {
    let server = site().start();
    let mut table = Table::default();
    for n in 0..5 {
        let plan = if n < 3 { "pro" } else { "free" };
        let body = json!({"name": "x", "userId": format!("u{n}"), "email": format!("u{n}@example.com"), "contactProperties": {"plan": plan}});
        server.post("/v1/events", &body).await.expect(202);
    }
    server.delete("/v1/admin/contacts/u4").await.expect(200);
    let path = "/v1/admin/buckets/preview";
    let pro = json!({"type": "property", "property": "plan", "operator": "eq", "value": "pro"});
    let found = server.post(path, &json!({"criteria": {"prop": "plan", "eq": "pro"}, "limit": 2})).await;
    table.row(
        "BK-229",
        &found,
        200,
        &json!({
            "size": 3, "evaluated": 4, "criteria": pro, "warnings": [],
            "hash": "ac3d4442d5fdb740ba31377346a91a230ab0c14b2c24ef97f74eec08edad3e74",
            "sample": [{"userId": "u0", "userEmail": "u0@example.com"}, {"userId": "u1"}],
        }),
    );
    table.same("BK-229 sample", members(&found.json()["sample"][0]), vec!["id", "userEmail", "userId"]);
    let nobody = json!({"criteria": {"event": "order.placed"}});
    table.row(
        "BK-229",
        &server.post(path, &nobody).await,
        200,
        &json!({"size": 0, "evaluated": 4, "sample": []}),
    );

    let wrong = [
        (json!({}), vec![json!(["criteria"])]),
        (json!({"criteria": {"prop": "plan", "eq": "pro"}, "limit": 101}), vec![json!(["limit"])]),
        (
            json!({"criteria": [{"prop": "plan", "eq": {}}, {"event": "x", "within": "soon"}]}),
            vec![json!(["criteria", 0, "eq"]), json!(["criteria", 1, "within"])],
        ),
    ];
    for (body, paths) in wrong {
        let refused = server.post(path, &body).await;
        table.row("BK-229", &refused, 400, &json!({"success": false}));
        let found: Vec<_> =
            refused.json()["issues"].as_array().unwrap().iter().map(|issue| issue["path"].clone()).collect();
        table.same(&format!("BK-229 {body}"), found, paths);
    }
    table.end();
}

#[tokio::test]
async fn a_membership_is_explained_now_and_at_a_past_instant() {
    let server = site().start();
    let mut table = Table::default();
    let joined = json!({"name": "x", "userId": "u1", "contactProperties": {"plan": "pro"}});
    server.post("/v1/events", &joined).await.expect(202);
    let path = "/v1/admin/contacts/u1/buckets/pro/why";
    let now = server.get(path).await;
    table.row(
        "why",
        &now,
        200,
        &json!({
            "member": true, "because": "criteria", "nextChangeAt": null,
            "stay": {"entryCount": 1, "source": "event", "maxDwellAt": null},
            "definition": {"id": "pro", "name": "Pro", "enabled": true},
            "criteria": {"type": "property", "holds": true, "observed": "pro"},
        }),
    );
    let entered: Timestamp = now.json()["stay"]["enteredAt"].as_str().unwrap().parse().unwrap();
    let left = json!({"name": "x", "userId": "u1", "contactProperties": {"plan": "free"}});
    crate::server::eventually("the clock has moved on", async || {
        server.get(path).await.expect(200)["at"].as_str().unwrap() > entered.to_string().as_str()
    })
    .await;
    server.post("/v1/events", &left).await.expect(202);
    table.row(
        "why",
        &server.get(path).await,
        200,
        &json!({"member": false, "stay": null, "criteria": {"holds": false, "observed": "free"}}),
    );
    table.row(
        "why then",
        &server.get(&format!("{path}?at={entered}")).await,
        200,
        &json!({"at": entered, "member": true, "criteria": {"holds": true, "observed": "pro"}}),
    );
    let before = entered.plus(-1);
    table.row(
        "why before",
        &server.get(&format!("{path}?at={before}")).await,
        404,
        &error(&format!("Contact did not exist at {before}")),
    );
    for (at, what) in [("2999-01-01T00:00:00Z", "future"), ("noon", "no instant")] {
        table.row(what, &server.get(&format!("{path}?at={at}")).await, 400, &json!({"success": false}));
    }
    table.row(
        "why",
        &server.get("/v1/admin/contacts/u1/buckets/nothing/why").await,
        404,
        &error("Bucket not found"),
    );
    table.row(
        "why",
        &server.get("/v1/admin/contacts/u9/buckets/pro/why").await,
        404,
        &error("Contact not found"),
    );
    table.end();
}
