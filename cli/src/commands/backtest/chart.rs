//! Members over time, as bars of text.

use mainspring_actors::backtest::{Day, Report};
use mainspring_schemas::Timestamp;

/// A day, in milliseconds.
const DAY: i64 = 86_400_000;

/// Parts of a character that a bar can end with, an eighth each.
const EIGHTHS: [&str; 8] = ["", "▏", "▎", "▍", "▌", "▋", "▊", "▉"];

/// Some days in a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    /// When the first day began.
    pub start: Timestamp,
    /// Stays that began.
    pub entered: u64,
    /// Stays that ended.
    pub left: u64,
    /// Members at the end.
    pub members: u64,
}

/// The whole period in at most `most` spans of equally many days; also how many days.
pub fn spans(report: &Report, most: i64) -> (i64, Vec<Span>) {
    let (first, last) = (report.from.0.div_euclid(DAY), report.until.0.div_euclid(DAY));
    let width = (last - first).max(0) / most.max(1) + 1;
    let mut days = report.days.iter().peekable();
    let mut members = report.initial;
    let mut spans = Vec::new();
    let mut start = first;
    while start <= last {
        let end = start + width;
        let mut span = Span { start: Timestamp(start * DAY), entered: 0, left: 0, members };
        while let Some(Day { entered, left, members: then, .. }) = days.next_if(|day| day.start.0 < end * DAY)
        {
            span = Span { entered: span.entered + entered, left: span.left + left, members: *then, ..span };
        }
        members = span.members;
        spans.push(span);
        start = end;
    }
    (width, spans)
}

/// A bar as long as `value` is of `most`, where `most` takes `width` characters.
pub fn bar(value: u64, most: u64, width: u64) -> String {
    let eighths = (value * width * 8).checked_div(most).unwrap_or(0);
    let whole = usize::try_from(eighths / 8).unwrap_or(0);
    let rest = usize::try_from(eighths % 8).unwrap_or(0);
    let bar = format!("{}{}", "█".repeat(whole), EIGHTHS[rest]);
    // What is there is seen.
    if bar.is_empty() && value > 0 { EIGHTHS[1].to_owned() } else { bar }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn report(days: Vec<Day>, until: i64) -> Report {
        Report {
            from: Timestamp(DAY / 2),
            until: Timestamp(until * DAY),
            contacts: 0,
            initial: 3,
            entered: 0,
            announced: 0,
            left: BTreeMap::new(),
            united: 0,
            members: 0,
            recorded_members: 0,
            would_join: Default::default(),
            would_leave: Default::default(),
            days,
        }
    }

    #[test]
    fn days_without_a_change_keep_their_members() {
        let day = |day: i64, entered, left, members| Day {
            start: Timestamp(day * DAY),
            entered,
            left,
            united: 0,
            members,
        };
        let report = report(vec![day(1, 2, 0, 5), day(4, 0, 4, 1)], 5);
        let members = |most| -> Vec<(u64, u64, u64)> {
            spans(&report, most).1.iter().map(|span| (span.entered, span.left, span.members)).collect()
        };
        assert_eq!(members(10), [(0, 0, 3), (2, 0, 5), (0, 0, 5), (0, 0, 5), (0, 4, 1), (0, 0, 1)]);
        assert_eq!(members(2), [(2, 0, 5), (0, 4, 1)]);
        assert_eq!(spans(&report, 2).0, 3);
    }

    #[test]
    fn bars_are_drawn_in_eighths() {
        assert_eq!(bar(8, 8, 3), "███");
        assert_eq!(bar(3, 8, 2), "▊");
        assert_eq!(bar(1, 1_000, 3), "▏", "a little is not nothing");
        assert_eq!((bar(0, 8, 3), bar(0, 0, 3)), (String::new(), String::new()));
    }
}
