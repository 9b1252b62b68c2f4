//! A thread that works until it is stopped, and whether it still does: one that panics must not end unnoticed.

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
};

/// Tells whether a thread has ended.
#[derive(Clone, Debug, Default)]
pub struct Ended(Arc<AtomicBool>);

impl Ended {
    /// Whether it has, in order or by a panic.
    pub fn get(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }
}

/// Raises the flag when the thread unwinds, too.
struct Raise(Ended);

impl Drop for Raise {
    fn drop(&mut self) {
        self.0.0.store(true, Ordering::Release);
    }
}

/// Starts a thread.
///
/// # Errors
/// If the operating system has none.
pub fn spawn(name: &str, work: impl FnOnce() + Send + 'static) -> io::Result<(JoinHandle<()>, Ended)> {
    let ended = Ended::default();
    let raise = Raise(ended.clone());
    let work = move || {
        let _raise = raise;
        work();
    };
    Ok((thread::Builder::new().name(name.to_owned()).spawn(work)?, ended))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn he_04_a_thread_that_panics_is_known_to_have_ended() {
        let (go, wait) = std::sync::mpsc::channel::<bool>();
        let work = move || assert!(wait.recv().unwrap_or(false), "it ends like a bug would end it");
        let (thread, ended) = spawn("doomed", work).unwrap();
        assert!(!ended.get());
        go.send(false).unwrap();
        assert!(thread.join().is_err());
        assert!(ended.get());
    }
}
