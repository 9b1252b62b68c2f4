//! `mainspring stream`: the history of one actor, a line per record with its time and cause (OC-71).

mod find;
mod words;

pub use find::contact as contact_named;

use std::process::ExitCode;

use mainspring_eventlog::{Recorded, sealing::KeyState};
use mainspring_schemas::{
    StreamName,
    codec::DecodeError,
    event::{
        AccessEvent, AuditEvent, BucketEvent, ContactEvent, DeliveryEvent, DomainEvent, EndpointEvent,
        IdentityEvent, SourceSecretEvent,
    },
};
use serde_json::{Value, json};

use super::places::DataDirArgument;
use crate::{compose::opened_log::OpenedLog, exit::Fault, output};

/// Records read at a time.
const PAGE: usize = 1024;

/// Shows the history of one actor. The server must not be running.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
WHO is a contact by its id or any key it has (user id, address, anonymous id), a bucket as `bucket:ID`, an endpoint as
`endpoint:ID`, or any stream by its name, such as `deliveries-<endpoint id>`, `access-keys` or `audit`.
Secrets are never shown.

Examples:
  mainspring stream anna@example.com
  mainspring stream bucket:power-users --json
  mainspring stream u-17 --last 20")]
pub struct Args {
    /// Whose history
    who: String,
    /// The first version to show
    #[arg(long, value_name = "VERSION", default_value_t = 0)]
    from: u64,
    /// Only the newest records
    #[arg(long, value_name = "N", conflicts_with = "from")]
    last: Option<usize>,
    #[command(flatten)]
    data_dir: DataDirArgument,
    /// One JSON document per record
    #[arg(long)]
    json: bool,
}

/// Runs the command.
pub fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let data = args.data_dir.existing()?;
    let shown = actix_web::rt::System::new().block_on(async {
        let opened = data.open_log().await?;
        let secret = data.identity_secret(opened.recovery.records)?;
        let stream = find::stream(&args.who, &opened.log, &secret).await?;
        let shown = show(&opened, &stream, args).await;
        opened.raw.close();
        shown
    });
    shown.map(|()| ExitCode::SUCCESS)
}

async fn show(opened: &OpenedLog, stream: &StreamName, args: &Args) -> anyhow::Result<()> {
    let log = &opened.log;
    if let Some(last) = args.last {
        let mut records = log.read_stream_back(stream, None, last).await?;
        records.reverse();
        return records.iter().try_for_each(|record| line(opened, record, args.json));
    }
    let mut next = args.from;
    loop {
        let records = log.read_stream(stream, next, PAGE).await?;
        records.iter().try_for_each(|record| line(opened, record, args.json))?;
        match records.last() {
            Some(last) if records.len() == PAGE => next = last.version + 1,
            Some(_) => return Ok(()),
            None if next == args.from => {
                return Err(Fault::usage(format!("there is nothing in {}", stream.as_str())).into());
            }
            None => return Ok(()),
        }
    }
}

fn decode(record: &Recorded) -> Result<DomainEvent, DecodeError> {
    let Recorded { event_type, schema_version: version, payload, .. } = record;
    Ok(match record.stream.category() {
        "contact" => DomainEvent::Contact(ContactEvent::decode(event_type, *version, payload)?),
        "bucket" => DomainEvent::Bucket(BucketEvent::decode(event_type, *version, payload)?),
        "identity" => DomainEvent::Identity(IdentityEvent::decode(event_type, *version, payload)?),
        "endpoint" => DomainEvent::Endpoint(EndpointEvent::decode(event_type, *version, payload)?),
        "deliveries" => DomainEvent::Delivery(DeliveryEvent::decode(event_type, *version, payload)?),
        "source" => DomainEvent::SourceSecret(SourceSecretEvent::decode(event_type, *version, payload)?),
        "audit" => DomainEvent::Audit(AuditEvent::decode(event_type, *version, payload)?),
        _ => DomainEvent::Access(AccessEvent::decode(event_type, *version, payload)?),
    })
}

fn line(opened: &OpenedLog, record: &Recorded, as_json: bool) -> anyhow::Result<()> {
    let event = decode(record)?;
    let erased = match record.sealed_with {
        Some(key) => opened.data_keys.find(key)? == KeyState::Destroyed,
        None => false,
    };
    let members = members(&event)?;
    if !as_json {
        // An instant that was due while nobody looked is older than its record.
        let recorded = record.recorded_at.to_string();
        let at = members.get("at").and_then(Value::as_str).unwrap_or(&recorded);
        let told = match erased {
            // Of a transition everything that is told is still there.
            true if !is_transition(&event) => format!("{} (erased)", record.event_type),
            _ => words::tell(&event),
        };
        let late = if at == recorded { String::new() } else { format!(" (recorded {recorded})") };
        output::data(format_args!("{:>6}  {at}  {}{late}", record.version, told));
        return Ok(());
    }
    output::document(&json!({
        "position": record.position,
        "stream": record.stream.as_str(),
        "version": record.version,
        "recordedAt": record.recorded_at,
        "id": record.id,
        "type": record.event_type,
        "schemaVersion": record.schema_version,
        "causation": record.causation,
        "trace": record.trace,
        "wakeAt": record.wake_at,
        "definitions": record.definitions,
        "sealedWith": record.sealed_with,
        "erased": erased,
        "event": masked(members),
    }))
}

fn is_transition(event: &DomainEvent) -> bool {
    use ContactEvent::{BucketDwelled, BucketEntered, BucketLeft};
    matches!(event, DomainEvent::Contact(BucketEntered(_) | BucketLeft(_) | BucketDwelled(_)))
}

/// The event's own members.
fn members(event: &DomainEvent) -> serde_json::Result<Value> {
    macro_rules! any {
        ($event:expr, $family:ident: $($variant:ident)+) => {
            match $event { $($family::$variant(event) => serde_json::to_value(event),)+ }
        };
    }
    match event {
        DomainEvent::Contact(event) => any!(event, ContactEvent: Created KeysAttached PropertiesChanged Seen
            EventRecorded BucketEntered BucketLeft BucketDwelled BucketDeadline DwellPlanned Reacted Announced MergedInto
            Absorbed IdentityConflict Erased Deleted Restored Looked),
        DomainEvent::Bucket(event) => any!(event, BucketEvent: Defined Retired Switched BackfillStarted
            BackfillAdvanced BackfillCompleted CatchUpPlanned),
        DomainEvent::Identity(event) => any!(event, IdentityEvent: Claimed Released),
        DomainEvent::Endpoint(event) => {
            any!(event, EndpointEvent: Created Updated SecretRotated Disabled Enabled
            Deleted TestRequested)
        }
        DomainEvent::Delivery(event) => {
            any!(event, DeliveryEvent: Attempted Requeued Discarded RecoveryStarted Recovered
            RecoveryAdvanced RecoveryEnded LetterDiscarded Expired)
        }
        DomainEvent::Access(event) => any!(event, AccessEvent: Created Revoked),
        DomainEvent::SourceSecret(event) => any!(event, SourceSecretEvent: Stored),
        DomainEvent::Audit(event) => any!(event, AuditEvent: Acted),
    }
}

/// Without signing secrets and credentials of destinations (OB-86).
fn masked(value: Value) -> Value {
    match value {
        Value::Object(members) => members
            .into_iter()
            .map(|(key, value)| match (key.as_str(), &value) {
                ("secret" | "secret_url", Value::String(_)) | ("config" | "headers", Value::Object(_)) => {
                    (key, Value::from("***"))
                }
                _ => (key, masked(value)),
            })
            .collect(),
        Value::Array(values) => values.into_iter().map(masked).collect(),
        other => other,
    }
}
