//! What a bucket does when one of its members enters, leaves or dwells (BK-120 to BK-123).

use std::borrow::Cow;

use compact_str::{CompactString, format_compact};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

use crate::{BucketId, Properties, duration::DurationSpec, event::contact::LeaveReason};

/// A transition to wait for, and what follows from it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Written", into = "Written")]
pub struct Reaction {
    /// What sets it off.
    pub trigger: Trigger,
    /// Whether what it began ends when the contact leaves (BK-125). Matters only to reactions that last: those of today
    /// are over at once. Never set on a leave.
    pub exit_on_leave: bool,
    /// What happens then, in order; never empty in a definition that was loaded.
    pub actions: Vec<Action>,
}

/// What sets a reaction off. Only transitions that are announced do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Trigger {
    /// A join.
    Enter {
        /// Only the first stay ever counts.
        first_entry_only: bool,
    },
    /// A leave.
    Leave {
        /// Reasons that count; all of them if there is none.
        reasons: Vec<LeaveReason>,
    },
    /// A stay that reached an age.
    Dwell(Schedule),
}

/// When an uninterrupted stay dwells (BK-131, BK-132).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Schedule {
    /// Once or again and again.
    pub pace: Pace,
    /// The age, or the time from one fire to the next; more than zero.
    pub length: DurationSpec,
}

/// How often a schedule fires.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pace {
    /// Once in a stay.
    After,
    /// Whenever another such time of the stay has passed.
    Every,
}

impl Schedule {
    /// The name of the schedule within its bucket, such as `after-604800000` (BK-121).
    pub fn label(&self) -> CompactString {
        let pace = match self.pace {
            Pace::After => "after",
            Pace::Every => "every",
        };
        format_compact!("{pace}-{}", self.length.millis())
    }
}

/// One thing that a reaction does. All values are literal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub enum Action {
    /// Patches the contact's properties; null removes.
    Set(Properties),
    /// Stores another event of the contact.
    Track {
        /// Its name.
        event: CompactString,
        /// Its own properties.
        #[serde(default, skip_serializing_if = "Properties::is_empty")]
        properties: Properties,
    },
    /// Tells the world, as the outbound type `bucket.reaction`.
    Send {
        /// What the receiver tells reactions apart by.
        name: CompactString,
        /// What it gets to know besides the transition.
        #[serde(default, skip_serializing_if = "Properties::is_empty")]
        data: Properties,
    },
}

impl Reaction {
    /// The id of the reaction (BK-120). Ids of two buckets never clash, because their endings tell where the bucket's
    /// id ends.
    pub fn id(&self, bucket: &BucketId) -> CompactString {
        match &self.trigger {
            Trigger::Enter { .. } => format_compact!("bucket-{bucket}-on-enter"),
            Trigger::Leave { .. } => format_compact!("bucket-{bucket}-on-leave"),
            Trigger::Dwell(schedule) => format_compact!("bucket-{bucket}-on-dwell-{}", schedule.label()),
        }
    }

    /// The word for what sets it off: `enter`, `leave` or `dwell`.
    pub fn kind(&self) -> &'static str {
        match &self.trigger {
            Trigger::Enter { .. } => "enter",
            Trigger::Leave { .. } => "leave",
            Trigger::Dwell(_) => "dwell",
        }
    }

    /// The stored event that sets it off (BK-100).
    pub fn event(&self, bucket: &BucketId) -> CompactString {
        match &self.trigger {
            Trigger::Enter { .. } => format_compact!("bucket:entered:{bucket}"),
            Trigger::Leave { .. } => format_compact!("bucket:left:{bucket}"),
            Trigger::Dwell(schedule) => format_compact!("bucket:dwell:{bucket}:{}", schedule.label()),
        }
    }

    /// The schedule of a dwell reaction.
    pub fn schedule(&self) -> Option<&Schedule> {
        match &self.trigger {
            Trigger::Dwell(schedule) => Some(schedule),
            Trigger::Enter { .. } | Trigger::Leave { .. } => None,
        }
    }
}

/// The form in which reactions are stored and shown.
#[derive(Clone, Serialize, Deserialize)]
#[serde(tag = "on", rename_all = "camelCase", rename_all_fields = "camelCase", deny_unknown_fields)]
enum Written {
    Enter {
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        first_entry_only: bool,
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        exit_on_leave: bool,
        #[serde(rename = "do")]
        actions: Vec<Action>,
    },
    Leave {
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        reason: Vec<LeaveReason>,
        #[serde(rename = "do")]
        actions: Vec<Action>,
    },
    Dwell {
        #[serde(default, skip_serializing_if = "Option::is_none")]
        after: Option<DurationSpec>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        every: Option<DurationSpec>,
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        exit_on_leave: bool,
        #[serde(rename = "do")]
        actions: Vec<Action>,
    },
}

/// A dwell reaction that says neither or both of `after` and `every`.
#[derive(Debug, thiserror::Error)]
#[error("a dwell reaction needs exactly one of `after` and `every`")]
struct AmbiguousSchedule;

impl TryFrom<Written> for Reaction {
    type Error = AmbiguousSchedule;

    fn try_from(written: Written) -> Result<Self, AmbiguousSchedule> {
        Ok(match written {
            Written::Enter { first_entry_only, exit_on_leave, actions } => {
                Self { trigger: Trigger::Enter { first_entry_only }, exit_on_leave, actions }
            }
            Written::Leave { reason, actions } => {
                Self { trigger: Trigger::Leave { reasons: reason }, exit_on_leave: false, actions }
            }
            Written::Dwell { after, every, exit_on_leave, actions } => {
                let (pace, length) = match (after, every) {
                    (Some(length), None) => (Pace::After, length),
                    (None, Some(length)) => (Pace::Every, length),
                    (None, None) | (Some(_), Some(_)) => return Err(AmbiguousSchedule),
                };
                Self { trigger: Trigger::Dwell(Schedule { pace, length }), exit_on_leave, actions }
            }
        })
    }
}

impl From<Reaction> for Written {
    fn from(reaction: Reaction) -> Self {
        let Reaction { trigger, exit_on_leave, actions } = reaction;
        match trigger {
            Trigger::Enter { first_entry_only } => Self::Enter { first_entry_only, exit_on_leave, actions },
            Trigger::Leave { reasons } => Self::Leave { reason: reasons, actions },
            Trigger::Dwell(Schedule { pace: Pace::After, length }) => {
                Self::Dwell { after: Some(length), every: None, exit_on_leave, actions }
            }
            Trigger::Dwell(Schedule { pace: Pace::Every, length }) => {
                Self::Dwell { after: None, every: Some(length), exit_on_leave, actions }
            }
        }
    }
}

impl JsonSchema for Reaction {
    fn schema_name() -> Cow<'static, str> {
        "Reaction".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let actions = json_schema!({
            "description": "What happens then, in order.",
            "type": "array",
            "items": generator.subschema_for::<Action>(),
            "minItems": 1,
        });
        let duration = generator.subschema_for::<DurationSpec>();
        let exit_on_leave = json_schema!({
            "description": "Ends what the reaction began when the contact leaves; matters only to reactions that last.",
            "type": "boolean",
        });
        let reason = json_schema!({ "enum": ["criteria", "maxDwell", "manual"] });
        json_schema!({
            "description": "What the bucket does at an announced join, an announced leave, or a dwell.",
            "oneOf": [
                {
                    "type": "object",
                    "properties": {
                        "on": { "const": "enter" },
                        "firstEntryOnly": {
                            "description": "Only the first stay ever counts.",
                            "type": "boolean",
                        },
                        "exitOnLeave": exit_on_leave,
                        "do": actions,
                    },
                    "required": ["on", "do"],
                    "additionalProperties": false,
                },
                {
                    "type": "object",
                    "properties": {
                        "on": { "const": "leave" },
                        "reason": {
                            "description": "The reasons that count; all of them if unset.",
                            "anyOf": [reason, { "type": "array", "items": reason, "minItems": 1 }],
                        },
                        "do": actions,
                    },
                    "required": ["on", "do"],
                    "additionalProperties": false,
                },
                {
                    "type": "object",
                    "properties": {
                        "on": { "const": "dwell" },
                        "after": { "description": "Once, at this age of the stay.", "allOf": [duration] },
                        "every": {
                            "description": "Again and again, whenever the stay is so much older.",
                            "allOf": [duration],
                        },
                        "exitOnLeave": exit_on_leave,
                        "do": actions,
                    },
                    "required": ["on", "do"],
                    "oneOf": [{ "required": ["after"] }, { "required": ["every"] }],
                    "additionalProperties": false,
                },
            ],
        })
    }
}

impl JsonSchema for Action {
    fn schema_name() -> Cow<'static, str> {
        "Action".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        let name = json_schema!({ "type": "string", "minLength": 1, "maxLength": 200 });
        let object = json_schema!({ "type": "object" });
        let single = |key: &str, description: &str, value: Schema| {
            json_schema!({
                "description": description,
                "type": "object",
                "properties": { key: value },
                "required": [key],
                "additionalProperties": false,
            })
        };
        json_schema!({
            "oneOf": [
                single(
                    "set",
                    "Patches properties of the contact; null removes one.",
                    json_schema!({ "type": "object", "minProperties": 1 }),
                ),
                single(
                    "track",
                    "Stores another event of the contact.",
                    json_schema!({
                        "type": "object",
                        "properties": {
                            "event": {
                                "type": "string", "minLength": 1, "maxLength": 200, "pattern": "^(?!bucket:|journey:)",
                            },
                            "properties": object,
                        },
                        "required": ["event"],
                        "additionalProperties": false,
                    }),
                ),
                single(
                    "send",
                    "Tells the world by a webhook of the type `bucket.reaction`.",
                    json_schema!({
                        "type": "object",
                        "properties": { "name": name, "data": object },
                        "required": ["name"],
                        "additionalProperties": false,
                    }),
                ),
            ],
        })
    }
}
