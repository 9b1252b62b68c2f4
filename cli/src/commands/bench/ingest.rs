//! One event per request.

use super::{
    edge::{Comparison, Course},
    people::{self, ABOUT, USERS},
    place::Place,
    report::Part,
    world::World,
};

/// Measures it at each number of connections.
pub async fn measure(place: &Place, connections: &[usize], course: Course) -> anyhow::Result<Part> {
    let directory = place.fresh("ingest")?;
    let world = World::open(&directory, people::definitions()?, None).await?;
    let requests = people::requests(&world.key);
    let length = requests.first().map_or(0, bytes::Bytes::len);
    let comparison = Comparison::new(place, &world, requests, 1, course).await?;
    let payload = comparison.shape.payload.len();
    let mut rows = Vec::new();
    for connections in connections {
        rows.extend(comparison.rows(*connections).await?);
    }
    drop(comparison);
    world.stop().await;
    place.done("ingest")?;
    let about = format!(
        "POST /v1/events, {length} bytes with their head, {USERS} known contacts, {ABOUT}, payload {payload} bytes, \
         {} times {} s each",
        course.rounds,
        course.time.as_secs()
    );
    Ok(Part { name: "ingest", about, rows })
}
