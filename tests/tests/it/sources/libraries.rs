//! Callbacks signed by other people's libraries, and by this very system.

use serde_json::{Value, json};

use super::{CLERK, callback, contacts, refused, seconds};
use crate::{
    http::Request,
    server::{Server, Site, eventually},
    verifiers::Verifiers,
};

/// A source of our own; its secret has nothing to do with the other one's.
const PARTNER: &str = "whsec_cGFydG5lciBzZWNyZXQgb2YgdGVzdHM=";

const SOURCE: &str = r#"source: partner
auth: { type: signature, scheme: svix, env: PARTNER_WEBHOOK_SECRET }
event: "{{ body.type }}"
user_id: "{{ body.data.id }}"
"#;

/// A site with the preset and the source of our own, which knows `secret`.
fn site(secret: &str) -> Site {
    let site = Site::new(&[]);
    let sources = site.root().join("sources");
    std::fs::create_dir(&sources).unwrap();
    std::fs::write(sources.join("partner.yaml"), SOURCE).unwrap();
    site.with("SOURCES_DIR", sources.to_str().unwrap())
        .with("CLERK_WEBHOOK_SECRET", CLERK)
        .with("PARTNER_WEBHOOK_SECRET", secret)
}

/// A body that both sources understand.
fn body(user: &str) -> String {
    json!({"type": "user.created", "data": {"id": user}}).to_string()
}

/// A callback with the headers of a family: `svix` or `webhook`.
fn signed(source: &str, family: &str, (id, at, signature): (&str, i64, &str), body: &str) -> Request {
    callback(source, body)
        .header(&format!("{family}-id"), id)
        .header(&format!("{family}-timestamp"), &at.to_string())
        .header(&format!("{family}-signature"), signature)
}

/// Everybody there is.
async fn users(server: &Server) -> Vec<String> {
    let text = |contact: &Value| contact["externalId"].as_str().unwrap_or_default().to_owned();
    let mut users: Vec<String> = contacts(server).await.iter().map(text).collect();
    users.sort();
    users
}

#[tokio::test]
async fn ws_30_ws_50_callbacks_signed_by_other_libraries_are_taken_once() {
    let server = site(PARTNER).start();
    let mut expected = Vec::new();
    for (source, secret) in [("clerk", CLERK), ("partner", PARTNER)] {
        for family in ["svix", "webhook"] {
            for library in 0..2 {
                let id = format!("msg_{source}_{family}_{library}");
                let (at, body) = (seconds(0), body(&id));
                let (name, signature) = &Verifiers::new(secret).sign(&id, at, &body)[library];
                let request = signed(source, family, (&id, at, signature), &body);
                let answer = server.send(request.clone()).await.expect(200);
                assert_eq!(answer["ok"], true, "{name}: {answer}");
                // Sent again, because the answer got lost.
                server.send(request).await.expect(200);
                expected.push(id);
            }
        }
    }
    expected.sort();
    eventually("everybody is known", async || contacts(&server).await.len() == expected.len()).await;
    assert_eq!(users(&server).await, expected);
    let listed = server.get("/v1/admin/webhook-sources").await.expect(200);
    for source in listed["sources"].as_array().unwrap() {
        let counts = &source["counts24h"];
        assert_eq!((&counts["ingested"], &counts["duplicate"]), (&json!(4), &json!(4)), "{source}");
    }
    server.stop();
}

#[tokio::test]
async fn ws_30_callbacks_that_were_changed_or_are_stale_are_refused() {
    let server = site(PARTNER).start();
    let (id, now) = ("msg_1", seconds(0));
    let genuine = body("a");
    for (source, secret, other) in [("clerk", CLERK, PARTNER), ("partner", PARTNER, CLERK)] {
        let sign = |secret: &str, at| Verifiers::new(secret).sign(id, at, &genuine);
        for (library, signature) in sign(secret, now) {
            for (what, request) in [
                ("another body", signed(source, "svix", (id, now, &signature), &body("b"))),
                ("a longer body", signed(source, "svix", (id, now, &signature), &format!("{genuine} "))),
                ("another id", signed(source, "svix", ("msg_2", now, &signature), &genuine)),
                ("another time", signed(source, "svix", (id, now + 1, &signature), &genuine)),
                ("no signature", signed(source, "svix", (id, now, ""), &genuine)),
            ] {
                println!("{library}: {what}");
                refused(&server.send(request).await, 401, "Invalid webhook signature");
            }
        }
        for (at, secret) in [(now - 600, secret), (now + 600, secret), (now, other)] {
            for (library, signature) in sign(secret, at) {
                println!("{library}: {} seconds away", at - now);
                let request = signed(source, "webhook", (id, at, &signature), &genuine);
                refused(&server.send(request).await, 401, "Invalid webhook signature");
            }
        }
    }
    assert_eq!(users(&server).await, Vec::<String>::new());
    server.stop();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ob_107_ws_30_webhooks_of_one_system_are_callbacks_of_another() {
    let sender = Site::new(&[]).start();
    let endpoint = sender.subscribe("http://127.0.0.1:9/nobody-yet", &["contact.created"]).await;
    let receiver = site(endpoint["secret"].as_str().unwrap()).start();
    let url = json!({"url": format!("http://{}/v1/webhooks/partner", receiver.address)});
    sender.patch(&format!("/v1/admin/webhooks/{}", endpoint["id"].as_str().unwrap()), &url).await.expect(200);
    let mut expected = Vec::new();
    for user in ["a", "b", "c"] {
        let answer = sender.put("/v1/contacts", &json!({"userId": user})).await.expect(200);
        expected.push(answer["id"].as_str().unwrap_or_else(|| panic!("{answer}")).to_owned());
    }
    expected.sort();
    eventually("all of them are told", async || contacts(&receiver).await.len() == 3).await;
    assert_eq!(users(&receiver).await, expected);
    sender.stop();
    receiver.stop();
}
