//! Webhooks: how many a second, how late, with ill receivers among the others, and what those that wait cost.

mod drain;
mod outcomes;
mod queued;
mod scene;

use std::time::Duration;

use mainspring_actors::Engine;
use mainspring_schemas::{EndpointId, catalog::BUCKET_ENTERED, event::endpoint::EndpointSettings};

use self::{
    drain::{Drained, drain, sustained},
    scene::{Scene, Stage},
};
use super::{
    pace::Pace,
    place::Place,
    report::{Part, Row},
};

/// Webhooks that wait, per second of the measurement: more would be measured longer.
const PER_SECOND: usize = 20_000;

/// Who gets them.
const SCENES: [Scene; 3] = [
    Scene { healthy: 1, refusing: 0, hanging: 0 },
    Scene { healthy: 100, refusing: 0, hanging: 0 },
    Scene { healthy: 94, refusing: 5, hanging: 1 },
];

/// Connections that bring the events whose webhooks are waited for.
const CONNECTIONS: usize = 64;

/// An endpoint of a receiver.
pub async fn endpoint(engine: &Engine, url: String) -> anyhow::Result<EndpointId> {
    let settings = EndpointSettings {
        url,
        description: None,
        event_types: vec![BUCKET_ENTERED.to_owned()],
        kind: "webhook".to_owned(),
        ..EndpointSettings::default()
    };
    Ok(engine.endpoints().create(settings, false).await?.0.id)
}

/// Measures all of it; `queued` webhooks wait for the figure of memory.
pub async fn measure(place: &Place, time: Duration, queued: usize) -> anyhow::Result<Part> {
    // Memory comes first, while the process has used little.
    let mut rows = queued::measure(place, queued).await?;
    let wanted = usize::try_from(time.as_secs().max(1))? * PER_SECOND;
    let mut all_healthy = None;
    for scene in SCENES {
        let directory = place.fresh("deliver")?;
        let stage = Stage::open(&directory, scene).await?;
        let contacts = (wanted / scene.endpoints()).max(1);
        let (stage, drained) = drain(stage, contacts, time).await?;
        // The queue has to see the outcomes first, or the events below would wait for that.
        stage.world.system.settled().await?;
        let sustained = sustained(&stage, contacts, contacts, time).await?;
        stage.world.system.settled().await?;
        let later = half(&stage, 2 * contacts, sustained, time).await?;
        let ill = stage.ill_requests();
        let floor = stage.stop_and_compare(time).await?;
        place.done("deliver")?;
        let mut row = rate(scene, &drained, &floor);
        if scene.is_healthy() {
            all_healthy = Some(drained.rate());
        } else {
            let share =
                all_healthy.map(|rate| format!("{:.2} of the rate without ill ones", drained.rate() / rate));
            row.notes.extend(share);
            row.notes.push(format!("{ill} requests at the ill ones, with those of the rows below"));
        }
        let meanwhile = Row {
            what: format!("with the events that cause them, {scene}"),
            load: row.load.clone(),
            figure: sustained,
            unit: "webhooks/s",
            ..Row::default()
        };
        rows.extend([floor, row, meanwhile]);
        rows.extend(later);
    }
    let about = format!(
        "about {wanted} webhooks that were waiting, to receivers on threads of this process; signed, and each outcome \
         recorded in the log; then with the events that cause them, and at half of that rate; and memory with webhooks that \
         wait"
    );
    Ok(Part { name: "deliver", about, rows })
}

fn rate(scene: Scene, drained: &Drained, floor: &Row) -> Row {
    let Drained { delivered, took, used } = drained;
    Row {
        what: format!("mainspring, {scene}"),
        load: scene.connections().to_string(),
        figure: drained.rate(),
        unit: "webhooks/s",
        share: Some((drained.rate() / floor.figure, "bare POST")),
        notes: vec![
            format!("{delivered} outcomes in the log in {:.2} s", took.as_secs_f64()),
            format!("CPU s: {used}"),
        ],
        ..Row::default()
    }
}

/// From events to their webhooks, at half of the rate that events and webhooks together can keep up.
async fn half(stage: &Stage, first: usize, rate: f64, time: Duration) -> anyhow::Result<[Row; 2]> {
    let scene = stage.scene;
    let rate = rate / 2.0 / scene.healthy as f64;
    // Some seconds' worth, and never nothing.
    let count = ((rate * time.as_secs_f64()) as usize).max(10);
    let pace =
        Pace { first, warm_up: count / 10, count, rate, connections: CONNECTIONS, each: scene.healthy };
    let journeys = pace.run(&stage.world, &stage.healthy).await?;
    Ok(pace.rows(&journeys, &format!(", {scene}, half of it")))
}
