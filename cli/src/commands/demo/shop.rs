//! A made-up shop: customers sign up, use the product, pay, and go quiet. Pure: chance and time are arguments.
//!
//! Windows of real buckets are days long. To show the clock at work within seconds, some events happened almost a
//! window ago, which `timestamp` says, so that they fall out of it while somebody watches.

use mainspring_schemas::Timestamp;
use serde_json::{Value, json};

const SECOND: i64 = 1_000;
const HOUR: i64 = 3_600 * SECOND;
const DAY: i64 = 24 * HOUR;

/// Customers at once; later ones take the places of earlier ones, with new names.
const PLACES: usize = 400;

const NAMES: [&str; 16] = [
    "anna", "boris", "chen", "dina", "elif", "femi", "greta", "hugo", "ines", "jonas", "kira", "luca",
    "mina", "noor", "oleg", "pia",
];

/// SplitMix64: enough for a show, and repeatable.
#[derive(Debug)]
struct Chance(u64);

impl Chance {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }

    /// A few seconds.
    fn moment(&mut self) -> i64 {
        let millis = 2_000 + self.below(8_000);
        i64::try_from(millis).unwrap_or(2_000)
    }
}

#[derive(Clone, Debug)]
struct Customer {
    id: String,
    email: String,
    spent: u64,
    steps: u64,
}

/// The shop.
#[derive(Debug)]
pub struct Shop {
    chance: Chance,
    customers: Vec<Customer>,
    known: u64,
}

impl Shop {
    /// A shop without customers; equal seeds make equal shops.
    pub fn new(seed: u64) -> Self {
        Self { chance: Chance(seed), customers: Vec::new(), known: 0 }
    }

    /// What happens next: the body of a `POST /v1/events`.
    pub fn next(&mut self, now: Timestamp) -> Value {
        let index = match self.chance.below(10) {
            0 => self.welcome(),
            _ if self.customers.is_empty() => self.welcome(),
            _ => usize::try_from(self.chance.below(self.customers.len() as u64)).unwrap_or(0),
        };
        let mut customer = self.customers[index].clone();
        let event = self.step(&mut customer, now);
        customer.steps += 1;
        let mut body = json!({ "userId": customer.id, "email": customer.email });
        if let (Value::Object(body), Value::Object(event)) = (&mut body, event) {
            body.extend(event);
        }
        self.customers[index] = customer;
        body
    }

    fn welcome(&mut self) -> usize {
        let name = NAMES[usize::try_from(self.chance.below(NAMES.len() as u64)).unwrap_or(0)];
        self.known += 1;
        let number = self.known;
        let id = format!("u-{number}");
        let customer = Customer { id, email: format!("{name}{number}@shop.example"), spent: 0, steps: 0 };
        if self.customers.len() < PLACES {
            self.customers.push(customer);
            return self.customers.len() - 1;
        }
        let index = usize::try_from(self.chance.below(PLACES as u64)).unwrap_or(0);
        self.customers[index] = customer;
        index
    }

    fn step(&mut self, customer: &mut Customer, now: Timestamp) -> Value {
        if customer.steps == 0 {
            return json!({"name": "trial.started", "contactProperties": {"plan": "trial"}});
        }
        match self.chance.below(100) {
            0..=7 => json!({"name": "project.created"}),
            8..=15 => json!({"name": "plan.upgraded", "contactProperties": {"plan": "pro"}}),
            16..=17 => json!({"name": "plan.cancelled", "contactProperties": {"plan": null}}),
            18..=35 => json!({"name": "session.started"}),
            36..=65 => json!({"name": "key.action", "eventProperties": {"action": "export"}}),
            66..=71 => {
                // Two of these within 36 hours are trouble; this one is over in a few seconds.
                let happened = now.plus(self.chance.moment() - 36 * HOUR);
                json!({"name": "payment.failed", "timestamp": happened})
            }
            72..=87 => {
                let amount = 20 + self.chance.below(180);
                customer.spent += amount;
                json!({
                    "name": "order.placed",
                    "eventProperties": {"amount": amount},
                    "contactProperties": {"lifetime_value": customer.spent},
                })
            }
            88..=94 => json!({"name": "app.active"}),
            _ => json!({"name": "app.active", "timestamp": now.plus(self.chance.moment() - 7 * DAY)}),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shop_is_repeatable_and_begins_every_customer_with_a_trial() {
        let now = Timestamp(1_780_272_000_000);
        let (mut one, mut other) = (Shop::new(7), Shop::new(7));
        let mut seen = std::collections::HashSet::new();
        for _ in 0..5_000 {
            let event = one.next(now);
            assert_eq!(event, other.next(now));
            if seen.insert(event["userId"].clone()) {
                assert_eq!(event["name"], "trial.started");
            }
            let happened =
                event.get("timestamp").map(|at| at.as_str().unwrap().parse::<Timestamp>().unwrap());
            assert!(happened.is_none_or(|at| at < now));
        }
        assert!(seen.len() > PLACES);
    }
}
