//! `mainspring demo`: the whole system in one process, made-up customers in front of it and a receiver behind it.
//!
//! ```text
//!  visitors (HTTP) --> server --> engine --> log --> read models --> outbound worker --> receiver (verifies)
//!                                                         '--> screen
//! ```

mod figures;
mod receiver;
mod screen;
mod shop;
mod visitors;

use std::{
    net::{SocketAddr, TcpListener},
    path::PathBuf,
    process::ExitCode,
    sync::Arc,
    time::{Duration, Instant},
};

use actix_web::web::Data;
use anyhow::Context;
use mainspring_actors::{access::NewKey, entropy::Entropy};
use mainspring_http::{AppState, Settings as HttpSettings, identify::TokenKeys};
use mainspring_outbound::{destination::Registry, secret::Key, settings::Settings as OutboundSettings};
use mainspring_schemas::{
    definition::{BucketDefinition, assemble},
    event::{access::Scope, endpoint::EndpointSettings},
};

use self::{figures::Figures, receiver::Receiver, screen::Screen, shop::Shop, visitors::Target};
use crate::{
    compose::{
        DataDir, Options, System,
        destinations::{described, registered},
    },
    exit::{Fault, Reason},
    interrupt::Interrupt,
    output,
};

/// How long deliveries have to arrive once the customers are gone.
const DRAIN: Duration = Duration::from_secs(5);

/// How often somebody who waits looks.
const GLANCE: Duration = Duration::from_millis(20);

/// The example definitions, part of the binary so that the demo needs no files.
const DEFINITIONS: [(&str, &str); 6] = [
    ("at-risk.yaml", include_str!("../../../../examples/demo/at-risk.yaml")),
    ("high-value.json", include_str!("../../../../examples/demo/high-value.json")),
    ("power-users.yaml", include_str!("../../../../examples/demo/power-users.yaml")),
    ("pro-plan.yaml", include_str!("../../../../examples/demo/pro-plan.yaml")),
    ("trial-not-activated.yaml", include_str!("../../../../examples/demo/trial-not-activated.yaml")),
    ("went-dormant.yaml", include_str!("../../../../examples/demo/went-dormant.yaml")),
];

/// Shows the engine at work on a made-up shop.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Everything runs in this process, on 127.0.0.1: the server, a receiver that verifies every webhook, and the customers. The
data directory is temporary unless one is named.

Examples:
  mainspring demo
  mainspring demo --rate 2000 --duration 30 --json")]
pub struct Args {
    /// Events per second
    #[arg(long, default_value_t = 200, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    rate: u32,
    /// Seconds after which it ends by itself
    #[arg(long, value_name = "SECONDS")]
    duration: Option<u64>,
    /// Where the server listens
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:0")]
    listen: SocketAddr,
    /// A data directory to keep
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
    /// The summary as one JSON document
    #[arg(long)]
    json: bool,
}

/// Runs the command.
pub fn run(args: Args) -> anyhow::Result<ExitCode> {
    let interrupt = Interrupt::watch(Reason::Interrupted)?;
    let temporary = std::env::temp_dir().join(format!("mainspring-demo-{}", std::process::id()));
    let directory = args.data_dir.clone().unwrap_or_else(|| temporary.clone());
    let outcome = DataDir::create(&directory)
        .and_then(|data| actix_web::rt::System::new().block_on(demonstrate(&args, data, interrupt)));
    if args.data_dir.is_none()
        && let Err(error) = std::fs::remove_dir_all(&temporary)
    {
        output::notice(format_args!("{} cannot be removed: {error}", temporary.display()));
    }
    outcome.map(|()| ExitCode::SUCCESS)
}

fn definitions() -> anyhow::Result<Vec<BucketDefinition>> {
    let files: Vec<(String, String)> =
        DEFINITIONS.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect();
    let (definitions, issues) = assemble(files);
    match issues.iter().find(|issue| issue.is_error()) {
        Some(issue) => Err(anyhow::anyhow!("{issue}")),
        None => Ok(definitions),
    }
}

/// Deliveries may go to this machine, and nowhere else is asked for.
fn outbound() -> OutboundSettings {
    let mut settings = OutboundSettings::default();
    settings.policy.allow_http = true;
    settings.policy.allow_private = true;
    settings
}

fn listen(address: SocketAddr) -> anyhow::Result<TcpListener> {
    let message = format!("{address} cannot be listened on: choose another one with --listen");
    TcpListener::bind(address).with_context(|| Fault::new(Reason::InUse, message))
}

/// Tells the engine about the receiver, and the receiver its secret.
async fn subscribe(system: &System, receiver: &Receiver, address: SocketAddr) -> anyhow::Result<()> {
    let settings = EndpointSettings {
        url: format!("http://{address}/"),
        description: Some("The demo's own receiver".to_owned()),
        event_types: vec!["bucket.*".to_owned(), "contact.*".to_owned()],
        kind: "webhook".to_owned(),
        ..EndpointSettings::default()
    };
    let (_, secret) = system.engine.endpoints().create(settings, false).await?;
    let secret = secret.context("the endpoint has no secret")?;
    *receiver.key.write() = Some(Key::parse(&secret)?);
    Ok(())
}

async fn demonstrate(args: &Args, data: DataDir, mut interrupt: Interrupt) -> anyhow::Result<()> {
    let began = Instant::now();
    let options =
        Options { definitions: Some(definitions()?), outbound: Some(outbound()), ..Options::new(data) };
    let system = System::open(options).await?;
    let figures = Arc::new(Figures::new()?);

    let behind = listen(SocketAddr::from(([127, 0, 0, 1], 0)))?;
    let receiver = Data::new(Receiver::new(Arc::clone(&figures)));
    subscribe(&system, &receiver, behind.local_addr()?).await?;
    let receiver = receiver::start(receiver, behind)?;

    let front = listen(args.listen)?;
    let address = front.local_addr()?;
    let policy = outbound().policy;
    let check = move |url: &str| policy.check_url(url).map(|_| ()).map_err(|refusal| refusal.to_string());
    let token_keys = TokenKeys::new(&Entropy::default().bytes::<32>(), []);
    let destinations = Registry::default();
    let mut settings = HttpSettings::new(Arc::new(check), described(&destinations), token_keys);
    settings.registered = registered(&destinations);
    let state = Data::new(AppState::new(system.engine.clone(), system.read_models.clone(), settings));
    let server = mainspring_http::serve(state, front)?;
    let edge = server.handle();
    actix_web::rt::spawn(server);

    let new = NewKey {
        name: "demo".to_owned(),
        scopes: vec![Scope::Ingest],
        expires_at: None,
        created_by: Some("demo".to_owned()),
    };
    let key = system.engine.keys().create(new).await?.key;
    let seed = u64::from_le_bytes(Entropy::default().bytes());
    let target = Target { address, key, rate: args.rate };
    let engine = system.engine.clone();
    let screen = Screen {
        engine,
        read_models: system.read_models.clone(),
        figures: Arc::clone(&figures),
        address,
        began,
    };
    let end = async {
        match args.duration {
            Some(seconds) => tokio::time::sleep(Duration::from_secs(seconds)).await,
            None => std::future::pending().await,
        }
    };
    let shown = tokio::select! {
        () = visitors::visit(target, Shop::new(seed), figures) => Ok(()),
        shown = screen.draw() => shown,
        () = end => Ok(()),
        () = interrupt.wanted() => Ok(()),
    };
    edge.stop(true).await;
    drain(&system).await?;
    let summary = shown.and_then(|()| screen.summary(args.json));
    system.stop(DRAIN).await;
    receiver.stop(false).await;
    summary
}

/// Waits until everything that was decided has been delivered, but not for ever.
async fn drain(system: &System) -> anyhow::Result<()> {
    let began = Instant::now();
    system.settled().await?;
    while system.read_models.delivery_counts(None)?.pending > 0 && began.elapsed() < DRAIN {
        tokio::time::sleep(GLANCE).await;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_examples_are_in_order() {
        assert_eq!(definitions().unwrap().len(), 7);
    }
}
