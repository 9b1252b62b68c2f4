//! What operators are told of who is who: counts in [`super::EngineHealth`], and log lines without a key's value.

use std::sync::atomic::Ordering;

use mainspring_schemas::{ContactId, RecordId, identity::KeyKind};

use super::Core;
use crate::identity::Candidate;

impl Core {
    /// Evidence was not followed (RS-24). The contact's stream tells of it once; this tells each time.
    pub(super) fn report_conflicts(&self, contact: ContactId, conflicts: &[(KeyKind, ContactId)]) {
        self.identity_conflicts.fetch_add(conflicts.len() as u64, Ordering::Relaxed);
        for (kind, other) in conflicts {
            tracing::info!(%contact, kind = kind.as_str(), %other, "identity.claim.refused");
        }
    }

    /// Contacts are absorbed that analytics knows as persons of their own, and goes on to (AA-05, AA-15).
    pub(super) fn report_twins<'c>(&self, survivor: ContactId, losers: impl Iterator<Item = &'c Candidate>) {
        if !self.shared.policy.analytics {
            return;
        }
        for id in losers.flat_map(|loser| &loser.keys).filter(|key| key.kind == KeyKind::External) {
            let loser_external_id = u128::from_be_bytes(self.directory.hasher().digest(id));
            let loser_external_id = format!("{loser_external_id:032x}");
            tracing::info!(contact = %survivor, loser_external_id, "identity.merge.residual_twin");
        }
    }

    /// An idempotency key came again with another request, usually by mistake (IK-02).
    pub(super) fn report_reuse(&self, contact: ContactId, event: Option<RecordId>) {
        self.reused_keys.fetch_add(1, Ordering::Relaxed);
        let event = event.map(tracing::field::display);
        tracing::info!(%contact, event, "an idempotency key was used again with another request");
    }
}
