//! Two contacts become one: what the survivor takes over from each loser (MC-10..MC-21, BK-240).

use std::collections::BTreeMap;

use mainspring_schemas::{
    Properties, Timestamp,
    event::contact::{Absorbed, AttachedKey, ContactEvent, MovedIdempotency, MovedStanding, MovedStay, Via},
    identity::KeyKind,
    outbound_event::OutboundEvent,
    properties,
};

use super::{
    command::{Call, Command, Outcome, Taken},
    decide::Progress,
    state::{ContactState, Remembered},
};

/// The survivor's events for all losers of a call, in rank order. A history of more than `most` instants and keys is
/// absorbed by reference: what one append may hold is limited, what a contact did is not.
pub(super) fn absorbed(survivor: &ContactState, call: &Call, now: Timestamp, most: usize) -> Vec<Absorbed> {
    let mut folded = Properties::new();
    let mut filled: Vec<KeyKind> =
        KeyKind::ALL.into_iter().filter(|kind| survivor.primary(*kind).is_some()).collect();
    let mut staying: Vec<_> =
        survivor.standings.iter().filter(|s| s.stay.is_some()).map(|s| s.bucket.clone()).collect();
    call.losers
        .iter()
        .map(|loser| {
            // Losers in order, each over the one before; the survivor over them (MC-20).
            folded = properties::merged(&folded, &loser.state.properties);
            let by_reference = loser.state.history_len() > most;
            Absorbed {
                at: now,
                loser: loser.contact,
                loser_version: loser.version.unwrap_or_default(),
                aliases: loser.state.aliases.clone(),
                keys: moved_keys(loser, call, &mut filled),
                properties: properties::merged(&folded, &survivor.properties),
                first_seen_at: loser.state.first_seen_at,
                occurrences: if by_reference { BTreeMap::new() } else { occurrences(&loser.state) },
                idempotency: if by_reference { Vec::new() } else { idempotency(&loser.state) },
                by_reference,
                standings: standings(&loser.state, &mut staying),
            }
        })
        .collect()
}

/// A free slot is filled by the value the call supplies, else by the first loser that has one (RS-06, MC-11).
fn moved_keys(loser: &Taken, call: &Call, filled: &mut Vec<KeyKind>) -> Vec<AttachedKey> {
    loser
        .state
        .keys
        .iter()
        .map(|held| {
            let kind = held.key.kind;
            let supplied = call.keys.iter().find(|key| key.kind == kind);
            let fits = supplied.map_or(held.primary, |supplied| *supplied == held.key);
            let primary = kind.has_primary() && fits && !filled.contains(&kind);
            if primary {
                filled.push(kind);
            }
            AttachedKey { kind, value: held.key.value.clone(), primary, via: Via::Merge }
        })
        .collect()
}

fn occurrences(loser: &ContactState) -> BTreeMap<compact_str::CompactString, Vec<Timestamp>> {
    loser.occurrences.iter().map(|(name, instants)| (name.clone(), instants.to_vec())).collect()
}

fn idempotency(loser: &ContactState) -> Vec<MovedIdempotency> {
    let moved = |known: Remembered| MovedIdempotency {
        digest: known.digest.to_be_bytes(),
        event: known.event,
        request: known.request,
    };
    loser.remembered.sorted().into_iter().map(moved).collect()
}

/// The loser's standings as they move; a bucket in `staying` has a stay already, which goes on (BK-240).
pub(super) fn standings(
    loser: &ContactState,
    staying: &mut Vec<mainspring_schemas::BucketId>,
) -> Vec<MovedStanding> {
    loser
        .standings
        .iter()
        .map(|standing| {
            let taken = staying.contains(&standing.bucket);
            let active = standing.stay.as_ref().filter(|_| !taken).map(|stay| MovedStay {
                stay: stay.id,
                epoch: stay.epoch,
                entered_at: stay.entered_at,
                source: stay.source,
                max_dwell_at: stay.max_dwell_at,
                dwell_anchor_at: stay.dwell_anchor_at,
                dwelled: stay.dwelled.clone(),
                dwell_plans: stay.dwell_plans.clone(),
            });
            if active.is_some() {
                staying.push(standing.bucket.clone());
            }
            MovedStanding {
                bucket: standing.bucket.clone(),
                epochs: standing.epochs,
                last_left_at: standing.last_left_at,
                ended_by_merge: standing.stay.is_some() && active.is_none(),
                active,
            }
        })
        .collect()
}

impl Progress<'_> {
    /// The survivor's half of a merge whose other half came true before (MC-43).
    pub(super) fn absorb_late(&mut self, taken: Taken) -> Outcome {
        if self.state.aliases.contains(&taken.contact) {
            return Outcome::Looked { waiting: Vec::new() };
        }
        self.meet();
        self.settle(self.turn.continuous);
        if self.is_cut {
            return self.put_off(Command::Absorb(Box::new(taken)));
        }
        let call = Call::of_nobody(vec![taken]);
        let mut touched = Vec::new();
        self.absorb(&call, &mut touched);
        self.candidates(touched);
        self.catch_up();
        self.announce_merges(&call.losers);
        if self.turn.policy.announce_all {
            self.announce(OutboundEvent::ContactUpdated);
        }
        Outcome::Looked { waiting: Vec::new() }
    }

    /// Absorbs the losers of a call; adds the buckets that this touches.
    pub(super) fn absorb(&mut self, call: &Call, touched: &mut Vec<u32>) {
        for loser in &call.losers {
            self.former_keys.absorb(loser.contact, &loser.state);
        }
        let most = self.turn.policy.max_moved_history;
        for (event, loser) in absorbed(self.state, call, self.turn.now, most).into_iter().zip(&call.losers) {
            for (name, _) in loser.state.occurrences.iter() {
                self.turn.rules.touched_by_event(name, touched);
            }
            for name in event.properties.keys() {
                self.turn.rules.touched_by_property(name, touched);
            }
            // What the loser's clock should have ended by now ends with this turn.
            for moved in event.standings.iter().filter(|moved| moved.active.is_some()) {
                self.turn.rules.touched_by_stay(&moved.bucket, touched);
            }
            let by_reference = event.by_reference;
            self.emit(ContactEvent::Absorbed(Box::new(event)));
            if by_reference {
                self.state.unite_history(&loser.state);
            }
        }
        // Clocks of moved stays run on; everything is planned anew with the united history.
        for (index, rule) in (0_u32..).zip(&self.turn.rules.rules) {
            if rule.enabled {
                self.stamp_deadline(rule);
            }
            self.replan(index, self.turn.now);
        }
    }
}

#[cfg(test)]
mod tests {
    use mainspring_schemas::{ContactId, RecordId};
    use uuid::Uuid;

    use super::*;
    use crate::contact::Policy;

    #[test]
    fn rs_84_a_merge_stays_small_whatever_the_loser_did() {
        let most = Policy::default().max_moved_history;
        for keys in [0, most, most + 1, 300_000] {
            let remembered = (0..keys as u128)
                .map(|digest| Remembered {
                    digest,
                    event: RecordId(Uuid::from_u128(digest)),
                    request: u64::MAX,
                })
                .collect::<Vec<_>>()
                .into();
            let state = Box::new(ContactState { remembered, ..ContactState::default() });
            let loser = Taken { contact: ContactId(Uuid::from_u128(1)), version: None, state };
            let survivor = ContactState::default();
            let absorbed = absorbed(&survivor, &Call::of_nobody(vec![loser]), Timestamp(0), most);
            assert_eq!(absorbed[0].by_reference, keys > most);
            let encoded = ContactEvent::Absorbed(Box::new(absorbed[0].clone())).encode().unwrap();
            assert!(encoded.payload.len() < 1 << 20, "{keys} keys take {} bytes", encoded.payload.len());
        }
    }
}
