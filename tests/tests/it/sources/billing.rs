//! Sources of files.

use std::path::PathBuf;

use serde_json::json;

use super::{callback, contacts, events, hex, hmac, refused, seconds, skipped};
use crate::{binary, http::Request, server::Site};

fn examples() -> PathBuf {
    PathBuf::from("../examples/sources")
}

fn signed(body: &serde_json::Value) -> Request {
    let body = body.to_string();
    let signature = hex(&hmac(b"billing", body.as_bytes()));
    callback("billing", body).header("x-signature", &signature)
}

#[tokio::test]
async fn ws_140_the_documented_example_works() {
    let site = Site::new(&[])
        .with("SOURCES_DIR", examples().to_str().unwrap())
        .with("BILLING_WEBHOOK_SECRET", "old billing");
    let server = site.start();
    let body = json!({
        "id": "b1", "type": "subscription.renewed", "created": seconds(-60),
        "customer": {"id": "c1", "email": "Ada@example.com", "plan": "pro", "name": null},
    });
    let expected =
        json!({"ok": true, "event": "subscription.renewed", "userId": "c1", "exits": [], "stored": true});
    assert_eq!(server.send(signed(&body)).await.expect(200), expected);
    assert_eq!(server.send(signed(&body)).await.expect(200)["stored"], false);
    let found = contacts(&server).await;
    assert_eq!((found.len(), &found[0]["email"]), (1, &json!("ada@example.com")));
    assert_eq!(found[0]["properties"], json!({}));
    assert_eq!(events(&server, &found[0]).await, [("subscription.renewed".to_owned(), "billing".to_owned())]);
    let mut other = body.clone();
    other["type"] = json!("invoice.paid");
    skipped(&server.send(signed(&other)).await);
    let answer =
        server.send(signed(&json!({"id": "b2", "type": "subscription.x", "customer": {}}))).await.expect(400);
    let missing = "id: Invalid input: expected string, received undefined";
    assert_eq!(answer["details"]["fieldErrors"], json!({"customer": [missing]}));
    let forged = server.send(signed(&body).header("x-signature", "00")).await;
    refused(&forged, 401, "Invalid webhook signature");
}

#[tokio::test]
async fn ss_03_a_source_of_a_file_without_its_secret_refuses_everything() {
    let site = Site::new(&[]);
    let folder = site.root().join("sources");
    std::fs::create_dir(&folder).unwrap();
    let matching =
        "source: plain\nauth: { type: match, env: PLAIN_SECRET, header: x-s }\nevent: e\nuser_id: u\n";
    std::fs::write(folder.join("plain.yaml"), matching).unwrap();
    std::fs::copy(examples().join("billing.yaml"), folder.join("billing.yaml")).unwrap();
    let server = site.with("SOURCES_DIR", folder.to_str().unwrap()).start();
    refused(&server.send(callback("billing", "{}")).await, 401, "Webhook signature not configured");
    refused(&server.send(callback("plain", "{}")).await, 401, "Webhook secret not configured");
}

#[test]
fn ss_18_ws_41_reserved_ids_are_refused_at_the_start() {
    let site = Site::new(&[]);
    let folder = site.root().join("sources");
    std::fs::create_dir(&folder).unwrap();
    let text = "source: email\nauth: { type: match, env: S, header: x-s }\nevent: e\nuser_id: u\n";
    std::fs::write(folder.join("email.yaml"), text).unwrap();
    let definitions = site.definitions();
    let site = site.with("SOURCES_DIR", folder.to_str().unwrap());
    let (code, said) = site.spawn().end();
    assert_eq!(code, Some(2));
    assert!(said.contains("email.yaml:1:9: error: source: `email` is reserved"), "{said}");

    let mut check = binary::command();
    check.arg("check").arg(definitions).arg("--sources").arg(folder).arg("--json");
    let output = check.output().unwrap();
    let document: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(
        (output.status.code(), &document["ok"], &document["files"]),
        (Some(2), &json!(false), &json!(1))
    );
    let mut check = binary::command();
    check.arg("check").arg(site.definitions()).arg("--sources").arg(examples());
    let output = check.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    assert!(String::from_utf8_lossy(&output.stderr).contains("1 webhook sources"));
}
