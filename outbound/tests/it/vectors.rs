//! The vectors of the behaviour specification, every case of them.

use std::net::IpAddr;

use mainspring_outbound::{
    address,
    guard::{AllowList, Policy},
    outcome::{Answer, Circumstances, Failure, Health, judge},
    schedule::{self, Schedule},
    secret::Key,
    settings::Settings,
    signature,
};
use mainspring_schemas::{Timestamp, event::delivery::AttemptResult};
use serde_json::Value;

pub fn vectors(file: &str) -> Value {
    let path = format!("../tests/vectors/outbound/{file}.json");
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

pub fn cases<'a>(vectors: &'a Value, pointer: &str) -> &'a Vec<Value> {
    let cases = vectors.pointer(pointer).and_then(Value::as_array).unwrap();
    assert!(!cases.is_empty());
    cases
}

pub fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value[key].as_str().unwrap_or_else(|| panic!("{key} in {value}"))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn ob_91_secret_parsing() {
    for case in cases(&vectors("signatures"), "/secretParsing") {
        let key = Key::parse(text(case, "secret"));
        let expected = case["accepted"].as_bool().unwrap().then(|| text(case, "keyHex").to_owned());
        assert_eq!(key.ok().map(|key| hex(key.as_bytes())), expected, "{case}");
    }
}

fn check_signed(case: &Value, secrets: &[&str], body: &str) {
    let headers = &case["headers"];
    let keys: Vec<_> = secrets.iter().map(|secret| Key::parse(secret).unwrap()).collect();
    let (id, sent) = (text(headers, "Webhook-Id"), text(headers, "Webhook-Timestamp"));
    let seconds: i64 = sent.parse().unwrap();
    let signatures = signature::sign(&keys, id, seconds, body.as_bytes());
    assert_eq!(signatures, text(headers, "Webhook-Signature"), "{case}");
    for key in keys {
        let now = Timestamp(seconds * 1000 + 999);
        assert_eq!(signature::verify(&[key], id, sent, &signatures, body.as_bytes(), now), Ok(()));
    }
}

#[test]
fn ob_104_signatures() {
    for case in cases(&vectors("signatures"), "/cases") {
        let secrets: Vec<_> = cases(case, "/secrets").iter().map(|secret| secret.as_str().unwrap()).collect();
        check_signed(case, &secrets, text(case, "body"));
    }
}

#[test]
fn ob_107_payload_of_every_type() {
    let vectors = vectors("payloads");
    for case in cases(&vectors, "/cases") {
        check_signed(case, &[text(&vectors, "secret")], text(case, "body"));
    }
}

#[test]
fn ob_107_other_peoples_verifier_accepts_what_we_sign_now() {
    use standardwebhooks::Webhook;
    #[expect(clippy::disallowed_methods, reason = "the other verifier compares with the machine's clock")]
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
    let secrets =
        [mainspring_outbound::secret::generate([1; 32]), mainspring_outbound::secret::generate([2; 32])];
    let keys: Vec<_> = secrets.iter().map(|secret| Key::parse(secret).unwrap()).collect();
    let body = r#"{"id":"msg_1","data":{"name":"Zoë"}}"#.as_bytes();
    let header = signature::sign(&keys, "msg_1", now.cast_signed(), body);
    let mut headers = reqwest::header::HeaderMap::new();
    headers.insert(signature::ID_HEADER, "msg_1".parse().unwrap());
    headers.insert(signature::TIMESTAMP_HEADER, now.to_string().parse().unwrap());
    headers.insert(signature::SIGNATURE_HEADER, header.parse().unwrap());
    for secret in &secrets {
        Webhook::new(secret).unwrap().verify(body, &headers).unwrap();
    }
    assert!(Webhook::new(&secrets[0]).unwrap().verify(b"{}", &headers).is_err());
}

fn schedule_of(config: &Value) -> Schedule {
    Settings::from_variables(|name| config[name].as_str().map(str::to_owned)).unwrap().schedule
}

#[test]
fn ob_142_formula() {
    for case in cases(&vectors("backoff"), "/formula/cases") {
        let schedule = schedule_of(&case["config"]);
        let delays = case["delays"].as_array().unwrap();
        for delay in delays {
            let attempt = u32::try_from(delay["attempt"].as_u64().unwrap()).unwrap();
            let (lowest, highest) =
                (schedule.delay_after(attempt, 0.0), schedule.delay_after(attempt, 0.999_999_9));
            assert_eq!(lowest, delay["minMs"].as_i64(), "{delay}");
            assert_eq!(highest, delay["maxMsExclusive"].as_i64().map(|ms| ms - 1), "{delay}");
        }
        let last = u32::try_from(delays.len()).unwrap() + 1;
        assert_eq!(schedule.delay_after(last, 0.5), None, "{case}");
    }
}

#[test]
fn ob_144_schedule() {
    let vectors = vectors("backoff");
    assert_eq!(vectors.pointer("/schedule/default").unwrap(), schedule::DEFAULT);
    let schedule = Settings::default().schedule;
    for delay in cases(&vectors, "/schedule/delays") {
        let attempt = u32::try_from(delay["attempt"].as_u64().unwrap()).unwrap();
        assert_eq!(schedule.delay_after(attempt, 0.5), delay["nominalMs"].as_i64(), "{delay}");
        assert_eq!(schedule.delay_after(attempt, 0.0), delay["minMs"].as_i64(), "{delay}");
        assert!(schedule.delay_after(attempt, 0.999_999_999) <= delay["maxMs"].as_i64(), "{delay}");
    }
    assert_eq!(schedule.delay_after(10, 0.5), None);
    for case in cases(&vectors, "/schedule/parse") {
        let settings = Settings::from_variables(|name| {
            (name == "OUTBOUND_WEBHOOK_SCHEDULE").then(|| text(case, "value").to_owned())
        });
        match settings {
            Err(problems) => {
                assert_eq!(case["error"], true, "{case}");
                assert!(problems[0].to_string().starts_with("OUTBOUND_WEBHOOK_SCHEDULE: "));
            }
            Ok(settings) => match case["ms"].as_array() {
                Some(expected) => {
                    let expected = expected.iter().map(|ms| ms.as_i64().unwrap()).collect();
                    assert_eq!(settings.schedule, Schedule::Delays(expected), "{case}");
                }
                None => assert_eq!(settings.schedule, schedule, "{case}"),
            },
        }
    }
}

#[test]
fn ob_145_retry_after() {
    let vectors = vectors("backoff");
    let now = Timestamp(vectors.pointer("/retryAfter/now").and_then(Value::as_i64).unwrap() * 1000);
    for case in cases(&vectors, "/retryAfter/cases") {
        let schedule = Schedule::Delays(vec![case["scheduledMs"].as_i64().unwrap()]);
        let status = u16::try_from(case["status"].as_u64().unwrap()).unwrap();
        let answer =
            Answer::Http { status, retry_after: Some(text(case, "header").to_owned()), accepted: None };
        let outcome = judge(&answer, Circumstances { now, ..circumstances(&schedule, 0) });
        let effective = now.plus(case["effectiveMs"].as_i64().unwrap());
        assert_eq!(outcome.result, AttemptResult::Retry { next_at: effective }, "{case}");
        let throttles = status == 429 && case["effectiveMs"] != case["scheduledMs"];
        assert_eq!(outcome.endpoint_blocked_until, throttles.then_some(effective), "{case}");
    }
}

fn circumstances(schedule: &Schedule, attempts_before: u32) -> Circumstances<'_> {
    Circumstances {
        attempts_before,
        now: Timestamp(0),
        schedule,
        client_error_attempts: None,
        only_attempt: false,
        unit: 0.5,
    }
}

/// `None` for results that are no attempt: the worker never gets so far (see its own tests).
fn answer(result: &Value) -> Option<Answer> {
    if let Some(status) = result["httpStatus"].as_u64() {
        let status = u16::try_from(status).unwrap();
        return Some(Answer::Http { status, retry_after: None, accepted: result["isSuccess"].as_bool() });
    }
    if result["blocked"] == true {
        return Some(Answer::Failure(Failure::Blocked { class: "private" }));
    }
    match (result["error"].as_str(), result["transform"].as_str()) {
        (Some("timeout"), _) => Some(Answer::Failure(Failure::Timeout { ms: 15_000 })),
        (Some("connect"), _) => Some(Answer::Failure(Failure::Connect)),
        (Some("dns"), _) => Some(Answer::Failure(Failure::Dns)),
        (Some("tls"), _) => Some(Answer::Failure(Failure::Tls)),
        (Some("reset"), _) => Some(Answer::Failure(Failure::Reset)),
        (None, Some("null")) => Some(Answer::Skipped),
        (None, Some("throw")) => Some(Answer::Config("missing config.url".to_owned())),
        _ => {
            assert!(result["endpoint"].is_string(), "{result}");
            None
        }
    }
}

#[test]
fn ob_141_outcomes() {
    let schedule = Settings::default().schedule;
    let vectors = vectors("outcomes");
    let mut judged = 0;
    for case in cases(&vectors, "/cases") {
        let before = u32::try_from(case["attemptCountBefore"].as_u64().unwrap()).unwrap();
        let Some(answer) = answer(&case["result"]) else { continue };
        let outcome = judge(&answer, circumstances(&schedule, before));
        let required = &case["required"];
        let status = match outcome.result {
            AttemptResult::Delivered => "delivered",
            AttemptResult::Retry { .. } => "pending",
            AttemptResult::Failed => "failed",
        };
        assert_eq!(required["status"], status, "{case}");
        assert_eq!(required["errorClass"].as_str(), outcome.error_class, "{case}");
        let health = match required["endpointFailureCount"].as_str() {
            Some("0") => Health::Success,
            Some("+1") => Health::Failure,
            Some("unchanged") => Health::Unchanged,
            other => {
                assert_eq!((other, required["endpointDisabled"].as_str()), (None, Some("gone")), "{case}");
                Health::Gone
            }
        };
        assert_eq!(outcome.health, health, "{case}");
        judged += 1;
    }
    assert_eq!(judged, 123, "all but the six of disabled and deleted endpoints");
}

#[test]
fn ob_141_client_error_cap_is_a_number_of_attempts() {
    let schedule = Settings::default().schedule;
    let verdict = |status, attempts_before| {
        let answer = Answer::Http { status, retry_after: None, accepted: None };
        let capped =
            Circumstances { client_error_attempts: Some(2), ..circumstances(&schedule, attempts_before) };
        judge(&answer, capped).result
    };
    assert_ne!(verdict(404, 0), AttemptResult::Failed);
    assert_eq!(verdict(404, 1), AttemptResult::Failed);
    assert_eq!(verdict(302, 1), AttemptResult::Failed);
    assert_ne!(verdict(503, 1), AttemptResult::Failed);
    assert_ne!(verdict(429, 1), AttemptResult::Failed);
}

#[test]
fn ob_191_urls() {
    let policy = Policy::default();
    for case in cases(&vectors("ssrf"), "/urls") {
        let verdict = policy.check_url(text(case, "url"));
        assert_eq!(verdict.is_ok(), case["allowed"], "{case}");
        match verdict {
            Ok(url) => assert_eq!(url.host_str(), case["normalizedHost"].as_str()),
            Err(refusal) => {
                let reason = refusal.to_string();
                let reason = reason.split(" (").next().unwrap();
                assert!(text(case, "reason").starts_with(reason), "{case} {reason}");
            }
        }
    }
}

#[test]
fn ob_194_addresses() {
    for case in cases(&vectors("ssrf"), "/addresses") {
        let refusal = address::refusal(text(case, "ip").parse().unwrap());
        assert_eq!(refusal.is_none(), case["allowed"], "{case}");
        if let Some(class) = refusal {
            // The vectors say in which wrapping an inner address came; what is told is the inner one's class.
            assert_eq!(text(case, "class").rsplit(':').next(), Some(class), "{case}");
        }
    }
}

#[test]
fn ob_195_resolutions() {
    let policy = Policy::default();
    for case in cases(&vectors("ssrf"), "/resolutions").iter().filter(|case| case["errorClass"].is_null()) {
        let addresses: Vec<IpAddr> =
            cases(case, "/addresses").iter().map(|ip| ip.as_str().unwrap().parse().unwrap()).collect();
        let verdict = policy.check_resolved(text(case, "host"), &addresses);
        assert_eq!(verdict.is_ok(), case["connectTo"].is_array(), "{case}");
    }
}

#[test]
fn ob_197_allow_list() {
    for case in cases(&vectors("ssrf"), "/allowList") {
        let settings = Settings::from_variables(|name| case[name].as_str().map(str::to_owned)).unwrap();
        assert_eq!(settings.policy.check_url(text(case, "url")).is_ok(), case["allowed"], "{case}");
    }
    let policy = Policy { allowed: AllowList::parse("crm.internal").unwrap(), ..Policy::default() };
    assert_eq!(policy.check_resolved("crm.internal", &["10.0.0.1".parse().unwrap()]), Ok(()));
}
