//! How a contact was.

use mainspring_actors::{
    api::{ContactView, KeyView, StayView},
    contact::{ContactState, Fate},
    history::contact_at,
};
use mainspring_schemas::{ContactId, Timestamp};
use serde_json::{Value, json};

use crate::{
    commands::{places::DataDirArgument, stream::contact_named},
    compose::opened_log::OpenedLog,
    exit::Fault,
    interrupt::Interrupt,
    output,
};

/// How a contact was: its keys, properties and stays
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The contact, by its id or any key that it has today; one that was deleted by its id
    who: String,
    #[command(flatten)]
    data_dir: DataDirArgument,
    /// One JSON document
    #[arg(long)]
    json: bool,
}

/// Runs the command.
pub fn run(at: Timestamp, args: &Args) -> anyhow::Result<()> {
    let data = args.data_dir.existing()?;
    Interrupt::end_at_once("nothing was changed")?;
    let found = actix_web::rt::System::new().block_on(async {
        let nobody = || Fault::usage(format!("nobody has the key `{}`", args.who));
        let OpenedLog { log, raw, recovery, .. } = data.open_log().await?;
        let secret = data.identity_secret(recovery.records)?;
        let named = contact_named(&args.who, &log, &secret).await?;
        let contact = named.or_else(|| args.who.parse().ok()).ok_or_else(nobody)?;
        let state = contact_at(&*log, contact, at).await;
        raw.close();
        anyhow::Ok((contact, state?))
    });
    let (contact, state) = found?;
    if args.json { output::document(&document(at, contact, &state)) } else { show(at, contact, &state) }
}

/// What became of it by then, in a word.
fn fate(state: &ContactState) -> &'static str {
    match state.fate {
        Fate::Absent => "absent",
        Fate::Live => "live",
        Fate::MergedInto(_) => "merged",
        Fate::Deleted(_) => "deleted",
        Fate::Erased => "erased",
    }
}

fn document(at: Timestamp, contact: ContactId, state: &ContactState) -> Value {
    let mut document = json!({"at": at, "contactId": contact, "fate": fate(state)});
    if state.fate == Fate::Live {
        let ContactView { contact, keys, stays, .. } = state.view();
        document["contact"] = json!(contact);
        let key = |key: &KeyView| json!({"kind": key.kind, "value": key.value, "primary": key.primary, "since": key.since});
        document["keys"] = keys.iter().map(key).collect();
        let stay = |stay: &StayView| {
            json!({
                "bucketId": stay.bucket, "enteredAt": stay.entered_at, "entryCount": stay.epoch,
                "source": stay.source, "maxDwellAt": stay.max_dwell_at,
            })
        };
        document["stays"] = stays.iter().map(stay).collect();
    }
    document
}

fn show(at: Timestamp, contact: ContactId, state: &ContactState) -> anyhow::Result<()> {
    output::data(format_args!("contact {contact} at {at}: {}", fate(state)));
    if state.fate != Fate::Live {
        return Ok(());
    }
    let ContactView { contact, keys, stays, .. } = state.view();
    for key in keys {
        let primary = if key.primary { "" } else { ", not the primary one" };
        output::data(format_args!("{} {} since {}{primary}", key.kind.as_str(), key.value, key.since));
    }
    output::data(format_args!("properties: {}", serde_json::to_string(&contact.properties)?));
    for stay in stays {
        output::data(format_args!("in {} since {}, stay {}", stay.bucket, stay.entered_at, stay.epoch));
    }
    Ok(())
}
