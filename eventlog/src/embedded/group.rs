//! What one write and one sync make durable together.

use mainspring_schemas::StreamName;

use super::{layout::Address, segment::Mark};
use crate::{AppendError, Appended, OnDurable};

/// A stream that the group writes.
pub(super) struct Touched {
    pub hash: u64,
    pub stream: StreamName,
    /// The stream's frame before; `NONE` = the group creates the stream.
    pub previous: Address,
    /// The stream's frame in the group.
    pub address: Address,
}

/// Frames waiting for their write, and the answers that depend on it.
#[derive(Default)]
pub(super) struct Group {
    /// The bytes of all frames.
    pub buffer: Vec<u8>,
    /// Streams in the order in which the frames name them.
    pub touched: Vec<Touched>,
    /// Where each frame begins.
    pub marks: Vec<Mark>,
    /// Answers in order of submission.
    pub answers: Vec<(OnDurable, Result<Appended, AppendError>)>,
}

/// Memory kept for the next group.
const KEPT_BUFFER: usize = 4 << 20;

impl Group {
    /// Replaces every answer that depends on the write. A conflict does, too: it may have been with a record of the
    /// group.
    pub fn refuse(&mut self, error: &AppendError) {
        for (_, answer) in &mut self.answers {
            if !matches!(answer, Err(AppendError::Refused(_))) {
                *answer = Err(error.clone());
            }
        }
    }

    /// Gives all answers and forgets the group.
    pub fn answer(&mut self) {
        for (on_durable, answer) in self.answers.drain(..) {
            // A caller's panic must not take the writer, and with it every other caller, down.
            let call = std::panic::AssertUnwindSafe(move || on_durable(answer));
            if std::panic::catch_unwind(call).is_err() {
                tracing::error!("a completion of an append panicked");
            }
        }
        self.buffer.clear();
        self.buffer.shrink_to(KEPT_BUFFER);
        self.touched.clear();
        self.marks.clear();
    }
}
