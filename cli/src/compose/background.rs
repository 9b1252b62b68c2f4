//! What health and metrics are told of the threads beside the edge, the log and the disk.

use std::{fmt, path::PathBuf, sync::Arc};

use mainspring_eventlog::embedded::EmbeddedLog;
use mainspring_http::{Background, Disk, Text};
use mainspring_outbound::worker::Handle;
use prometheus_client::{collector::Collector, encoding::DescriptorEncoder, registry::Registry};

use super::{attempts::Attempts, process, worker_thread::Ended};

/// Everything beside the edge.
pub struct Beside {
    /// Where the data lie.
    pub place: PathBuf,
    /// The log.
    pub log: Arc<EmbeddedLog>,
    /// The threads, by name.
    pub threads: Vec<(&'static str, Ended)>,
    /// The outbound worker, if there is one, and the attempts it made.
    pub outbound: Option<(Handle, Attempts)>,
}

impl Background for Beside {
    fn ended(&self) -> Vec<&'static str> {
        self.threads.iter().filter(|(_, ended)| ended.get()).map(|(name, _)| *name).collect()
    }

    fn disk(&self) -> Option<Disk> {
        let room = rustix::fs::statvfs(&self.place).ok()?;
        let bytes = |blocks: u64| blocks.saturating_mul(room.f_frsize);
        Some(Disk { free: bytes(room.f_bavail), total: bytes(room.f_blocks) })
    }

    fn log_bytes(&self) -> Option<u64> {
        Some(self.log.statistics().bytes)
    }

    fn register(&self, metrics: &mut Registry) {
        let worker = self.outbound.as_ref().map(|(worker, attempts)| {
            attempts.register(metrics);
            worker.clone()
        });
        let (log, place) = (Arc::clone(&self.log), self.place.clone());
        metrics.register_collector(Box::new(Figures { log, place, worker }));
    }
}

/// What is asked when somebody asks for metrics.
struct Figures {
    log: Arc<EmbeddedLog>,
    place: PathBuf,
    worker: Option<Handle>,
}

impl fmt::Debug for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Figures").field("place", &self.place).finish_non_exhaustive()
    }
}

impl Figures {
    fn log(&self, text: &mut Text<'_>) -> fmt::Result {
        let log = self.log.statistics();
        text.gauge("log_bytes", "Bytes of the log", log.bytes)?;
        text.gauge("log_segments", "Files of the log", log.segments)?;
        text.gauge("log_streams", "Streams of the log", log.streams)?;
        text.gauge("log_index_bytes", "Memory that the index of the log takes", log.index_bytes)?;
        text.counter("log_syncs", "Syncs of the log", log.syncs)?;
        text.gauge(
            "log_records_per_sync",
            "Records that one sync made durable, on average",
            log.records_per_sync,
        )
    }

    fn worker(&self, text: &mut Text<'_>) -> fmt::Result {
        let Some(worker) = &self.worker else { return Ok(()) };
        let figures = worker.statistics();
        text.counter("delivery_attempts_started", "Attempts begun", figures.started)?;
        text.counter(
            "delivery_outcomes_recorded",
            "Outcomes of attempts that the log has",
            figures.recorded,
        )?;
        text.gauge("delivery_attempts_in_flight", "Attempts under way", figures.in_flight)?;
        text.counter(
            "delivery_port_errors",
            "Calls of the queue or the log by the worker that failed and are repeated",
            figures.port_errors,
        )
    }
}

impl Collector for Figures {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let mut text = Text(encoder);
        self.log(&mut text)?;
        self.worker(&mut text)?;
        process::measure(&mut text)
    }
}
