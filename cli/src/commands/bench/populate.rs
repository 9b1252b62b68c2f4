//! Contacts made over HTTP, in batches, as an application would bring its customers.

use std::{cell::Cell, net::SocketAddr, ops::Range, rc::Rc, thread, time::Duration};

use anyhow::{Context, bail};
use bytes::Bytes;
use mainspring_schemas::Timestamp;
use tokio::{io::AsyncWriteExt, sync::oneshot, task::LocalSet};

use super::{load::connect, people};
use crate::wire::Messages;

/// Connections that take turns.
const CONNECTIONS: usize = 16;

/// Events of one request.
const BATCH: usize = 100;

/// Contacts whose absence falls due evenly over a time.
#[derive(Clone, Debug)]
pub struct Absentees {
    /// Their numbers.
    pub numbers: Range<usize>,
    /// When the first falls due.
    pub from: Timestamp,
    /// From the first to after the last.
    pub over: Duration,
}

impl Absentees {
    /// Makes them: one event each, dated so that its window ends at their instant.
    pub async fn populate(self, address: SocketAddr, key: &str) -> anyhow::Result<()> {
        let (done, ended) = oneshot::channel();
        let key = key.to_owned();
        let work = move || {
            let _ = done.send(self.drive(address, &key));
        };
        thread::Builder::new().name("load".into()).spawn(work)?;
        ended.await.context("the load ended unexpectedly")?
    }

    /// The instant at which the absence of a contact falls due.
    fn due(&self, number: usize) -> Timestamp {
        let share = (number - self.numbers.start) as f64 / self.numbers.len() as f64;
        self.from.plus((self.over.as_millis() as f64 * share) as i64)
    }

    /// The request of a batch.
    fn request(&self, key: &str, first: usize) -> Bytes {
        let numbers = first..(first + BATCH).min(self.numbers.end);
        people::seen(key, numbers.map(|number| (number, self.due(number))))
    }

    fn drive(self, address: SocketAddr, key: &str) -> anyhow::Result<()> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let next = Rc::new(Cell::new(self.numbers.start));
        let (all, key) = (Rc::new(self), Rc::<str>::from(key));
        LocalSet::new().block_on(&runtime, async {
            let send = |_| {
                let (all, key, next) = (Rc::clone(&all), Rc::clone(&key), Rc::clone(&next));
                tokio::task::spawn_local(async move { all.send(address, &key, &next).await })
            };
            let tasks: Vec<_> = (0..CONNECTIONS).map(send).collect();
            for task in tasks {
                task.await??;
            }
            Ok(())
        })
    }

    /// Sends batches over one connection until none is left.
    async fn send(&self, address: SocketAddr, key: &str, next: &Cell<usize>) -> anyhow::Result<()> {
        let mut stream = connect(address).await?;
        let mut messages = Messages::default();
        while next.get() < self.numbers.end {
            let first = next.replace(next.get() + BATCH);
            stream.write_all(&self.request(key, first)).await?;
            let answer = messages.next(&mut stream).await?.context("the server hung up")?;
            let expected = BATCH.min(self.numbers.end - first);
            if answer.status() != Some(202) || stored(answer.body) != expected {
                bail!("a batch was refused: {}", String::from_utf8_lossy(answer.body));
            }
        }
        Ok(())
    }
}

/// How many events of a batch were stored.
fn stored(answer: &[u8]) -> usize {
    const STORED: &[u8] = b"\"stored\":true";
    answer.windows(STORED.len()).filter(|window| *window == STORED).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instants_are_spread_over_the_time() {
        let some = Absentees { numbers: 10..14, from: Timestamp(1_000), over: Duration::from_secs(8) };
        let due: Vec<i64> = some.numbers.clone().map(|number| some.due(number).0).collect();
        assert_eq!(due, [1_000, 3_000, 5_000, 7_000]);
    }

    #[test]
    fn refused_events_do_not_count() {
        assert_eq!(stored(br#"{"results":[{"stored":true},{"status":503},{"stored":true}]}"#), 2);
    }
}
