//! A shard: one arbiter, one thread, and the contacts that live there.
//!
//! The actor of this module hosts many contacts: each has its own state, its own place in line and its own life cycle,
//! and is decided one command at a time. An actix actor per contact was measured against it (`benches/hosting.rs`).
//!
//! Only this folder and `engine` know actix; everything that decides does not.

mod entity;
mod message;
mod seal;
mod steps;
mod timers;

use std::{
    collections::{BTreeMap, HashMap, VecDeque, hash_map::Entry},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use actix::{Actor, ActorFutureExt, AsyncContext, Context, Handler, WeakAddr, WrapFuture};
use futures_util::FutureExt;
use mainspring_eventlog::{
    Append, AppendError, EventLog, Expected, Position, SnapshotStore, StreamAppend, Version,
    sealing::DataKeys,
};
use mainspring_schemas::{
    ContactId, RecordId, StreamName, Timestamp, codec::EncodeError, event::ContactEvent,
};

pub(crate) use self::message::{Answer, Decide, Decided, Failure, Message, TakeOut, Verb};
pub(crate) use self::steps::Also;
use self::{
    entity::{Entity, LoadError, load},
    seal::give_key,
    timers::Timers,
};
use crate::{
    clock::{Clock, TICK},
    contact::{self, Command, Half, Outcome, Policy, Turn, plan_looks},
    entropy::Entropy,
    rules::Rules,
    writer::{Pledge, Stamp, contact_records},
};

/// How many due timers are served before the mailbox gets its turn again.
const WAKES_PER_TURN: usize = 256;

/// How many contacts are looked at for idleness before the mailbox gets its turn again.
const LOOKS_PER_TURN: usize = 4096;

/// How many contacts are looked at to make room for one.
const LOOKS_FOR_ROOM: usize = 64;

/// When a contact is woken again whose append was refused, or that could not be read, in milliseconds.
const RETRY: i64 = 500;

/// What all shards of an engine share.
pub(crate) struct Shared {
    pub log: Arc<dyn EventLog>,
    pub snapshots: Arc<dyn SnapshotStore>,
    pub clock: Arc<dyn Clock>,
    /// Keys that seal what is personal; without them it stays in clear.
    pub data_keys: Option<Arc<DataKeys>>,
    pub policy: Policy,
    pub live_contacts: AtomicUsize,
    pub armed_timers: AtomicUsize,
}

/// When contacts are put aside.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Residence {
    /// Most contacts kept in memory by one shard.
    pub capacity: usize,
    /// Contacts untouched for so long are put aside.
    pub idle_after: Duration,
    /// A contact with at least so many records since its last snapshot gets a new one when put aside.
    pub snapshot_after: u64,
}

enum Slot {
    /// Being read, or written step by step; whoever comes meanwhile waits here, in order.
    Loading(Vec<Verb>),
    Live(Box<Entity>),
}

/// One thread's share of all contacts.
pub(crate) struct Shard {
    shared: Arc<Shared>,
    rules: Arc<Rules>,
    residence: Residence,
    contacts: HashMap<ContactId, Slot>,
    /// Contacts in line to be put aside, each with its place; places only grow. Whoever was used meanwhile goes to the
    /// end when its turn comes. An entry whose place is no longer the contact's own is a leftover.
    by_use: VecDeque<(ContactId, u64)>,
    uses: u64,
    timers: Timers,
    /// How many of the timers `armed_timers` contains.
    counted_timers: usize,
    address: WeakAddr<Self>,
    entropy: Entropy,
}

impl Shard {
    pub fn new(
        shared: Arc<Shared>,
        rules: Arc<Rules>,
        residence: Residence,
        address: WeakAddr<Self>,
    ) -> Self {
        Self {
            shared,
            rules,
            residence,
            contacts: HashMap::new(),
            by_use: VecDeque::new(),
            uses: 0,
            timers: Timers::default(),
            counted_timers: 0,
            address,
            entropy: Entropy::default(),
        }
    }

    /// Hands a verb to its contact, which is loaded first if need be.
    fn dispatch(&mut self, verb: Verb, ctx: &mut Context<Self>) {
        let id = verb.contact();
        let reload = match self.contacts.get_mut(&id) {
            Some(Slot::Loading(waiting)) => {
                waiting.push(verb);
                return;
            }
            Some(Slot::Live(entity)) => entity.is_stale(),
            None => true,
        };
        if !reload {
            self.act(verb);
            return;
        }
        self.remove(id);
        let mut loading = Box::pin(load(Arc::clone(&self.shared), id));
        // The embedded log answers at once; others are waited for without holding up the rest of the shard.
        match (&mut loading).now_or_never() {
            Some(loaded) => self.loaded(id, loaded, vec![verb]),
            None => {
                self.contacts.insert(id, Slot::Loading(vec![verb]));
                ctx.spawn(loading.into_actor(self).map(move |loaded, shard, ctx| {
                    let waiting = match shard.contacts.remove(&id) {
                        Some(Slot::Loading(waiting)) => waiting,
                        _ => Vec::new(),
                    };
                    shard.loaded(id, loaded, waiting);
                    shard.plan_visit(ctx);
                }));
            }
        }
    }

    fn loaded(&mut self, id: ContactId, loaded: Result<Entity, LoadError>, waiting: Vec<Verb>) {
        match loaded {
            Ok(mut entity) => {
                self.make_room();
                self.uses += 1;
                entity.place = self.uses;
                self.by_use.push_back((id, entity.place));
                self.contacts.insert(id, Slot::Live(Box::new(entity)));
                self.shared.live_contacts.fetch_add(1, Ordering::Relaxed);
                for verb in waiting {
                    self.act(verb);
                }
            }
            Err(error) => {
                tracing::error!(contact = %id, %error, "a contact cannot be read");
                // The log may be readable soon; a record that cannot be understood stays so.
                if matches!(error, LoadError::Log(_)) && waiting.iter().any(Verb::is_wake) {
                    self.timers.arm(id, None, Some(self.shared.clock.now().plus(RETRY)));
                }
                let failure = match error {
                    LoadError::Log(error) => Failure::Log(error.to_string()),
                    LoadError::Decode(error) => Failure::Unreadable(error.to_string()),
                };
                for verb in waiting {
                    verb.fail(failure.clone());
                }
            }
        }
    }

    /// Lets a live contact act, or wait for its turn.
    fn act(&mut self, verb: Verb) {
        let entity = match self.contacts.get_mut(&verb.contact()) {
            Some(Slot::Live(entity)) => entity,
            // The one before is being written step by step.
            Some(Slot::Loading(waiting)) => return waiting.push(verb),
            None => return,
        };
        self.uses += 1;
        entity.last_use = self.uses;
        match verb {
            Verb::Decide(decide) => self.decide(*decide),
            Verb::Take(take) => self.take(take),
            Verb::View(_, reply) => entity.after_durable(Box::new({
                let mut state = entity.state.clone();
                plan_looks(&mut state, &self.rules);
                move |result| drop(reply.send(result.map(|()| Box::new(state)).map_err(Failure::from)))
            })),
        }
    }

    fn decide(&mut self, decide: Decide) {
        let Decide { contact, mut command, also, at, continuous, trace, in_flight, decided, reply } = decide;
        let Some(Slot::Live(entity)) = self.contacts.get_mut(&contact) else { return };
        let now = at.unwrap_or_else(|| self.shared.clock.now()).max(entity.state.settled);
        let turn = Turn { contact, rules: &self.rules, policy: &self.shared.policy, now, continuous };
        entity.snapshot_if_long(&self.shared, contact);
        if let Err(error) = give_key(&self.shared, entity, &command) {
            tracing::error!(%error, "no data key");
            let _ = reply.send(Err(Failure::Unavailable));
            return;
        }
        let entropy = &mut self.entropy;
        let (before, is_timed, decision) = loop {
            let (before, is_timed) = (entity.state.version, entity.state.recorded_wake.is_some());
            let decision = contact::decide(&mut entity.state, turn, command, &mut || entropy.record(now));
            let Some(again) = decision.again else { break (before, is_timed, decision) };
            // What had fallen due is an append of its own; the command comes after it.
            let turn = Settled { contact, now, before, events: &decision.events, causes: &decision.causes };
            turn.submit(&self.shared, &self.rules, entity);
            command = again;
        };
        let wake_at = entity.state.wake_at();
        let mut answer = Answer {
            contact,
            contact_key: entity.state.contact_key(),
            outcome: decision.outcome,
            entered: decision.entered,
            left: decision.left,
            unused: decision.unused,
            wake_at,
            position: None,
        };
        let turned_away = answer.unused.is_some();
        if decision.events.is_empty() {
            // Nothing of a merge comes true: its losers read themselves anew.
            drop(in_flight);
            if matches!(answer.outcome, Outcome::Full(_)) {
                // Nobody is told: the call comes again without the key, and need not wait for others (KE-12).
                drop(reply.send(Ok(answer)));
            } else {
                entity.after_durable(Box::new(move |result| {
                    drop(reply.send(result.map(|()| answer).map_err(Failure::from)));
                }));
            }
        } else {
            let expected = before.map_or(Expected::NoStream, Expected::Version);
            let stamp = Stamp { trace, wake_at, definitions: self.rules.revision, data_key: entity.data_key };
            let pledge = in_flight.unwrap_or_else(Pledge::new);
            entity.in_flight = Some(pledge.in_flight());
            let own = contact_records(contact, expected, &decision.events, &decision.causes, stamp);
            let wake_again = is_timed.then(|| self.waker(contact));
            let report = move |result: Result<Position, Failure>| {
                if let Some(wake_again) = wake_again.filter(|_| result.is_err()) {
                    wake_again();
                }
                drop(reply.send(result.map(|position| {
                    answer.position = Some(position);
                    answer
                })));
            };
            match own {
                Ok(own) if !also.is_empty() && !self.shared.log.atomic_streams() => {
                    // Its timer outlives its place in memory.
                    self.arm(contact, wake_at);
                    self.write_in_steps(contact, now, own, also, pledge, report);
                }
                own => {
                    let append = own.map(|own| Append { recorded_at: now, streams: also.with(own) });
                    submit(&*self.shared.log, append, pledge, report);
                }
            }
        }
        if let Some(decided) = decided {
            let _ = decided.send(Decided { turned_away });
        }
        self.arm(contact, wake_at);
    }

    /// Writes a turn to a log that appends to one stream at a time. Whoever comes to the contact meanwhile waits.
    fn write_in_steps(
        &mut self,
        contact: ContactId,
        now: Timestamp,
        own: StreamAppend,
        also: Also,
        pledge: Pledge,
        report: impl FnOnce(Result<Position, Failure>) + 'static,
    ) {
        self.remove(contact);
        self.contacts.insert(contact, Slot::Loading(Vec::new()));
        let (log, address) = (Arc::clone(&self.shared.log), self.address.clone());
        actix::spawn(async move {
            let result = steps::write(&*log, now, own, also).await;
            // Before anybody is told, so that whoever comes next finds the contact as it is now.
            if let Some(shard) = address.upgrade() {
                shard.do_send(Message::Written(contact));
            }
            pledge.settle(result.as_ref().map(|_| ()).map_err(Clone::clone));
            report(result.map_err(Failure::from));
        });
    }

    /// The loser's half of a merge: from now on it answers for nobody.
    fn take(&mut self, take: TakeOut) {
        let TakeOut { contact, survivor, at, continuous, in_flight, reply } = take;
        let Some(Slot::Live(entity)) = self.contacts.get_mut(&contact) else { return };
        let now = at.unwrap_or_else(|| self.shared.clock.now()).max(entity.state.settled);
        let definitions = self.rules.revision;
        let turn = Turn { contact, rules: &self.rules, policy: &self.shared.policy, now, continuous };
        let entropy = &mut self.entropy;
        let (before, taken, events, causes) = loop {
            let before = entity.state.version;
            let half = contact::take(&mut entity.state, turn, survivor, &mut || entropy.record(now));
            let Some(Half { taken, events, causes }) = half else {
                let _ = reply.send(Err(Failure::Conflict));
                return;
            };
            if let Some(taken) = taken {
                break (before, taken, events, causes);
            }
            let turn = Settled { contact, now, before, events: &events, causes: &causes };
            turn.submit(&self.shared, &self.rules, entity);
        };
        let expected = before.map_or(Expected::NoStream, Expected::Version);
        let is_timed = taken.state.recorded_wake.is_some();
        entity.in_flight = Some(in_flight.clone());
        let stamp = Stamp { trace: None, wake_at: None, definitions, data_key: entity.data_key };
        let half = contact_records(contact, expected, &events, &causes, stamp);
        let _ = reply
            .send(half.map(|half| (taken, half)).map_err(|error| Failure::Unwritable(error.to_string())));
        if is_timed {
            let wake_again = self.waker(contact);
            in_flight.then(Box::new(move |result| {
                if result.is_err() {
                    wake_again();
                }
            }));
        }
    }

    /// Has a contact woken soon whose append failed: its timers in memory are those of a state that never was.
    fn waker(&self, contact: ContactId) -> impl FnOnce() + Send + use<> {
        let address = self.address.clone();
        let clock = Arc::clone(&self.shared.clock);
        move || {
            if let Some(shard) = address.upgrade() {
                shard.do_send(Message::Arm(vec![(clock.now().plus(RETRY), contact)]));
            }
        }
    }

    fn arm(&mut self, contact: ContactId, wake_at: Option<Timestamp>) {
        let Some(Slot::Live(entity)) = self.contacts.get_mut(&contact) else { return };
        if entity.armed != wake_at {
            self.timers.arm(contact, entity.armed, wake_at);
            entity.armed = wake_at;
        }
    }

    /// Puts contacts aside until there is room for one more, the longest unused first. If many have been used since
    /// they got in line, the rest follows when the next contact comes.
    fn make_room(&mut self) {
        for _ in 0..LOOKS_FOR_ROOM {
            match self.by_use.front() {
                Some((_, place)) if self.contacts.len() >= self.residence.capacity => {
                    self.look_at_first(*place);
                }
                _ => return,
            }
        }
    }

    /// Puts aside whoever is unused since `unused_since`. In turns: a shard may host very many contacts.
    fn put_idle_aside(&mut self, unused_since: u64, ctx: &mut Context<Self>) {
        for _ in 0..LOOKS_PER_TURN {
            match self.by_use.front() {
                Some((_, place)) if *place <= unused_since => self.look_at_first(unused_since),
                // Everybody from here on got in line later.
                _ => return,
            }
        }
        ctx.run_later(Duration::ZERO, move |shard, ctx| shard.put_idle_aside(unused_since, ctx));
    }

    /// Puts the first contact in line aside if it is unused since `unused_since`, else at the end of the line. There it
    /// goes too with an append on its way: its state is ahead of the log.
    fn look_at_first(&mut self, unused_since: u64) {
        let Some((id, place)) = self.by_use.pop_front() else { return };
        let Some(Slot::Live(entity)) = self.contacts.get_mut(&id) else { return };
        if entity.place != place {
            return;
        }
        if entity.last_use > unused_since || !entity.is_at_rest() {
            self.uses += 1;
            entity.place = self.uses;
            self.by_use.push_back((id, self.uses));
        } else if let Some(entity) = self.remove(id) {
            entity.snapshot(&self.shared, id, self.residence.snapshot_after);
        }
    }

    /// Takes a contact out of memory, if it is there. One that is being read stays: somebody waits for it.
    fn remove(&mut self, id: ContactId) -> Option<Box<Entity>> {
        let Entry::Occupied(slot) = self.contacts.entry(id) else { return None };
        let Slot::Live(_) = slot.get() else { return None };
        let Slot::Live(entity) = slot.remove() else { return None };
        self.shared.live_contacts.fetch_sub(1, Ordering::Relaxed);
        Some(entity)
    }

    /// Serves timers that are due, then plans the next visit.
    fn serve_timers(&mut self, ctx: &mut Context<Self>) {
        let now = self.shared.clock.now();
        // Who is not through after a turn goes on in the next visit.
        let due: Vec<_> = std::iter::from_fn(|| self.timers.take_due(now)).take(WAKES_PER_TURN).collect();
        for contact in due {
            if let Some(Slot::Live(entity)) = self.contacts.get_mut(&contact) {
                entity.armed = None;
            }
            self.dispatch(Verb::Decide(Box::new(Decide::of(contact, Command::Wake).0)), ctx);
        }
        self.plan_visit(ctx);
    }

    /// Adds what changed since the last time; the gauge is the sum over all shards.
    fn count_timers(&mut self) {
        let armed = self.timers.len();
        let more = armed.wrapping_sub(self.counted_timers);
        self.shared.armed_timers.fetch_add(more, Ordering::Relaxed);
        self.counted_timers = armed;
    }

    /// Makes sure the shard looks again when its next timer is due, and often enough to notice that the clock jumped.
    fn plan_visit(&mut self, ctx: &mut Context<Self>) {
        self.count_timers();
        if !self.shared.clock.is_live() {
            return;
        }
        let Some(due) = self.timers.unplanned_visit() else { return };
        let wait = u64::try_from(due.since(self.shared.clock.now())).unwrap_or(0);
        let visit = ctx.run_later(Duration::from_millis(wait).min(TICK), |shard, ctx| {
            shard.timers.visited();
            shard.serve_timers(ctx);
        });
        if let Some(earlier) = self.timers.planned(due, visit) {
            ctx.cancel_future(earlier);
        }
    }
}

/// A turn that was spent on what had fallen due.
struct Settled<'a> {
    contact: ContactId,
    now: Timestamp,
    /// The contact's version before it.
    before: Option<Version>,
    events: &'a [(RecordId, ContactEvent)],
    causes: &'a BTreeMap<RecordId, RecordId>,
}

impl Settled<'_> {
    /// Nobody waits for it: what comes after it rests on it, and fails with it.
    fn submit(self, shared: &Shared, rules: &Rules, entity: &mut Entity) {
        let stamp = Stamp {
            trace: None,
            wake_at: entity.state.wake_at(),
            definitions: rules.revision,
            data_key: entity.data_key,
        };
        let expected = self.before.map_or(Expected::NoStream, Expected::Version);
        let own = contact_records(self.contact, expected, self.events, self.causes, stamp);
        let append = own.map(|own| Append { recorded_at: self.now, streams: vec![own] });
        let pledge = Pledge::new();
        entity.in_flight = Some(pledge.in_flight());
        submit(&*shared.log, append, pledge, drop);
    }
}

/// Submits an append; the outcome is told to whoever waits for it, then to `report`.
fn submit(
    log: &dyn EventLog,
    append: Result<Append, EncodeError>,
    pledge: Pledge,
    report: impl FnOnce(Result<u64, Failure>) + Send + 'static,
) {
    match append {
        Ok(append) => log.submit(
            append,
            Box::new(move |result| {
                pledge.settle(result.as_ref().map(|_| ()).map_err(Clone::clone));
                report(result.map(|appended| appended.last_position).map_err(Failure::from));
            }),
        ),
        Err(error) => {
            pledge.settle(Err(AppendError::Refused("an event cannot be encoded")));
            report(Err(Failure::Unwritable(error.to_string())));
        }
    }
}

impl Actor for Shard {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        let pace = self.residence.idle_after;
        let mut uses_then = 0;
        ctx.run_interval(pace, move |shard, ctx| {
            shard.put_idle_aside(uses_then, ctx);
            uses_then = shard.uses;
        });
    }
}

impl Handler<Message> for Shard {
    type Result = ();

    fn handle(&mut self, message: Message, ctx: &mut Self::Context) {
        match message {
            Message::Verb(verb) => self.dispatch(verb, ctx),
            Message::Rules(rules, done) => {
                self.rules = rules;
                let _ = done.send(());
            }
            Message::Horizon(until, done) => {
                self.timers.extend_horizon(until);
                let _ = done.send(());
            }
            Message::Arm(wakes) => {
                for (at, contact) in wakes {
                    self.timers.arm(contact, None, Some(at));
                }
            }
            Message::Written(contact) => {
                if let Some(Slot::Loading(waiting)) = self.contacts.remove(&contact) {
                    for verb in waiting {
                        self.dispatch(verb, ctx);
                    }
                }
            }
            Message::Forget(contact) => {
                self.remove(contact);
                self.shared.snapshots.remove(&StreamName::contact(contact));
            }
            Message::Stop(done) => {
                for (id, slot) in self.contacts.drain() {
                    if let Slot::Live(entity) = slot {
                        entity.snapshot(&self.shared, id, self.residence.snapshot_after);
                    }
                }
                let _ = done.send(());
            }
        }
        self.plan_visit(ctx);
    }
}

/// The record id of an outcome, if it stored an event.
pub(crate) fn stored_event(outcome: &Outcome) -> Option<RecordId> {
    match outcome {
        Outcome::Done { event, .. } => *event,
        Outcome::Duplicate { event, .. } => Some(*event),
        _ => None,
    }
}
