//! Numbers of the criteria language: doubles that remember how they print.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize};

/// Whole numbers up to here are exact in a double.
const EXACT: f64 = 9_007_199_254_740_992.0;

/// A finite number. It compares as an IEEE double (BK-31) and prints as JSON does everywhere else: `1.0` is `1`, so
/// that one value has one digest (BK-181).
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(transparent)]
pub struct Number(serde_json::Number);

impl Number {
    /// The number as a double.
    pub fn as_f64(&self) -> f64 {
        // Numbers of JSON always convert, unless parsed with arbitrary precision, which this workspace does not enable.
        self.0.as_f64().unwrap_or(f64::NAN)
    }

    /// A finite double; `None` for infinities and NaN.
    pub fn from_f64(value: f64) -> Option<Self> {
        serde_json::Number::from_f64(value).map(Self::from)
    }
}

impl From<serde_json::Number> for Number {
    fn from(number: serde_json::Number) -> Self {
        match number.as_f64() {
            Some(value) if number.is_f64() && value.fract() == 0.0 && value.abs() <= EXACT => {
                Self(serde_json::Number::from(value as i64))
            }
            _ => Self(number),
        }
    }
}

impl From<Number> for serde_json::Number {
    fn from(number: Number) -> Self {
        number.0
    }
}

macro_rules! from_integer {
    ($($integer:ty),*) => {
        $(impl From<$integer> for Number {
            fn from(value: $integer) -> Self {
                Self(serde_json::Number::from(value))
            }
        })*
    };
}

from_integer!(i32, u32, i64, u64);

impl fmt::Display for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

impl<'de> Deserialize<'de> for Number {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        serde_json::Number::deserialize(deserializer).map(Self::from)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bk_181_one_value_prints_in_one_way() {
        for (written, printed) in [
            ("10", "10"),
            ("10.0", "10"),
            ("1e3", "1000"),
            ("-0.0", "0"),
            ("2.5", "2.5"),
            ("-7", "-7"),
            ("9007199254740993", "9007199254740993"),
            ("18446744073709551615", "18446744073709551615"),
        ] {
            let number: Number = serde_json::from_str(written).unwrap();
            assert_eq!(serde_json::to_string(&number).unwrap(), printed);
        }
        assert_eq!(Number::from_f64(f64::NAN), None);
    }
}
