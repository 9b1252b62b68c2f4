//! Whom a supplied key designates (KE-24).

use compact_str::CompactString;
use mainspring_eventlog::Expected;
use mainspring_schemas::{
    ContactId,
    identity::{IdentityKey, KeyKind},
};

use super::{
    directory::{Directory, DirectoryError, Standing},
    plan::{Attaches, Found},
};
use crate::api::Identity;

/// A supplied key, whom it designates, and what a claim of it must expect.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LookedUp {
    /// The key and its owner.
    pub found: Found,
    /// The contact that was named, if another one answers for it by now.
    pub former: Option<ContactId>,
    /// What the key's stream looks like.
    pub expected: Expected,
}

impl LookedUp {
    /// A contact named by its id: it is designated, and nothing is attached (KE-23).
    pub fn by_id(named: ContactId, contact: ContactId) -> Self {
        let value = CompactString::from(contact.to_string());
        let key = IdentityKey { kind: KeyKind::External, value };
        let former = (named != contact).then_some(named);
        Self {
            found: Found { key, owner: Some(contact), attaches: Attaches::Never },
            former,
            expected: Expected::Any,
        }
    }
}

/// The id a `userId` spells, in any letter case.
fn as_contact_id(key: &IdentityKey) -> Option<ContactId> {
    (key.kind == KeyKind::External).then(|| key.value.parse().ok()).flatten()
}

/// A `discord:<digits>` user id designates a Discord key.
fn as_discord_key(key: &IdentityKey) -> Option<IdentityKey> {
    let digits = key.value.strip_prefix("discord:")?;
    let is_id = !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit());
    (key.kind == KeyKind::External && is_id)
        .then(|| IdentityKey { kind: KeyKind::Discord, value: CompactString::from(digits) })
}

impl Directory {
    /// A `userId` is an external key first, then a contact's id, an anonymous key, a Discord spelling.
    ///
    /// # Errors
    /// See [`DirectoryError`].
    pub async fn look_up(&self, key: &IdentityKey) -> Result<LookedUp, DirectoryError> {
        let own = self.owner(key).await?;
        let found = |owner, former: Option<ContactId>, attaches| LookedUp {
            found: Found { key: key.clone(), owner, attaches },
            former,
            expected: own.expected,
        };
        if own.contact.is_some() || key.kind != KeyKind::External {
            return Ok(found(own.contact, own.former, Attaches::Always));
        }
        if let Some(id) = as_contact_id(key)
            && let Some(contact) = self.answers_for(id).await?
        {
            return Ok(found(Some(contact), (id != contact).then_some(id), Attaches::Never));
        }
        for other in other_spellings(key) {
            let owner = self.owner(&other).await?;
            if owner.contact.is_some() {
                return Ok(found(owner.contact, owner.former, Attaches::Never));
            }
        }
        Ok(found(None, None, Attaches::Always))
    }

    /// Everything by which a call names a person, in the order in which it is weighed. An anonymous id that nobody owns
    /// and that is another contact's id of another kind is left out: it is no anonymous key.
    ///
    /// # Errors
    /// See [`DirectoryError`].
    pub async fn look_up_all(&self, identity: &Identity) -> Result<Vec<LookedUp>, DirectoryError> {
        let mut all: Vec<LookedUp> = Vec::new();
        for key in identity.evidence() {
            let key = key.as_ref();
            let mut looked_up = self.look_up(key).await?;
            let stands_in = key.kind == KeyKind::External && identity.external.is_none();
            if stands_in && looked_up.found.attaches == Attaches::Always {
                looked_up.found.attaches = Attaches::IfNew;
            }
            if key.kind == KeyKind::Anonymous
                && looked_up.found.owner.is_none()
                && let Some(other) = self.disguised(key).await?
                && !all.iter().any(|item| item.found.owner == Some(other))
            {
                tracing::info!(kind = key.kind.as_str(), contact = %other, "identity.claim.refused");
                continue;
            }
            all.push(looked_up);
        }
        Ok(all)
    }

    /// Whether a key that nobody owns would be mistaken for somebody's all the same (KE-22): as a `userId` its value
    /// designates them, or as an anonymous id it is a key of theirs of another kind.
    ///
    /// # Errors
    /// See [`DirectoryError`].
    pub async fn is_mistakable(&self, key: &IdentityKey) -> Result<bool, DirectoryError> {
        let whose = match key.kind {
            KeyKind::External => self.look_up(key).await?.found.owner,
            KeyKind::Anonymous => self.disguised(key).await?,
            KeyKind::Email | KeyKind::Discord | KeyKind::Provider => None,
        };
        Ok(whose.is_some())
    }

    /// Whose id of another kind an anonymous value is.
    async fn disguised(&self, key: &IdentityKey) -> Result<Option<ContactId>, DirectoryError> {
        let external = IdentityKey { kind: KeyKind::External, value: key.value.clone() };
        if let Some(contact) = self.owner(&external).await?.contact {
            return Ok(Some(contact));
        }
        if let Some(id) = as_contact_id(&external) {
            return self.answers_for(id).await;
        }
        for kind in [KeyKind::Email, KeyKind::Discord, KeyKind::Provider] {
            let possible = match kind {
                KeyKind::Email => key.value.contains('@'),
                KeyKind::Provider => key.value.contains(':'),
                _ => key.value.bytes().all(|b| b.is_ascii_digit()),
            };
            if let Some(other) = IdentityKey::new(kind, &key.value).filter(|_| possible)
                && let Some(contact) = self.owner(&other).await?.contact
            {
                return Ok(Some(contact));
            }
        }
        Ok(None)
    }

    /// What became of the contact that a `userId` designates or designated (TK-20).
    ///
    /// # Errors
    /// See [`DirectoryError`].
    pub async fn standing_of(&self, user_id: &IdentityKey) -> Result<Standing, DirectoryError> {
        if let Some(contact) = self.look_up(user_id).await?.found.owner {
            return Ok(Standing::Live(contact));
        }
        if let Some(id) = as_contact_id(user_id)
            && self.standing(id).await? == Standing::Deleted
        {
            return Ok(Standing::Deleted);
        }
        for key in std::iter::once(user_id.clone()).chain(other_spellings(user_id)) {
            // Nobody owns it, and yet it has a stream: its owner was deleted.
            if self.owner(&key).await?.expected != Expected::NoStream {
                return Ok(Standing::Deleted);
            }
        }
        Ok(Standing::Unknown)
    }
}

/// What else a `userId` may be that is no contact's id.
fn other_spellings(user_id: &IdentityKey) -> impl Iterator<Item = IdentityKey> {
    let anonymous = IdentityKey { kind: KeyKind::Anonymous, value: user_id.value.clone() };
    std::iter::once(anonymous).chain(as_discord_key(user_id))
}
