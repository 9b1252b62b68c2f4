//! Deliveries per second to a fast local receiver, each outcome recorded in a file that is synced before it counts.
//!
//! `cargo bench -p mainspring-outbound --bench deliver -- [deliveries] [endpoints] [worker threads]`; the receiver has
//! a thread of its own. The queue is in memory and lags the log by a few milliseconds, as the real one does.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stdout,
    reason = "a benchmark may stop and print"
)]

#[path = "../tests/it/world.rs"]
#[allow(dead_code, reason = "shared with the tests, which use more of it")]
mod world;

use std::{
    io::Write,
    net::SocketAddr,
    sync::{Arc, mpsc},
    time::{Duration, Instant},
};

use futures_util::FutureExt;
use mainspring_outbound::{
    client::GuardedClient,
    settings::Settings,
    worker::{Ports, Worker},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
    sync::oneshot,
};
use world::{Middle, RuntimeClock, World};

fn main() {
    let numbers: Vec<usize> = std::env::args().filter_map(|argument| argument.parse().ok()).collect();
    let argument = |index: usize, default| numbers.get(index).copied().unwrap_or(default);
    let (deliveries, endpoints, threads) = (argument(0, 50_000), argument(1, 8), argument(2, 1));
    let receiver = start_receiver();
    let mut runtime = match threads {
        1 => tokio::runtime::Builder::new_current_thread(),
        _ => tokio::runtime::Builder::new_multi_thread(),
    };
    let runtime = runtime.worker_threads(threads).enable_all().build().unwrap();
    runtime.block_on(measure(receiver, deliveries, endpoints));
}

async fn measure(receiver: SocketAddr, deliveries: usize, endpoints: usize) {
    let settings = Settings::from_variables(|name| match name {
        "OUTBOUND_WEBHOOK_ALLOW_HTTP" => Some("true".to_owned()),
        "OUTBOUND_WEBHOOK_ALLOWED_HOSTS" => Some("127.0.0.1".to_owned()),
        _ => None,
    })
    .unwrap();
    let syncer = start_syncer();
    let durable = move || {
        let (done, durable) = oneshot::channel();
        syncer.send(done).unwrap();
        async move { durable.await.unwrap() }.boxed()
    };
    let world = World::with(Duration::from_millis(3), Some(Box::new(durable)));
    let endpoints: Vec<_> =
        (0..endpoints).map(|n| world.endpoint(&format!("http://{receiver}/{n}"))).collect();
    for n in 0..deliveries {
        world.enqueue(endpoints[n % endpoints.len()], "bucket.entered");
    }
    world.catch_up();
    let ports = Ports {
        queue: world.clone(),
        endpoints: world.clone(),
        log: world.clone(),
        destinations: Arc::default(),
        transport: Arc::new(GuardedClient::new(&settings).unwrap()),
        clock: Arc::new(RuntimeClock::new()),
        random: Arc::new(Middle),
    };
    let (worker, handle) = Worker::new(ports, settings);
    let (started, used_before) = (Instant::now(), processor_time());
    let running = tokio::spawn(worker.run());
    while handle.statistics().recorded < deliveries as u64 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let (took, used) = (started.elapsed(), processor_time() - used_before);
    handle.stop(Duration::from_secs(5));
    running.await.unwrap();
    let figures = handle.statistics();
    assert_eq!(
        (figures.delivered, figures.started, world.pending()),
        (deliveries as u64, deliveries as u64, 0)
    );
    let rate = deliveries as f64 / took.as_secs_f64();
    println!(
        "{deliveries} deliveries to {} endpoints in {took:.2?}: {rate:.0}/s, {:.2} cores, latency p50 {} us, p99 {} us",
        endpoints.len(),
        used.as_secs_f64() / took.as_secs_f64(),
        figures.latencies.p50,
        figures.latencies.p99,
    );
}

/// Processor time of this process so far, receiver included.
fn processor_time() -> Duration {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields = stat.rsplit(')').next().unwrap_or_default().split_whitespace();
    let ticks: u64 = fields.skip(11).take(2).filter_map(|field| field.parse::<u64>().ok()).sum();
    Duration::from_millis(ticks * 10)
}

/// A group commit: whatever waits is made durable by one write and one sync.
fn start_syncer() -> mpsc::Sender<oneshot::Sender<()>> {
    let (sender, waiting) = mpsc::channel::<oneshot::Sender<()>>();
    // Beside the build, because a sync costs nothing in the memory file systems that /tmp often is.
    let directory = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    std::thread::spawn(move || {
        let mut file = std::fs::File::create(directory.path().join("outcomes")).unwrap();
        while let Ok(first) = waiting.recv() {
            let batch: Vec<_> = std::iter::once(first).chain(waiting.try_iter()).collect();
            file.write_all(&vec![b'o'; batch.len() * 160]).unwrap();
            file.sync_data().unwrap();
            for done in batch {
                let _ = done.send(());
            }
        }
    });
    sender
}

/// Answers every request with 204 as soon as its body is there.
fn start_receiver() -> SocketAddr {
    let (sender, address) = mpsc::channel();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async move {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            sender.send(listener.local_addr().unwrap()).unwrap();
            while let Ok((mut stream, _)) = listener.accept().await {
                stream.set_nodelay(true).unwrap();
                tokio::spawn(async move {
                    let mut buffer = Vec::with_capacity(4096);
                    while stream.read_buf(&mut buffer).await.is_ok_and(|read| read > 0) {
                        // Every body of this benchmark ends like this, and nothing else does.
                        if buffer.ends_with(b"}}") {
                            buffer.clear();
                            if stream.write_all(b"HTTP/1.1 204 No Content\r\n\r\n").await.is_err() {
                                break;
                            }
                        }
                    }
                });
            }
        });
    });
    address.recv().unwrap()
}
