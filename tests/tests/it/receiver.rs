//! A receiver of webhooks that remembers everything and sometimes refuses.

use std::{net::SocketAddr, sync::Arc};

use parking_lot::Mutex;
use tokio::{
    io::AsyncWriteExt,
    net::{TcpListener, TcpStream},
};

use crate::http::{Message, read_message};

/// The status of the answer to a request, after those that arrived before.
type Rule = dyn Fn(&[Arrival], &Message) -> u16 + Send + Sync;

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

    /// Takes everything and answers with what it got.
    pub async fn echo() -> Self {
        Self::listening(SocketAddr::from(([127, 0, 0, 1], 0)), |_, _| 200, true).await
    }

    /// Listens at a given address.
    pub async fn at(address: SocketAddr, rule: impl Fn(usize) -> u16 + Send + Sync + 'static) -> Self {
        Self::listening(address, move |arrivals, _| rule(arrivals.len()), false).await
    }

    /// Fails the first attempt of the messages that `fails` chooses by their ids.
    pub async fn failing_once(fails: impl Fn(&str) -> bool + Send + Sync + 'static) -> Self {
        let rule = move |arrivals: &[Arrival], request: &Message| {
            let id = request.header("webhook-id");
            let again = arrivals.iter().any(|arrival| arrival.request.header("webhook-id") == id);
            if id.is_some_and(&fails) && !again { 500 } else { 200 }
        };
        Self::listening(SocketAddr::from(([127, 0, 0, 1], 0)), rule, false).await
    }

    async fn listening(
        address: SocketAddr,
        rule: impl Fn(&[Arrival], &Message) -> u16 + Send + Sync + 'static,
        echoes: bool,
    ) -> Self {
        let listener = TcpListener::bind(address).await.unwrap();
        let receiver = Self { address: listener.local_addr().unwrap(), arrivals: Arc::default() };
        let (rule, arrivals): (Arc<Rule>, _) = (Arc::new(rule), Arc::clone(&receiver.arrivals));
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (rule, arrivals) = (Arc::clone(&rule), Arc::clone(&arrivals));
                tokio::spawn(async move {
                    let _ = serve(stream, &*rule, &arrivals, echoes).await;
                });
            }
        });
        receiver
    }

    pub fn url(&self) -> String {
        format!("{}/hook", self.origin())
    }

    /// Its url without a path.
    pub fn origin(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Everything that arrived, refused or not.
    pub fn arrivals(&self) -> Vec<Arrival> {
        self.arrivals.lock().clone()
    }
}

async fn serve(
    mut stream: TcpStream,
    rule: &Rule,
    arrivals: &Mutex<Vec<Arrival>>,
    echoes: bool,
) -> std::io::Result<()> {
    let mut buffer = Vec::new();
    while let Some(request) = read_message(&mut stream, &mut buffer, false).await? {
        let said = if echoes { request.body.clone() } else { Vec::new() };
        let status = {
            let mut arrivals = arrivals.lock();
            let status = rule(&arrivals, &request);
            arrivals.push(Arrival { request, status });
            status
        };
        let head = format!("HTTP/1.1 {status} x\r\ncontent-length: {}\r\n\r\n", said.len());
        stream.write_all(&[head.as_bytes(), &said].concat()).await?;
    }
    Ok(())
}
