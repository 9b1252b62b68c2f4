//! The purchase history of the CDNOW customers: customer, yyyymmdd, quantity, dollars, separated by blanks.

use compact_str::CompactString;
use serde_json::{Number, Value};

use super::row::{Draft, Row};
use crate::instant;

/// Whether a line is the head of the file: its first column is no number.
pub fn is_head(text: &str) -> bool {
    !text.split_ascii_whitespace().next().is_some_and(|first| first.bytes().all(|byte| byte.is_ascii_digit()))
}

/// Reads one line.
pub fn parse(text: &str) -> Result<Row, String> {
    let mut columns = text.split_ascii_whitespace();
    let mut column = |name: &str| columns.next().ok_or_else(|| format!("{name}: the column is missing"));
    let (customer, date) = (column("customer")?, column("date")?);
    let (quantity, dollars) = (column("quantity")?, column("dollars")?);
    if columns.next().is_some() {
        return Err("more than four columns".to_owned());
    }
    let quantity: u32 = quantity.parse().map_err(|_| "quantity: expected a whole number".to_owned())?;
    let amount: Option<f64> = dollars.parse().ok().filter(|amount: &f64| amount.is_finite());
    let amount = amount.and_then(Number::from_f64).ok_or("dollars: expected a number")?;
    let timestamp = day(date).ok_or("date: expected a day as yyyymmdd")?;
    let event_properties =
        [("quantity".to_owned(), Value::from(quantity)), ("amount".to_owned(), Value::Number(amount))];
    let draft = Draft {
        name: CompactString::const_new("order.placed"),
        user_id: Some(customer.to_owned()),
        timestamp: Some(timestamp),
        event_properties: event_properties.into_iter().collect(),
        ..Draft::default()
    };
    draft.checked()
}

fn day(text: &str) -> Option<mainspring_schemas::Timestamp> {
    if text.len() != 8 || !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    instant::midnight(text[..4].parse().ok()?, text[4..6].parse().ok()?, text[6..].parse().ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_purchase_is_an_order_at_midnight() {
        let row = parse(" 00001 19970101  1   11.77").unwrap();
        assert_eq!(row.at.unwrap().to_string(), "1997-01-01T00:00:00.000Z");
        assert_eq!(row.call.identity.external.unwrap().value, "00001");
        assert_eq!(
            Value::Object(row.call.event_properties),
            serde_json::json!({"quantity": 1, "amount": 11.77})
        );
        assert!(is_head(" customer_id  date number_of_cds  dollar_value") && !is_head(" 00001 19970101"));
        for bad in [
            "",
            "1 2 3",
            "1 19970230 1 1",
            "1 1997010 1 1",
            "1 19970101 x 1",
            "1 19970101 1 nan",
            "1 19970101 1 1 1",
        ] {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }
}
