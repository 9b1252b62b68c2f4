//! Receivers on raw sockets, as bad as real ones.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use parking_lot::Mutex;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

/// What a receiver does with a request.
#[derive(Clone, Copy, Debug)]
pub enum Behaviour {
    /// Sends these bytes and keeps the connection.
    Answer(&'static str),
    /// Reads the request and says nothing.
    Hang,
    /// Closes the connection without a word.
    Reset,
    /// Sends a head, then one byte of the body each second.
    Drip,
    /// Sends a head, then a body without end.
    Flood,
}

/// One request as it arrived.
#[derive(Clone, Debug)]
pub struct Received {
    pub head: String,
    pub body: Vec<u8>,
}

/// A receiver on 127.0.0.1.
pub struct Receiver {
    pub address: SocketAddr,
    requests: Arc<Mutex<Vec<Received>>>,
    connections: Arc<Mutex<usize>>,
    sent: Arc<Mutex<usize>>,
}

impl Receiver {
    /// Behaves as `rule` says for the n-th request, from 0.
    pub async fn start(rule: impl Fn(usize) -> Behaviour + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let receiver = Self {
            address: listener.local_addr().unwrap(),
            requests: Arc::default(),
            connections: Arc::default(),
            sent: Arc::default(),
        };
        let rule = Arc::new(rule);
        let (requests, connections, sent) =
            (receiver.requests.clone(), receiver.connections.clone(), receiver.sent.clone());
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                *connections.lock() += 1;
                let (rule, requests, sent) = (rule.clone(), requests.clone(), sent.clone());
                tokio::spawn(async move {
                    let _ = serve(stream, &*rule, &requests, &sent).await;
                });
            }
        });
        receiver
    }

    pub fn url(&self) -> String {
        format!("http://{}/hook", self.address)
    }

    pub fn requests(&self) -> Vec<Received> {
        self.requests.lock().clone()
    }

    pub fn connections(&self) -> usize {
        *self.connections.lock()
    }

    /// Bytes sent by floods.
    pub fn sent(&self) -> usize {
        *self.sent.lock()
    }
}

async fn serve(
    mut stream: TcpStream,
    rule: &(dyn Fn(usize) -> Behaviour + Send + Sync),
    requests: &Mutex<Vec<Received>>,
    sent: &Mutex<usize>,
) -> std::io::Result<()> {
    let mut buffer = Vec::new();
    loop {
        let Some(request) = read_request(&mut stream, &mut buffer).await? else { return Ok(()) };
        let number = {
            let mut requests = requests.lock();
            requests.push(request);
            requests.len() - 1
        };
        match rule(number) {
            Behaviour::Answer(bytes) => stream.write_all(bytes.as_bytes()).await?,
            Behaviour::Reset => return Ok(()),
            Behaviour::Hang => std::future::pending().await,
            Behaviour::Drip => {
                stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n").await?;
                loop {
                    tokio::time::sleep(Duration::from_secs(1)).await;
                    stream.write_all(b"x").await?;
                }
            }
            Behaviour::Flood => {
                stream.write_all(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n").await?;
                let chunk = format!("1000\r\n{}\r\n", "y".repeat(0x1000));
                loop {
                    stream.write_all(chunk.as_bytes()).await?;
                    *sent.lock() += chunk.len();
                }
            }
        }
    }
}

async fn read_request(stream: &mut TcpStream, buffer: &mut Vec<u8>) -> std::io::Result<Option<Received>> {
    loop {
        if let Some(end) = buffer.windows(4).position(|window| window == b"\r\n\r\n") {
            let head = String::from_utf8_lossy(&buffer[..end]).into_owned();
            let length = head
                .lines()
                .find_map(|line| {
                    line.to_ascii_lowercase().strip_prefix("content-length: ").map(str::to_owned)
                })
                .map_or(0, |length| length.parse::<usize>().unwrap());
            if buffer.len() >= end + 4 + length {
                let body = buffer[end + 4..end + 4 + length].to_vec();
                buffer.drain(..end + 4 + length);
                return Ok(Some(Received { head, body }));
            }
        }
        if stream.read_buf(buffer).await? == 0 {
            return Ok(None);
        }
    }
}
