//! What one endpoint asks for: a rate, headers, an order (OB-82, OB-112).

use std::{collections::HashMap, time::Duration};

use mainspring_outbound::schedule::Schedule;
use mainspring_schemas::{ContactId, DeliveryId, event::endpoint::Ordering};
use uuid::Uuid;

use crate::{
    script::{Stage, hang, pass, quick},
    world::World,
};

const A: &str = "https://a.example.com/hook";
const B: &str = "https://b.example.com/hook";
const SECOND: Duration = Duration::from_secs(1);

fn contact(n: u128) -> Option<ContactId> {
    Some(ContactId(Uuid::from_u128(0xc << 64 | n)))
}

#[tokio::test(start_paused = true)]
async fn ob_82_a_rate_limit_is_kept_by_retries_too_and_is_the_endpoints_own() {
    // Every third body or so fails once.
    let stage = Stage::new(World::new(Duration::from_millis(5)), |sent, earlier| {
        let dice = sent.body.iter().map(|byte| usize::from(*byte)).sum::<usize>();
        quick(if earlier == 0 && dice.is_multiple_of(3) { 503 } else { 200 })
    });
    let (a, b) = (stage.world.endpoint(A), stage.world.endpoint(B));
    stage.world.change(a, |endpoint| endpoint.settings.rate_limit = Some(10));
    for _ in 0..100 {
        stage.world.enqueue(a, "contact.created");
        stage.world.enqueue(b, "contact.created");
    }
    let _running = stage.start();
    pass(SECOND * 40).await;
    let at: Vec<i64> = stage.script.sent_to(A).iter().map(|sent| sent.at.0).collect();
    assert_eq!(stage.world.pending(), 0);
    assert!(at.len() > 120, "retries are among them");
    for (first, start) in at.iter().enumerate() {
        let within = at[first..].iter().take_while(|other| **other < start + 1_000).count();
        assert!(within <= 11, "{within} requests within a second");
    }
    let took = at[at.len() - 1] - at[0];
    assert!(took <= at.len() as i64 * 100 + 6_000, "no slower than it may: {took} ms");
    let others: Vec<i64> = stage.script.sent_to(B).iter().map(|sent| sent.at.0).collect();
    assert!(others[others.len() - 1] - others[0] < 7_000, "B waits for nobody");
}

#[tokio::test(start_paused = true)]
async fn ob_112_added_headers_leave_with_every_attempt() {
    let stage =
        Stage::new(World::new(Duration::ZERO), |_, earlier| quick(if earlier == 0 { 500 } else { 200 }));
    let a = stage.world.endpoint(A);
    stage.world.change(a, |endpoint| {
        let added = [("authorization", "Bearer t0ken"), ("x-tenant", "acme")];
        endpoint.settings.headers = added.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
    });
    stage.world.enqueue(a, "contact.created");
    let _running = stage.start();
    pass(SECOND * 10).await;
    let sent = stage.script.sent();
    assert_eq!(sent.len(), 2);
    for sent in sent {
        assert_eq!(sent.headers["authorization"], "Bearer t0ken");
        assert_eq!(sent.headers["x-tenant"], "acme");
        assert_eq!(sent.headers["content-type"], "application/json");
        assert!(!sent.signature.is_empty());
    }
}

/// The deliveries in the order of their attempts.
fn attempts(stage: &Stage) -> Vec<String> {
    stage.script.sent().into_iter().map(|sent| sent.id).collect()
}

#[tokio::test(start_paused = true)]
async fn an_ordered_endpoint_gets_a_contacts_deliveries_one_after_another_whatever_fails() {
    for (lag, read_ms) in [(0, 0), (5, 0), (40, 25)] {
        let mut stage = Stage::new(World::new(Duration::from_millis(lag)), |sent, earlier| {
            let dice = sent.body.iter().map(|byte| usize::from(*byte)).sum::<usize>();
            quick(if earlier < dice % 3 { 500 } else { 200 })
        });
        stage.settings.schedule = Schedule::Delays(vec![3_000, 20_000, 60_000]);
        stage.world.read_ms.store(read_ms, std::sync::atomic::Ordering::SeqCst);
        let a = stage.world.endpoint(A);
        stage.world.change(a, |endpoint| endpoint.settings.ordering = Ordering::Contact);
        let mut of_contact: HashMap<u128, Vec<DeliveryId>> = HashMap::new();
        let running = stage.start();
        for n in 0..300 {
            let who = n % 7;
            let delivery = stage.world.enqueue_about(a, "contact.updated", contact(who));
            of_contact.entry(who).or_default().push(delivery);
            if n % 11 == 0 {
                pass(Duration::from_millis(7)).await;
            }
        }
        // A restart in the middle keeps the order.
        pass(SECOND * 8).await;
        assert_eq!(running.stop(SECOND).await.released, 0);
        let _running = stage.start();
        pass(SECOND * 7_200).await;
        assert_eq!(stage.world.pending(), 0, "lag {lag}, reading {read_ms}");
        let sent = attempts(&stage);
        for (who, deliveries) in of_contact {
            let outcomes = stage.world.outcomes();
            let mine: Vec<DeliveryId> =
                outcomes.iter().map(|o| o.delivery).filter(|id| deliveries.contains(id)).collect();
            let mut order = mine.clone();
            order.dedup();
            assert_eq!(order, deliveries, "contact {who}: settled one by one, in log order");
            assert!(sent.len() >= 300);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn an_ordered_endpoint_holds_back_nobody_but_the_contact_that_fails() {
    let mut stage = Stage::new(World::new(Duration::from_millis(3)), |sent, earlier| {
        quick(if sent.body.ends_with(br#""n":2}}"#) && earlier == 0 { 500 } else { 200 })
    });
    stage.settings.schedule = Schedule::Delays(vec![600_000]);
    let a = stage.world.endpoint(A);
    stage.world.change(a, |endpoint| endpoint.settings.ordering = Ordering::Contact);
    let failing = stage.world.enqueue_about(a, "contact.updated", contact(1));
    let behind = stage.world.enqueue_about(a, "contact.updated", contact(1));
    for n in 0..50 {
        stage.world.enqueue_about(a, "contact.updated", contact(2 + n % 5));
        stage.world.enqueue(a, "contact.deleted");
    }
    let _running = stage.start();
    pass(SECOND * 5).await;
    assert_eq!(stage.world.pending(), 2, "everybody else is served");
    assert_eq!((stage.world.outcomes_of(failing).len(), stage.world.outcomes_of(behind).len()), (1, 0));
    pass(SECOND * 600).await;
    assert_eq!(stage.world.pending(), 0);
    assert!(stage.world.outcomes_of(failing)[1].at <= stage.world.outcomes_of(behind)[0].at);
}

#[tokio::test(start_paused = true)]
async fn os_13_one_of_a_hundred_hangs_and_holds_eight_slots_at_most() {
    let stage =
        Stage::new(
            World::new(Duration::from_millis(5)),
            |sent, _| {
                if sent.url == A { hang() } else { quick(200) }
            },
        );
    let a = stage.world.endpoint(A);
    let others: Vec<_> =
        (0..99).map(|n| stage.world.endpoint(&format!("https://h{n}.example.com/hook"))).collect();
    for _ in 0..200 {
        stage.world.enqueue(a, "contact.created");
    }
    let _running = stage.start();
    let mut slowest = 0;
    for _ in 0..40 {
        let before = stage.clock.now_millis();
        let round: Vec<_> = others.iter().map(|id| stage.world.enqueue(*id, "contact.created")).collect();
        pass(SECOND / 2).await;
        for delivery in round {
            let done = stage.world.outcomes_of(delivery).first().map_or(i64::MAX, |outcome| outcome.at.0);
            slowest = slowest.max(done.saturating_sub(before));
        }
    }
    assert!(slowest <= 50, "{slowest} ms");
    let sent = stage.script.sent_to(A);
    let most = sent.iter().map(|sent| {
        let end = |other: &&crate::script::Sent| other.at <= sent.at && sent.at.since(other.at) < 15_000;
        sent_until(&stage, end)
    });
    assert!(most.max().unwrap() <= 8, "one endpoint holds eight of the 64 slots at most (OB-150)");
    assert!(stage.script.most_open() <= 64);
}

fn sent_until(stage: &Stage, open: impl Fn(&&crate::script::Sent) -> bool) -> usize {
    stage.script.sent_to(A).iter().filter(open).count()
}
