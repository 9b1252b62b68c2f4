//! What sealing personal payloads costs: the same load on a system that seals and on one that does not, in turn.

use std::{sync::Arc, time::Instant};

use bytes::Bytes;
use mainspring_eventlog::EventLog as _;

use super::{
    edge::{Course, median, spread},
    load::Load,
    people::{self, ABOUT, USERS},
    place::Place,
    report::{Part, Row},
    world::World,
};

/// Connections of the load: few enough that nothing is refused.
const CONNECTIONS: usize = 32;

/// A system and what is sent to it.
struct Side {
    world: World,
    requests: Arc<Vec<Bytes>>,
}

impl Side {
    async fn open(place: &Place, name: &str, sealed: bool, events: usize) -> anyhow::Result<Self> {
        let world = World::open_with(&place.fresh(name)?, people::definitions()?, None, sealed).await?;
        let requests = match events {
            1 => people::requests(&world.key),
            size => people::batches(&world.key, size),
        };
        Ok(Self { world, requests: Arc::new(requests) })
    }

    /// Events per second, counted until the read models have them too.
    async fn rate(&self, course: Course, events: usize) -> anyhow::Result<f64> {
        let (log, refused) = (self.world.system.log(), || self.world.system.engine.health().refused_calls);
        let (before, refused_before, began) = (log.durable_end(), refused(), Instant::now());
        let load = Load {
            address: self.world.address,
            requests: Arc::clone(&self.requests),
            connections: CONNECTIONS,
            time: course.time,
            status: 202,
        };
        load.run().await?.whole()?;
        self.world.system.settled().await?;
        anyhow::ensure!(refused() == refused_before, "events were refused: batches of {events} are too many");
        Ok((log.durable_end() - before) as f64 / began.elapsed().as_secs_f64())
    }
}

/// Measures single events and batches.
pub async fn measure(place: &Place, course: Course, batch: usize) -> anyhow::Result<Part> {
    let mut rows = Vec::new();
    for events in [1, batch] {
        let clear = Side::open(place, "clear", false, events).await?;
        let sealed = Side::open(place, "sealed", true, events).await?;
        let (mut rates, mut shares) = ([Vec::new(), Vec::new()], Vec::new());
        for round in 0..=course.rounds {
            let pair = [clear.rate(course, events).await?, sealed.rate(course, events).await?];
            // The first round makes everybody known.
            if round > 0 {
                rates.iter_mut().zip(pair).for_each(|(all, rate)| all.push(rate));
                shares.push(pair[1] / pair[0]);
            }
        }
        let row = |what: &str, all: &[f64]| Row {
            what: format!("{what}, {events} per request"),
            load: CONNECTIONS.to_string(),
            figure: median(all),
            unit: "records/s",
            notes: spread(all, 1),
            ..Row::default()
        };
        rows.push(row("in clear", &rates[0]));
        rows.push(Row { share: Some((median(&shares), "in clear")), ..row("sealed", &rates[1]) });
        for (side, name) in [(clear, "clear"), (sealed, "sealed")] {
            side.world.stop().await;
            place.done(name)?;
        }
    }
    let about = format!(
        "read models included, {USERS} known contacts, {ABOUT}, {} times {} s each",
        course.rounds,
        course.time.as_secs()
    );
    Ok(Part { name: "sealing", about, rows })
}
