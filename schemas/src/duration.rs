//! Lengths of time as authors write them, and their one canonical form.

use std::{borrow::Cow, fmt, str::FromStr};

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de, ser::SerializeMap};

use crate::criteria::Number;

const HOUR: i64 = 3_600_000;
const MINUTE: i64 = 60_000;
const SECOND: i64 = 1_000;

/// Longest duration in milliseconds: up to here every sum is exact in a double.
const LONGEST: f64 = 9_007_199_254_740_991.0;

/// A duration `{hours?, minutes?, seconds?}`: its value is the sum, missing keys are 0.
///
/// The form is kept as written, because it is part of what the digest of criteria covers (BK-181); short strings such
/// as `1d12h` fold into it (BK-37), days and weeks as hours because there is no `days` key.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct DurationSpec {
    hours: Option<Number>,
    minutes: Option<Number>,
    seconds: Option<Number>,
    millis: i64,
}

/// Why something is no duration.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidDuration {
    /// A short string of another shape.
    #[error("`{0}` is no duration; write for example 45s, 30m, 4h, 2d, 1w or 1d12h")]
    Spelling(String),
    /// No key at all.
    #[error("a duration needs at least one of hours, minutes, seconds")]
    Empty,
    /// Time runs forward.
    #[error("a duration must not be negative")]
    Negative,
    /// Beyond what milliseconds can say exactly.
    #[error("the duration is too long")]
    TooLong,
}

impl DurationSpec {
    /// The keys of the long form.
    pub const KEYS: [&'static str; 3] = ["hours", "minutes", "seconds"];

    /// A duration in long form.
    ///
    /// # Errors
    /// [`InvalidDuration`] if no part is given, a part is negative or the sum is out of range.
    pub fn new(
        hours: Option<Number>,
        minutes: Option<Number>,
        seconds: Option<Number>,
    ) -> Result<Self, InvalidDuration> {
        let parts = [(&hours, HOUR), (&minutes, MINUTE), (&seconds, SECOND)];
        if parts.iter().all(|(part, _)| part.is_none()) {
            return Err(InvalidDuration::Empty);
        }
        let mut sum = 0.0;
        for (part, unit) in parts {
            let amount = part.as_ref().map_or(0.0, Number::as_f64);
            if amount < 0.0 {
                return Err(InvalidDuration::Negative);
            }
            sum += amount * unit as f64;
        }
        if sum > LONGEST {
            return Err(InvalidDuration::TooLong);
        }
        Ok(Self { hours, minutes, seconds, millis: sum.round() as i64 })
    }

    /// A duration of whole hours.
    pub fn of_hours(hours: u32) -> Self {
        Self {
            hours: Some(Number::from(hours)),
            minutes: None,
            seconds: None,
            millis: i64::from(hours) * HOUR,
        }
    }

    /// A duration of whole seconds.
    pub fn of_seconds(seconds: u32) -> Self {
        Self {
            hours: None,
            minutes: None,
            seconds: Some(Number::from(seconds)),
            millis: i64::from(seconds) * SECOND,
        }
    }

    /// The value in whole milliseconds.
    pub fn millis(&self) -> i64 {
        self.millis
    }

    /// Whether the value is zero.
    pub fn is_zero(&self) -> bool {
        self.millis == 0
    }

    fn parts(&self) -> impl Iterator<Item = (&'static str, &Number)> {
        Self::KEYS
            .into_iter()
            .zip([&self.hours, &self.minutes, &self.seconds])
            .filter_map(|(key, part)| part.as_ref().map(|part| (key, part)))
    }
}

impl FromStr for DurationSpec {
    type Err = InvalidDuration;

    /// `45s`, `30m`, `4h`, `2d`, `1w` and sums such as `1d12h`; each unit once, whole numbers only.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let wrong = || InvalidDuration::Spelling(text.to_owned());
        let mut amounts: [Option<u64>; 5] = [None; 5];
        let mut rest = text;
        while !rest.is_empty() {
            let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
            let unit = rest[digits..].chars().next().and_then(|unit| "smhdw".find(unit)).ok_or_else(wrong)?;
            let amount = rest[..digits].parse().map_err(|_| wrong())?;
            if amounts[unit].replace(amount).is_some() {
                return Err(wrong());
            }
            rest = &rest[digits + 1..];
        }
        let [seconds, minutes, hours, days, weeks] = amounts;
        let folded = [(hours, 1), (days, 24), (weeks, 168)]
            .into_iter()
            .filter_map(|(amount, hours)| amount.map(|amount| amount.checked_mul(hours)))
            .reduce(|sum, next| sum?.checked_add(next?));
        let hours = match folded {
            None => None,
            Some(None) => return Err(InvalidDuration::TooLong),
            Some(Some(hours)) => Some(Number::from(hours)),
        };
        match Self::new(hours, minutes.map(Number::from), seconds.map(Number::from)) {
            Err(InvalidDuration::Empty) => Err(wrong()),
            result => result,
        }
    }
}

impl fmt::Display for DurationSpec {
    /// The short spelling of the parts, for people: `168h`, `1h30m`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.parts().try_for_each(|(key, amount)| write!(f, "{amount}{}", &key[..1]))
    }
}

impl Serialize for DurationSpec {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.parts().count()))?;
        for (key, amount) in self.parts() {
            map.serialize_entry(key, amount)?;
        }
        map.end()
    }
}

impl<'de> Deserialize<'de> for DurationSpec {
    /// Takes the long form and the short string.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(DurationVisitor)
    }
}

struct DurationVisitor;

impl<'de> de::Visitor<'de> for DurationVisitor {
    type Value = DurationSpec;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a duration such as \"7d\" or {\"hours\": 168}")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<DurationSpec, E> {
        text.parse().map_err(E::custom)
    }

    fn visit_map<A: de::MapAccess<'de>>(self, mut map: A) -> Result<DurationSpec, A::Error> {
        let mut parts = [None, None, None];
        while let Some(key) = map.next_key::<String>()? {
            let Some(at) = DurationSpec::KEYS.iter().position(|known| *known == key) else {
                return Err(de::Error::unknown_field(&key, &DurationSpec::KEYS));
            };
            if parts[at].replace(map.next_value::<Number>()?).is_some() {
                return Err(de::Error::duplicate_field(DurationSpec::KEYS[at]));
            }
        }
        let [hours, minutes, seconds] = parts;
        DurationSpec::new(hours, minutes, seconds).map_err(de::Error::custom)
    }
}

impl JsonSchema for DurationSpec {
    fn schema_name() -> Cow<'static, str> {
        "Duration".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        let part = json_schema!({ "type": "number", "minimum": 0 });
        json_schema!({
            "description": "A duration: the sum of its parts, or a short string such as 45s, 30m, 4h, 2d, 1w, 1d12h.",
            "anyOf": [
                {
                    "type": "object",
                    "properties": { "hours": part, "minutes": part, "seconds": part },
                    "additionalProperties": false,
                    "minProperties": 1,
                },
                { "type": "string", "pattern": "^([0-9]+[smhdw])+$" },
            ],
        })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn bk_37_short_strings_fold_to_the_long_form() {
        for (short, long, millis) in [
            ("45s", json!({"seconds": 45}), 45_000),
            ("30m", json!({"minutes": 30}), 1_800_000),
            ("90m", json!({"minutes": 90}), 5_400_000),
            ("4h", json!({"hours": 4}), 14_400_000),
            ("2d", json!({"hours": 48}), 172_800_000),
            ("7d", json!({"hours": 168}), 604_800_000),
            ("1w", json!({"hours": 168}), 604_800_000),
            ("1d12h", json!({"hours": 36}), 129_600_000),
            ("1w2d3h4m5s", json!({"hours": 219, "minutes": 4, "seconds": 5}), 788_645_000),
            ("0s", json!({"seconds": 0}), 0),
        ] {
            let parsed: DurationSpec = short.parse().unwrap();
            assert_eq!(serde_json::to_value(&parsed).unwrap(), long, "{short}");
            assert_eq!(parsed.millis(), millis, "{short}");
            assert_eq!(serde_json::from_value::<DurationSpec>(json!(short)).unwrap(), parsed);
        }
    }

    #[test]
    fn bk_36_the_long_form_is_kept_as_written() {
        for (long, millis) in [
            (json!({"hours": 720}), 2_592_000_000),
            (json!({"minutes": 1440, "seconds": 0}), 86_400_000),
            (json!({"hours": 1.5}), 5_400_000),
            (json!({"seconds": 0.25}), 250),
        ] {
            let parsed: DurationSpec = serde_json::from_value(long.clone()).unwrap();
            assert_eq!((serde_json::to_value(&parsed).unwrap(), parsed.millis()), (long, millis));
        }
    }

    #[test]
    fn bk_29_what_is_no_duration() {
        for bad in ["", "7", "d", "7 d", "7D", "1h1h", "-1h", "1.5h", "7days", "99999999999999999999h", "1é"]
        {
            assert!(matches!(bad.parse::<DurationSpec>(), Err(InvalidDuration::Spelling(_))), "{bad}");
        }
        assert_eq!("9999999999999999h".parse::<DurationSpec>(), Err(InvalidDuration::TooLong));
        assert_eq!("18446744073709551615w".parse::<DurationSpec>(), Err(InvalidDuration::TooLong));
        for bad in [
            json!({}),
            json!({"days": 7}),
            json!({"hours": -1}),
            json!({"hours": "1"}),
            json!(7),
            json!(null),
        ] {
            assert!(serde_json::from_value::<DurationSpec>(bad.clone()).is_err(), "{bad}");
        }
    }
}
