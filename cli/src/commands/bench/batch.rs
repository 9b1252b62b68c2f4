//! Many events per request.

use super::{
    edge::{Comparison, Course},
    people::{self, ABOUT, USERS},
    place::Place,
    report::Part,
    world::World,
};

/// Measures it at each number of connections.
pub async fn measure(
    place: &Place,
    connections: &[usize],
    course: Course,
    size: usize,
) -> anyhow::Result<Part> {
    let directory = place.fresh("batch")?;
    let world = World::open(&directory, people::definitions()?, None).await?;
    let requests = people::batches(&world.key, size);
    let comparison = Comparison::new(place, &world, requests, size, course).await?;
    let mut rows = Vec::new();
    for connections in connections {
        rows.extend(comparison.rows(*connections).await?);
    }
    drop(comparison);
    world.stop().await;
    place.done("batch")?;
    let about = format!(
        "POST /v1/events/batch, {size} events each, {USERS} known contacts, {ABOUT}, {} times {} s each",
        course.rounds,
        course.time.as_secs()
    );
    Ok(Part { name: "batch", about, rows })
}
