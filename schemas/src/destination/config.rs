//! What the `config` of a kind's endpoints may hold, and what is wrong with one (OB-75).

use serde_json::Value;

use super::mask::{NOTHING_STORED, is_mask};
use crate::Properties;

/// The keys of a configuration.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ConfigSchema {
    /// The keys that are known.
    pub fields: Vec<Field>,
    /// Whether other keys are allowed, too: the kind reads none of them.
    pub open: bool,
}

/// One key.
#[derive(Clone, Debug, PartialEq)]
pub struct Field {
    /// Its name.
    pub name: String,
    /// What it holds.
    pub kind: FieldKind,
    /// Whether nothing can be sent without it.
    pub required: bool,
    /// Whether its value is a credential, which no answer shows (OB-84).
    pub secret: bool,
    /// The value if the configuration has none.
    pub default: Option<Value>,
}

/// What a key holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FieldKind {
    /// A text that is not empty.
    Text,
    /// A number.
    Number,
    /// `true` or `false`.
    Boolean,
    /// The url of a server, or of a page on it; requests go there, so the rules about addresses hold (section 13).
    Address,
    /// A map from names to texts that are not empty.
    Names,
}

/// What is wrong with a value of a configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigIssue {
    /// Keys down to it.
    pub path: Vec<String>,
    /// What is wrong; never repeats the value.
    pub message: String,
}

impl Field {
    /// An optional key without a default.
    pub fn new(name: &str, kind: FieldKind) -> Self {
        Self { name: name.to_owned(), kind, required: false, secret: false, default: None }
    }

    /// The same key, but one nothing can be sent without.
    pub fn required(self) -> Self {
        Self { required: true, ..self }
    }

    /// The same key, but one whose value nobody is shown.
    pub fn secret(self) -> Self {
        Self { secret: true, ..self }
    }

    /// The same key with a value if the configuration has none.
    pub fn or(self, default: impl Into<Value>) -> Self {
        Self { default: Some(default.into()), ..self }
    }
}

impl FieldKind {
    /// What a value must be, for a message.
    pub const fn expected(self) -> &'static str {
        match self {
            Self::Text => "a string that is not empty",
            Self::Number => "a number",
            Self::Boolean => "true or false",
            Self::Address => "a URL",
            Self::Names => "an object of strings that are not empty",
        }
    }

    /// Whether a value is what the key holds.
    pub fn admits(self, value: &Value) -> bool {
        let is_text = |value: &Value| value.as_str().is_some_and(|text| !text.is_empty());
        match self {
            Self::Text | Self::Address => is_text(value),
            Self::Number => value.is_number(),
            Self::Boolean => value.is_boolean(),
            Self::Names => value.as_object().is_some_and(|names| names.values().all(is_text)),
        }
    }
}

impl ConfigSchema {
    /// A schema of exactly these keys.
    pub const fn closed(fields: Vec<Field>) -> Self {
        Self { fields, open: false }
    }

    /// The key of this name.
    pub fn field(&self, name: &str) -> Option<&Field> {
        self.fields.iter().find(|field| field.name == name)
    }

    /// The value of a key, its default if there is none. `null` and an empty text are none.
    pub fn value<'a>(&'a self, config: Option<&'a Properties>, name: &str) -> Option<&'a Value> {
        let given = config.and_then(|config| config.get(name));
        let given = given.filter(|value| !value.is_null() && value.as_str() != Some(""));
        given.or_else(|| self.field(name)?.default.as_ref())
    }

    /// The keys that nothing can be sent without and that have no value.
    pub fn missing<'a>(&'a self, config: Option<&'a Properties>) -> impl Iterator<Item = &'a str> {
        let lacking = move |field: &&Field| field.required && self.value(config, &field.name).is_none();
        self.fields.iter().filter(lacking).map(|field| field.name.as_str())
    }

    /// Everything that is wrong with a configuration.
    pub fn issues(&self, config: Option<&Properties>) -> Vec<ConfigIssue> {
        let issue = |name: &str, message: String| ConfigIssue { path: vec![name.to_owned()], message };
        let mut issues: Vec<_> =
            self.missing(config).map(|name| issue(name, "is required".to_owned())).collect();
        for (name, value) in config.into_iter().flatten() {
            let Some(field) = self.field(name) else {
                if !self.open {
                    issues.push(issue(name, format!("unknown key, known are: {}", self.names())));
                }
                continue;
            };
            if field.required && self.value(config, name).is_none() {
                continue;
            }
            if field.secret && value.as_str().is_some_and(is_mask) {
                issues.push(issue(name, NOTHING_STORED.to_owned()));
            } else if !value.is_null() && !field.kind.admits(value) {
                issues.push(issue(name, format!("must be {}", field.kind.expected())));
            }
        }
        issues
    }

    /// The addresses in a configuration, each with its key.
    pub fn addresses<'a>(&'a self, config: &'a Properties) -> impl Iterator<Item = (&'a str, &'a str)> {
        let is_address = |field: &&Field| field.kind == FieldKind::Address;
        let fields = self.fields.iter().filter(is_address).map(|field| field.name.as_str());
        fields.filter_map(|name| Some((name, config.get(name)?.as_str()?)))
    }

    fn names(&self) -> String {
        let names: Vec<&str> = self.fields.iter().map(|field| field.name.as_str()).collect();
        if names.is_empty() { "none".to_owned() } else { names.join(", ") }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn schema() -> ConfigSchema {
        ConfigSchema::closed(vec![
            Field::new("apiKey", FieldKind::Text).required().secret(),
            Field::new("host", FieldKind::Address).or("https://default.example"),
            Field::new("sync", FieldKind::Boolean),
            Field::new("eventNames", FieldKind::Names),
            Field::new("batch", FieldKind::Number),
        ])
    }

    #[test]
    fn ob_75_every_issue_names_its_key() {
        for (config, wrong) in [
            (json!({"apiKey": "k"}), vec![]),
            (
                json!({"apiKey": "k", "host": "https://h.example", "sync": true, "eventNames": {"a": "b"}, "batch": 1}),
                vec![],
            ),
            (json!({"apiKey": "k", "host": null}), vec![]),
            (json!({}), vec!["apiKey"]),
            (json!({"apiKey": null}), vec!["apiKey"]),
            (json!({"apiKey": ""}), vec!["apiKey"]),
            (json!({"apiKey": "***"}), vec!["apiKey"]),
            (json!({"apiKey": 5, "sync": "true", "host": 1}), vec!["apiKey", "host", "sync"]),
            (json!({"apiKey": "k", "eventNames": {"a": 1}, "batch": "1"}), vec!["batch", "eventNames"]),
            (json!({"apikey": "k", "apiKey": "k"}), vec!["apikey"]),
        ] {
            let issues = schema().issues(config.as_object());
            let named: Vec<&str> = issues.iter().map(|issue| issue.path[0].as_str()).collect();
            assert_eq!(named, wrong, "{config}");
        }
        assert_eq!(schema().issues(None).len(), 1);
        let open = ConfigSchema { open: true, ..ConfigSchema::default() };
        assert_eq!(open.issues(json!({"anything": 1}).as_object()), []);
    }

    #[test]
    fn ob_260_a_default_stands_in_for_a_missing_value() {
        let (config, schema) = (json!({"apiKey": "k", "host": null}), schema());
        let value = |name| schema.value(config.as_object(), name).cloned();
        assert_eq!(value("host"), Some(json!("https://default.example")));
        assert_eq!((value("apiKey"), value("sync")), (Some(json!("k")), None));
    }
}
