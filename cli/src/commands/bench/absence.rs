//! Absence noticed on time: many contacts wait for an instant of their own, and a part of them falls due at about the
//! same time, while events go on to arrive.

use std::{
    cell::Cell,
    rc::Rc,
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context, bail};
use hdrhistogram::Histogram;
use mainspring_eventlog::{EventLog, Position};
use mainspring_schemas::{BucketId, Timestamp, event::ContactEvent};

use super::{
    cpu::resident,
    durable::{Ends, Watch},
    load::{Answers, Load, WARM_UP},
    people::{self, ABSENT, EVENT, USERS},
    place::Place,
    populate::Absentees,
    report::{Part, Row, histogram, latencies},
    world::{self, World},
};
use crate::exit::Fault;

/// Connections of the load, one event per request.
const CONNECTIONS: usize = 64;

/// When the contacts that are not due in the window fall due: so long after the start, over so long. Within the time
/// that timers are kept in memory, and after the measurement.
const REST: (Duration, Duration) = (Duration::from_secs(4_500), Duration::from_secs(2_400));

/// Between two parts of the measurement.
const PAUSE: Duration = Duration::from_secs(3);

/// How long transitions may take after the window.
const PATIENCE: Duration = Duration::from_secs(120);

/// What counts as late (BK-151).
const LATE: Duration = Duration::from_secs(1);

/// Records read at a time.
const PAGE: usize = 10_000;

/// The type of the records that are looked for.
const JOIN: &str = "contact.bucket-entered";

const MIB: f64 = 1024.0 * 1024.0;

/// How much of it.
#[derive(Clone, Copy, Debug)]
pub struct Scene {
    /// All contacts.
    pub contacts: usize,
    /// Those that fall due in the window.
    pub due: usize,
    /// The window.
    pub window: Duration,
}

/// Measures it.
pub async fn measure(place: &Place, scene: Scene) -> anyhow::Result<Part> {
    if scene.due == 0 || scene.due >= scene.contacts {
        return Err(
            Fault::usage("of the contacts, some must fall due in the window and some must not").into()
        );
    }
    let directory = place.fresh("absence")?;
    let world = World::open(&directory, people::absence_definition()?, None).await?;
    let empty = resident();
    let (begins, made) = populate(&world, scene).await?;
    let (full, health) = (resident(), world.system.engine.health());
    let most = Highest::watch();
    let rest = scene.contacts - scene.due;
    let requests = (0..USERS.min(rest)).map(|number| people::request(&world.key, EVENT, number)).collect();
    let load = Load {
        address: world.address,
        requests: Arc::new(requests),
        connections: CONNECTIONS,
        time: scene.window,
        status: 202,
    };
    let quiet = load.clone().run().await?.whole()?;
    let wait = begins.since(world.system.engine.now()) - millis(scene.window.mul_f64(WARM_UP));
    let wait = u64::try_from(wait).context("contacts were made too slowly for the window that was chosen")?;
    tokio::time::sleep(Duration::from_millis(wait)).await;
    let log: Arc<dyn EventLog> = Arc::clone(world.system.engine.log());
    let first = log.durable_end();
    let watch = Watch::start(Arc::clone(&log))?;
    let busy = load.run().await?.whole()?;
    wait_for_members(&world, scene.due).await?;
    let ends = watch.stop().await?;
    let most = most.stop();
    let lateness = Lateness::read(&*log, first, &ends).await?;
    if lateness.decided.len() != scene.due as u64 {
        bail!("{} transitions of {} contacts", lateness.decided.len(), scene.due);
    }
    world.stop().await;
    place.done("absence")?;

    let mut rows = ingest_rows(&quiet, &busy, scene.due).to_vec();
    rows.extend(lateness.rows(scene));
    let mib =
        |what: String, bytes: u64| Row { what, figure: bytes as f64 / MIB, unit: "MiB", ..Row::default() };
    let mut armed = mib(format!("memory, {} timers armed", health.armed_timers), full);
    armed.notes = vec![
        format!(
            "{:.0} bytes per contact over the empty system, {} contacts in memory",
            full.saturating_sub(empty) as f64 / scene.contacts as f64,
            health.live_contacts
        ),
        format!("made over HTTP at {made:.0} new contacts/s"),
    ];
    rows.extend([armed, mib("memory, most of it during both loads".to_owned(), most)]);
    let about = format!(
        "{} contacts, each seen once; {} of them have been away for 7 days within the same {} s and enter a bucket, \
         while events of others arrive one per request",
        scene.contacts,
        scene.due,
        scene.window.as_secs()
    );
    Ok(Part { name: "absence", about, rows })
}

fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

/// Makes all contacts. Returns when the window begins, and how many were made in a second.
async fn populate(world: &World, scene: Scene) -> anyhow::Result<(Timestamp, f64)> {
    let engine = &world.system.engine;
    let rest = scene.contacts - scene.due;
    let began = Instant::now();
    let (after, over) = REST;
    let others = Absentees { numbers: 0..rest, from: engine.now().plus(millis(after)), over };
    others.populate(world.address, &world.key).await?;
    let made = rest as f64 / began.elapsed().as_secs_f64();
    world.system.settled().await?;
    // Twice the time that making the due ones should take, one load without them, and the warming up of the other.
    let making = Duration::from_secs_f64(2.0 * scene.due as f64 / made);
    let lead = making + scene.window.mul_f64(1.0 + 2.0 * WARM_UP) + 2 * PAUSE;
    let begins = engine.now().plus(millis(lead));
    let due = Absentees { numbers: rest..scene.contacts, from: begins, over: scene.window };
    due.populate(world.address, &world.key).await?;
    world.system.settled().await?;
    Ok((begins, made))
}

/// Waits until so many contacts are in the bucket.
async fn wait_for_members(world: &World, due: usize) -> anyhow::Result<()> {
    let bucket = BucketId::new(ABSENT).context("a bucket id")?;
    let began = Instant::now();
    loop {
        let members = world.system.read_models.member_counts(&bucket)?.active;
        if members >= due as u64 {
            return Ok(());
        }
        if began.elapsed() > PATIENCE {
            bail!("{members} of {due} transitions, {} s after the window", PATIENCE.as_secs());
        }
        tokio::time::sleep(world::GLANCE).await;
    }
}

/// The most memory seen since it began.
struct Highest {
    bytes: Rc<Cell<u64>>,
    watch: tokio::task::JoinHandle<()>,
}

impl Highest {
    fn watch() -> Self {
        let bytes = Rc::new(Cell::new(resident()));
        let seen = Rc::clone(&bytes);
        let watch = actix_web::rt::spawn(async move {
            loop {
                tokio::time::sleep(Duration::from_millis(200)).await;
                seen.set(seen.get().max(resident()));
            }
        });
        Self { bytes, watch }
    }

    fn stop(self) -> u64 {
        self.watch.abort();
        self.bytes.get()
    }
}

fn ingest_rows(quiet: &Answers, busy: &Answers, due: usize) -> [Row; 2] {
    let row = |what: String, answers: &Answers| Row {
        what,
        load: CONNECTIONS.to_string(),
        figure: answers.rate(),
        unit: "events/s",
        latency: latencies(&answers.latency),
        notes: vec![answers.used.clone()],
        ..Row::default()
    };
    let mut meanwhile = row(format!("ingest while {due} fall due"), busy);
    meanwhile.share = Some((busy.rate() / quiet.rate(), "nothing due"));
    [row("ingest, nothing due".to_owned(), quiet), meanwhile]
}

/// How late the transitions of the clock were, in nanoseconds of whole milliseconds.
struct Lateness {
    decided: Histogram<u64>,
    durable: Histogram<u64>,
    /// Those that were durable later than [`LATE`].
    late: u64,
}

impl Lateness {
    /// Reads the joins from a position on.
    async fn read(log: &dyn EventLog, first: Position, ends: &Ends) -> anyhow::Result<Self> {
        let mut found = Self { decided: histogram()?, durable: histogram()?, late: 0 };
        let mut next = first;
        loop {
            let page = log.read_all(next, PAGE).await?;
            let Some(last) = page.last() else { return Ok(found) };
            next = last.position + 1;
            for record in page.iter().filter(|record| record.event_type == JOIN) {
                let event = ContactEvent::decode(&record.event_type, record.schema_version, &record.payload)?;
                let ContactEvent::BucketEntered(entered) = event else { continue };
                let durable = ends.durable_at(record.position).context("a join that was not watched")?;
                found.add(entered.at, record.recorded_at, durable);
            }
        }
    }

    fn add(&mut self, due: Timestamp, decided: Timestamp, durable: Timestamp) {
        let late = |at: Timestamp| Duration::from_millis(u64::try_from(at.since(due)).unwrap_or(0));
        let nanos = |late: Duration| u64::try_from(late.as_nanos()).unwrap_or(u64::MAX);
        self.decided.saturating_record(nanos(late(decided)));
        self.durable.saturating_record(nanos(late(durable)));
        self.late += u64::from(late(durable) > LATE);
    }

    fn rows(&self, scene: Scene) -> [Row; 4] {
        let row = |what: &str, histogram: &Histogram<u64>| Row {
            what: what.to_owned(),
            figure: scene.due as f64 / scene.window.as_secs_f64(),
            unit: "transitions/s",
            latency: latencies(histogram),
            ..Row::default()
        };
        let latest = Row {
            what: "latest durable transition".to_owned(),
            figure: self.durable.max() as f64 / 1e6,
            unit: "ms",
            notes: vec![format!(
                "latest decision {:.0} ms after its instant",
                self.decided.max() as f64 / 1e6
            )],
            ..Row::default()
        };
        let late = Row {
            what: format!("durable later than {} s", LATE.as_secs()),
            figure: self.late as f64,
            unit: "transitions",
            ..Row::default()
        };
        [row("due to decided", &self.decided), row("due to durable", &self.durable), latest, late]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_late_counts_from_its_due_instant_until_it_is_durable() {
        let mut lateness = Lateness { decided: histogram().unwrap(), durable: histogram().unwrap(), late: 0 };
        lateness.add(Timestamp(1_000), Timestamp(1_002), Timestamp(2_000));
        lateness.add(Timestamp(1_000), Timestamp(1_900), Timestamp(2_001));
        assert_eq!((lateness.late, lateness.decided.len()), (1, 2));
        let max = |histogram: &Histogram<u64>| (histogram.max() as f64 / 1e6).round();
        assert_eq!((max(&lateness.decided), max(&lateness.durable)), (900.0, 1_001.0));
    }
}
