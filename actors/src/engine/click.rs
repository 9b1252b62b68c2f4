//! Sessions of people who followed a link of theirs: analytics learn whose they were (TK-13 to TK-16).

use compact_str::{CompactString, ToCompactString};
use mainspring_eventlog::Position;
use mainspring_schemas::{
    ContactId,
    identity::{IdentityKey, KeyKind},
    outbound_event::{AnalyticsAlias, OutboundEvent},
};

use super::Engine;
use crate::{api::EngineError, identity::Standing};

/// Why analytics are told (AA-03).
const REASON: &str = "click_identify";

impl Engine {
    /// Whether an analytics provider is told of anything (AA-10).
    pub fn tells_analytics(&self) -> bool {
        self.core.shared.policy.analytics
    }

    /// Tells analytics that what happened under `session` was done by this contact. Nothing is written to whoever the
    /// session belongs to, and nothing is told if it is somebody who is identified (TK-16) or the contact itself; `None`
    /// then.
    ///
    /// # Errors
    /// See [`Engine::tell`].
    pub async fn absorb_session(
        &self,
        contact: ContactId,
        session: &str,
    ) -> Result<Option<Position>, EngineError> {
        if !self.tells_analytics() {
            return Ok(None);
        }
        let state = self.state(contact).await?.ok_or(EngineError::NotFound)?;
        let user_id = state.contact_key();
        if user_id == session || self.is_identified(session, contact).await? {
            return Ok(None);
        }
        let alias = AnalyticsAlias {
            user_id,
            alias: session.to_compact_string(),
            reason: CompactString::from(REASON),
        };
        self.tell(contact, OutboundEvent::AnalyticsAlias(alias)).await.map(Some)
    }

    /// Whether a name is a contact's id, a user id or an address, or the anonymous id of another contact than `contact`
    /// that has a user id: there is a person behind it, who must not become part of another one (AA-02).
    async fn is_identified(&self, name: &str, contact: ContactId) -> Result<bool, EngineError> {
        let directory = &self.core.directory;
        if let Ok(id) = name.parse()
            && directory.standing(id).await? != Standing::Unknown
        {
            return Ok(true);
        }
        for kind in [KeyKind::External, KeyKind::Email] {
            if let Some(key) = IdentityKey::new(kind, name)
                && directory.owner(&key).await?.contact.is_some()
            {
                return Ok(true);
            }
        }
        let Some(anonymous) = IdentityKey::new(KeyKind::Anonymous, name) else { return Ok(true) };
        match directory.owner(&anonymous).await?.contact {
            Some(owner) if owner != contact => {
                Ok(self.state(owner).await?.is_some_and(|state| state.is_identified()))
            }
            _ => Ok(false),
        }
    }
}
