//! The signed webhook: the envelope itself, to the endpoint's url (OB-210, section 6).

use mainspring_schemas::destination::{ConfigSchema, Description};
use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};

use super::{Destination, Outgoing, Transformed};
use crate::{exchange::Request, signature};

/// The kind's id.
pub(super) const KIND: &str = "webhook";

/// The destination.
pub(super) struct Webhook {
    description: Description,
}

impl Webhook {
    pub(super) fn new() -> Self {
        let description = Description {
            id: KIND.to_owned(),
            name: "Webhook".to_owned(),
            description: Some("Sends each event as it is, signed".to_owned()),
            events: vec!["*".to_owned()],
            // Nothing of it is read, and it was always allowed (OB-75).
            config: ConfigSchema { fields: Vec::new(), open: true },
            placeholder_url: None,
            secret_url: false,
        };
        Self { description }
    }
}

impl Destination for Webhook {
    fn description(&self) -> &Description {
        &self.description
    }

    fn transform(&self, Outgoing { endpoint, delivery, now }: &Outgoing<'_>) -> Transformed {
        let keys = match signature::keys_in_force(&endpoint.secrets, *now) {
            Ok(keys) if !keys.is_empty() => keys,
            Ok(_) => return Transformed::Config("the endpoint has no signing secret".to_owned()),
            Err(_) => return Transformed::Config("a signing secret is unreadable".to_owned()),
        };
        let message = delivery.message.to_string();
        let unix_seconds = now.0.div_euclid(1000);
        let signatures = signature::sign(&keys, &message, unix_seconds, &delivery.body);
        let signed = [
            (signature::ID_HEADER, message),
            (signature::TIMESTAMP_HEADER, unix_seconds.to_string()),
            (signature::SIGNATURE_HEADER, signatures),
        ];
        let mut headers = HeaderMap::with_capacity(signed.len() + 1);
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        for (name, value) in signed {
            let Ok(value) = HeaderValue::try_from(value) else {
                return Transformed::Config("a header cannot be sent".to_owned());
            };
            headers.insert(HeaderName::from_static(name), value);
        }
        Transformed::Request(Request::post(endpoint.settings.address(), headers, delivery.body.clone()))
    }
}
