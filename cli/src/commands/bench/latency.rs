//! From an event's arrival to its webhook's, at a modest and constant rate.

use std::time::Duration;

use super::{
    deliver::endpoint,
    pace::Pace,
    people,
    place::Place,
    receiver::{Manner, Receiver},
    report::Part,
    world::{self, World},
};

/// Connections that take turns.
const CONNECTIONS: usize = 16;

/// Requests sent before those that count.
const WARM_UP: usize = 100;

/// Measures it.
pub async fn measure(place: &Place, time: Duration, rate: u64) -> anyhow::Result<Part> {
    let directory = place.fresh("latency")?;
    let world = World::open(&directory, people::one_definition()?, Some(world::outbound())).await?;
    let receiver = Receiver::start(Manner::Take)?;
    endpoint(&world.system.engine, receiver.url()).await?;
    world.system.settled().await?;
    let count = usize::try_from(rate * time.as_secs())?;
    let pace =
        Pace { first: 0, warm_up: WARM_UP, count, rate: rate as f64, connections: CONNECTIONS, each: 1 };
    let journeys = pace.run(&world, &receiver).await?;
    world.stop().await;
    place.done("latency")?;
    let about = format!(
        "{count} events at a constant {rate}/s, each of a new contact that enters a bucket, whose webhook goes to a \
         receiver in this process"
    );
    Ok(Part { name: "latency", about, rows: pace.rows(&journeys, "").to_vec() })
}
