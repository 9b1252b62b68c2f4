//! A transport that answers as told, at virtual time, and remembers everything that was sent.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    time::Duration,
};

use async_trait::async_trait;
use bytes::Bytes;
use mainspring_outbound::{
    exchange::{Request, Response, Transport},
    outcome::Failure,
    ports::Clock,
    settings::Settings,
    worker::{Handle, Ports, Stopped, Worker},
};
use mainspring_schemas::Timestamp;
use parking_lot::Mutex;
use reqwest::header::HeaderMap;

use crate::world::{Middle, RuntimeClock, World};

/// One request that left.
#[derive(Clone, Debug)]
pub struct Sent {
    pub at: Timestamp,
    pub url: String,
    pub id: String,
    pub timestamp: String,
    pub signature: String,
    pub body: Bytes,
    pub headers: HeaderMap,
}

/// How a receiver behaves: after what time, with which end.
pub type Reply = (Duration, Result<Response, Failure>);

type Rule = Box<dyn Fn(&Sent, usize) -> Reply + Send + Sync>;

/// The transport.
pub struct Script {
    clock: Arc<RuntimeClock>,
    rule: Rule,
    sent: Mutex<Vec<Sent>>,
    open: AtomicUsize,
    most_open: AtomicUsize,
}

impl Script {
    pub fn sent(&self) -> Vec<Sent> {
        self.sent.lock().clone()
    }

    pub fn sent_to(&self, url: &str) -> Vec<Sent> {
        self.sent().into_iter().filter(|sent| sent.url == url).collect()
    }

    pub fn most_open(&self) -> usize {
        self.most_open.load(SeqCst)
    }
}

struct Open<'a>(&'a AtomicUsize);

impl Drop for Open<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, SeqCst);
    }
}

#[async_trait]
impl Transport for Script {
    async fn send(&self, request: Request) -> Result<Response, Failure> {
        let header = |name: &str| {
            request.headers.get(name).map(|value| value.to_str().unwrap().to_owned()).unwrap_or_default()
        };
        let sent = Sent {
            at: self.clock.now(),
            url: request.url.clone(),
            id: header("webhook-id"),
            timestamp: header("webhook-timestamp"),
            signature: header("webhook-signature"),
            body: request.body.clone(),
            headers: request.headers.clone(),
        };
        let open = Open(&self.open);
        self.most_open.fetch_max(open.0.fetch_add(1, SeqCst) + 1, SeqCst);
        let earlier =
            self.sent.lock().iter().filter(|other| other.id == sent.id && other.url == sent.url).count();
        self.sent.lock().push(sent.clone());
        let (after, end) = (self.rule)(&sent, earlier);
        tokio::time::sleep(after).await;
        end
    }
}

/// A worker in a world, with a scripted transport.
pub struct Stage {
    pub world: Arc<World>,
    pub script: Arc<Script>,
    pub clock: Arc<RuntimeClock>,
    pub settings: Settings,
}

/// A worker at work.
pub struct Running {
    pub handle: Handle,
    pub task: tokio::task::JoinHandle<Stopped>,
}

impl Stage {
    pub fn new(world: Arc<World>, rule: impl Fn(&Sent, usize) -> Reply + Send + Sync + 'static) -> Self {
        let clock = Arc::new(RuntimeClock::new());
        let script = Arc::new(Script {
            clock: Arc::clone(&clock),
            rule: Box::new(rule),
            sent: Mutex::default(),
            open: AtomicUsize::new(0),
            most_open: AtomicUsize::new(0),
        });
        Self { world, script, clock, settings: Settings::default() }
    }

    pub fn start(&self) -> Running {
        self.world.catch_up();
        let ports = Ports {
            queue: self.world.clone(),
            endpoints: self.world.clone(),
            log: self.world.clone(),
            destinations: Arc::default(),
            transport: self.script.clone(),
            clock: self.clock.clone(),
            random: Arc::new(Middle),
        };
        let (worker, handle) = Worker::new(ports, self.settings.clone());
        Running { handle, task: tokio::spawn(worker.run()) }
    }
}

impl Running {
    pub async fn stop(self, grace: Duration) -> Stopped {
        self.handle.stop(grace);
        self.task.await.unwrap()
    }
}

pub fn status(status: u16) -> Result<Response, Failure> {
    Ok(Response { status, ..Response::default() })
}

/// An answer after a millisecond.
pub fn quick(code: u16) -> Reply {
    (Duration::from_millis(1), status(code))
}

pub fn hang() -> Reply {
    (Duration::from_secs(15), Err(Failure::Timeout { ms: 15_000 }))
}

/// Lets virtual time pass.
pub async fn pass(time: Duration) {
    tokio::time::sleep(time).await;
}
