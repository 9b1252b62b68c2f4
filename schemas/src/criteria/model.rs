//! The tree itself, in the long form that is stored and returned (BK-30).

use compact_str::CompactString;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Number;
use crate::duration::DurationSpec;

/// A predicate over one contact, discriminated by `type` (BK-30).
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Criteria {
    /// Looks at one property of the contact (BK-31).
    Property(PropertyLeaf),
    /// Counts events of the contact (BK-32).
    Event(EventLeaf),
    /// Looks at the newest mail sent from a template (BK-34). Cannot be loaded yet (BK-28).
    EmailEngagement(EmailLeaf),
    /// Combines other criteria (BK-35).
    Composite(Composite),
}

/// A comparison of one top-level property of the contact; a dot in the name is literal (BK-31).
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PropertyLeaf {
    /// Name of the property.
    #[schemars(with = "String", length(min = 1))]
    pub property: CompactString,
    /// How to compare.
    pub operator: PropertyOperator,
    /// What to compare with; none for `exists` and `not_exists`.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "super::present::present")]
    #[schemars(with = "Scalar")]
    pub value: Option<Scalar>,
}

/// What a property is compared with: `null` is not expressible (BK-31).
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Scalar {
    /// `true` or `false`.
    Bool(bool),
    /// A number.
    Number(#[schemars(with = "f64")] Number),
    /// A string.
    Text(#[schemars(with = "String")] CompactString),
}

/// Operators of a property leaf; nothing is coerced (BK-31).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum PropertyOperator {
    /// Same type and equal.
    Eq,
    /// Not `eq`: also true for an absent property.
    Neq,
    /// Both numbers, greater.
    Gt,
    /// Both numbers, greater or equal.
    Gte,
    /// Both numbers, less.
    Lt,
    /// Both numbers, less or equal.
    Lte,
    /// Present and not null.
    Exists,
    /// Absent or null.
    NotExists,
    /// Both strings, and the value is a substring; case-sensitive.
    Contains,
}

/// A question about the stored events of one exact name (BK-32).
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct EventLeaf {
    /// Exact, case-sensitive name.
    #[schemars(with = "String", length(min = 1))]
    pub event_name: CompactString,
    /// What is asked.
    pub check: EventCheck,
    /// How `count` compares; without it, `count` means "at least one".
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "super::present::present")]
    #[schemars(with = "CountOperator")]
    pub operator: Option<CountOperator>,
    /// What `count` compares with.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "super::present::present")]
    #[schemars(with = "f64")]
    pub value: Option<Number>,
    /// Only events that occurred at most this long ago, the boundary included.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "super::present::present")]
    #[schemars(with = "DurationSpec")]
    pub within: Option<DurationSpec>,
}

/// What an event leaf asks (BK-32).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum EventCheck {
    /// At least one.
    Exists,
    /// None.
    NotExists,
    /// A number of them.
    Count,
}

/// How a count compares (BK-32).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum CountOperator {
    /// More than.
    Gt,
    /// At least.
    Gte,
    /// Fewer than.
    Lt,
    /// At most.
    Lte,
    /// Exactly.
    Eq,
}

/// A question about the newest mail of a template (BK-34).
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct EmailLeaf {
    /// The template.
    #[schemars(with = "String", length(min = 1))]
    pub template_key: CompactString,
    /// What is asked.
    pub check: EmailCheck,
}

/// What an email leaf asks (BK-34).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum EmailCheck {
    /// It was opened.
    Opened,
    /// A link in it was clicked.
    Clicked,
    /// It was sent and not opened.
    NotOpened,
    /// It was sent and no link was clicked.
    NotClicked,
}

/// Several criteria at once, in order and short-circuited (BK-35).
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Composite {
    /// How they combine.
    pub operator: CompositeOperator,
    /// The parts; `and` of nothing is true, `or` of nothing is false.
    pub conditions: Vec<Criteria>,
}

/// How a composite combines (BK-35).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum CompositeOperator {
    /// No part is false.
    And,
    /// Some part is true.
    Or,
}

impl Criteria {
    /// Calls `visit` on every node, a parent before its parts.
    pub fn walk<'c>(&'c self, visit: &mut impl FnMut(&'c Criteria)) {
        visit(self);
        if let Self::Composite(composite) = self {
            composite.conditions.iter().for_each(|part| part.walk(visit));
        }
    }

    /// Whether some event leaf looks through a window, so that the clock alone can change the answer (BK-20).
    pub fn is_windowed(&self) -> bool {
        match self {
            Self::Event(leaf) => leaf.within.is_some(),
            Self::Composite(composite) => composite.conditions.iter().any(Self::is_windowed),
            Self::Property(_) | Self::EmailEngagement(_) => false,
        }
    }
}
