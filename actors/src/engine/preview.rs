//! How many contacts criteria would hold for, before a bucket is defined by them (BK-229).

use compact_str::CompactString;
use mainspring_schemas::{
    ContactId,
    criteria::{Criteria, evaluate},
    identity::KeyKind,
};
use serde::Serialize;
use tokio::sync::oneshot;

use super::{Core, Engine};
use crate::{
    api::EngineError,
    contact::{ContactState, Fate},
    population::PopulationError,
    shard::Verb,
};

/// Contacts asked at the same time.
const CHUNK: usize = 500;

/// A contact for which criteria hold.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Match {
    /// Who.
    pub id: ContactId,
    /// Its canonical key (KE-20).
    pub user_id: CompactString,
    /// Its primary address.
    pub user_email: Option<CompactString>,
}

/// What criteria would hold for.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Preview {
    /// For how many contacts.
    pub size: u64,
    /// Of how many.
    pub evaluated: u64,
    /// Some of them, by id.
    pub sample: Vec<Match>,
}

impl Engine {
    /// Evaluates criteria for every live contact, each as it is when it is asked, and writes nothing. The sample has at
    /// most `limit` contacts.
    ///
    /// # Errors
    /// [`EngineError::Overloaded`] if the read models cannot answer or the engine is stopping, else what the log says.
    pub async fn preview(&self, criteria: &Criteria, limit: usize) -> Result<Preview, EngineError> {
        let population = &self.core.population;
        population.reached(self.log().durable_end()).await.map_err(unanswered)?;
        let mut preview = Preview::default();
        let mut cursor = None;
        loop {
            let chunk = population.contacts_after(cursor, CHUNK).await.map_err(unanswered)?;
            let Some(last) = chunk.last().copied() else { return Ok(preview) };
            cursor = Some(last);
            for state in self.core.states(&chunk).await? {
                // Whoever was merged away or deleted meanwhile is nobody any more.
                if state.fate == Fate::Live {
                    preview.evaluated += 1;
                    if evaluate(criteria, &*state, self.now()) {
                        preview.add(&state, limit);
                    }
                }
            }
        }
    }
}

impl Preview {
    fn add(&mut self, state: &ContactState, limit: usize) {
        self.size += 1;
        if let Some(id) = state.id.filter(|_| self.sample.len() < limit) {
            let user_email = state.primary(KeyKind::Email).cloned();
            self.sample.push(Match { id, user_id: state.contact_key(), user_email });
        }
    }
}

fn unanswered(error: PopulationError) -> EngineError {
    tracing::error!(%error, "criteria could not be tried on all contacts");
    EngineError::Overloaded
}

impl Core {
    /// The states of some contacts, with patience for shards that have no room.
    async fn states(&self, contacts: &[ContactId]) -> Result<Vec<Box<ContactState>>, EngineError> {
        let mut answers = Vec::with_capacity(contacts.len());
        for contact in contacts {
            let view = || {
                let (reply, answer) = oneshot::channel();
                (Verb::View(*contact, reply), answer)
            };
            answers.push(self.send_patiently(view).await?);
        }
        let mut states = Vec::with_capacity(answers.len());
        for answer in answers {
            states.push(Self::answer(answer).await?);
        }
        Ok(states)
    }
}
