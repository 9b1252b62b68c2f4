//! One request after the other through HTTP: the bare edge, the edge with a durable append, and the real thing.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::Context;
use bytes::Bytes;
use mainspring_eventlog::{EventLog, embedded::Statistics};
use tokio::io::AsyncWriteExt;

use super::{
    floor::{Floor, Shape},
    load::{Answers, Load, WARM_UP, connect},
    place::Place,
    report::{Row, latencies},
    world::World,
};
use crate::{compose::System, wire::Messages};

/// How often the read models are looked at.
const SAMPLE: Duration = Duration::from_millis(20);

/// The empty padding header takes this much: its name, a colon, a blank and the end of a line.
const PADDING: usize = "x-padding: \r\n".len();

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
    /// How long each is measured.
    pub time: Duration,
    /// The sizes.
    pub shape: Shape,
}

/// What the read models did meanwhile.
struct Following {
    /// Records they were behind: on average, at most, at the end.
    lag: [f64; 3],
    /// How long they took to catch up.
    catch_up: Duration,
}

impl<'a> Comparison<'a> {
    /// Warms the real thing up until every user is known, and takes its measure.
    pub async fn new(
        place: &'a Place,
        world: &'a World,
        requests: Vec<Bytes>,
        events: usize,
        time: Duration,
    ) -> anyhow::Result<Self> {
        let requests = Arc::new(requests);
        for _ in 0..2 {
            everyone(world, &requests).await?;
        }
        world.system.settled().await?;
        let shape = shape(world, &requests, events).await?;
        Ok(Self { place, world, requests, events, time, shape })
    }

    fn load(&self, address: std::net::SocketAddr, connections: usize) -> Load {
        Load { address, requests: Arc::clone(&self.requests), connections, time: self.time, status: 202 }
    }

    /// The three at one number of connections.
    pub async fn rows(&self, connections: usize) -> anyhow::Result<Vec<Row>> {
        let (edge, mut bare) = self.floor(connections, Floor::edge(self.shape.clone())?).await?;
        bare.what = "bare edge".to_owned();
        let directory = self.place.fresh("floor")?;
        let floor = Floor::durable(self.shape.clone(), &directory)?;
        let (durable, mut logged) = self.floor(connections, floor).await?;
        self.place.done("floor")?;
        logged.what = "edge + durable append".to_owned();
        logged.share = Some((durable / edge, "bare edge"));
        let (accepted, real) = self.real(connections, edge, durable).await?;
        Ok(vec![bare, logged, accepted, real])
    }

    async fn floor(&self, connections: usize, floor: Floor) -> anyhow::Result<(f64, Row)> {
        let log = floor.log().map(|log| log.statistics());
        let answers = self.load(floor.address, connections).run().await?.whole()?;
        let mut row = self.row(connections, &answers);
        if let (Some(before), Some(log)) = (log, floor.log()) {
            row.notes.push(syncs(&before, &log.statistics(), &answers));
        }
        row.notes.push(format!("CPU s: {}", answers.used));
        floor.stop().await;
        Ok((row.figure, row))
    }

    async fn real(&self, connections: usize, edge: f64, durable: f64) -> anyhow::Result<(Row, Row)> {
        let system = &self.world.system;
        let log = system.log().statistics();
        let began = Instant::now();
        let load = self.load(self.world.address, connections);
        let (answers, following) = followed(system, load).await?;
        let whole = began.elapsed();
        let now = system.log().statistics();
        let mut accepted = self.row(connections, &answers);
        accepted.what = "mainspring, accepted".to_owned();
        accepted.share = Some((accepted.figure / durable, "edge + append"));
        accepted.notes.push(format!("{:.2} of the bare edge", accepted.figure / edge));
        accepted.notes.push(syncs(&log, &now, &answers));
        accepted.notes.push(format!("CPU s: {}", answers.used));
        // The rate at which events were taken and had reached the read models: what was sent, over the time until all
        // of it was there.
        let mut real = accepted.clone();
        let share_of_time = (whole - following.catch_up).as_secs_f64() / whole.as_secs_f64();
        real.what = "mainspring, read models included".to_owned();
        real.figure = accepted.figure * share_of_time;
        real.latency = None;
        real.share = Some((real.figure / durable, "edge + append"));
        let [mean, most, end] = following.lag;
        real.notes = vec![
            format!("{:.2} of the bare edge", real.figure / edge),
            format!(
                "read models behind by {mean:.0} records on average, {most:.0} at most, {end:.0} at the end"
            ),
            format!("caught up {:.2} s after the last answer", following.catch_up.as_secs_f64()),
        ];
        Ok((accepted, real))
    }

    fn row(&self, connections: usize, answers: &Answers) -> Row {
        Row {
            load: connections.to_string(),
            figure: answers.rate() * self.events as f64,
            unit: "events/s",
            latency: latencies(&answers.latency),
            ..Row::default()
        }
    }
}

fn syncs(before: &Statistics, now: &Statistics, answers: &Answers) -> String {
    let (syncs, records) = (now.syncs - before.syncs, now.records - before.records);
    // The log was also written while warming up, which is not counted otherwise.
    let seconds = answers.time.as_secs_f64() * (1.0 + WARM_UP);
    format!(
        "{:.0} syncs/s, {:.1} records per sync",
        syncs as f64 / seconds,
        records as f64 / syncs.max(1) as f64
    )
}

/// Runs a load and watches the read models, until they reflect all of it.
async fn followed(system: &System, load: Load) -> anyhow::Result<(Answers, Following)> {
    let mut samples = Vec::new();
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
    Ok((answers?.whole()?, Following { lag: [mean, most, end], catch_up: ended.elapsed() }))
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
    let newest = log.read_all(log.durable_end().saturating_sub(1), 1).await?;
    let newest = newest.into_iter().next().context("the log is empty")?;
    Ok(Shape { padding, payload: newest.payload, ..plain })
}

/// The size of an answer's head, and its body.
async fn exchange(address: std::net::SocketAddr, request: &Bytes) -> anyhow::Result<(usize, Bytes)> {
    let mut stream = connect(address).await?;
    stream.write_all(request).await?;
    let mut messages = Messages::default();
    let answer = messages.next(&mut stream).await?.context("the server hung up")?;
    Ok((answer.head.len(), Bytes::copy_from_slice(answer.body)))
}
