//! `mainspring at`: what was true at a past instant, from the log alone.

use std::process::ExitCode;

use mainspring_actors::history::{Member, Members, bucket_at, contact_event};
use mainspring_eventlog::EventLog;
use mainspring_schemas::{BucketId, ContactId, Timestamp};
use serde_json::{Value, json};

use super::{past::each_record, places::DataDirArgument};
use crate::{exit::Fault, instant, interrupt::Interrupt, output, progress::Progress};

/// Shows what was true at a past instant. The server must not be running.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Read from the log alone. A transition counts from the instant it was decided for: what fell due while the server was down
is true from its due instant on.

Examples:
  mainspring at 2026-06-01T12:00:00Z members power-users
  mainspring at 2026-06-01 members power-users --count")]
pub struct Args {
    /// The instant
    #[arg(value_name = "INSTANT", value_parser = instant::argument)]
    instant: Timestamp,
    #[command(subcommand)]
    question: Question,
}

#[derive(Debug, clap::Subcommand)]
enum Question {
    /// Who was a member of a bucket
    Members(MembersArgs),
}

#[derive(Debug, clap::Args)]
struct MembersArgs {
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
pub fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let Question::Members(question) = &args.question;
    let bucket = BucketId::new(&question.bucket)
        .map_err(|_| Fault::usage(format!("`{}` is no id of a bucket", question.bucket)))?;
    let data = question.data_dir.existing()?;
    let (log, _) = data.open_log()?;
    Interrupt::end_at_once("nothing was changed")?;
    let found = actix_web::rt::System::new().block_on(async {
        // It never existed if nothing was ever written, not if nothing was written by then.
        if bucket_at(&*log, &bucket, Timestamp(i64::MAX)).await?.version.is_none() {
            return Err(Fault::usage(format!("there never was a bucket `{bucket}`")).into());
        }
        let mut members = Members::new(bucket.clone(), args.instant);
        let mut bar = Progress::new("log", log.durable_end(), question.json);
        each_record(&*log, &mut bar, |record| {
            if let Some(contact) =
                record.stream.contact_id().filter(|_| Members::concerns(&record.event_type))
            {
                members.tell(contact, &contact_event(record)?);
            }
            Ok(())
        })
        .await?;
        anyhow::Ok(members)
    });
    log.close();
    show(args.instant, &bucket, question, found?)?;
    Ok(ExitCode::SUCCESS)
}

fn show(at: Timestamp, bucket: &BucketId, args: &MembersArgs, members: Members) -> anyhow::Result<()> {
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
