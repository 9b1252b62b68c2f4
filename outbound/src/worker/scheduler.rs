//! The one task that owns the worker's state and decides what starts when.

use std::{
    collections::{BTreeSet, HashMap, HashSet, VecDeque},
    sync::Arc,
    time::Duration,
};

use futures_util::{FutureExt, StreamExt, future::BoxFuture, stream::FuturesUnordered};
use mainspring_schemas::{ContactId, DeliveryId, EndpointId, Timestamp, event::delivery::AttemptResult};
use tokio::sync::watch;

use super::{
    Ports, Stopped,
    alert::{self, Alert},
    attempt::{self, Made},
    hold::{self, Ended},
    lane::Lane,
    load::{self, Plan, Rows},
    slots::Slots,
    statistics::Statistics,
};
use crate::{
    ports::{Clock, Fresh, Position},
    settings::Settings,
};

/// How many outcomes may wait for the log, per slot: when the log is slow or refuses, sending stops, because every
/// unrecorded outcome is a possible repetition after a crash.
const UNRECORDED_PER_SLOT: usize = 4;

/// Everything that can happen to the scheduler besides the passing of time.
pub(super) enum Message {
    /// These endpoints may have something new, up to this position; `None` if nobody could tell.
    Changed(Option<(Position, Vec<EndpointId>)>),
    /// A lane's page was read.
    Loaded { endpoint: EndpointId, plan: Plan, rows: Option<Box<Rows>> },
    /// What a lane held for too long is ended; `None` if that failed.
    HoldEnded { endpoint: EndpointId, ended: Option<Ended> },
    /// An attempt is over.
    Attempted(Box<Made>),
    /// Its outcome is in the log; if that settles the delivery, its contact may have the next one.
    Recorded { endpoint: EndpointId, delivery: DeliveryId, position: Position, freed: Option<ContactId> },
    /// The endpoint is disabled.
    Disabled { endpoint: EndpointId },
    /// An alert was sent, or not.
    Told,
}

/// The state of a worker.
pub(super) struct Scheduler {
    ports: Ports,
    settings: Arc<Settings>,
    statistics: Arc<Statistics>,
    stopping: watch::Receiver<Option<Duration>>,
    position: watch::Receiver<Position>,
    revision: watch::Receiver<u64>,
    slots: Slots,
    lanes: HashMap<EndpointId, Lane>,
    /// Lanes with something in flight.
    busy: HashSet<EndpointId>,
    /// Lanes that wait for the queue to get further.
    behind_queue: HashSet<EndpointId>,
    /// Lanes in line for a slot, in turn.
    line: VecDeque<EndpointId>,
    /// The same, for lanes whose receivers keep slots for long.
    slow_line: VecDeque<EndpointId>,
    alarms: BTreeSet<(Timestamp, EndpointId)>,
    work: FuturesUnordered<BoxFuture<'static, Message>>,
    in_flight: usize,
    unrecorded: usize,
    /// Up to where changes of the queue were asked for.
    seen: Option<Position>,
    asking: bool,
    ask_again: bool,
    halted: bool,
}

impl Scheduler {
    pub(super) fn new(
        ports: Ports,
        settings: Settings,
        statistics: Arc<Statistics>,
        stopping: watch::Receiver<Option<Duration>>,
    ) -> Self {
        let slots = Slots::new(settings.concurrency, settings.endpoint_concurrency);
        let (position, revision) = (ports.queue.position(), ports.endpoints.revision());
        Self {
            ports,
            settings: Arc::new(settings),
            statistics,
            stopping,
            position,
            revision,
            slots,
            lanes: HashMap::new(),
            busy: HashSet::new(),
            behind_queue: HashSet::new(),
            line: VecDeque::new(),
            slow_line: VecDeque::new(),
            alarms: BTreeSet::new(),
            work: FuturesUnordered::new(),
            in_flight: 0,
            unrecorded: 0,
            seen: None,
            asking: false,
            ask_again: false,
            halted: false,
        }
    }

    pub(super) async fn run(mut self) -> Stopped {
        self.ask();
        let grace = loop {
            self.dispatch();
            let alarm = self.alarms.first().map(|(at, _)| *at);
            tokio::select! {
                Some(message) = self.work.next() => {
                    self.handle(message);
                    // Whatever else is ready is handled before the timers are armed anew.
                    while let Some(Some(message)) = self.work.next().now_or_never() {
                        self.handle(message);
                    }
                }
                fresh = self.ports.queue.fresh() => self.take_over(fresh),
                Ok(()) = self.position.changed() => self.ask(),
                Ok(()) = self.revision.changed() => self.touch_all(),
                () = until(&*self.ports.clock, alarm) => self.ring(),
                grace = stop_wanted(&mut self.stopping) => break grace,
            }
        };
        self.finish(grace).await
    }

    /// Lets what is in flight end and be recorded, within `grace`.
    async fn finish(mut self, grace: Duration) -> Stopped {
        self.halted = true;
        let grace_ms = i64::try_from(grace.as_millis()).unwrap_or(i64::MAX);
        let clock = Arc::clone(&self.ports.clock);
        let mut deadline = clock.sleep_until(clock.now().plus(grace_ms));
        while self.in_flight + self.unrecorded > 0 {
            tokio::select! {
                biased;
                Some(message) = self.work.next() => self.handle(message),
                () = &mut deadline => break,
            }
        }
        Stopped { released: self.in_flight + self.unrecorded }
    }

    fn handle(&mut self, message: Message) {
        match message {
            Message::Changed(found) => {
                self.asking = false;
                let again = std::mem::take(&mut self.ask_again) || found.is_none();
                if let Some((position, endpoints)) = found {
                    self.seen = Some(position);
                    for endpoint in endpoints {
                        self.lanes.entry(endpoint).or_insert_with(Lane::new).mark();
                        self.touch(endpoint);
                    }
                    for endpoint in std::mem::take(&mut self.behind_queue) {
                        self.touch(endpoint);
                    }
                }
                if again {
                    self.ask();
                }
            }
            Message::Loaded { endpoint, plan, rows } => {
                let now = self.ports.clock.now();
                self.with_lane(endpoint, |lane| lane.absorb(&plan, rows.map(|rows| *rows), now));
            }
            Message::HoldEnded { endpoint, ended } => {
                let now = self.ports.clock.now();
                self.with_lane(endpoint, |lane| lane.hold_ended(ended, now));
            }
            Message::Attempted(made) => self.settle(*made),
            Message::Recorded { endpoint, delivery, position, freed } => {
                self.unrecorded -= 1;
                self.ports.log.settled(delivery);
                self.with_lane(endpoint, |lane| lane.recorded(delivery, position, freed));
            }
            Message::Disabled { endpoint } => {
                self.unrecorded -= 1;
                self.with_lane(endpoint, |lane| lane.disabling = false);
            }
            Message::Told => {}
        }
    }

    /// Takes over what came to be a moment ago.
    fn take_over(&mut self, fresh: Fresh) {
        let mut touched = HashSet::new();
        for delivery in fresh.deliveries {
            touched.insert(delivery.endpoint);
            self.lanes.entry(delivery.endpoint).or_insert_with(Lane::marked).arrived(delivery);
        }
        for (endpoint, position) in fresh.missed {
            touched.insert(endpoint);
            self.lanes.entry(endpoint).or_insert_with(Lane::marked).missed(position);
        }
        for (contact, position) in fresh.erased {
            self.lanes.values_mut().for_each(|lane| lane.erased(contact, position));
            touched.extend(self.lanes.keys());
        }
        for endpoint in touched {
            self.touch(endpoint);
        }
    }

    /// Changes a lane and looks at what that makes possible.
    fn with_lane(&mut self, endpoint: EndpointId, change: impl FnOnce(&mut Lane)) {
        if let Some(lane) = self.lanes.get_mut(&endpoint) {
            change(lane);
            self.touch(endpoint);
        }
    }

    fn settle(&mut self, made: Made) {
        let endpoint = made.endpoint;
        if made.attempted.result == AttemptResult::Failed {
            let (delivery, class) = (made.attempted.delivery, made.outcome.error_class);
            tracing::warn!(%endpoint, %delivery, class, attempts = made.attempted.attempt, "delivery given up");
        }
        self.in_flight -= 1;
        self.unrecorded += 1;
        if let Some(lane) = self.lanes.get_mut(&endpoint) {
            let alerts = lane.end(&made, self.settings.auto_disable_ms);
            if lane.claimant(made.attempted.at).in_flight == 0 {
                self.busy.remove(&endpoint);
            }
            for alert in alerts {
                self.tell(endpoint, alert, made.attempted.at);
            }
        }
        let (ports, statistics) = (self.ports.clone(), Arc::clone(&self.statistics));
        self.work.push(attempt::record(ports, statistics, endpoint, made.contact, made.attempted).boxed());
        self.touch(endpoint);
    }

    /// Tells operators, and carries out what they are told.
    fn tell(&mut self, endpoint: EndpointId, alert: Alert, at: Timestamp) {
        alert.log(endpoint);
        if let Alert::Disabled { reason } = alert {
            self.unrecorded += 1;
            let (ports, statistics) = (self.ports.clone(), Arc::clone(&self.statistics));
            self.work.push(attempt::disable(ports, statistics, endpoint, at, reason).boxed());
        }
        let Some(url) = &self.settings.alert_url else { return };
        let live = self.ports.endpoints.get(endpoint);
        let its_own = live.iter().flat_map(|live| live.settings.addresses());
        if let Some(request) = alert.request(endpoint, its_own, &url.0, at) {
            self.work.push(alert::send(self.ports.clone(), request).boxed());
        }
    }

    /// Asks the queue what changed; at most one question is open.
    fn ask(&mut self) {
        if self.halted {
            return;
        }
        if std::mem::replace(&mut self.asking, true) {
            self.ask_again = true;
            return;
        }
        let (ports, statistics) = (self.ports.clone(), Arc::clone(&self.statistics));
        self.work.push(load::changes(ports, statistics, self.seen).boxed());
    }

    fn touch_all(&mut self) {
        let all: Vec<_> = self.lanes.keys().copied().collect();
        for endpoint in all {
            self.touch(endpoint);
        }
    }

    /// Brings a lane up to date with its endpoint: gate, reading, alarm, and its place in the line.
    fn touch(&mut self, endpoint: EndpointId) {
        if self.halted {
            return;
        }
        let Some(lane) = self.lanes.get_mut(&endpoint) else { return };
        let now = self.ports.clock.now();
        let live = self.ports.endpoints.get(endpoint);
        lane.adapt(live.as_deref(), &self.ports.destinations, now);
        if let Some(plan) = lane.plan_hold(now, self.settings.hold_ms) {
            let (ports, statistics) = (self.ports.clone(), Arc::clone(&self.statistics));
            self.work.push(hold::end(ports, statistics, endpoint, plan).boxed());
        }
        if let Some(plan) = lane.plan(now, *self.position.borrow()) {
            let (ports, statistics) = (self.ports.clone(), Arc::clone(&self.statistics));
            self.work.push(load::page(ports, statistics, endpoint, plan).boxed());
        }
        if lane.waits_for_queue() {
            self.behind_queue.insert(endpoint);
        }
        let alarm = lane.next_alarm(now);
        if alarm != lane.alarm {
            if let Some(old) = std::mem::replace(&mut lane.alarm, alarm) {
                self.alarms.remove(&(old, endpoint));
            }
            self.alarms.extend(alarm.map(|at| (at, endpoint)));
        }
        let claimant = lane.claimant(now);
        if !lane.queued && lane.has_work(now) && !self.slots.lane_is_full(claimant) {
            lane.queued = true;
            let line = if claimant.slow { &mut self.slow_line } else { &mut self.line };
            line.push_back(endpoint);
        }
    }

    fn ring(&mut self) {
        let now = self.ports.clock.now();
        while let Some((at, endpoint)) = self.alarms.first().copied().filter(|(at, _)| *at <= now) {
            self.alarms.remove(&(at, endpoint));
            self.with_lane(endpoint, |lane| {
                lane.alarm = None;
                lane.ring(now);
            });
        }
    }

    fn nobody_may_start(&self) -> bool {
        let most_unrecorded = self.settings.concurrency.saturating_mul(UNRECORDED_PER_SLOT);
        self.slots.are_gone(self.in_flight) || self.unrecorded >= most_unrecorded
    }

    /// Starts attempts as long as there are slots and lanes that may use them, each lane in its turn.
    fn dispatch(&mut self) {
        let now = self.ports.clock.now();
        self.dispatch_slow(now, self.slots.kept_for_slow());
        let mut passed_over = 0;
        while passed_over < self.line.len() && !self.nobody_may_start() {
            let Some(endpoint) = self.line.pop_front() else { break };
            let Some(lane) = self.lanes.get_mut(&endpoint) else { continue };
            let claimant = lane.claimant(now);
            if claimant.slow {
                self.slow_line.push_back(endpoint);
            } else if self.slots.may_start(claimant, self.in_flight) {
                self.start(endpoint, now);
                passed_over = 0;
            } else {
                self.line.push_back(endpoint);
                passed_over += 1;
            }
        }
        self.dispatch_slow(now, self.slots.most_for_slow());
    }

    /// Starts attempts of slow lanes as long as they hold fewer than `most` slots together.
    fn dispatch_slow(&mut self, now: Timestamp, most: usize) {
        if self.slow_line.is_empty() || self.nobody_may_start() {
            return;
        }
        let slow =
            self.busy.iter().filter_map(|endpoint| self.lanes.get(endpoint)).map(|lane| lane.claimant(now));
        let mut slow_in_flight: usize = slow.filter(|lane| lane.slow).map(|lane| lane.in_flight).sum();
        let mut passed_over = 0;
        while passed_over < self.slow_line.len() && !self.nobody_may_start() && slow_in_flight < most {
            let Some(endpoint) = self.slow_line.pop_front() else { break };
            let Some(lane) = self.lanes.get_mut(&endpoint) else { continue };
            if self.slots.may_start(lane.claimant(now), self.in_flight) {
                self.start(endpoint, now);
                slow_in_flight += 1;
                passed_over = 0;
            } else {
                self.slow_line.push_back(endpoint);
                passed_over += 1;
            }
        }
    }

    /// Starts the next attempt of a lane that was taken out of its line, and lets it queue again.
    fn start(&mut self, endpoint: EndpointId, now: Timestamp) {
        let Some(lane) = self.lanes.get_mut(&endpoint) else { return };
        lane.queued = false;
        let live = self.ports.endpoints.get(endpoint);
        lane.adapt(live.as_deref(), &self.ports.destinations, now);
        // It may have been blocked, filled or emptied while it stood in line.
        let ready = lane.has_work(now) && !self.slots.lane_is_full(lane.claimant(now));
        if let Some(live) = live.filter(|_| ready)
            && let Some(delivery) = lane.begin(now)
        {
            self.busy.insert(endpoint);
            self.in_flight += 1;
            self.statistics.attempt_started();
            self.ports.log.began(delivery.id);
            let (ports, settings) = (self.ports.clone(), Arc::clone(&self.settings));
            let statistics = Arc::clone(&self.statistics);
            self.work.push(attempt::make(ports, settings, statistics, live, delivery, now).boxed());
        }
        self.touch(endpoint);
    }
}

/// Returns at `at`; never if there is no such instant.
async fn until(clock: &dyn Clock, at: Option<Timestamp>) {
    match at {
        Some(at) => clock.sleep_until(at).await,
        None => std::future::pending().await,
    }
}

/// Returns when somebody wants the worker to stop; never if nobody can any more.
async fn stop_wanted(stopping: &mut watch::Receiver<Option<Duration>>) -> Duration {
    let wanted = stopping.wait_for(Option::is_some).await.ok().and_then(|grace| *grace);
    match wanted {
        Some(grace) => grace,
        None => std::future::pending().await,
    }
}
