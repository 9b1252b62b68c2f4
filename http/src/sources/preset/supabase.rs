//! Supabase: rows of `auth.users` (section 7). Two senders exist: signed ones and plain database webhooks (WS-83).

use std::sync::LazyLock;

use mainspring_schemas::{
    Properties,
    source::{Member, Mismatch, Shape},
};
use serde_json::Value;

use super::{filled, instant, object, properties, set};
use crate::sources::event::{Mapped, SourceEvent};

static PAYLOAD: LazyLock<Shape> = LazyLock::new(|| {
    Shape::map([
        Member::required("type", Shape::Text),
        Member::required("table", Shape::Text),
        Member::required("schema", Shape::Text),
    ])
});

/// Checked only for rows of `auth.users`: rows of other tables look otherwise (WS-75).
static ROWS: LazyLock<Shape> = LazyLock::new(|| {
    let row = || {
        Shape::map([
            Member::optional("id", Shape::Text),
            Member::optional("email", Shape::Text),
            Member::optional("phone", Shape::Text),
            Member::optional("raw_user_meta_data", Shape::map([])),
        ])
    };
    Shape::map([Member::optional("record", row()), Member::optional("old_record", row())])
});

pub(super) fn map(payload: &Value) -> Mapped {
    if let Err(mismatch) = PAYLOAD.check(payload) {
        return mismatch.into();
    }
    if payload["schema"] != "auth" || payload["table"] != "users" {
        return Mapped::Skipped("table");
    }
    let kind = payload["type"].as_str().unwrap_or_default();
    let event = match kind {
        "INSERT" => "contact.created",
        "UPDATE" => "contact.updated",
        "DELETE" => "contact.deleted",
        _ => return Mismatch::of("type", "Invalid option: expected one of INSERT|UPDATE|DELETE").into(),
    };
    if let Err(mismatch) = ROWS.check(payload) {
        return mismatch.into();
    }
    let row = |key| payload.get(key).filter(|row| row.is_object());
    let (record, old) = (row("record"), row("old_record"));
    let chosen = if kind == "DELETE" { old.or(record) } else { record.or(old) };
    let Some((row, id)) = chosen.and_then(|row| Some((row, filled(row, "id")?))) else {
        return Mapped::Skipped("identity");
    };
    if kind == "UPDATE" && record.zip(old).is_some_and(|(new, old)| !differs(new, old)) {
        return Mapped::Skipped("unchanged");
    }
    let time = match kind {
        "INSERT" => record.and_then(|row| row.get("created_at")),
        "UPDATE" => record.and_then(|row| row.get("updated_at")),
        _ => None,
    };
    SourceEvent {
        event: event.to_owned(),
        user_id: Some(id.to_owned()),
        email: filled(row, "email").map(str::to_owned),
        event_properties: properties([
            ("source", "supabase"),
            ("supabaseUserId", id),
            ("_supabaseEvent", kind),
        ]),
        contact_properties: if kind == "DELETE" { Properties::new() } else { profile(row, id) },
        occurred_at: instant(time),
        ..SourceEvent::default()
    }
    .into()
}

/// WS-81: every sign-in touches the row.
fn differs(new: &Value, old: &Value) -> bool {
    let other = |key| new.get(key).unwrap_or(&Value::Null) != old.get(key).unwrap_or(&Value::Null);
    ["email", "phone", "raw_user_meta_data"].into_iter().any(other) || is_confirmed(new) != is_confirmed(old)
}

fn is_confirmed(row: &Value) -> bool {
    row.get("email_confirmed_at").is_some_and(|at| !at.is_null())
}

/// WS-79.
fn profile(row: &Value, id: &str) -> Properties {
    let mut profile = object(row, "raw_user_meta_data");
    set(&mut profile, "phone", filled(row, "phone"));
    set(&mut profile, "emailVerified", Some(is_confirmed(row)));
    set(&mut profile, "supabaseUserId", Some(id));
    profile
}
