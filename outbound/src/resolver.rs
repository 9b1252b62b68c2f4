//! Names to addresses, each answer checked before anybody may connect to it (OB-195).

use std::{collections::HashMap, io, net::IpAddr, net::SocketAddr, sync::Arc, time::Duration};

use async_trait::async_trait;
use parking_lot::Mutex;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use tokio::time::Instant;

use crate::{guard::Policy, outcome::Failure};

/// How long a checked answer serves further attempts: the connections of one burst share a look-up.
const FRESH: Duration = Duration::from_secs(1);

/// How many answers are kept before stale ones are swept.
const KEPT: usize = 1024;

/// Looks names up. The system's resolver, or a fake one in tests.
#[async_trait]
pub trait Lookup: Send + Sync + 'static {
    /// All addresses of a name.
    async fn lookup(&self, name: &str) -> io::Result<Vec<IpAddr>>;
}

/// The resolver of the operating system.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemLookup;

#[async_trait]
impl Lookup for SystemLookup {
    async fn lookup(&self, name: &str) -> io::Result<Vec<IpAddr>> {
        Ok(tokio::net::lookup_host((name, 0)).await?.map(|address| address.ip()).collect())
    }
}

/// Resolves and checks; answers nothing but addresses that may be connected to.
#[derive(Clone)]
pub struct CheckedResolver {
    lookup: Arc<dyn Lookup>,
    policy: Arc<Policy>,
    fresh: Arc<Mutex<HashMap<String, Answer>>>,
}

/// A checked answer, and since when it is known.
type Answer = (Instant, Arc<[IpAddr]>);

/// Carries a [`Failure`] through the HTTP library to whoever asks why it could not connect.
#[derive(Debug, thiserror::Error)]
#[error("{}", .0.text())]
pub(crate) struct Unresolved(pub(crate) Failure);

impl CheckedResolver {
    /// A resolver that lets pass what `policy` allows.
    pub fn new(lookup: Arc<dyn Lookup>, policy: Arc<Policy>) -> Self {
        Self { lookup, policy, fresh: Arc::default() }
    }

    /// The addresses of a name; one that is refused condemns them all.
    ///
    /// # Errors
    /// [`Failure::Dns`] if there is none, [`Failure::Blocked`] if one is refused.
    pub async fn resolve(&self, name: &str) -> Result<Arc<[IpAddr]>, Failure> {
        if let Some(addresses) = self.remembered(name) {
            return Ok(addresses);
        }
        let addresses = self.lookup.lookup(name).await.map_err(|_| Failure::Dns)?;
        if addresses.is_empty() {
            return Err(Failure::Dns);
        }
        let checked = self.policy.check_resolved(name, &addresses);
        checked.map_err(|refusal| Failure::Blocked { class: refusal.class() })?;
        let addresses: Arc<[IpAddr]> = addresses.into();
        self.remember(name, &addresses);
        Ok(addresses)
    }

    fn remembered(&self, name: &str) -> Option<Arc<[IpAddr]>> {
        let fresh = self.fresh.lock();
        let (since, addresses) = fresh.get(name)?;
        (since.elapsed() < FRESH).then(|| Arc::clone(addresses))
    }

    fn remember(&self, name: &str, addresses: &Arc<[IpAddr]>) {
        let mut fresh = self.fresh.lock();
        if fresh.len() >= KEPT {
            fresh.retain(|_, (since, _)| since.elapsed() < FRESH);
        }
        fresh.insert(name.to_owned(), (Instant::now(), Arc::clone(addresses)));
    }
}

impl Resolve for CheckedResolver {
    fn resolve(&self, name: Name) -> Resolving {
        let resolver = self.clone();
        Box::pin(async move {
            let addresses = resolver.resolve(name.as_str()).await.map_err(Unresolved)?;
            let sockets: Vec<_> = addresses.iter().map(|address| SocketAddr::new(*address, 0)).collect();
            Ok(Box::new(sockets.into_iter()) as Addrs)
        })
    }
}
