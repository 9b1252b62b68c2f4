//! What an analytics provider is told: which keys became one person (AA-01 to AA-14), and membership mirrored to properties
//! of the person (BK-116, BK-117). Recorded in the turn that causes it, sent through the queue like everything else.

use compact_str::{CompactString, ToCompactString};
use mainspring_schemas::{
    BucketId, ContactId,
    event::contact::ContactEvent,
    identity::KeyKind,
    outbound_event::{AnalyticsAlias, AnalyticsPerson, OutboundEvent},
};

use super::{
    decide::Progress,
    state::{ContactState, Fate},
};

/// The canonical keys of a turn whose events so far may lie under other ones.
#[derive(Debug, Default)]
pub(super) struct FormerKeys {
    /// Of this contact, before the turn; only one that is no user id can give way (AA-06, AA-07).
    own: Option<CompactString>,
    /// Of the contacts it absorbed.
    absorbed: Vec<CompactString>,
}

impl FormerKeys {
    /// Before a turn of a contact.
    pub fn of(state: &ContactState) -> Self {
        let gives_way = state.fate == Fate::Live && state.primary(KeyKind::External).is_none();
        Self { own: gives_way.then(|| state.contact_key()), absorbed: Vec::new() }
    }

    /// A contact is absorbed (AA-04). One with a user id keeps its person: only what came before it is told (AA-05).
    pub fn absorb(&mut self, contact: ContactId, loser: &ContactState) {
        let anonymous = loser.primary(KeyKind::Anonymous).cloned();
        let id = || loser.primary(KeyKind::External).is_none().then(|| contact.to_compact_string());
        self.absorbed.extend(anonymous.or_else(id));
    }
}

impl Progress<'_> {
    /// Tells what this turn changed, after everything else in it.
    pub(super) fn tell_analytics(&mut self) {
        if self.state.fate == Fate::Erased {
            return;
        }
        let changes = self.mirrored();
        let FormerKeys { own, absorbed } = std::mem::take(&mut self.former_keys);
        let surviving = self.state.contact_key();
        let reasons = absorbed.into_iter().map(|key| (key, "collide_merge"));
        for (alias, reason) in reasons.chain(own.map(|key| (key, "key_flip"))) {
            // AA-09.
            if alias != surviving && !alias.is_empty() && self.state.fate == Fate::Live {
                let alias =
                    AnalyticsAlias { user_id: surviving.clone(), alias, reason: reason.to_compact_string() };
                self.announced(&OutboundEvent::AnalyticsAlias(alias));
            }
        }
        for (user_id, property, is_member) in changes {
            self.announced(&OutboundEvent::AnalyticsPerson(AnalyticsPerson { user_id, property, is_member }));
        }
    }

    /// Whose mirrored properties this turn changes, and whether they are members now.
    fn mirrored(&self) -> Vec<(CompactString, String, bool)> {
        let mut changes = Vec::new();
        for (_, event) in &self.events {
            match event {
                ContactEvent::BucketEntered(event) => {
                    changes
                        .extend(self.property(&event.bucket).map(|key| (event.user_key.clone(), key, true)));
                }
                ContactEvent::BucketLeft(event) => {
                    changes
                        .extend(self.property(&event.bucket).map(|key| (event.user_key.clone(), key, false)));
                }
                ContactEvent::Absorbed(event) => {
                    let moved = event.standings.iter().filter(|moved| moved.active.is_some());
                    let properties = moved.filter_map(|moved| self.property(&moved.bucket));
                    changes.extend(properties.map(|key| (self.state.contact_key(), key, true)));
                }
                _ => {}
            }
        }
        changes
    }

    fn property(&self, bucket: &BucketId) -> Option<String> {
        let rule = self.turn.rules.rules.iter().find(|rule| rule.bucket() == bucket)?;
        rule.definition.mirrored_property()
    }
}

#[cfg(test)]
mod tests {
    use mainspring_schemas::{
        Properties, RecordId, Timestamp,
        event::contact::{AttachedKey, Created, Via},
    };
    use uuid::Uuid;

    use super::*;
    use crate::contact::apply::{Meta, apply};

    const WHO: ContactId = ContactId(Uuid::from_u128(7));

    fn contact(keys: &[(KeyKind, &str)]) -> ContactState {
        let attached = |(kind, value): &(KeyKind, &str)| AttachedKey {
            kind: *kind,
            value: (*value).into(),
            primary: true,
            via: Via::Created,
        };
        let keys = keys.iter().map(attached).collect();
        let event = ContactEvent::Created(Created { at: Timestamp(0), keys, properties: Properties::new() });
        let meta = Meta {
            contact: WHO,
            id: RecordId(Uuid::nil()),
            version: 0,
            recorded_at: Timestamp(0),
            wake_at: None,
            definitions: 0,
        };
        let mut state = ContactState::default();
        apply(&mut state, &event, meta);
        state
    }

    #[test]
    fn aa_02_aa_04_aa_05_a_user_id_is_never_absorbed() {
        use KeyKind::{Anonymous, Email, External};
        let id = WHO.to_string();
        for (keys, absorbed, own) in [
            (&[(Anonymous, "v1"), (Email, "a@x.example")][..], Some("v1"), Some("v1")),
            (&[(Email, "a@x.example")], Some(id.as_str()), Some(id.as_str())),
            (&[(External, "u1"), (Anonymous, "v1")], Some("v1"), None),
            (&[(External, "u1"), (Email, "a@x.example")], None, None),
        ] {
            let state = contact(keys);
            let mut former = FormerKeys::default();
            former.absorb(WHO, &state);
            assert_eq!(former.absorbed.first().map(CompactString::as_str), absorbed, "{keys:?}");
            assert_eq!(FormerKeys::of(&state).own.as_deref(), own, "{keys:?}");
        }
        assert_eq!(FormerKeys::of(&ContactState::default()).own, None, "AA-08: nobody had a key before");
    }
}
