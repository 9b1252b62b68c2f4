//! Reactions in definition files (BK-120, BK-121, BK-124).

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "helpers of tests may stop a test")]

use mainspring_schemas::{
    Timestamp,
    definition::{Action, BucketDefinition, Pace, Reaction, Trigger, bucket_schema, load_file, select},
    event::{BucketEvent, bucket::Defined, contact::LeaveReason},
};
use serde_json::json;

const HEAD: &str = "id: vip\nname: Vip\nenabled: true\ncriteria: {prop: plan, eq: vip}\n";

/// A definition with the given lines after the required ones.
fn with(lines: &str) -> String {
    format!("{HEAD}{lines}")
}

fn definition(lines: &str) -> BucketDefinition {
    let (mut definitions, issues) = load_file("b.yaml", &with(lines));
    assert!(issues.is_empty(), "{issues:?}");
    definitions.remove(0)
}

fn refused(lines: &str) -> Vec<String> {
    let (definitions, issues) = load_file("b.yaml", &with(lines));
    assert!(definitions.is_empty(), "{lines} was accepted");
    issues.iter().map(ToString::to_string).collect()
}

const ALL: &str = r"
reactions:
  - on: enter
    firstEntryOnly: true
    do:
      - set: {lifecycle: customer, trialEndsAt: null, seats: 3, deep: {a: [1, 2.5, null]}}
      - track: {event: became_pro, properties: {via: bucket}}
      - send: {name: vip_welcome, data: {any: {json: [true]}}}
  - on: leave
    reason: [criteria, maxDwell]
    do: [{track: {event: gone}}]
  - on: dwell
    after: 7d
    do: [{send: {name: a_week}}]
  - on: dwell
    every: {hours: 1}
    do: [{set: {hours: 1}}]
";

#[test]
fn bk_120_reactions_are_read_with_their_options() {
    let definition = definition(ALL);
    let [enter, leave, after, every] = definition.reactions.as_slice() else { panic!("four reactions") };
    assert_eq!(enter.trigger, Trigger::Enter { first_entry_only: true });
    let [Action::Set(patch), Action::Track { event, properties }, Action::Send { name, data }] =
        enter.actions.as_slice()
    else {
        panic!("three actions")
    };
    let expected =
        json!({"lifecycle": "customer", "trialEndsAt": null, "seats": 3, "deep": {"a": [1, 2.5, null]}});
    assert_eq!(json!(patch), expected);
    assert_eq!((event.as_str(), json!(properties)), ("became_pro", json!({"via": "bucket"})));
    assert_eq!((name.as_str(), json!(data)), ("vip_welcome", json!({"any": {"json": [true]}})));
    let reasons = vec![LeaveReason::Criteria, LeaveReason::MaxDwell];
    assert_eq!(leave.trigger, Trigger::Leave { reasons });
    let schedules = [after.schedule().unwrap(), every.schedule().unwrap()];
    assert_eq!(schedules.map(|schedule| schedule.pace), [Pace::After, Pace::Every]);
}

#[test]
fn sb_56_bk_121_ids_and_labels_tell_reactions_apart() {
    let definition = definition(ALL);
    let ids: Vec<_> = definition.reactions.iter().map(|reaction| reaction.id(&definition.id)).collect();
    assert_eq!(
        ids,
        [
            "bucket-vip-on-enter",
            "bucket-vip-on-leave",
            "bucket-vip-on-dwell-after-604800000",
            "bucket-vip-on-dwell-every-3600000",
        ]
    );
    let labels: Vec<_> = definition.schedules().map(|schedule| schedule.label()).collect();
    assert_eq!(labels, ["after-604800000", "every-3600000"]);
}

#[test]
fn bk_124_a_clash_inside_a_bucket_is_a_collision() {
    let enter = "  - {on: enter, do: [{track: {event: e}}]}\n";
    for twice in [
        format!("reactions:\n{enter}{enter}"),
        "reactions:\n  - {on: dwell, after: 7d, do: [{track: {event: e}}]}\n  - {on: dwell, after: 168h, do: [{track: {event: f}}]}\n".to_owned(),
    ] {
        let issues = refused(&twice);
        assert_eq!(issues.len(), 1, "{issues:?}");
        assert!(issues[0].starts_with("b.yaml:7:5: error: reactions: collision: two reactions have the id `bucket-vip-on-"), "{issues:?}");
        assert!(issues[0].ends_with("(also at line 6)"), "{issues:?}");
    }
    definition(
        "reactions:\n  - {on: dwell, after: 7d, do: [{track: {event: e}}]}\n  - {on: dwell, every: 7d, do: [{track: {event: e}}]}\n",
    );
}

#[test]
fn sb_57_what_a_reaction_lacks_or_has_too_much_is_an_error_with_its_place() {
    for (reaction, expected) in [
        ("{on: enter}", "6:5: error: reactions[0].do: the key `do` is missing"),
        ("{on: enter, do: []}", "6:21: error: reactions[0].do: must not be empty"),
        ("{on: enter, do: }", "error: reactions[0].do: must be a list of actions, is empty"),
        (
            "{on: dwell, do: [{track: {event: e}}]}",
            "6:5: error: reactions[0]: a dwell reaction needs exactly one of `after` and `every`, has neither",
        ),
        (
            "{on: dwell, after: 7d, every: 1h, do: [{track: {event: e}}]}",
            "6:5: error: reactions[0]: a dwell reaction needs exactly one of `after` and `every`, has both",
        ),
        (
            "{on: dwell, after: 0s, do: [{track: {event: e}}]}",
            "6:24: error: reactions[0].after: must be more than zero",
        ),
        (
            "{on: dwell, every: often, do: [{track: {event: e}}]}",
            "6:24: error: reactions[0].every: `often` is no duration",
        ),
        (
            "{on: leave, after: 7d, do: [{track: {event: e}}]}",
            "6:17: error: reactions[0].after: unknown key `after` (known keys: on, reason, do)",
        ),
        (
            "{on: enter, reason: criteria, do: [{track: {event: e}}]}",
            "6:17: error: reactions[0].reason: unknown key `reason`",
        ),
        (
            "{on: leave, reason: merged, do: [{track: {event: e}}]}",
            "6:25: error: reactions[0].reason: must be one of criteria, maxDwell, manual, is `merged`",
        ),
        (
            "{on: leave, reason: [], do: [{track: {event: e}}]}",
            "6:25: error: reactions[0].reason: must name a reason",
        ),
        (
            "{on: entre, do: [{track: {event: e}}]}",
            "6:10: error: reactions[0].on: must be one of enter, leave, dwell, is `entre` (did you mean `enter`?)",
        ),
        ("{do: [{track: {event: e}}]}", "6:5: error: reactions[0].on: the key `on` is missing"),
        (
            "{on: enter, firstEntryOnly: yes, do: [{track: {event: e}}]}",
            "6:33: error: reactions[0].firstEntryOnly: must be true or false, is a string",
        ),
        (
            "{on: enter, do: [{trak: {event: e}}]}",
            "6:23: error: reactions[0].do[0].trak: unknown action `trak` (did you mean `track`?)",
        ),
        (
            "{on: enter, do: [{set: {a: 1}, send: {name: n}}]}",
            "6:22: error: reactions[0].do[0]: must hold exactly one action",
        ),
        ("{on: enter, do: [{set: {}}]}", "6:28: error: reactions[0].do[0].set: must name a property"),
        ("{on: enter, do: [{set: 1}]}", "6:28: error: reactions[0].do[0].set: must be a map, is a number"),
        (
            "{on: enter, do: [{track: {event: 'bucket:entered:x'}}]}",
            "error: reactions[0].do[0].track.event: names beginning with `bucket:` are the engine's own",
        ),
        (
            "{on: enter, do: [{track: {event: 'journey:x'}}]}",
            "error: reactions[0].do[0].track.event: names beginning with `journey:` are the engine's own",
        ),
        (
            "{on: enter, do: [{track: {event: e, props: {}}}]}",
            "error: reactions[0].do[0].track.props: unknown key `props`",
        ),
        (
            "{on: enter, do: [{send: {data: {}}}]}",
            "error: reactions[0].do[0].send.name: the key `name` is missing",
        ),
        ("enter", "6:5: error: reactions[0]: must be a reaction, is a string"),
        (
            "{on: leave, exitOnLeave: true, do: [{track: {event: e}}]}",
            "6:30: error: reactions[0].exitOnLeave: has no place in a `leave` reaction (only `enter` and `dwell` \
             reactions can end when the contact leaves)",
        ),
        (
            "{on: enter, exitOnLeave: 1, do: [{track: {event: e}}]}",
            "6:30: error: reactions[0].exitOnLeave: must be true or false, is a number",
        ),
    ] {
        let issues = refused(&format!("reactions:\n  - {reaction}\n"));
        assert!(issues.iter().any(|issue| issue.contains(expected)), "{reaction}: {issues:?}");
    }
    assert!(refused("reactions: {on: enter}\n")[0].contains("must be a list of reactions, is a map"));
}

#[test]
fn bk_134_a_schedule_beyond_max_dwell_is_a_warning() {
    let lines = "maxDwell: 1d\nreactions:\n  - {on: dwell, after: 1d, do: [{track: {event: e}}]}\n  - {on: dwell, after: 23h, do: [{track: {event: e}}]}\n";
    let (definitions, issues) = load_file("b.yaml", &with(lines));
    assert_eq!((definitions.len(), issues.len()), (1, 1), "{issues:?}");
    assert!(
        issues[0].to_string().starts_with("b.yaml:7:5: warning: reactions: fires only in stays"),
        "{}",
        issues[0]
    );
}

#[test]
fn bk_125_enter_and_dwell_reactions_may_end_with_the_stay() {
    let lines = "reactions:\n  - {on: enter, exitOnLeave: true, do: [{track: {event: e}}]}\n  \
                 - {on: dwell, after: 1d, exitOnLeave: true, do: [{track: {event: e}}]}\n  \
                 - {on: dwell, every: 1d, exitOnLeave: false, do: [{track: {event: e}}]}\n  \
                 - {on: leave, do: [{track: {event: e}}]}\n";
    let definition = definition(lines);
    let flags: Vec<bool> = definition.reactions.iter().map(|reaction| reaction.exit_on_leave).collect();
    assert_eq!(flags, [true, true, false, false]);
    let text = serde_json::to_string(&definition).unwrap();
    assert_eq!(text.matches("exitOnLeave").count(), 2, "shown where it is set: {text}");
    assert_eq!(serde_json::from_str::<BucketDefinition>(&text).unwrap(), definition);
}

#[test]
fn bk_138_catching_up_may_be_limited_to_a_whole_number_a_minute() {
    let dwell = "reactions:\n  - {on: dwell, after: 1d, do: [{track: {event: e}}]}\n";
    let limit = |value: &str| format!("dwellCatchUpPerMinute: {value}\n{dwell}");
    assert_eq!(definition(dwell).dwell_catch_up_per_minute, None);
    assert_eq!(definition(&limit("60")).dwell_catch_up_per_minute.map(u32::from), Some(60));
    for (value, problem) in [
        ("0", "must be a whole number from 1 to 4294967295"),
        ("-1", "must be a whole number from 1 to 4294967295"),
        ("1.5", "must be a whole number from 1 to 4294967295"),
        ("4294967296", "must be a whole number from 1 to 4294967295"),
        ("many", "must be a number, is a string"),
    ] {
        let issues = refused(&limit(value));
        assert_eq!(issues, [format!("b.yaml:5:24: error: dwellCatchUpPerMinute: {problem}")], "{value}");
    }
    let (definitions, issues) = load_file("b.yaml", &with("dwellCatchUpPerMinute: 5\n"));
    assert_eq!((definitions.len(), issues.len()), (1, 1));
    assert!(issues[0].to_string().ends_with("has no effect without a dwell reaction"), "{}", issues[0]);
    let validator = jsonschema::validator_for(&bucket_schema()).unwrap();
    for (value, valid) in [(json!(1), true), (json!(0), false), (json!(1.5), false), (json!("1"), false)] {
        let definition = json!({
            "id": "vip", "name": "Vip", "enabled": true, "criteria": {"prop": "plan", "eq": "vip"},
            "dwellCatchUpPerMinute": value,
        });
        assert_eq!(validator.is_valid(&definition), valid, "{value}");
    }
}

#[test]
fn bk_180_reactions_are_no_criteria() {
    assert_eq!(definition(ALL).criteria_hash(), definition("").criteria_hash());
}

#[test]
fn reactions_come_back_equal_from_json_and_from_the_log() {
    let definition = definition(ALL);
    let text = serde_json::to_string(&definition).unwrap();
    assert_eq!(serde_json::from_str::<BucketDefinition>(&text).unwrap(), definition);
    let (mut loaded, issues) = load_file("b.json", &text);
    assert!(issues.is_empty(), "{issues:?}");
    assert_eq!(loaded.remove(0), definition, "the canonical form can be loaded again");
    let event = BucketEvent::Defined(Box::new(Defined {
        at: Timestamp(1),
        criteria_hash: definition.criteria_hash(),
        definition,
        re_evaluates: true,
        replans: false,
    }));
    let encoded = event.encode().unwrap();
    assert_eq!(BucketEvent::decode(encoded.event_type, 1, &encoded.payload).unwrap(), event);
}

#[test]
fn the_published_schema_agrees_with_the_reader() {
    let validator = jsonschema::validator_for(&bucket_schema()).unwrap();
    let fits = |reaction: serde_json::Value| {
        let definition = json!({
            "id": "vip", "name": "Vip", "enabled": true, "criteria": {"prop": "plan", "eq": "vip"},
            "reactions": [reaction],
        });
        let (definitions, _) = load_file("b.json", &definition.to_string());
        let accepted = !definitions.is_empty();
        assert_eq!(validator.is_valid(&definition), accepted, "{definition}");
        accepted
    };
    let body = json!([{"track": {"event": "e"}}]);
    for good in [
        json!({"on": "enter", "do": body}),
        json!({"on": "leave", "reason": "manual", "do": [{"set": {"a": null}}]}),
        json!({"on": "leave", "reason": ["manual", "criteria"], "do": [{"send": {"name": "n", "data": {"a": []}}}]}),
        json!({"on": "dwell", "after": "7d", "do": body}),
        json!({"on": "dwell", "every": {"minutes": 1.5}, "do": body}),
    ] {
        assert!(fits(good));
    }
    for bad in [
        json!({"on": "enter"}),
        json!({"on": "enter", "do": []}),
        json!({"on": "enter", "after": "7d", "do": body}),
        json!({"on": "dwell", "do": body}),
        json!({"on": "dwell", "after": "7d", "every": "7d", "do": body}),
        json!({"on": "leave", "reason": "deleted", "do": body}),
        json!({"on": "enter", "do": [{"set": {}}]}),
        json!({"on": "enter", "do": [{"set": {"a": 1}, "track": {"event": "e"}}]}),
        json!({"on": "enter", "do": [{"track": {"event": "journey:e"}}]}),
        json!({"on": "enter", "do": [{"send": {}}]}),
        json!({"on": "arrive", "do": body}),
    ] {
        assert!(!fits(bad));
    }
    let ambiguous = json!({"on": "dwell", "do": body});
    assert!(serde_json::from_value::<Reaction>(ambiguous).is_err());
}

#[test]
fn sb_58_bk_202_a_selection_takes_buckets_with_their_reactions() {
    let text = "buckets:\n  - {id: vip, name: V, enabled: true, criteria: {event: e}, reactions: [{on: enter, do: [{track: {event: f}}]}]}\n  - {id: other, name: O, enabled: true, criteria: {event: e}}\n";
    let selected = |selection: &str| {
        let (definitions, _) = load_file("b.yaml", text);
        let selected = select(definitions, selection).map_err(|unknown| unknown.to_string())?;
        Ok(selected.iter().map(|bucket| (bucket.id.to_string(), bucket.reactions.len())).collect::<Vec<_>>())
    };
    let (vip, other) = (("vip".to_owned(), 1), ("other".to_owned(), 0));
    for all in ["", "*", " * ", "other,vip", " vip , ,other"] {
        assert_eq!(selected(all), Ok(vec![vip.clone(), other.clone()]), "{all:?}: in definition order");
    }
    assert_eq!(selected("other"), Ok(vec![other]), "neither bucket nor reaction");
    for none in [",", " ", " , "] {
        assert_eq!(selected(none), Ok(vec![]), "{none:?}");
    }
    let unknown = "unknown bucket `othre` (did you mean `other`?), `zebra`".to_owned();
    assert_eq!(selected("zebra,vip,othre"), Err(unknown));
}
