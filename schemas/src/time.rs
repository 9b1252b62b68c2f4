//! Instants in whole milliseconds, and their one spelling on the wire.

use std::{fmt, str::FromStr};

use jiff::{
    SignedDuration,
    civil::{DateTime, datetime},
};
use serde::{Deserialize, Serialize};

const EPOCH: DateTime = datetime(1970, 1, 1, 0, 0, 0, 0);

/// An instant: milliseconds since 1970-01-01T00:00:00Z. All comparisons of the system are made in these.
///
/// MessagePack stores the number; JSON and other human-readable formats show ISO 8601 UTC with exactly three decimals
/// (HT-06).
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct Timestamp(pub i64);

/// A text that names no instant this system can hold.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("expected an ISO 8601 instant such as 2026-06-01T00:00:00.000Z")]
pub struct InvalidTimestamp;

impl Timestamp {
    /// The same instant, `millis` later (earlier if negative); saturates at the ends of time.
    #[must_use]
    pub fn plus(self, millis: i64) -> Self {
        Self(self.0.saturating_add(millis))
    }

    /// Milliseconds from `earlier` to `self`.
    pub fn since(self, earlier: Self) -> i64 {
        self.0.saturating_sub(earlier.0)
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match EPOCH.checked_add(SignedDuration::from_millis(self.0)) {
            Ok(civil) => write!(f, "{civil:.3}Z"),
            Err(_) => write!(f, "{}ms", self.0),
        }
    }
}

impl fmt::Debug for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Timestamp {
    type Err = InvalidTimestamp;

    /// `YYYY-MM-DDTHH:MM:SS[.fraction]` with `Z` or an offset; upper-case `T`, seconds required, real dates (HT-06).
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let bytes = text.as_bytes();
        let shape = bytes.len() >= 20
            && bytes[10] == b'T'
            && bytes[13] == b':'
            && bytes[16] == b':'
            && &bytes[17..19] != b"60"
            && matches!(bytes[19], b'Z' | b'.' | b'+' | b'-')
            && (bytes.ends_with(b"Z") || matches!(bytes[bytes.len() - 6], b'+' | b'-'))
            && !text.contains('[');
        if !shape {
            return Err(InvalidTimestamp);
        }
        // UTC is read as a civil time: it reaches to the last millisecond of the year 9999, an instant of jiff does not.
        if let Some(civil) = text.strip_suffix('Z') {
            let civil: DateTime = civil.parse().map_err(|_| InvalidTimestamp)?;
            let since = civil.duration_since(EPOCH).as_millis();
            return i64::try_from(since).map(Self).map_err(|_| InvalidTimestamp);
        }
        let instant: jiff::Timestamp = text.parse().map_err(|_| InvalidTimestamp)?;
        Ok(Self(instant.as_millisecond()))
    }
}

impl Serialize for Timestamp {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() {
            serializer.collect_str(self)
        } else {
            serializer.serialize_i64(self.0)
        }
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        if deserializer.is_human_readable() {
            let text = compact_str::CompactString::deserialize(deserializer)?;
            text.parse().map_err(serde::de::Error::custom)
        } else {
            i64::deserialize(deserializer).map(Self)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ht_06_three_decimals_and_z() {
        let instant: Timestamp = "2026-06-01T02:03:04.5Z".parse().unwrap();
        assert_eq!(instant.to_string(), "2026-06-01T02:03:04.500Z");
        assert_eq!(serde_json::to_string(&instant).unwrap(), "\"2026-06-01T02:03:04.500Z\"");
        assert_eq!(
            rmp_serde::from_slice::<Timestamp>(&rmp_serde::to_vec(&instant).unwrap()).unwrap(),
            instant
        );
    }

    #[test]
    fn ht_06_offsets_are_accepted_and_nonsense_is_not() {
        assert_eq!(
            "2026-06-01T02:00:00+02:00".parse(),
            Ok("2026-06-01T00:00:00Z".parse::<Timestamp>().unwrap())
        );
        for bad in [
            "2026-06-01",
            "2026-06-01T00:00Z",
            "2026-06-01t00:00:00Z",
            "2026-02-30T00:00:00Z",
            "2026-06-01T00:00:00",
            "2026-06-01T24:00:00Z",
            "2026-06-01T00:00:60Z",
            "",
            "2026-06-01 00:00:00Z",
            "2026-06-01T00:00:00Zürich",
        ] {
            assert_eq!(bad.parse::<Timestamp>(), Err(InvalidTimestamp), "{bad}");
        }
    }
}
