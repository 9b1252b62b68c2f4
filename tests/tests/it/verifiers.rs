//! Other people's code for signed webhooks: what it makes of ours, and what we make of its.

mod outbound;

use ::http::{HeaderMap, HeaderName, HeaderValue};

use crate::http::Message;

/// Two libraries that know one secret.
pub struct Verifiers {
    svix: svix::webhooks::Webhook,
    standard: standardwebhooks::Webhook,
}

impl Verifiers {
    /// For a secret as the create and rotate routes show it.
    pub fn new(secret: &str) -> Self {
        Self {
            svix: svix::webhooks::Webhook::new(secret).unwrap(),
            standard: standardwebhooks::Webhook::new(secret).unwrap(),
        }
    }

    /// Whether a request is genuine and fresh.
    ///
    /// # Errors
    /// What either library says against it.
    pub fn verify(&self, request: &Message) -> Result<(), String> {
        let name = |name: &str| name.parse::<HeaderName>().unwrap();
        let headers: HeaderMap = request
            .headers()
            .map(|(header, value)| (name(header), HeaderValue::from_str(value).unwrap()))
            .collect();
        let svix = self.svix.verify(&request.body, &headers);
        let standard = self.standard.verify(&request.body, &headers);
        assert_eq!(svix.is_ok(), standard.is_ok(), "the libraries disagree: {svix:?}, {standard:?}");
        svix.map_err(|error| error.to_string())
    }

    /// What either library puts into the header of signatures, by its name.
    pub fn sign(&self, id: &str, at: i64, body: &str) -> [(&'static str, String); 2] {
        let body = body.as_bytes();
        [
            ("svix", self.svix.sign(id, at, body).unwrap()),
            ("standardwebhooks", self.standard.sign(id, at, body).unwrap()),
        ]
    }
}
