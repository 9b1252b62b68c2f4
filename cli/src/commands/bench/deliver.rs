//! Webhooks to a receiver that takes everything at once, each outcome recorded in the log.

use std::{
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::Bytes;
use mainspring_actors::{Engine, endpoint::EndpointPatch};
use mainspring_eventlog::{EventLog, Position};
use mainspring_schemas::{
    EndpointId,
    catalog::BUCKET_ENTERED,
    event::{DeliveryEvent, delivery::AttemptResult, endpoint::EndpointSettings},
};

use super::{
    cpu::Used,
    load::Load,
    people::{self, BEGUN},
    place::Place,
    receiver::Receiver,
    report::{Part, Row, latencies},
    world,
};
use crate::compose::System;

/// Deliveries made per second of the measurement: more would be measured longer.
const PER_SECOND: u64 = 20_000;

/// How many endpoints share the deliveries.
const ENDPOINTS: [usize; 2] = [1, 8];

/// How long all deliveries may take, as a multiple of the wanted time.
const PATIENCE: u32 = 30;

/// Records read at a time.
const PAGE: usize = 8192;

/// An endpoint of a receiver.
pub async fn endpoint(engine: &Engine, url: String, disabled: bool) -> anyhow::Result<EndpointId> {
    let settings = EndpointSettings {
        url,
        description: None,
        event_types: vec![BUCKET_ENTERED.to_owned()],
        kind: "webhook".to_owned(),
        ..EndpointSettings::default()
    };
    Ok(engine.endpoints().create(settings, disabled).await?.0.id)
}

/// Measures it with one endpoint, which has eight attempts under way at once, and with eight of them.
pub async fn measure(place: &Place, time: Duration) -> anyhow::Result<Part> {
    let wanted = time.as_secs().max(1) * PER_SECOND;
    let mut rows = Vec::new();
    for endpoints in ENDPOINTS {
        let name = format!("deliver-{endpoints}");
        let directory = place.fresh(&name)?;
        rows.extend(deliveries(&directory, endpoints, wanted as usize, time).await?);
        place.done(&name)?;
    }
    let about = format!(
        "{wanted} webhooks that were waiting, to a receiver on a thread of this process; signed, and each outcome \
         recorded in the log"
    );
    Ok(Part { name: "deliver", about, rows })
}

async fn deliveries(
    directory: &Path,
    endpoints: usize,
    wanted: usize,
    time: Duration,
) -> anyhow::Result<Vec<Row>> {
    let receiver = Receiver::start(None)?;
    let concurrency = world::outbound().endpoint_concurrency * endpoints;
    let connections = concurrency.min(world::outbound().concurrency);
    let system = world::open(directory, people::one_definition()?, Some(world::outbound())).await?;
    let engine = &system.engine;
    let mut ids = Vec::with_capacity(endpoints);
    for _ in 0..endpoints {
        ids.push(endpoint(engine, receiver.url(), true).await?);
    }
    let contacts = wanted / endpoints;
    world::fill(engine, BEGUN, contacts, contacts).await?;
    system.settled().await?;
    let wanted = (contacts * endpoints) as u64;
    let used = Used::now();
    let from = system.log().durable_end();
    let began = Instant::now();
    for id in &ids {
        let patch = EndpointPatch { disabled: Some(false), ..EndpointPatch::default() };
        engine.endpoints().update(*id, patch).await?;
    }
    // One record per endpoint says that it is enabled; all others are outcomes, counted below.
    let until = from + endpoints as u64 + wanted;
    while system.log().durable_end() < until {
        if began.elapsed() > time * PATIENCE {
            anyhow::bail!("{} of {wanted} webhooks arrived", receiver.taken());
        }
        tokio::time::sleep(world::GLANCE).await;
    }
    let took = began.elapsed().as_secs_f64();
    let used = Used::now().since(&used);
    let delivered = outcomes(&system, from).await?;
    anyhow::ensure!(
        delivered == wanted,
        "{delivered} outcomes say delivered, {wanted} webhooks were to be delivered"
    );
    world::stop(system).await;
    let floor = floor(&receiver, connections, time).await?;
    let figure = delivered as f64 / took;
    let row = Row {
        what: format!("mainspring, {endpoints} endpoint{}", if endpoints == 1 { "" } else { "s" }),
        load: connections.to_string(),
        figure,
        unit: "webhooks/s",
        share: Some((figure / floor.figure, "bare POST")),
        notes: vec![format!("{delivered} outcomes in the log in {took:.2} s"), format!("CPU s: {used}")],
        ..Row::default()
    };
    Ok(vec![floor, row])
}

/// How many outcomes from a position on say that a webhook was delivered.
async fn outcomes(system: &System, from: Position) -> anyhow::Result<u64> {
    let (mut next, mut delivered) = (from, 0);
    loop {
        let records = system.engine.log().read_all(next, PAGE).await?;
        let Some(last) = records.last() else { return Ok(delivered) };
        next = last.position + 1;
        for record in records.iter().filter(|record| record.stream.category() == "deliveries") {
            let event = DeliveryEvent::decode(&record.event_type, record.schema_version, &record.payload)?;
            let DeliveryEvent::Attempted(attempted) = event else { continue };
            delivered += u64::from(attempted.result == AttemptResult::Delivered);
        }
    }
}

/// The same receiver, the same number of connections, a body of the same size, nothing signed and nothing recorded.
async fn floor(receiver: &Receiver, connections: usize, time: Duration) -> anyhow::Result<Row> {
    let length = usize::try_from(receiver.body_length())?;
    let body = "x".repeat(length);
    let request =
        Bytes::from(format!("POST /hook HTTP/1.1\r\nhost: h\r\ncontent-length: {length}\r\n\r\n{body}"));
    let requests = Arc::new(vec![request]);
    let time = time.min(Duration::from_secs(3));
    let load = Load { address: receiver.address, requests, connections, time, status: 200 };
    let answers = load.run().await?.whole()?;
    Ok(Row {
        what: "bare POST".to_owned(),
        load: connections.to_string(),
        figure: answers.rate(),
        unit: "webhooks/s",
        latency: latencies(&answers.latency),
        ..Row::default()
    })
}
