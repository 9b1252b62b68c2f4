//! Erasure, judged by the bytes on disk: after it no file shows the person, and the log still proves everything else.

use std::{fs, path::Path, process::Command};

use mainspring_schemas::event::{ContactEvent, DomainEvent};
use serde_json::{Value, json};

use crate::{
    binary,
    http::Request,
    journal,
    receiver::Receiver,
    server::{ADMIN, Server, Site, eventually},
};

const PRO: &str = "id: pro\nname: Pro\nenabled: true\ncriteria: {prop: plan, eq: pro}\n";

/// What only Ada's data contains.
const ADA: [&str; 7] = [
    "ada-lovelace-1815",
    "ada@analytical.example",
    "browser-of-ada",
    "Notes on the Engine",
    "ada-subscribed",
    "key-of-adas-event",
    "met-in-london",
];

/// What only Charles's data contains.
const CHARLES: [&str; 2] = ["charles-babbage-1791", "charles@analytical.example"];

/// The files below a directory that contain a text, as UTF-8 or as UTF-16.
pub fn files_with(directory: &Path, needle: &str, found: &mut Vec<String>) {
    let wide: Vec<u8> = needle.encode_utf16().flat_map(u16::to_le_bytes).collect();
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files_with(&path, needle, found);
            continue;
        }
        let bytes = fs::read(&path).unwrap();
        let holds = |needle: &[u8]| bytes.windows(needle.len()).any(|window| window == needle);
        if holds(needle.as_bytes()) || holds(&wide) {
            found.push(format!("{needle}: {}", path.display()));
        }
    }
}

pub fn traces(directory: &Path, texts: &[&str]) -> Vec<String> {
    let mut found = Vec::new();
    texts.iter().for_each(|text| files_with(directory, text, &mut found));
    found
}

async fn live_their_lives(server: &Server) {
    // Ada is first known by her address, then by her id: two contacts that become one.
    let ada = json!({
        "name": "ada-subscribed", "email": ADA[1], "anonymousId": ADA[2],
        "eventProperties": {"title": ADA[3]}, "contactProperties": {"plan": "pro", "source": ADA[6]},
    });
    server.post("/v1/events", &ada).await.expect(202);
    server.put("/v1/contacts", &json!({"userId": ADA[0], "properties": {"plan": "pro"}})).await.expect(200);
    let both = json!({"name": "login", "userId": ADA[0], "email": ADA[1], "idempotencyKey": ADA[5]});
    server.post("/v1/events", &both).await.expect(202);
    let charles = json!({"email": CHARLES[1], "userId": CHARLES[0], "properties": {"plan": "pro"}});
    server.put("/v1/contacts", &charles).await.expect(200);
    server.put("/v1/contacts", &json!({"userId": ADA[0], "properties": {"plan": "free"}})).await.expect(200);
}

async fn erase_over_http(server: &Server) -> Value {
    let request =
        Request::new("DELETE", "/v1/contacts?erase=true").key(ADMIN).json(&json!({"userId": ADA[0]}));
    let answer = server.send(request).await;
    assert!([200, 202].contains(&answer.status()), "{}", String::from_utf8_lossy(&answer.body));
    answer.json()
}

async fn stays(server: &Server, status: &str) -> Vec<Value> {
    server.all(&format!("/v1/admin/buckets/pro/members?status={status}"), "members").await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn gd_03_no_file_shows_the_erased_person_and_the_log_proves_the_rest() {
    let site = Site::new(&[("pro", PRO)]);
    let server = site.start();
    // One receiver echoes what it gets, so that the answer is personal too; the other never answers.
    let echo = Receiver::echo().await;
    server.subscribe(&echo.url(), &["*"]).await;
    server.subscribe("http://127.0.0.1:9/closed", &["*"]).await;
    live_their_lives(&server).await;
    eventually("the receiver got everything", async || echo.arrivals().len() >= 5).await;
    eventually("the outcomes are recorded", async || {
        let page = server.get("/v1/admin/webhooks/deliveries?status=delivered").await.json();
        page["deliveries"].as_array().unwrap().len() >= 5
    })
    .await;

    let answer = erase_over_http(&server).await;
    assert_eq!((&answer["erased"], &answer["formerContacts"]), (&json!(true), &json!(1)));
    let id = answer["contactId"].as_str().unwrap().to_owned();
    // The world is told, by the id alone.
    eventually("the erasure is announced", async || {
        echo.arrivals().iter().any(|arrival| {
            let body: Value = serde_json::from_slice(&arrival.request.body).unwrap();
            body["type"] == "contact.deleted" && {
                let data = json!({"id": id, "externalId": null, "email": null, "reason": "erased"});
                assert_eq!(body["data"], data);
                true
            }
        })
    })
    .await;
    assert_eq!(
        server.get(&format!("/v1/contacts/find?userId={}", ADA[0])).await.expect(200)["contacts"],
        json!([])
    );
    let members = stays(&server, "active").await;
    assert_eq!(members.len(), 1, "{members:?}");
    assert_eq!(members[0]["userId"], CHARLES[0]);
    server.stop();

    assert_eq!(traces(&site.data(), &ADA), Vec::<String>::new());
    assert!(!traces(&site.data(), &CHARLES).is_empty(), "the search would find somebody who is there");
    binary::assert_verified(&site.data());
    let entries = journal::read(&site.data()).await;
    let of_ada = entries.iter().filter(|entry| entry.record.stream.as_str().contains(&id));
    assert!(
        of_ada
            .filter(|entry| matches!(entry.event, DomainEvent::Contact(ContactEvent::EventRecorded(_))))
            .count()
            > 0
    );

    // Everything can be made anew from the log, and is the same.
    fs::remove_dir_all(site.data().join("read-models")).unwrap();
    fs::remove_file(site.data().join("snapshots.sqlite")).unwrap();
    let server = site.start();
    assert_eq!(stays(&server, "active").await.len(), 1);
    // Who comes back is somebody new.
    let call = json!({"name": "hello", "userId": ADA[0]});
    server.post("/v1/events", &call).await.expect(202);
    let found = server.get(&format!("/v1/contacts/find?userId={}", ADA[0])).await.expect(200);
    assert_ne!(found["contacts"][0]["id"], json!(id));
    server.stop();
    binary::assert_verified(&site.data());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn gd_03_an_erasure_survives_kills_and_the_restore_of_an_older_backup() {
    let site = Site::new(&[("pro", PRO)]);
    let server = site.start();
    live_their_lives(&server).await;
    server.stop();
    let backup = fs::read(site.data().join("secrets/data-keys")).unwrap();

    let erase = |who: &str| {
        let mut command: Command = binary::command();
        command.args(["contact", "erase", who, "--yes", "--json", "--data-dir"]).arg(site.data());
        let output = command.output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        serde_json::from_slice::<Value>(&output.stdout).unwrap()
    };
    let first = erase(ADA[1]);
    assert_eq!((&first["alreadyErased"], &first["formerContacts"]), (&json!(false), &json!(1)));
    let again = erase(first["contactId"].as_str().unwrap());
    assert_eq!(again["alreadyErased"], json!(true));
    assert_eq!(traces(&site.data(), &ADA), Vec::<String>::new());

    fs::write(site.data().join("secrets/data-keys"), backup).unwrap();
    let server = site.start();
    server.get("/v1/health").await.expect(200);
    server.kill();
    let server = site.start();
    server.stop();
    let stream = |who: &str| {
        let output = binary::command()
            .args(["stream", who, "--json", "--data-dir"])
            .arg(site.data())
            .output()
            .unwrap();
        String::from_utf8(output.stdout).unwrap()
    };
    let shown = stream(&format!("contact-{}", first["contactId"].as_str().unwrap()));
    assert!(shown.contains("\"erased\":true") && !ADA.iter().any(|trace| shown.contains(trace)), "{shown}");
    assert!(stream(CHARLES[0]).contains(CHARLES[1]));
    binary::assert_verified(&site.data());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn gd_03_erasing_needs_a_full_admin_key_and_a_log_without_its_keys_is_refused() {
    let site = Site::new(&[("pro", PRO)]);
    let server = site.start();
    live_their_lives(&server).await;
    let key = server.post("/v1/admin/api-keys", &json!({"name": "shop", "scopes": ["ingest"]})).await.json();
    let key = key["key"].as_str().unwrap();
    let request = Request::new("DELETE", "/v1/contacts?erase=true").key(key).json(&json!({"userId": ADA[0]}));
    server.send(request).await.expect(403);
    let nobody =
        Request::new("DELETE", "/v1/contacts?erase=true").key(ADMIN).json(&json!({"userId": "nobody"}));
    server.send(nobody).await.expect(404);
    server.stop();
    fs::remove_file(site.data().join("secrets/data-keys")).unwrap();
    let output = binary::command().args(["verify", "--data-dir"]).arg(site.data()).output().unwrap();
    assert_eq!(output.status.code(), Some(3), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(String::from_utf8_lossy(&output.stderr).contains("data-keys is missing"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rs_60_a_user_id_that_looks_like_a_contact_id_is_erased_by_the_admin_path() {
    let site = Site::new(&[]);
    let server = site.start();
    let user = "018f9f3a-2c41-7c3e-9a50-1f0d6b1f7a11";
    let id = server.put("/v1/contacts", &json!({ "userId": user })).await.expect(200)["id"].clone();
    let path = format!("/v1/admin/contacts/{user}?mode=erase");
    let erased = server.delete(&path).await.expect(200);
    assert_eq!(erased["contactId"], id);
    server.delete(&path).await.expect(404);
    // Whoever is erased is still named by the id, and erasing again changes nothing.
    let path = format!("/v1/admin/contacts/{}?mode=erase", id.as_str().unwrap());
    server.delete(&path).await.expect(200);
}
