//! The guarded HTTP client: the only code of the system that calls out (sections 7 and 13).
//!
//! It connects to nothing the [`guard`](crate::guard) did not see, follows no redirect, asks no proxy of the
//! environment, keeps no cookie, and neither reads nor waits without a limit. With a configured proxy, names are judged
//! here and addresses by the proxy, which alone looks names up (OB-198).

use std::{error::Error, io, sync::Arc, time::Duration};

use async_trait::async_trait;
use reqwest::{Certificate, ClientBuilder, Proxy, header::RETRY_AFTER, redirect, tls};
use tokio::time::timeout;
use url::Host;

use crate::{
    exchange::{Fetch, Fetched, Request, Response, Transport, snippet},
    guard::Policy,
    outcome::Failure,
    resolver::{CheckedResolver, Lookup, SystemLookup, Unresolved},
    settings::Settings,
};

/// Limit of connecting, TLS included (OB-113).
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// How much of an answer is read before the connection is dropped (OB-115).
const READ_BYTES: usize = 64 * 1024;

/// How long an unused connection is kept.
const IDLE: Duration = Duration::from_secs(30);

/// How every request introduces itself (OB-111).
const USER_AGENT: &str = concat!("Mainspring-Webhooks/", env!("CARGO_PKG_VERSION"));

/// Why there is no client.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The file of further certificate authorities cannot be read.
    #[error("OUTBOUND_WEBHOOK_CA_FILE: cannot be read")]
    CaFile(#[source] io::Error),
    /// It holds no certificate in PEM.
    #[error("OUTBOUND_WEBHOOK_CA_FILE: holds no PEM certificate")]
    CaFormat,
    /// The proxy's address is none.
    #[error("OUTBOUND_PROXY_URL: cannot be used")]
    Proxy(#[source] reqwest::Error),
    /// The HTTP library refuses to start.
    #[error("the HTTP client cannot be built")]
    Build(#[source] reqwest::Error),
}

/// What came back, as far as it was read.
struct Answer {
    status: u16,
    retry_after: Option<String>,
    body: Vec<u8>,
    is_whole: bool,
}

/// Sends requests to places the policy allows, and nowhere else.
pub struct GuardedClient {
    http: reqwest::Client,
    /// Looks names up and judges their addresses; `None` if a proxy does.
    resolver: Option<CheckedResolver>,
    policy: Arc<Policy>,
    timeout: Duration,
    connect_timeout: Duration,
    capture_body: bool,
}

impl GuardedClient {
    /// A client that resolves names as the operating system does.
    ///
    /// # Errors
    /// [`ClientError`] if the certificate file is of no use or the library refuses.
    pub fn new(settings: &Settings) -> Result<Self, ClientError> {
        Self::with_lookup(settings, Arc::new(SystemLookup))
    }

    /// A client that asks `lookup` for the addresses of names.
    ///
    /// # Errors
    /// As [`GuardedClient::new`].
    pub fn with_lookup(settings: &Settings, lookup: Arc<dyn Lookup>) -> Result<Self, ClientError> {
        // Fails only if the process installed a provider before, which then serves as well.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let policy = Arc::new(settings.policy.clone());
        let proxy = settings.proxy.as_ref().map(|proxy| Proxy::all(&proxy.0)).transpose();
        let proxy = proxy.map_err(ClientError::Proxy)?;
        let resolver = proxy.is_none().then(|| CheckedResolver::new(lookup, Arc::clone(&policy)));
        let connect_timeout = CONNECT_TIMEOUT.min(settings.timeout);
        let authorities = read_authorities(settings)?;
        let builder = || {
            let builder = reqwest::Client::builder().no_proxy();
            let builder = match (&proxy, &resolver) {
                (Some(proxy), _) => builder.proxy(proxy.clone()),
                (None, Some(resolver)) => builder.dns_resolver(resolver.clone()),
                (None, None) => builder,
            };
            builder
                .redirect(redirect::Policy::none())
                .referer(false)
                .user_agent(USER_AGENT)
                .connect_timeout(connect_timeout)
                .tls_version_min(tls::Version::TLS_1_2)
                .https_only(!policy.allow_http)
                .http1_title_case_headers()
                .tcp_nodelay(true)
                .pool_idle_timeout(IDLE)
                .pool_max_idle_per_host(settings.concurrency)
        };
        let http = build(builder, authorities).map_err(ClientError::Build)?;
        let Settings { timeout, capture_body, .. } = *settings;
        Ok(Self { http, resolver, policy, timeout, connect_timeout, capture_body })
    }

    async fn exchange(&self, mut request: Request) -> Result<Response, Failure> {
        let classifier = request.classifier.take();
        let Answer { status, retry_after, body, .. } = self.ask(request, READ_BYTES).await?;
        let snippet = if self.capture_body { snippet(&body) } else { None };
        let accepted = classifier.map(|classifier| classifier.accepts(status, &body));
        Ok(Response { status, retry_after, snippet, accepted })
    }

    /// Sends one request and reads at most `most` bytes of the answer's body.
    async fn ask(&self, request: Request, most: usize) -> Result<Answer, Failure> {
        let refused = |refusal: crate::guard::Refusal| Failure::Blocked { class: refusal.class() };
        let url = self.policy.check_url(&request.url).map_err(refused)?;
        // A pooled connection needs no look-up of its own, but a name that points somewhere private by now is
        // refused even while an old connection is open.
        if let (Some(Host::Domain(name)), Some(resolver)) = (url.host(), &self.resolver) {
            resolver.resolve(name).await?;
        }
        let sent =
            self.http.request(request.method, url).headers(request.headers).body(request.body).send().await;
        let mut answer = sent.map_err(|error| self.failure(&error))?;
        let status = answer.status().as_u16();
        let retry_after =
            answer.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok()).map(str::to_owned);
        let mut body = Vec::new();
        // Reading to the end lets the connection serve again; a receiver that sends more loses it instead.
        while let Some(chunk) = answer.chunk().await.map_err(|error| self.failure(&error))? {
            body.extend_from_slice(&chunk[..chunk.len().min(most - body.len())]);
            if body.len() >= most {
                break;
            }
        }
        Ok(Answer { status, retry_after, is_whole: body.len() < most, body })
    }

    /// Gives up what takes longer than one attempt may.
    async fn timely<T>(&self, exchange: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
        let limit = Failure::Timeout { ms: whole_millis(self.timeout) };
        timeout(self.timeout, exchange).await.unwrap_or(Err(limit))
    }

    /// What a transport error means. Its own text may hold addresses and is dropped (OB-132).
    fn failure(&self, error: &reqwest::Error) -> Failure {
        let mut cause: Option<&(dyn Error + 'static)> = Some(error);
        while let Some(error) = cause {
            if let Some(Unresolved(failure)) = error.downcast_ref() {
                return *failure;
            }
            if error.is::<rustls::Error>() {
                return Failure::Tls;
            }
            // An I/O error hides what it wraps from `source`.
            let wrapped = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
            cause = match wrapped {
                Some(wrapped) => Some(wrapped),
                None => error.source(),
            };
        }
        match error {
            error if error.is_timeout() => Failure::Timeout { ms: whole_millis(self.connect_timeout) },
            error if error.is_connect() => Failure::Connect,
            _ => Failure::Reset,
        }
    }
}

#[async_trait]
impl Transport for GuardedClient {
    async fn send(&self, request: Request) -> Result<Response, Failure> {
        self.timely(self.exchange(request)).await
    }
}

#[async_trait]
impl Fetch for GuardedClient {
    async fn fetch(&self, request: Request, most: usize) -> Result<Fetched, Failure> {
        let Answer { status, body, is_whole, .. } = self.timely(self.ask(request, most)).await?;
        Ok(Fetched { status, body, is_whole })
    }
}

fn whole_millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

fn read_authorities(settings: &Settings) -> Result<Vec<Certificate>, ClientError> {
    let Some(file) = &settings.ca_file else { return Ok(Vec::new()) };
    let pem = std::fs::read(file).map_err(ClientError::CaFile)?;
    match Certificate::from_pem_bundle(&pem) {
        Ok(authorities) if !authorities.is_empty() => Ok(authorities),
        _ => Err(ClientError::CaFormat),
    }
}

/// Builds with the system's authorities and ours. A machine without any (a minimal container) gets a client that
/// trusts only ours, so that `http` receivers work and `https` ones fail as they must, instead of no client.
fn build(
    builder: impl Fn() -> ClientBuilder,
    authorities: Vec<Certificate>,
) -> Result<reqwest::Client, reqwest::Error> {
    builder().tls_certs_merge(authorities.clone()).build().or_else(|_| {
        tracing::warn!("no certificate authorities found on this machine: set OUTBOUND_WEBHOOK_CA_FILE");
        builder().tls_certs_only(authorities).build()
    })
}
