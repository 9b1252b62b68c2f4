//! Conditions on data: `{prop: data.templateKey, eq: welcome}` (JD-05, as far as it needs no contact).

use serde_json::Value;

use super::{
    Scope,
    names::{Unknown, unknown},
};
use crate::criteria::{
    document::{Data, Node, at_index, within},
    reader::Reader,
};

/// Keys that compare.
const COMPARISONS: [&str; 8] = ["eq", "neq", "gt", "gte", "lt", "lte", "contains", "exists"];

/// What must hold of the data.
#[derive(Clone, Debug, PartialEq)]
pub enum Condition {
    /// All of them; a list in a file means the same.
    All(Vec<Condition>),
    /// At least one.
    Any(Vec<Condition>),
    /// The opposite.
    Not(Box<Condition>),
    /// Something about the value at a path.
    Property {
        /// Where, dotted.
        path: String,
        /// What.
        is: Comparison,
    },
}

/// What a value must be. Values of different types are never equal and never in order.
#[derive(Clone, Debug, PartialEq)]
pub enum Comparison {
    /// Equal; numbers by value.
    Eq(Value),
    /// Not equal, or missing.
    Neq(Value),
    /// A number above.
    Gt(f64),
    /// A number not below.
    Gte(f64),
    /// A number below.
    Lt(f64),
    /// A number not above.
    Lte(f64),
    /// A text with this in it.
    Contains(String),
    /// Present and not null, or not.
    Exists(bool),
}

impl Condition {
    /// Whether it holds.
    pub fn holds(&self, scope: &Scope<'_>) -> bool {
        match self {
            Self::All(all) => all.iter().all(|condition| condition.holds(scope)),
            Self::Any(any) => any.iter().any(|condition| condition.holds(scope)),
            Self::Not(condition) => !condition.holds(scope),
            Self::Property { path, is } => is.holds(scope.at(path).filter(|value| !value.is_null())),
        }
    }

    /// Reads a condition whose paths begin with one of `roots`; problems go to the reader.
    pub(crate) fn read(reader: &mut Reader, node: &Node, path: &str, roots: &[&str]) -> Option<Self> {
        match &node.data {
            Data::List(_) => Some(Self::All(read_list(reader, node, path, roots)?)),
            Data::Map(members) => {
                for (key, make) in [("all", Self::All as fn(_) -> _), ("any", Self::Any)] {
                    if let Some(list) = node.get(key) {
                        reader.check_keys(members, path, &[key]);
                        return Some(make(read_list(reader, list, &within(path, key), roots)?));
                    }
                }
                if let Some(inner) = node.get("not") {
                    reader.check_keys(members, path, &["not"]);
                    let inner = Self::read(reader, inner, &within(path, "not"), roots)?;
                    return Some(Self::Not(Box::new(inner)));
                }
                read_property(reader, node, path, roots)
            }
            _ => {
                let hint = "write for example {prop: body.type, eq: invoice}".to_owned();
                reader.mistyped(node, path, "a condition", Some(hint));
                None
            }
        }
    }
}

fn read_list(reader: &mut Reader, node: &Node, path: &str, roots: &[&str]) -> Option<Vec<Condition>> {
    let Data::List(elements) = &node.data else {
        reader.mistyped(node, path, "a list of conditions", None);
        return None;
    };
    let read = |(i, element)| Condition::read(reader, element, &at_index(path, i), roots);
    let conditions: Vec<Option<Condition>> = elements.iter().enumerate().map(read).collect();
    conditions.into_iter().collect()
}

fn read_property(reader: &mut Reader, node: &Node, path: &str, roots: &[&str]) -> Option<Condition> {
    let mut known = vec!["prop"];
    known.extend(COMPARISONS);
    let since = reader.problems.len();
    reader.check_keys(node.members(), path, &known);
    let named = reader.required(node, path, "prop");
    let property = named.and_then(|named| reader.text(named, &within(path, "prop")));
    if let (Some(named), Some(property)) = (named, property)
        && let Some(Unknown { name, known, .. }) = unknown(property, roots)
    {
        let hint = Some(format!("it begins with {}", known.join(" or ")));
        reader.error(named.at, &within(path, "prop"), format!("`{name}` is not known here"), hint);
    }
    let mut comparisons = COMPARISONS.iter().filter_map(|key| Some((*key, node.get(key)?)));
    let (Some((key, operand)), None) = (comparisons.next(), comparisons.next()) else {
        if !reader.failed_since(since) {
            let message = format!("needs exactly one of {}", COMPARISONS.join(", "));
            reader.error(node.at, path, message, None);
        }
        return None;
    };
    let is = read_comparison(reader, key, operand, &within(path, key))?;
    let property = property?.to_owned();
    (!reader.failed_since(since)).then_some(Condition::Property { path: property, is })
}

fn read_comparison(reader: &mut Reader, key: &str, operand: &Node, path: &str) -> Option<Comparison> {
    Some(match key {
        "contains" => Comparison::Contains(reader.text(operand, path)?.to_owned()),
        "exists" => Comparison::Exists(reader.flag(operand, path)?),
        "eq" | "neq" => {
            let value = match &operand.data {
                Data::Text(text) => Value::from(text.as_str()),
                Data::Bool(flag) => Value::from(*flag),
                Data::Number(number) => Value::Number(number.clone().into()),
                _ => {
                    let hint = Some("ask for what is missing with `exists: false`".to_owned());
                    reader.mistyped(operand, path, "a string, a number, true or false", hint);
                    return None;
                }
            };
            if key == "eq" { Comparison::Eq(value) } else { Comparison::Neq(value) }
        }
        _ => {
            let number = reader.number(operand, path)?.as_f64();
            match key {
                "gt" => Comparison::Gt(number),
                "gte" => Comparison::Gte(number),
                "lt" => Comparison::Lt(number),
                _ => Comparison::Lte(number),
            }
        }
    })
}

impl Comparison {
    fn holds(&self, held: Option<&Value>) -> bool {
        let number = || held.and_then(Value::as_f64);
        match self {
            Self::Eq(operand) => held.is_some_and(|held| equal(held, operand)),
            Self::Neq(operand) => !held.is_some_and(|held| equal(held, operand)),
            Self::Gt(operand) => number().is_some_and(|held| held > *operand),
            Self::Gte(operand) => number().is_some_and(|held| held >= *operand),
            Self::Lt(operand) => number().is_some_and(|held| held < *operand),
            Self::Lte(operand) => number().is_some_and(|held| held <= *operand),
            Self::Contains(part) => {
                held.and_then(Value::as_str).is_some_and(|held| held.contains(part.as_str()))
            }
            Self::Exists(wanted) => held.is_some() == *wanted,
        }
    }
}

fn equal(held: &Value, operand: &Value) -> bool {
    match (held, operand) {
        (Value::Number(held), Value::Number(operand)) => held.as_f64() == operand.as_f64(),
        (held, operand) => held == operand,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(condition: &Value) -> Result<Condition, Vec<String>> {
        let mut reader = Reader::default();
        let read = Condition::read(&mut reader, &Node::from(condition), "when", &["body"]);
        let problems: Vec<String> = reader.problems.iter().map(|(_, problem)| problem.to_string()).collect();
        read.filter(|_| problems.is_empty()).ok_or(problems)
    }

    #[test]
    fn jd_05_conditions_on_data() {
        let body =
            json!({"body": {"type": "subscription.paid", "n": 3, "ok": true, "no": null, "l": [{"a": 1}]}});
        for (condition, expected) in [
            (json!({"prop": "body.type", "contains": "subscription."}), true),
            (json!({"prop": "body.n", "contains": "3"}), false),
            (json!({"prop": "body.n", "eq": 3.0}), true),
            (json!({"prop": "body.n", "eq": "3"}), false),
            (json!({"prop": "body.n", "neq": "3"}), true),
            (json!({"prop": "body.missing", "neq": 1}), true),
            (json!({"prop": "body.n", "gt": 3}), false),
            (json!({"prop": "body.n", "gte": 3}), true),
            (json!({"prop": "body.n", "lt": 4}), true),
            (json!({"prop": "body.type", "lt": 4}), false),
            (json!({"prop": "body.no", "exists": false}), true),
            (json!({"prop": "body.l.0.a", "lte": 1}), true),
            (json!({"prop": "body.l.1.a", "exists": true}), false),
            (json!([{"prop": "body.ok", "eq": true}, {"prop": "body.n", "eq": 4}]), false),
            (json!({"any": [{"prop": "body.ok", "eq": false}, {"prop": "body.n", "eq": 3}]}), true),
            (json!({"not": {"all": [{"prop": "body.ok", "eq": true}]}}), false),
            (json!([]), true),
        ] {
            assert_eq!(read(&condition).unwrap().holds(&Scope::new(&body)), expected, "{condition}");
        }
    }

    #[test]
    fn jd_05_what_is_no_condition_is_named() {
        for (condition, part) in [
            (json!("x"), "must be a condition"),
            (json!({"prop": "boddy.x", "eq": 1}), "`boddy` is not known here"),
            (json!({"prop": "body.x"}), "needs exactly one of"),
            (json!({"prop": "body.x", "eq": 1, "neq": 2}), "needs exactly one of"),
            (json!({"prop": "body.x", "equals": 1}), "unknown key `equals`"),
            (json!({"prop": "body.x", "eq": null}), "exists: false"),
            (json!({"prop": "body.x", "gt": "1"}), "must be a number"),
            (json!({"eq": 1}), "the key `prop` is missing"),
            (json!({"all": {"prop": "body.x"}}), "must be a list"),
        ] {
            let problems = read(&condition).unwrap_err();
            assert!(problems[0].contains(part), "{condition}: {problems:?}");
        }
    }
}
