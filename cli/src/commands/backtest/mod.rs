//! `mainspring backtest`: a definition tried on the whole history.

mod chart;
mod show;

use std::{path::PathBuf, process::ExitCode};

use mainspring_actors::{
    backtest::{Backtest, Period, Report},
    bucket::BucketState,
    history::bucket_at,
};
use mainspring_eventlog::EventLog;
use mainspring_schemas::{ContactId, Timestamp, definition::BucketDefinition, event::ContactEvent};
use serde_json::{Value, json};

use super::{past::each_record, places::DataDirArgument};
use crate::{definitions, exit::Fault, instant, interrupt::Interrupt, output, progress::Progress};

/// Runs a new or changed bucket over the recorded history, writing nothing. The server must not be running.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Shows who would have joined and left, and when, had the definition been in force from the first record on: members per
day, and who differs at the end from the definition in force of the same id. Membership is decided by the engine's own
rules on the history's own clock: what depends on time happens on time, however late the server once was.

Reactions of the definition do not run: what they would have caused is not part of the history. A value that was sent
again without a change left no record, so it decides nothing here. A definition that is switched off is tried as if it
were on.

Examples:
  mainspring backtest --definition definitions/power-users.yaml
  mainspring backtest --definition new.yaml --from 2026-01-01 --until 2026-06-01 --json
  mainspring backtest --definition new.yaml --json --events > transitions.ndjson")]
pub struct Args {
    /// The file with the definition
    #[arg(long, value_name = "FILE")]
    definition: PathBuf,
    /// Which definition, if the file holds several
    #[arg(long, value_name = "ID")]
    bucket: Option<String>,
    /// What happens earlier is not shown; who is a member then is the initial population
    #[arg(long, value_name = "INSTANT", value_parser = instant::argument)]
    from: Option<Timestamp>,
    /// The last instant; also timers due until then fire [default: that of the newest record]
    #[arg(long, value_name = "INSTANT", value_parser = instant::argument)]
    until: Option<Timestamp>,
    /// How many contacts to name of those that differ at the end, either way
    #[arg(long, value_name = "N", default_value_t = 20)]
    differences: usize,
    #[command(flatten)]
    data_dir: DataDirArgument,
    /// One JSON document; progress as NDJSON on stderr
    #[arg(long)]
    json: bool,
    /// Also every transition, one JSON document per line, before the last one
    #[arg(long, requires = "json")]
    events: bool,
}

/// Runs the command.
pub fn run(args: &Args) -> anyhow::Result<ExitCode> {
    if let (Some(from), Some(until)) = (args.from, args.until)
        && until < from
    {
        return Err(Fault::usage("--until must not be before --from").into());
    }
    let definition = definition(args)?;
    let data = args.data_dir.existing()?;
    Interrupt::end_at_once("nothing was changed; run the same command to start over")?;
    let found = actix_web::rt::System::new().block_on(async {
        let opened = data.open_log().await?;
        let found = replay(&*opened.log, &definition, args).await;
        opened.raw.close();
        found
    });
    let (report, in_force) = found?;
    let in_force = InForce::of(&in_force, &definition);
    if args.json {
        let mut document = json!({
            "definition": definition, "criteriaHash": definition.criteria_hash(),
            "inForce": in_force.map(|in_force| in_force.document()), "reactions": "not run",
        });
        if let (Value::Object(document), Value::Object(report)) = (&mut document, json!(report)) {
            document.extend(report);
        }
        output::document(&document)?;
    } else {
        show::report(&definition, in_force.as_ref(), &report);
    }
    Ok(ExitCode::SUCCESS)
}

/// The one definition that is meant.
fn definition(args: &Args) -> anyhow::Result<BucketDefinition> {
    let loaded = definitions::read(std::slice::from_ref(&args.definition))?;
    loaded.issues.iter().for_each(output::notice);
    match loaded.errors() {
        0 => {}
        errors => return Err(Fault::usage(format!("{errors} errors in the definition")).into()),
    }
    let ids: Vec<String> = loaded.definitions.iter().map(|definition| definition.id.to_string()).collect();
    let mut wanted = loaded.definitions.into_iter();
    let found = match &args.bucket {
        Some(bucket) => wanted.find(|definition| definition.id.as_str() == bucket),
        None => wanted.next().filter(|_| ids.len() == 1),
    };
    found.ok_or_else(|| {
        let message = format!("name one of the definitions with --bucket: {}", ids.join(", "));
        Fault::usage(message).into()
    })
}

async fn replay(
    log: &dyn EventLog,
    definition: &BucketDefinition,
    args: &Args,
) -> anyhow::Result<(Report, BucketState)> {
    let period = Period { from: args.from, until: args.until };
    let mut backtest = Backtest::new(definition.clone(), period);
    let mut tell = |contact: ContactId, event: &ContactEvent| {
        if args.events {
            output::data(transition(contact, event));
        }
    };
    let mut bar = Progress::new("backtest", log.durable_end(), args.json);
    each_record(log, &mut bar, |record| Ok(backtest.record(record, &mut tell)?)).await?;
    let report = backtest.finish(args.differences, &mut tell);
    let in_force = bucket_at(log, &definition.id, report.until).await?;
    Ok((report, in_force))
}

fn transition(contact: ContactId, event: &ContactEvent) -> Value {
    match event {
        ContactEvent::BucketEntered(entered) => json!({
            "transition": "entered", "at": entered.at, "contactId": contact, "userId": entered.user_key,
            "userEmail": entered.email, "entryCount": entered.epoch, "source": entered.source,
            "announced": entered.announced,
        }),
        ContactEvent::BucketLeft(left) => json!({
            "transition": "left", "at": left.at, "contactId": contact, "userId": left.user_key,
            "userEmail": left.email, "entryCount": left.epoch, "source": left.source, "reason": left.reason,
            "enteredAt": left.entered_at, "announced": left.announced,
        }),
        _ => Value::Null,
    }
}

/// The definition in force under the same id, at the end of the period.
pub struct InForce {
    /// Digest of its criteria (BK-181).
    pub criteria_hash: String,
    /// Since when contacts are decided by them.
    pub since: Timestamp,
    /// Whether it decides anything.
    pub enabled: bool,
    /// Whether the criteria are those under test.
    pub same_criteria: bool,
}

impl InForce {
    fn of(state: &BucketState, tested: &BucketDefinition) -> Option<Self> {
        let (_, since) = state.activated.filter(|_| !state.retired)?;
        Some(Self {
            criteria_hash: state.criteria_hash.clone(),
            since,
            enabled: state.enabled(),
            same_criteria: state.criteria_hash == tested.criteria_hash(),
        })
    }

    fn document(&self) -> Value {
        json!({
            "criteriaHash": self.criteria_hash, "since": self.since, "enabled": self.enabled,
            "sameCriteria": self.same_criteria,
        })
    }
}
