//! The filters of expressions (JD-03). One that cannot do anything with its value gives null.

use jiff::{Timestamp as Instant, fmt::strtime, tz::TimeZone};
use minijinja::{
    Environment,
    value::{Value, ValueKind},
};

use crate::{Timestamp, duration::DurationSpec};

/// Adds all filters.
pub(super) fn install(environment: &mut Environment<'_>) {
    environment.add_filter("default", default);
    environment.add_filter("int", int);
    environment.add_filter("float", float);
    environment.add_filter("string", |value: Value| text(&value));
    environment.add_filter("bool", boolean);
    environment
        .add_filter("min", |value: Value, bound: f64| bounded(&value, bound, |number| number <= bound));
    environment
        .add_filter("max", |value: Value, bound: f64| bounded(&value, bound, |number| number >= bound));
    environment.add_filter("lower", |value: Value| text(&value).as_str().map(str::to_lowercase));
    environment.add_filter("upper", |value: Value| text(&value).as_str().map(str::to_uppercase));
    environment.add_filter("date", date);
    environment.add_filter("add", add);
    environment.add_filter("json", |value: Value| serde_json::to_string(&value).ok());
}

/// `default(x)`: x if the value is missing or null.
fn default(value: Value, instead: Value) -> Value {
    if value.is_undefined() || value.is_none() { instead } else { value }
}

fn number(value: &Value) -> Option<f64> {
    match value.kind() {
        ValueKind::Number => f64::try_from(value.clone()).ok(),
        ValueKind::String => value.as_str()?.trim().parse().ok().filter(|number: &f64| number.is_finite()),
        ValueKind::Bool => Some(f64::from(u8::from(value.is_true()))),
        _ => None,
    }
}

/// `int`: a whole number, the fraction cut off.
fn int(value: Value) -> Option<Value> {
    let whole = match value.kind() {
        ValueKind::Number => i64::try_from(value.clone()).ok(),
        ValueKind::String => value.as_str().and_then(|text| text.trim().parse().ok()),
        _ => None,
    };
    let cut = || {
        let cut = number(&value)?.trunc();
        // Beyond this a double no longer tells whole numbers apart.
        (cut.abs() <= 9_007_199_254_740_992.0).then_some(cut as i64)
    };
    whole.or_else(cut).map(Value::from)
}

/// `float`: a number.
fn float(value: Value) -> Option<f64> {
    number(&value)
}

/// A value as text; null stays null.
fn text(value: &Value) -> Value {
    match value.kind() {
        ValueKind::Undefined | ValueKind::None => Value::from(()),
        ValueKind::String => value.clone(),
        _ => serde_json::to_string(value).map_or_else(|_| Value::from(()), Value::from),
    }
}

/// `bool`: `true`, `1` and `yes` and their opposites, as text or number.
fn boolean(value: Value) -> Option<bool> {
    match value.kind() {
        ValueKind::Bool => Some(value.is_true()),
        ValueKind::Number => Some(number(&value)? != 0.0),
        ValueKind::String => match value.as_str()?.trim().to_lowercase().as_str() {
            "true" | "1" | "yes" => Some(true),
            "false" | "0" | "no" | "" => Some(false),
            _ => None,
        },
        _ => None,
    }
}

/// `min(n)`, `max(n)`: the value if it keeps the bound, else the bound.
fn bounded(value: &Value, bound: f64, keeps: impl Fn(f64) -> bool) -> Option<Value> {
    let number = number(value)?;
    let kept = if value.kind() == ValueKind::Number { value.clone() } else { Value::from(number) };
    Some(if keeps(number) { kept } else { whole_if_possible(bound) })
}

fn whole_if_possible(number: f64) -> Value {
    let whole = number as i64;
    if whole as f64 == number { Value::from(whole) } else { Value::from(number) }
}

/// An instant out of ISO 8601 text, or of a number: Unix seconds, or milliseconds if it is too large for those.
fn instant(value: &Value) -> Option<Timestamp> {
    const FIRST_MILLIS: f64 = 100_000_000_000.0;
    match value.kind() {
        ValueKind::String => value.as_str()?.parse().ok(),
        ValueKind::Number => {
            let number = number(value)?;
            let millis = if number.abs() < FIRST_MILLIS { number * 1000.0 } else { number };
            (millis.abs() < 253_402_300_800_000.0).then(|| Timestamp(millis.floor() as i64))
        }
        _ => None,
    }
}

/// `date(format)`: an instant in UTC by a `strftime` format; without a format as ISO 8601.
fn date(value: Value, format: Option<String>) -> Option<String> {
    let at = instant(&value)?;
    let Some(format) = format else { return Some(at.to_string()) };
    let zoned = Instant::from_millisecond(at.0).ok()?.to_zoned(TimeZone::UTC);
    strtime::format(format, &zoned).ok()
}

/// `add(duration)`: an instant that much later; earlier with a leading `-`.
fn add(value: Value, duration: String) -> Option<String> {
    let (sign, length) = match duration.strip_prefix('-') {
        Some(length) => (-1, length),
        None => (1, duration.as_str()),
    };
    let length: DurationSpec = length.parse().ok()?;
    Some(instant(&value)?.plus(sign * length.millis()).to_string())
}
