//! A turn that touches several streams, written to a log that can append to one stream at a time (MC-43).
//!
//! ```text
//!  claims of keys nobody owned ──► losers' halves ──► the contact's own records ──► claims that change hands, releases
//! ```
//!
//! Each step has its own expected version and waits until the one before is durable, so a crash leaves the first few.
//! What it leaves is completed, or counts for nothing:
//!
//! * A claim whose contact does not hold the key is no claim ([`crate::identity::Directory`]): the key is free. So is
//!   the key of a contact that is deleted and did not come to release it.
//! * A loser whose survivor does not list it among its aliases is half of a merge. It answers as the survivor, and whoever
//!   meets it lets the survivor absorb it (`engine/halves.rs`). Its stream has everything that needs.
//! * A claim that did not change hands leads to the survivor by way of the loser.
//!
//! Until the last step has ended nobody else writes to the contact: the shard keeps its messages waiting.

use mainspring_eventlog::{Append, AppendError, EventLog, Position, StreamAppend};
use mainspring_schemas::Timestamp;

/// Records of other streams that become true together with a turn.
#[derive(Clone, Debug, Default)]
pub(crate) struct Also {
    /// What the turn rests on: claims of keys nobody owned, then losers' halves.
    pub before: Vec<StreamAppend>,
    /// What follows from the turn: claims that change hands, and releases.
    pub after: Vec<StreamAppend>,
}

impl Also {
    /// Whether the turn writes its own stream only.
    pub fn is_empty(&self) -> bool {
        self.before.is_empty() && self.after.is_empty()
    }

    /// Everything as one append.
    pub fn with(self, own: StreamAppend) -> Vec<StreamAppend> {
        std::iter::once(own).chain(self.before).chain(self.after).collect()
    }
}

/// Writes a turn step by step; returns the last position written. A step that follows from the turn may fail: whoever
/// looks finds out without it.
///
/// # Errors
/// The turn did not come true; some of what it rests on may be written.
pub(super) async fn write(
    log: &dyn EventLog,
    recorded_at: Timestamp,
    own: StreamAppend,
    also: Also,
) -> Result<Position, AppendError> {
    let step = async |stream| {
        let appended = log.append(Append { recorded_at, streams: vec![stream] }).await?;
        Ok::<Position, AppendError>(appended.last_position)
    };
    for stream in also.before {
        step(stream).await?;
    }
    let mut last = step(own).await?;
    for stream in also.after {
        match step(stream).await {
            Ok(position) => last = position,
            Err(error) => {
                tracing::warn!(%error, "a key's claim was not updated; it is judged by its contact")
            }
        }
    }
    Ok(last)
}
