//! Making read models anew from the log, without touching the live ones until the new ones are complete.

use std::{
    path::Path,
    sync::{Arc, atomic::AtomicBool},
    time::{Duration, Instant},
};

use mainspring_eventlog::{EventLog, Position};
use rusqlite::Connection;

use crate::{
    database,
    error::{ProjectionError, Result},
    projection::Projection,
    shadow::{self, Progress, Replay},
};

/// Which read models to rebuild.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Selection {
    /// All of them, up to the end of the log.
    All,
    /// Some of them, up to where the others are.
    Some(Vec<Projection>),
}

/// What a rebuild did.
#[derive(Clone, Debug, PartialEq)]
pub struct RebuildReport {
    /// The projections made anew.
    pub projections: Vec<Projection>,
    /// Records replayed.
    pub records: u64,
    /// How long it took, from the first record to the swap.
    pub elapsed: Duration,
}

impl RebuildReport {
    /// Records per second.
    pub fn rate(&self) -> f64 {
        #[expect(clippy::cast_precision_loss, reason = "a rate for people")]
        let records = self.records as f64;
        records / self.elapsed.as_secs_f64().max(1e-9)
    }
}

/// Replays the log beside the live read models and swaps them at the end: all of them by renaming the file, some of
/// them by copying their tables in one transaction. Whoever calls this holds the data directory: no runner follows the
/// log and nobody has the read models open. If it is interrupted the live ones are as they were, and the next run starts
/// over. Deliveries keep their ids and outcomes (OB-65).
///
/// # Errors
/// If the log cannot be read or decoded to its end, or the disk refuses.
pub fn rebuild(
    log: &Arc<dyn EventLog>,
    dir: &Path,
    selection: &Selection,
    progress: &mut dyn FnMut(Progress),
) -> Result<RebuildReport> {
    let live = database::path(dir);
    let never = AtomicBool::new(false);
    match selection {
        Selection::Some(projections) if live.exists() => {
            let mut connection = database::open_live(&live)?;
            database::migrate(&mut connection)?;
            rebuild_some(log, dir, &mut connection, projections, &never, progress)
        }
        _ => rebuild_all(log, dir, progress),
    }
}

fn rebuild_all(
    log: &Arc<dyn EventLog>,
    dir: &Path,
    progress: &mut dyn FnMut(Progress),
) -> Result<RebuildReport> {
    let began = Instant::now();
    std::fs::create_dir_all(dir).map_err(ProjectionError::io(dir))?;
    let path = shadow::beside(dir, "rebuild");
    let until = log.durable_end();
    let never = AtomicBool::new(false);
    let projections = Projection::ALL;
    let task = Replay { log, path: &path, projections: &projections, until, stop: &never, indexes: true };
    shadow::replay(&task, progress)?;
    sync(&path)?;
    let live = database::path(dir);
    retire(&live)?;
    std::fs::rename(&path, &live).map_err(ProjectionError::io(&live))?;
    sync(dir)?;
    Ok(RebuildReport { projections: projections.to_vec(), records: until, elapsed: began.elapsed() })
}

/// Folds the live file's write-ahead log back and removes it: it must never be applied to the file that comes in its
/// place. A file that cannot even be opened is what a rebuild is for, and goes.
fn retire(live: &Path) -> Result<()> {
    if !live.exists() {
        return Ok(());
    }
    let folded = Connection::open(live).and_then(|connection| {
        connection.execute_batch(
            "PRAGMA busy_timeout=5000; PRAGMA wal_checkpoint(TRUNCATE); PRAGMA journal_mode=DELETE;",
        )
    });
    match folded {
        Ok(()) => Ok(()),
        Err(error) => {
            tracing::warn!(%error, "the read models cannot be opened and are replaced");
            shadow::remove(live)
        }
    }
}

fn sync(path: &Path) -> Result<()> {
    std::fs::File::open(path).and_then(|file| file.sync_all()).map_err(ProjectionError::io(path))
}

/// Rebuilds projections up to where the others are, into the live file.
pub(crate) fn rebuild_some(
    log: &Arc<dyn EventLog>,
    dir: &Path,
    live: &mut Connection,
    projections: &[Projection],
    stop: &AtomicBool,
    progress: &mut dyn FnMut(Progress),
) -> Result<RebuildReport> {
    let began = Instant::now();
    let until = furthest(live)?;
    let path = shadow::beside(dir, "rebuild");
    shadow::replay(&Replay { log, path: &path, projections, until, stop, indexes: false }, progress)?;
    install(live, &path, projections, until)?;
    shadow::remove(&path)?;
    Ok(RebuildReport { projections: projections.to_vec(), records: until, elapsed: began.elapsed() })
}

/// The position of the projection that is furthest.
pub(crate) fn furthest(live: &Connection) -> Result<Position> {
    Ok(database::positions(live)?.into_iter().map(|(_, position)| position).max().unwrap_or_default())
}

/// Copies tables from a finished shadow file in one transaction.
fn install(
    live: &mut Connection,
    shadow: &Path,
    projections: &[Projection],
    position: Position,
) -> Result<()> {
    let name = shadow.to_str().ok_or(ProjectionError::Malformed { column: "path" })?;
    live.execute("ATTACH DATABASE ?1 AS shadow", [name])?;
    let copied = copy(live, projections, position);
    live.execute_batch("DETACH DATABASE shadow")?;
    copied
}

fn copy(live: &mut Connection, projections: &[Projection], position: Position) -> Result<()> {
    let transaction = live.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
    for projection in projections {
        database::drop_tables(&transaction, *projection)?;
        database::create(&transaction, *projection)?;
        for table in projection.schema().tables {
            let name = table.name;
            let rows =
                format!("DELETE FROM main.{name}; INSERT INTO main.{name} SELECT * FROM shadow.{name};");
            transaction.execute_batch(&rows)?;
        }
        database::index(&transaction, *projection)?;
        database::set_checkpoint(&transaction, *projection, position)?;
    }
    transaction.commit()?;
    Ok(())
}
