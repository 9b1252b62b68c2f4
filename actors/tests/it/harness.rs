//! One contact on a virtual clock: no actor, no thread, no disk.

use mainspring_actors::{
    contact::{
        Call, Command, ContactState, Decision, Meta, NewEvent, Outcome, Policy, Turn, apply, decide,
        from_snapshot, to_snapshot,
    },
    rules::{Rule, Rules},
};
use mainspring_schemas::{
    ContactId, Properties, RecordId, Timestamp,
    catalog::BUCKET_REACTION,
    definition::{BucketDefinition, assemble},
    event::{
        ContactEvent,
        contact::{Source, Via},
    },
    identity::{IdentityKey, KeyKind},
};
use uuid::Uuid;

pub const MINUTE: i64 = 60_000;
pub const HOUR: i64 = 60 * MINUTE;
pub const DAY: i64 = 24 * HOUR;

/// 2026-06-01T00:00:00.000Z, the origin of the specification's scenarios.
pub const T0: i64 = 1_780_272_000_000;

/// Definitions from a YAML text, in the order written.
pub fn definitions(yaml: &str) -> Vec<BucketDefinition> {
    if yaml.trim().is_empty() {
        return Vec::new();
    }
    let (definitions, issues) = assemble([("buckets.yaml".to_owned(), format!("buckets:\n{yaml}"))]);
    let errors: Vec<String> =
        issues.iter().filter(|issue| issue.is_error()).map(ToString::to_string).collect();
    assert!(errors.is_empty(), "{errors:#?}");
    definitions
}

/// Rules that have been in force since `at`.
pub fn rules(definitions: Vec<BucketDefinition>, revision: u64, at: i64) -> Rules {
    let rule = |definition: BucketDefinition| {
        let enabled = definition.enabled;
        Rule::new(definition.into(), enabled, revision, Timestamp(at))
    };
    Rules::new(revision, definitions.into_iter().map(rule).collect())
}

/// An instant in hours and milliseconds after T0.
pub fn when(at: Timestamp) -> String {
    let after = at.0 - T0;
    let (hours, millis) = (after.div_euclid(HOUR), after.rem_euclid(HOUR));
    if millis == 0 { format!("{hours}h") } else { format!("{hours}h+{millis}ms") }
}

/// A transition in one line, at hours and milliseconds after T0: `+F1 #1 event` or `-F1 #1 event criteria`, with
/// `silent` if nobody is told; `~F1 #1 after-3600000 x1` for a dwell; what reactions do.
pub fn line(event: &ContactEvent) -> Option<String> {
    let silent = |announced: bool| if announced { "" } else { " silent" };
    match event {
        ContactEvent::BucketEntered(e) => Some(format!(
            "{} +{} #{} {}{}",
            when(e.at),
            e.bucket,
            e.epoch,
            e.source.as_str(),
            silent(e.announced)
        )),
        ContactEvent::BucketLeft(e) => Some(format!(
            "{} -{} #{} {} {}{}",
            when(e.at),
            e.bucket,
            e.epoch,
            e.source.as_str(),
            e.reason.as_str(),
            silent(e.announced)
        )),
        ContactEvent::BucketDwelled(e) => {
            Some(format!("{} ~{} #{} {} x{}", when(e.at), e.bucket, e.epoch, e.label, e.ordinal))
        }
        ContactEvent::BucketDeadline(e) => {
            Some(format!("{} |{} #{} {}", when(e.at), e.bucket, e.epoch, when(e.max_dwell_at)))
        }
        ContactEvent::Reacted(e) => Some(format!("{} {} {}", when(e.at), e.reaction, e.outcome.as_str())),
        ContactEvent::PropertiesChanged(e) if e.by_bucket => {
            let removed: Vec<String> = e.removed.iter().map(|name| format!(" -{name}")).collect();
            Some(format!("{} set {}{}", when(e.at), serde_json::json!(e.set), removed.concat()))
        }
        ContactEvent::EventRecorded(e) if e.source == Source::Bucket => {
            Some(format!("{} track {}", when(e.at), e.name))
        }
        ContactEvent::Announced(e) if e.outbound_type == BUCKET_REACTION => {
            Some(format!("{} send {}", when(e.at), e.data["name"].as_str().unwrap_or_default()))
        }
        _ => None,
    }
}

/// One contact with its history.
pub struct Person {
    pub id: ContactId,
    pub state: ContactState,
    pub rules: Rules,
    pub policy: Policy,
    pub now: i64,
    pub history: Vec<(ContactEvent, Meta)>,
    /// Whether the contact is read anew from its records between two turns of one command.
    pub forgets_between_turns: bool,
    next_id: u128,
}

impl Person {
    pub fn new(yaml: &str) -> Self {
        Self::with(rules(definitions(yaml), 1, T0 - 1000 * DAY))
    }

    pub fn with(rules: Rules) -> Self {
        Self {
            id: ContactId(Uuid::from_u128(0xc0)),
            state: ContactState::default(),
            rules,
            policy: Policy::default(),
            now: T0,
            history: Vec::new(),
            forgets_between_turns: false,
            next_id: 1,
        }
    }

    /// As many turns as the command takes; the last one's answer.
    pub fn decide(&mut self, command: Command, continuous: bool) -> Decision {
        let mut decision = self.turn(command, continuous);
        loop {
            // A turn that was cut goes on at once.
            let is_behind = self.state.wake_at().is_some_and(|wake| wake.0 <= self.now);
            let next = match decision.again.take() {
                Some(again) => again,
                None if is_behind => Command::Wake,
                None => return decision,
            };
            if self.forgets_between_turns {
                self.state = self.replayed();
            }
            let puts_off = !matches!(next, Command::Wake);
            let more = self.turn(next, continuous);
            decision.events.extend(more.events);
            decision.entered.extend(more.entered);
            decision.left.extend(more.left);
            decision.again = more.again;
            if puts_off {
                (decision.outcome, decision.unused) = (more.outcome, more.unused);
            }
        }
    }

    fn turn(&mut self, command: Command, continuous: bool) -> Decision {
        let turn = Turn {
            contact: self.id,
            rules: &self.rules,
            policy: &self.policy,
            now: Timestamp(self.now),
            continuous,
        };
        let mut next = self.next_id;
        let mut version = self.state.version;
        let decision = decide(&mut self.state, turn, command, &mut || {
            next += 1;
            RecordId(Uuid::from_u128(next))
        });
        self.next_id = next;
        let wake_at = self.state.wake_at();
        for (id, event) in &decision.events {
            let at = version.map_or(0, |v| v + 1);
            version = Some(at);
            let meta = Meta {
                contact: self.id,
                id: *id,
                version: at,
                recorded_at: Timestamp(self.now),
                wake_at,
                definitions: self.rules.revision,
            };
            self.history.push((event.clone(), meta));
        }
        decision
    }

    fn key(&self) -> IdentityKey {
        IdentityKey::new(KeyKind::External, "u1").unwrap()
    }

    /// An explicit upsert now, with everything that was decided.
    pub fn call_decision(&mut self, patch: serde_json::Value) -> Decision {
        self.decide_call(patch, None, false)
    }

    fn call(&mut self, patch: serde_json::Value, event: Option<NewEvent>, continuous: bool) -> Vec<String> {
        let decision = self.decide_call(patch, event, continuous);
        assert!(matches!(decision.outcome, Outcome::Done { .. } | Outcome::Duplicate { .. }), "{decision:?}");
        decision.events.iter().filter_map(|(_, event)| line(event)).collect()
    }

    fn decide_call(
        &mut self,
        patch: serde_json::Value,
        event: Option<NewEvent>,
        continuous: bool,
    ) -> Decision {
        let key = self.key();
        let unowned = if self.state.holds(&key) { vec![] } else { vec![key.clone()] };
        let patch: Properties = patch.as_object().cloned().unwrap_or_default();
        let call = Call {
            keys: vec![key],
            unowned,
            designated: false,
            losers: vec![],
            conflicts: vec![],
            patch,
            event,
            via: Via::Attached,
        };
        self.decide(Command::Call(Box::new(call)), continuous)
    }

    fn new_event(name: &str, properties: serde_json::Value, at: Option<i64>, key: Option<&str>) -> NewEvent {
        NewEvent {
            name: name.into(),
            properties: properties.as_object().cloned().unwrap_or_default(),
            occurred_at: at.map(Timestamp),
            source: Source::Api,
            idempotency_key: key.map(Into::into),
            request: 0,
        }
    }

    /// Time passes, every timer on time, then an event arrives. Returns all transitions on the way.
    pub fn event(&mut self, at: i64, name: &str, properties: serde_json::Value) -> Vec<String> {
        self.event_with(at, name, properties, serde_json::json!({}))
    }

    pub fn event_with(
        &mut self,
        at: i64,
        name: &str,
        properties: serde_json::Value,
        patch: serde_json::Value,
    ) -> Vec<String> {
        let mut lines = self.pass_until(at);
        lines.extend(self.call(patch, Some(Self::new_event(name, properties, None, None)), false));
        lines
    }

    pub fn dated(&mut self, at: i64, name: &str, occurred_at: i64) -> Vec<String> {
        let mut lines = self.pass_until(at);
        let event = Self::new_event(name, serde_json::json!({}), Some(occurred_at), None);
        lines.extend(self.call(serde_json::json!({}), Some(event), false));
        lines
    }

    /// An event with an idempotency key; `true` if it was stored.
    pub fn keyed(&mut self, at: i64, name: &str, key: &str) -> (bool, Vec<String>) {
        let mut lines = self.pass_until(at);
        let before = self.history.len();
        let event = Self::new_event(name, serde_json::json!({}), None, Some(key));
        lines.extend(self.call(serde_json::json!({}), Some(event), false));
        (self.history.len() > before, lines)
    }

    /// An explicit upsert.
    pub fn put(&mut self, at: i64, patch: serde_json::Value) -> Vec<String> {
        let mut lines = self.pass_until(at);
        lines.extend(self.call(patch, None, false));
        lines
    }

    /// The engine is down until `at`, then an event arrives before any timer.
    pub fn late_event(&mut self, at: i64, name: &str, occurred_at: i64) -> Vec<String> {
        self.now = at;
        let event = Self::new_event(name, serde_json::json!({}), Some(occurred_at), None);
        self.call(serde_json::json!({}), Some(event), false)
    }

    /// The engine is down until `at`, then the timer fires.
    pub fn late_wake(&mut self, at: i64) -> Vec<String> {
        self.now = at;
        let decision = self.decide(Command::Wake, false);
        decision.events.iter().filter_map(|(_, event)| line(event)).collect()
    }

    /// The data's own clock: the event brings the time with it.
    pub fn imported_event(&mut self, at: i64, name: &str) -> Vec<String> {
        self.now = at;
        self.call(
            serde_json::json!({}),
            Some(Self::new_event(name, serde_json::json!({}), Some(at), None)),
            true,
        )
    }

    /// Time passes up to and including `until`; every timer fires on time.
    pub fn pass_until(&mut self, until: i64) -> Vec<String> {
        let mut lines = Vec::new();
        while let Some(wake) = self.state.wake_at().filter(|wake| wake.0 <= until) {
            self.now = self.now.max(wake.0);
            let decision = self.decide(Command::Wake, false);
            lines.extend(decision.events.iter().filter_map(|(_, event)| line(event)));
            assert!(
                self.state.wake_at().is_none_or(|next| next.0 > self.now),
                "a timer that does not move on"
            );
        }
        self.now = self.now.max(until);
        lines
    }

    /// Other definitions come into force now; the contact meets them when it acts next.
    pub fn redefine(&mut self, definitions: Vec<BucketDefinition>, revision: u64) {
        self.rules = rules(definitions, revision, self.now);
    }

    /// One definition changes now, in anything but its criteria, and the pass over the contacts comes by.
    pub fn change(&mut self, index: usize, definition: BucketDefinition) -> Vec<String> {
        let (revision, now) = (self.rules.revision + 1, Timestamp(self.now));
        let mut all = self.rules.rules.clone();
        let (before, enabled) = (&self.rules.rules[index], definition.enabled);
        let mut rule = Rule::new(definition.into(), enabled, before.activated_position, before.activated_at);
        if enabled && !before.enabled {
            (rule.activated_position, rule.activated_at) = (revision, now);
        }
        for schedule in &mut rule.dwell {
            schedule.since = rule.activated_at;
        }
        let shorter = rule.min_dwell < before.min_dwell;
        rule.min_dwell_since = if shorter { now } else { before.min_dwell_since };
        let clock_came = rule.clock_joins && !before.clock_joins;
        rule.clock_joins_since = if clock_came { now } else { before.clock_joins_since };
        all[index] = rule;
        self.rules = Rules::new(revision, all);
        self.meet()
    }

    /// The back-fill reaches the contact.
    pub fn meet(&mut self) -> Vec<String> {
        let decision = self.decide(Command::Meet, false);
        decision.events.iter().filter_map(|(_, event)| line(event)).collect()
    }

    /// The contact as its records say.
    fn replayed(&self) -> ContactState {
        let mut state = ContactState::default();
        for (event, meta) in &self.history {
            apply(&mut state, event, *meta);
        }
        state
    }

    /// Puts the contact aside and reads it again, from its events or from a snapshot.
    pub fn restart(&mut self, from_a_snapshot: bool) {
        let state = if from_a_snapshot {
            from_snapshot(&to_snapshot(&self.state).unwrap()).unwrap()
        } else {
            self.replayed()
        };
        self.state = state;
        // Reading decides nothing; the next look plans the timers again.
        let before = self.history.len();
        self.decide(Command::Meet, false);
        // A look that was planned turns out to be for nothing if what came after it undid its reason: the next one is noted.
        let only_looks =
            self.history[before..].iter().all(|(event, _)| matches!(event, ContactEvent::Looked(_)));
        assert!(only_looks, "reading a contact again must not change it: {:?}", &self.history[before..]);
    }
}
