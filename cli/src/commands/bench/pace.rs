//! Events at a constant rate, each sent at its instant whatever became of those before, and the webhooks they lead to.

use std::{
    net::SocketAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context, bail};
use bytes::Bytes;
use hdrhistogram::Histogram;
use tokio::{io::AsyncWriteExt, sync::oneshot};

use super::{
    load::connect,
    people::{self, BEGUN},
    receiver::Receiver,
    report::{Row, histogram, latencies},
    world::{self, World},
};
use crate::wire::Messages;

/// How long webhooks may take to arrive.
const PATIENCE: Duration = Duration::from_secs(30);

/// When each request was sent, and when it was answered.
type Sent = Vec<(Instant, Instant)>;

/// Events of new people, each of whom enters a bucket.
#[derive(Clone, Debug)]
pub struct Pace {
    /// The number of the first person; none of them is known yet.
    pub first: usize,
    /// Events sent before those that count.
    pub warm_up: usize,
    /// Events that count.
    pub count: usize,
    /// Events per second.
    pub rate: f64,
    /// Connections that take turns.
    pub connections: usize,
    /// Webhooks that each event leads to at the receiver.
    pub each: usize,
}

/// How long it took, in nanoseconds.
#[derive(Clone, Debug)]
pub struct Journeys {
    /// From sending an event to its answer.
    pub answers: Histogram<u64>,
    /// From sending an event to each of its webhooks.
    pub webhooks: Histogram<u64>,
}

impl Pace {
    /// Sends all events, and waits for all webhooks.
    pub async fn run(&self, world: &World, receiver: &Receiver) -> anyhow::Result<Journeys> {
        let arrivals = receiver.arrivals();
        let before = receiver.got();
        let all = self.warm_up + self.count;
        let people = self.first..self.first + all;
        let requests = people.map(|number| people::request(&world.key, BEGUN, number)).collect();
        let pace = Duration::from_secs_f64(1.0 / self.rate);
        let sent = send(world.address, requests, self.connections, pace).await?;
        let wanted = before + (all * self.each) as u64;
        let began = Instant::now();
        while receiver.got() < wanted && began.elapsed() < PATIENCE {
            tokio::time::sleep(world::GLANCE).await;
        }
        let (mut answers, mut webhooks) = (histogram()?, histogram()?);
        for (sent, answered) in &sent[self.warm_up..] {
            answers.saturating_record(nanos(answered.duration_since(*sent)));
        }
        let mut missing = vec![self.each; all];
        for (came, body) in arrivals.try_iter() {
            let place = number(&body).and_then(|number| number.checked_sub(self.first));
            let place = place.filter(|place| *place < all).context("a webhook about nobody arrived")?;
            missing[place] = missing[place].saturating_sub(1);
            if place >= self.warm_up {
                webhooks.saturating_record(nanos(came.duration_since(sent[place].0)));
            }
        }
        let missing: usize = missing.iter().sum();
        if missing > 0 {
            bail!("{missing} of {} webhooks did not arrive", all * self.each);
        }
        Ok(Journeys { answers, webhooks })
    }

    /// What it took, as rows; `more` says what else is to be said about the events.
    pub fn rows(&self, journeys: &Journeys, more: &str) -> [Row; 2] {
        let row = |what: &str, histogram: &Histogram<u64>| Row {
            what: format!("{what}{more}"),
            load: self.connections.to_string(),
            figure: self.rate,
            unit: "events/s",
            latency: latencies(histogram),
            ..Row::default()
        };
        [row("event to its 202", &journeys.answers), row("event to its webhook", &journeys.webhooks)]
    }
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
async fn send(
    address: SocketAddr,
    requests: Vec<Bytes>,
    connections: usize,
    pace: Duration,
) -> anyhow::Result<Sent> {
    let (done, sent) = oneshot::channel();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let work = move || {
        let _ = done.send(runtime.block_on(send_all(address, requests, connections, pace)));
    };
    std::thread::Builder::new().name("load".into()).spawn(work)?;
    sent.await.context("the load ended unexpectedly")?
}

async fn send_all(
    address: SocketAddr,
    requests: Vec<Bytes>,
    connections: usize,
    pace: Duration,
) -> anyhow::Result<Sent> {
    let count = requests.len();
    let requests = Arc::new(requests);
    let began = tokio::time::Instant::now() + Duration::from_millis(50);
    let mut tasks = Vec::with_capacity(connections);
    for first in 0..connections {
        let requests = Arc::clone(&requests);
        let mut stream = connect(address).await?;
        tasks.push(tokio::spawn(async move {
            let mut messages = Messages::default();
            let mut sent = Vec::new();
            for place in (first..count).step_by(connections) {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_names_the_person_it_is_about() {
        assert_eq!(number(br#"{"data":{"userId":"user-00000042"}}"#), Some(42));
        assert_eq!(number(br#"{"data":{"userId":"user-42"}}"#), None);
    }
}
