//! Memory while very many webhooks wait, because no receiver answers.

use std::{path::Path, time::Duration};

use super::endpoint;
use crate::commands::bench::{
    cpu::resident,
    people::{self, BEGUN},
    place::Place,
    receiver::{Manner, Receiver},
    report::Row,
    world,
};

/// Endpoints whose webhooks wait: each event makes as many.
const ENDPOINTS: usize = 100;

/// How long memory that was given back may take to leave the process.
const SETTLING: Duration = Duration::from_secs(2);

const MIB: f64 = 1024.0 * 1024.0;

/// A system after its events.
struct Filled {
    /// Its memory before them, in bytes.
    empty: u64,
    /// Its memory with all that followed from them.
    full: u64,
    /// Bytes of its log.
    log: u64,
}

/// Measures it with at least so many that wait.
pub async fn measure(place: &Place, queued: usize) -> anyhow::Result<Vec<Row>> {
    let contacts = queued.div_ceil(ENDPOINTS).max(1);
    let waiting = contacts * ENDPOINTS;
    let alone = filled(&place.fresh("nobody")?, contacts, 0).await?;
    place.done("nobody")?;
    let queue = filled(&place.fresh("queued")?, contacts, ENDPOINTS).await?;
    place.done("queued")?;
    let mib = |bytes: u64| bytes as f64 / MIB;
    let row = |what: String, bytes: u64| Row { what, figure: mib(bytes), unit: "MiB", ..Row::default() };
    let mut floor = row(format!("memory, {contacts} contacts and nobody who wants webhooks"), alone.full);
    floor.notes = vec![format!("{:.0} MiB before them", mib(alone.empty))];
    let mut row = row(format!("memory, {waiting} webhooks waiting"), queue.full);
    row.share = Some((queue.full as f64 / alone.full as f64, "nobody"));
    row.notes = vec![
        format!("{contacts} contacts, {ENDPOINTS} endpoints whose receiver never answers"),
        format!(
            "{:.0} bytes per webhook over the same contacts alone",
            queue.full.saturating_sub(alone.full) as f64 / waiting as f64
        ),
        format!("{:.0} MiB before them, {:.0} MiB of log", mib(queue.empty), mib(queue.log)),
    ];
    Ok(vec![floor, row])
}

/// Fills a system whose endpoints all go to a receiver that hangs.
async fn filled(directory: &Path, contacts: usize, endpoints: usize) -> anyhow::Result<Filled> {
    let system = world::open(directory, people::one_definition()?, Some(world::outbound())).await?;
    let receiver = Receiver::start(Manner::Hang)?;
    for _ in 0..endpoints {
        endpoint(&system.engine, receiver.url()).await?;
    }
    let empty = resident();
    world::fill(&system.engine, BEGUN, contacts, contacts).await?;
    system.settled().await?;
    tokio::time::sleep(SETTLING).await;
    let (full, log) = (resident(), system.log().statistics().bytes);
    world::stop(system).await;
    tokio::time::sleep(SETTLING).await;
    Ok(Filled { empty, full, log })
}
