//! Segment: one `track` per event (OB-240..OB-242).

use base64::{Engine as _, engine::general_purpose::STANDARD};
use mainspring_schemas::{
    Properties,
    catalog::CONTACT_MERGED,
    destination::{ConfigSchema, Description, Field, FieldKind},
};
use reqwest::header::{AUTHORIZATION, HeaderMap, HeaderValue};
use serde::Serialize;

use super::{
    Destination, Envelope, Fault, Outgoing, Transformed,
    envelope::first_text,
    request::{Options, marked, post},
};

/// The kind's id.
pub(super) const KIND: &str = "segment";

/// Where events about a contact itself say whom they are about (OB-242).
const CONTACT_IDENTITY: [&str; 3] = ["externalId", "id", "contactId"];

/// The destination.
pub(super) struct Segment {
    description: Description,
    lib: String,
}

/// One event, as Segment takes it.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Track<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    user_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    anonymous_id: Option<&'a str>,
    event: &'a str,
    timestamp: &'a str,
    message_id: &'a str,
    properties: Properties,
}

impl Segment {
    pub(super) fn new(lib: &str) -> Self {
        let fields = vec![
            Field::new("writeKey", FieldKind::Text).required().secret(),
            Field::new("host", FieldKind::Address).or("https://api.segment.io"),
            Field::new("eventNames", FieldKind::Names),
        ];
        let description = Description {
            id: KIND.to_owned(),
            name: "Segment".to_owned(),
            description: Some("Tracks events in a source of Segment".to_owned()),
            events: vec!["*".to_owned()],
            config: ConfigSchema::closed(fields),
            placeholder_url: None,
            secret_url: false,
        };
        Self { description, lib: lib.to_owned() }
    }

    fn tracked(&self, outgoing: &Outgoing<'_>) -> Result<Transformed, Fault> {
        let options = Options::of(&self.description.config, outgoing);
        let authorization = authorization(options.required("writeKey")?)?;
        let envelope = Envelope::read(&outgoing.delivery.body)?;
        let user_id = match envelope.event_type.as_str() {
            // Whose event it is: who is left (OB-242).
            CONTACT_MERGED => envelope.object("survivor").and_then(|who| first_text(who, &CONTACT_IDENTITY)),
            _ if envelope.is_of_contact() => envelope.first_text(&CONTACT_IDENTITY),
            _ => envelope.identity(),
        };
        let track = Track {
            user_id,
            anonymous_id: user_id.is_none().then_some(&envelope.id),
            event: options.event_name(&envelope),
            timestamp: &envelope.timestamp,
            message_id: &envelope.id,
            properties: marked(envelope.data.clone(), &self.lib),
        };
        let headers = HeaderMap::from_iter([(AUTHORIZATION, authorization)]);
        post(format!("{}/v1/track", options.host()), headers, &track)
    }
}

fn authorization(write_key: &str) -> Result<HeaderValue, Fault> {
    let mut value = HeaderValue::try_from(format!("Basic {}", STANDARD.encode(format!("{write_key}:"))))
        .map_err(|_| Fault("config.writeKey cannot be sent".to_owned()))?;
    value.set_sensitive(true);
    Ok(value)
}

impl Destination for Segment {
    fn description(&self) -> &Description {
        &self.description
    }

    fn transform(&self, outgoing: &Outgoing<'_>) -> Transformed {
        self.tracked(outgoing).into()
    }
}
