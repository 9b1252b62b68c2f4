//! The one thing the engine is for: an event comes in, a contact joins a bucket, the world is told.

use base64::{Engine, engine::general_purpose::STANDARD};
use hmac::{Hmac, KeyInit, Mac};
use serde_json::{Value, json};
use sha2::Sha256;

use crate::{
    receiver::Receiver,
    server::{Server, Site, eventually},
};

const BUYERS: &str =
    "id: buyers\nname: Buyers\nenabled: true\ncriteria: {event: order.placed, count: {gte: 2}}\n";

/// The signature of a Standard Webhook, made from the text of its specification.
fn signature(secret: &str, id: &str, timestamp: &str, body: &[u8]) -> String {
    let key = STANDARD.decode(secret.strip_prefix("whsec_").unwrap()).unwrap();
    let mut mac = Hmac::<Sha256>::new_from_slice(&key).unwrap();
    mac.update(format!("{id}.{timestamp}.").as_bytes());
    mac.update(body);
    format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes()))
}

async fn order(server: &Server) -> Value {
    let event = json!({"name": "order.placed", "userId": "ada", "email": "Ada@example.com"});
    server.post("/v1/events", &event).await.expect(202)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_event_becomes_a_membership_and_a_signed_webhook() {
    let site = Site::new(&[("buyers", BUYERS)]);
    let receiver = Receiver::with(|n| if n == 0 { 500 } else { 204 }).await;
    let server = site.start();
    let endpoint = server.subscribe(&receiver.url(), &["bucket.entered"]).await;
    let secret = endpoint["secret"].as_str().unwrap();

    let first = order(&server).await;
    assert_eq!((&first["stored"], &first["contactKey"]), (&json!(true), &json!("ada")));
    assert_eq!(first["buckets"], json!({"entered": [], "left": []}));
    let second = order(&server).await;
    assert_eq!(second["buckets"], json!({"entered": ["buyers"], "left": []}), "DP-12");
    assert_eq!(second["contactId"], first["contactId"]);

    // HT-63: reads see what was just acknowledged.
    let found = server.get("/v1/contacts/find?email=ada%40example.com").await.expect(200);
    assert_eq!(found["contacts"][0]["id"], first["contactId"]);
    let members = server.get("/v1/admin/buckets/buyers/members").await.expect(200);
    assert_eq!((&members["total"], &members["members"][0]["userId"]), (&json!(1), &json!("ada")));
    assert_eq!(members["members"][0]["contactId"], first["contactId"]);

    // OB-120: refused once, sent again under the same id, taken.
    let deliveries = format!("/v1/admin/webhooks/{}/deliveries", endpoint["id"].as_str().unwrap());
    eventually("delivered", async || {
        server.get(&deliveries).await.expect(200)["deliveries"][0]["status"] == "delivered"
    })
    .await;
    let arrivals = receiver.arrivals();
    assert_eq!(arrivals.iter().map(|arrival| arrival.status).collect::<Vec<_>>(), [500, 204]);
    let [refused, taken] = [&arrivals[0].request, &arrivals[1].request];
    assert_eq!(refused.header("webhook-id"), taken.header("webhook-id"));
    assert_eq!(refused.body, taken.body, "OB-52");
    for request in [refused, taken] {
        let [id, timestamp, given] = ["webhook-id", "webhook-timestamp", "webhook-signature"]
            .map(|name| request.header(name).unwrap());
        assert_eq!(given, signature(secret, id, timestamp, &request.body));
    }
    let envelope = taken.json();
    assert_eq!(
        (&envelope["type"], envelope["id"].as_str()),
        (&json!("bucket.entered"), taken.header("webhook-id"))
    );
    assert_eq!(
        envelope["data"],
        json!({
            "bucketId": "buyers", "bucketName": "Buyers", "userId": "ada", "userEmail": "ada@example.com",
            "transition": "entered", "entryCount": 1, "source": "event",
        }),
        "BK-115"
    );

    // AP-51, OB-181: the delivery log tells both attempts, newest first.
    let listed = server.get(&deliveries).await.expect(200)["deliveries"][0].clone();
    assert_eq!((&listed["attemptCount"], &listed["responseStatus"]), (&json!(2), &json!(204)));
    let id = listed["id"].as_str().unwrap();
    let detail = server.get(&format!("/v1/admin/webhooks/deliveries/{id}")).await.expect(200);
    assert_eq!(detail["payload"], envelope);
    let statuses: Vec<&Value> =
        detail["attempts"].as_array().unwrap().iter().map(|attempt| &attempt["responseStatus"]).collect();
    assert_eq!(statuses, [&json!(204), &json!(500)]);

    // A third order changes nothing, so nothing is told.
    assert_eq!(order(&server).await["buckets"], json!({"entered": [], "left": []}));
    server.stop();
    assert_eq!(receiver.arrivals().len(), 2);
    crate::binary::assert_verified(&site.data());
}
