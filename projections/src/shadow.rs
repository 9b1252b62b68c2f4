//! Replaying the log into a file beside the live one, at full speed.
//!
//! One thread reads and decodes, the other folds and writes. Rows are folded over as many records as fit into memory,
//! not over one batch; indexes that only reading needs are made at the end. Until it is installed nothing of it counts.

use std::{
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
        mpsc::{Receiver, SyncSender, sync_channel},
    },
    time::{Duration, Instant},
};

use mainspring_eventlog::{EventLog, Position};

use crate::{
    database,
    delivery_queue::FanOut,
    error::{ProjectionError, Result},
    projection::Projection,
    step::Step,
    writer::Writer,
};

/// Records per hand-over between the two threads.
const CHUNK: usize = 2048;

/// Hand-overs that may wait for the writer.
const WAITING: usize = 8;

/// Rough bytes of rows that are folded in memory before they are written.
const WEIGHT: usize = 384 << 20;

/// How far a replay is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Progress {
    /// Records replayed.
    pub records: u64,
    /// Records there are to replay.
    pub total: u64,
    /// Records per second since the beginning.
    pub rate: f64,
}

/// What to replay.
pub(crate) struct Replay<'a> {
    /// From where.
    pub log: &'a Arc<dyn EventLog>,
    /// Into which file; replaced if it exists.
    pub path: &'a Path,
    /// Which projections; those they need are added.
    pub projections: &'a [Projection],
    /// Up to, and without, this position.
    pub until: Position,
    /// Raised by whoever wants it to stop.
    pub stop: &'a AtomicBool,
    /// Whether the indexes for reading are wanted.
    pub indexes: bool,
}

/// Replays. On an error, or if told to stop, the file is useless and must be removed.
pub(crate) fn replay(task: &Replay<'_>, progress: &mut dyn FnMut(Progress)) -> Result<()> {
    remove(task.path)?;
    let connection = database::open_scratch(task.path)?;
    let projections: Vec<Projection> = Projection::ALL
        .into_iter()
        .filter(|projection| {
            task.projections.contains(projection)
                || task.projections.iter().any(|wanted| wanted.needs().contains(projection))
        })
        .collect();
    for projection in &projections {
        database::create(&connection, *projection)?;
    }
    let mut writer = Writer::load(&connection, &projections, 0)?;
    let began = Instant::now();
    let mut reported = began;
    let mut report = |records: u64, last: bool| {
        if last || reported.elapsed() >= Duration::from_millis(200) {
            reported = Instant::now();
            let seconds = began.elapsed().as_secs_f64().max(1e-9);
            #[expect(clippy::cast_precision_loss, reason = "a rate for people")]
            progress(Progress { records, total: task.until, rate: records as f64 / seconds });
        }
    };
    std::thread::scope(|scope| {
        let (sender, receiver) = sync_channel(WAITING);
        let (log, until) = (Arc::clone(task.log), task.until);
        std::thread::Builder::new()
            .name("read-models-decode".to_owned())
            .spawn_scoped(scope, move || decode(&*log, until, &sender))
            .map_err(ProjectionError::io(task.path))?;
        connection.execute_batch("BEGIN")?;
        while writer.next() < task.until {
            for step in receive(&receiver)? {
                writer.take(&connection, &step)?;
            }
            if task.stop.load(Ordering::Relaxed) {
                return Err(ProjectionError::Interrupted);
            }
            if writer.weight() > WEIGHT {
                writer.flush(&connection)?;
            }
            report(writer.next(), false);
        }
        writer.flush(&connection)?;
        connection.execute_batch("COMMIT")?;
        Ok(())
    })?;
    if task.indexes {
        for projection in &projections {
            database::index(&connection, *projection)?;
        }
    }
    report(writer.next(), true);
    Ok(())
}

fn receive(receiver: &Receiver<Result<Vec<Step>>>) -> Result<Vec<Step>> {
    receiver.recv().unwrap_or(Err(ProjectionError::WorkerLost))
}

/// Reads and decodes everything below `until`; ends early if nobody listens any more.
fn decode(log: &dyn EventLog, until: Position, sender: &SyncSender<Result<Vec<Step>>>) {
    let mut next = 0;
    let mut fan_out = FanOut::default();
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_time().build() {
        Ok(runtime) => runtime,
        Err(source) => return drop(sender.send(Err(ProjectionError::io("runtime")(source)))),
    };
    while next < until {
        let steps =
            runtime.block_on(log.read_all(next, CHUNK)).map_err(ProjectionError::from).and_then(|records| {
                if records.is_empty() {
                    return Err(ProjectionError::Ahead { position: until, end: next });
                }
                let below = records.into_iter().filter(|record| record.position < until).collect();
                Step::all(below, &mut fan_out)
            });
        let failed = steps.is_err();
        next =
            steps.as_ref().ok().and_then(|steps| steps.last()).map_or(until, |step| step.fact.position() + 1);
        if sender.send(steps).is_err() || failed {
            return;
        }
    }
}

/// The file beside the live one.
pub(crate) fn beside(dir: &Path, purpose: &str) -> PathBuf {
    dir.join(format!("read-models.{purpose}.sqlite"))
}

/// Removes a database file with what SQLite may have left beside it.
pub(crate) fn remove(path: &Path) -> Result<()> {
    for suffix in ["", "-journal", "-wal", "-shm"] {
        let mut name = path.as_os_str().to_owned();
        name.push(suffix);
        match std::fs::remove_file(&name) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                return Err(ProjectionError::io(path)(error));
            }
            _ => {}
        }
    }
    Ok(())
}
