//! The worked scenarios of buckets.md that concern what operators see (SB-62, SB-64, SB-70, SB-78).

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::{Table, site};
use crate::server::{Server, Site};

/// Sends an event of somebody who pays.
async fn pay(server: &Server, who: &Value) -> Value {
    let mut body = json!({"name": "user.updated", "contactProperties": {"plan": "pro"}});
    let members = who.as_object().unwrap().clone();
    body.as_object_mut().unwrap().extend(members);
    server.post("/v1/events", &body).await.expect(202)
}

#[tokio::test]
async fn sb_62_pages_of_two_show_five_members_once() {
    let server = site().start();
    for number in 0..5 {
        pay(&server, &json!({"userId": format!("u{number}")})).await;
    }
    let (mut sizes, mut users) = (Vec::new(), BTreeSet::new());
    for offset in [0, 2, 4] {
        let path = format!("/v1/admin/buckets/pro/members?limit=2&offset={offset}");
        let page = server.get(&path).await.expect(200);
        assert_eq!(page["total"], 5);
        let members = page["members"].as_array().unwrap();
        sizes.push(members.len());
        users.extend(members.iter().map(|member| member["userId"].as_str().unwrap().to_owned()));
    }
    assert_eq!((sizes, users.len()), (vec![2, 2, 1], 5));
    let refused = server.get("/v1/admin/buckets/pro/members?limit=1000").await;
    assert_eq!(refused.status(), 400, "a list is never longer than 100");
    server.stop();
}

#[tokio::test]
async fn sb_64_a_switched_off_bucket_is_listed_as_such() {
    let server = site().start();
    server.patch("/v1/admin/buckets/pro", &json!({"enabled": false})).await.expect(200);
    let listed = server.get("/v1/admin/buckets").await.expect(200);
    let enabled: Vec<(&Value, &Value)> =
        listed["buckets"].as_array().unwrap().iter().map(|row| (&row["id"], &row["enabled"])).collect();
    assert_eq!(enabled, [(&json!("buyers"), &json!(true)), (&json!("pro"), &json!(false))]);
    let answer = pay(&server, &json!({"userId": "u1"})).await;
    assert_eq!(answer["buckets"], json!({"entered": [], "left": []}));
    server.stop();
}

#[tokio::test]
async fn sb_70_a_member_without_a_user_id_is_shown_everywhere() {
    let server = site().start();
    let mut table = Table::default();
    let joined = pay(&server, &json!({"email": "Only@Example.com"})).await;
    table.same("joins", &joined["buckets"], &json!({"entered": ["pro"], "left": []}));
    let contact = joined["contactId"].as_str().unwrap();
    let member = json!({"userId": contact, "userEmail": "only@example.com", "status": "active"});
    let path = "/v1/admin/buckets/pro/members";
    let one = json!({"total": 1, "members": [member]});
    table.row("members", &server.get(path).await, 200, &one);
    for key in ["only%40example.com", contact] {
        let by_key = server.get(&format!("{path}?userId={key}")).await;
        table.row(&format!("has, by {key}"), &by_key, 200, &one);
    }
    let bucket = server.get("/v1/admin/buckets/pro").await;
    table.row(
        "count",
        &bucket,
        200,
        &json!({"bucket": {"counts": {"active": 1}, "recentMembers": [member]}}),
    );
    let free = json!({"name": "x", "email": "only@example.com", "contactProperties": {"plan": "free"}});
    let left = server.post("/v1/events", &free).await;
    table.row("leaves", &left, 202, &json!({"buckets": {"entered": [], "left": ["pro"]}}));
    table.row("members", &server.get(path).await, 200, &json!({"total": 0, "members": []}));
    table.end();
    server.stop();
}

#[tokio::test]
async fn sb_78_a_short_window_is_shown_in_long_form() {
    let week = "id: week\nname: Week\nenabled: true\ncriteria: {event: e, within: 7d}\n";
    let server = Site::new(&[("week", week)]).start();
    let bucket = server.get("/v1/admin/buckets/week").await.expect(200)["bucket"].clone();
    let criteria = json!({"type": "event", "eventName": "e", "check": "exists", "within": {"hours": 168}});
    assert_eq!(bucket["criteria"], criteria);
    assert_eq!(bucket["timeBased"], true);
    server.stop();
}
