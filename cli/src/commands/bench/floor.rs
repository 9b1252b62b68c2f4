//! What no engine could leave out: the edge alone, and the edge with a durable append behind it.

use std::{
    net::SocketAddr,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use actix_web::{
    App, HttpResponse, HttpServer,
    dev::ServerHandle,
    web::{self, Bytes, Data, PayloadConfig},
};
use compact_str::CompactString;
use mainspring_actors::{Clock, SystemClock, entropy::Entropy};
use mainspring_eventlog::{
    Append, EventLog, Expected, NewRecord, StreamAppend,
    embedded::{EmbeddedLog, Options},
};
use mainspring_schemas::StreamName;
use parking_lot::Mutex;

use super::{people::USERS, world};

/// How the log calls what an application sent.
pub const EVENT_TYPE: &str = "contact.event";

/// The sizes of the real thing.
#[derive(Clone, Debug)]
pub struct Shape {
    /// The body of an answer.
    pub body: Bytes,
    /// Fills the head of an answer up to the size of a real one's.
    pub padding: String,
    /// The payload of a record.
    pub payload: Bytes,
    /// Records of one request.
    pub records: usize,
}

/// What stands behind the edge: a log and nothing else.
struct Store {
    log: Arc<EmbeddedLog>,
    clock: SystemClock,
    entropy: Mutex<Entropy>,
    streams: Vec<StreamName>,
    next: AtomicUsize,
}

struct State {
    shape: Shape,
    store: Option<Store>,
}

/// A running floor.
pub struct Floor {
    /// Where it listens.
    pub address: SocketAddr,
    server: ServerHandle,
    log: Option<Arc<EmbeddedLog>>,
}

impl Floor {
    /// Reads the body and answers.
    pub fn edge(shape: Shape) -> anyhow::Result<Self> {
        Self::start(shape, None)
    }

    /// Reads the body, appends as many records as the real thing would, waits until they are durable, and answers.
    pub fn durable(shape: Shape, directory: &Path) -> anyhow::Result<Self> {
        let (log, _) = EmbeddedLog::open(Options::new(directory.join("log")))?;
        let clock = SystemClock::default();
        let mut entropy = Entropy::default();
        let streams = (0..USERS).map(|_| StreamName::contact(entropy.contact(clock.now()))).collect();
        let entropy = Mutex::new(entropy);
        Self::start(shape, Some(Store { log, clock, entropy, streams, next: AtomicUsize::new(0) }))
    }

    /// The log behind it, if there is one.
    pub fn log(&self) -> Option<&Arc<EmbeddedLog>> {
        self.log.as_ref()
    }

    fn start(shape: Shape, store: Option<Store>) -> anyhow::Result<Self> {
        let listener = world::listener()?;
        let address = listener.local_addr()?;
        let log = store.as_ref().map(|store| Arc::clone(&store.log));
        let state = Data::new(State { shape, store });
        let settings = world::settings();
        // The settings of `mainspring_http::serve`.
        let server = HttpServer::new(move || {
            App::new()
                .app_data(state.clone())
                .app_data(PayloadConfig::new(settings.max_body))
                .default_service(web::to(answer))
        })
        .workers(world::settings().workers)
        .keep_alive(Duration::from_secs(72))
        .client_request_timeout(Duration::from_secs(60))
        .disable_signals()
        .backlog(4096)
        .listen(listener)?
        .run();
        let handle = server.handle();
        actix_web::rt::spawn(server);
        Ok(Self { address, server: handle, log })
    }

    /// Stops it.
    pub async fn stop(self) {
        self.server.stop(true).await;
        if let Some(log) = self.log {
            let _ = tokio::task::spawn_blocking(move || log.close()).await;
        }
    }
}

impl Store {
    /// One append of all records of a request; `false` if it did not become durable.
    async fn append(&self, shape: &Shape) -> bool {
        let now = self.clock.now();
        let first = self.next.fetch_add(shape.records, Ordering::Relaxed);
        let streams = (first..first + shape.records).map(|place| {
            let record = NewRecord {
                id: self.entropy.lock().record(now),
                event_type: CompactString::const_new(EVENT_TYPE),
                schema_version: 1,
                causation: None,
                trace: None,
                wake_at: None,
                definitions: 0,
                sealed_with: None,
                payload: shape.payload.clone(),
            };
            let stream = self.streams[place % self.streams.len()].clone();
            StreamAppend { stream, expected: Expected::Any, records: vec![record] }
        });
        let append = Append { recorded_at: now, streams: streams.collect() };
        self.log.append(append).await.is_ok()
    }
}

async fn answer(state: Data<State>, _body: Bytes) -> HttpResponse {
    if let Some(store) = &state.store
        && !store.append(&state.shape).await
    {
        return HttpResponse::ServiceUnavailable().finish();
    }
    HttpResponse::Accepted()
        .insert_header(("x-padding", state.shape.padding.as_str()))
        .content_type("application/json")
        .body(state.shape.body.clone())
}
