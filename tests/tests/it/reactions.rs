//! Reactions and dwells of buckets through the binary: files in, webhooks out, and history on its own clock.

use mainspring_schemas::event::{ContactEvent, DomainEvent};
use serde_json::{Value, json};

use crate::{
    binary, journal,
    receiver::Receiver,
    server::{Site, eventually},
};

const BUYERS: &str = "\
id: buyers
name: Buyers
enabled: true
criteria: {event: order.placed}
reactions:
  - on: enter
    do:
      - set: {lifecycle: customer}
      - send: {name: thanks, data: {gift: [mug]}}
  - on: dwell
    every: 7d
    do:
      - track: {event: still_a_buyer}
";
const OTHERS: &str = "id: others\nname: Others\nenabled: true\ncriteria: {event: other}\n";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bk_120_a_reaction_reaches_the_receiver_and_the_contact() {
    let receiver = Receiver::start().await;
    let site = Site::new(&[("buyers", BUYERS)]);
    let server = site.start();
    server.subscribe(&receiver.url(), &["bucket.*"]).await;
    server.post("/v1/events", &json!({"name": "order.placed", "userId": "a"})).await.expect(202);
    let found = server.get("/v1/contacts/find?userId=a").await.expect(200);
    assert_eq!(found["contacts"][0]["properties"], json!({"lifecycle": "customer"}));
    eventually("the join and the reaction are told", async || receiver.arrivals().len() == 2).await;
    let arrivals = receiver.arrivals();
    let told: Vec<Value> = arrivals.iter().map(|arrival| arrival.request.json()).collect();
    let reaction = told.iter().find(|told| told["type"] == "bucket.reaction").unwrap();
    assert_eq!(
        reaction["data"],
        json!({
            "name": "thanks", "reaction": "bucket-buyers-on-enter", "bucketId": "buyers", "bucketName": "Buyers",
            "userId": "a", "userEmail": null, "transition": "entered", "entryCount": 1, "source": "event",
            "isFirstEntry": true,
            "data": {"gift": ["mug"]},
        })
    );
    let detail = server.get("/v1/admin/buckets/buyers").await.expect(200);
    let owned = |id: &str, name: &str, trigger: &str| json!({"id": id, "name": name, "trigger": trigger, "sourceBucketId": "buyers", "owned": true});
    assert_eq!(
        detail["bucket"]["feedsJourneys"],
        json!([
            owned("bucket-buyers-on-enter", "Buyers \u{2014} on enter", "bucket:entered:buyers"),
            owned(
                "bucket-buyers-on-dwell-every-604800000",
                "Buyers \u{2014} on dwell",
                "bucket:dwell:buyers:every-604800000"
            ),
        ]),
        "SB-60, BK-227"
    );
    server.stop();
    binary::assert_verified(&site.data());
}

#[tokio::test]
async fn bk_132_an_import_on_the_datas_clock_dwells_at_every_instant_of_the_grid() {
    let site = Site::new(&[("buyers", BUYERS)]);
    let file = site.root().join("history.ndjson");
    let line = |name: &str, day: u32| {
        format!("{{\"name\":\"{name}\",\"userId\":\"a\",\"timestamp\":\"2026-01-{day:02}T00:00:00Z\"}}\n")
    };
    std::fs::write(&file, [line("order.placed", 1), line("other", 16), line("other", 20)].concat()).unwrap();
    let (data, definitions) = (site.data(), site.definitions());
    let output = binary::run(&[
        "import",
        file.to_str().unwrap(),
        "--format",
        "ndjson",
        "--until",
        "2026-01-31T00:00:00Z",
        "--data-dir",
        data.to_str().unwrap(),
        "--definitions",
        definitions.to_str().unwrap(),
    ]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let mut told = Vec::new();
    for entry in journal::read(&site.data()).await {
        match entry.event {
            DomainEvent::Contact(ContactEvent::BucketDwelled(event)) => {
                told.push(format!("{} {} x{}", event.at, event.label, event.ordinal));
            }
            DomainEvent::Contact(ContactEvent::EventRecorded(event)) => {
                told.push(format!("{} {}", event.at, event.name));
            }
            _ => {}
        }
    }
    let expected: Vec<String> = [
        "01 order.placed",
        "08 every-604800000 x1",
        "08 still_a_buyer",
        "15 every-604800000 x2",
        "15 still_a_buyer",
        "16 other",
        "20 other",
        "22 every-604800000 x3",
        "22 still_a_buyer",
        "29 every-604800000 x4",
        "29 still_a_buyer",
    ]
    .iter()
    .map(|text| format!("2026-01-{}T00:00:00.000Z {}", &text[..2], &text[3..]))
    .collect();
    assert_eq!(told, expected);
    binary::assert_verified(&site.data());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bk_202_buckets_that_are_not_selected_are_not_there() {
    let site = Site::new(&[("buyers", BUYERS), ("others", OTHERS)]).with("ENABLED_BUCKETS", "others");
    let refused = site.serve().args(["--enabled-buckets", "buyers,othres"]).output().unwrap();
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert_eq!(refused.status.code(), Some(2), "{said}");
    assert!(said.contains("unknown bucket `othres` (did you mean `others`?)"), "{said}");
    let server = site.start();
    let listed = server.get("/v1/admin/buckets").await.expect(200);
    assert_eq!((&listed["total"], &listed["buckets"][0]["id"]), (&json!(1), &json!("others")));
    server.get("/v1/admin/buckets/buyers").await.expect(404);
    server.post("/v1/events", &json!({"name": "order.placed", "userId": "a"})).await.expect(202);
    let found = server.get("/v1/contacts/find?userId=a").await.expect(200);
    assert_eq!(found["contacts"][0]["properties"], json!({}), "no reaction either");
}
