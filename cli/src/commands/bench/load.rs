//! The load: connections that each send the next request when the last one is answered, from one thread of their own.

use std::{
    cell::RefCell,
    io,
    net::SocketAddr,
    rc::Rc,
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use anyhow::Context;
use bytes::Bytes;
use hdrhistogram::Histogram;
use tokio::{io::AsyncWriteExt, net::TcpStream, sync::oneshot};

use super::{cpu::Used, report::histogram};
use crate::wire::Messages;

/// Answers that come before this share of the time are not counted.
pub const WARM_UP: f64 = 0.2;

/// What is sent where.
#[derive(Clone, Debug)]
pub struct Load {
    /// Where to.
    pub address: SocketAddr,
    /// The requests; connection `n` of `c` sends number `n`, `n + c`, `n + 2 c` and so on, round and round.
    pub requests: Arc<Vec<Bytes>>,
    /// How many connections.
    pub connections: usize,
    /// How long is counted.
    pub time: Duration,
    /// What every answer must say.
    pub status: u16,
}

/// What came back.
#[derive(Clone, Debug)]
pub struct Answers {
    /// Answers as they should be, within the time that counts.
    pub count: u64,
    /// Other answers, and connections that broke, at any time.
    pub failures: u64,
    /// The first of them.
    pub failure: Option<String>,
    /// From sending to the last byte of the answer, in nanoseconds.
    pub latency: Histogram<u64>,
    /// The time that counts.
    pub time: Duration,
    /// What the threads of the process used meanwhile, warming up included.
    pub used: String,
}

impl Answers {
    fn none(time: Duration) -> anyhow::Result<Self> {
        Ok(Self { count: 0, failures: 0, failure: None, latency: histogram()?, time, used: String::new() })
    }

    /// Answers per second.
    pub fn rate(&self) -> f64 {
        self.count as f64 / self.time.as_secs_f64()
    }

    /// Itself, unless something went wrong: a figure with failures in it is no figure.
    pub fn whole(self) -> anyhow::Result<Self> {
        if self.failures == 0 && self.count > 0 {
            return Ok(self);
        }
        let first = self.failure.as_deref().unwrap_or("none");
        anyhow::bail!("{} answers and {} failures under load, the first: {first}", self.count, self.failures)
    }

    fn fail(&mut self, reason: impl FnOnce() -> String) {
        self.failures += 1;
        self.failure.get_or_insert_with(reason);
    }
}

/// When counting begins and ends.
#[derive(Clone, Copy)]
struct Window {
    from: Instant,
    until: Instant,
}

impl Load {
    /// Runs the load.
    pub async fn run(self) -> anyhow::Result<Answers> {
        let (done, answers) = oneshot::channel();
        let work = move || {
            let _ = done.send(self.drive());
        };
        thread::Builder::new().name("load".into()).spawn(work)?;
        answers.await.context("the load ended unexpectedly")?
    }

    fn drive(self) -> anyhow::Result<Answers> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let local = tokio::task::LocalSet::new();
        local.block_on(&runtime, async {
            let mut streams = Vec::with_capacity(self.connections);
            for _ in 0..self.connections {
                streams.push(connect(self.address).await?);
            }
            let before = Used::now();
            let from = Instant::now() + self.time.mul_f64(WARM_UP);
            let window = Window { from, until: from + self.time };
            let answers = Rc::new(RefCell::new(Answers::none(self.time)?));
            let (requests, status) = (self.requests, self.status);
            let mut tasks = Vec::with_capacity(streams.len());
            for (place, stream) in streams.into_iter().enumerate() {
                let (answers, requests) = (Rc::clone(&answers), Arc::clone(&requests));
                let step = self.connections;
                tasks.push(tokio::task::spawn_local(async move {
                    let course = converse(stream, &requests, (place, step), status, window, &answers).await;
                    if let Err(error) = course {
                        answers.borrow_mut().fail(|| error.to_string());
                    }
                }));
            }
            for task in tasks {
                task.await?;
            }
            let mut answers = answers.borrow().clone();
            answers.used = Used::now().since(&before);
            Ok(answers)
        })
    }
}

/// A connection without delays.
pub async fn connect(address: SocketAddr) -> io::Result<TcpStream> {
    let stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

/// One connection until the time is over.
async fn converse(
    mut stream: TcpStream,
    requests: &[Bytes],
    (mut next, step): (usize, usize),
    status: u16,
    window: Window,
    answers: &RefCell<Answers>,
) -> io::Result<()> {
    let mut messages = Messages::default();
    loop {
        let sent = Instant::now();
        if sent >= window.until {
            return Ok(());
        }
        stream.write_all(&requests[next % requests.len()]).await?;
        next += step;
        let Some(answer) = messages.next(&mut stream).await? else {
            return Err(io::ErrorKind::UnexpectedEof.into());
        };
        let now = Instant::now();
        let mut answers = answers.borrow_mut();
        if answer.status() != Some(status) {
            answers.fail(|| String::from_utf8_lossy(answer.body).into_owned());
        } else if now >= window.from && now < window.until {
            answers.count += 1;
            let nanos = u64::try_from((now - sent).as_nanos()).unwrap_or(u64::MAX);
            answers.latency.saturating_record(nanos);
        }
    }
}
