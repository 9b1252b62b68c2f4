//! What every handler holds.

use std::{
    collections::BTreeSet,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use ipnet::IpNet;
use mainspring_actors::{Engine, endpoint::EndpointState};
use mainspring_projections::{DeadLetter, ReadModels};
use mainspring_schemas::{EndpointId, destination::Description};

use crate::{
    analytics::Analytics,
    background::{Alone, Background},
    health::Findings,
    identify::{TokenKeys, UsedTokens},
    limiter::Limiter,
    metrics::Metrics,
    sources::registry::Registry,
};

/// Says why an endpoint's address is refused (OB-196).
pub type UrlCheck = Arc<dyn Fn(&str) -> Result<(), String> + Send + Sync>;

/// Where the request of a delivery that was given up goes, without credentials; `None` if it cannot be told (OB-154).
pub type RequestUrl = Arc<dyn Fn(&EndpointState, &DeadLetter) -> Option<String> + Send + Sync>;

/// What an operator can set.
#[derive(Clone)]
pub struct Settings {
    /// Most bytes of a body, inflated (HT-50).
    pub max_body: usize,
    /// Most events of a batch.
    pub max_batch: usize,
    /// The instance key (AU-02).
    pub admin_key: Option<String>,
    /// Requests per key and minute on the admin plane; `None` = unlimited (RL-02).
    pub admin_limit: Option<u32>,
    /// Whether an endpoint may have this address.
    pub url_check: UrlCheck,
    /// Where requests go.
    pub request_url: RequestUrl,
    /// After how many milliseconds of nothing but failures endpoints are disabled; 0 = never (OB-152).
    pub auto_disable_ms: i64,
    /// The kinds that an endpoint may have, whether or not deliveries of them can be made now (OB-74).
    pub destinations: Arc<[Description]>,
    /// The kinds of which deliveries can be made now; those of other kinds are held (OB-204).
    pub registered: BTreeSet<String>,
    /// What seals redirect identity tokens (TK-01, TK-21).
    pub token_keys: TokenKeys,
    /// How long a listing waits for the read models, in milliseconds (HT-63).
    pub patience_ms: u64,
    /// Proxies whose `X-Forwarded-For` is believed (HT-46).
    pub trusted_proxies: Vec<IpNet>,
    /// Inbound webhook sources.
    pub sources: Registry,
    /// The analytics account.
    pub analytics: Analytics,
    /// Most bytes of a callback's body (WS-02).
    pub source_max_body: usize,
    /// Threads that serve requests.
    pub workers: usize,
    /// How long requests in flight may take once the server is told to stop; counted in whole seconds.
    pub stop_grace: Duration,
    /// Version of the build.
    pub build: String,
    /// Name of this node.
    pub node: String,
    /// A token that may read `GET /metrics` and nothing else (CF-51).
    pub metrics_token: Option<String>,
}

/// Failed verifications of webhooks per client address and minute (WS-95).
const FAILED_WEBHOOKS: u32 = 60;

impl Settings {
    /// Sensible settings around what each installation has of its own: deliveries of all destinations can be made.
    pub fn new(url_check: UrlCheck, destinations: Arc<[Description]>, token_keys: TokenKeys) -> Self {
        Self {
            max_body: 1024 * 1024,
            max_batch: 1000,
            admin_key: None,
            admin_limit: Some(100),
            url_check,
            request_url: Arc::new(|_, _| None),
            auto_disable_ms: 0,
            registered: destinations.iter().map(|destination| destination.id.clone()).collect(),
            destinations,
            token_keys,
            patience_ms: 500,
            trusted_proxies: Vec::new(),
            sources: Registry::default(),
            analytics: Analytics::default(),
            source_max_body: 1024 * 1024,
            workers: std::thread::available_parallelism().map_or(2, std::num::NonZero::get),
            stop_grace: Duration::from_secs(20),
            build: env!("CARGO_PKG_VERSION").to_owned(),
            node: "localhost".to_owned(),
            metrics_token: None,
        }
    }
}

/// Shared by all threads of the edge.
pub struct AppState {
    /// The engine.
    pub engine: Engine,
    /// The read models.
    pub read_models: ReadModels,
    /// What an operator set.
    pub settings: Settings,
    pub(crate) admin_limiter: Limiter,
    /// Failed verifications of webhooks, by client address.
    pub(crate) failed_webhooks: Limiter,
    /// Identity tokens that were used.
    pub(crate) used_tokens: UsedTokens,
    /// The newest position acknowledged by this process; listings wait for it.
    acknowledged: AtomicU64,
    /// Whether requests are taken; cleared before the listener closes.
    ready: AtomicBool,
    /// When the process started.
    pub(crate) started: std::time::Instant,
    /// What works beside the edge.
    pub(crate) background: Arc<dyn Background>,
    pub(crate) findings: Findings,
    pub(crate) metrics: Metrics,
}

impl AppState {
    /// State around the given parts, ready to serve.
    pub fn new(engine: Engine, read_models: ReadModels, settings: Settings) -> Self {
        let admin_limiter = Limiter::new(settings.admin_limit);
        let metrics = Metrics::new(&engine, &read_models, &settings);
        Self {
            engine,
            read_models,
            settings,
            admin_limiter,
            failed_webhooks: Limiter::new(Some(FAILED_WEBHOOKS)),
            used_tokens: UsedTokens::default(),
            acknowledged: AtomicU64::new(0),
            ready: AtomicBool::new(true),
            started: std::time::Instant::now(),
            background: Arc::new(Alone),
            findings: Findings::default(),
            metrics,
        }
    }

    /// The same, with something that works beside it.
    #[must_use]
    pub fn beside(mut self, background: Arc<dyn Background>) -> Self {
        self.metrics.register(|registry| background.register(registry));
        self.background = background;
        self
    }

    /// Remembers that a caller was told about everything up to `position`.
    pub(crate) fn acknowledge(&self, position: Option<u64>) {
        if let Some(position) = position {
            self.acknowledged.fetch_max(position + 1, Ordering::Relaxed);
        }
    }

    /// The position listings should have reached.
    pub(crate) fn acknowledged(&self) -> u64 {
        self.acknowledged.load(Ordering::Relaxed)
    }

    /// What is known of a kind of endpoint.
    pub(crate) fn destination(&self, kind: &str) -> Option<&Description> {
        self.settings.destinations.iter().find(|destination| destination.id == kind)
    }

    /// Whether everything but tests is held at an endpoint because nobody can deliver its kind (OB-204).
    pub(crate) fn lacks_kind(&self, endpoint: EndpointId) -> bool {
        let known = self.engine.endpoints().live(endpoint);
        known.is_some_and(|known| !self.settings.registered.contains(&known.settings.kind))
    }

    /// Says whether load balancers should send requests here (HE-05).
    pub fn set_ready(&self, ready: bool) {
        self.ready.store(ready, Ordering::Relaxed);
    }

    /// Whether load balancers should send requests here.
    pub fn is_ready(&self) -> bool {
        self.ready.load(Ordering::Relaxed) && self.engine.health().accepting
    }
}
