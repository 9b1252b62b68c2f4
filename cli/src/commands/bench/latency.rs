//! From an event's arrival to its webhook's, at a modest and constant rate.

use std::{
    net::SocketAddr,
    sync::mpsc,
    time::{Duration, Instant},
};

use anyhow::Context;
use bytes::Bytes;
use hdrhistogram::Histogram;
use tokio::{io::AsyncWriteExt, sync::oneshot};

use super::{
    deliver::endpoint,
    load::connect,
    people::{self, BEGUN},
    place::Place,
    receiver::Receiver,
    report::{Part, Row, histogram, latencies},
    world::{self, World},
};
use crate::wire::Messages;

/// Connections that take turns.
const CONNECTIONS: usize = 16;

/// Requests sent before those that count.
const WARM_UP: usize = 100;

/// How long webhooks may take to arrive.
const PATIENCE: Duration = Duration::from_secs(30);

/// When each request was sent, and when it was answered.
type Sent = Vec<(Instant, Instant)>;

/// Measures it.
pub async fn measure(place: &Place, time: Duration, rate: u64) -> anyhow::Result<Part> {
    let directory = place.fresh("latency")?;
    let world = World::open(&directory, people::one_definition()?, Some(world::outbound())).await?;
    let (arrivals, arrived) = mpsc::channel();
    let receiver = Receiver::start(Some(arrivals))?;
    endpoint(&world.system.engine, receiver.url(), false).await?;
    world.system.settled().await?;
    let count = WARM_UP + usize::try_from(rate * time.as_secs())?;
    let requests: Vec<Bytes> = (0..count).map(|number| people::request(&world.key, BEGUN, number)).collect();
    let sent = send(world.address, requests, Duration::from_secs_f64(1.0 / rate as f64)).await?;
    let began = Instant::now();
    while receiver.taken() < count as u64 && began.elapsed() < PATIENCE {
        tokio::time::sleep(world::GLANCE).await;
    }
    world.stop().await;
    place.done("latency")?;
    let mut came = vec![None; count];
    for (at, body) in arrived.try_iter() {
        let place = number(&body).and_then(|number| came.get_mut(number));
        *place.context("a webhook about nobody arrived")? = Some(at);
    }
    let (mut answers, mut webhooks) = (histogram()?, histogram()?);
    for (place, ((sent, answered), came)) in sent.into_iter().zip(came).enumerate().skip(WARM_UP) {
        let came = came.with_context(|| format!("the webhook of event {place} did not arrive"))?;
        answers.saturating_record(nanos(answered.duration_since(sent)));
        webhooks.saturating_record(nanos(came.duration_since(sent)));
    }
    let row = |what: &str, histogram: &Histogram<u64>| Row {
        what: what.to_owned(),
        load: CONNECTIONS.to_string(),
        figure: rate as f64,
        unit: "events/s",
        latency: latencies(histogram),
        ..Row::default()
    };
    let rows = vec![row("event to its 202", &answers), row("event to its webhook", &webhooks)];
    let about = format!(
        "{} events at a constant {rate}/s, each of a new contact that enters a bucket, whose webhook goes to a \
         receiver in this process",
        count - WARM_UP
    );
    Ok(Part { name: "latency", about, rows })
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

/// Whom a webhook is about.
fn number(body: &[u8]) -> Option<usize> {
    const NAME: &[u8] = b"user-";
    let at = body.windows(NAME.len()).position(|window| window == NAME)? + NAME.len();
    std::str::from_utf8(body.get(at..at + 8)?).ok()?.parse().ok()
}

/// Sends each request at its instant, from a thread of its own.
async fn send(address: SocketAddr, requests: Vec<Bytes>, pace: Duration) -> anyhow::Result<Sent> {
    let (done, sent) = oneshot::channel();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let work = move || {
        let _ = done.send(runtime.block_on(send_all(address, requests, pace)));
    };
    std::thread::Builder::new().name("load".into()).spawn(work)?;
    sent.await.context("the load ended unexpectedly")?
}

async fn send_all(address: SocketAddr, requests: Vec<Bytes>, pace: Duration) -> anyhow::Result<Sent> {
    let count = requests.len();
    let requests = std::sync::Arc::new(requests);
    let began = tokio::time::Instant::now() + Duration::from_millis(50);
    let mut tasks = Vec::with_capacity(CONNECTIONS);
    for first in 0..CONNECTIONS {
        let requests = std::sync::Arc::clone(&requests);
        let mut stream = connect(address).await?;
        tasks.push(tokio::spawn(async move {
            let mut messages = Messages::default();
            let mut sent = Vec::new();
            for place in (first..count).step_by(CONNECTIONS) {
                tokio::time::sleep_until(began + pace * u32::try_from(place)?).await;
                let at = Instant::now();
                stream.write_all(&requests[place]).await?;
                let answer = messages.next(&mut stream).await?.context("the server hung up")?;
                if answer.status() != Some(202) {
                    anyhow::bail!("refused: {}", String::from_utf8_lossy(answer.body));
                }
                sent.push((place, (at, Instant::now())));
            }
            anyhow::Ok(sent)
        }));
    }
    let mut all = Vec::with_capacity(count);
    for task in tasks {
        all.extend(task.await??);
    }
    all.sort_unstable_by_key(|(place, _)| *place);
    Ok(all.into_iter().map(|(_, times)| times).collect())
}
