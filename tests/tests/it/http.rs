//! A client that does exactly what it is told: HTTP/1.1 over one socket, no retries, no redirects.

use std::{io, net::SocketAddr, time::Duration};

use serde_json::Value;
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

/// No answer takes longer.
const PATIENCE: Duration = Duration::from_secs(30);

/// A request.
#[derive(Clone, Debug)]
pub struct Request {
    head: String,
    body: Vec<u8>,
}

impl Request {
    pub fn new(method: &str, target: &str) -> Self {
        Self { head: format!("{method} {target} HTTP/1.1\r\nhost: mainspring.test\r\n"), body: Vec::new() }
    }

    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.head.push_str(&format!("{name}: {value}\r\n"));
        self
    }

    pub fn key(self, key: &str) -> Self {
        self.header("authorization", &format!("Bearer {key}"))
    }

    pub fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = body.into();
        self
    }

    pub fn json(self, body: &Value) -> Self {
        self.header("content-type", "application/json").body(body.to_string())
    }

    /// The bytes in two halves: everything up to the middle of the body, and the rest.
    pub fn split(&self) -> (Vec<u8>, Vec<u8>) {
        let mut begin = self.bytes();
        let rest = begin.split_off(begin.len() - self.body.len() / 2);
        (begin, rest)
    }

    fn bytes(&self) -> Vec<u8> {
        let length = format!("content-length: {}\r\n\r\n", self.body.len());
        [self.head.as_bytes(), length.as_bytes(), &self.body].concat()
    }
}

/// One message as it stood on the wire: a response, or what a receiver was sent.
#[derive(Clone, Debug)]
pub struct Message {
    /// The request line or the status line.
    pub first: String,
    headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Message {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(known, _)| known.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_str())
    }

    /// All headers, as sent.
    pub fn headers(&self) -> impl Iterator<Item = (&str, &str)> {
        self.headers.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }

    pub fn status(&self) -> u16 {
        self.first.split(' ').nth(1).unwrap().parse().unwrap()
    }

    /// The body; `null` if it is no JSON. An error names its request, which is checked here once for all (HT-34).
    #[track_caller]
    pub fn json(&self) -> Value {
        let mut body: Value = serde_json::from_slice(&self.body).unwrap_or_default();
        if self.first.starts_with("HTTP/") && self.status() >= 400 {
            let named = body.as_object_mut().and_then(|body| body.remove("requestId"));
            assert_eq!(named.as_ref().and_then(Value::as_str), self.header("x-request-id"), "{}", self.first);
        }
        body
    }

    /// The body, if the status is as expected.
    #[track_caller]
    pub fn expect(&self, status: u16) -> Value {
        assert_eq!(self.status(), status, "{}", String::from_utf8_lossy(&self.body));
        self.json()
    }
}

fn malformed(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what.to_owned())
}

/// Reads one message; `None` if the peer closed before one began. `bodiless` is an answer to `HEAD`.
pub async fn read_message(
    stream: &mut (impl AsyncRead + Unpin),
    buffer: &mut Vec<u8>,
    bodiless: bool,
) -> io::Result<Option<Message>> {
    loop {
        if let Some(end) = buffer.windows(4).position(|window| window == b"\r\n\r\n") {
            let head = String::from_utf8_lossy(&buffer[..end]).into_owned();
            let mut lines = head.split("\r\n");
            let first = lines.next().unwrap_or_default().to_owned();
            let pair = |line: &str| {
                line.split_once(':').map(|(name, value)| (name.to_owned(), value.trim().to_owned()))
            };
            let headers: Vec<(String, String)> = lines.filter_map(pair).collect();
            let message = Message { first, headers, body: Vec::new() };
            if message.header("transfer-encoding").is_some() {
                buffer.drain(..end + 4);
                let body = read_chunks(stream, buffer).await?;
                return Ok(Some(Message { body, ..message }));
            }
            let length = message.header("content-length").filter(|_| !bodiless).unwrap_or("0");
            let length: usize = length.parse().map_err(|_| malformed("content-length"))?;
            let begin = end + 4;
            while buffer.len() < begin + length {
                if stream.read_buf(buffer).await? == 0 {
                    return Err(io::ErrorKind::UnexpectedEof.into());
                }
            }
            let body = buffer[begin..begin + length].to_vec();
            buffer.drain(..begin + length);
            return Ok(Some(Message { body, ..message }));
        }
        if stream.read_buf(buffer).await? == 0 {
            return if buffer.is_empty() { Ok(None) } else { Err(io::ErrorKind::UnexpectedEof.into()) };
        }
    }
}

/// Reads a body that comes in chunks.
async fn read_chunks(stream: &mut (impl AsyncRead + Unpin), buffer: &mut Vec<u8>) -> io::Result<Vec<u8>> {
    let mut body = Vec::new();
    loop {
        let Some(end) = buffer.windows(2).position(|window| window == b"\r\n") else {
            more(stream, buffer).await?;
            continue;
        };
        let length =
            std::str::from_utf8(&buffer[..end]).ok().and_then(|hex| usize::from_str_radix(hex, 16).ok());
        let length = length.ok_or_else(|| malformed("chunk"))?;
        let (begin, next) = (end + 2, end + 2 + length + 2);
        while buffer.len() < next {
            more(stream, buffer).await?;
        }
        body.extend_from_slice(&buffer[begin..begin + length]);
        buffer.drain(..next);
        if length == 0 {
            return Ok(body);
        }
    }
}

async fn more(stream: &mut (impl AsyncRead + Unpin), buffer: &mut Vec<u8>) -> io::Result<()> {
    if stream.read_buf(buffer).await? == 0 { Err(io::ErrorKind::UnexpectedEof.into()) } else { Ok(()) }
}

/// One connection, kept alive.
pub struct Connection {
    stream: TcpStream,
    buffer: Vec<u8>,
}

impl Connection {
    pub async fn open(address: SocketAddr) -> io::Result<Self> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        Ok(Self { stream, buffer: Vec::new() })
    }

    /// Sends a request and waits for its answer.
    pub async fn send(&mut self, request: &Request) -> io::Result<Message> {
        let exchange = async {
            self.stream.write_all(&request.bytes()).await?;
            self.answer(request.head.starts_with("HEAD ")).await
        };
        timeout(PATIENCE, exchange).await?
    }

    /// Sends bytes as they are.
    pub async fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.write_all(bytes).await
    }

    /// Reads the next answer.
    pub async fn answer(&mut self, bodiless: bool) -> io::Result<Message> {
        let message = read_message(&mut self.stream, &mut self.buffer, bodiless).await?;
        message.ok_or_else(|| io::ErrorKind::UnexpectedEof.into())
    }
}
