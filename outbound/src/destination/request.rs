//! What the keyed kinds have in common: options of the endpoint, and requests of JSON.

use mainspring_schemas::{Properties, destination::ConfigSchema};
use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderValue};
use serde::Serialize;
use serde_json::Value;

use super::{Envelope, Fault, Outgoing, Transformed};
use crate::exchange::Request;

/// The options of one endpoint, with the defaults of its kind.
pub(super) struct Options<'a> {
    schema: &'a ConfigSchema,
    config: Option<&'a Properties>,
}

impl<'a> Options<'a> {
    pub(super) fn of(schema: &'a ConfigSchema, outgoing: &Outgoing<'a>) -> Self {
        Self { schema, config: outgoing.endpoint.settings.config.as_ref() }
    }

    /// A text that is not empty.
    pub(super) fn text(&self, name: &str) -> Option<&'a str> {
        self.schema.value(self.config, name)?.as_str()
    }

    /// A text nothing can be sent without (OB-220, OB-240).
    ///
    /// # Errors
    /// A configuration fault that names the key.
    pub(super) fn required(&self, name: &str) -> Result<&'a str, Fault> {
        self.text(name).ok_or_else(|| missing(name))
    }

    /// Whether an option is `true`, and nothing that only looks like it.
    pub(super) fn is_true(&self, name: &str) -> bool {
        self.schema.value(self.config, name) == Some(&Value::Bool(true))
    }

    /// The address of a server, without the slash at its end (OB-207).
    pub(super) fn host(&self) -> &'a str {
        self.text("host").unwrap_or_default().trim_end_matches('/')
    }

    /// What the receiver calls this type: `eventNames[type]`, else the type.
    pub(super) fn event_name(&self, envelope: &'a Envelope) -> &'a str {
        let names = self.schema.value(self.config, "eventNames").and_then(Value::as_object);
        let name = names.and_then(|names| names.get(&envelope.event_type)?.as_str());
        name.unwrap_or(&envelope.event_type)
    }
}

/// The fault of a key that nothing can be sent without.
pub(super) fn missing(name: &str) -> Fault {
    Fault(format!("missing config.{name}"))
}

/// Properties with the marker of who sent them (OB-207).
pub(super) fn marked(mut properties: Properties, lib: &str) -> Properties {
    properties.insert("$lib".to_owned(), Value::from(lib));
    properties
}

/// A `POST` of JSON.
///
/// # Errors
/// A fault if it cannot be written.
pub(super) fn post(url: String, mut headers: HeaderMap, body: &impl Serialize) -> Result<Transformed, Fault> {
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    let body =
        serde_json::to_vec(body).map_err(|_| Fault("the body cannot be written as JSON".to_owned()))?;
    Ok(Transformed::Request(Request::post(url, headers, body)))
}
