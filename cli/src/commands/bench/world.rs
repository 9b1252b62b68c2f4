//! The whole system behind HTTP, as `mainspring serve` runs it.

use std::{
    cell::Cell,
    net::{SocketAddr, TcpListener},
    path::Path,
    rc::Rc,
    sync::Arc,
    time::Duration,
};

use actix_web::{dev::ServerHandle, web::Data};
use anyhow::Context;
use mainspring_actors::{
    Engine,
    access::NewKey,
    api::{EngineError, Identity, IngestCall},
};
use mainspring_http::{AppState, Settings, identify::TokenKeys};
use mainspring_outbound::{destination::Registry, settings::Settings as OutboundSettings};
use mainspring_schemas::{
    definition::BucketDefinition,
    event::{access::Scope, contact::Source},
};

use super::people;
use crate::compose::{DataDir, Options, System, destinations::described};

/// How long an end may take.
const GRACE: Duration = Duration::from_secs(10);

/// Calls of [`fill`] under way at once.
const AT_ONCE: usize = 512;

/// How often somebody who waits looks.
pub const GLANCE: Duration = Duration::from_millis(5);

/// The system, its server and a key for events.
pub struct World {
    /// The system.
    pub system: System,
    /// The key.
    pub key: String,
    /// Where the server listens.
    pub address: SocketAddr,
    server: ServerHandle,
}

/// Settings of the edge, those of `serve`.
pub fn settings() -> Settings {
    let token_keys = TokenKeys::new(b"for the benchmark only", []);
    Settings::new(Arc::new(|_| Ok(())), described(&Registry::default()), token_keys)
}

/// Settings of deliveries, those of `serve`, with receivers of this machine allowed.
pub fn outbound() -> OutboundSettings {
    let mut settings = OutboundSettings::default();
    settings.policy.allow_http = true;
    settings.policy.allow_private = true;
    settings
}

/// A port of this machine that nobody has.
pub fn listener() -> anyhow::Result<TcpListener> {
    TcpListener::bind(("127.0.0.1", 0)).context("no port can be listened on")
}

/// Opens the system in a directory.
pub async fn open(
    directory: &Path,
    definitions: Vec<BucketDefinition>,
    outbound: Option<OutboundSettings>,
) -> anyhow::Result<System> {
    open_with(directory, definitions, outbound, true).await
}

async fn open_with(
    directory: &Path,
    definitions: Vec<BucketDefinition>,
    outbound: Option<OutboundSettings>,
    sealed: bool,
) -> anyhow::Result<System> {
    let data = DataDir::create(directory)?;
    let options = Options { definitions: Some(definitions), outbound, sealed, ..Options::new(data) };
    let system = System::open(options).await?;
    while system.engine.buckets().is_building() {
        tokio::time::sleep(GLANCE).await;
    }
    Ok(system)
}

/// Stops a system in order.
pub async fn stop(system: System) {
    system.stop(GRACE).await;
}

impl World {
    /// Opens everything.
    pub async fn open(
        directory: &Path,
        definitions: Vec<BucketDefinition>,
        outbound: Option<OutboundSettings>,
    ) -> anyhow::Result<Self> {
        Self::open_with(directory, definitions, outbound, true).await
    }

    /// Opens everything, with personal payloads sealed or in clear.
    pub async fn open_with(
        directory: &Path,
        definitions: Vec<BucketDefinition>,
        outbound: Option<OutboundSettings>,
        sealed: bool,
    ) -> anyhow::Result<Self> {
        let system = open_with(directory, definitions, outbound, sealed).await?;
        let new = NewKey {
            name: "bench".to_owned(),
            scopes: vec![Scope::Ingest],
            expires_at: None,
            created_by: Some("bench".to_owned()),
        };
        let key = system.engine.keys().create(new).await?.key;
        let listener = listener()?;
        let address = listener.local_addr()?;
        let state = Data::new(AppState::new(system.engine.clone(), system.read_models.clone(), settings()));
        let server = mainspring_http::serve(state, listener)?;
        let handle = server.handle();
        actix_web::rt::spawn(server);
        Ok(Self { system, key, address, server: handle })
    }

    /// Stops everything in order.
    pub async fn stop(self) {
        self.server.stop(true).await;
        stop(self.system).await;
    }
}

/// Calls the engine once for each number, many at once, without HTTP: user `number % users`.
pub async fn fill(engine: &Engine, event: &'static str, users: usize, count: usize) -> anyhow::Result<()> {
    fill_from(engine, event, 0, users, count).await
}

/// Like [`fill`], with numbers from `first` on.
pub async fn fill_from(
    engine: &Engine,
    event: &'static str,
    first: usize,
    users: usize,
    count: usize,
) -> anyhow::Result<()> {
    let next = Rc::new(Cell::new(first));
    let work = |engine: Engine, next: Rc<Cell<usize>>| async move {
        while next.get() < first + count {
            let number = next.replace(next.get() + 1);
            while let Err(error) = engine.ingest(call(event, number % users)).await {
                match error {
                    EngineError::Overloaded => tokio::time::sleep(GLANCE).await,
                    error => return Err(error),
                }
            }
        }
        Ok(())
    };
    let tasks: Vec<_> =
        (0..AT_ONCE).map(|_| actix_web::rt::spawn(work(engine.clone(), Rc::clone(&next)))).collect();
    for task in tasks {
        task.await??;
    }
    Ok(())
}

/// One event of a user, as a call.
pub fn call(event: &'static str, number: usize) -> IngestCall {
    let properties = people::properties(number);
    IngestCall {
        identity: Identity::new(Some(&people::user(number)), None, None),
        name: event.into(),
        event_properties: properties.as_object().cloned().unwrap_or_default(),
        contact_properties: Default::default(),
        idempotency_key: None,
        occurred_at: None,
        source: Source::Api,
        existing_only: false,
        trace: None,
    }
}
