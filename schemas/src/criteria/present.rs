//! Optional keys are left out, never null: `null` is a mistake rather than another way to say "unset".

use serde::{Deserialize, Deserializer};

/// Reads the value of a key that is there.
pub(crate) fn present<'de, T: Deserialize<'de>, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<T>, D::Error> {
    T::deserialize(deserializer).map(Some)
}
