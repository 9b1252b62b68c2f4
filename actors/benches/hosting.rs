//! Where a contact lives: an actix actor of its own, or an entry in the map of one actor per core.
//!
//! `cargo bench -p mainspring-actors --bench hosting` prints, for the same entities and the same messages in one run,
//! bytes per idle entity and messages per second, both asked with an answer as the engine does.

#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a benchmark prints, or stops")]

use std::{collections::HashMap, time::Instant};

use actix::{Actor, Addr, Context, Handler, Message, System};
use futures_util::{StreamExt, stream};

const ENTITIES: u64 = 200_000;
const MESSAGES: u64 = 2_000_000;
const IN_FLIGHT: usize = 256;

/// What both ways keep per entity: about what a contact without properties takes.
struct Entity {
    events: u64,
    _state: Box<[u8; 256]>,
}

impl Entity {
    fn new() -> Self {
        Self { events: 0, _state: Box::new([7; 256]) }
    }
}

#[derive(Message)]
#[rtype(u64)]
struct Event(u64);

struct Single(Entity);

impl Actor for Single {
    type Context = Context<Self>;
}

impl Handler<Event> for Single {
    type Result = u64;

    fn handle(&mut self, _: Event, _: &mut Context<Self>) -> u64 {
        self.0.events += 1;
        self.0.events
    }
}

#[derive(Default)]
struct Shard(HashMap<u64, Entity>);

impl Actor for Shard {
    type Context = Context<Self>;

    fn started(&mut self, context: &mut Self::Context) {
        context.set_mailbox_capacity(4096);
    }
}

impl Handler<Event> for Shard {
    type Result = u64;

    fn handle(&mut self, event: Event, _: &mut Context<Self>) -> u64 {
        let entity = self.0.entry(event.0).or_insert_with(Entity::new);
        entity.events += 1;
        entity.events
    }
}

/// Resident memory of this process in bytes.
fn resident() -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<f64>().unwrap() * 1024.0
}

/// Every message waits for its answer, as many at once as the engine has callers.
async fn rate<A>(address_of: impl Fn(u64) -> Addr<A>) -> f64
where
    A: Actor<Context = Context<A>> + Handler<Event>,
{
    let began = Instant::now();
    // A stride that is prime to the number of entities visits all of them, none twice in a row.
    let entities = (0..MESSAGES).map(|n| n.wrapping_mul(7_919) % ENTITIES);
    let answers = stream::iter(entities).map(|entity| address_of(entity).send(Event(entity)));
    let answered = answers
        .buffer_unordered(IN_FLIGHT)
        .fold(0, |sum, answer| async move { sum + u64::from(answer.is_ok()) });
    assert_eq!(answered.await, MESSAGES);
    MESSAGES as f64 / began.elapsed().as_secs_f64()
}

fn main() {
    System::new().block_on(async {
        let before = resident();
        let shard = Shard::default().start();
        for entity in 0..ENTITIES {
            shard.send(Event(entity)).await.unwrap();
        }
        let bytes = (resident() - before) / ENTITIES as f64;
        let hosted = rate(|_| shard.clone()).await;
        println!("one actor per core   {bytes:>6.0} bytes per idle entity  {hosted:>10.0} messages/s");

        let before = resident();
        let singles: Vec<Addr<Single>> = (0..ENTITIES).map(|_| Single(Entity::new()).start()).collect();
        for single in &singles {
            single.send(Event(0)).await.unwrap();
        }
        let bytes = (resident() - before) / ENTITIES as f64;
        let single = rate(|entity| singles[entity as usize].clone()).await;
        println!("one actor per entity {bytes:>6.0} bytes per idle entity  {single:>10.0} messages/s");
        println!("hosting answers {:.2} times as many messages", hosted / single);
    });
}
