//! Who is in a bucket, on the admin plane: exact shapes, pages, single members, deleted ones.

use mainspring_schemas::Timestamp;
use serde_json::{Value, json};

use super::{Table, error, issues, members, site, wanted};
use crate::{
    http::Request,
    server::{ADMIN, Server, Site},
};

const DAY: i64 = 24 * 3_600_000;

/// Every wire field of a member (BK-60), with those that are ours: `contactId`, `reason`, `maxDwellAt`.
pub(super) const FIELDS: [&str; 17] = [
    "bucketId",
    "contactId",
    "context",
    "createdAt",
    "enteredAt",
    "entryCount",
    "expiresAt",
    "id",
    "lastEvaluatedAt",
    "leftAt",
    "maxDwellAt",
    "reason",
    "source",
    "status",
    "updatedAt",
    "userEmail",
    "userId",
];

const CLOCKED: [(&str, &str); 2] = [
    ("a-active", "id: active\nname: Active\nenabled: true\ncriteria: {event: app.opened, within: 7d}\n"),
    (
        "b-pro",
        "id: pro\nname: Pro\nenabled: true\nminDwell: 1d\nmaxDwell: 30d\ncriteria: {prop: plan, eq: pro}\n",
    ),
];

pub(super) async fn event(server: &Server, body: Value) {
    server.post("/v1/events", &body).await.expect(202);
}

pub(super) async fn pro(server: &Server, user: &str) {
    event(server, json!({"name": "x", "userId": user, "contactProperties": {"plan": "pro"}})).await;
}

fn instant(value: &Value) -> Timestamp {
    value.as_str().unwrap().parse().unwrap()
}

fn later(value: &Value, millis: i64) -> Value {
    json!(instant(value).plus(millis))
}

pub(super) async fn contact(server: &Server, name: &str) -> Value {
    server.get(&format!("/v1/admin/contacts/{name}")).await.expect(200)["contact"].clone()
}

async fn only_member(server: &Server, bucket: &str) -> Value {
    let page = server.get(&format!("/v1/admin/buckets/{bucket}/members")).await.expect(200);
    assert_eq!(page["total"], 1, "{page}");
    page["members"][0].clone()
}

#[tokio::test]
async fn bk_60_the_exact_fields_of_a_stay_through_its_life() {
    let site = Site::new(&CLOCKED);
    let server = site.start();
    let body =
        json!({"name": "app.opened", "email": "Ann@Example.com", "contactProperties": {"plan": "pro"}});
    event(&server, body).await;
    let ann = contact(&server, "ann@example.com").await;

    let active = only_member(&server, "active").await;
    assert_eq!(members(&active), FIELDS);
    let entered = active["enteredAt"].clone();
    let expected = json!({
        "id": active["id"], "contactId": ann["id"], "userId": ann["id"], "userEmail": "ann@example.com",
        "bucketId": "active", "status": "active", "enteredAt": entered, "leftAt": null, "reason": null,
        "expiresAt": later(&entered, 7 * DAY + 1), "maxDwellAt": null, "lastEvaluatedAt": entered,
        "entryCount": 1, "source": "event", "context": {}, "createdAt": entered, "updatedAt": entered,
    });
    assert_eq!(active, expected, "the window's end is the clock's; who has no key is called by id (KE-20)");
    let member = only_member(&server, "pro").await;
    assert_eq!(member["expiresAt"], Value::Null, "no clock is in the criteria");
    assert_eq!(member["maxDwellAt"], later(&member["enteredAt"], 30 * DAY));

    // A stable member is evaluated, too, and its deadline moves with what it does.
    event(&server, json!({"name": "app.opened", "email": "ann@example.com"})).await;
    let ann = contact(&server, "ann@example.com").await;
    let again = only_member(&server, "active").await;
    assert_eq!(again["lastEvaluatedAt"], ann["lastSeenAt"]);
    assert_eq!(again["expiresAt"], later(&ann["lastSeenAt"], 7 * DAY + 1));
    assert_eq!((&again["id"], &again["updatedAt"]), (&active["id"], &active["updatedAt"]));

    // A deferred leave ends when the shortest stay does (BK-92).
    event(&server, json!({"name": "x", "email": "ann@example.com", "contactProperties": {"plan": "free"}}))
        .await;
    let deferred = only_member(&server, "pro").await;
    assert_eq!(deferred["expiresAt"], later(&deferred["enteredAt"], DAY));
    let ann = contact(&server, "ann@example.com").await;
    assert_eq!(deferred["lastEvaluatedAt"], ann["lastSeenAt"]);

    // A bucket that is off decides nothing, so nothing expires (BK-201).
    server.patch("/v1/admin/buckets/active", &json!({"enabled": false})).await.expect(200);
    let off = only_member(&server, "active").await;
    assert_eq!((&off["expiresAt"], &off["lastEvaluatedAt"]), (&Value::Null, &Value::Null));

    // Stays and when they were decided outlive the process; deadlines are known once the contact acts.
    server.stop();
    let server = site.start();
    assert_eq!(only_member(&server, "pro").await["lastEvaluatedAt"], deferred["lastEvaluatedAt"]);
    event(&server, json!({"name": "x", "email": "ann@example.com"})).await;
    let mut known = only_member(&server, "pro").await;
    known["lastEvaluatedAt"] = deferred["lastEvaluatedAt"].clone();
    assert_eq!(known, deferred);
}

#[tokio::test]
async fn sb_62_pages_by_cursor() {
    let site = site();
    let server = site.start();
    let mut table = Table::default();
    for n in 0..5 {
        pro(&server, &format!("u{n}")).await;
    }
    let page = async |cursor: &str, limit: u8| {
        server.get(&format!("/v1/admin/buckets/pro/members?cursor={cursor}&limit={limit}")).await.expect(200)
    };
    let first = page("", 2).await;
    table.same("BK-211", members(&first), vec!["count", "limit", "members", "nextCursor"]);
    table.same("BK-60", members(&first["members"][0]), FIELDS.to_vec());
    let mut lengths = Vec::new();
    let mut seen: Vec<String> = Vec::new();
    let mut cursor = String::new();
    loop {
        let page = page(&cursor, 2).await;
        table.same("SB-62 count", &page["count"], &json!(5));
        let ids =
            page["members"].as_array().unwrap().iter().map(|stay| stay["id"].as_str().unwrap().to_owned());
        lengths.push(ids.len());
        seen.extend(ids);
        match page["nextCursor"].as_str() {
            Some(next) => cursor = next.to_owned(),
            None => break,
        }
    }
    table.same("SB-62", lengths, vec![2, 2, 1]);
    table.same("SB-62 ordered, no duplicates", seen.is_sorted_by(|a, b| a < b), true);
    let whole = page("", 100).await;
    table.same(
        "SB-62 last",
        (whole["members"].as_array().unwrap().len(), &whole["nextCursor"]),
        (5, &Value::Null),
    );

    // Whoever was shown leaves, and somebody comes: the rest is shown as it was.
    let second = first["members"][1]["userId"].as_str().unwrap();
    event(&server, json!({"name": "x", "userId": second, "contactProperties": {"plan": "free"}})).await;
    let next = page(first["nextCursor"].as_str().unwrap(), 3).await;
    let rest: Vec<&str> =
        next["members"].as_array().unwrap().iter().map(|stay| stay["id"].as_str().unwrap()).collect();
    table.same("BK-211 stable", rest, seen[2..].iter().map(String::as_str).collect());
    table.same("BK-211 snapshot", &next["count"], &json!(4));

    let path = "/v1/admin/buckets/pro/members";
    for (query, found) in [
        ("cursor=17", ("invalid_format", "cursor")),
        ("cursor=018F9F3A-2C41-7C3E-9A50-1F0D6B1F7A11", ("invalid_format", "cursor")),
        ("cursor=&limit=0", ("too_small", "limit")),
        ("limit=0", ("too_small", "limit")),
        ("cursor=&limit=101", ("too_big", "limit")),
        ("cursor=&limit=-1", ("invalid_format", "limit")),
        ("cursor=&offset=2", ("custom", "offset")),
        ("cursor=&status=left", ("custom", "status")),
        ("cursor=&userId=u1", ("custom", "userId")),
    ] {
        let answer = server.get(&format!("{path}?{query}")).await;
        table.row(query, &answer, 400, &json!({"success": false}));
        table.same(query, issues(&answer), wanted(&[found]));
    }
    let nothing = server.get("/v1/admin/buckets/nothing/members?cursor=").await;
    table.row("BK-223", &nothing, 404, &error("Bucket not found"));
    table.end();
}

#[tokio::test]
async fn bk_210_whether_somebody_is_a_member_by_any_key() {
    let site = site();
    let server = site.start();
    let mut table = Table::default();
    let anonymous =
        server.put("/v1/contacts", &json!({"anonymousId": "web-1", "userId": "gone"})).await.expect(200);
    for (user, email) in [("u1", "u1@example.com"), ("u2", "u2@example.com"), ("u3", "u3@example.com")] {
        let body = json!({"name": "x", "userId": user, "email": email, "contactProperties": {"plan": "pro"}});
        event(&server, body).await;
    }
    event(&server, json!({"name": "x", "userId": "u2", "contactProperties": {"plan": "free"}})).await;
    server.delete("/v1/contacts?userId=u3").await.expect(200);
    event(&server, json!({"name": "x", "email": "only@example.com", "contactProperties": {"plan": "pro"}}))
        .await;
    let id = contact(&server, "u1").await["id"].as_str().unwrap().to_owned();
    let ask = async |key: &str| server.get(&format!("/v1/admin/buckets/pro/members/{key}")).await;

    let yes = ask("u1").await;
    table.row("BK-210", &yes, 200, &json!({"member": true, "stay": {"userId": "u1", "status": "active"}}));
    table.same("BK-210", members(&yes.json()), vec!["member", "stay"]);
    table.same("BK-60", members(&yes.json()["stay"]), FIELDS.to_vec());
    let listed = server.get("/v1/admin/buckets/pro/members?userId=u1").await.expect(200);
    table.same("BK-212 one answer everywhere", &yes.json()["stay"], &listed["members"][0]);
    for key in ["u1%40example.com", "U1%40Example.com", &id, "only%40example.com"] {
        table.row(key, &ask(key).await, 200, &json!({"member": true}));
    }
    for key in ["u2", "u3", "u3%40example.com", "nobody", "gone", "018f9f3a-2c41-7c3e-9a50-1f0d6b1f7a11"] {
        table.same(key, ask(key).await.expect(200), json!({"member": false}));
    }
    table.row(
        "BK-210",
        &server.get("/v1/admin/buckets/nothing/members/u1").await,
        404,
        &error("Bucket not found"),
    );
    let unknown = server.send(Request::new("GET", "/v1/admin/buckets/pro/members/u1")).await;
    table.same("AU-27", unknown.status(), 401);
    let ingest = super::key(&server, &["ingest"]).await;
    let request = Request::new("GET", "/v1/admin/buckets/pro/members/u1").key(&ingest);
    table.same("AU-20", server.send(request).await.status(), 403);
    table.same("HT-24", server.post("/v1/admin/buckets/pro/members/u1", &json!({})).await.status(), 405);

    // The id of a contact that was merged away still finds the member (KE-22, SB-69).
    server.put("/v1/contacts", &json!({"userId": "gone", "email": "u1@example.com"})).await;
    let merged_away = anonymous["id"].as_str().unwrap();
    let answered = contact(&server, merged_away).await["id"].clone();
    table.same("KE-22", &contact(&server, "u1").await["id"], &answered);
    for key in [merged_away, &id, "u1", "gone", "web-1"] {
        table.row(key, &ask(key).await, 200, &json!({"member": true}));
    }
    table.end();
}

/// Everything that counts or lists members of `pro`.
async fn everywhere(server: &Server) -> Vec<Value> {
    let get = async |path: &str| server.send(Request::new("GET", path).key(ADMIN)).await.expect(200);
    let one = get("/v1/admin/buckets/pro").await["bucket"].clone();
    let listed = get("/v1/admin/buckets").await["buckets"][1]["counts"].clone();
    let members = get("/v1/admin/buckets/pro/members").await;
    let ended = get("/v1/admin/buckets/pro/members?status=left").await;
    let paged = get("/v1/admin/buckets/pro/members?cursor=").await;
    let metrics = get("/v1/admin/metrics/buckets").await["buckets"][1].clone();
    let series = get("/v1/admin/metrics/buckets/pro").await;
    let overview = get("/v1/admin/metrics/overview").await;
    let contacts = get("/v1/admin/contacts?bucket=pro").await;
    let length = |value: &Value| json!(value.as_array().unwrap().len());
    let points = |what: &str| {
        json!(series["points"].as_array().unwrap().iter().map(|p| p[what].as_u64().unwrap()).sum::<u64>())
    };
    vec![
        json!([one["counts"], listed, length(&one["recentMembers"])]),
        json!([members["total"], length(&members["members"]), paged["count"], length(&paged["members"])]),
        json!([ended["total"], length(&ended["members"])]),
        json!([
            metrics["size"],
            metrics["entered"],
            metrics["left"],
            series["size"],
            points("entered"),
            points("left")
        ]),
        json!([overview["activeBuckets"], overview["bucketMembers"], contacts["total"]]),
    ]
}

#[tokio::test]
async fn bk_228_bk_244_a_deleted_contacts_stays_count_nowhere() {
    let site = site();
    let server = site.start();
    for user in ["stays", "goes", "leaves"] {
        pro(&server, user).await;
    }
    for user in ["goes", "leaves"] {
        event(&server, json!({"name": "x", "userId": user, "contactProperties": {"plan": "free"}})).await;
    }
    pro(&server, "goes").await;
    let counts = json!({"active": 2, "left": 2});
    let before = [
        json!([counts, counts, 2]),
        json!([2, 2, 2, 2]),
        json!([2, 2]),
        json!([2, 4, 2, 2, 4, 2]),
        json!([1, 2, 2]),
    ];
    assert_eq!(everywhere(&server).await, before);
    server.delete("/v1/admin/contacts/goes").await.expect(200);
    let counts = json!({"active": 1, "left": 1});
    let after = [
        json!([counts, counts, 1]),
        json!([1, 1, 1, 1]),
        json!([1, 1]),
        json!([1, 2, 1, 1, 2, 1]),
        json!([1, 1, 1]),
    ];
    assert_eq!(everywhere(&server).await, after);
    // A new contact under the old key begins anew (BK-245).
    pro(&server, "goes").await;
    let again = server.get("/v1/admin/buckets/pro/members/goes").await.expect(200);
    assert_eq!((&again["member"], &again["stay"]["entryCount"]), (&json!(true), &json!(1)));
}
