//! Making the read models anew, beside reading and decoding the same log and doing nothing with it.

use std::{hint::black_box, sync::Arc, time::Instant};

use mainspring_eventlog::EventLog;
use mainspring_projections::{Selection, rebuild};
use mainspring_schemas::codec;

use super::{
    people::{self, ABOUT, EVENT},
    place::Place,
    report::{Part, Row},
    world,
};
use crate::compose::DataDir;

/// Events of each contact, on average.
const EVENTS_EACH: usize = 10;

/// Records read at a time, as the read models do.
const PAGE: usize = 8192;

/// Measures it on a log of at least `records` records.
pub async fn measure(place: &Place, records: u64) -> anyhow::Result<Part> {
    let directory = place.fresh("rebuild")?;
    let system = world::open(&directory, people::definitions()?, None).await?;
    let events = usize::try_from(records)?.max(EVENTS_EACH);
    let contacts = events / EVENTS_EACH;
    let mut given = 0;
    while system.log().durable_end() < records || given == 0 {
        let more = events.saturating_sub(usize::try_from(system.log().durable_end())?).max(contacts);
        world::fill(&system.engine, EVENT, contacts, more).await?;
        given += more;
    }
    system.settled().await?;
    world::stop(system).await;

    let data = DataDir::existing(&directory)?;
    let opened = data.open_log().await?;
    let records = opened.recovery.records;
    // Twice, so that neither measurement is the one that reads from the disk.
    scan(&*opened.log).await?;
    let scan = scan(&*opened.log).await?;
    let (shared, models) = (Arc::clone(&opened.log), data.read_models());
    let report = tokio::task::spawn_blocking(move || rebuild(&shared, &models, &Selection::All, &mut |_| {}));
    let report = report.await??;
    opened.raw.close();
    drop((opened, data));
    place.done("rebuild")?;
    let row =
        |what: &str, figure: f64| Row { what: what.to_owned(), figure, unit: "records/s", ..Row::default() };
    let mut rebuilt = row("rebuild of all read models", report.rate());
    rebuilt.share = Some((report.rate() / scan, "bare scan"));
    rebuilt.notes = vec![format!("{} records in {:.2} s", report.records, report.elapsed.as_secs_f64())];
    let about = format!(
        "{records} records in the page cache, {given} events of {contacts} contacts among them, {ABOUT}"
    );
    Ok(Part { name: "rebuild", about, rows: vec![row("bare scan with decoding", scan), rebuilt] })
}

/// Records per second of reading and decoding everything.
async fn scan(log: &dyn EventLog) -> anyhow::Result<f64> {
    let began = Instant::now();
    let mut next = 0;
    loop {
        let records = log.read_all(next, PAGE).await?;
        let Some(last) = records.last() else { break };
        next = last.position + 1;
        for record in &records {
            let (stream, event_type) = (&record.stream, &record.event_type);
            black_box(codec::decode(stream, event_type, record.schema_version, &record.payload)?);
        }
    }
    Ok(next as f64 / began.elapsed().as_secs_f64())
}
