//! Endpoints of every kind, delivered to a receiver that keeps each byte.

use serde_json::{Value, json};

use crate::{
    binary,
    erasure::files_with,
    http::{Message, Request},
    receiver::Receiver,
    server::{ADMIN, Server, Site, eventually},
};

const PRO: &str = "id: pro\nname: Pro\nenabled: true\ncriteria: {prop: plan, eq: pro}\n";
const CRM: &str = include_str!("../../../examples/destinations/crm.yaml");

async fn join(server: &Server, user: &str) {
    let body = json!({
        "name": "x", "userId": user, "email": format!("{user}@example.com"), "contactProperties": {"plan": "pro"},
    });
    assert_eq!(server.post("/v1/events", &body).await.expect(202)["buckets"]["entered"], json!(["pro"]));
}

async fn create(server: &Server, kind: &str, url: &str, types: &[&str], config: Value) -> Value {
    let body = json!({"kind": kind, "url": url, "eventTypes": types, "config": config});
    server.post("/v1/admin/webhooks", &body).await.expect(201)
}

fn path(endpoint: &Value) -> String {
    format!("/v1/admin/webhooks/{}", endpoint["id"].as_str().unwrap())
}

async fn deliveries(server: &Server, endpoint: &Value) -> Vec<Value> {
    let page = server.get(&format!("{}/deliveries?limit=100", path(endpoint))).await.expect(200);
    page["deliveries"].as_array().unwrap().clone()
}

async fn arrived(receiver: &Receiver, number: usize) -> Vec<Message> {
    eventually("it arrives", async || receiver.arrivals().len() >= number).await;
    let arrivals: Vec<Message> = receiver.arrivals().into_iter().map(|arrival| arrival.request).collect();
    assert_eq!(arrivals.len(), number);
    arrivals
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ob_220_to_ob_251_each_preset_tells_its_service() {
    let site = Site::new(&[("pro", PRO)]).with("ENABLED_DESTINATION_PRESETS", " Segment,SLACK,fax ");
    let server = site.start();
    let (posthog, segment, slack) =
        (Receiver::start().await, Receiver::start().await, Receiver::start().await);
    let names = json!({"bucket.entered": "Became pro"});
    let config = json!({"apiKey": "phc_1", "host": format!("{}/", posthog.origin()), "eventNames": names});
    let to_posthog = create(&server, "posthog", "posthog://capture", &["bucket.*"], config).await;
    let config = json!({"writeKey": "wk", "host": segment.origin()});
    create(&server, "segment", &segment.url(), &["bucket.*"], config).await;
    create(&server, "slack", &slack.url(), &["bucket.*"], json!({"username": "Main"})).await;
    assert_eq!(to_posthog["secretPrefix"], Value::Null, "OB-76");
    join(&server, "ada").await;

    let arrival = arrived(&posthog, 1).await.remove(0);
    assert_eq!(arrival.first, "POST /capture/ HTTP/1.1");
    assert_eq!(arrival.header("content-type"), Some("application/json"));
    assert_eq!(arrival.header("webhook-signature"), None);
    let delivered = deliveries(&server, &to_posthog).await.remove(0);
    let mut body = arrival.json();
    let uuid = body.as_object_mut().unwrap().remove("uuid").unwrap();
    assert_eq!(delivered["webhookId"], format!("msg_{}", uuid.as_str().unwrap()), "OB-228");
    let mut properties = body["properties"].take();
    assert_eq!(properties.as_object_mut().unwrap().remove("$lib"), Some(json!("hogsend")));
    assert_eq!((&properties["bucketId"], &properties["userId"]), (&json!("pro"), &json!("ada")));
    let timestamp = body["timestamp"].clone();
    let expected = json!({
        "api_key": "phc_1", "event": "Became pro", "distinct_id": "ada", "timestamp": timestamp, "properties": null,
    });
    assert_eq!(body, expected);

    let arrival = arrived(&segment, 1).await.remove(0);
    assert_eq!(arrival.first, "POST /v1/track HTTP/1.1");
    assert_eq!(arrival.header("authorization"), Some("Basic d2s6"));
    let body = arrival.json();
    assert_eq!((&body["userId"], &body["event"]), (&json!("ada"), &json!("bucket.entered")));
    assert_eq!((&body["messageId"], &body["timestamp"]), (&delivered["webhookId"], &timestamp));

    let arrival = arrived(&slack, 1).await.remove(0);
    assert_eq!(arrival.first, "POST /hook HTTP/1.1");
    let expected = json!({"text": "*bucket.entered* for `ada@example.com`", "username": "Main"});
    assert_eq!(arrival.json(), expected);
    server.stop();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ob_204_deliveries_of_a_kind_that_is_switched_off_wait_for_it() {
    let site = Site::new(&[("pro", PRO)]);
    let receiver = Receiver::start().await;
    let server = site.start();
    let endpoint = create(&server, "slack", &receiver.url(), &["bucket.*"], Value::Null).await;
    join(&server, "ada").await;
    let test = server.send(Request::new("POST", &format!("{}/test", path(&endpoint))).key(ADMIN)).await;
    test.expect(202);
    // The test, which came later, is over; the other one was not tried.
    eventually("the test has failed", async || {
        deliveries(&server, &endpoint).await.iter().any(|delivery| delivery["status"] == "failed")
    })
    .await;
    let found = deliveries(&server, &endpoint).await;
    let of = |event_type: &str| found.iter().find(|delivery| delivery["eventType"] == event_type).unwrap();
    assert_eq!(of("webhook.test")["lastError"], "destination \"slack\" is not registered");
    let waits = of("bucket.entered");
    assert_eq!((&waits["status"], &waits["attemptCount"]), (&json!("pending"), &json!(0)));
    assert_eq!((&waits["held"], &of("webhook.test")["held"]), (&json!(true), &json!(false)));
    let one = format!("/v1/admin/webhooks/deliveries/{}", waits["id"].as_str().unwrap());
    assert_eq!(server.get(&one).await.expect(200)["held"], true);
    let stats = server.get(&format!("{}/stats", path(&endpoint))).await.expect(200);
    assert_eq!((&stats["held"], &stats["pending"]), (&json!(1), &json!(0)));
    server.stop();
    assert!(receiver.arrivals().is_empty());

    let server = site.with("ENABLED_DESTINATION_PRESETS", "*").start();
    let arrival = arrived(&receiver, 1).await.remove(0);
    assert_eq!(server.get(&one).await.expect(200)["held"], false);
    assert_eq!(arrival.json(), json!({"text": "*bucket.entered* for `ada@example.com`"}));
    server.stop();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ob_260_a_destination_of_a_file_from_end_to_end() {
    let receiver = Receiver::echo().await;
    let site = Site::new(&[("pro", PRO)]);
    let own = site.definitions().join("destinations");
    std::fs::create_dir(&own).unwrap();
    let local = format!("{}/{{{{ config.region }}}}/ingest", receiver.origin());
    let crm = CRM.replace("https://{{ config.region }}.crm.example.com/ingest", &local);
    assert_ne!(crm, CRM);
    std::fs::write(own.join("crm.yaml"), &crm).unwrap();
    let server = site.start();
    let types = ["contact.created", "contact.updated"];
    let endpoint = create(&server, "crm", &receiver.url(), &types, json!({"token": "t-1"})).await;
    assert_eq!(endpoint["config"], json!({"token": "***"}), "OB-84");
    let ada = json!({"email": "ada@example.com", "properties": {"seats": 3}});
    server.put("/v1/contacts", &ada).await.expect(200);

    let arrival = arrived(&receiver, 1).await.remove(0);
    assert_eq!(arrival.first, "POST /eu/ingest HTTP/1.1");
    assert_eq!(arrival.header("authorization"), Some("Bearer t-1"));
    let body = arrival.json();
    assert_eq!((&body["kind"], &body["who"]), (&json!("contact.created"), &json!("ada@example.com")));
    assert_eq!(body["payload"]["properties"], json!({"seats": 3}));
    eventually("delivered", async || deliveries(&server, &endpoint).await[0]["status"] == "delivered").await;

    // The receiver says what it got: a body that says no is no success, whatever its status.
    let patch = json!({"config": {"token": "***", "region": "\"ok\":false"}});
    server.patch(&path(&endpoint), &patch).await.expect(200);
    let no = json!({"email": "ada@example.com", "properties": {"said": "\"ok\":false", "ok": false}});
    server.put("/v1/contacts", &no).await.expect(200);
    eventually("refused", async || {
        deliveries(&server, &endpoint).await.iter().any(|delivery| delivery["errorClass"] == "rejected")
    })
    .await;
    let arrival = receiver.arrivals().pop().unwrap().request;
    assert_eq!(arrival.first, "POST /%22ok%22%3Afalse/ingest HTTP/1.1", "a value stays in its place");
    assert_eq!(arrival.header("authorization"), Some("Bearer t-1"), "OB-85");
    server.stop();

    // A file with a mistake starts nothing and is named by `check`.
    std::fs::write(
        own.join("erp.yaml"),
        "destination: erp\nevents: [email.opend]\nrequest: {url: 'https://a.example/'}\n",
    )
    .unwrap();
    let mut failed = site.spawn();
    let (code, said) = failed.end();
    assert_eq!(code, Some(2), "{said}");
    assert!(said.contains("erp.yaml:2:10: error: events[0]: unknown type `email.opend`"), "{said}");
    let checked = binary::command().arg("check").arg(site.definitions()).arg("--json").output().unwrap();
    assert_eq!(checked.status.code(), Some(2));
    let document: Value = serde_json::from_slice(&checked.stdout).unwrap();
    assert_eq!((&document["buckets"], &document["destinations"]), (&json!(["pro"]), &json!(["crm"])));
    assert_eq!(document["issues"].as_array().unwrap().len(), 1);
    let example = "../examples/destinations";
    assert_eq!(binary::command().args(["check", example]).output().unwrap().status.code(), Some(0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ob_200_what_a_destination_does_not_take_is_neither_subscribed_to_nor_sent() {
    let receiver = Receiver::start().await;
    let site = Site::new(&[("pro", PRO)]);
    let own = site.definitions().join("destinations");
    std::fs::create_dir(&own).unwrap();
    let file = |events: &str| {
        let text = format!("destination: crm\nevents: {events}\nrequest: {{url: '{}'}}\n", receiver.url());
        std::fs::write(own.join("crm.yaml"), text).unwrap();
    };
    file("[bucket.entered]");
    let server = site.start();
    let endpoint = create(&server, "crm", &receiver.url(), &["bucket.entered"], Value::Null).await;
    for refused in ["bucket.left", "bucket.*", "*"] {
        let body = json!({"eventTypes": [refused]});
        let issues = server.patch(&path(&endpoint), &body).await.expect(400);
        assert!(issues.to_string().contains("only bucket.entered"), "{issues}");
        let whole = json!({"kind": "crm", "url": receiver.url(), "eventTypes": [refused]});
        server.post("/v1/admin/webhooks", &whole).await.expect(400);
    }
    join(&server, "ada").await;
    arrived(&receiver, 1).await;
    server.stop();

    // The endpoint is subscribed since before the file said less.
    file("[bucket.left]");
    let server = site.start();
    join(&server, "bob").await;
    eventually("both are over", async || {
        let all = deliveries(&server, &endpoint).await;
        all.len() == 2 && all.iter().all(|delivery| delivery["status"] == "delivered")
    })
    .await;
    assert_eq!(deliveries(&server, &endpoint).await[0]["responseStatus"], Value::Null);
    server.stop();
    assert_eq!(receiver.arrivals().len(), 1, "nothing of bob");

    // A member of the configuration that nobody declares.
    let text = "destination: crm\nevents: ['*']\nconfig: {token: {type: string}}\nrequest:\n  url: https://a.example/\n  headers: {X: '{{ config.tokn }}'}\n";
    std::fs::write(own.join("crm.yaml"), text).unwrap();
    let (code, said) = site.spawn().end();
    assert_eq!(code, Some(2), "{said}");
    let expected = "crm.yaml:6:16: error: request.headers.X: `config.tokn` is not known here";
    assert!(said.contains(expected), "OB-260 {said}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ob_230_to_ob_233_the_posthog_endpoint_of_the_environment() {
    let receiver = Receiver::start().await;
    let site = Site::new(&[("pro", PRO)])
        .with("ENABLE_POSTHOG_DESTINATION", "true")
        .with("POSTHOG_API_KEY", "phc_one")
        .with("POSTHOG_HOST", &receiver.origin());
    let server = site.start();
    let listed = server.all("/v1/admin/webhooks", "endpoints").await;
    assert_eq!(listed.len(), 1);
    let seeded = listed[0].clone();
    assert_eq!((&seeded["url"], &seeded["kind"]), (&json!("posthog://capture"), &json!("posthog")));
    let config = json!({
        "apiKey": "***", "host": receiver.origin(), "eventNames": {"email.clicked": "email.link_clicked"},
        "syncPersons": true,
    });
    assert_eq!(seeded["config"], config);
    // What was shown can be written back.
    server.patch(&path(&seeded), &json!({"config": config, "url": seeded["url"]})).await.expect(200);
    server.put("/v1/contacts", &json!({"userId": "ada", "properties": {"plan": "free"}})).await.expect(200);
    let capture = arrived(&receiver, 1).await[0].json();
    assert_eq!((&capture["api_key"], &capture["event"]), (&json!("phc_one"), &json!("$set")));
    assert_eq!(capture["properties"]["$set"], json!({"plan": "free"}));
    server.stop();

    let site = site.with("POSTHOG_API_KEY", "phc_two");
    let server = site.start();
    let listed = server.all("/v1/admin/webhooks", "endpoints").await;
    assert_eq!((listed.len(), &listed[0]["id"]), (1, &seeded["id"]));
    server.put("/v1/contacts", &json!({"userId": "bob", "properties": {"plan": "free"}})).await.expect(200);
    assert_eq!(arrived(&receiver, 2).await[1].json()["api_key"], "phc_two");
    server.delete(&path(&seeded)).await.expect(200);
    server.stop();

    let server = site.start();
    let listed = server.all("/v1/admin/webhooks", "endpoints").await;
    assert_eq!(listed.len(), 1, "it is made anew");
    assert_ne!(listed[0]["id"], seeded["id"]);
    server.stop();

    let mut refused = site.with("ENABLE_POSTHOG_DESTINATION", "yes").spawn();
    let (code, said) = refused.end();
    assert_eq!(code, Some(2), "{said}");
    assert!(said.contains("ENABLE_POSTHOG_DESTINATION"), "{said}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bk_116_aa_14_posthog_is_told_of_mirrored_membership_and_of_keys_that_became_one_person() {
    let receiver = Receiver::start().await;
    let mirrored = format!("{PRO}syncToPostHog: true\n");
    let site = Site::new(&[("pro", &mirrored)])
        .with("ENABLE_POSTHOG_DESTINATION", "true")
        .with("POSTHOG_API_KEY", "phc_1")
        .with("POSTHOG_HOST", &receiver.origin());
    let server = site.start();
    let other = Receiver::start().await;
    server.subscribe(&other.url(), &["*"]).await;
    join(&server, "ada").await;
    server.put("/v1/contacts", &json!({"userId": "ada", "properties": {"plan": "free"}})).await.expect(200);
    // A visitor with an address turns out to be a user; a person known by an address only turns out to be one, too.
    let event = async |who: Value| {
        let mut body = json!({"name": "x"});
        body.as_object_mut().unwrap().extend(who.as_object().unwrap().clone());
        server.post("/v1/events", &body).await.expect(202)
    };
    event(json!({"email": "bob@example.com", "anonymousId": "v1"})).await;
    event(json!({"email": "bob@example.com", "userId": "bob"})).await;
    let lone = event(json!({"email": "lone@example.com"})).await["contactId"].clone();
    event(json!({"userId": "carl"})).await;
    event(json!({"userId": "carl", "email": "lone@example.com"})).await;

    let told = || -> Vec<(String, String, Value)> {
        let captures = receiver.arrivals().into_iter().map(|arrival| arrival.request.json());
        let told = captures.filter_map(|capture| {
            let text = |key: &str| capture[key].as_str().unwrap().to_owned();
            let properties = &capture["properties"];
            let what = match (text("event").as_str(), &properties["$unset"]) {
                ("$create_alias", _) => properties["alias"].clone(),
                (_, Value::Array(unset)) => json!({"unset": unset}),
                _ => json!({"set": properties["$set"].get("hogsend_bucket_pro")?}),
            };
            Some((text("event"), text("distinct_id"), what))
        });
        told.collect()
    };
    eventually("all of it arrives", async || told().len() >= 4).await;
    let mut told = told();
    told.sort_by_key(|(event, who, what)| (event.clone(), who.clone(), what.to_string()));
    let expected = [
        ("$create_alias", "bob", json!("v1")),
        ("$create_alias", "carl", lone),
        ("$set", "ada", json!({"set": true})),
        ("$set", "ada", json!({"unset": ["hogsend_bucket_pro"]})),
    ];
    assert_eq!(told, expected.map(|(event, who, what)| (event.to_owned(), who.to_owned(), what)));
    eventually("the others are told", async || other.arrivals().len() >= 3).await;
    server.stop();
    let types: Vec<String> =
        other.arrivals().iter().map(|a| a.request.json()["type"].as_str().unwrap().to_owned()).collect();
    assert!(types.iter().all(|name| !name.starts_with("analytics.")), "{types:?}");
    binary::assert_verified(&site.data());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ob_86_an_address_that_is_a_credential_stands_in_no_file() {
    let (first, second) = (Receiver::start().await, Receiver::start().await);
    let site = Site::new(&[("pro", PRO)]).with("ENABLED_DESTINATION_PRESETS", "slack");
    let server = site.start();
    let secret = |receiver: &Receiver, key: &str| format!("{}/services/{key}", receiver.origin());
    let endpoint = create(&server, "slack", &secret(&first, "T0FIRSTKEY"), &["bucket.*"], Value::Null).await;
    assert!(!endpoint.to_string().contains("FIRSTKEY"), "{endpoint}");
    join(&server, "ada").await;
    assert_eq!(arrived(&first, 1).await[0].first, "POST /services/T0FIRSTKEY HTTP/1.1");
    // What was shown written back changes nothing; a new address is taken.
    let shown = json!({"url": endpoint["url"], "config": endpoint["config"]});
    server.send(Request::new("PATCH", &path(&endpoint)).key(ADMIN).json(&shown)).await.expect(200);
    join(&server, "bob").await;
    arrived(&first, 2).await;
    let moved = json!({"url": secret(&second, "T0SECONDKEY")});
    let answer =
        server.send(Request::new("PATCH", &path(&endpoint)).key(ADMIN).json(&moved)).await.expect(200);
    assert!(!answer.to_string().contains("SECONDKEY"), "{answer}");
    join(&server, "cara").await;
    assert_eq!(arrived(&second, 1).await[0].first, "POST /services/T0SECONDKEY HTTP/1.1");
    // A configuration is another member, and a change of kind shows nothing.
    for (number, change) in [json!({"config": {"username": "x"}}), json!({"config": null})].iter().enumerate()
    {
        server.patch(&path(&endpoint), change).await.expect(200);
        join(&server, &format!("dan{number}")).await;
        let arrivals = arrived(&second, 2 + number).await;
        assert_eq!(arrivals[1 + number].first, "POST /services/T0SECONDKEY HTTP/1.1", "{change}");
    }
    let signed = server.patch(&path(&endpoint), &json!({"kind": "webhook"})).await.expect(200);
    assert!(!signed.to_string().contains("SECONDKEY"), "{signed}");
    let back =
        server.patch(&path(&endpoint), &json!({"kind": "slack", "url": signed["url"]})).await.expect(200);
    assert_eq!(back["url"], signed["url"]);
    join(&server, "eve").await;
    arrived(&second, 4).await;
    let own = server.subscribe(&secret(&first, "T0THIRDKEY"), &["contact.*"]).await;
    assert_eq!(own["url"], secret(&first, "T0THIRDKEY"));
    let concealed = server.patch(&path(&own), &json!({"kind": "slack"})).await.expect(200);
    assert_eq!(concealed["url"], format!("{}/***", first.origin()));
    let unknown = server.patch(&path(&own), &json!({"url": "http://127.0.0.1:1/***"})).await;
    assert_eq!(unknown.status(), 400, "OB-85: nothing is stored there");
    server.stop();
    let stream = format!("endpoint-{}", endpoint["id"].as_str().unwrap());
    let output = binary::command()
        .args(["stream", &stream, "--json", "--data-dir"])
        .arg(site.data())
        .output()
        .unwrap();
    let shown = String::from_utf8(output.stdout).unwrap();
    assert!(shown.contains("endpoint.created"), "{shown}");
    for key in ["T0FIRSTKEY", "T0SECONDKEY"] {
        assert!(!shown.contains(key), "{shown}");
        let mut found = Vec::new();
        files_with(&site.data(), key, &mut found);
        assert_eq!(found, Vec::<String>::new());
    }
}
