//! Figures of an endpoint over a period (OB-162): counted, not sampled.

use std::collections::BTreeMap;

use mainspring_schemas::{EndpointId, Timestamp};
use rusqlite::{Connection, OptionalExtension, params};

use crate::{
    error::Result,
    value::{count, integer},
};

/// What happened at an endpoint since an instant; tests are left out (OB-177).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DeliveryStats {
    /// Attempts that ended in a delivery.
    pub delivered: u64,
    /// Attempts after which a delivery was given up.
    pub failed: u64,
    /// All attempts.
    pub attempts: u64,
    /// Failed attempts by class of error.
    pub by_class: BTreeMap<String, u64>,
    /// Half of the attempts took at most this long, in milliseconds.
    pub p50_ms: Option<u32>,
    /// Nineteen of twenty attempts took at most this long, in milliseconds.
    pub p95_ms: Option<u32>,
}

/// Which rank of `count` sorted values is the percentile: the nearest rank, counted from 0.
fn rank(count: u64, percent: u64) -> u64 {
    (count * percent).div_ceil(100).saturating_sub(1)
}

/// Counts the attempts to an endpoint that ended at `since` or later.
pub(crate) fn stats(
    connection: &Connection,
    endpoint: EndpointId,
    since: Timestamp,
) -> Result<DeliveryStats> {
    let mut stats = DeliveryStats::default();
    let mut groups = connection.prepare_cached(
        "SELECT result, error_class, count(*) FROM attempts INDEXED BY attempts_by_time
         WHERE test = 0 AND endpoint = ?1 AND at >= ?2 GROUP BY result, error_class",
    )?;
    let mut groups = groups.query(params![endpoint.0.as_bytes(), since.0])?;
    while let Some(row) = groups.next()? {
        let amount = count(row, 2)?;
        stats.attempts += amount;
        match row.get_ref(0)?.as_str().map_err(rusqlite::Error::from)? {
            "delivered" => stats.delivered += amount,
            "failed" => stats.failed += amount,
            _ => {}
        }
        if let Some(class) = row.get::<_, Option<String>>(1)? {
            *stats.by_class.entry(class).or_default() += amount;
        }
    }
    let mut at_rank = connection.prepare_cached(
        "SELECT duration_ms FROM attempts INDEXED BY attempts_by_time
         WHERE test = 0 AND endpoint = ?1 AND at >= ?2 ORDER BY duration_ms LIMIT 1 OFFSET ?3",
    )?;
    let mut percentile = |percent| {
        let offset = integer(rank(stats.attempts, percent));
        at_rank.query_row(params![endpoint.0.as_bytes(), since.0, offset], |row| row.get(0)).optional()
    };
    (stats.p50_ms, stats.p95_ms) = (percentile(50)?, percentile(95)?);
    Ok(stats)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ob_162_the_nearest_rank_is_taken() {
        for (count, percent, expected) in
            [(1, 50, 0), (2, 50, 0), (3, 50, 1), (20, 95, 18), (100, 95, 94), (0, 95, 0)]
        {
            assert_eq!(rank(count, percent), expected, "{percent} of {count}");
        }
    }
}
