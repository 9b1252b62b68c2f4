//! One request after the other through HTTP: the bare edge, the edge with a durable append, and the real thing.

use std::{
    net::SocketAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::Context;
use bytes::Bytes;
use mainspring_eventlog::{EventLog, embedded::Statistics};
use tokio::io::AsyncWriteExt;

use super::{
    floor::{EVENT_TYPE, Floor, Shape},
    load::{Answers, Load, WARM_UP, connect},
    place::Place,
    report::{Row, histogram, latencies},
    world::World,
};
use crate::{compose::System, wire::Messages};

/// How often the read models are looked at.
const SAMPLE: Duration = Duration::from_millis(20);

/// The empty padding header takes this much: its name, a colon, a blank and the end of a line.
const PADDING: usize = "x-padding: \r\n".len();

/// How something is measured.
#[derive(Clone, Copy, Debug)]
pub struct Course {
    /// How long each time.
    pub time: Duration,
    /// How often.
    pub rounds: usize,
}

/// Among so many newest records there is an event.
const NEWEST: u64 = 1000;

/// What is compared.
pub struct Comparison<'a> {
    /// Where floors keep their logs.
    pub place: &'a Place,
    /// The real thing.
    pub world: &'a World,
    /// What is sent to all three.
    pub requests: Arc<Vec<Bytes>>,
    /// Events of one request.
    pub events: usize,
    /// How they are measured.
    pub course: Course,
    /// The sizes.
    pub shape: Shape,
}

/// One measurement of one of the three.
struct Measured {
    answers: Answers,
    /// Syncs of its log, and records that they made durable.
    syncs: (u64, u64),
    following: Following,
    /// Events that were answered with a refusal, for example inside a batch.
    refused: u64,
}

impl Measured {
    /// Requests per second; events that were refused do not count, those of the warm-up neither.
    fn rate(&self, events: usize) -> f64 {
        let refused = self.refused as f64 / events as f64;
        (self.answers.count as f64 - refused).max(0.0) / self.answers.time.as_secs_f64()
    }
}

/// What the read models did meanwhile.
#[derive(Clone, Copy, Default)]
struct Following {
    /// Records they were behind: on average, at most, at the end.
    lag: [f64; 3],
    /// From the last answer until they had everything, in seconds.
    catch_up: f64,
    /// The part of the whole time that was not spent on that.
    share: f64,
}

/// The three at one number of connections, one after the other.
struct Round {
    edge: Measured,
    durable: Measured,
    real: Measured,
}

impl<'a> Comparison<'a> {
    /// Warms the real thing up until every user is known, and takes its measure.
    pub async fn new(
        place: &'a Place,
        world: &'a World,
        requests: Vec<Bytes>,
        events: usize,
        course: Course,
    ) -> anyhow::Result<Self> {
        let requests = Arc::new(requests);
        for _ in 0..2 {
            everyone(world, &requests).await?;
        }
        world.system.settled().await?;
        let shape = shape(world, &requests, events).await?;
        Ok(Self { place, world, requests, events, course, shape })
    }

    /// The three at one number of connections, in turn, and so again: what else the machine does meanwhile changes, and
    /// only what is measured side by side can be compared.
    pub async fn rows(&self, connections: usize) -> anyhow::Result<Vec<Row>> {
        let mut rounds = Vec::with_capacity(self.course.rounds);
        for _ in 0..self.course.rounds {
            rounds.push(self.round(connections).await?);
        }
        let figures = |rate: &dyn Fn(&Round) -> f64| rounds.iter().map(rate).collect::<Vec<f64>>();
        let row = |what: &str, all: Vec<f64>| Row {
            what: what.to_owned(),
            load: connections.to_string(),
            figure: median(&all) * self.events as f64,
            unit: "events/s",
            notes: spread(&all, self.events),
            ..Row::default()
        };
        let edge = figures(&|round| round.edge.rate(self.events));
        let durable = figures(&|round| round.durable.rate(self.events));
        let accepted = figures(&|round| round.real.rate(self.events));
        let kept = figures(&|round| round.real.rate(self.events) * round.real.following.share);
        let shares = |of: &[f64], floor: &[f64]| {
            median(&of.iter().zip(floor).map(|(figure, floor)| figure / floor).collect::<Vec<_>>())
        };
        let mut rows = vec![
            Row {
                latency: latency(rounds.iter().map(|round| &round.edge))?,
                ..row("bare edge", edge.clone())
            },
            Row {
                latency: latency(rounds.iter().map(|round| &round.durable))?,
                share: Some((shares(&durable, &edge), "bare edge")),
                ..row("edge + durable append", durable.clone())
            },
            Row {
                latency: latency(rounds.iter().map(|round| &round.real))?,
                share: Some((shares(&accepted, &durable), "edge + append")),
                ..row("mainspring, accepted", accepted.clone())
            },
            Row {
                share: Some((shares(&kept, &durable), "edge + append")),
                ..row("mainspring, read models included", kept.clone())
            },
        ];
        rows[0].notes.extend(costs(rounds.iter().map(|round| &round.edge)));
        rows[1].notes.extend(costs(rounds.iter().map(|round| &round.durable)));
        rows[2].notes.push(format!("{:.2} of the bare edge", shares(&accepted, &edge)));
        let refused: u64 = rounds.iter().map(|round| round.real.refused).sum();
        if refused > 0 {
            rows[2].notes.push(format!("{refused} events refused for lack of room, which do not count"));
        }
        rows[2].notes.extend(costs(rounds.iter().map(|round| &round.real)));
        rows[3].notes.push(format!("{:.2} of the bare edge", shares(&kept, &edge)));
        rows[3].notes.extend(behind(rounds.iter().map(|round| round.real.following)));
        Ok(rows)
    }

    async fn round(&self, connections: usize) -> anyhow::Result<Round> {
        let edge = self.floor(connections, Floor::edge(self.shape.clone())?).await?;
        let directory = self.place.fresh("floor")?;
        let floor = Floor::durable(self.shape.clone(), &directory)?;
        let durable = self.floor(connections, floor).await?;
        self.place.done("floor")?;
        let real = self.real(connections).await?;
        Ok(Round { edge, durable, real })
    }

    fn load(&self, address: SocketAddr, connections: usize) -> Load {
        let requests = Arc::clone(&self.requests);
        Load { address, requests, connections, time: self.course.time, status: 202 }
    }

    async fn floor(&self, connections: usize, floor: Floor) -> anyhow::Result<Measured> {
        let statistics = |floor: &Floor| floor.log().map(|log| log.statistics()).unwrap_or_default();
        let before = statistics(&floor);
        let answers = self.load(floor.address, connections).run().await?.whole()?;
        let syncs = syncs(&before, &statistics(&floor));
        floor.stop().await;
        Ok(Measured { answers, syncs, following: Following::default(), refused: 0 })
    }

    async fn real(&self, connections: usize) -> anyhow::Result<Measured> {
        let log = self.world.system.log();
        let refused = || self.world.system.engine.health().refused_calls;
        let (before, refused_before) = (log.statistics(), refused());
        let load = self.load(self.world.address, connections);
        let (answers, following) = followed(&self.world.system, load).await?;
        let syncs = syncs(&before, &log.statistics());
        Ok(Measured { answers, syncs, following, refused: refused() - refused_before })
    }
}

fn syncs(before: &Statistics, now: &Statistics) -> (u64, u64) {
    (now.syncs - before.syncs, now.records - before.records)
}

/// The middle of several figures.
pub fn median(figures: &[f64]) -> f64 {
    let mut sorted = figures.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted.get(sorted.len() / 2).copied().unwrap_or_default()
}

/// From which to which figure the rounds went, if there were several.
pub fn spread(figures: &[f64], events: usize) -> Vec<String> {
    let (least, most) = figures
        .iter()
        .fold((f64::MAX, 0.0_f64), |(least, most), figure| (least.min(*figure), most.max(*figure)));
    let events = events as f64;
    let text = || format!("median of {} from {:.0} to {:.0}", figures.len(), least * events, most * events);
    (figures.len() > 1).then(text).into_iter().collect()
}

/// The latencies of all rounds together.
fn latency<'m>(measured: impl Iterator<Item = &'m Measured>) -> anyhow::Result<Option<[f64; 3]>> {
    let mut all = histogram()?;
    for measured in measured {
        all.add(&measured.answers.latency)?;
    }
    Ok(latencies(&all))
}

/// Syncs and processors, as text.
fn costs<'m>(measured: impl Iterator<Item = &'m Measured>) -> Vec<String> {
    let (mut syncs, mut records, mut seconds, mut used) = (0, 0, 0.0, "");
    for Measured { answers, syncs: (more, durable), .. } in measured {
        syncs += more;
        records += durable;
        // The log was also written while warming up, which is not counted otherwise.
        seconds += answers.time.as_secs_f64() * (1.0 + WARM_UP);
        used = &answers.used;
    }
    let mut costs = Vec::new();
    if syncs > 0 {
        let (each, second) = (records as f64 / syncs as f64, syncs as f64 / seconds);
        costs.push(format!("{second:.0} syncs/s, {each:.1} records per sync"));
    }
    costs.push(format!("CPU s of the last: {used}"));
    costs
}

/// How far the read models were behind in the worst round, as text.
fn behind(rounds: impl Iterator<Item = Following>) -> Vec<String> {
    let mut worst = Following::default();
    for Following { lag, catch_up, .. } in rounds {
        for (worst, lag) in worst.lag.iter_mut().zip(lag) {
            *worst = worst.max(lag);
        }
        worst.catch_up = worst.catch_up.max(catch_up);
    }
    let ([mean, most, end], catch_up) = (worst.lag, worst.catch_up);
    vec![
        format!("read models behind by {mean:.0} records on average, {most:.0} at most, {end:.0} at the end"),
        format!("caught up {catch_up:.3} s after the last answer"),
    ]
}

/// Runs a load and watches the read models, until they reflect all of it.
async fn followed(system: &System, load: Load) -> anyhow::Result<(Answers, Following)> {
    let (mut samples, began) = (Vec::new(), Instant::now());
    let lag = || system.log().durable_end().saturating_sub(system.read_models.position()) as f64;
    let mut running = Box::pin(load.run());
    let answers = loop {
        tokio::select! {
            answers = &mut running => break answers,
            () = tokio::time::sleep(SAMPLE) => samples.push(lag()),
        }
    };
    let (end, ended) = (lag(), Instant::now());
    system.settled().await?;
    let mean = samples.iter().sum::<f64>() / samples.len().max(1) as f64;
    let most = samples.iter().copied().fold(end, f64::max);
    let (catch_up, whole) = (ended.elapsed().as_secs_f64(), began.elapsed().as_secs_f64());
    let following = Following { lag: [mean, most, end], catch_up, share: 1.0 - catch_up / whole };
    Ok((answers?.whole()?, following))
}

/// Sends every request once, over several connections.
async fn everyone(world: &World, requests: &Arc<Vec<Bytes>>) -> anyhow::Result<()> {
    const CONNECTIONS: usize = 64;
    let tasks: Vec<_> = (0..CONNECTIONS)
        .map(|first| {
            let (requests, address) = (Arc::clone(requests), world.address);
            actix_web::rt::spawn(async move {
                let mut stream = connect(address).await?;
                let mut messages = Messages::default();
                for request in requests.iter().skip(first).step_by(CONNECTIONS) {
                    stream.write_all(request).await?;
                    let answer = messages.next(&mut stream).await?.context("the server hung up")?;
                    if answer.status() != Some(202) {
                        anyhow::bail!("refused: {}", String::from_utf8_lossy(answer.body));
                    }
                }
                anyhow::Ok(())
            })
        })
        .collect();
    for task in tasks {
        task.await??;
    }
    Ok(())
}

/// The sizes of a real answer and of the records behind it.
async fn shape(world: &World, requests: &[Bytes], events: usize) -> anyhow::Result<Shape> {
    let request = requests.first().context("nothing to send")?;
    let real = exchange(world.address, request).await?;
    let plain =
        Shape { body: real.1.clone(), padding: String::new(), payload: Bytes::new(), records: events };
    let floor = Floor::edge(plain.clone())?;
    let bare = exchange(floor.address, request).await?;
    floor.stop().await;
    let padding = "-".repeat(real.0.saturating_sub(bare.0 + PADDING).max(1));
    let log = world.system.log();
    let newest = log.read_all(log.durable_end().saturating_sub(NEWEST), usize::try_from(NEWEST)?).await?;
    let event = newest.into_iter().rfind(|record| record.event_type == EVENT_TYPE);
    Ok(Shape { padding, payload: event.context("the log holds no event")?.payload, ..plain })
}

/// The size of an answer's head, and its body.
async fn exchange(address: SocketAddr, request: &Bytes) -> anyhow::Result<(usize, Bytes)> {
    let mut stream = connect(address).await?;
    stream.write_all(request).await?;
    let mut messages = Messages::default();
    let answer = messages.next(&mut stream).await?.context("the server hung up")?;
    Ok((answer.head.len(), Bytes::copy_from_slice(answer.body)))
}
