//! From what an operator types to a stream.

use std::sync::Arc;

use mainspring_actors::identity::{Directory, KeyHasher};
use mainspring_eventlog::EventLog;
use mainspring_schemas::{
    ContactId, StreamName,
    identity::{IdentityKey, KeyKind},
};

use crate::{exit::Fault, output};

/// Categories of streams that are named in full.
const CATEGORIES: [&str; 6] = ["contact", "bucket", "identity", "endpoint", "deliveries", "source"];

/// The stream behind `who`: a name, `bucket:ID`, `endpoint:ID`, a contact's id, or any of its keys.
pub async fn stream(who: &str, log: &Arc<dyn EventLog>, secret: &[u8; 32]) -> anyhow::Result<StreamName> {
    if let Some((category @ ("bucket" | "endpoint"), id)) = who.split_once(':') {
        return Ok(StreamName::new(format!("{category}-{id}")));
    }
    if let Some(contact) = contact(who, log, secret).await? {
        return Ok(StreamName::contact(contact));
    }
    let named = [StreamName::access(), StreamName::audit()].iter().any(|stream| stream.as_str() == who)
        || who.split_once('-').is_some_and(|(category, _)| CATEGORIES.contains(&category));
    if named {
        return Ok(StreamName::new(who));
    }
    Err(Fault::usage(format!("nobody has the key `{who}`, and no stream is called so")).into())
}

/// The contact with this id or any of these keys now; of a merged one the contact that answers for it.
pub async fn contact(
    who: &str,
    log: &Arc<dyn EventLog>,
    secret: &[u8; 32],
) -> anyhow::Result<Option<ContactId>> {
    let directory = Directory::new(Arc::clone(log), KeyHasher::new(secret), 16);
    if let Ok(id) = who.parse::<ContactId>()
        && let Some(answers) = directory.answers_for(id).await?
    {
        if answers != id {
            output::notice(format_args!("{id} was merged: this is {answers}; the old part is contact-{id}"));
        }
        return Ok(Some(answers));
    }
    for kind in KeyKind::ALL {
        let Some(key) = IdentityKey::new(kind, who) else { continue };
        if let Some(owner) = directory.owner(&key).await?.contact {
            return Ok(Some(owner));
        }
    }
    Ok(None)
}
