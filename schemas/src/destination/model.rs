//! A destination that is described by a file (section 15.5).

use super::{Description, UrlTemplate};
use crate::expression::{Condition, Shape, Template};

/// The names that expressions of a destination begin with; of `config`, only the members that the file declares.
pub const ROOTS: [&str; 4] = ["envelope", "data", CONFIG, "endpoint"];

/// The name of the configuration.
pub(super) const CONFIG: &str = "config";

/// The header, in lower case, of an attempt to send again what was delivered before (OC-93).
pub const REPLAY_HEADER: &str = "webhook-replay";

/// What a file says: what the destination is, and how an envelope becomes a request.
#[derive(Debug, PartialEq)]
pub struct DestinationDefinition {
    /// What it is and what it takes.
    pub description: Description,
    /// Envelopes that are delivered without a request.
    pub skip_if: Option<Condition>,
    /// The request.
    pub request: RequestTemplate,
    /// Which answers are a success; without it every 2xx is one.
    pub success: Option<Success>,
}

/// The request of a destination, with expressions in it.
#[derive(Debug, PartialEq)]
pub struct RequestTemplate {
    /// How.
    pub method: Method,
    /// Where to.
    pub url: UrlTemplate,
    /// Headers in the order of the file, names as written.
    pub headers: Vec<(String, Template)>,
    /// The body, as JSON; without it the envelope itself is sent.
    pub json: Option<Shape>,
}

/// How a request with a body is made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Method {
    /// `POST`
    #[default]
    Post,
    /// `PUT`
    Put,
    /// `PATCH`
    Patch,
}

/// Which answers are a success.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Success {
    /// Its lowest and highest status.
    pub status: (u16, u16),
    /// What its body must have in it.
    pub body_contains: Option<String>,
    /// What its body must not have in it.
    pub body_not_contains: Option<String>,
}

impl Method {
    /// All of them with their names.
    pub const ALL: [(&'static str, Self); 3] =
        [("POST", Self::Post), ("PUT", Self::Put), ("PATCH", Self::Patch)];
}

impl Success {
    /// Whether an answer is one.
    pub fn accepts(&self, status: u16, body: &[u8]) -> bool {
        let holds = |part: &String| body.windows(part.len().max(1)).any(|window| window == part.as_bytes());
        (self.status.0..=self.status.1).contains(&status)
            && self.body_contains.as_ref().is_none_or(holds)
            && !self.body_not_contains.as_ref().is_some_and(holds)
    }
}
