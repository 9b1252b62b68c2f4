//! A receiver of webhooks on a thread of its own, which takes everything at once.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
        mpsc::Sender,
    },
    thread,
    time::Instant,
};

use anyhow::Context;
use tokio::{io::AsyncWriteExt, net::TcpStream};

use super::world;
use crate::wire::Messages;

const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n";

/// Told of every request: when it came, and its body.
type Arrivals = Option<Sender<(Instant, Vec<u8>)>>;

/// A running receiver. It ends with the process.
#[derive(Clone, Debug)]
pub struct Receiver {
    /// Where it listens.
    pub address: SocketAddr,
    counters: Arc<Counters>,
}

#[derive(Debug, Default)]
struct Counters {
    taken: AtomicU64,
    bytes: AtomicU64,
}

impl Receiver {
    /// Starts one.
    pub fn start(arrivals: Arrivals) -> anyhow::Result<Self> {
        let listener = world::listener()?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        let counters = Arc::new(Counters::default());
        let shared = Arc::clone(&counters);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let work = move || {
            runtime.block_on(async move {
                let Ok(listener) = tokio::net::TcpListener::from_std(listener) else { return };
                while let Ok((stream, _)) = listener.accept().await {
                    tokio::spawn(take(stream, Arc::clone(&shared), arrivals.clone()));
                }
            });
        };
        thread::Builder::new().name("receiver".into()).spawn(work).context("no receiver")?;
        Ok(Self { address, counters })
    }

    /// Its address as webhooks name it.
    pub fn url(&self) -> String {
        format!("http://{}/hook", self.address)
    }

    /// How many requests it has taken.
    pub fn taken(&self) -> u64 {
        self.counters.taken.load(Ordering::Relaxed)
    }

    /// How long their bodies are on average.
    pub fn body_length(&self) -> u64 {
        self.counters.bytes.load(Ordering::Relaxed) / self.taken().max(1)
    }
}

/// One connection until the other side hangs up.
async fn take(mut stream: TcpStream, counters: Arc<Counters>, arrivals: Arrivals) {
    let mut messages = Messages::default();
    let _ = stream.set_nodelay(true);
    while let Ok(Some(message)) = messages.next(&mut stream).await {
        let at = Instant::now();
        counters.taken.fetch_add(1, Ordering::Relaxed);
        counters.bytes.fetch_add(message.body.len() as u64, Ordering::Relaxed);
        if let Some(arrivals) = &arrivals {
            let _ = arrivals.send((at, message.body.to_vec()));
        }
        if stream.write_all(ANSWER).await.is_err() {
            return;
        }
    }
}
