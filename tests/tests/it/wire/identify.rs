//! `POST /v1/t/identify`: tokens made here, byte by byte as the specification says, read by the server.

use std::time::{SystemTime, UNIX_EPOCH};

use aes_gcm::{Aes256Gcm, KeyInit, Nonce, aead::Aead};
use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::{Table, issues, site, wanted};
use crate::{
    http::{Message, Request},
    receiver::Receiver,
    server::{Server, eventually},
};

const SECRET: &str = "a secret of the operator's that is long enough";
const BEFORE: &str = "the secret before it long enough as well";

#[expect(clippy::disallowed_methods, reason = "the server compares with the machine's clock")]
fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}

/// TK-01, TK-02.
fn seal(secret: &str, payload: &Value) -> String {
    let cipher = Aes256Gcm::new(&Sha256::digest(secret));
    let iv = [9; 12];
    let sealed = cipher.encrypt(&Nonce::from(iv), payload.to_string().as_bytes()).unwrap();
    BASE64_URL_SAFE_NO_PAD.encode([&iv[..], &sealed].concat())
}

fn token(subject: &str) -> String {
    let payload =
        json!({"distinctId": subject, "src": "link:1", "scope": "anon-absorb", "exp": now() + 3600});
    seal(SECRET, &payload)
}

async fn exchange(server: &Server, body: &Value) -> Message {
    server.send(Request::new("POST", "/v1/t/identify").json(body)).await
}

async fn refused(table: &mut Table, server: &Server, id: &str, token: &str) {
    let answer = exchange(server, &json!({ "token": token })).await;
    table.same(id, (answer.status(), answer.body.len()), (400, 0));
}

#[tokio::test]
async fn tk_12_to_tk_21_an_exchange_tells_who_the_subject_is_now() {
    let site =
        site().with("BETTER_AUTH_SECRET", SECRET).with("MAINSPRING_SECRET_PREVIOUS", &format!(" {BEFORE} ,"));
    let server = site.start();
    let mut table = Table::default();

    // TK-14: no key, any origin, and an answer that depends on the token only.
    let answer =
        exchange(&server, &json!({"token": token("nobody"), "currentDistinctId": "browser-1"})).await;
    table.row("TK-12", &answer, 200, &json!({"distinctId": "nobody", "src": "link:1"}));
    table.same("TK-12", answer.json().get("emailSendId").is_none(), true);
    table.same("TK-12 CORS", answer.header("access-control-allow-origin"), Some("*"));
    table.row(
        "TK-14",
        &server.get("/v1/contacts/find?userId=browser-1").await,
        200,
        &json!({"contacts": []}),
    );
    let legacy = seal(BEFORE, &json!({"distinctId": "u1", "emailSendId": "s1", "exp": now() + 60}));
    let answer = exchange(&server, &json!({ "token": legacy })).await;
    table.row(
        "TK-21 TK-11",
        &answer,
        200,
        &json!({"distinctId": "u1", "src": "email:s1", "emailSendId": "s1"}),
    );

    // MS-39, TK-20: the key it was minted for has flipped, or is a loser's.
    let call = async |body: Value| server.put("/v1/contacts", &body).await.expect(200);
    let id = call(json!({"email": "a@x.io", "anonymousId": "V"})).await["id"].as_str().unwrap().to_owned();
    call(json!({"email": "a@x.io", "userId": "A"})).await;
    for key in ["V", "A", &id, &id.to_uppercase()] {
        let answer = exchange(&server, &json!({"token": token(key)})).await;
        table.row("MS-39", &answer, 200, &json!({"distinctId": "A"}));
    }
    call(json!({"userId": "B", "email": "b@x.io"})).await;
    call(json!({"userId": "A", "email": "b@x.io"})).await;
    table.row(
        "TK-20",
        &exchange(&server, &json!({"token": token("B")})).await,
        200,
        &json!({"distinctId": "A"}),
    );

    // The subject is deleted, whichever key of it the token names.
    server.delete("/v1/contacts?userId=A").await.expect(200);
    for key in ["A", "B", "V", &id] {
        refused(&mut table, &server, "TK-20 deleted", &token(key)).await;
    }
    call(json!({"userId": "A"})).await;
    table.row(
        "CT-70",
        &exchange(&server, &json!({"token": token("A")})).await,
        200,
        &json!({"distinctId": "A"}),
    );

    refused(&mut table, &server, "TK-10", "not-a-token").await;
    refused(
        &mut table,
        &server,
        "TK-10",
        &seal("another secret of somebody else's", &json!({"distinctId": "A"})),
    )
    .await;
    refused(&mut table, &server, "TK-10 null", &seal(SECRET, &Value::Null)).await;
    refused(&mut table, &server, "TK-07", &seal(SECRET, &json!({"distinctId": "A", "exp": now() - 2}))).await;
    for (body, issue) in [
        (json!({}), ("invalid_type", "token")),
        (json!({"token": ""}), ("too_small", "token")),
        (json!({"token": "t".repeat(2049)}), ("too_big", "token")),
        (json!({"token": "t", "currentDistinctId": ""}), ("too_small", "currentDistinctId")),
        (json!({"token": "t", "currentDistinctId": "v".repeat(201)}), ("too_big", "currentDistinctId")),
    ] {
        let answer = exchange(&server, &body).await;
        table.same("TK-12 shape", (answer.status(), issues(&answer)), (400, wanted(&[issue])));
    }
    table.same("HT-08", server.get("/v1/t/identify").await.status(), 405);
    table.end();
}

#[tokio::test]
async fn tk_21_the_secret_must_be_long_and_is_made_if_none_is_given() {
    for name in ["BETTER_AUTH_SECRET", "MAINSPRING_SECRET"] {
        let (code, stderr) = site().with(name, "short").spawn().end();
        assert_eq!(code, Some(2));
        let expected = format!("{name}: expected at least 32 bytes without a comma");
        assert!(stderr.contains(&expected), "{stderr}");
    }
    let contradiction = site().with("BETTER_AUTH_SECRET", SECRET).with("MAINSPRING_SECRET", BEFORE);
    let (code, stderr) = contradiction.spawn().end();
    assert_eq!(code, Some(2));
    assert!(stderr.contains("BETTER_AUTH_SECRET and MAINSPRING_SECRET are different"), "{stderr}");

    let site = site();
    let path = site.data().join("secrets/tokens.key");
    site.start().stop();
    let made = std::fs::read(&path).unwrap();
    site.start().stop();
    assert_eq!((made.len(), std::fs::read(&path).unwrap() == made), (32, true));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tk_13_tk_15_analytics_learn_once_per_token_whose_session_it_was() {
    let receiver = Receiver::start().await;
    let site = site()
        .with("BETTER_AUTH_SECRET", SECRET)
        .with("ENABLE_POSTHOG_DESTINATION", "true")
        .with("POSTHOG_API_KEY", "phc_1")
        .with("POSTHOG_HOST", &receiver.origin());
    let server = site.start();
    for user in ["ada", "bob"] {
        server.put("/v1/contacts", &json!({ "userId": user })).await.expect(200);
    }
    let once = token("ada");
    for (token, session) in
        [(&once, "browser-1"), (&once, "browser-2"), (&token("bob"), "ada"), (&token("nobody"), "browser-3")]
    {
        exchange(&server, &json!({"token": token, "currentDistinctId": session})).await.expect(200);
    }
    // Told last, so that whatever the others would tell is told before.
    server.put("/v1/contacts", &json!({"userId": "carl"})).await.expect(200);
    let last = seal(SECRET, &json!({"distinctId": "carl", "exp": now() + 60}));
    exchange(&server, &json!({"token": last, "currentDistinctId": "browser-4"})).await.expect(200);
    let told = || -> Vec<(String, String)> {
        let captures = receiver.arrivals().into_iter().map(|arrival| arrival.request.json());
        let aliases = captures.filter(|capture| capture["event"] == "$create_alias");
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        aliases.map(|alias| (text(&alias["distinct_id"]), text(&alias["properties"]["alias"]))).collect()
    };
    eventually("both are told", async || told().len() >= 2).await;
    server.stop();
    let mut told = told();
    told.sort();
    let expected = [("ada", "browser-1"), ("carl", "browser-4")];
    assert_eq!(told, expected.map(|(who, alias)| (who.to_owned(), alias.to_owned())));
}
