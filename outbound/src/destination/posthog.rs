//! PostHog: one capture per event; contacts only if the endpoint says so (OB-220..OB-228).

use mainspring_schemas::{
    Properties,
    catalog::{ANALYTICS_ALIAS, CONTACT_CREATED, CONTACT_UPDATED, is_for_analytics},
    destination::{ConfigSchema, Description, Field, FieldKind},
};
use reqwest::header::HeaderMap;
use serde::Serialize;
use serde_json::{Value, json};
use uuid::Uuid;

use super::{
    Destination, Envelope, Fault, Outgoing, Transformed,
    request::{Options, marked, post},
};

/// The kind's id of PostHog.
pub const KIND: &str = "posthog";

/// The url of an endpoint that has none of its own: requests go to `config.host` (OB-230).
pub const PLACEHOLDER: &str = "posthog://capture";

/// What the author of an action did not say, laid over what they said (OB-223).
const OF_ACTION: [&str; 3] = ["emailSendId", "templateKey", "linkId"];

/// The destination.
pub(super) struct PostHog {
    description: Description,
    lib: String,
}

/// One event, as PostHog takes it.
#[derive(Serialize)]
struct Capture<'a> {
    api_key: &'a str,
    event: &'a str,
    distinct_id: &'a str,
    timestamp: &'a str,
    /// Equal for every attempt, so that a repeated one is dropped (OB-228).
    uuid: Uuid,
    properties: Properties,
}

impl PostHog {
    pub(super) fn new(lib: &str) -> Self {
        let fields = vec![
            Field::new("apiKey", FieldKind::Text).required().secret(),
            Field::new("host", FieldKind::Address).or("https://us.i.posthog.com"),
            Field::new("eventNames", FieldKind::Names),
            Field::new("syncPersons", FieldKind::Boolean),
            Field::new("unsubscribedPropertyKey", FieldKind::Text).or("hogsend_unsubscribed"),
        ];
        let description = Description {
            id: KIND.to_owned(),
            name: "PostHog".to_owned(),
            description: Some("Captures events, and keeps persons if asked to".to_owned()),
            events: vec!["*".to_owned()],
            config: ConfigSchema::closed(fields),
            placeholder_url: Some(PLACEHOLDER),
            secret_url: false,
        };
        Self { description, lib: lib.to_owned() }
    }

    fn captured(&self, outgoing: &Outgoing<'_>) -> Result<Transformed, Fault> {
        let options = Options::of(&self.description.config, outgoing);
        let api_key = options.required("apiKey")?;
        let envelope = Envelope::read(&outgoing.delivery.body)?;
        let Some(event) = event_of(&envelope, &options) else { return Ok(Transformed::Skip) };
        let capture = Capture {
            api_key,
            event: event.name,
            distinct_id: event.distinct_id,
            timestamp: &envelope.timestamp,
            uuid: outgoing.delivery.message.0,
            properties: marked(event.properties, &self.lib),
        };
        post(format!("{}/capture/", options.host()), HeaderMap::new(), &capture)
    }
}

/// What is captured, and of whom.
struct Event<'a> {
    name: &'a str,
    distinct_id: &'a str,
    properties: Properties,
}

/// `None` if nothing is to be sent.
fn event_of<'a>(envelope: &'a Envelope, options: &Options<'a>) -> Option<Event<'a>> {
    if envelope.is_of_contact() {
        let (distinct_id, set) =
            if options.is_true("syncPersons") { person_of(envelope, options) } else { None }?;
        let properties = Properties::from_iter([("$set".to_owned(), Value::Object(set))]);
        return Some(Event { name: "$set", distinct_id, properties });
    }
    if is_for_analytics(&envelope.event_type) {
        return told(envelope);
    }
    // Without an identity the capture would be refused, for ever (OB-227).
    let distinct_id = envelope.identity()?;
    if envelope.event_type == "email.action" {
        let name = envelope.first_text(&["event"]).unwrap_or(&envelope.event_type);
        let mut properties = envelope.object("properties").cloned().unwrap_or_default();
        for member in OF_ACTION {
            if let Some(value) = envelope.data.get(member) {
                properties.insert(member.to_owned(), value.clone());
            }
        }
        return Some(Event { name, distinct_id, properties });
    }
    Some(Event { name: options.event_name(envelope), distinct_id, properties: envelope.data.clone() })
}

/// What is told to every PostHog endpoint: two keys are one person (AA-01), or a mirrored membership (BK-116).
fn told(envelope: &Envelope) -> Option<Event<'_>> {
    let distinct_id = envelope.identity()?;
    let (name, member, value) = if envelope.event_type == ANALYTICS_ALIAS {
        ("$create_alias", "alias", Value::from(envelope.first_text(&["alias"])?))
    } else {
        let property = envelope.first_text(&["property"])?;
        match envelope.data.get("isMember") {
            Some(Value::Bool(true)) => ("$set", "$set", json!({property: true})),
            _ => ("$set", "$unset", json!([property])),
        }
    };
    Some(Event { name, distinct_id, properties: Properties::from_iter([(member.to_owned(), value)]) })
}

/// Whose person changes, and what of it: never the address (OB-225, OB-226).
fn person_of<'a>(envelope: &'a Envelope, options: &Options<'a>) -> Option<(&'a str, Properties)> {
    match envelope.event_type.as_str() {
        CONTACT_CREATED | CONTACT_UPDATED => {
            let properties = envelope.object("properties").filter(|properties| !properties.is_empty())?;
            Some((envelope.first_text(&["contactKey", "externalId", "id"])?, properties.clone()))
        }
        "contact.unsubscribed" if envelope.data.get("scope") == Some(&json!("all")) => {
            let key = options.text("unsubscribedPropertyKey")?;
            let set = Properties::from_iter([(key.to_owned(), Value::Bool(true))]);
            Some((envelope.first_text(&["externalId"])?, set))
        }
        _ => None,
    }
}

impl Destination for PostHog {
    fn description(&self) -> &Description {
        &self.description
    }

    fn is_for_analytics(&self) -> bool {
        true
    }

    fn transform(&self, outgoing: &Outgoing<'_>) -> Transformed {
        self.captured(outgoing).into()
    }
}
