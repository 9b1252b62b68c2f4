//! Inbound webhook sources from outside: signed requests, and what becomes of them.

mod billing;
mod edge;
mod libraries;
mod operators;
mod scenarios;

use base64::{Engine, engine::general_purpose::STANDARD};
use hmac::{Hmac, KeyInit, Mac};
use serde_json::{Value, json};
use sha2::Sha256;

use crate::{
    http::{Message, Request},
    server::{Server, Site},
};

const CLERK: &str = "whsec_Y2xlcmsgc2VjcmV0IG9mIHRlc3Rz";
const STRIPE: &str = "whsec_stripe-secret-of-tests";
const SEGMENT: &str = "segment-shared-secret-8c17d07d441088d942a3c717";
const SUPABASE: &str = "supabase-secret-of-tests";
const POSTHOG: &str = "posthog-secret-of-tests";

/// A site with every preset.
fn site() -> Site {
    Site::new(&[])
        .with("CLERK_WEBHOOK_SECRET", CLERK)
        .with("STRIPE_WEBHOOK_SECRET", STRIPE)
        .with("SEGMENT_WEBHOOK_SECRET", SEGMENT)
        .with("SUPABASE_WEBHOOK_SECRET", SUPABASE)
        .with("POSTHOG_WEBHOOK_SECRET", POSTHOG)
}

/// The machine's clock in unix seconds, `ahead` of now.
#[expect(clippy::disallowed_methods, reason = "the server compares with the machine's clock")]
fn seconds(ahead: i64) -> i64 {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    now.as_secs() as i64 + ahead
}

fn hmac(key: &[u8], signed: &[u8]) -> Vec<u8> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).unwrap();
    mac.update(signed);
    mac.finalize().into_bytes().to_vec()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn callback(source: &str, body: impl Into<Vec<u8>>) -> Request {
    Request::new("POST", &format!("/v1/webhooks/{source}")).body(body)
}

/// A callback of Clerk, signed at `at`.
fn clerk_at(id: &str, at: i64, body: impl Into<Vec<u8>>) -> Request {
    let body = body.into();
    let key = STANDARD.decode(CLERK.strip_prefix("whsec_").unwrap()).unwrap();
    let signature = hmac(&key, &[format!("{id}.{at}.").as_bytes(), &body].concat());
    callback("clerk", body)
        .header("Svix-Id", id)
        .header("Svix-Timestamp", &at.to_string())
        .header("Svix-Signature", &format!("v1,{}", STANDARD.encode(signature)))
}

fn clerk(id: &str, body: &Value) -> Request {
    clerk_at(id, seconds(0), body.to_string())
}

/// A callback of Stripe, signed now.
fn stripe(body: &Value) -> Request {
    let (at, body) = (seconds(0), body.to_string());
    let signature = hex(&hmac(STRIPE.as_bytes(), format!("{at}.{body}").as_bytes()));
    callback("stripe", body).header("stripe-signature", &format!("t={at},v1={signature}"))
}

fn segment(body: &Value) -> Request {
    let body = body.to_string();
    let signature = hex(&hmac(SEGMENT.as_bytes(), body.as_bytes()));
    callback("segment", body).header("x-signature", &signature)
}

fn posthog(body: &Value) -> Request {
    callback("posthog", body.to_string()).header("x-posthog-webhook-secret", POSTHOG)
}

/// The contacts there are.
async fn contacts(server: &Server) -> Vec<Value> {
    server.all("/v1/admin/contacts", "contacts").await
}

/// The timeline of the only contact there is, newest first, as `(name, source)`.
async fn events(server: &Server, contact: &Value) -> Vec<(String, String)> {
    let path = format!("/v1/admin/contacts/{}/timeline", contact["id"].as_str().unwrap());
    let timeline = server.get(&path).await.expect(200);
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let entries = timeline["timeline"].as_array().unwrap_or_else(|| panic!("{timeline}")).clone();
    entries
        .iter()
        .filter(|entry| entry["type"] == "event")
        .map(|entry| (text(&entry["data"]["event"]), text(&entry["data"]["source"])))
        .collect()
}

#[track_caller]
fn skipped(answer: &Message) {
    assert_eq!(answer.expect(200), json!({"ok": true, "skipped": true}));
}

#[track_caller]
fn refused(answer: &Message, status: u16, error: &str) {
    assert_eq!(answer.expect(status)["error"], error);
}
