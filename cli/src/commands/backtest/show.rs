//! A backtest for people.

use mainspring_actors::backtest::{Difference, Differences, Report};
use mainspring_schemas::definition::BucketDefinition;

use super::{
    InForce,
    chart::{bar, spans},
};
use crate::output;

/// Most rows of the chart.
const ROWS: i64 = 30;

/// Longest bar.
const WIDTH: u64 = 40;

/// Prints what was found.
pub fn report(definition: &BucketDefinition, in_force: Option<&InForce>, report: &Report) {
    let Report { from, until, contacts, initial, members, entered, announced, united, .. } = report;
    output::data(format_args!(
        "{} ({}), {from} to {until}, {contacts} contacts",
        definition.id, definition.name
    ));
    output::data(in_force.map_or_else(|| "in force: none of this id".to_owned(), in_words));
    let reasons: Vec<String> =
        report.left.iter().map(|(reason, count)| format!("{count} {reason}")).collect();
    let left: u64 = report.left.values().sum();
    let reasons = if reasons.is_empty() { String::new() } else { format!(" ({})", reasons.join(", ")) };
    let united = if *united == 0 { String::new() } else { format!(", {united} united by merges") };
    output::data(format_args!(
        "{initial} members at first, {entered} entered ({announced} announced), {left} left{reasons}{united}, \
         {members} members in the end"
    ));
    chart(report);
    let in_force = report.recorded_members;
    output::data(format_args!("\n{in_force} members in the end by what was in force"));
    differences("would be members and are none", &report.would_join);
    differences("are members and would be none", &report.would_leave);
    output::notice("reactions of the definition were not run; nothing was written");
}

fn in_words(in_force: &InForce) -> String {
    let InForce { criteria_hash, since, .. } = in_force;
    let same = if in_force.same_criteria { "the same criteria" } else { "other criteria" };
    let enabled = if in_force.enabled { "" } else { ", switched off" };
    format!("in force: {same}, {} since {since}{enabled}", &criteria_hash[..criteria_hash.len().min(12)])
}

fn chart(report: &Report) {
    let (days, spans) = spans(report, ROWS);
    let most = spans.iter().map(|span| span.members).max().unwrap_or(0);
    let each = if days == 1 { "DAY".to_owned() } else { format!("{days} DAYS FROM") };
    output::data("");
    let rows = spans.iter().map(|span| {
        let day: String = span.start.to_string().chars().take(10).collect();
        let count = |sign, count| if count == 0 { String::new() } else { format!("{sign}{count}") };
        let members = format!("{} {}", bar(span.members, most, WIDTH), span.members);
        [day, count('+', span.entered), count('-', span.left), members]
    });
    output::table([each.as_str(), "ENTERED", "LEFT", "MEMBERS"], rows);
}

fn differences(what: &str, differences: &Differences) {
    output::data(format_args!("{} {what}", differences.total));
    if differences.first.is_empty() {
        return;
    }
    let row = |difference: &Difference| {
        let Difference { id, user_id, user_email, since } = difference;
        let email = user_email.as_ref().map(ToString::to_string).unwrap_or_default();
        [id.to_string(), user_id.to_string(), email, since.to_string()]
    };
    output::table(["CONTACT", "USER", "EMAIL", "SINCE"], differences.first.iter().map(row));
    let more = differences.total - differences.first.len() as u64;
    if more > 0 {
        output::data(format_args!("and {more} more"));
    }
}
