//! The criteria language against naive oracles, on random trees and histories.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

use mainspring_schemas::{
    Timestamp,
    criteria::{
        Composite, CompositeOperator, CountOperator, Criteria, EventCheck, EventLeaf, Explanation, Facts,
        Number, PropertyLeaf, PropertyOperator, Scalar, criteria_hash, evaluate, explain, next_change,
        read_json, validate,
    },
    duration::DurationSpec,
};
use proptest::prelude::*;
use serde_json::{Map, Value, json};

const EVENTS: [&str; 3] = ["a", "b", "c"];
const PROPERTIES: [&str; 2] = ["p", "q"];

/// The last instant any history of these tests changes at: occurrences end at 60, windows at 20.
const HORIZON: i64 = 100;

#[derive(Clone, Debug)]
struct History {
    properties: Map<String, Value>,
    occurrences: [Vec<Timestamp>; 3],
}

impl Facts for History {
    fn property(&self, name: &str) -> Option<&Value> {
        self.properties.get(name)
    }

    fn occurrences(&self, event: &str) -> &[Timestamp] {
        EVENTS.iter().position(|known| *known == event).map_or(&[], |at| &self.occurrences[at])
    }
}

fn histories() -> impl Strategy<Value = History> {
    let values = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        (0..4).prop_map(Value::from),
        (0..8).prop_map(|half| json!(f64::from(half) / 2.0)),
        "[xy]{0,2}".prop_map(Value::from),
        Just(json!(["x"])),
    ];
    let property = (prop::sample::select(&PROPERTIES[..]), values);
    let properties = prop::collection::vec(property, 0..3).prop_map(|properties| {
        properties.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
    });
    // Few distinct instants, so that several events share one.
    let occurrences = prop::collection::vec(0..60_i64, 0..8).prop_map(|mut instants| {
        instants.sort_unstable();
        instants.into_iter().map(Timestamp).collect()
    });
    let crowded = prop::collection::vec(20..24_i64, 0..8).prop_map(|mut instants| {
        instants.sort_unstable();
        instants.into_iter().map(Timestamp).collect()
    });
    let occurrences = prop_oneof![occurrences, crowded].boxed();
    (properties, [occurrences.clone(), occurrences.clone(), occurrences])
        .prop_map(|(properties, occurrences)| History { properties, occurrences })
}

fn scalars() -> impl Strategy<Value = Scalar> {
    prop_oneof![
        any::<bool>().prop_map(Scalar::Bool),
        (0..4).prop_map(|value| Scalar::Number(Number::from(value))),
        (0..8).prop_map(|half| Scalar::Number(Number::from_f64(f64::from(half) / 2.0).unwrap())),
        "[xy]{0,2}".prop_map(|text| Scalar::Text(text.into())),
    ]
}

fn property_leaves() -> impl Strategy<Value = Criteria> {
    use PropertyOperator::{Contains, Eq, Exists, Gt, Gte, Lt, Lte, Neq, NotExists};
    let operators = prop::sample::select(&[Eq, Neq, Gt, Gte, Lt, Lte, Exists, NotExists, Contains][..]);
    (prop::sample::select(&PROPERTIES[..]), operators, scalars()).prop_map(|(property, operator, value)| {
        let value = (!matches!(operator, Exists | NotExists)).then_some(value);
        Criteria::Property(PropertyLeaf { property: property.into(), operator, value })
    })
}

fn event_leaves() -> impl Strategy<Value = Criteria> {
    use CountOperator::{Eq, Gt, Gte, Lt, Lte};
    let checks = prop::sample::select(&[EventCheck::Exists, EventCheck::NotExists, EventCheck::Count][..]);
    let operators = prop::sample::select(&[Gt, Gte, Lt, Lte, Eq][..]);
    let windows = prop::option::weighted(0.8, 1..20_u32);
    (prop::sample::select(&EVENTS[..]), checks, operators, -2..14_i32, windows).prop_map(
        |(event, check, operator, halves, millis)| {
            let count =
                (check == EventCheck::Count).then(|| Number::from_f64(f64::from(halves) / 2.0).unwrap());
            let seconds = |millis| Number::from_f64(f64::from(millis) / 1000.0);
            let within = millis.map(|millis| DurationSpec::new(None, None, seconds(millis)).unwrap());
            let operator = count.as_ref().map(|_| operator);
            Criteria::Event(EventLeaf { event_name: event.into(), check, operator, value: count, within })
        },
    )
}

fn trees() -> impl Strategy<Value = Criteria> {
    prop_oneof![property_leaves(), event_leaves(), event_leaves()].prop_recursive(4, 24, 4, |inner| {
        let operators = prop::sample::select(&[CompositeOperator::And, CompositeOperator::Or][..]);
        (operators, prop::collection::vec(inner, 0..4))
            .prop_map(|(operator, conditions)| Criteria::Composite(Composite { operator, conditions }))
    })
}

/// BK-31, as its table reads.
fn naive_property(leaf: &PropertyLeaf, history: &History) -> bool {
    let held = history.properties.get(leaf.property.as_str()).cloned().unwrap_or(Value::Null);
    let operand = leaf.value.as_ref().map_or(Value::Null, |value| serde_json::to_value(value).unwrap());
    let equal = match (held.as_f64(), operand.as_f64()) {
        (Some(held), Some(operand)) => held == operand,
        _ => !held.is_null() && held == operand,
    };
    let order = held.as_f64().zip(operand.as_f64()).map(|(held, operand)| held.total_cmp(&operand));
    match leaf.operator {
        PropertyOperator::Eq => equal,
        PropertyOperator::Neq => !equal,
        PropertyOperator::Gt => order.is_some_and(|order| order.is_gt()),
        PropertyOperator::Gte => order.is_some_and(|order| order.is_ge()),
        PropertyOperator::Lt => order.is_some_and(|order| order.is_lt()),
        PropertyOperator::Lte => order.is_some_and(|order| order.is_le()),
        PropertyOperator::Exists => !held.is_null(),
        PropertyOperator::NotExists => held.is_null(),
        PropertyOperator::Contains => {
            held.as_str().zip(operand.as_str()).is_some_and(|(held, operand)| held.contains(operand))
        }
    }
}

/// BK-32, as its table reads.
fn naive_event(leaf: &EventLeaf, history: &History, now: i64) -> bool {
    let oldest = leaf.within.as_ref().map_or(i64::MIN, |within| now - within.millis());
    let n =
        history.occurrences(&leaf.event_name).iter().filter(|occurred| occurred.0 >= oldest).count() as f64;
    let comparison = leaf.operator.zip(leaf.value.as_ref().map(Number::as_f64));
    match (leaf.check, comparison) {
        (EventCheck::Exists, _) | (EventCheck::Count, None) => n > 0.0,
        (EventCheck::NotExists, _) => n == 0.0,
        (EventCheck::Count, Some((CountOperator::Gt, value))) => n > value,
        (EventCheck::Count, Some((CountOperator::Gte, value))) => n >= value,
        (EventCheck::Count, Some((CountOperator::Lt, value))) => n < value,
        (EventCheck::Count, Some((CountOperator::Lte, value))) => n <= value,
        (EventCheck::Count, Some((CountOperator::Eq, value))) => n == value,
    }
}

fn naive(criteria: &Criteria, history: &History, now: i64) -> bool {
    match criteria {
        Criteria::Property(leaf) => naive_property(leaf, history),
        Criteria::Event(leaf) => naive_event(leaf, history, now),
        Criteria::EmailEngagement(_) => false,
        Criteria::Composite(composite) => {
            let parts: Vec<_> = composite.conditions.iter().map(|part| naive(part, history, now)).collect();
            match composite.operator {
                CompositeOperator::And => !parts.contains(&false),
                CompositeOperator::Or => parts.contains(&true),
            }
        }
    }
}

/// The truth of every windowed leaf.
fn windowed_truths(criteria: &Criteria, history: &History, now: i64) -> Vec<bool> {
    let mut truths = Vec::new();
    criteria.walk(&mut |node| {
        if let Criteria::Event(leaf) = node
            && leaf.within.is_some()
        {
            truths.push(naive_event(leaf, history, now));
        }
    });
    truths
}

/// Every node of the tree beside its explanation.
fn paired<'t>(
    criteria: &'t Criteria,
    explained: &'t Explanation,
    visit: &mut impl FnMut(&'t Criteria, &'t Explanation),
) {
    visit(criteria, explained);
    if let (Criteria::Composite(composite), Explanation::Composite(of)) = (criteria, explained) {
        assert_eq!(composite.conditions.len(), of.conditions.len());
        composite.conditions.iter().zip(&of.conditions).for_each(|(part, of)| paired(part, of, visit));
    }
}

/// What an explanation observed beside the criteria themselves, taken out of its JSON.
fn without_observations(value: Value) -> Value {
    const OBSERVATIONS: [&str; 7] =
        ["holds", "observed", "count", "windowStart", "newest", "lastOccurredAt", "changesAt"];
    match value {
        Value::Object(members) => members
            .into_iter()
            .filter(|(key, _)| !OBSERVATIONS.contains(&key.as_str()))
            .map(
                |(key, value)| {
                    if key == "conditions" { (key, without_observations(value)) } else { (key, value) }
                },
            )
            .collect(),
        Value::Array(parts) => parts.into_iter().map(without_observations).collect(),
        other => other,
    }
}

/// The same criteria in short form, wherever there is one.
fn shortened(criteria: &Criteria) -> Value {
    let long = || serde_json::to_value(criteria).unwrap();
    match criteria {
        Criteria::Property(leaf) => match leaf.operator {
            PropertyOperator::Exists => json!({"prop": leaf.property, "exists": true}),
            PropertyOperator::NotExists => json!({"prop": leaf.property, "exists": false}),
            operator => {
                let operator = serde_json::to_value(operator).unwrap();
                json!({"prop": leaf.property, operator.as_str().unwrap(): leaf.value})
            }
        },
        Criteria::Event(leaf) => {
            let mut short = json!({"event": leaf.event_name});
            match leaf.check {
                EventCheck::Exists => {}
                EventCheck::NotExists => short["exists"] = json!(false),
                EventCheck::Count => {
                    short["count"] = json!({long()["operator"].as_str().unwrap(): leaf.value})
                }
            }
            leaf.within.iter().for_each(|within| short["within"] = json!(within));
            short
        }
        Criteria::EmailEngagement(_) => long(),
        Criteria::Composite(composite) => {
            let parts: Vec<_> = composite.conditions.iter().map(shortened).collect();
            match composite.operator {
                CompositeOperator::And if parts.len() % 2 == 0 => json!(parts),
                CompositeOperator::And => json!({"all": parts}),
                CompositeOperator::Or => json!({"any": parts}),
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn bk_31_bk_32_evaluation_is_what_the_tables_say(tree in trees(), history in histories(), now in -10..HORIZON) {
        prop_assert_eq!(evaluate(&tree, &history, Timestamp(now)), naive(&tree, &history, now));
    }

    #[test]
    fn bk_150_nothing_changes_before_the_next_change(tree in trees(), history in histories(), now in -10..HORIZON) {
        let truths = windowed_truths(&tree, &history, now);
        let next = next_change(&tree, &history, Timestamp(now));
        let changed = (now + 1..=HORIZON).find(|instant| windowed_truths(&tree, &history, *instant) != truths);
        prop_assert_eq!(next, changed.map(Timestamp));
    }

    #[test]
    fn bk_150_looking_at_every_change_misses_no_answer(tree in trees(), history in histories()) {
        let mut now = Timestamp(-10);
        let mut answer = evaluate(&tree, &history, now);
        for instant in -10..=HORIZON {
            if next_change(&tree, &history, now).is_some_and(|next| next.0 <= instant) {
                now = Timestamp(instant);
                answer = evaluate(&tree, &history, now);
            }
            prop_assert_eq!(evaluate(&tree, &history, Timestamp(instant)), answer);
        }
    }

    #[test]
    fn bk_06_an_explanation_agrees_with_the_evaluation_at_every_node(
        tree in trees(), history in histories(), now in -10..HORIZON,
    ) {
        let now = Timestamp(now);
        let explained = explain(&tree, &history, now);
        let mut changes = Vec::new();
        let mut agree = true;
        paired(&tree, &explained, &mut |part, of| {
            agree &= of.holds() == evaluate(part, &history, now);
            if let (Criteria::Event(leaf), Explanation::Event(seen)) = (part, of) {
                let oldest = leaf.within.as_ref().map_or(i64::MIN, |within| now.0 - within.millis());
                let all = history.occurrences(&leaf.event_name);
                let counted: Vec<_> = all.iter().rev().filter(|at| at.0 >= oldest).copied().collect();
                agree &= seen.count == counted.len() && counted.starts_with(&seen.newest);
                agree &= seen.newest.len() == counted.len().min(10) && seen.last_occurred_at == all.last().copied();
                changes.extend(seen.changes_at);
            }
        });
        prop_assert!(agree, "{:?}", explained);
        prop_assert_eq!(changes.into_iter().min(), next_change(&tree, &history, now));
        let long = serde_json::to_value(&tree).unwrap();
        prop_assert_eq!(without_observations(serde_json::to_value(&explained).unwrap()), long);
    }

    #[test]
    fn bk_37_short_and_long_form_are_equal(tree in trees()) {
        let (short, long) = (read_json(&shortened(&tree)), read_json(&serde_json::to_value(&tree).unwrap()));
        prop_assert_eq!(short.0, long.0.clone());
        prop_assert_eq!(short.1.len(), long.1.len());
        if let Some(read) = long.0 {
            prop_assert_eq!(read, tree);
        }
    }

    #[test]
    fn the_reader_finds_what_validation_finds(tree in trees()) {
        let mut found = validate(&tree);
        let mut read = read_json(&serde_json::to_value(&tree).unwrap()).1;
        let order = |problem: &mainspring_schemas::criteria::Problem| (problem.path.clone(), problem.message.clone());
        found.sort_by_key(order);
        read.sort_by_key(order);
        // The reader says nothing about the tree while a leaf is wrong.
        if read.iter().any(|problem| problem.to_string().starts_with("error") && !problem.path.is_empty()) {
            prop_assert!(read.iter().all(|problem| found.contains(problem)));
        } else {
            prop_assert_eq!(found, read);
        }
    }

    #[test]
    fn bk_30_criteria_survive_json_and_message_pack(tree in trees()) {
        let text = serde_json::to_string(&tree).unwrap();
        let parsed: Criteria = serde_json::from_str(&text).unwrap();
        prop_assert_eq!(criteria_hash(&parsed), criteria_hash(&tree));
        prop_assert_eq!(&parsed, &tree);
        prop_assert!(!text.contains("null"));
        let packed = rmp_serde::to_vec_named(&tree).unwrap();
        prop_assert_eq!(rmp_serde::from_slice::<Criteria>(&packed).unwrap(), tree);
    }

    #[test]
    fn durations_survive_their_spelling(amounts in prop::array::uniform5(prop::option::of(0..1000_u32))) {
        let units = ["w", "d", "h", "m", "s"];
        let spelled: String = amounts.iter().zip(units)
            .filter_map(|(amount, unit)| amount.map(|amount| format!("{amount}{unit}"))).collect();
        prop_assume!(!spelled.is_empty());
        let duration: DurationSpec = spelled.parse().unwrap();
        let millis = [604_800_000, 86_400_000, 3_600_000, 60_000, 1_000_i64];
        let sum: i64 = amounts.iter().zip(millis).map(|(amount, unit)| i64::from(amount.unwrap_or(0)) * unit).sum();
        prop_assert_eq!(duration.millis(), sum);
        let long = serde_json::to_value(&duration).unwrap();
        prop_assert_eq!(serde_json::from_value::<DurationSpec>(long).unwrap(), duration.clone());
        prop_assert_eq!(duration.to_string().parse::<DurationSpec>().unwrap(), duration);
    }
}
