//! `mainspring bench`: each figure beside the floor that was measured in the same run.
//!
//! Absolute figures wander with the machine; the ratio to a floor does not. A floor does the part of the work that no
//! engine could leave out, with the same server, the same sizes and the same syncs, and nothing else.

mod absence;
mod batch;
mod cpu;
mod deliver;
mod durable;
mod edge;
mod floor;
mod idle;
mod ingest;
mod latency;
mod load;
mod pace;
mod people;
mod place;
mod populate;
mod rebuild;
mod receiver;
mod report;
mod sealing;
mod world;

use std::{path::PathBuf, process::ExitCode, time::Duration};

use self::{
    absence::Scene,
    edge::Course,
    place::Place,
    report::{Machine, Part},
};
use crate::{exit::Fault, interrupt::Interrupt, output};

/// Measures the engine on this machine, each figure beside its floor.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
The load comes from this process too, so it shares the cores with what is measured; the floors pay the same price.

Examples:
  mainspring bench ingest --connections 64 --seconds 10
  mainspring bench all --json")]
pub struct Args {
    /// What to measure
    #[arg(value_enum, default_value = "all")]
    what: What,
    /// How often `ingest` and `batch` are measured, floors and engine in turn; the median counts
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u64).range(1..=100))]
    rounds: u64,
    /// How long each measurement lasts
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u64).range(1..=3600))]
    seconds: u64,
    /// Connections of the load
    #[arg(long, value_delimiter = ',', default_value = "16,64,256", value_parser = connections)]
    connections: Vec<usize>,
    /// Contacts of `idle` and `absence` [default: 1000000, in `all` 200000]
    #[arg(long)]
    contacts: Option<u64>,
    /// Contacts of `absence` that fall due in its window [default: a twentieth of them]
    #[arg(long)]
    due: Option<u64>,
    /// How long the window of `absence` is, and each of its loads [default: 60, in `all` 10]
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..=600))]
    window_seconds: Option<u64>,
    /// Least records of `idle` and `rebuild` [default: what the contacts make, and 500000]
    #[arg(long)]
    records: Option<u64>,
    /// Webhooks that wait for the memory figure of `deliver` [default: 1000000, in `all` 200000]
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..=100_000_000))]
    queued: Option<u64>,
    /// Events per second of `latency`
    #[arg(long, default_value_t = 200, value_parser = clap::value_parser!(u64).range(1..=20_000))]
    rate: u64,
    /// One JSON document
    #[arg(long)]
    json: bool,
    /// Where to make a directory for the data, on a disk; it is removed at the end [env: TMPDIR] [default: .]
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
}

impl Args {
    /// What is usual for a part by itself, or beside everything else.
    fn usual(&self, (alone, beside): (u64, u64)) -> u64 {
        if self.what == What::All { beside } else { alone }
    }

    fn contacts(&self) -> u64 {
        self.contacts.unwrap_or_else(|| self.usual(CONTACTS))
    }

    /// The scene of `absence`.
    fn scene(&self) -> anyhow::Result<Scene> {
        let contacts = self.contacts();
        Ok(Scene {
            contacts: usize::try_from(contacts)?,
            due: usize::try_from(self.due.unwrap_or(contacts / 20))?,
            window: Duration::from_secs(self.window_seconds.unwrap_or_else(|| self.usual(WINDOW))),
        })
    }
}

/// What can be measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum What {
    /// One event per request
    Ingest,
    /// A hundred events per request
    Batch,
    /// Making the read models anew
    Rebuild,
    /// Webhooks
    Deliver,
    /// From an event to its webhook
    Latency,
    /// What sealing personal payloads costs
    Sealing,
    /// Memory, and the time to start
    Idle,
    /// How late the clock is when many fall due at once
    Absence,
    /// Everything
    All,
}

impl What {
    /// Memory comes first, while the process has used none.
    const PARTS: [Self; 8] = [
        Self::Idle,
        Self::Absence,
        Self::Ingest,
        Self::Batch,
        Self::Sealing,
        Self::Rebuild,
        Self::Deliver,
        Self::Latency,
    ];
}

/// Events of one batch.
const BATCH: usize = 100;

/// Contacts of `idle` and `absence` by themselves, and beside everything else.
const CONTACTS: (u64, u64) = (1_000_000, 200_000);

/// Webhooks that wait in `deliver` by itself, and beside everything else.
const QUEUED: (u64, u64) = (1_000_000, 200_000);

/// Seconds of the window of `absence` by itself, and beside everything else.
const WINDOW: (u64, u64) = (60, 10);

/// Records of `rebuild`.
const REBUILD_RECORDS: u64 = 500_000;

fn connections(text: &str) -> Result<usize, String> {
    let number = text.trim().parse().ok().filter(|number| (1..=10_000).contains(number));
    number.ok_or_else(|| "expected whole numbers from 1 to 10000, such as 16,64,256".to_owned())
}

/// Runs the command.
pub fn run(args: Args) -> anyhow::Result<ExitCode> {
    let place = Place::make(args.data_dir.as_deref())?;
    Interrupt::end_at_once("the directory of the measurement is left behind and can be deleted")?;
    let parts = if args.what == What::All { What::PARTS.to_vec() } else { vec![args.what] };
    let machine = Machine::now(place.path());
    if !args.json {
        machine.show();
    }
    let mut measured = Vec::with_capacity(parts.len());
    for what in parts {
        let part = measure(what, &args, &place)?;
        if !args.json {
            part.show();
        }
        measured.push(part);
    }
    if args.json {
        output::document(&report::document(&measured, &machine))?;
    }
    Ok(ExitCode::SUCCESS)
}

/// One part, in an actor system of its own, so that nothing of it is left when the next one begins.
fn measure(what: What, args: &Args, place: &Place) -> anyhow::Result<Part> {
    let time = Duration::from_secs(args.seconds);
    let course = Course { time, rounds: usize::try_from(args.rounds)? };
    let runner = actix_web::rt::System::new();
    let part = runner.block_on(async {
        match what {
            What::Ingest => ingest::measure(place, &args.connections, course).await,
            What::Batch => batch::measure(place, &args.connections, course, BATCH).await,
            What::Sealing => sealing::measure(place, course, BATCH).await,
            What::Rebuild => rebuild::measure(place, args.records.unwrap_or(REBUILD_RECORDS)).await,
            What::Deliver => {
                let queued = args.queued.unwrap_or_else(|| args.usual(QUEUED));
                deliver::measure(place, time, usize::try_from(queued)?).await
            }
            What::Latency => latency::measure(place, time, args.rate).await,
            What::Idle => idle::measure(place, args.contacts(), args.records).await,
            What::Absence => absence::measure(place, args.scene()?).await,
            What::All => Err(Fault::usage("one part at a time").into()),
        }
    });
    actix_web::rt::System::current().stop();
    runner.run()?;
    part
}
