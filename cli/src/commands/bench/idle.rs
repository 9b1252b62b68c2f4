//! Memory while contacts are known and nothing happens, and how long a start takes with their log.

use std::{fs, path::Path, sync::Arc, time::Instant};

use mainspring_eventlog::EventLog;
use mainspring_projections::{ReadModels, Runner};

use super::{
    cpu::resident,
    people::{self, ABOUT, EVENT},
    place::Place,
    report::{Part, Row},
    world,
};
use crate::compose::DataDir;

/// How long memory that was given back may take to leave the process.
const SETTLING: std::time::Duration = std::time::Duration::from_secs(2);

const MIB: f64 = 1024.0 * 1024.0;

/// Measures it with so many contacts, and at least so many records.
pub async fn measure(place: &Place, contacts: u64, records: Option<u64>) -> anyhow::Result<Part> {
    let directory = place.fresh("idle")?;
    let users = usize::try_from(contacts.max(1))?;
    let system = world::open(&directory, people::definitions()?, None).await?;
    let empty = resident();
    let began = Instant::now();
    world::fill(&system.engine, EVENT, users, users).await?;
    let filled = began.elapsed().as_secs_f64();
    while records.is_some_and(|wanted| system.log().durable_end() < wanted) {
        let missing = records.unwrap_or_default() - system.log().durable_end();
        world::fill(&system.engine, EVENT, users, usize::try_from(missing)?).await?;
    }
    system.settled().await?;
    tokio::time::sleep(SETTLING).await;
    let (full, health) = (resident(), system.engine.health());
    let statistics = system.log().statistics();
    // What a process leaves behind that is killed now: nothing is being written.
    let crashed = place.fresh("killed")?;
    copy(&directory, &crashed)?;
    world::stop(system).await;
    tokio::time::sleep(SETTLING).await;
    let closed = resident();

    let began = Instant::now();
    let system = world::open(&directory, people::definitions()?, None).await?;
    let opened = began.elapsed().as_secs_f64();
    system.engine.ingest(world::call(EVENT, 0)).await?;
    let first = began.elapsed().as_secs_f64();
    tokio::time::sleep(SETTLING).await;
    let again = resident();
    world::stop(system).await;
    let (log, models) = open_parts(&directory).await?;
    let began = Instant::now();
    let system = world::open(&crashed, people::definitions()?, None).await?;
    system.engine.ingest(world::call(EVENT, 0)).await?;
    let after_kill = began.elapsed().as_secs_f64();
    world::stop(system).await;
    place.done("idle")?;
    place.done("killed")?;

    let mib =
        |what: String, bytes: u64| Row { what, figure: bytes as f64 / MIB, unit: "MiB", ..Row::default() };
    let seconds = |what: &str, figure: f64| Row {
        what: what.to_owned(),
        figure: figure * 1000.0,
        unit: "ms",
        ..Row::default()
    };
    let mut live = mib(format!("memory, {} contacts in memory", health.live_contacts), full);
    live.notes = vec![
        format!(
            "{:.0} bytes per contact over the empty system",
            (full.saturating_sub(empty)) as f64 / users as f64
        ),
        format!("{} timers armed", health.armed_timers),
        format!("made at {:.0} new contacts/s", users as f64 / filled),
    ];
    let mut known = mib(format!("memory, {users} contacts known, none in memory"), again);
    known.notes = vec![format!(
        "after closing and opening again in the same process, which kept {:.0} MiB while it was closed",
        closed as f64 / MIB
    )];
    let rows = vec![
        mib("memory, empty system".to_owned(), empty),
        live,
        known,
        seconds("start to ready", opened),
        seconds("start to the first event accepted", first),
        seconds("one more start, the log alone", log),
        seconds("one more start, the read models alone", models),
        seconds("start after a kill to the first event accepted", after_kill),
    ];
    let about = format!(
        "{} records of {users} contacts, {} MiB on disk and in the page cache, stopped in order before unless it says killed; {ABOUT}",
        statistics.records,
        statistics.bytes / (1 << 20)
    );
    Ok(Part { name: "idle", about, rows })
}

/// Seconds that opening the log takes, and the read models that are up with it.
async fn open_parts(directory: &Path) -> anyhow::Result<(f64, f64)> {
    let data = DataDir::existing(directory)?;
    let began = Instant::now();
    let opened = data.open_log().await?;
    let log_took = began.elapsed().as_secs_f64();
    let began = Instant::now();
    let models = ReadModels::open(&data.read_models())?;
    let runner = Runner::start(Arc::clone(&opened.log), models.clone(), None)?;
    while !models.wait_for(opened.log.durable_end(), world::GLANCE).await {}
    let models_took = began.elapsed().as_secs_f64();
    tokio::task::spawn_blocking(move || {
        runner.stop();
        opened.raw.close();
    })
    .await?;
    Ok((log_took, models_took))
}

/// Copies a data directory.
fn copy(from: &Path, to: &Path) -> anyhow::Result<()> {
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            fs::create_dir(&target)?;
            copy(&entry.path(), &target)?;
        } else {
            fs::copy(entry.path(), &target)?;
        }
    }
    Ok(())
}
