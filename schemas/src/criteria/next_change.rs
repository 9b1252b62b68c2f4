//! When the clock alone can change an answer (BK-150).

use super::{
    Criteria, EventLeaf, Facts,
    window::{Question, counted},
};
use crate::Timestamp;

/// The earliest instant strictly after `now` at which the truth of some windowed leaf changes by the clock alone,
/// assuming nothing else happens; `None` if that is never. Without allocation.
///
/// All leaves are looked at, also those that a short-circuited evaluation would skip: the instant may come too early
/// for the whole tree, never too late.
pub fn next_change(criteria: &Criteria, facts: &impl Facts, now: Timestamp) -> Option<Timestamp> {
    match criteria {
        Criteria::Event(leaf) => leaf_change(leaf, facts, now),
        Criteria::Composite(composite) => {
            composite.conditions.iter().filter_map(|part| next_change(part, facts, now)).min()
        }
        Criteria::Property(_) | Criteria::EmailEngagement(_) => None,
    }
}

/// As n falls one by one, a leaf changes when n passes its bound. The k-th newest occurrence is the one whose ageing
/// makes n fall from k to k - 1; several of one instant age together, so n may jump.
pub(super) fn leaf_change(leaf: &EventLeaf, facts: &impl Facts, now: Timestamp) -> Option<Timestamp> {
    let within = leaf.within.as_ref()?.millis();
    let counted = counted(leaf, facts, now);
    let n = counted.len();
    // An occurrence still counts at `o + within`; where that is beyond the end of time, it counts for ever.
    let ages_out = |occurred: Timestamp| Some(Timestamp(occurred.0.checked_add(within)?.checked_add(1)?));
    match Question::of(leaf) {
        Question::AtLeast(bound) | Question::Below(bound) => ages_out(nth_newest(counted, whole(bound, n)?)?),
        Question::Exactly(number) => {
            let exact = whole(number, n)?;
            if exact == n {
                return ages_out(nth_newest(counted, n)?);
            }
            let above = nth_newest(counted, exact + 1)?;
            let jumped_over = nth_newest(counted, exact) == Some(above);
            if jumped_over { None } else { ages_out(above) }
        }
    }
}

/// `number` as a count of occurrences that are there, if it is one.
fn whole(number: f64, n: usize) -> Option<usize> {
    (number.fract() == 0.0 && number >= 0.0 && number <= n as f64).then_some(number as usize)
}

/// The k-th newest, counted from 1.
fn nth_newest(ascending: &[Timestamp], k: usize) -> Option<Timestamp> {
    let at = ascending.len().checked_sub(k)?;
    ascending.get(at).copied()
}
