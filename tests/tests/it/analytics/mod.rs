//! Connecting PostHog, against one that keeps destinations as the real one does.

mod fake;

use serde_json::{Value, json};

use self::fake::{KEY, PostHog};
use crate::{
    binary,
    erasure::traces,
    http::{Message, Request},
    server::{Server, Site},
};

const PUBLIC: &str = "https://engine.example";
const LOOP: &str = "/v1/admin/analytics/provision-loop";
const INFO: &str = "/v1/admin/analytics/connect-info";

fn site(posthog: &PostHog) -> Site {
    Site::new(&[])
        .with("POSTHOG_PERSONAL_API_KEY", KEY)
        .with("POSTHOG_PRIVATE_HOST", &posthog.origin())
        .with("API_PUBLIC_URL", &format!("{PUBLIC}/"))
}

async fn provision(server: &Server) -> Message {
    server.send(Request::new("POST", LOOP).key(crate::server::ADMIN)).await
}

async fn callback(server: &Server, secret: &str, user: &str) -> Message {
    let event = json!({"event": {"event": "signed up", "distinct_id": user, "uuid": user}});
    let request = Request::new("POST", "/v1/webhooks/posthog").header("x-posthog-webhook-secret", secret);
    server.send(request.body(event.to_string())).await
}

fn secret(destination: &Value) -> String {
    let headers = &destination["inputs"]["headers"]["value"];
    headers["x-posthog-webhook-secret"].as_str().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ws_90_to_ws_93_posthog_is_connected_and_its_events_come_in() {
    let posthog = PostHog::start().await;
    let site = site(&posthog).with("LOG_LEVEL", "debug");
    let mut server = site.start();
    let info = server.get(INFO).await.expect(200);
    let expected = json!({
        "providerId": "posthog", "analyticsConfigured": false, "privateHost": posthog.origin(),
        "hostExplicit": true, "projectIdHint": null, "personalKeyConfigured": true,
        "webhookSecretConfigured": false, "apiPublicUrl": PUBLIC, "scopeGap": [],
    });
    assert_eq!(info, expected);
    callback(&server, "guess", "u0").await.expect(404);

    let answer = provision(&server).await.expect(200);
    let expected = json!({
        "provisioned": true, "created": true, "action": "created", "hogFunctionId": "0190aaaa-0",
        "webhookUrl": format!("{PUBLIC}/v1/webhooks/posthog"),
        "dashboardUrl": format!("{}/project/7/pipeline/destinations/hog-0190aaaa-0/configuration", posthog.origin()),
    });
    assert_eq!(answer, expected);
    let made = posthog.only();
    let inputs = &made["inputs"];
    assert_eq!(inputs["url"]["value"], format!("{PUBLIC}/v1/webhooks/posthog"));
    assert_eq!(inputs["method"]["value"], "POST");
    assert_eq!(inputs["body"]["value"], json!({"event": "{event}", "person": "{person}"}));
    assert_eq!(inputs["headers"]["value"]["Content-Type"], "application/json");
    assert_eq!((&made["enabled"], &made["template"]["id"]), (&json!(true), &json!("template-webhook")));
    let filter = json!([{"key": "$is_identified", "type": "event", "operator": "exact", "value": ["true"]}]);
    assert_eq!(made["filters"]["properties"], filter);
    let secret = secret(&made);
    assert!(secret.len() == 64 && secret.bytes().all(|byte| byte.is_ascii_hexdigit()));

    // Without a restart.
    assert_eq!(callback(&server, &secret, "u1").await.expect(200)["stored"], true);
    callback(&server, "guess", "u2").await.expect(401);
    assert_eq!(server.get(INFO).await.expect(200)["webhookSecretConfigured"], true);
    let listed = server.get("/v1/admin/webhook-sources").await.expect(200);
    assert_eq!(
        (&listed["sources"][0]["id"], &listed["sources"][0]["secretConfigured"]),
        (&json!("posthog"), &json!(true))
    );
    posthog.asked();
    let again = provision(&server).await.expect(200);
    assert_eq!((&again["action"], &again["created"]), (&json!("unchanged"), &json!(false)));
    assert_eq!(posthog.only(), made);
    assert!(posthog.asked().iter().all(|line| line.starts_with("GET ")));
    server.process.terminate();
    let (code, said) = server.process.end();
    assert_eq!(code, Some(0), "{said}");
    assert!(
        said.contains("PostHog is connected") && !said.contains(&secret) && !said.contains(KEY),
        "{said}"
    );
    assert_eq!(traces(&site.data(), &[&secret, KEY]), Vec::<String>::new());

    // After a restart: the same secret.
    let server = site.start();
    assert_eq!(callback(&server, &secret, "u3").await.expect(200)["stored"], true);
    assert_eq!(provision(&server).await.expect(200)["action"], "unchanged");
    server.stop();
    assert_eq!(traces(&site.data(), &[&secret, KEY]), Vec::<String>::new());
    let stream = |more: &[&str]| {
        let mut command = binary::command();
        command.args(["stream", "source-posthog", "--data-dir"]).arg(site.data()).args(more);
        String::from_utf8(command.output().unwrap().stdout).unwrap()
    };
    assert!(stream(&[]).contains("a secret was made and stored"), "{}", stream(&[]));
    let shown: Value = serde_json::from_str(&stream(&["--json"])).unwrap();
    assert_eq!((&shown["type"], &shown["event"]["secret"]), (&json!("source.secret-stored"), &json!("***")));
    binary::assert_verified(&site.data());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ws_93_an_existing_destination_is_corrected_and_what_others_added_stays() {
    let posthog = PostHog::start().await;
    let input = |value: Value| json!({"value": value, "bytecode": ["_H", 1]});
    let destination = |id: &str, name: &str, url: &str| {
        json!({
            "id": id, "name": name, "description": "Ours", "enabled": false, "type": "destination",
            "inputs": {
                "url": input(json!(url)), "method": input(json!("PUT")), "body": input(json!({})),
                "headers": input(json!({"X-Team": "growth", "X-PostHog-Webhook-Secret": "old"})),
                "debug": input(json!(true)),
            },
            "filters": {
                "source": "events", "events": [{"id": "signed up"}],
                "properties": [{"key": "plan", "type": "person", "operator": "exact", "value": ["pro"]}],
                "bytecode": ["_H", 1],
            },
        })
    };
    posthog.with(|state| {
        for n in 0..7 {
            let name = format!("Another {n}");
            state.destinations.push(destination(&format!("f{n}"), &name, "https://other.example/hook"));
        }
        let url = "https://old.example/v1/webhooks/posthog";
        state.destinations.push(destination("ours", "To hogsend", url));
    });
    // The project is named, and so is the secret.
    let site =
        site(&posthog).with("POSTHOG_PROJECT_ID", "7").with("POSTHOG_WEBHOOK_SECRET", "configured older");
    let server = site.start();
    let before = posthog.with(|state| state.destinations[..7].to_vec());
    let answer = provision(&server).await.expect(200);
    assert_eq!((&answer["action"], &answer["hogFunctionId"]), (&json!("updated"), &json!("ours")));
    let asked = posthog.asked();
    assert!(asked.iter().all(|line| line.contains("/api/projects/7/hog_functions/")), "{asked:?}");
    assert!(asked.iter().filter(|line| line.contains("offset=")).count() == 3, "all pages: {asked:?}");
    let after = posthog.with(|state| state.destinations.clone());
    assert_eq!((after.len(), &after[..7]), (8, before.as_slice()));
    let ours = &after[7];
    assert_eq!(
        (&ours["name"], &ours["description"], &ours["enabled"]),
        (&json!("To hogsend"), &json!("Ours"), &json!(true))
    );
    let inputs = &ours["inputs"];
    assert_eq!(inputs["url"]["value"], format!("{PUBLIC}/v1/webhooks/posthog"));
    assert_eq!(inputs["method"]["value"], "POST");
    let headers = json!({
        "Content-Type": "application/json", "X-Team": "growth", "x-posthog-webhook-secret": "configured",
    });
    assert_eq!((&inputs["headers"]["value"], &inputs["debug"]["value"]), (&headers, &json!(true)));
    let filters = &ours["filters"];
    let properties = filters["properties"].as_array().unwrap();
    assert_eq!((properties.len(), &properties[0]["key"]), (2, &json!("plan")));
    assert_eq!(properties[1]["key"], "$is_identified");
    assert_eq!(filters["events"], json!([{"id": "signed up"}]));
    assert_eq!(provision(&server).await.expect(200)["action"], "unchanged");
    callback(&server, "configured", "u1").await.expect(200);
    server.stop();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ws_91_what_cannot_be_connected_is_told_apart() {
    let posthog = PostHog::start().await;
    let refusal = async |site: Site| {
        let server = site.start();
        let answer = provision(&server).await.expect(409);
        server.stop();
        answer
    };
    let nothing = refusal(Site::new(&[])).await;
    assert_eq!(nothing, json!({"error": "no_posthog_credential"}));
    let no_host = Site::new(&[]).with("POSTHOG_PERSONAL_API_KEY", KEY).with("API_PUBLIC_URL", PUBLIC);
    assert_eq!(refusal(no_host).await, json!({"error": "posthog_not_configured"}));
    let loopback = refusal(site(&posthog).with("API_PUBLIC_URL", "http://api.localhost:3002")).await;
    assert_eq!(loopback["error"], "api_public_url_unreachable");
    assert!(loopback["detail"].is_string() && loopback["remediation"].is_string());
    let off = refusal(site(&posthog).with("ENABLED_WEBHOOK_PRESETS", "none")).await;
    assert_eq!(off["error"], "posthog_not_configured");
    assert!(posthog.asked().is_empty(), "nobody was called");

    let site = site(&posthog);
    let server = site.start();
    let read_key = json!({"name": "reader", "scopes": ["journey-admin"]});
    let reader = server.post("/v1/admin/api-keys", &read_key).await.expect(201)["key"].clone();
    for (method, path) in [("GET", INFO), ("POST", LOOP)] {
        let reader = Request::new(method, path).key(reader.as_str().unwrap());
        assert_eq!(server.send(reader).await.expect(403)["error"], "Forbidden: insufficient scope");
        server.send(Request::new(method, path)).await.expect(401);
    }

    let scope = r#"{"detail": "API key missing required scope 'hog_function:write'"}"#;
    let functions = "/api/projects/7/hog_functions/";
    for (begin, status, body, error) in [
        ("GET /api/projects/?", 401, "{}".to_owned(), "unauthorized"),
        ("GET /api/projects/", 403, "{}".to_owned(), "project-discovery-failed"),
        ("GET /api/projects/?", 200, r#"{"results": []}"#.to_owned(), "project-discovery-failed"),
        ("GET /api/projects/?", 200, "<html>".to_owned(), "unsupported-instance"),
        ("GET /api/projects/?", 200, r#""text""#.to_owned(), "unsupported-instance"),
        (&format!("GET {functions}"), 404, "{}".to_owned(), "unsupported-instance"),
        (&format!("GET {functions}"), 302, String::new(), "unsupported-instance"),
        (&format!("GET {functions}"), 500, "secret words".to_owned(), "api-error"),
        (&format!("GET {functions}"), 200, " ".repeat(9 * 1024 * 1024), "api-error"),
        (&format!("POST {functions}"), 201, r#"{"id": "../../x"}"#.to_owned(), "unsupported-instance"),
        (&format!("POST {functions}"), 403, scope.to_owned(), "missing-scope"),
    ] {
        posthog.with(|state| state.refusals = vec![(begin.to_owned(), status, body)]);
        let answer = provision(&server).await.expect(502);
        assert_eq!(answer["error"], error, "{begin} {status}");
        assert!(answer["detail"].is_string() && answer["remediation"].is_string());
        assert!(
            !answer.to_string().contains("secret words") && !answer.to_string().contains(KEY),
            "{answer}"
        );
    }
    assert_eq!(server.get(INFO).await.expect(200)["scopeGap"], json!(["hog_function:write"]));
    // The secret was stored before PostHog was called for the first time, and is the one that counts.
    assert_eq!(server.get(INFO).await.expect(200)["webhookSecretConfigured"], true);
    posthog.with(|state| state.refusals.clear());
    assert_eq!(provision(&server).await.expect(200)["action"], "created");
    assert_eq!(server.get(INFO).await.expect(200)["scopeGap"], json!([]));
    callback(&server, &secret(&posthog.only()), "u1").await.expect(200);
    server.stop();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ws_91_the_project_is_found_and_private_addresses_are_guarded() {
    let posthog = PostHog::start().await;
    posthog.with(|state| state.projects.insert(0, json!({"id": 3, "api_token": "phc_other"})));
    let server = site(&posthog).start();
    let several = provision(&server).await.expect(502);
    assert_eq!(several["error"], "project-discovery-failed");
    assert!(several["remediation"].as_str().unwrap().contains("POSTHOG_PROJECT_ID"));
    server.stop();

    let server = site(&posthog).with("POSTHOG_API_KEY", "phc_shop").start();
    let info = server.get(INFO).await.expect(200);
    assert_eq!(info["analyticsConfigured"], true);
    assert!(!info.to_string().contains("phc_shop"));
    let answer = provision(&server).await.expect(200);
    assert!(answer["dashboardUrl"].as_str().unwrap().contains("/project/7/"));
    server.stop();

    posthog.asked();
    let guarded = site(&posthog).with("OUTBOUND_WEBHOOK_ALLOW_PRIVATE", "false").start();
    let blocked = provision(&guarded).await.expect(502);
    assert_eq!(blocked["error"], "api-error");
    assert!(blocked["remediation"].as_str().unwrap().contains("OUTBOUND_WEBHOOK_ALLOWED_HOSTS"));
    guarded.stop();
    assert!(posthog.asked().is_empty());
    for (name, value) in [
        ("POSTHOG_PROJECT_ID", "7/../8"),
        ("API_PUBLIC_URL", "engine"),
        ("POSTHOG_PRIVATE_HOST", "https://u:p@x.example"),
    ] {
        let (code, said) = Site::new(&[]).with(name, value).spawn().end();
        assert!(code == Some(2) && said.contains(name) && !said.contains("u:p"), "{said}");
    }
}
