//! A receiver of webhooks that remembers everything and sometimes refuses.

use std::{net::SocketAddr, sync::Arc};

use parking_lot::Mutex;
use tokio::{
    io::AsyncWriteExt,
    net::{TcpListener, TcpStream},
};

use crate::http::{Message, read_message};

/// The status of the answer to the n-th request, from 0.
type Rule = dyn Fn(usize) -> u16 + Send + Sync;

/// One request and how it was answered.
#[derive(Clone, Debug)]
pub struct Arrival {
    pub request: Message,
    pub status: u16,
}

/// A receiver on 127.0.0.1.
pub struct Receiver {
    address: SocketAddr,
    arrivals: Arc<Mutex<Vec<Arrival>>>,
}

impl Receiver {
    /// Takes everything.
    pub async fn start() -> Self {
        Self::with(|_| 204).await
    }

    /// Answers as `rule` says.
    pub async fn with(rule: impl Fn(usize) -> u16 + Send + Sync + 'static) -> Self {
        Self::at(SocketAddr::from(([127, 0, 0, 1], 0)), rule).await
    }

    /// Listens at a given address.
    pub async fn at(address: SocketAddr, rule: impl Fn(usize) -> u16 + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind(address).await.unwrap();
        let receiver = Self { address: listener.local_addr().unwrap(), arrivals: Arc::default() };
        let (rule, arrivals): (Arc<Rule>, _) = (Arc::new(rule), Arc::clone(&receiver.arrivals));
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (rule, arrivals) = (Arc::clone(&rule), Arc::clone(&arrivals));
                tokio::spawn(async move {
                    let _ = serve(stream, &*rule, &arrivals).await;
                });
            }
        });
        receiver
    }

    pub fn url(&self) -> String {
        format!("http://{}/hook", self.address)
    }

    /// Everything that arrived, refused or not.
    pub fn arrivals(&self) -> Vec<Arrival> {
        self.arrivals.lock().clone()
    }
}

async fn serve(mut stream: TcpStream, rule: &Rule, arrivals: &Mutex<Vec<Arrival>>) -> std::io::Result<()> {
    let mut buffer = Vec::new();
    while let Some(request) = read_message(&mut stream, &mut buffer, false).await? {
        let status = {
            let mut arrivals = arrivals.lock();
            let status = rule(arrivals.len());
            arrivals.push(Arrival { request, status });
            status
        };
        let answer = format!("HTTP/1.1 {status} x\r\ncontent-length: 0\r\n\r\n");
        stream.write_all(answer.as_bytes()).await?;
    }
    Ok(())
}
