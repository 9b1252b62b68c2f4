//! Claims and releases as appends: who owns a key becomes true together with what makes it so (RS-82).

use mainspring_eventlog::{Expected, StreamAppend};
use mainspring_schemas::{ContactId, RecordId, Timestamp, codec::EncodeError, identity::IdentityKey};

use super::{digest::KeyHasher, lookup::LookedUp, plan::Plan};
use crate::writer::{Stamp, claimed, identity_record, released};

/// Writes claims of one append.
pub(crate) struct ClaimWriter<'a> {
    /// Names the streams.
    pub hasher: &'a KeyHasher,
    /// The instant of the append.
    pub now: Timestamp,
    /// What is stored beside each record.
    pub stamp: Stamp,
    /// Ids of the records.
    pub ids: &'a mut dyn FnMut() -> RecordId,
}

impl ClaimWriter<'_> {
    /// Claims of the keys nobody owned: each must still be as free as it was found.
    pub fn claim(
        &mut self,
        looked_up: &[LookedUp],
        plan: &Plan,
        contact: ContactId,
    ) -> Result<Vec<StreamAppend>, EncodeError> {
        let free = looked_up.iter().filter(|item| plan.unowned.contains(&item.found.key));
        free.map(|item| self.write(&item.found.key, item.expected, Some(contact))).collect()
    }

    /// A loser's keys change hands (MC-12, MC-14). The expected version of the loser's own stream guards them: its keys
    /// change only with it.
    pub fn hand_over<'k>(
        &mut self,
        keys: impl IntoIterator<Item = &'k IdentityKey>,
        survivor: ContactId,
    ) -> Result<Vec<StreamAppend>, EncodeError> {
        keys.into_iter().map(|key| self.write(key, Expected::Any, Some(survivor))).collect()
    }

    /// A deleted contact's keys are free at once (CT-70); guarded like those that change hands.
    pub fn release<'k>(
        &mut self,
        keys: impl IntoIterator<Item = &'k IdentityKey>,
    ) -> Result<Vec<StreamAppend>, EncodeError> {
        keys.into_iter().map(|key| self.write(key, Expected::Any, None)).collect()
    }

    /// A restored contact's keys, each as free as it was found (GD-02).
    pub fn reclaim<'k>(
        &mut self,
        keys: impl IntoIterator<Item = &'k (IdentityKey, Expected)>,
        contact: ContactId,
    ) -> Result<Vec<StreamAppend>, EncodeError> {
        keys.into_iter().map(|(key, expected)| self.write(key, *expected, Some(contact))).collect()
    }

    fn write(
        &mut self,
        key: &IdentityKey,
        expected: Expected,
        owner: Option<ContactId>,
    ) -> Result<StreamAppend, EncodeError> {
        let event = owner.map_or_else(|| released(self.now), |contact| claimed(contact, self.now));
        identity_record(self.hasher.stream(key), expected, &event, (self.ids)(), self.stamp)
    }
}
