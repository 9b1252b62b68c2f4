//! Destinations as data: what a kind of endpoint is called, which events it takes, and what its configuration holds
//! (section 14 of the outbound specification).
//!
//! How an envelope becomes a request is code and stands in the crate that sends. What stands here is what everybody
//! else has to know of it, above all the edge, which checks an endpoint's configuration and hides its credentials; and
//! the files in which people describe destinations of their own, requests included (section 15.5).

mod config;
mod headers;
mod load;
mod mask;
mod model;
mod published;
mod read;
mod url;

pub use config::{ConfigIssue, ConfigSchema, Field, FieldKind};
pub use headers::is_reserved_header;
pub use load::assemble;
pub use mask::{
    MASK, NOTHING_STORED, is_mask, looks_secret, masked, masked_address, unmasked, unmasked_text,
};
pub use model::{DestinationDefinition, Method, REPLAY_HEADER, ROOTS, RequestTemplate, Success};
pub use published::destination_schema;
pub use url::{ForeignUrl, InvalidUrl, UrlTemplate};

use crate::catalog::{subscribable, subscribes};

/// A kind of destination (OB-200).
#[derive(Clone, Debug, PartialEq)]
pub struct Description {
    /// The `kind` of its endpoints.
    pub id: String,
    /// What people call it.
    pub name: String,
    /// What it is for, if anybody said.
    pub description: Option<String>,
    /// The types it takes, exact or as patterns (OB-73).
    pub events: Vec<String>,
    /// What the `config` of its endpoints holds.
    pub config: ConfigSchema,
    /// An endpoint url that stands for none: it is never requested, so no rule about addresses is asked (OB-230).
    pub placeholder_url: Option<&'static str>,
    /// Whether the endpoint's url is a credential, of which only the host is shown (OB-84).
    pub secret_url: bool,
}

impl Description {
    /// Whether it takes every type that a subscription covers (OB-200). A type that nobody subscribes to, such as that of a
    /// test, is taken by all.
    pub fn takes(&self, subscription: &str) -> bool {
        subscribable()
            .filter(|outbound| subscribes(subscription, outbound))
            .all(|outbound| self.events.iter().any(|taken| subscribes(taken, outbound)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ob_200_a_pattern_is_taken_if_all_it_covers_is() {
        let mut crm = Description {
            id: "crm".to_owned(),
            name: "CRM".to_owned(),
            description: None,
            events: vec!["contact.created".to_owned(), "email.*".to_owned()],
            config: ConfigSchema::default(),
            placeholder_url: None,
            secret_url: false,
        };
        for taken in ["contact.created", "email.bounced", "email.*", "webhook.test"] {
            assert!(crm.takes(taken), "{taken}");
        }
        for refused in ["contact.updated", "contact.*", "*", "bucket.*"] {
            assert!(!crm.takes(refused), "{refused}");
        }
        crm.events = vec!["*".to_owned()];
        assert!(crm.takes("*") && crm.takes("bucket.reaction"));
    }
}
