//! The suite of all adapters, on the embedded log in two shapes: as an operator runs it, and with segments so small
//! that every test rolls.

use std::sync::Arc;

use async_trait::async_trait;
use mainspring_eventlog::{
    EventLog,
    conformance::Adapter,
    embedded::{EmbeddedLog, Options},
};

struct Embedded {
    log: Arc<EmbeddedLog>,
    options: Options,
    _directory: tempfile::TempDir,
}

#[async_trait]
impl Adapter for Embedded {
    fn log(&self) -> Arc<dyn EventLog> {
        Arc::clone(&self.log) as Arc<dyn EventLog>
    }

    async fn reopen(&mut self) {
        self.log.close();
        self.log = EmbeddedLog::open(self.options.clone()).unwrap().0;
        self.log.verify(|_| ()).unwrap();
    }
}

fn begin(change: impl FnOnce(&mut Options)) -> Embedded {
    let directory = tempfile::tempdir().unwrap();
    let mut options = Options::new(directory.path());
    change(&mut options);
    Embedded { log: EmbeddedLog::open(options.clone()).unwrap().0, options, _directory: directory }
}

mod as_an_operator_runs_it {
    async fn fresh() -> super::Embedded {
        super::begin(|_| ())
    }

    mainspring_eventlog::conformance_tests!(fresh);
}

mod with_tiny_segments_and_a_forgetful_writer {
    async fn fresh() -> super::Embedded {
        super::begin(|options| {
            options.segment_bytes = 16 << 10;
            options.hot_streams = 2;
        })
    }

    mainspring_eventlog::conformance_tests!(fresh);
}
