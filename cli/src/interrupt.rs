//! SIGINT and SIGTERM: the first asks for an orderly end, the second ends at once.

use std::{io, thread};

use tokio::{
    signal::unix::{SignalKind, signal},
    sync::watch,
};

use crate::{exit::Reason, output};

/// Tells whether somebody wants the process to end.
#[derive(Clone, Debug)]
pub struct Interrupt {
    wanted: watch::Receiver<bool>,
}

impl Interrupt {
    /// Watches for signals from now on. The second one ends the process with `second`.
    pub fn watch(second: Reason) -> io::Result<Self> {
        Self::start(move |count| match count {
            1 => true,
            _ => std::process::exit(second as i32),
        })
    }

    /// For work that cannot be asked to stop but is safe to end at any moment: the first signal says `resume` and ends
    /// the process.
    pub fn end_at_once(resume: &'static str) -> io::Result<()> {
        Self::start(move |_| {
            output::notice(format_args!("interrupted: {resume}"));
            std::process::exit(Reason::Interrupted as i32)
        })?;
        Ok(())
    }

    fn start(mut on_signal: impl FnMut(u32) -> bool + Send + 'static) -> io::Result<Self> {
        let (sender, wanted) = watch::channel(false);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build()?;
        let (mut interrupt, mut terminate) = {
            let _inside = runtime.enter();
            (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?)
        };
        thread::Builder::new().name("signals".into()).spawn(move || {
            runtime.block_on(async {
                for count in 1.. {
                    tokio::select! {
                        _ = interrupt.recv() => {}
                        _ = terminate.recv() => {}
                    }
                    if on_signal(count) {
                        sender.send_replace(true);
                    }
                }
            });
        })?;
        Ok(Self { wanted })
    }

    /// Whether a signal came.
    pub fn is_wanted(&self) -> bool {
        *self.wanted.borrow()
    }

    /// Waits for a signal.
    pub async fn wanted(&mut self) {
        if self.wanted.wait_for(|wanted| *wanted).await.is_err() {
            // The thread that watches is gone, so no signal can be heard any more.
            std::future::pending::<()>().await;
        }
    }
}
