//! The envelope as the transforms read it, and who it is about.

use mainspring_schemas::Properties;
use serde::Deserialize;
use serde_json::Value;

use super::Fault;

/// What an envelope says (OB-20).
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct Envelope {
    /// The message id.
    pub id: String,
    /// The catalog type, or `webhook.test`.
    #[serde(rename = "type")]
    pub event_type: String,
    /// When it happened, as written.
    pub timestamp: String,
    /// What happened.
    pub data: Properties,
}

/// Where who it is about is found, in this order (OB-206).
const IDENTITY: [&str; 4] = ["userId", "anonymousId", "to", "userEmail"];

/// The first of these members of an object that holds a text which is not empty.
pub(super) fn first_text<'a>(object: &'a Properties, members: &[&str]) -> Option<&'a str> {
    let texts = members.iter().filter_map(|member| object.get(*member)?.as_str());
    texts.into_iter().find(|text| !text.is_empty())
}

impl Envelope {
    /// Reads an envelope.
    ///
    /// # Errors
    /// A configuration fault if the bytes are none, as those of an erased contact are.
    pub(super) fn read(body: &[u8]) -> Result<Self, Fault> {
        serde_json::from_slice(body).map_err(|_| Fault("the envelope cannot be read".to_owned()))
    }

    /// The first of these members of its data that holds a text which is not empty.
    pub(super) fn first_text(&self, members: &[&str]) -> Option<&str> {
        first_text(&self.data, members)
    }

    /// Who it is about (OB-206).
    pub(super) fn identity(&self) -> Option<&str> {
        self.first_text(&IDENTITY)
    }

    /// Whether it is about the contact itself rather than something that happened to it.
    pub(super) fn is_of_contact(&self) -> bool {
        self.event_type.starts_with("contact.")
    }

    /// The value of a member, if it is an object.
    pub(super) fn object(&self, member: &str) -> Option<&Properties> {
        self.data.get(member).and_then(Value::as_object)
    }
}
