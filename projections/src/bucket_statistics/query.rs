//! Questions about buckets and their figures (BK-220..BK-226).

use std::collections::BTreeMap;

use mainspring_schemas::{BucketId, Timestamp};
use rusqlite::{Connection, OptionalExtension, Row, params};

use super::project::DAY;
use crate::{
    error::Result,
    value::{bucket as bucket_id, count, instant, json, maybe_instant},
};

/// Whether a bucket's members are decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FillState {
    /// A back-fill is due or under way (BK-229).
    Building,
    /// They are.
    Live,
}

impl FillState {
    /// The word on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Building => "building",
            Self::Live => "live",
        }
    }
}

/// The newest back-fill of a bucket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FillProgress {
    /// Where the bucket stands.
    pub state: FillState,
    /// When the newest back-fill began.
    pub started_at: Option<Timestamp>,
    /// How many contacts it has to look at.
    pub total: u64,
    /// How many it decided.
    pub processed: u64,
    /// When it ended.
    pub completed_at: Option<Timestamp>,
}

/// A bucket that was ever defined.
#[derive(Clone, Debug, PartialEq)]
pub struct BucketRow {
    /// Its id.
    pub id: BucketId,
    /// Version of the newest record of its stream.
    pub version: u64,
    /// Place among all buckets, by first definition.
    pub ordinal: u64,
    /// The newest definition, as JSON.
    pub definition: serde_json::Value,
    /// Digest of its criteria (BK-181).
    pub criteria_hash: String,
    /// When it came into force.
    pub defined_at: Timestamp,
    /// The operator's switch, if it was ever used.
    pub switched: Option<bool>,
    /// The effective switch (BK-200): the operator's, else the definition's.
    pub enabled: bool,
    /// When the definition went away (BK-203); such a bucket is neither evaluated nor counted.
    pub retired_at: Option<Timestamp>,
    /// The newest back-fill.
    pub fill: FillProgress,
    /// When definition or switch changed last.
    pub updated_at: Timestamp,
}

/// Figures of a bucket (BK-224). Stays of deleted contacts are not in them (BK-228).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BucketFigures {
    /// The bucket.
    pub bucket: BucketId,
    /// All stays.
    pub entered: u64,
    /// Ended stays.
    pub left: u64,
    /// Active stays.
    pub size: u64,
    /// Milliseconds of all ended stays together.
    pub ended_millis: i64,
    /// Sum of the instants at which the active stays began.
    pub active_since_sum: i64,
}

impl BucketFigures {
    fn empty(bucket: BucketId) -> Self {
        Self { bucket, entered: 0, left: 0, size: 0, ended_millis: 0, active_since_sum: 0 }
    }

    /// Mean age in seconds of all stays, active ones up to `now`, rounded; `None` without stays (BK-224).
    pub fn avg_dwell_secs(&self, now: Timestamp) -> Option<i64> {
        let stays = i128::from(self.entered);
        if stays == 0 {
            return None;
        }
        let active_millis = i128::from(self.size) * i128::from(now.0) - i128::from(self.active_since_sum);
        let millis = i128::from(self.ended_millis) + active_millis;
        i64::try_from((millis + 500 * stays).div_euclid(1000 * stays)).ok()
    }
}

/// Length of a period (BK-225).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Period {
    /// A UTC day.
    #[default]
    Day,
    /// From Monday.
    Week,
    /// From the first.
    Month,
}

/// Activity of one period.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PeriodPoint {
    /// Start of the period.
    pub start: Timestamp,
    /// Stays that began in it.
    pub entered: u64,
    /// Stays that ended in it.
    pub left: u64,
}

/// Figures over all buckets that are not retired (BK-226).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Overview {
    /// Buckets with at least one active member.
    pub active_buckets: u64,
    /// Active stays.
    pub bucket_members: u64,
}

const COLUMNS: &str =
    "id, version, ordinal, definition, criteria_hash, defined_at, switched, enabled, retired_at,
    building, fill_started_at, fill_total, fill_processed, fill_completed_at, updated_at";

fn read(row: &Row<'_>) -> rusqlite::Result<BucketRow> {
    let switched: Option<bool> = row.get(6)?;
    let enabled: bool = row.get(7)?;
    let state = if row.get(9)? { FillState::Building } else { FillState::Live };
    Ok(BucketRow {
        id: bucket_id(row, 0)?,
        version: count(row, 1)?,
        ordinal: count(row, 2)?,
        definition: json(row, 3)?,
        criteria_hash: row.get(4)?,
        defined_at: instant(row, 5)?,
        switched,
        enabled: switched.unwrap_or(enabled),
        retired_at: maybe_instant(row, 8)?,
        fill: FillProgress {
            state,
            started_at: maybe_instant(row, 10)?,
            total: count(row, 11)?,
            processed: count(row, 12)?,
            completed_at: maybe_instant(row, 13)?,
        },
        updated_at: instant(row, 14)?,
    })
}

/// A bucket that was ever defined.
pub(crate) fn bucket(connection: &Connection, bucket: &BucketId) -> Result<Option<BucketRow>> {
    let mut statement = connection.prepare_cached(&format!("SELECT {COLUMNS} FROM buckets WHERE id = ?1"))?;
    Ok(statement.query_row([bucket.as_str()], read).optional()?)
}

/// Every bucket that was ever defined, in the order of first definition.
pub(crate) fn buckets(connection: &Connection) -> Result<Vec<BucketRow>> {
    let mut statement =
        connection.prepare_cached(&format!("SELECT {COLUMNS} FROM buckets ORDER BY ordinal"))?;
    let buckets = statement.query_map([], read)?;
    Ok(buckets.collect::<rusqlite::Result<_>>()?)
}

/// The name of every bucket that was ever defined.
pub(crate) fn names(connection: &Connection) -> Result<BTreeMap<BucketId, String>> {
    let mut statement = connection.prepare_cached("SELECT id, definition ->> '$.name' FROM buckets")?;
    let names = statement.query_map([], |row| Ok((bucket_id(row, 0)?, row.get(1)?)))?;
    Ok(names.collect::<rusqlite::Result<_>>()?)
}

fn read_figures(row: &Row<'_>) -> rusqlite::Result<BucketFigures> {
    let (entered, left) = (count(row, 1)?, count(row, 2)?);
    Ok(BucketFigures {
        bucket: bucket_id(row, 0)?,
        entered,
        left,
        size: entered.saturating_sub(left),
        ended_millis: row.get(3)?,
        active_since_sum: row.get(4)?,
    })
}

/// Figures of one bucket; zeroes for one without stays.
pub(crate) fn figures(connection: &Connection, bucket: &BucketId) -> Result<BucketFigures> {
    let mut statement = connection.prepare_cached(
        "SELECT bucket, entered, ended, ended_millis, active_since_sum FROM bucket_figures WHERE bucket = ?1",
    )?;
    let figures = statement.query_row([bucket.as_str()], read_figures).optional()?;
    Ok(figures.unwrap_or_else(|| BucketFigures::empty(bucket.clone())))
}

/// Figures of every bucket that ever had a stay, by id.
pub(crate) fn all_figures(connection: &Connection) -> Result<BTreeMap<BucketId, BucketFigures>> {
    let mut statement = connection.prepare_cached(
        "SELECT bucket, entered, ended, ended_millis, active_since_sum FROM bucket_figures",
    )?;
    let figures = statement.query_map([], read_figures)?;
    Ok(figures.map(|row| row.map(|row| (row.bucket.clone(), row))).collect::<rusqlite::Result<_>>()?)
}

/// Instants of one UTC day, both ends inclusive; empty if `first` is after `last`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct PartOfDay {
    day: i64,
    first: i64,
    last: i64,
}

/// A span of instants, taken apart: the whole days in it, and what is left of a day at its beginning and at its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Span {
    begin: PartOfDay,
    /// The first whole day, and the one after the last.
    days: (i64, i64),
    end: PartOfDay,
}

impl Span {
    const NOTHING: PartOfDay = PartOfDay { day: 0, first: 0, last: -1 };

    /// Both ends inclusive.
    fn new(from: Timestamp, to: Timestamp) -> Self {
        let (from, to) = (i128::from(from.0), i128::from(to.0));
        let length = i128::from(DAY);
        let (first, after) = (-(-from).div_euclid(length), (to + 1).div_euclid(length));
        // Every number here lies between the two ends, or is one more.
        let part = |first: i128, last: i128| PartOfDay {
            day: i64::try_from(first.div_euclid(length)).unwrap_or_default(),
            first: i64::try_from(first).unwrap_or(i64::MAX),
            last: i64::try_from(last).unwrap_or(i64::MIN),
        };
        let day = |day: i128| i64::try_from(day).unwrap_or_default();
        if from > to {
            return Self { begin: Self::NOTHING, days: (0, 0), end: Self::NOTHING };
        }
        if first > after {
            return Self { begin: part(from, to), days: (0, 0), end: Self::NOTHING };
        }
        Self {
            begin: part(from, first * length - 1),
            days: (day(first), day(after)),
            end: part(after * length, to),
        }
    }
}

/// Activity of a bucket by period, ascending, only periods with activity: stays that began, and stays that ended, from
/// `from` to `to`, both inclusive to the millisecond (BK-225). Whole days come from sums, what is left of a day at either
/// end is counted.
pub(crate) fn points(
    connection: &Connection,
    bucket: &BucketId,
    period: Period,
    from: Timestamp,
    to: Timestamp,
) -> Result<Vec<PeriodPoint>> {
    // One statement, so that sums and rows are of the same moment.
    let mut statement = connection.prepare_cached(
        "WITH part (day, first, last) AS (VALUES (?4, ?5, ?6), (?7, ?8, ?9))
         SELECT day, entered, ended FROM bucket_days WHERE bucket = ?1 AND day >= ?2 AND day < ?3
         UNION ALL
         SELECT day,
             (SELECT count(*) FROM stays
              WHERE bucket = ?1 AND left_at IS NULL AND entered_at BETWEEN first AND last)
             + (SELECT count(*) FROM stays
                WHERE bucket = ?1 AND left_at IS NOT NULL AND entered_at BETWEEN first AND last),
             (SELECT count(*) FROM stays WHERE bucket = ?1 AND left_at BETWEEN first AND last)
         FROM part WHERE first <= last
         ORDER BY day",
    )?;
    let Span { begin, days, end } = Span::new(from, to);
    let values = params![
        bucket.as_str(),
        days.0,
        days.1,
        begin.day,
        begin.first,
        begin.last,
        end.day,
        end.first,
        end.last
    ];
    let days =
        statement.query_map(values, |row| Ok((row.get::<_, i64>(0)?, count(row, 1)?, count(row, 2)?)))?;
    let mut points: Vec<PeriodPoint> = Vec::new();
    for day in days {
        let (day, entered, left) = day?;
        if entered + left == 0 {
            continue;
        }
        let start = Timestamp(first_day(day, period).saturating_mul(DAY));
        match points.last_mut().filter(|point| point.start == start) {
            Some(point) => {
                point.entered += entered;
                point.left += left;
            }
            None => points.push(PeriodPoint { start, entered, left }),
        }
    }
    Ok(points)
}

/// The first day of the period a day lies in, both since 1970.
fn first_day(day: i64, period: Period) -> i64 {
    match period {
        Period::Day => day,
        // 1970-01-01 was a Thursday.
        Period::Week => day - (day + 3).rem_euclid(7),
        Period::Month => day - i64::from(day_of_month(day)) + 1,
    }
}

/// Day of the month, from 1, of a day since 1970 in the Gregorian calendar (years counted from March, so that the leap
/// day is a year's last).
fn day_of_month(day: i64) -> u8 {
    let shifted = day + 719_468;
    let day_of_era = shifted.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month = (5 * day_of_year + 2) / 153;
    u8::try_from(day_of_year - (153 * month + 2) / 5 + 1).unwrap_or(1)
}

/// Figures over all buckets that are defined and not retired (BK-203, BK-226).
pub(crate) fn overview(connection: &Connection) -> Result<Overview> {
    let mut statement = connection.prepare_cached(
        "SELECT count(*), coalesce(sum(f.entered - f.ended), 0) FROM bucket_figures f JOIN buckets b ON b.id = f.bucket
         WHERE b.retired_at IS NULL AND f.entered > f.ended",
    )?;
    Ok(statement.query_row([], |row| {
        Ok(Overview { active_buckets: count(row, 0)?, bucket_members: count(row, 1)? })
    })?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bk_225_periods_begin_where_the_calendar_says() {
        let day = |text: &str| format!("{text}T00:00:00.000Z").parse::<Timestamp>().unwrap().0 / DAY;
        for (of, week, month) in [
            ("2026-06-03", "2026-06-01", "2026-06-01"),
            ("2026-06-01", "2026-06-01", "2026-06-01"),
            ("2026-05-31", "2026-05-25", "2026-05-01"),
            ("2024-02-29", "2024-02-26", "2024-02-01"),
            ("2024-03-01", "2024-02-26", "2024-03-01"),
            ("1970-01-01", "1969-12-29", "1970-01-01"),
            ("2000-12-31", "2000-12-25", "2000-12-01"),
        ] {
            assert_eq!(first_day(day(of), Period::Week), day(week), "{of}");
            assert_eq!(first_day(day(of), Period::Month), day(month), "{of}");
            assert_eq!(first_day(day(of), Period::Day), day(of));
        }
    }

    #[test]
    fn bk_225_a_span_is_every_instant_in_it_once() {
        let instants = [-2 * DAY, -DAY, 0, DAY, 2 * DAY, 5 * DAY];
        let near: Vec<i64> = instants.iter().flat_map(|at| [at - 1, *at, at + 1, at + 77]).collect();
        for from in &near {
            for to in &near {
                let Span { begin, days, end } = Span::new(Timestamp(*from), Timestamp(*to));
                let mut covered =
                    vec![(begin.first, begin.last), (days.0 * DAY, days.1 * DAY - 1), (end.first, end.last)];
                covered.retain(|(first, last)| first <= last);
                let whole = covered.windows(2).all(|pair| pair[0].1 + 1 == pair[1].0);
                assert!(whole, "{from} to {to}: {covered:?}");
                let ends = covered.first().zip(covered.last()).map(|(a, b)| (a.0, b.1));
                assert_eq!(ends, (from <= to).then_some((*from, *to)));
                for part in [begin, end].iter().filter(|part| part.first <= part.last) {
                    assert_eq!((part.first.div_euclid(DAY), part.last.div_euclid(DAY)), (part.day, part.day));
                }
            }
        }
        let everything = Span::new(Timestamp(i64::MIN), Timestamp(i64::MAX));
        assert_eq!((everything.begin.first, everything.end.last), (i64::MIN, i64::MAX));
    }

    #[test]
    fn bk_224_mean_counts_active_stays_up_to_now() {
        let bucket = BucketId::new("b").unwrap();
        let mut figures = BucketFigures::empty(bucket);
        assert_eq!(figures.avg_dwell_secs(Timestamp(0)), None);
        figures.entered = 2;
        figures.left = 1;
        figures.size = 1;
        figures.ended_millis = 10_000;
        figures.active_since_sum = 1_000_000;
        assert_eq!(figures.avg_dwell_secs(Timestamp(1_020_500)), Some(15));
    }
}
