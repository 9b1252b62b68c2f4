//! `mainspring keys`: API keys, on a data directory that no process uses (KY-04).

use std::{process::ExitCode, sync::Arc};

use anyhow::Context;
use mainspring_actors::{
    AccessKeys, SystemClock,
    access::{KeyInfo, NewKey},
    api::EngineError,
};
use mainspring_eventlog::EventLog;
use mainspring_schemas::{KeyId, Timestamp, event::access::Scope};
use serde_json::{Value, json};

use super::places::DataDirArgument;
use crate::{compose::DataDir, exit::Fault, instant, output};

/// Creates, lists and revokes API keys. The server must not be running.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  mainspring keys create --name shop --scopes ingest
  mainspring keys list
  mainspring keys revoke 0197b6c2-5a0e-7cc3-8a4e-3f1f6ad0b7f1")]
pub struct Args {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, clap::Subcommand)]
enum Action {
    /// Makes a key and prints it, this once
    #[command(
        after_help = "Example: mainspring keys create --name console --scopes read,ingest --expires 2027-01-01"
    )]
    Create {
        /// What it is for
        #[arg(long)]
        name: String,
        /// What it may do: read, journey-admin, full-admin, ingest
        #[arg(long, value_delimiter = ',', required = true, value_parser = scope)]
        scopes: Vec<Scope>,
        /// When it ends; never if absent
        #[arg(long, value_name = "INSTANT", value_parser = instant::argument)]
        expires: Option<Timestamp>,
        #[command(flatten)]
        data_dir: DataDirArgument,
        /// One JSON document
        #[arg(long)]
        json: bool,
    },
    /// Lists keys by their prefixes
    #[command(after_help = "Example: mainspring keys list --all --json")]
    List {
        /// Revoked ones too
        #[arg(long)]
        all: bool,
        #[command(flatten)]
        data_dir: DataDirArgument,
        /// One JSON document
        #[arg(long)]
        json: bool,
    },
    /// Ends a key for good
    #[command(after_help = "Example: mainspring keys revoke 0197b6c2-5a0e-7cc3-8a4e-3f1f6ad0b7f1")]
    Revoke {
        /// The key's id, as `list` shows it
        id: KeyId,
        #[command(flatten)]
        data_dir: DataDirArgument,
        /// One JSON document
        #[arg(long)]
        json: bool,
    },
}

fn scope(text: &str) -> Result<Scope, String> {
    let known = Scope::ALL.map(Scope::as_str);
    let found = Scope::ALL.into_iter().find(|scope| scope.as_str() == text.trim());
    found.ok_or_else(|| format!("expected one of {}", known.join(", ")))
}

fn document(key: &KeyInfo) -> Value {
    json!({
        "id": key.id, "name": key.name, "prefix": key.prefix, "scopes": key.scopes, "createdBy": key.created_by,
        "createdAt": key.created_at, "expiresAt": key.expires_at, "revokedAt": key.revoked_at,
    })
}

/// Runs the command.
pub fn run(args: Args) -> anyhow::Result<ExitCode> {
    actix_web::rt::System::new().block_on(async {
        match args.action {
            Action::Create { name, scopes, expires, data_dir, json } => {
                let new = NewKey { name, scopes, expires_at: expires, created_by: Some("cli".to_owned()) };
                create(&data_dir.create()?, new, json).await
            }
            Action::List { all, data_dir, json } => list(&data_dir.existing()?, all, json).await,
            Action::Revoke { id, data_dir, json } => revoke(&data_dir.existing()?, id, json).await,
        }
    })?;
    Ok(ExitCode::SUCCESS)
}

async fn open(data: &DataDir) -> anyhow::Result<AccessKeys> {
    let (log, recovery) = data.open_sealed_log()?;
    // The first record of a data directory must not come before its secret.
    data.identity_secret(recovery.records)?;
    let log: Arc<dyn EventLog> = log;
    AccessKeys::open(log, Arc::new(SystemClock::default())).await.context("the keys cannot be read")
}

async fn create(data: &DataDir, new: NewKey, json: bool) -> anyhow::Result<()> {
    if new.name.trim().is_empty() {
        return Err(Fault::usage("--name: say what the key is for").into());
    }
    let created = open(data).await?.create(new).await?;
    if json {
        let mut document = document(&created.info);
        document["key"] = json!(created.key);
        return output::document(&document);
    }
    output::notice(format_args!("key {} made; it is shown this once:", created.info.id));
    output::data(created.key);
    Ok(())
}

async fn list(data: &DataDir, all: bool, json: bool) -> anyhow::Result<()> {
    let keys = open(data).await?.list(all);
    if json {
        return output::document(&keys.iter().map(document).collect::<Vec<_>>());
    }
    let instant = |at: Option<Timestamp>| at.map_or_else(|| "-".to_owned(), |at| at.to_string());
    let rows = keys.iter().map(|key| {
        let scopes: Vec<&str> = key.scopes.iter().map(|scope| scope.as_str()).collect();
        [
            key.id.to_string(),
            key.prefix.clone(),
            key.name.clone(),
            scopes.join(","),
            key.created_at.to_string(),
            instant(key.expires_at),
            instant(key.revoked_at),
        ]
    });
    output::table(["ID", "PREFIX", "NAME", "SCOPES", "CREATED", "EXPIRES", "REVOKED"], rows);
    Ok(())
}

async fn revoke(data: &DataDir, id: KeyId, json: bool) -> anyhow::Result<()> {
    match open(data).await?.revoke(id).await {
        Ok(()) if json => output::document(&json!({ "id": id, "revoked": true })),
        Ok(()) => {
            output::notice(format_args!("key {id} is revoked"));
            Ok(())
        }
        Err(EngineError::NotFound) => {
            anyhow::bail!("no key {id} is in force; `mainspring keys list` shows them")
        }
        Err(error) => Err(error.into()),
    }
}
