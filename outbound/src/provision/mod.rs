//! Connecting PostHog (WS-93): a destination in its project that sends events of identified people to our webhook source.
//!
//! * [`plan`](mod@plan) says what is to be done with the destination that is there; pure.
//! * `api` speaks with PostHog, `project` finds out which project a key belongs to.
//! * [`fault`] says in words for operators why it did not work.
//!
//! Nothing PostHog answers reaches a message, except short words of a known shape: an answer may repeat what was sent.

mod api;
pub mod fault;
pub mod plan;
mod project;

use std::{sync::Arc, time::Duration};

use parking_lot::Mutex;
use serde_json::Value;
use tokio::time::timeout;

use self::{
    api::Api,
    plan::{Plan, candidates, destination_url, leads_here, plan},
};
pub use self::{
    api::InvalidKey,
    fault::{Fault, FaultKind},
    plan::Wanted,
};
use crate::exchange::Fetch;

/// Limit of everything together.
const PATIENCE: Duration = Duration::from_secs(120);

/// The account that is connected.
#[derive(Clone)]
pub struct Account {
    /// Where PostHog's private API is, without a slash at its end.
    pub host: String,
    /// A personal API key with the scopes `hog_function:read` and `hog_function:write`.
    pub personal_key: String,
    /// The project, if the operator named it; otherwise it is found.
    pub project: Option<u64>,
    /// The key that events are sent to the project with, by which it is recognized.
    pub project_key: Option<String>,
}

/// What was done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// There was no destination.
    Created,
    /// There was one that said something else.
    Updated,
    /// There was one that said all of it.
    Unchanged,
}

/// The destination, as it is now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Provisioned {
    /// What was done.
    pub action: Action,
    /// Its id in PostHog.
    pub id: String,
    /// Its page in PostHog.
    pub dashboard_url: String,
}

/// Keeps one destination of one account as it must be.
pub struct Provisioner {
    api: Api,
    account: Account,
    /// Two at once would make two destinations.
    one_at_a_time: tokio::sync::Mutex<()>,
    missing_scopes: Mutex<Vec<String>>,
}

impl Provisioner {
    /// A provisioner of an account.
    ///
    /// # Errors
    /// [`InvalidKey`] if the personal key cannot stand in a header.
    pub fn new(fetch: Arc<dyn Fetch>, account: Account) -> Result<Self, InvalidKey> {
        let api = Api::new(fetch, &account.host, &account.personal_key)?;
        Ok(Self {
            api,
            account,
            one_at_a_time: tokio::sync::Mutex::default(),
            missing_scopes: Mutex::default(),
        })
    }

    /// Makes the destination, or brings it up to date; a second time changes nothing.
    ///
    /// # Errors
    /// [`Fault`] with the cause and the remedy.
    pub async fn provision(&self, wanted: &Wanted<'_>) -> Result<Provisioned, Fault> {
        let _one_at_a_time = self.one_at_a_time.lock().await;
        let result = match timeout(PATIENCE, self.try_provision(wanted)).await {
            Ok(result) => result,
            Err(_) => Err(Fault::slow(PATIENCE)),
        };
        match &result {
            Ok(_) => self.missing_scopes.lock().clear(),
            Err(fault) if fault.kind == FaultKind::MissingScope => {
                self.missing_scopes.lock().clone_from(&fault.missing_scopes);
            }
            Err(_) => {}
        }
        result
    }

    /// Scopes that the personal key was found to lack.
    pub fn missing_scopes(&self) -> Vec<String> {
        self.missing_scopes.lock().clone()
    }

    async fn try_provision(&self, wanted: &Wanted<'_>) -> Result<Provisioned, Fault> {
        let project = match self.account.project {
            Some(project) => project,
            None => project::discover(&self.api, self.account.project_key.as_deref()).await?,
        };
        let existing = self.existing(project, wanted).await?;
        let (action, destination) = match plan(existing.as_ref(), wanted) {
            Plan::Create(destination) => (Action::Created, self.api.create(project, &destination).await?),
            Plan::Update(patch) => {
                let id = api::id(existing.as_ref().unwrap_or(&Value::Null))?;
                (Action::Updated, self.api.update(project, id, &patch).await?)
            }
            Plan::Unchanged => (Action::Unchanged, existing.unwrap_or_default()),
        };
        let id = api::id(&destination)?.to_owned();
        let host = &self.account.host;
        let dashboard_url = format!("{host}/project/{project}/pipeline/destinations/hog-{id}/configuration");
        Ok(Provisioned { action, id, dashboard_url })
    }

    /// The destination that leads to us: the one with our very address, else the first with our path.
    async fn existing(&self, project: u64, wanted: &Wanted<'_>) -> Result<Option<Value>, Fault> {
        let listed = self.api.list(project).await?;
        let mut found = None;
        for candidate in candidates(&listed) {
            // The listing leaves out what a destination is told.
            let destination = self.api.read(project, api::id(candidate)?).await?;
            match destination_url(&destination) {
                Some(url) if url == wanted.webhook_url => return Ok(Some(destination)),
                Some(url) if found.is_none() && leads_here(url) => found = Some(destination),
                _ => {}
            }
        }
        Ok(found)
    }
}
