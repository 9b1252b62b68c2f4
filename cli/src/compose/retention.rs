//! Lets deliveries leave the read models when they are old (OB-163).

use std::time::Duration;

use anyhow::anyhow;
use mainspring_actors::Engine;
use mainspring_projections::ReadModels;
use mainspring_schemas::Timestamp;

/// Deliveries of one endpoint that one record lets go: the read models do nothing else meanwhile.
const AT_A_TIME: usize = 5_000;

/// How long the read models may take to carry it out.
const PATIENCE: Duration = Duration::from_secs(60);

/// How long deliveries stay.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retention {
    /// Those that were delivered or discarded.
    pub ended: Duration,
    /// Those that failed.
    pub failed: Duration,
}

fn before(now: Timestamp, span: Duration) -> Timestamp {
    now.plus(-i64::try_from(span.as_millis()).unwrap_or(i64::MAX))
}

/// Lets go of everything that is too old at `now`; returns how many records that took.
pub async fn expire(
    engine: &Engine,
    models: &ReadModels,
    retention: Retention,
    now: Timestamp,
) -> anyhow::Result<usize> {
    let mut records = 0;
    loop {
        let found =
            models.expirable(before(now, retention.ended), before(now, retention.failed), AT_A_TIME)?;
        if found.is_empty() {
            return Ok(records);
        }
        for old in found {
            let position = engine.endpoints().expire(old.endpoint, old.ended_until, old.failed_until).await?;
            records += 1;
            if !models.wait_for(position + 1, PATIENCE).await {
                return Err(anyhow!("the read models do not follow"));
            }
        }
    }
}
