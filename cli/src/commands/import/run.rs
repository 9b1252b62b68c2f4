//! The course of an import.

use std::{process::ExitCode, sync::Arc, time::Duration};

use mainspring_actors::{Clock, ManualClock, SystemClock, contact::Policy};
use mainspring_schemas::{Timestamp, definition::BucketDefinition};

use super::{
    Args, ClockChoice,
    feed::{Fed, Feed},
    file::{BadLine, History},
    summary::Summary,
};
use crate::{
    compose::{DataDir, Options, System},
    exit::{Fault, Reason},
    interrupt::Interrupt,
    output,
    progress::Progress,
};

/// How long stopping may take beyond what must be written.
const GRACE: Duration = Duration::from_secs(5);

/// How often a back-fill is looked at.
const GLANCE: Duration = Duration::from_millis(20);

/// What is to be done.
struct Task {
    args: Args,
    history: History,
    /// Records that count, from the beginning of `history.records`.
    wanted: usize,
    until: Option<Timestamp>,
    interrupt: Interrupt,
}

/// How far an import got.
enum Course {
    Through(Fed),
    Interrupted(u64),
}

/// Runs the command.
pub fn run(args: Args) -> anyhow::Result<ExitCode> {
    let interrupt = Interrupt::watch(Reason::Interrupted)?;
    let definitions = args.definitions.load()?;
    let history = History::open(&args.file, args.format, &args.map, args.clock)?;
    report(&history.bad, args.max_errors);
    if history.bad.len() as u64 > args.max_errors {
        let (bad, allowed) = (history.bad.len(), args.max_errors);
        let message =
            format!("{bad} unusable lines, {allowed} are allowed (--max-errors): nothing was imported");
        return Err(Fault::new(Reason::Failed, message).into());
    }
    let until = args.until.or_else(|| history.newest());
    let counts = |at: Option<Timestamp>| until.is_none_or(|until| at.is_none_or(|at| at <= until));
    let wanted = history.records.partition_point(|(at, _)| counts(*at));
    let policy = args.identity.policy()?;
    let data = args.data_dir.create()?;
    let task = Task { args, history, wanted, until, interrupt };
    actix_web::rt::System::new().block_on(import(task, data, definitions, policy))
}

async fn import(
    task: Task,
    data: DataDir,
    definitions: Option<Vec<BucketDefinition>>,
    policy: Policy,
) -> anyhow::Result<ExitCode> {
    // On the data's clock nothing happens before the first record.
    let manual = Arc::new(ManualClock::new(task.history.oldest().unwrap_or_default()));
    let clock: Arc<dyn Clock> = match task.args.clock {
        ClockChoice::Events => Arc::clone(&manual) as _,
        ClockChoice::Wall => Arc::new(SystemClock::default()),
    };
    let shards = task.args.shards.map(usize::from);
    let system = System::open(Options { definitions, policy, clock, shards, ..Options::new(data) }).await?;
    let course = course(&task, &system, &manual).await;
    let outcome = match course {
        Ok(Course::Through(fed)) => through(&task, &system, &fed).await,
        Ok(Course::Interrupted(records)) => {
            let wanted = task.wanted;
            output::notice(format_args!(
                "interrupted: {records} of {wanted} records are in; run the same command again to go on"
            ));
            Ok(Reason::Interrupted.into())
        }
        Err(error) => Err(error),
    };
    system.stop(GRACE).await;
    outcome
}

async fn course(task: &Task, system: &System, manual: &ManualClock) -> anyhow::Result<Course> {
    while system.engine.buckets().is_building() {
        if task.interrupt.is_wanted() {
            return Ok(Course::Interrupted(0));
        }
        tokio::time::sleep(GLANCE).await;
    }
    let mut feed = Feed::new(&system.engine, &task.history, task.args.clock);
    let mut bar = Progress::new("import", task.wanted as u64, task.args.json);
    for (at, place) in task.history.records.iter().take(task.wanted) {
        if task.interrupt.is_wanted() {
            drop(bar);
            return Ok(Course::Interrupted(feed.finish().await?.imported));
        }
        feed.push(*at, *place).await?;
        bar.set(feed.done(), task.wanted as u64);
    }
    let fed = feed.finish().await?;
    drop(bar);
    let Some(until) = task.until.filter(|_| task.args.clock == ClockChoice::Events) else {
        return Ok(Course::Through(fed));
    };
    manual.advance_to(until);
    let total = system.read_models.contact_total()?;
    let mut bar = Progress::new("timers", total, task.args.json);
    let mut interrupt = task.interrupt.clone();
    tokio::select! {
        advanced = system.engine.advance(until, |looked| bar.set(looked, total.max(looked))) => {
            advanced?;
            Ok(Course::Through(fed))
        }
        () = interrupt.wanted() => Ok(Course::Interrupted(fed.imported)),
    }
}

async fn through(task: &Task, system: &System, fed: &Fed) -> anyhow::Result<ExitCode> {
    system.settled().await?;
    Summary::of(fed.imported, &system.read_models)?.show(task.args.json)?;
    if fed.repeated > 0 {
        output::notice(format_args!("{} records had been imported before", fed.repeated));
    }
    report(&fed.refused, task.args.max_errors);
    let bad = task.history.bad.len() + fed.refused.len();
    if bad == 0 {
        return Ok(ExitCode::SUCCESS);
    }
    output::notice(format_args!("{bad} lines were left out"));
    Ok(Reason::Failed.into())
}

/// Shows unusable lines, not more than are allowed.
fn report(bad: &[BadLine], most: u64) {
    let most = usize::try_from(most).unwrap_or(usize::MAX);
    for line in bad.iter().take(most.max(1)) {
        output::notice(line);
    }
    if bad.len() > most.max(1) {
        output::notice(format_args!("and {} more", bad.len() - most.max(1)));
    }
}
