//! Instants as people write them.

use jiff::{
    civil::{Date, DateTime},
    tz::Offset,
};
use mainspring_schemas::Timestamp;

/// What [`read`] expects, for messages.
pub const EXPECTED: &str = "an instant such as 2026-06-01T00:00:00Z, or a UTC date such as 2026-06-01";

/// An ISO 8601 instant; without an offset it is UTC, without a time midnight.
pub fn read(text: &str) -> Option<Timestamp> {
    let text = text.trim();
    if let Ok(instant) = text.parse::<Timestamp>() {
        return Some(instant);
    }
    let civil = match text.parse::<Date>() {
        Ok(date) if text.len() == 10 => date.at(0, 0, 0, 0),
        _ => text
            .replacen(' ', "T", 1)
            .parse::<DateTime>()
            .ok()
            .filter(|_| text.contains('-') && !text.contains(['Z', 'z', '+', '[']))?,
    };
    utc(civil)
}

/// Midnight UTC of a day.
pub fn midnight(year: i16, month: i8, day: i8) -> Option<Timestamp> {
    utc(Date::new(year, month, day).ok()?.at(0, 0, 0, 0))
}

fn utc(civil: DateTime) -> Option<Timestamp> {
    Offset::UTC.to_timestamp(civil).ok().map(|instant| Timestamp(instant.as_millisecond()))
}

/// For clap.
pub fn argument(text: &str) -> Result<Timestamp, String> {
    read(text).ok_or_else(|| format!("expected {EXPECTED}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_and_instants_are_read_as_utc() {
        let midnight = read("1998-06-30").unwrap();
        assert_eq!(midnight.to_string(), "1998-06-30T00:00:00.000Z");
        assert_eq!(super::midnight(1998, 6, 30), Some(midnight));
        assert_eq!(read("1998-06-30T00:00:00.000Z"), Some(midnight));
        assert_eq!(read("1998-06-30 00:00:00"), Some(midnight));
        assert_eq!(read("1998-06-30T02:00:00+02:00"), Some(midnight));
        for bad in ["", "yesterday", "1998-02-30", "19980630", "1998-06-30T25:00:00Z"] {
            assert_eq!(read(bad), None, "{bad}");
        }
    }
}
