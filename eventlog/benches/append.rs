//! Durable appends, scans and opening of the embedded log, as ratios to a floor measured in the same run.
//!
//! ```text
//! cargo bench -p mainspring-eventlog --bench append -- [--seconds 2] [--records 1000000] [--prepare 16] [--directory PATH]
//! ```
//!
//! The floor is the least that any durable log does: callers hand bytes to a thread that takes what is queued, writes it
//! to the end of a growing file, calls `fdatasync` and answers. Callers of both are tasks of one single-threaded
//! runtime, as the actors of a shard are.

#![allow(
    clippy::print_stdout,
    clippy::unwrap_used,
    clippy::expect_used,
    missing_docs,
    reason = "a benchmark"
)]

use std::{
    fs::File,
    io::Write,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant},
};

use mainspring_eventlog::{
    Append, EventLog, Expected, NewRecord, StreamAppend,
    embedded::{EmbeddedLog, Options},
};
use mainspring_schemas::{RecordId, StreamName, Timestamp};
use parking_lot::{Condvar, Mutex};
use tokio::sync::oneshot;
use uuid::Uuid;

/// Bytes of a record of the floor; the log's records get payloads that make their frames as long.
const RECORD_BYTES: usize = 300;
const PAYLOAD_BYTES: usize = 128;
const STREAMS_PER_CALLER: usize = 200;

struct Settings {
    time: Duration,
    records: u64,
    prepare: u64,
    directory: PathBuf,
}

fn settings() -> Settings {
    let arguments: Vec<_> = std::env::args().collect();
    let value = |name: &str| {
        arguments.iter().position(|argument| argument == name).map(|at| arguments[at + 1].clone())
    };
    Settings {
        time: Duration::from_secs_f64(value("--seconds").map_or(2.0, |text| text.parse().unwrap())),
        records: value("--records").map_or(1_000_000, |text| text.parse().unwrap()),
        prepare: value("--prepare").map_or(16, |text| text.parse::<u64>().unwrap()) << 20,
        directory: value("--directory")
            .map_or_else(|| PathBuf::from(env!("CARGO_TARGET_TMPDIR")), PathBuf::from),
    }
}

fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(future)
}

/// Runs `callers` tasks that call `work` until the time is over; returns records per second and the median and 99th
/// percentile of a call in microseconds.
fn drive<F, W>(callers: usize, per_call: usize, time: Duration, work: W) -> (f64, f64, f64)
where
    F: Future<Output = ()>,
    W: Fn(usize, usize) -> F + 'static,
{
    let work = std::rc::Rc::new(work);
    let local = tokio::task::LocalSet::new();
    let begin = Instant::now();
    let mut latencies = block_on(local.run_until(async move {
        let tasks: Vec<_> = (0..callers)
            .map(|caller| {
                let work = std::rc::Rc::clone(&work);
                tokio::task::spawn_local(async move {
                    let mut latencies = Vec::new();
                    for turn in 0.. {
                        let start = Instant::now();
                        if start.duration_since(begin) > time {
                            break;
                        }
                        work(caller, turn).await;
                        latencies.push(start.elapsed().as_secs_f64() * 1e6);
                    }
                    latencies
                })
            })
            .collect();
        let mut all = Vec::new();
        for task in tasks {
            all.extend(task.await.unwrap());
        }
        all
    }));
    let elapsed = begin.elapsed().as_secs_f64();
    latencies.sort_by(f64::total_cmp);
    let percentile = |share: f64| latencies[((latencies.len() - 1) as f64 * share) as usize];
    (latencies.len() as f64 * per_call as f64 / elapsed, percentile(0.5), percentile(0.99))
}

type Waiting = Vec<(Vec<u8>, oneshot::Sender<()>)>;

fn floor(path: &Path, callers: usize, per_call: usize, time: Duration) -> (f64, f64, f64) {
    let queue: Arc<(Mutex<(Waiting, bool)>, Condvar)> = Arc::default();
    let mut file = File::create(path).unwrap();
    let writer = std::thread::spawn({
        let queue = Arc::clone(&queue);
        move || {
            let (mut taken, mut buffer) = (Waiting::new(), Vec::new());
            loop {
                {
                    let mut state = queue.0.lock();
                    while state.0.is_empty() {
                        if state.1 {
                            return;
                        }
                        queue.1.wait(&mut state);
                    }
                    std::mem::swap(&mut state.0, &mut taken);
                }
                buffer.clear();
                taken.iter().for_each(|(bytes, _)| buffer.extend_from_slice(bytes));
                file.write_all(&buffer).unwrap();
                file.sync_data().unwrap();
                for (_, answer) in taken.drain(..) {
                    answer.send(()).unwrap();
                }
            }
        }
    });
    let result = drive(callers, per_call, time, {
        let queue = Arc::clone(&queue);
        move |_, turn| {
            let (sender, receiver) = oneshot::channel();
            queue.0.lock().0.push((vec![turn as u8; RECORD_BYTES * per_call], sender));
            queue.1.notify_one();
            async move { receiver.await.unwrap() }
        }
    });
    queue.0.lock().1 = true;
    queue.1.notify_one();
    writer.join().unwrap();
    result
}

fn append(stream: &StreamName, expected: Expected, count: usize) -> Append {
    let record = |index: usize| NewRecord {
        id: RecordId(Uuid::from_u128(index as u128)),
        event_type: "test.happened".into(),
        schema_version: 1,
        causation: None,
        trace: None,
        wake_at: None,
        definitions: 0,
        sealed_with: None,
        payload: vec![index as u8; PAYLOAD_BYTES].into(),
    };
    let streams =
        vec![StreamAppend { stream: stream.clone(), expected, records: (0..count).map(record).collect() }];
    Append { recorded_at: Timestamp(0), streams }
}

fn name(caller: usize, index: usize) -> StreamName {
    StreamName::new(format!("contact-018f9f3a-{caller:04x}-7c3e-9a50-{index:012x}"))
}

fn embedded(log: &Arc<EmbeddedLog>, callers: usize, per_call: usize, time: Duration) -> (f64, f64, f64) {
    let log = Arc::clone(log);
    // A fresh set of streams for every run, so that the first append of each creates it.
    let salt = log.durable_end() as usize;
    drive(callers, per_call, time, move |caller, turn| {
        let (log, stream) =
            (Arc::clone(&log), name(caller, salt * STREAMS_PER_CALLER + turn % STREAMS_PER_CALLER));
        let earlier = turn / STREAMS_PER_CALLER * per_call;
        let expected =
            earlier.checked_sub(1).map_or(Expected::NoStream, |last| Expected::Version(last as u64));
        async move {
            log.append(append(&stream, expected, per_call)).await.unwrap();
        }
    })
}

fn options(settings: &Settings, directory: &Path) -> Options {
    let mut options = Options::new(directory);
    options.prepare_bytes = settings.prepare;
    options
}

fn appends(settings: &Settings) {
    println!(
        "{:>8} {:>6} | {:>12} {:>8} {:>8} | {:>12} {:>8} {:>8} {:>9} | {:>6}",
        "callers",
        "batch",
        "floor rec/s",
        "p50 us",
        "p99 us",
        "log rec/s",
        "p50 us",
        "p99 us",
        "rec/sync",
        "ratio"
    );
    for (callers, per_call) in [(1, 1), (16, 1), (64, 1), (256, 1), (512, 1), (64, 100)] {
        let directory = tempfile::tempdir_in(&settings.directory).unwrap();
        let floor = floor(&directory.path().join("floor"), callers, per_call, settings.time);
        let (log, _) = EmbeddedLog::open(options(settings, &directory.path().join("log"))).unwrap();
        let own = embedded(&log, callers, per_call, settings.time);
        println!(
            "{callers:>8} {per_call:>6} | {:>12.0} {:>8.0} {:>8.0} | {:>12.0} {:>8.0} {:>8.0} {:>9.1} | {:>6.2}",
            floor.0,
            floor.1,
            floor.2,
            own.0,
            own.1,
            own.2,
            log.statistics().records_per_sync,
            own.0 / floor.0
        );
    }
}

/// Copies a directory as a killed process would have left it.
fn copy_of(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        std::fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
    }
}

fn scans(settings: &Settings) {
    let directory = tempfile::tempdir_in(&settings.directory).unwrap();
    let (original, copy) = (directory.path().join("log"), directory.path().join("killed"));
    let (log, _) = EmbeddedLog::open(options(settings, &original)).unwrap();
    let streams = (settings.records / 25).max(1);
    let begin = Instant::now();
    block_on(async {
        let mut last = None;
        for number in 0..settings.records {
            let (sender, receiver) = oneshot::channel();
            let append = append(&name(0, (number % streams) as usize), Expected::Any, 1);
            log.submit(append, Box::new(move |answer| drop(sender.send(answer))));
            last = Some(receiver);
            if number % 10_000 == 9_999 {
                last.take().unwrap().await.unwrap().unwrap();
            }
        }
        if let Some(last) = last {
            last.await.unwrap().unwrap();
        }
    });
    let per_second = |records: u64, begin: Instant| records as f64 / begin.elapsed().as_secs_f64();
    println!(
        "\nload      {:>10} records, {streams} streams: {:>10.0}/s",
        settings.records,
        per_second(settings.records, begin)
    );

    let begin = Instant::now();
    let mut next = 0;
    block_on(async {
        while next < log.durable_end() {
            next += log.read_all(next, 1_000).await.unwrap().len() as u64;
        }
    });
    println!("read_all  {:>10.0} records/s in pages of 1000", per_second(next, begin));
    let begin = Instant::now();
    block_on(async {
        for index in 0..20_000 {
            let stream = name(0, (index * 7_919) % streams as usize);
            assert!(!log.read_stream_back(&stream, None, 1).await.unwrap().is_empty());
        }
    });
    println!("head      {:>10.0} reads/s of the newest record of a random stream", per_second(20_000, begin));
    let begin = Instant::now();
    log.verify(|_| ()).unwrap();
    println!("verify    {:>10.0} records/s", per_second(settings.records, begin));

    copy_of(&original, &copy);
    for (what, prepare) in [("killed", false), ("no checkpoint", true)] {
        if prepare {
            drop(std::fs::remove_file(copy.join("index.checkpoint")));
        }
        let begin = Instant::now();
        let (opened, recovery) = EmbeddedLog::open(Options::new(&copy)).unwrap();
        println!(
            "open      {:>10.1} ms, {what}: {} of {} records scanned ({} MiB)",
            begin.elapsed().as_secs_f64() * 1e3,
            recovery.scanned_records,
            recovery.records,
            recovery.scanned_bytes >> 20
        );
        if prepare {
            opened.close();
        } else {
            std::mem::forget(opened);
            copy_of(&original, &directory.path().join("killed-again"));
        }
        if !prepare {
            std::fs::remove_dir_all(&copy).unwrap();
            std::fs::rename(directory.path().join("killed-again"), &copy).unwrap();
        }
    }
    let begin = Instant::now();
    let (_, recovery) = EmbeddedLog::open(Options::new(&copy)).unwrap();
    println!(
        "open      {:>10.1} ms, closed properly: {} records scanned",
        begin.elapsed().as_secs_f64() * 1e3,
        recovery.scanned_records
    );
    println!("index     {:>10} bytes for {} streams", log.statistics().index_bytes, log.statistics().streams);
}

fn main() {
    let settings = settings();
    appends(&settings);
    scans(&settings);
}
