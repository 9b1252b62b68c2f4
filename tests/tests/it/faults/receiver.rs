//! A receiver that answers as a script says, and remembers what it was sent and whether it took it.

use std::{
    io,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Instant,
};

use parking_lot::Mutex;
use tokio::{
    net::{TcpListener, TcpStream},
    sync::Notify,
};

use super::behaviour::{After, Behaviour};
use crate::{
    http::{Message, read_message},
    server::eventually,
};

/// What becomes of the n-th request, from 0.
type Script = Box<dyn FnMut(usize) -> Behaviour + Send>;

/// One request that was read to its end.
#[derive(Clone, Debug)]
pub struct Arrival {
    pub request: Message,
    pub behaviour: Behaviour,
    pub at: Instant,
}

impl Arrival {
    /// The message id.
    pub fn id(&self) -> &str {
        self.request.header("webhook-id").unwrap_or_default()
    }

    /// Whether the sender was told that it was taken.
    pub fn taken(&self) -> bool {
        self.behaviour.takes()
    }
}

/// A receiver on 127.0.0.1.
pub struct FaultyReceiver {
    address: SocketAddr,
    shared: Arc<Shared>,
}

struct Shared {
    script: Mutex<Script>,
    drawn: AtomicUsize,
    connections: AtomicUsize,
    arrivals: Mutex<Vec<Arrival>>,
    arrived: Notify,
}

impl FaultyReceiver {
    /// Answers every request the same way.
    pub async fn always(behaviour: Behaviour) -> Self {
        Self::scripted(move |_| behaviour).await
    }

    /// Answers as a script says.
    pub async fn scripted(script: impl FnMut(usize) -> Behaviour + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Shared {
            script: Mutex::new(Box::new(script)),
            drawn: AtomicUsize::new(0),
            connections: AtomicUsize::new(0),
            arrivals: Mutex::default(),
            arrived: Notify::new(),
        });
        let receiver = Self { address, shared: Arc::clone(&shared) };
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let shared = Arc::clone(&shared);
                tokio::spawn(async move {
                    shared.connections.fetch_add(1, Ordering::SeqCst);
                    // A connection that breaks is part of the game.
                    let _ = shared.serve(stream).await;
                    shared.connections.fetch_sub(1, Ordering::SeqCst);
                });
            }
        });
        receiver
    }

    pub fn url(&self) -> String {
        format!("http://{}/hook", self.address)
    }

    /// Takes everything from now on.
    pub fn heal(&self) {
        *self.shared.script.lock() = Box::new(|_| Behaviour::Take);
    }

    /// Everything that arrived so far, in order.
    pub fn arrivals(&self) -> Vec<Arrival> {
        self.shared.arrivals.lock().clone()
    }

    /// What arrived so far and was taken.
    pub fn taken(&self) -> Vec<Arrival> {
        self.arrivals().into_iter().filter(Arrival::taken).collect()
    }

    /// Connections that are open now.
    pub fn connections(&self) -> usize {
        self.shared.connections.load(Ordering::SeqCst)
    }

    /// Waits for the next request: it has arrived, and its answer is about to leave.
    pub async fn next_arrival(&self) {
        self.shared.arrived.notified().await;
    }

    /// Waits until so many requests have arrived.
    pub async fn wait_for_arrivals(&self, count: usize) {
        eventually(&format!("{count} requests arrive"), async || self.shared.arrivals.lock().len() >= count)
            .await;
    }
}

impl Shared {
    fn draw(&self) -> Behaviour {
        let mut script = self.script.lock();
        script(self.drawn.fetch_add(1, Ordering::SeqCst))
    }

    async fn serve(&self, mut stream: TcpStream) -> io::Result<()> {
        let mut buffer = Vec::new();
        let mut first = Some(self.draw());
        if first == Some(Behaviour::CloseAtAccept) {
            return Ok(());
        }
        while let Some(request) = read_message(&mut stream, &mut buffer, false).await? {
            let behaviour = first.take().unwrap_or_else(|| self.draw());
            self.arrivals.lock().push(Arrival { request, behaviour, at: Instant::now() });
            self.arrived.notify_waiters();
            if behaviour.act(&mut stream).await? == After::Over {
                break;
            }
        }
        Ok(())
    }
}
