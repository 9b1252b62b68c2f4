//! When records became durable, told by a thread that only watches the end of the log.

use std::{sync::Arc, thread};

use anyhow::Context;
use mainspring_actors::{Clock, SystemClock};
use mainspring_eventlog::{EventLog, Position};
use mainspring_schemas::Timestamp;
use tokio::sync::oneshot;

/// Ends of the log, each with the instant at which it was seen first, in order.
#[derive(Clone, Debug, Default)]
pub struct Ends(Vec<(Position, Timestamp)>);

impl Ends {
    /// When a record was seen to be durable; `None` if it never was.
    pub fn durable_at(&self, position: Position) -> Option<Timestamp> {
        let place = self.0.partition_point(|(end, _)| *end <= position);
        self.0.get(place).map(|(_, at)| *at)
    }
}

/// A watch that is being kept.
#[derive(Debug)]
pub struct Watch {
    stop: oneshot::Sender<()>,
    ends: oneshot::Receiver<Ends>,
}

impl Watch {
    /// Begins to watch.
    pub fn start(log: Arc<dyn EventLog>) -> anyhow::Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let (stop, stopped) = oneshot::channel();
        let (done, ends) = oneshot::channel();
        let work = move || {
            let _ = done.send(runtime.block_on(watch(&*log, stopped)));
        };
        thread::Builder::new().name("watch".into()).spawn(work)?;
        Ok(Self { stop, ends })
    }

    /// Ends it: what was seen.
    pub async fn stop(self) -> anyhow::Result<Ends> {
        drop(self.stop);
        self.ends.await.context("the watch ended unexpectedly")
    }
}

async fn watch(log: &dyn EventLog, mut stopped: oneshot::Receiver<()>) -> Ends {
    let clock = SystemClock::default();
    let mut ends = Vec::new();
    let mut end = log.durable_end();
    loop {
        tokio::select! {
            // Whatever wakes it: the instant is taken after the end was read, so that nothing looks earlier than it was.
            () = log.wait_past(end) => end = log.durable_end(),
            _ = &mut stopped => return Ends(ends),
        }
        ends.push((end, clock.now()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_is_durable_when_the_end_is_behind_it() {
        let ends = Ends(vec![(3, Timestamp(10)), (7, Timestamp(20))]);
        let at = |position| ends.durable_at(position).map(|at| at.0);
        assert_eq!([at(0), at(2), at(3), at(6), at(7)], [Some(10), Some(10), Some(20), Some(20), None]);
    }
}
