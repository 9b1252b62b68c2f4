//! Who was a member of a bucket.

use mainspring_actors::history::{Member, Members, bucket_at, contact_event};
use mainspring_eventlog::EventLog;
use mainspring_schemas::{BucketId, ContactId, Timestamp};
use serde_json::{Value, json};

use crate::{
    commands::{past::each_record, places::DataDirArgument},
    exit::Fault,
    interrupt::Interrupt,
    output,
    progress::Progress,
};

/// Who was a member of a bucket
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The bucket's id
    bucket: String,
    #[command(flatten)]
    data_dir: DataDirArgument,
    /// One JSON document; progress as NDJSON on stderr
    #[arg(long)]
    json: bool,
    /// Only how many there were
    #[arg(long)]
    count: bool,
}

/// Runs the command.
pub fn run(at: Timestamp, args: &Args) -> anyhow::Result<()> {
    let bucket = BucketId::new(&args.bucket)
        .map_err(|_| Fault::usage(format!("`{}` is no id of a bucket", args.bucket)))?;
    let data = args.data_dir.existing()?;
    Interrupt::end_at_once("nothing was changed")?;
    let found = actix_web::rt::System::new().block_on(async {
        let opened = data.open_log().await?;
        let found = find(&*opened.log, &bucket, at, args.json).await;
        opened.raw.close();
        found
    });
    show(at, &bucket, args, found?)
}

async fn find(log: &dyn EventLog, bucket: &BucketId, at: Timestamp, json: bool) -> anyhow::Result<Members> {
    // It never existed if nothing was ever written, not if nothing was written by then.
    if bucket_at(log, bucket, Timestamp(i64::MAX)).await?.version.is_none() {
        return Err(Fault::usage(format!("there never was a bucket `{bucket}`")).into());
    }
    let mut members = Members::new(bucket.clone(), at);
    let mut bar = Progress::new("log", log.durable_end(), json);
    each_record(log, &mut bar, |record| {
        if let Some(contact) = record.stream.contact_id().filter(|_| Members::concerns(&record.event_type)) {
            members.tell(contact, &contact_event(record)?);
        }
        Ok(())
    })
    .await?;
    Ok(members)
}

fn show(at: Timestamp, bucket: &BucketId, args: &Args, members: Members) -> anyhow::Result<()> {
    let total = members.len();
    let members = if args.count { Vec::new() } else { members.into_sorted() };
    if args.json {
        let mut document = json!({"at": at, "bucket": bucket, "total": total});
        if !args.count {
            document["members"] = members.iter().map(member).collect();
        }
        return output::document(&document);
    }
    if args.count {
        output::data(total);
        return Ok(());
    }
    let rows = members.iter().map(|(contact, member)| {
        let Member { user_id, user_email, entered_at, entry_count, .. } = member;
        let email = user_email.as_ref().map(ToString::to_string).unwrap_or_default();
        [contact.to_string(), user_id.to_string(), email, entered_at.to_string(), entry_count.to_string()]
    });
    output::table(["CONTACT", "USER", "EMAIL", "SINCE", "STAY"], rows);
    output::notice(format_args!("{total} members of {bucket} at {at}"));
    Ok(())
}

fn member((contact, member): &(ContactId, Member)) -> Value {
    let mut document = json!(member);
    document["contactId"] = json!(contact);
    document
}
