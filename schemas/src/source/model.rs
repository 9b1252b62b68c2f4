//! A source as its author describes it (section 13).

use super::{Auth, Shape};
use crate::{
    SourceId,
    expression::{self, Condition, Template},
};

/// What an expression of a source can begin with.
pub const ROOTS: [&str; 2] = ["body", "headers"];

/// Ids that other routes have or will have (WS-41).
pub const RESERVED_IDS: [&str; 4] = ["email", "resend", "sms", "crm"];

/// A source of one's own.
#[derive(Debug, PartialEq)]
pub struct SourceDefinition {
    /// The last part of its path (WS-10).
    pub id: SourceId,
    /// Its name for people.
    pub name: String,
    /// More for people.
    pub description: Option<String>,
    /// How it proves its caller.
    pub auth: Auth,
    /// What a payload must look like.
    pub require: Shape,
    /// What a reported deletion does.
    pub on_delete: OnDelete,
    /// What payloads mean: the first rule that applies decides, none = nothing (WS-142).
    pub rules: Vec<Rule>,
}

/// What happens when a provider reports that a person is gone (WS-52).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnDelete {
    /// The contact stays and has one more event.
    #[default]
    Event,
    /// The contact is erased, as by the API.
    Erase,
}

/// What payloads of one kind mean.
#[derive(Debug, PartialEq)]
pub struct Rule {
    /// Which payloads; all of them if absent.
    pub when: Option<Condition>,
    /// The event's name.
    pub event: Template,
    /// The person's id at the application.
    pub user_id: Option<Template>,
    /// The person's address.
    pub email: Option<Template>,
    /// A visitor's id.
    pub anonymous_id: Option<Template>,
    /// What happened.
    pub event_properties: Bag,
    /// Who the person is.
    pub contact_properties: Bag,
    /// By which a repeat is recognized.
    pub idempotency_key: Option<Template>,
    /// When it happened: ISO 8601, or unix seconds or milliseconds.
    pub occurred_at: Option<Template>,
}

/// Properties, as they are computed.
#[derive(Debug, Default, PartialEq)]
pub struct Bag {
    /// The path of an object that is copied first (WS-141).
    pub spread: Option<String>,
    /// Named properties, which win.
    pub members: Vec<Property>,
}

/// One property.
#[derive(Debug, PartialEq)]
pub struct Property {
    /// Its name.
    pub name: String,
    /// Its value.
    pub value: expression::Shape,
    /// Whether no value removes the property of the contact, instead of leaving it as it is (WS-140).
    pub clear: bool,
}
