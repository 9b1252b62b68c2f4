//! A string with expressions in it.

use std::sync::LazyLock;

use minijinja::{
    Environment, Error, ErrorKind, Expression, UndefinedBehavior,
    value::{Value, ValueKind},
};

use super::{
    Scope, filters,
    names::{Unknown, unknown},
};

static ENVIRONMENT: LazyLock<Environment<'static>> = LazyLock::new(|| {
    let mut environment = Environment::empty();
    environment.set_undefined_behavior(UndefinedBehavior::Chainable);
    filters::install(&mut environment);
    environment
});

/// Longest text of a template in bytes.
const LONGEST: usize = 16 * 1024;

/// Why a text is no template.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidExpression {
    /// An expression begins and does not end.
    #[error("an expression that begins with {{{{ does not end with }}}}")]
    Open,
    /// The text is longer than any reasonable one.
    #[error("a text with expressions must not be longer than {LONGEST} bytes")]
    TooLong,
    /// The expression cannot be read.
    #[error("`{expression}` is no expression: {reason}")]
    Unreadable {
        /// As written.
        expression: String,
        /// What is wrong.
        reason: String,
    },
    /// A path in the expression begins with names that mean nothing here.
    #[error("`{name}` is not known here; there is {known}{hint}")]
    UnknownName {
        /// As written.
        name: String,
        /// What could be written.
        known: String,
        /// What was probably meant.
        hint: String,
    },
}

/// A string with expressions in it, checked and compiled. The text is what the author wrote.
#[derive(Debug)]
pub struct Template {
    text: String,
    parts: Vec<Part>,
}

#[derive(Debug)]
enum Part {
    Literal(String),
    Expression(Expression<'static, 'static>),
}

impl PartialEq for Template {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Template {
    /// Reads a text whose expressions may begin with the names in `roots`: `data` stands for all below it, `config.token`
    /// for one member of those that `config` has.
    ///
    /// # Errors
    /// See [`InvalidExpression`]: also for filters, tests and functions that do not exist.
    pub fn parse(text: &str, roots: &[&str]) -> Result<Self, InvalidExpression> {
        if text.len() > LONGEST {
            return Err(InvalidExpression::TooLong);
        }
        let mut parts = Vec::new();
        let mut rest = text;
        while let Some(start) = rest.find("{{") {
            if start > 0 {
                parts.push(Part::Literal(rest[..start].to_owned()));
            }
            let inner = &rest[start + 2..];
            let end = end_of_expression(inner).ok_or(InvalidExpression::Open)?;
            parts.push(Part::Expression(compile(inner[..end].trim(), roots)?));
            rest = &inner[end + 2..];
        }
        if !rest.is_empty() || parts.is_empty() {
            parts.push(Part::Literal(rest.to_owned()));
        }
        Ok(Self { text: text.to_owned(), parts })
    }

    /// As the author wrote it.
    pub fn source(&self) -> &str {
        &self.text
    }

    /// Whether there is no expression in it.
    pub fn is_literal(&self) -> bool {
        self.parts.iter().all(|part| matches!(part, Part::Literal(_)))
    }

    /// The text before the first expression.
    pub fn literal_prefix(&self) -> &str {
        match self.parts.first() {
            Some(Part::Literal(text)) => text,
            _ => "",
        }
    }

    /// What it is made of: literal texts, and `None` for each expression.
    pub(crate) fn parts(&self) -> impl Iterator<Item = Option<&str>> {
        self.parts.iter().map(|part| match part {
            Part::Literal(text) => Some(text.as_str()),
            Part::Expression(_) => None,
        })
    }

    /// The value: of its own type if the whole text is one expression, else text. Null if there is none, or if the
    /// expression makes no sense for this data.
    pub fn value(&self, scope: &Scope<'_>) -> serde_json::Value {
        match self.parts.as_slice() {
            [Part::Expression(expression)] => {
                let value = evaluate(expression, scope);
                serde_json::to_value(&value).unwrap_or(serde_json::Value::Null)
            }
            _ => serde_json::Value::String(self.text(scope)),
        }
    }

    /// The value as text: null is empty, lists and objects are JSON.
    pub fn text(&self, scope: &Scope<'_>) -> String {
        let mut text = String::with_capacity(self.text.len());
        for part in &self.parts {
            match part {
                Part::Literal(literal) => text.push_str(literal),
                Part::Expression(expression) => push_text(&mut text, &evaluate(expression, scope)),
            }
        }
        text
    }

    /// The same, with the text of every expression passed through `encode`.
    pub(crate) fn text_with(&self, scope: &Scope<'_>, encode: impl Fn(&str) -> String) -> String {
        let mut text = String::with_capacity(self.text.len());
        for part in &self.parts {
            match part {
                Part::Literal(literal) => text.push_str(literal),
                Part::Expression(expression) => {
                    let mut value = String::new();
                    push_text(&mut value, &evaluate(expression, scope));
                    text.push_str(&encode(&value));
                }
            }
        }
        text
    }
}

fn evaluate(expression: &Expression<'static, 'static>, scope: &Scope<'_>) -> Value {
    match expression.eval(scope.prepared.clone()) {
        Ok(value) if !value.is_undefined() => value,
        _ => Value::from(()),
    }
}

fn push_text(text: &mut String, value: &Value) {
    match value.kind() {
        ValueKind::Undefined | ValueKind::None => {}
        ValueKind::String => text.push_str(value.as_str().unwrap_or_default()),
        _ => text.push_str(&serde_json::to_string(value).unwrap_or_default()),
    }
}

/// Where the expression ends: at the first `}}` outside of strings and of maps.
fn end_of_expression(inner: &str) -> Option<usize> {
    let bytes = inner.as_bytes();
    let (mut quote, mut depth, mut at) = (None, 0_usize, 0);
    while let Some(&byte) = bytes.get(at) {
        match (quote, byte) {
            (Some(_), b'\\') => at += 1,
            (Some(open), _) if open == byte => quote = None,
            (Some(_), _) => {}
            (None, b'"' | b'\'') => quote = Some(byte),
            (None, b'{') => depth += 1,
            (None, b'}') if depth > 0 => depth -= 1,
            (None, b'}') if bytes.get(at + 1) == Some(&b'}') => return Some(at),
            (None, _) => {}
        }
        at += 1;
    }
    None
}

fn compile(expression: &str, roots: &[&str]) -> Result<Expression<'static, 'static>, InvalidExpression> {
    let unreadable =
        |reason: String| InvalidExpression::Unreadable { expression: expression.to_owned(), reason };
    let compiled = ENVIRONMENT
        .compile_expression_owned(expression.to_owned())
        .map_err(|error| unreadable(reason(&error)))?;
    let mut paths: Vec<String> = compiled.undeclared_variables(true).into_iter().collect();
    paths.sort_unstable();
    if let Some(Unknown { name, known, hint }) = paths.iter().find_map(|path| unknown(path, roots)) {
        return Err(InvalidExpression::UnknownName { name, known: known.join(", "), hint });
    }
    // Names of filters are only looked up when they are used: without data every one of them is.
    match compiled.eval(Value::from_pairs::<_, String, Value>([])) {
        Err(error) if is_unknown_name(&error) => Err(unreadable(reason(&error))),
        _ => Ok(compiled),
    }
}

fn is_unknown_name(error: &Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::UnknownFilter
            | ErrorKind::UnknownFunction
            | ErrorKind::UnknownMethod
            | ErrorKind::UnknownTest
            | ErrorKind::MissingArgument
            | ErrorKind::TooManyArguments
    )
}

fn reason(error: &Error) -> String {
    error.detail().map_or_else(|| error.kind().to_string(), str::to_owned)
}
