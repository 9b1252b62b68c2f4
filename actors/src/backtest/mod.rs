//! A definition tried on the whole history: who would have joined and left, and when, had it been in force from the
//! first record on. Nothing is written.
//!
//! ```text
//!  log, in order ──► what came from outside ──► Replay of the contact ──► transitions ──► Figures
//!                └─► transitions of the bucket in force ──► Members ──► differences at the end
//! ```
//!
//! Membership is decided by the code of a live turn ([`crate::contact::Replay`]), on the history's own clock. Of each
//! contact only what the criteria look at is kept.

mod figures;
mod input;

use std::collections::HashMap;

use mainspring_eventlog::Recorded;
use mainspring_schemas::{
    ContactId, Timestamp,
    codec::DecodeError,
    criteria::Touches,
    definition::BucketDefinition,
    event::{ContactEvent, contact::Absorbed},
    identity::KeyKind,
};

pub use self::figures::{Day, Difference, Differences, Report};
use self::{
    figures::{Figures, Totals},
    input::Lens,
};
use crate::{
    contact::{Moment, Replay, Stay},
    history::{Members, contact_event},
    rules::{Rule, Rules},
};

/// Which part of the history counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Period {
    /// What happens before is not told and not counted; who is a member then is the initial population.
    pub from: Option<Timestamp>,
    /// The last instant; that of the newest record if absent.
    pub until: Option<Timestamp>,
}

impl Period {
    fn last(&self) -> Timestamp {
        self.until.unwrap_or(Timestamp(i64::MAX))
    }
}

/// A definition on its way through the history.
#[derive(Debug)]
pub struct Backtest {
    rules: Rules,
    lens: Lens,
    period: Period,
    contacts: HashMap<ContactId, Replay>,
    /// Those who are deleted and may be restored.
    deleted: HashMap<ContactId, Replay>,
    /// Who is a member by the definitions that were in force, under the same id.
    recorded: Members,
    figures: Figures,
    oldest: Option<Timestamp>,
    newest: Option<Timestamp>,
}

impl Backtest {
    /// A definition before the first record. It decides even if it is switched off. Its reactions do not run: what they
    /// would change is no part of the history.
    pub fn new(mut definition: BucketDefinition, period: Period) -> Self {
        definition.reactions.clear();
        let lens = Lens(Touches::of(&definition.criteria));
        let recorded = Members::new(definition.id.clone(), period.last());
        // It is met before there is anybody: no contact is back-filled.
        let rule = Rule::new(definition.into(), true, 0, Timestamp(i64::MIN));
        Self {
            rules: Rules::new(0, vec![rule]),
            lens,
            period,
            contacts: HashMap::new(),
            deleted: HashMap::new(),
            recorded,
            figures: Figures::new(period.from),
            oldest: None,
            newest: None,
        }
    }

    /// Takes the next record of the log. `tell` is told each transition in the period. They come in the order of the
    /// log; one that the clock decides comes when its contact is looked at next, or at the end.
    ///
    /// # Errors
    /// See [`DecodeError`].
    pub fn record(
        &mut self,
        record: &Recorded,
        tell: &mut impl FnMut(ContactId, &ContactEvent),
    ) -> Result<(), DecodeError> {
        let Some(contact) = record.stream.contact_id() else { return Ok(()) };
        let counts = record.recorded_at <= self.period.last();
        if counts {
            let at = record.recorded_at;
            self.oldest = Some(self.oldest.map_or(at, |oldest| oldest.min(at)));
            self.newest = self.newest.max(Some(at));
        }
        let is_input = counts && Lens::takes(&record.event_type);
        let concerns_members = Members::concerns(&record.event_type);
        if !is_input && !concerns_members {
            return Ok(());
        }
        let event = contact_event(record)?;
        if concerns_members {
            self.recorded.tell(contact, &event);
        }
        if is_input {
            let moment = Moment { at: record.recorded_at, turn: record.causation.unwrap_or(record.id) };
            self.input(contact, moment, event, tell);
        }
        Ok(())
    }

    fn input(
        &mut self,
        contact: ContactId,
        moment: Moment,
        event: ContactEvent,
        tell: &mut impl FnMut(ContactId, &ContactEvent),
    ) {
        let Some(event) = self.lens.narrow(event) else { return };
        let transitions = match event {
            ContactEvent::Absorbed(absorbed) => self.merge(contact, moment, *absorbed, tell),
            ContactEvent::Deleted(deleted) => {
                self.deleted.remove(&contact);
                let Some(mut replay) = self.contacts.remove(&contact) else { return };
                let transitions = replay.delete(&self.rules, moment);
                if !deleted.erases() {
                    self.deleted.insert(contact, replay);
                }
                transitions
            }
            ContactEvent::Restored(restored) => {
                let Some(mut replay) = self.deleted.remove(&contact) else { return };
                let transitions = replay.restore(&self.rules, moment, restored);
                self.contacts.insert(contact, replay);
                transitions
            }
            event => self.contacts.entry(contact).or_insert_with(|| Replay::new(contact)).input(
                &self.rules,
                moment,
                event,
            ),
        };
        self.figures.count(contact, &transitions, tell);
    }

    fn merge(
        &mut self,
        survivor: ContactId,
        moment: Moment,
        absorbed: Absorbed,
        tell: &mut impl FnMut(ContactId, &ContactEvent),
    ) -> Vec<ContactEvent> {
        let mut loser = self.contacts.remove(&absorbed.loser).unwrap_or_else(|| Replay::new(absorbed.loser));
        let last = loser.pass(&self.rules, moment.at);
        self.figures.count(absorbed.loser, &last, tell);
        let replay = self.contacts.entry(survivor).or_insert_with(|| Replay::new(survivor));
        let transitions = replay.begin(&self.rules, moment);
        if stay(&loser).is_some() && stay(replay).is_some() {
            self.figures.unite(moment.at);
        }
        replay.absorb(&self.rules, moment, absorbed, loser.state());
        transitions
    }

    /// Ends the history: time passes for everybody up to its last instant. At most `listed` contacts of each kind of
    /// difference are named.
    pub fn finish(mut self, listed: usize, tell: &mut impl FnMut(ContactId, &ContactEvent)) -> Report {
        let until = self.period.until.or(self.newest).unwrap_or_default();
        let mut contacts: Vec<_> = self.contacts.into_iter().collect();
        contacts.sort_unstable_by_key(|(contact, _)| *contact);
        let (mut would_join, mut would_leave) = (Differences::default(), Differences::default());
        let mut members = 0;
        for (contact, replay) in &mut contacts {
            let transitions = replay.pass(&self.rules, until);
            self.figures.count(*contact, &transitions, tell);
            let (would, is) = (stay(replay), self.recorded.of(*contact));
            members += u64::from(would.is_some());
            let difference = |since| difference(*contact, replay, since);
            match (would, is) {
                (Some(stay), None) => would_join.add(listed, || difference(stay.entered_at)),
                (None, Some(member)) => would_leave.add(listed, || difference(member.entered_at)),
                _ => {}
            }
        }
        let Totals { initial, announced, left, days } = self.figures.totals();
        Report {
            from: self.period.from.or(self.oldest).unwrap_or_default(),
            until,
            contacts: contacts.len() as u64,
            initial,
            entered: days.iter().map(|day| day.entered).sum(),
            announced,
            left,
            united: days.iter().map(|day| day.united).sum(),
            members,
            recorded_members: self.recorded.len() as u64,
            would_join,
            would_leave,
            days,
        }
    }
}

/// The stay in the bucket under test; there is no other.
fn stay(replay: &Replay) -> Option<&Stay> {
    replay.state().standings.first()?.stay.as_ref()
}

fn difference(contact: ContactId, replay: &Replay, since: Timestamp) -> Difference {
    let state = replay.state();
    Difference {
        id: contact,
        user_id: state.contact_key(),
        user_email: state.primary(KeyKind::Email).cloned(),
        since,
    }
}
