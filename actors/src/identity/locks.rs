//! Locks by name, first come first served, so that calls that share a key behave as if one followed the other (RS-81).

use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
};

use parking_lot::Mutex;
use tokio::sync::oneshot;

type Waiting = HashMap<u128, VecDeque<oneshot::Sender<()>>>;

/// A table of locks; only held and awaited ones take memory.
#[derive(Clone, Debug, Default)]
pub struct KeyedLocks {
    waiting: Arc<Mutex<Waiting>>,
}

/// Locks held; dropping releases them.
#[derive(Debug)]
pub struct Guards {
    names: Vec<u128>,
    waiting: Arc<Mutex<Waiting>>,
}

impl KeyedLocks {
    /// Takes all the named locks. Taken in ascending order, so two callers never wait for each other.
    ///
    /// # Cancel safety
    /// A dropped future releases what it took.
    pub async fn lock(&self, names: impl IntoIterator<Item = u128>) -> Guards {
        let mut sorted: Vec<u128> = names.into_iter().collect();
        sorted.sort_unstable();
        sorted.dedup();
        let mut guards =
            Guards { names: Vec::with_capacity(sorted.len()), waiting: Arc::clone(&self.waiting) };
        for name in sorted {
            let turn = {
                let mut waiting = self.waiting.lock();
                match waiting.get_mut(&name) {
                    None => {
                        waiting.insert(name, VecDeque::new());
                        None
                    }
                    Some(queue) => {
                        let (sender, receiver) = oneshot::channel();
                        queue.push_back(sender);
                        Some(receiver)
                    }
                }
            };
            if let Some(turn) = turn {
                // The lock is handed over, never dropped, as long as somebody waits.
                let handed = Handed { name, waiting: &self.waiting, turn: Some(turn) };
                handed.wait().await;
            }
            guards.names.push(name);
        }
        guards
    }
}

/// A place in a queue; if its owner gives up after the lock was handed over, it is passed on.
struct Handed<'a> {
    name: u128,
    waiting: &'a Mutex<Waiting>,
    turn: Option<oneshot::Receiver<()>>,
}

impl Handed<'_> {
    async fn wait(mut self) {
        if let Some(turn) = self.turn.as_mut() {
            let _ = turn.await;
        }
        self.turn = None;
    }
}

impl Drop for Handed<'_> {
    fn drop(&mut self) {
        if let Some(mut turn) = self.turn.take() {
            turn.close();
            if turn.try_recv().is_ok() {
                release(self.waiting, self.name);
            }
        }
    }
}

fn release(waiting: &Mutex<Waiting>, name: u128) {
    let mut waiting = waiting.lock();
    let Some(queue) = waiting.get_mut(&name) else { return };
    while let Some(next) = queue.pop_front() {
        if next.send(()).is_ok() {
            return;
        }
    }
    waiting.remove(&name);
}

impl Drop for Guards {
    fn drop(&mut self) {
        for name in &self.names {
            release(&self.waiting, *name);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn rs_81_overlapping_holders_take_turns_and_leave_nothing_behind() {
        let locks = KeyedLocks::default();
        let order = Arc::new(Mutex::new(Vec::new()));
        let first = locks.lock([1, 2]).await;
        let tasks: Vec<_> = [[2, 3], [3, 1], [1, 2]]
            .into_iter()
            .enumerate()
            .map(|(index, names)| {
                let (locks, order) = (locks.clone(), Arc::clone(&order));
                tokio::spawn(async move {
                    let _guards = locks.lock(names).await;
                    order.lock().push(index);
                })
            })
            .collect();
        tokio::task::yield_now().await;
        assert!(order.lock().is_empty());
        drop(first);
        for task in tasks {
            task.await.unwrap();
        }
        assert_eq!(order.lock().len(), 3);
        assert!(locks.waiting.lock().is_empty());
    }

    #[tokio::test]
    async fn a_waiter_that_gives_up_does_not_keep_the_lock() {
        let locks = KeyedLocks::default();
        let first = locks.lock([1]).await;
        let mut gives_up = Box::pin(locks.lock([1]));
        let polled = futures_util::future::poll_immediate(&mut gives_up).await;
        assert!(polled.is_none());
        drop(first);
        drop(gives_up);
        let _second = locks.lock([1]).await;
    }
}
