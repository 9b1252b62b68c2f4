//! `mainspring serve`: the whole system behind HTTP, until a signal ends it in order (LV-11).

use std::{
    net::{IpAddr, SocketAddr, TcpListener},
    process::ExitCode,
    sync::Arc,
    time::Instant,
};

use actix_web::web::Data;
use anyhow::Context;
use ipnet::IpNet;
use mainspring_http::{AppState, Settings as HttpSettings, identify::TokenKeys};
use mainspring_outbound::{destination::Registry, settings::Settings as OutboundSettings};

use super::places::DataDirArgument;
use crate::{
    compose::{
        Options, System, analytics,
        destinations::{self, described, registered, request_url},
        lock::host,
        posthog::Seed,
        sources,
    },
    definitions::DefinitionArguments,
    destinations::DestinationArguments,
    environment,
    exit::{Fault, Reason},
    grace::GraceArgument,
    identity::{IdentityArguments, TokenSecrets},
    interrupt::Interrupt,
    output,
    shutdown::Shutdown,
    sources::SourceArguments,
};

/// Runs the server.
#[derive(Debug, clap::Args)]
#[command(after_help = HELP)]
pub struct Args {
    /// Where to listen; port 0 takes a free one [env: LISTEN, or PORT] [default: 0.0.0.0:3002]
    #[arg(long, value_name = "ADDRESS")]
    listen: Option<SocketAddr>,
    #[command(flatten)]
    definitions: DefinitionArguments,
    #[command(flatten)]
    sources: SourceArguments,
    #[command(flatten)]
    destinations: DestinationArguments,
    #[command(flatten)]
    identity: IdentityArguments,
    #[command(flatten)]
    grace: GraceArgument,
    #[command(flatten)]
    data_dir: DataDirArgument,
}

const HELP: &str = "\
Once requests are taken, `listening on http://ADDRESS` is printed on stdout. SIGTERM or Ctrl-C ends the server in order;
a second one at once. Nothing acknowledged is lost either way.

Environment:
  ADMIN_API_KEY                       a key with all rights; ADMIN_API_KEY_FILE names a file with it
  HOGSEND_BOOTSTRAP_API_KEY=false     makes no ingest key on the first start
  ADMIN_RATE_LIMIT                    requests per key and minute on the admin plane, 0 = unlimited [default: 100]
  MAX_BODY_BYTES                      largest body of a request [default: 1048576]
  BETTER_AUTH_SECRET                  seals identity tokens, 32 bytes or more; one of its own if unset. Also as _FILE,
                                      and as MAINSPRING_SECRET
  BETTER_AUTH_SECRET_PREVIOUS         secrets it replaced, separated by commas: still good for reading
  OUTBOUND_CONTACT_SCOPE              intent: explicit changes of contacts are announced; all: every one [default: intent]
  ENABLED_DESTINATION_PRESETS         kinds besides webhook and posthog: segment, slack, or * for all [default: none]
  ENABLE_POSTHOG_DESTINATION=true     makes an endpoint for the account of POSTHOG_API_KEY, at POSTHOG_HOST if set
  OUTBOUND_LIB_NAME                   what PostHog and Segment are told as $lib [default: hogsend]
  OUTBOUND_WEBHOOK_ALLOW_HTTP=true    lets webhooks go to http:// addresses
  OUTBOUND_WEBHOOK_ALLOW_PRIVATE=true lets webhooks go to private and loopback addresses
  OUTBOUND_WEBHOOK_HOLD               how long deliveries to a disabled endpoint are held, 0 = not at all [default: 72h]
  OUTBOUND_WEBHOOK_AUTO_DISABLE_AFTER endpoints that only fail for so long are disabled, 0 = never [default: 5d]
  OPERATIONS_ALERT_URL                where alerts about failing endpoints are posted to, besides the log
  OUTBOUND_PROXY_URL                  forward proxy of all webhooks; proxy variables of the environment are not read
  ENABLED_WEBHOOK_PRESETS             webhook sources of known providers: ids, * or none [default: * = those with a secret]
  CLERK_WEBHOOK_SECRET, SUPABASE_..., STRIPE_..., SEGMENT_..., POSTHOG_WEBHOOK_SECRET
                                      their secrets, several separated by blanks. Also as _FILE
  POSTHOG_PERSONAL_API_KEY            lets the admin plane connect PostHog (provision-loop). Also as _FILE
  POSTHOG_PRIVATE_HOST                PostHog's web app [default: POSTHOG_HOST without `.i.`, else https://us.posthog.com]
  POSTHOG_PROJECT_ID                  the project to connect [default: the one with POSTHOG_API_KEY, else the only one]
  API_PUBLIC_URL                      where others reach this server [default: http://localhost:3002]
  STRIPE_USER_ID_METADATA_KEY         the key of Stripe's metadata that holds your own user id
  WEBHOOK_ALLOW_UNAUTHENTICATED       ids of sources with a shared secret that may do without one
  WEBHOOK_ERASE_ON_DELETE             ids of sources whose reported deletions erase the contact
  WEBHOOK_SOURCE_MAX_BODY             largest body of an inbound webhook [default: 1048576]
  METRICS_TOKEN                       reads GET /metrics and nothing else; keys with the scope read may, too. Also as _FILE
  TRUSTED_PROXIES                     proxies whose X-Forwarded-For is believed: addresses or networks
  SHUTDOWN_GRACE                      a stop is over within this [default: 25s]
  DRAIN_DELAY                         a stop goes on taking requests for so long, no longer ready [default: 5s]
  LOG_LEVEL                           error, warn, info, http or debug [default: info]

Example: mainspring serve --data-dir ./data --definitions ./definitions --listen 127.0.0.1:3002";

/// Settings of the edge from the environment.
fn http_settings(
    outbound: &OutboundSettings,
    destinations: &Registry,
    token_keys: TokenKeys,
) -> anyhow::Result<HttpSettings> {
    let policy = outbound.policy.clone();
    let check = move |url: &str| policy.check_url(url).map(|_| ()).map_err(|refusal| refusal.to_string());
    let mut settings = HttpSettings::new(Arc::new(check), described(destinations), token_keys);
    settings.registered = registered(destinations);
    settings.auto_disable_ms = outbound.auto_disable_ms;
    settings.admin_key = environment::secret("ADMIN_API_KEY")?;
    if let Some(limit) = environment::parsed::<u32>("ADMIN_RATE_LIMIT", "a whole number, 0 = unlimited")? {
        settings.admin_limit = (limit > 0).then_some(limit);
    }
    if let Some(bytes) = environment::parsed("MAX_BODY_BYTES", "a number of bytes")? {
        settings.max_body = bytes;
    }
    if let Some(bytes) = environment::parsed("WEBHOOK_SOURCE_MAX_BODY", "a number of bytes")? {
        settings.source_max_body = bytes;
    }
    settings.trusted_proxies = trusted_proxies()?;
    settings.node = host();
    settings.metrics_token = environment::secret("METRICS_TOKEN")?;
    Ok(settings)
}

/// HT-46: addresses and networks, separated by commas.
fn trusted_proxies() -> anyhow::Result<Vec<IpNet>> {
    let list = environment::text("TRUSTED_PROXIES").unwrap_or_default();
    let entries = list.split(',').map(str::trim).filter(|entry| !entry.is_empty());
    let read = entries.map(|entry| entry.parse().or_else(|_| entry.parse::<IpAddr>().map(IpNet::from)));
    let expected = "TRUSTED_PROXIES: expected addresses or networks such as 10.0.0.0/8, separated by commas";
    read.collect::<Result<_, _>>().map_err(|_| Fault::usage(expected).into())
}

/// Settings of deliveries from the environment, every problem told at once (CF-03).
pub(super) fn outbound_settings() -> anyhow::Result<OutboundSettings> {
    OutboundSettings::from_variables(environment::text).map_err(|problems| {
        let problems: Vec<String> = problems.iter().map(ToString::to_string).collect();
        Fault::usage(problems.join("; ")).into()
    })
}

fn address(args: &Args) -> anyhow::Result<SocketAddr> {
    let default = SocketAddr::from(([0, 0, 0, 0], 3002));
    let given = match args.listen {
        Some(address) => Some(address),
        None => environment::parsed("LISTEN", "an address such as 127.0.0.1:3002")?,
    };
    let port = environment::parsed("PORT", "a port number")?;
    Ok(given.or(port.map(|port| SocketAddr::new(default.ip(), port))).unwrap_or(default))
}

fn bind(address: SocketAddr) -> anyhow::Result<TcpListener> {
    TcpListener::bind(address).with_context(|| {
        let advice = "another process has it, or it is not allowed: choose another one with --listen";
        Fault::new(Reason::InUse, format!("{address} cannot be listened on: {advice}"))
    })
}

/// Runs the command.
pub fn run(args: Args) -> anyhow::Result<ExitCode> {
    let interrupt = Interrupt::watch(Reason::Failed)?;
    let outbound = outbound_settings()?;
    let mut policy = args.grace.put_into(args.identity.policy()?)?;
    let secrets = TokenSecrets::read()?;
    let bootstrap = environment::parsed("HOGSEND_BOOTSTRAP_API_KEY", "true or false")?.unwrap_or(true);
    let address = address(&args)?;
    let definitions = args.definitions.load()?;
    let destinations =
        Arc::new(destinations::registry(args.destinations.load(args.definitions.place().as_deref())?));
    let sources = args.sources.load()?;
    let shutdown = Shutdown::from_environment()?;
    let start = AtStart { bootstrap, seed: Seed::from_environment(&outbound.policy)? };
    policy.analytics = start.seed.is_some();
    let data = args.data_dir.create()?;
    let mut settings = http_settings(&outbound, &destinations, secrets.keys(&data)?)?;
    settings.sources = sources::mount(sources)?;
    settings.analytics = analytics::from_environment(&outbound)?;
    settings.request_url = request_url(Arc::clone(&destinations));
    settings.stop_grace = shutdown.under_way();
    let listener = bind(address)?;
    let options = Options {
        definitions,
        policy,
        erases_after_grace: true,
        outbound: Some(outbound),
        destinations,
        ..Options::new(data)
    };
    actix_web::rt::System::new().block_on(serve(options, settings, listener, start, shutdown, interrupt))
}

/// What is made at the start if it is not there.
struct AtStart {
    /// The first API key.
    bootstrap: bool,
    /// The endpoint of PostHog.
    seed: Option<Seed>,
}

async fn serve(
    options: Options,
    settings: HttpSettings,
    listener: TcpListener,
    start: AtStart,
    shutdown: Shutdown,
    mut interrupt: Interrupt,
) -> anyhow::Result<ExitCode> {
    let system = System::open(options).await?;
    if start.bootstrap
        && let Some(created) = system.engine.keys().bootstrap().await?
    {
        output::notice(format_args!("first API key, for events only, shown this once: {}", created.key));
    }
    if let Some(seed) = start.seed
        && let Err(error) = seed.ensure(system.engine.endpoints()).await
    {
        // Deliveries to everybody else matter more (OB-233).
        tracing::error!(%error, "the endpoint of ENABLE_POSTHOG_DESTINATION could not be made");
    }
    // The first request already finds what was made here.
    system.settled().await?;
    if settings.admin_key.is_none() && system.engine.keys().list(false).len() <= 1 {
        let advice =
            "`mainspring keys create --name admin --scopes full-admin` makes one while the server is stopped";
        output::notice(format_args!("no key for the admin plane: set ADMIN_API_KEY, or {advice}"));
    }
    sources::tell_stored(&settings.sources, &system.engine).await;
    let address = listener.local_addr()?;
    let state = AppState::new(system.engine.clone(), system.read_models.clone(), settings)
        .beside(Arc::new(system.background()));
    let state = Data::new(state);
    let server = mainspring_http::serve(state.clone(), listener).context("the server cannot start")?;
    let handle = server.handle();
    let mut running = actix_web::rt::spawn(server);
    output::data(format_args!("listening on http://{address}"));
    let mut ended = tokio::select! {
        ended = &mut running => Some(ended),
        () = interrupt.wanted() => None,
    };
    let began = Instant::now();
    state.set_ready(false);
    if ended.is_none() {
        tracing::info!(delay = ?shutdown.drain, "stopping: load balancers are told first");
        ended = tokio::time::timeout(shutdown.drain, &mut running).await.ok();
    }
    system.wind_down(shutdown.left(began, Instant::now()));
    if ended.is_none() {
        tracing::info!("stopping: no new requests, those in flight end");
        handle.stop(true).await;
    }
    system.stop(shutdown.left(began, Instant::now())).await;
    tracing::info!("stopped");
    match ended {
        Some(Ok(Err(error))) => Err(error).context("the server failed"),
        Some(Err(error)) => Err(error).context("the server failed"),
        Some(Ok(Ok(()))) | None => Ok(ExitCode::SUCCESS),
    }
}
