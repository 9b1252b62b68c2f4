//! Deletions over HTTP and on the command line: undone while their grace lasts, then erased by the server itself.

use std::{fs, process::Output};

use serde_json::{Value, json};

use crate::{
    binary,
    receiver::Receiver,
    server::{Server, Site, eventually},
};

const PRO: &str = "id: pro\nname: Pro\nenabled: true\ncriteria: {prop: plan, eq: pro}\n";

async fn put(server: &Server, user: &str, email: &str) -> String {
    let body = json!({"userId": user, "email": email, "properties": {"plan": "pro"}});
    let answer = server.put("/v1/contacts", &body).await.expect(200);
    answer["id"].as_str().unwrap().to_owned()
}

async fn members(server: &Server) -> Vec<Value> {
    server.all("/v1/admin/buckets/pro/members?status=active", "members").await
}

fn restore(site: &Site, arguments: &[&str]) -> Output {
    let mut command = binary::command();
    command.args(["contact", "restore", "--json"]).args(arguments).arg("--data-dir").arg(site.data());
    command.output().unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn gd_02_a_deletion_is_undone_over_http_and_on_the_command_line() {
    let site = Site::new(&[("pro", PRO)]);
    let server = site.start();
    let receiver = Receiver::echo().await;
    server.subscribe(&receiver.url(), &["contact.created", "bucket.entered"]).await;
    let ada = put(&server, "ada", "ada@x.io").await;
    let error = |text: &str| json!({ "error": text });
    let path = |name: &str| format!("/v1/admin/contacts/{name}/restore");
    let refused = server.post(&path("ada"), &json!({})).await;
    assert_eq!((refused.status(), refused.json()), (409, error("Contact is not deleted")));
    server.post(&path("nobody"), &json!({})).await.expect(404);

    server.delete("/v1/admin/contacts/ada").await.expect(200);
    let other = put(&server, "other", "ada@x.io").await;
    assert_eq!(members(&server).await.len(), 1);
    let restored = server.post(&path("ada"), &json!({})).await.expect(200);
    assert_eq!((&restored["contact"]["id"], &restored["contact"]["email"]), (&json!(ada), &Value::Null));
    assert_eq!(restored["lostKeys"], json!([{"kind": "email", "value": "ada@x.io"}]));
    assert_eq!(restored["buckets"], json!(["pro"]));
    assert_eq!(members(&server).await.len(), 2);
    let listed = server.get("/v1/admin/contacts?search=ada").await.expect(200);
    assert_eq!(listed["total"], 2, "one by the user id, one by the address");
    // Three contacts came into being, as receivers see it, and three stays began.
    eventually("receivers are told", async || receiver.arrivals().len() >= 6).await;

    server.delete(&format!("/v1/admin/contacts/{ada}")).await.expect(200);
    server.stop();
    let output = restore(&site, &["ada"]);
    let document: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((&document["contactId"], &document["lostKeys"]), (&json!(ada), &json!([])));
    let output = restore(&site, &["ada"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).contains("Contact is not deleted"));
    assert_eq!(restore(&site, &["nobody"]).status.code(), Some(2));
    binary::assert_verified(&site.data());

    let server = site.start();
    for id in [&ada, &other] {
        let found = server.get(&format!("/v1/admin/contacts/{id}")).await.expect(200);
        assert_eq!(found["contact"]["id"], json!(id));
    }
    let erased = server.delete(&format!("/v1/admin/contacts/{ada}?erase=true")).await;
    assert!([200, 202].contains(&erased.status()));
    let refused = server.post(&path(&ada), &json!({})).await.expect(409);
    assert_eq!(refused, error("Contact is erased, which cannot be undone"));
    server.stop();
    binary::assert_verified(&site.data());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ct_74_whoever_is_deleted_is_erased_when_the_grace_ends_also_while_the_server_was_down() {
    let site = Site::new(&[]);
    let server = site.start();
    let early = put(&server, "early", "early@x.io").await;
    server.delete("/v1/admin/contacts/early").await.expect(200);
    server.stop();

    let site = site.with("DELETE_GRACE", "1s");
    // A destroyed key is 32 zeros.
    let destroyed = || {
        let keys = fs::read(site.data().join("secrets/data-keys")).unwrap();
        keys.chunks(32).skip(1).filter(|key| key.iter().all(|byte| *byte == 0)).count()
    };
    assert_eq!(destroyed(), 0);
    let server = site.start();
    let late = put(&server, "late", "late@x.io").await;
    server.delete("/v1/admin/contacts/late").await.expect(200);
    eventually("both graces end", async || destroyed() == 2).await;
    for id in [&early, &late] {
        let path = format!("/v1/admin/contacts/{id}/restore");
        let refused = server.post(&path, &json!({})).await.expect(409);
        assert_eq!(refused["error"], "Contact is erased, which cannot be undone");
    }
    server.stop();
    let log = |who: &str| {
        let stream = format!("contact-{who}");
        let output =
            binary::command().args(["stream", &stream, "--json", "--data-dir"]).arg(site.data()).output();
        String::from_utf8(output.unwrap().stdout).unwrap()
    };
    for (id, address) in [(&early, "early@x.io"), (&late, "late@x.io")] {
        let shown = log(id);
        assert!(shown.contains("contact.erased") && !shown.contains(address), "{shown}");
    }
    binary::assert_verified(&site.data());
}
