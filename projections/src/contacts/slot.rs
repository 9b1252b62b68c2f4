//! Coarse instants: an index over them is left alone by most events.

use mainspring_schemas::Timestamp;

/// Milliseconds of a slot of instants of being seen.
const SEEN: i64 = 300_000;

/// Milliseconds of a slot of wake-ups.
const WAKE: i64 = 60_000;

/// The slot of an instant of being seen. A later instant is never in an earlier slot.
pub(super) fn seen(at: Timestamp) -> i64 {
    at.0.div_euclid(SEEN)
}

/// The slot of a wake-up. A later instant is never in an earlier slot.
pub(super) fn wake(at: Timestamp) -> i64 {
    at.0.div_euclid(WAKE)
}
