//! A whole edge on a real log, with a clock that stands still and a log that fails when it is told to.

use std::{
    convert::Infallible,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use actix_web::{App, body::MessageBody, http::header::HeaderMap, test, web::Data};
use async_trait::async_trait;
use mainspring_actors::{
    Engine, ManualClock, Options,
    population::{Population, PopulationError},
};
use mainspring_eventlog::{
    Append, AppendError, EventLog, LogError, OnDurable, Position, Recorded, Version,
    embedded::{EmbeddedLog, Options as LogOptions, SqliteSnapshots},
};
use mainspring_http::{
    AppState, Background, Settings, configure,
    identify::TokenKeys,
    sources::registry::{Registry, RegistrySettings},
};
use mainspring_projections::ReadModels;
use mainspring_schemas::{BucketId, ContactId, EndpointId, StreamName, Timestamp};
use serde_json::Value;

/// A log that fails on demand: appends, and reads of stored secrets.
struct Faulty(Arc<EmbeddedLog>, Arc<AtomicBool>, Arc<AtomicBool>);

#[async_trait]
impl EventLog for Faulty {
    fn submit(&self, append: Append, on_durable: OnDurable) {
        if self.1.load(Ordering::SeqCst) {
            on_durable(Err(AppendError::Unavailable("a fault".into())));
        } else {
            self.0.submit(append, on_durable);
        }
    }

    fn atomic_streams(&self) -> bool {
        self.0.atomic_streams()
    }

    async fn read_stream(
        &self,
        stream: &StreamName,
        from: Version,
        limit: usize,
    ) -> Result<Vec<Recorded>, LogError> {
        self.0.read_stream(stream, from, limit).await
    }

    async fn read_stream_back(
        &self,
        stream: &StreamName,
        from: Option<Version>,
        limit: usize,
    ) -> Result<Vec<Recorded>, LogError> {
        if stream.category() == "source" && self.2.load(Ordering::SeqCst) {
            return Err(LogError::Unusable("a fault".to_owned()));
        }
        self.0.read_stream_back(stream, from, limit).await
    }

    async fn read_all(&self, from: Position, limit: usize) -> Result<Vec<Recorded>, LogError> {
        self.0.read_all(from, limit).await
    }

    fn durable_end(&self) -> Position {
        self.0.durable_end()
    }

    async fn wait_past(&self, position: Position) {
        self.0.wait_past(position).await;
    }

    fn health(&self) -> Result<(), Arc<str>> {
        self.0.health()
    }
}

/// Nobody is asked about: a new log, and no timers.
struct Nobody;

#[async_trait]
impl Population for Nobody {
    async fn reached(&self, _: Position) -> Result<(), PopulationError> {
        Ok(())
    }

    async fn contacts(&self) -> Result<u64, PopulationError> {
        Ok(0)
    }

    async fn contacts_after(
        &self,
        _: Option<ContactId>,
        _: usize,
    ) -> Result<Vec<ContactId>, PopulationError> {
        Ok(Vec::new())
    }

    async fn due_wakes(
        &self,
        _: Option<(Timestamp, ContactId)>,
        _: Timestamp,
        _: usize,
    ) -> Result<Vec<(Timestamp, ContactId)>, PopulationError> {
        Ok(Vec::new())
    }

    async fn deleted_after(
        &self,
        _: Option<(Timestamp, ContactId)>,
        _: usize,
    ) -> Result<Vec<(Timestamp, ContactId)>, PopulationError> {
        Ok(Vec::new())
    }

    async fn buckets(&self) -> Result<Vec<BucketId>, PopulationError> {
        Ok(Vec::new())
    }

    async fn endpoints(&self) -> Result<Vec<EndpointId>, PopulationError> {
        Ok(Vec::new())
    }
}

/// An edge and what is behind it.
pub struct World {
    pub engine: Engine,
    read_models: ReadModels,
    /// Whether appends fail.
    pub broken: Arc<AtomicBool>,
    /// Whether stored secrets cannot be read.
    pub unreadable: Arc<AtomicBool>,
    /// What operators set about sources.
    pub registry: RegistrySettings,
    _directory: tempfile::TempDir,
}

/// What was answered.
pub struct Answer {
    pub status: u16,
    pub headers: HeaderMap,
    pub body: Value,
}

impl World {
    /// An empty world in which it is `now`.
    pub async fn new(now: Timestamp) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let place = |name: &str| -> PathBuf { directory.path().join(name) };
        let (log, _) = EmbeddedLog::open(LogOptions::new(place("log"))).unwrap();
        let snapshots = SqliteSnapshots::open(place("snapshots.sqlite")).unwrap();
        std::fs::create_dir(place("read-models")).unwrap();
        let read_models = ReadModels::open(&place("read-models")).unwrap();
        let broken = Arc::new(AtomicBool::new(false));
        let unreadable = Arc::new(AtomicBool::new(false));
        let log = Arc::new(Faulty(log, Arc::clone(&broken), Arc::clone(&unreadable)));
        let clock = Arc::new(ManualClock::new(now));
        let mut options = Options::new(log, snapshots, Arc::new(Nobody), clock, [7; 32]);
        options.shards = 1;
        let engine = Engine::start(options).await.unwrap();
        let registry = RegistrySettings::default();
        Self { engine, read_models, broken, unreadable, registry, _directory: directory }
    }

    /// What `GET /v1/health` tells an operator, with something beside the edge.
    pub async fn health(&self, background: Arc<dyn Background>) -> Value {
        let keys = TokenKeys::new(b"a secret of these tests, long enough", []);
        let admin_key = Some("instance-key".to_owned());
        let settings =
            Settings { admin_key, ..Settings::new(Arc::new(|_: &str| Ok(())), Arc::new([]), keys) };
        let state = AppState::new(self.engine.clone(), self.read_models.clone(), settings).beside(background);
        let app = test::init_service(App::new().app_data(Data::new(state)).configure(configure)).await;
        let request = test::TestRequest::get().uri("/v1/health");
        let request = request.insert_header(("authorization", "Bearer instance-key"));
        test::call_and_read_body_json(&app, request.to_request()).await
    }

    /// Sends the request of a case of the vectors.
    pub async fn send(&self, case: &Value) -> Answer {
        let variable = |name: &str| Ok::<_, Infallible>(case["env"][name].as_str().map(str::to_owned));
        let (sources, _) = Registry::assemble(Vec::new(), &self.registry, variable).unwrap();
        let keys = TokenKeys::new(b"a secret of these tests, long enough", []);
        let settings = Settings { sources, ..Settings::new(Arc::new(|_: &str| Ok(())), Arc::new([]), keys) };
        let state = Data::new(AppState::new(self.engine.clone(), self.read_models.clone(), settings));
        let app = test::init_service(App::new().app_data(state).configure(configure)).await;
        let request = &case["request"];
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        let mut sent =
            test::TestRequest::post().uri(&text(&request["path"])).set_payload(text(&request["body"]));
        for (name, value) in request["headers"].as_object().unwrap() {
            sent = sent.insert_header((name.as_str(), text(value)));
        }
        let response = test::call_service(&app, sent.to_request()).await;
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let body = response.into_body().try_into_bytes().unwrap();
        Answer { status, headers, body: serde_json::from_slice(&body).unwrap() }
    }
}
