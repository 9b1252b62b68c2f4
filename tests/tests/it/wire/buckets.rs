//! Buckets on the admin plane.

use mainspring_schemas::Timestamp;
use serde_json::{Value, json};

use super::{Table, error, members, site};
use crate::server::{Server, Site, eventually};

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
    eventually("the bucket is built", async || {
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

const OPTIONS: &str = "id: options\nname: Options\ndescription: All of them\nenabled: true\n\
    criteria: {event: app.opened, within: 7d}\nentryLimit: once_per_period\nentryPeriod: 1d\n\
    minDwell: 1h\nmaxDwell: 30d\nreconcileEvery: 5m\nfastExpiry: true\nsyncToPostHog: true\n";

const PRO: &str = "id: pro\nname: Pro\nenabled: true\ncriteria: {prop: plan, eq: pro}\n";

async fn plan(server: &Server, user: &str, plan: &str) {
    let body = json!({"name": "x", "userId": user, "contactProperties": {"plan": plan}});
    server.post("/v1/events", &body).await.expect(202);
}

async fn live(server: &Server, bucket: &str) -> Value {
    let path = format!("/v1/admin/buckets/{bucket}");
    let get = async || server.get(&path).await.expect(200)["bucket"].clone();
    eventually("the bucket is built", async || get().await["state"] == "live").await;
    get().await
}

#[tokio::test]
async fn bk_220_bk_221_exact_shapes_with_and_without_options() {
    let site = Site::new(&[("a-options", OPTIONS), ("b-pro", PRO)]);
    let server = site.start();
    for bucket in ["options", "pro"] {
        live(&server, bucket).await;
    }
    let listed = server.get("/v1/admin/buckets").await.expect(200);
    assert_eq!(members(&listed), ["buckets", "limit", "offset", "total"]);
    let with_options = json!({
        "id": "options", "name": "Options", "description": "All of them", "enabled": true, "kind": "dynamic",
        "timeBased": true, "entryLimit": "once_per_period", "counts": {"active": 0, "left": 0},
        "state": "live", "backfill": {"processed": 0, "total": 0},
        "updatedAt": listed["buckets"][0]["updatedAt"],
    });
    let without = json!({
        "id": "pro", "name": "Pro", "enabled": true, "kind": "dynamic", "timeBased": false,
        "entryLimit": "unlimited", "counts": {"active": 0, "left": 0},
        "state": "live", "backfill": {"processed": 0, "total": 0},
        "updatedAt": listed["buckets"][1]["updatedAt"],
    });
    assert_eq!(listed["buckets"], json!([with_options, without]));

    let with = |summary: &Value, details: Value| {
        let mut whole = summary.clone();
        whole.as_object_mut().unwrap().extend(details.as_object().unwrap().clone());
        json!({ "bucket": whole })
    };
    let expected = json!({
        "criteria": {"type": "event", "eventName": "app.opened", "check": "exists", "within": {"hours": 168}},
        "entryPeriod": {"hours": 24}, "minDwell": {"hours": 1}, "maxDwell": {"hours": 720},
        "reconcileEvery": {"minutes": 5}, "fastExpiry": true, "syncToPostHog": true,
        "feedsJourneys": [], "recentMembers": [],
    });
    let options = server.get("/v1/admin/buckets/options").await.expect(200);
    assert_eq!(options, with(&with_options, expected));
    let expected = json!({
        "criteria": {"type": "property", "property": "plan", "operator": "eq", "value": "pro"},
        "fastExpiry": false, "syncToPostHog": false, "feedsJourneys": [], "recentMembers": [],
    });
    let pro = server.get("/v1/admin/buckets/pro").await.expect(200);
    assert_eq!(pro, with(&without, expected), "options that are not set are absent");
}

#[tokio::test]
async fn bk_221_recent_members_are_the_ten_newest_as_the_members_list_shows_them() {
    let site = Site::new(&[("b-pro", PRO)]);
    let server = site.start();
    for n in 0..40 {
        plan(&server, &format!("u{n}"), "pro").await;
    }
    let recent = server.get("/v1/admin/buckets/pro").await.expect(200)["bucket"]["recentMembers"].clone();
    let listed = server.get("/v1/admin/buckets/pro/members").await.expect(200)["members"].clone();
    let (recent, listed) = (recent.as_array().unwrap(), listed.as_array().unwrap());
    assert_eq!((recent.len(), listed.len()), (10, 40));
    assert_eq!(recent[..], listed[..10]);
    // More contacts than are asked at a time; each of them answered.
    assert!(listed.iter().all(|stay| stay["lastEvaluatedAt"] == stay["enteredAt"]));
}

#[tokio::test]
async fn sb_64_bk_229_a_switched_off_bucket_joins_nobody_and_fills_silently_when_switched_on() {
    let site = Site::new(&[("b-pro", PRO)]);
    let server = site.start();
    let off = server.patch("/v1/admin/buckets/pro", &json!({"enabled": false})).await.expect(200);
    assert_eq!(members(&off["bucket"]), ["enabled", "id", "name", "updatedAt"]);
    for user in ["ann", "bob"] {
        plan(&server, user, "pro").await;
    }
    plan(&server, "eve", "free").await;
    let listed = server.get("/v1/admin/buckets?enabled=false").await.expect(200);
    assert_eq!((&listed["total"], &listed["buckets"][0]["enabled"]), (&json!(1), &json!(false)));
    assert_eq!(server.get("/v1/admin/buckets/pro/members").await.expect(200)["total"], 0);
    assert_eq!(server.get("/v1/admin/buckets/pro/members/ann").await.expect(200), json!({"member": false}));

    server.patch("/v1/admin/buckets/pro", &json!({"enabled": true})).await.expect(200);
    let built = live(&server, "pro").await;
    assert_eq!(built["backfill"], json!({"processed": 3, "total": 3}));
    assert_eq!(built["counts"], json!({"active": 2, "left": 0}));
    let found = server.get("/v1/admin/buckets/pro/members").await.expect(200);
    for stay in found["members"].as_array().unwrap() {
        assert_eq!((&stay["source"], &stay["entryCount"]), (&json!("backfill"), &json!(1)));
    }
    let listed = server.get("/v1/admin/buckets").await.expect(200)["buckets"][0].clone();
    assert_eq!((&listed["state"], &listed["backfill"]), (&built["state"], &built["backfill"]));
}

#[tokio::test]
async fn bk_224_to_bk_226_exact_shapes_of_the_figures() {
    let site = Site::new(&[("a-options", OPTIONS), ("b-pro", PRO)]);
    let server = site.start();
    for (user, plans) in [("ann", &["pro", "free", "pro"][..]), ("bob", &["pro"])] {
        for name in plans {
            plan(&server, user, name).await;
        }
    }
    let figures = server.get("/v1/admin/metrics/buckets").await.expect(200);
    let without = json!({"bucketId": "options", "name": "Options", "size": 0, "entered": 0, "left": 0, "avgDwellSecs": null});
    let seconds = figures["buckets"][1]["avgDwellSecs"].clone();
    assert!(seconds.as_i64().is_some_and(|seconds| (0..60).contains(&seconds)), "{seconds}");
    let with = json!({"bucketId": "pro", "name": "Pro", "size": 2, "entered": 3, "left": 1, "avgDwellSecs": seconds});
    assert_eq!(figures, json!({"buckets": [without, with]}));

    let stays = server.get("/v1/admin/buckets/pro/members").await.expect(200);
    let day = stays["members"][0]["enteredAt"].as_str().unwrap()[..10].to_owned();
    let path = "/v1/admin/metrics/buckets/pro";
    let series = server.get(path).await.expect(200);
    let points = series["points"].as_array().unwrap();
    // Midnight may fall between two of the calls.
    assert!((1..=2).contains(&points.len()), "{series}");
    assert_eq!(points.last().unwrap()["date"], format!("{day} 00:00:00+00"));
    assert_eq!(members(&series), ["bucketId", "points", "size"]);
    assert_eq!(members(&points[0]), ["date", "entered", "left"]);
    let midnight: Timestamp = format!("{day}T00:00:00Z").parse().unwrap();
    let later = midnight.plus(2 * 86_400_000);
    let nothing = server.get(&format!("{path}?from={later}")).await.expect(200);
    assert_eq!(nothing, json!({"bucketId": "pro", "size": 2, "points": []}), "only periods with activity");
    for period in ["day", "week", "month"] {
        let from = midnight.plus(-86_400_000);
        let series = server.get(&format!("{path}?period={period}&from={from}&to={later}")).await.expect(200);
        let sum = |what: &str| -> u64 {
            series["points"].as_array().unwrap().iter().map(|point| point[what].as_u64().unwrap()).sum()
        };
        assert_eq!((sum("entered"), sum("left")), (3, 1), "{period}");
    }
    for refused in ["period=year", "from=yesterday"] {
        server.get(&format!("{path}?{refused}")).await.expect(400);
    }
    let overview = server.get("/v1/admin/metrics/overview").await.expect(200);
    assert_eq!((&overview["activeBuckets"], &overview["bucketMembers"]), (&json!(1), &json!(2)));
}

#[tokio::test]
async fn bk_10_bk_221_bk_222_a_bucket_may_be_called_preview() {
    let site = site();
    site.define("c-preview", "id: preview\nname: Preview\nenabled: true\ncriteria: {prop: plan, eq: pro}\n");
    let server = site.start();
    let path = "/v1/admin/buckets/preview";
    assert_eq!(server.get(path).await.expect(200)["bucket"]["name"], "Preview");
    let off = server.patch(path, &json!({"enabled": false})).await.expect(200);
    assert_eq!(off["bucket"]["enabled"], false);
    let found = server.post(path, &json!({"criteria": {"prop": "plan", "eq": "pro"}})).await.expect(200);
    assert_eq!(found["size"], 0, "and criteria can still be tried");
}
