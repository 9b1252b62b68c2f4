//! What must follow from the events that stand in the log, told a second way.

use std::collections::{BTreeMap, HashMap};

use mainspring_schemas::event::{ContactEvent, DomainEvent};

use super::load::{Fate, Ledger};
use crate::journal::Entry;

/// Buckets, and the model of each.
pub const DEFINITIONS: [(&str, &str); 3] = [
    (
        "thrice",
        "id: thrice\nname: Three orders\nenabled: true\ncriteria: {event: order.placed, count: {gte: 3}}\n",
    ),
    ("pro", "id: pro\nname: Pro\nenabled: true\ncriteria: {prop: plan, eq: pro}\n"),
    (
        "busy",
        "id: busy\nname: Busy\nenabled: true\ncriteria: {event: page.viewed, within: 1s, count: {gte: 3}}\n",
    ),
];

const WINDOW: i64 = 1_000;

/// A transition: who, which bucket, `entered` or `left`, when in milliseconds, ordinal of the stay.
pub type Transition = (String, String, &'static str, i64, u32);

/// One person, as the events tell.
#[derive(Default)]
struct Person {
    orders: u32,
    views: Vec<i64>,
    /// By bucket: whether a member, and how many stays so far.
    stays: BTreeMap<&'static str, (bool, u32)>,
    transitions: Vec<(&'static str, &'static str, i64, u32)>,
}

impl Person {
    fn is(&self, bucket: &str) -> bool {
        self.stays.get(bucket).is_some_and(|stay| stay.0)
    }

    fn set(&mut self, bucket: &'static str, member: bool, at: i64) {
        let stay = self.stays.entry(bucket).or_default();
        if stay.0 != member {
            stay.0 = member;
            stay.1 += u32::from(member);
            self.transitions.push((bucket, if member { "entered" } else { "left" }, at, stay.1));
        }
    }

    /// The clock runs up to `now`: BK-150.
    fn pass(&mut self, now: i64) {
        if self.is("busy") {
            let due = self.views[self.views.len() - 3] + WINDOW + 1;
            if due <= now {
                self.set("busy", false, due);
            }
        }
    }

    fn happen(&mut self, name: &str, plan: Option<&str>, at: i64) {
        self.pass(at);
        if let Some(plan) = plan {
            self.set("pro", plan == "pro", at);
        }
        match name {
            "order.placed" => self.orders += 1,
            _ => self.views.push(at),
        }
        if self.orders >= 3 {
            self.set("thrice", true, at);
        }
        if self.views.iter().filter(|view| **view >= at - WINDOW).count() >= 3 {
            self.set("busy", true, at);
        }
    }
}

/// What the log holds.
#[derive(Default)]
pub struct Story {
    people: BTreeMap<String, Person>,
    /// Transitions that stand in the log, sorted.
    pub found: Vec<Transition>,
    pub stored: usize,
}

impl Story {
    /// Reads a log, and proves that it holds every acknowledged event once and every other at most once.
    pub fn of(entries: &[Entry], ledger: &Ledger) -> Self {
        let mut story = Self::default();
        let mut stored: HashMap<u64, String> = HashMap::new();
        let mut people: HashMap<&str, &str> = HashMap::new();
        for entry in entries {
            let DomainEvent::Contact(event) = &entry.event else { continue };
            match event {
                ContactEvent::EventRecorded(event) => {
                    let n = event.properties["n"].as_u64().unwrap();
                    let twice = stored.insert(n, entry.record.id.to_string());
                    assert_eq!(twice, None, "event {n} stands in the log twice");
                    let sent = &ledger.sent[n as usize];
                    assert_eq!(event.name, sent.name, "event {n}");
                    let stream = people.entry(&sent.person).or_insert(entry.record.stream.as_str());
                    assert_eq!(*stream, entry.record.stream.as_str(), "{} is one contact", sent.person);
                    let person = story.people.entry(sent.person.clone()).or_default();
                    person.happen(sent.name, sent.plan, event.at.0);
                }
                ContactEvent::BucketEntered(event) => {
                    assert!(event.announced);
                    let (who, bucket) = (event.user_key.to_string(), event.bucket.to_string());
                    story.found.push((who, bucket, "entered", event.at.0, event.epoch));
                }
                ContactEvent::BucketLeft(event) => {
                    assert!(event.announced);
                    let (who, bucket) = (event.user_key.to_string(), event.bucket.to_string());
                    story.found.push((who, bucket, "left", event.at.0, event.epoch));
                }
                _ => {}
            }
        }
        for (n, sent) in ledger.sent.iter().enumerate() {
            match (&sent.fate, stored.get(&(n as u64))) {
                (Fate::Acknowledged(id), found) => assert_eq!(found, Some(id), "acknowledged event {n}"),
                (Fate::Refused, found) => assert_eq!(found, None, "refused event {n}"),
                (Fate::Unknown, _) => {}
            }
        }
        story.stored = stored.len();
        story.found.sort();
        story
    }

    /// The transitions that must stand in the log once the clock has run up to `now`, sorted.
    pub fn expected(&mut self, now: i64) -> Vec<Transition> {
        let mut all = Vec::new();
        for (name, person) in &mut self.people {
            person.pass(now);
            let of_person = person.transitions.iter();
            all.extend(
                of_person.map(|(bucket, kind, at, epoch)| {
                    (name.clone(), (*bucket).to_owned(), *kind, *at, *epoch)
                }),
            );
        }
        all.sort();
        all
    }

    /// Who is a member, sorted.
    pub fn members(&self, bucket: &str) -> Vec<String> {
        self.people.iter().filter(|(_, person)| person.is(bucket)).map(|(name, _)| name.clone()).collect()
    }

    /// Proves that the log holds the model's transitions, none missing, none twice. What the clock alone decides may
    /// still be missing at a log's end if the process was killed.
    pub fn prove(&mut self, complete: bool) {
        let expected = self.expected(if complete { i64::MAX } else { 0 });
        let found = self.found.clone();
        let missing: Vec<_> =
            expected.iter().filter(|transition| found.binary_search(transition).is_err()).collect();
        let mut extra: Vec<_> =
            found.iter().filter(|found| expected.binary_search(found).is_err()).cloned().collect();
        if !complete {
            let later = self.expected(i64::MAX);
            extra.retain(|extra| extra.1 != "busy" || later.binary_search(extra).is_err());
        }
        assert!(missing.is_empty() && extra.is_empty(), "missing {missing:?}\nunexpected {extra:?}");
        let twice: Vec<_> = found.windows(2).filter(|pair| pair[0] == pair[1]).collect();
        assert!(twice.is_empty(), "twice {twice:?}");
    }
}
