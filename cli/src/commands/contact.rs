//! `mainspring contact`: what an operator does to one contact, on a data directory that no process uses.

use std::{process::ExitCode, time::Duration};

use anyhow::Context;
use mainspring_actors::{Engine, api::EngineError, contact::Policy};
use serde_json::json;

use super::places::DataDirArgument;
use crate::{
    compose::{Options, System},
    exit::Fault,
    grace::GraceArgument,
    output,
};

/// How long closing may take.
const CLOSING: Duration = Duration::from_secs(10);

/// Erases contacts and restores deleted ones. The server must not be running; beside a running one,
/// `DELETE /v1/contacts?erase=true` and `POST /v1/admin/contacts/{id}/restore` do the same.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example: mainspring contact erase user-42 --yes")]
pub struct Args {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, clap::Subcommand)]
enum Action {
    /// Destroys the data key of a person: nothing in the log, the read models or the queue can show them any more
    #[command(after_help = "\
Erasing cannot be undone. Counts, instants and everybody else's history stay as they are. Contacts that were merged
into this one are erased with it. Backups of `secrets/data-keys` from before still hold the key until they are deleted;
restoring one does not bring the person back.

Example: mainspring contact erase user-42 --yes")]
    Erase {
        /// The contact's id (also of a deleted one), user id, address or any other key
        #[arg(value_name = "CONTACT")]
        who: String,
        /// Erase without asking
        #[arg(long)]
        yes: bool,
        #[command(flatten)]
        data_dir: DataDirArgument,
        /// One JSON document
        #[arg(long)]
        json: bool,
    },
    /// Undoes a deletion whose grace has not ended: keys, properties and history are as they were
    #[command(after_help = "\
Keys that somebody else took meanwhile stay with them and are named. Buckets are decided anew, as of now. Receivers of
webhooks are told `contact.created`.

Example: mainspring contact restore user-42")]
    Restore {
        /// The contact's id, or a key it had
        #[arg(value_name = "CONTACT")]
        who: String,
        #[command(flatten)]
        grace: GraceArgument,
        #[command(flatten)]
        data_dir: DataDirArgument,
        /// One JSON document
        #[arg(long)]
        json: bool,
    },
}

/// Runs the command.
pub fn run(args: Args) -> anyhow::Result<ExitCode> {
    match args.action {
        Action::Erase { who, yes, data_dir, json } => {
            if !yes {
                return Err(Fault::usage("erasing cannot be undone: add --yes to go on").into());
            }
            erase(&who, &data_dir, json)
        }
        Action::Restore { who, grace, data_dir, json } => {
            restore(&who, grace.put_into(Policy::default())?, &data_dir, json)
        }
    }
}

/// Does something to a contact on a data directory of which nobody else knows, and waits until the read models follow.
fn change<T>(
    data_dir: &DataDirArgument,
    policy: Policy,
    change: impl AsyncFnOnce(&Engine) -> anyhow::Result<T>,
) -> anyhow::Result<T> {
    actix_web::rt::System::new().block_on(async {
        let system = System::open(Options { policy, ..Options::new(data_dir.existing()?) }).await?;
        let changed = change(&system.engine).await;
        let settled = system.settled().await;
        system.stop(CLOSING).await;
        let changed = changed?;
        settled.context("the log has the change, but the read models could not follow")?;
        Ok(changed)
    })
}

fn told(who: &str) -> impl Fn(EngineError) -> anyhow::Error {
    move |error| match error {
        EngineError::NotFound => Fault::usage(format!("nobody has the key `{who}`")).into(),
        error => error.into(),
    }
}

fn erase(who: &str, data_dir: &DataDirArgument, json: bool) -> anyhow::Result<ExitCode> {
    let erased = change(data_dir, Policy::default(), async |engine| {
        let contact = engine.to_erase(who).await?.ok_or(EngineError::NotFound).map_err(told(who))?;
        engine.erase_contact(contact).await.map_err(told(who))
    })?;
    let (contact, former) = (erased.contact, erased.former);
    if json {
        output::document(&json!({
            "contactId": contact, "erased": true, "formerContacts": former, "alreadyErased": erased.position.is_none(),
        }))?;
    } else if erased.position.is_none() {
        output::data(format_args!("contact {contact} had been erased before"));
    } else {
        let with = if former == 0 { String::new() } else { format!(" with {former} merged contacts") };
        output::data(format_args!("contact {contact} erased{with}"));
    }
    Ok(ExitCode::SUCCESS)
}

fn restore(who: &str, policy: Policy, data_dir: &DataDirArgument, json: bool) -> anyhow::Result<ExitCode> {
    let restored = change(data_dir, policy, async |engine| {
        let contact = engine.deleted(who).await?.ok_or(EngineError::NotFound).map_err(told(who))?;
        engine.restore(contact).await.map_err(told(who))
    })?;
    let contact = restored.contact;
    if json {
        let lost = restored.lost_keys.iter().map(|key| json!({"kind": key.kind, "value": key.value}));
        output::document(&json!({
            "contactId": contact, "restored": true, "lostKeys": lost.collect::<Vec<_>>(), "buckets": restored.entered,
        }))?;
        return Ok(ExitCode::SUCCESS);
    }
    output::data(format_args!("contact {contact} restored"));
    for key in &restored.lost_keys {
        output::data(format_args!(
            "  {} {} stays with whoever took it meanwhile",
            key.kind.as_str(),
            key.value
        ));
    }
    Ok(ExitCode::SUCCESS)
}
