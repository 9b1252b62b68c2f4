//! `mainspring contact`: what an operator does to one contact, on a data directory that no process uses.

use std::{process::ExitCode, time::Duration};

use anyhow::Context;
use mainspring_actors::{Erased, api::EngineError};
use mainspring_schemas::ContactId;
use serde_json::json;

use super::places::DataDirArgument;
use crate::{
    compose::{Options, System},
    exit::Fault,
    output,
};

/// How long closing may take.
const GRACE: Duration = Duration::from_secs(10);

/// Erases contacts. The server must not be running; beside a running one, `DELETE /v1/contacts?erase=true` does the same.
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
}

/// Runs the command.
pub fn run(args: Args) -> anyhow::Result<ExitCode> {
    let Action::Erase { who, yes, data_dir, json } = args.action;
    if !yes {
        let message = "erasing cannot be undone: add --yes to go on";
        return Err(Fault::usage(message).into());
    }
    let erased = actix_web::rt::System::new().block_on(async {
        let system = System::open(Options::new(data_dir.existing()?)).await?;
        let erased = erase(&system, &who).await;
        let settled = system.settled().await;
        system.stop(GRACE).await;
        settled.context("the person is erased from the log, but the read models could not follow")?;
        erased
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

async fn erase(system: &System, who: &str) -> anyhow::Result<Erased> {
    let contact = match who.parse::<ContactId>() {
        Ok(id) => Some(id),
        Err(_) => system.engine.resolve(who).await?,
    };
    let erased = match contact {
        Some(contact) => system.engine.erase_contact(contact).await,
        None => Err(EngineError::NotFound),
    };
    erased.map_err(|error| match error {
        EngineError::NotFound => Fault::usage(format!("nobody has the key `{who}`")).into(),
        error => error.into(),
    })
}
