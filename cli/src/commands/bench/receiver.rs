//! Receivers of webhooks, each on a thread of its own.

use std::{
    net::SocketAddr,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicU64, Ordering},
        mpsc::{self, Sender},
    },
    thread,
    time::Instant,
};

use anyhow::Context;
use tokio::{io::AsyncWriteExt, net::TcpStream};

use super::world;
use crate::wire::Messages;

/// How a receiver treats everything it gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Manner {
    /// Takes it at once.
    Take,
    /// Answers 500 at once.
    Refuse,
    /// Never answers.
    Hang,
}

impl Manner {
    const fn answer(self) -> Option<&'static [u8]> {
        match self {
            Self::Take => Some(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n"),
            Self::Refuse => Some(b"HTTP/1.1 500 Internal Server Error\r\ncontent-length: 0\r\n\r\n"),
            Self::Hang => None,
        }
    }
}

/// When a request came, and its body.
pub type Arrival = (Instant, Vec<u8>);

/// A running receiver. It ends with the process.
#[derive(Clone, Debug)]
pub struct Receiver {
    /// Where it listens.
    pub address: SocketAddr,
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    manner: Manner,
    got: AtomicU64,
    bytes: AtomicU64,
    /// Told of every request, once somebody wants to know.
    arrivals: OnceLock<Sender<Arrival>>,
}

impl Receiver {
    /// Starts one.
    pub fn start(manner: Manner) -> anyhow::Result<Self> {
        let listener = world::listener()?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        let (got, bytes, arrivals) = (AtomicU64::new(0), AtomicU64::new(0), OnceLock::new());
        let shared = Arc::new(Shared { manner, got, bytes, arrivals });
        let receiver = Self { address, shared: Arc::clone(&shared) };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let work = move || {
            runtime.block_on(async move {
                let Ok(listener) = tokio::net::TcpListener::from_std(listener) else { return };
                while let Ok((stream, _)) = listener.accept().await {
                    tokio::spawn(serve(stream, Arc::clone(&shared)));
                }
            });
        };
        thread::Builder::new().name("receiver".into()).spawn(work).context("no receiver")?;
        Ok(receiver)
    }

    /// Its address as webhooks name it.
    pub fn url(&self) -> String {
        format!("http://{}/hook", self.address)
    }

    /// How many requests it has got.
    pub fn got(&self) -> u64 {
        self.shared.got.load(Ordering::Relaxed)
    }

    /// How long their bodies are on average.
    pub fn body_length(&self) -> u64 {
        self.shared.bytes.load(Ordering::Relaxed) / self.got().max(1)
    }

    /// Every request from now on. Only the first who asks is told.
    pub fn arrivals(&self) -> mpsc::Receiver<Arrival> {
        let (sender, arrivals) = mpsc::channel();
        // If somebody else listens already, the sender is dropped and this listener hears nothing.
        let _ = self.shared.arrivals.set(sender);
        arrivals
    }
}

/// One connection until the other side hangs up.
async fn serve(mut stream: TcpStream, shared: Arc<Shared>) {
    let mut messages = Messages::default();
    let _ = stream.set_nodelay(true);
    while let Ok(Some(message)) = messages.next(&mut stream).await {
        let at = Instant::now();
        shared.got.fetch_add(1, Ordering::Relaxed);
        shared.bytes.fetch_add(message.body.len() as u64, Ordering::Relaxed);
        if let Some(arrivals) = shared.arrivals.get() {
            let _ = arrivals.send((at, message.body.to_vec()));
        }
        // Whoever hangs reads on, so that it learns when the other side gives up.
        let Some(answer) = shared.manner.answer() else { continue };
        if stream.write_all(answer).await.is_err() {
            return;
        }
    }
}
