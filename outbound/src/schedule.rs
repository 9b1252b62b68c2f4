//! When to try again: the retry schedule, the reference's formula, and `Retry-After` (OB-142..OB-145).

use mainspring_schemas::Timestamp;

/// The schedule if nothing is configured: ten attempts over 75.6 hours (OB-144).
pub const DEFAULT: &str = "5s,5m,30m,2h,5h,10h,14h,20h,24h";

/// Longest wait a receiver may ask for (OB-145).
pub const RETRY_AFTER_CAP_MS: i64 = 24 * 3_600_000;

/// Longest single delay of a schedule; a longer one is a mistake.
const LONGEST_DELAY_MS: i64 = 30 * 24 * 3_600_000;

/// Most delays of a schedule.
const MOST_DELAYS: usize = 100;

/// How far the jitter reaches, each way.
const JITTER: f64 = 0.1;

/// A rule that says how long to wait after the k-th failed attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Schedule {
    /// One delay per failed attempt, each times (1 + r), r in [-0.1, 0.1] (OB-144).
    Delays(Vec<i64>),
    /// `min(BASE * 2^k + J, MAX)`, J in [0, BASE): the reference's rule (OB-142).
    Formula {
        /// Attempts in all.
        max_attempts: u32,
        /// BASE in milliseconds.
        base_ms: i64,
        /// MAX in milliseconds.
        max_ms: i64,
    },
}

/// A schedule nobody can read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "expected delays such as 5s,5m,30m,2h (units ms, s, m, h, d; at most 30d each and 100 of them) or none"
)]
pub struct InvalidSchedule;

impl Schedule {
    /// Reads `5s,5m,30m` or `none`. An empty text is no schedule: whoever reads settings treats it as unset.
    ///
    /// # Errors
    /// [`InvalidSchedule`]; an unreadable schedule is never replaced by a default silently.
    pub fn parse(text: &str) -> Result<Self, InvalidSchedule> {
        if text.trim() == "none" {
            return Ok(Self::Delays(Vec::new()));
        }
        let delays = text.split(',').map(|delay| parse_delay(delay.trim())).collect::<Option<Vec<_>>>();
        match delays {
            Some(delays) if delays.len() <= MOST_DELAYS => Ok(Self::Delays(delays)),
            _ => Err(InvalidSchedule),
        }
    }

    /// The wait in milliseconds after `attempt` attempts failed, or `None` if that was the last one.
    ///
    /// `unit` is a random number in [0, 1): it places the delay within its jitter.
    pub fn delay_after(&self, attempt: u32, unit: f64) -> Option<i64> {
        match self {
            Self::Delays(delays) => {
                let nominal = *delays.get(usize::try_from(attempt).ok()?.checked_sub(1)?)?;
                let factor = 1.0 + JITTER * (2.0 * unit - 1.0);
                Some(scale(nominal, factor))
            }
            Self::Formula { max_attempts, base_ms, max_ms } => {
                if attempt == 0 || attempt >= *max_attempts {
                    return None;
                }
                let doubled = base_ms.saturating_mul(1_i64.checked_shl(attempt.min(62)).unwrap_or(i64::MAX));
                let jitter = scale(*base_ms, unit).min(base_ms - 1);
                Some(doubled.saturating_add(jitter).min(*max_ms))
            }
        }
    }
}

/// `millis * factor`, rounded down; delays are far below what a double holds exactly.
#[expect(clippy::cast_possible_truncation, clippy::cast_precision_loss, reason = "at most 30 days, so exact")]
fn scale(millis: i64, factor: f64) -> i64 {
    (millis as f64 * factor) as i64
}

fn parse_delay(text: &str) -> Option<i64> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    let unit_ms = match unit {
        "ms" => 1,
        "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        "d" => 24 * 3_600_000,
        _ => return None,
    };
    let millis = number.parse::<i64>().ok()?.checked_mul(unit_ms)?;
    (millis <= LONGEST_DELAY_MS).then_some(millis)
}

/// What a receiver asks for with `Retry-After`: milliseconds from `now`, at most 24 hours. `None` if it is unreadable
/// or past (OB-145).
pub fn retry_after(header: &str, now: Timestamp) -> Option<i64> {
    let header = header.trim();
    let wait = if !header.is_empty() && header.bytes().all(|byte| byte.is_ascii_digit()) {
        // More digits than fit are a wish to wait for very long, not an unreadable one.
        header.parse::<i64>().unwrap_or(i64::MAX).saturating_mul(1_000)
    } else {
        let date = httpdate::parse_http_date(header).ok()?;
        let since_epoch = date.duration_since(std::time::UNIX_EPOCH).ok()?;
        i64::try_from(since_epoch.as_millis()).ok()?.saturating_sub(now.0)
    };
    (wait > 0).then_some(wait.min(RETRY_AFTER_CAP_MS))
}

/// Whether `Retry-After` of an answer with this status is honoured (OB-145).
pub fn honours_retry_after(status: u16) -> bool {
    matches!(status, 408 | 429 | 500..=599)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn ob_142_formula_never_overflows_nor_exceeds_its_ceiling(attempt in 1_u32..200, unit in 0.0..1.0_f64) {
            let formula = Schedule::Formula { max_attempts: 200, base_ms: 86_400_000, max_ms: 604_800_000 };
            let delay = formula.delay_after(attempt, unit).unwrap();
            prop_assert!((172_800_000..=604_800_000).contains(&delay));
        }

        #[test]
        fn ob_144_any_text_is_read_or_refused(text in ".{0,40}") {
            let _ = Schedule::parse(&text);
            let _ = retry_after(&text, Timestamp(0));
        }
    }

    #[test]
    fn ob_144_delays_out_of_range_are_refused() {
        for bad in ["31d", "99999999999999999999s", "s", "5 s", "5S", "none,5s", "5s,", &"1s,".repeat(101)] {
            assert_eq!(Schedule::parse(bad), Err(InvalidSchedule), "{bad}");
        }
    }
}
