//! How columns become an event: `--map`, or the names of the columns themselves.

use mainspring_schemas::Properties;
use serde_json::{Number, Value};

use super::row::{Draft, Row};
use crate::instant;

/// Fields that one column, or a literal, fills.
const FIELDS: [&str; 6] = ["name", "userId", "email", "anonymousId", "timestamp", "idempotencyKey"];

/// Where the text of a field comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Text {
    Column(usize),
    Literal(String),
}

/// How the cells of a property column are understood.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Type {
    Text,
    Number,
    Bool,
    Json,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Property {
    column: usize,
    name: String,
    kind: Type,
}

/// A mapping of the columns of one file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Mapping {
    /// By the order of [`FIELDS`].
    fields: [Option<Text>; FIELDS.len()],
    event: Vec<Property>,
    contact: Vec<Property>,
}

impl Mapping {
    /// Reads `--map` against the head of the file; without any pair, columns that bear a field's name are that field.
    pub fn new(pairs: &[String], head: &[String]) -> Result<Self, String> {
        if pairs.is_empty() {
            let named: Vec<String> = FIELDS
                .iter()
                .filter(|field| head.iter().any(|column| column == **field))
                .map(|field| format!("{field}={field}"))
                .collect();
            let all: Vec<String> = named.into_iter().chain(["properties=*".to_owned()]).collect();
            return Self::new(&all, head);
        }
        let mut mapping = Self::default();
        let mut rest = None;
        for pair in pairs {
            let (field, source) =
                pair.split_once('=').ok_or_else(|| format!("--map: `{pair}` is no FIELD=COLUMN"))?;
            match field.trim() {
                "properties" | "contactProperties" if source == "*" => {
                    rest = Some(field.trim() == "properties")
                }
                "properties" => mapping.event = properties(source, head)?,
                "contactProperties" => mapping.contact = properties(source, head)?,
                field => {
                    let index = FIELDS.iter().position(|known| *known == field).ok_or_else(|| {
                        let known = FIELDS.join(", ");
                        format!(
                            "--map: unknown field `{field}`; known are {known}, properties, contactProperties"
                        )
                    })?;
                    mapping.fields[index] = Some(match source.strip_prefix('=') {
                        Some(literal) => Text::Literal(literal.to_owned()),
                        None => Text::Column(column(source, head)?),
                    });
                }
            }
        }
        if let Some(of_event) = rest {
            let others: Vec<Property> = head
                .iter()
                .enumerate()
                .filter(|(column, _)| !mapping.uses(*column))
                .map(|(column, name)| Property { column, name: name.clone(), kind: Type::Text })
                .collect();
            if of_event { mapping.event = others } else { mapping.contact = others }
        }
        if mapping.fields[0].is_none() {
            return Err(
                "--map: `name` is missing; a literal for all rows is written `name==order.placed`".to_owned()
            );
        }
        if mapping.fields[1].is_none() && mapping.fields[2].is_none() {
            return Err("--map: `userId` or `email` is missing; nobody would be known".to_owned());
        }
        Ok(mapping)
    }

    fn uses(&self, column: usize) -> bool {
        self.fields.iter().flatten().any(|text| *text == Text::Column(column))
            || self.event.iter().chain(&self.contact).any(|property| property.column == column)
    }

    /// Reads the cells of a row.
    pub fn row(&self, cells: &csv::StringRecord) -> Result<Row, String> {
        let text = |index: usize| match self.fields[index].as_ref()? {
            Text::Literal(literal) => Some(literal.as_str()),
            Text::Column(column) => cells.get(*column).filter(|cell| !cell.trim().is_empty()),
        };
        let timestamp = match text(4) {
            Some(text) => Some(
                instant::read(text).ok_or_else(|| format!("timestamp: expected {}", instant::EXPECTED))?,
            ),
            None => None,
        };
        let draft = Draft {
            name: text(0).unwrap_or_default().into(),
            user_id: text(1).map(str::to_owned),
            email: text(2).map(|email| email.trim().to_owned()),
            anonymous_id: text(3).map(str::to_owned),
            timestamp,
            event_properties: values(&self.event, cells)?,
            contact_properties: values(&self.contact, cells)?,
            idempotency_key: text(5).map(Into::into),
        };
        draft.checked()
    }
}

fn column(name: &str, head: &[String]) -> Result<usize, String> {
    let found = head.iter().position(|column| column == name.trim());
    found.ok_or_else(|| format!("--map: no column `{}`; the file has {}", name.trim(), head.join(", ")))
}

fn properties(source: &str, head: &[String]) -> Result<Vec<Property>, String> {
    let property = |part: &str| {
        let (name, kind) = match part.rsplit_once(':') {
            Some((name, "text")) => (name, Type::Text),
            Some((name, "number")) => (name, Type::Number),
            Some((name, "bool")) => (name, Type::Bool),
            Some((name, "json")) => (name, Type::Json),
            Some((_, other)) if !head.iter().any(|column| column == part) => {
                return Err(format!("--map: unknown type `{other}`; known are text, number, bool, json"));
            }
            _ => (part, Type::Text),
        };
        Ok(Property { column: column(name, head)?, name: name.trim().to_owned(), kind })
    };
    source.split('+').map(property).collect()
}

fn values(properties: &[Property], cells: &csv::StringRecord) -> Result<Properties, String> {
    let mut values = Properties::new();
    for Property { column, name, kind } in properties {
        let Some(cell) = cells.get(*column).filter(|cell| !cell.trim().is_empty()) else { continue };
        let value = match kind {
            Type::Text => Some(Value::String(cell.to_owned())),
            Type::Number => cell.trim().parse::<Number>().ok().map(Value::Number),
            Type::Bool => cell.trim().to_ascii_lowercase().parse().ok().map(Value::Bool),
            Type::Json => serde_json::from_str(cell).ok(),
        };
        let value =
            value.ok_or_else(|| format!("{name}: the cell is no {}", format!("{kind:?}").to_lowercase()))?;
        values.insert(name.clone(), value);
    }
    Ok(values)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn head() -> Vec<String> {
        ["customer", "placed_at", "sku", "amount", "vip"].map(str::to_owned).to_vec()
    }

    fn map(text: &str) -> Result<Mapping, String> {
        Mapping::new(&text.split(',').map(str::to_owned).collect::<Vec<_>>(), &head())
    }

    #[test]
    fn columns_become_an_event() {
        let mapping = map(
            "name==order.placed,userId=customer,timestamp=placed_at,properties=sku+amount:number,contactProperties=vip:bool",
        );
        let cells = csv::StringRecord::from(vec!["c1", "2026-06-01", "00123", "9.5", "TRUE"]);
        let row = mapping.clone().unwrap().row(&cells).unwrap();
        assert_eq!(row.call.name, "order.placed");
        assert_eq!(row.at.unwrap().to_string(), "2026-06-01T00:00:00.000Z");
        assert_eq!(Value::Object(row.call.event_properties), json!({"sku": "00123", "amount": 9.5}));
        assert_eq!(Value::Object(row.call.contact_properties), json!({"vip": true}));
        let cells = csv::StringRecord::from(vec!["c1", "2026-06-01", " ", "much", ""]);
        assert_eq!(mapping.unwrap().row(&cells).unwrap_err(), "amount: the cell is no number");
    }

    #[test]
    fn the_rest_and_the_names_of_columns_themselves() {
        let mapping = map("name==a,userId=customer,properties=*").unwrap();
        let cells = csv::StringRecord::from(vec!["c1", "x", "", "y", ""]);
        let row = mapping.row(&cells).unwrap();
        assert_eq!(Value::Object(row.call.event_properties), json!({"placed_at": "x", "amount": "y"}));
        let head = ["name", "email", "plan"].map(str::to_owned);
        let row = Mapping::new(&[], &head)
            .unwrap()
            .row(&csv::StringRecord::from(vec!["a", "a@b.co", "pro"]))
            .unwrap();
        assert_eq!(row.call.event_properties["plan"], "pro");
    }

    #[test]
    fn a_wrong_mapping_says_what_is_known() {
        for (bad, reason) in [
            ("userId=customer", "`name` is missing"),
            ("name==a", "`userId` or `email` is missing"),
            ("name==a,userId=who", "no column `who`"),
            ("nam==a", "unknown field `nam`"),
            ("name==a,userId=customer,properties=amount:money", "unknown type `money`"),
            ("name", "is no FIELD=COLUMN"),
        ] {
            assert!(map(bad).unwrap_err().contains(reason), "{bad}");
        }
    }
}
