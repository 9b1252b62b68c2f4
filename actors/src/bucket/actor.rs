//! The actor of one bucket: the only writer of its stream.

use std::sync::Arc;

use actix::{Actor, ActorFutureExt, AsyncContext, Context, Handler, ResponseActFuture, WrapFuture};
use mainspring_eventlog::{Append, AppendError, Expected, Position, StreamAppend};
use mainspring_schemas::{
    BucketId, StreamName,
    definition::BucketDefinition,
    event::{BucketEvent, bucket::Purpose},
};
use parking_lot::RwLock;

use super::{decide, state::BucketState};
use crate::{
    api::EngineError,
    engine::Core,
    writer::{Stamp, record},
};

/// One bucket at work. Its state can be read by everybody, written by nobody else.
pub(super) struct Bucket {
    pub core: Arc<Core>,
    pub id: BucketId,
    pub state: Arc<RwLock<BucketState>>,
}

/// What a bucket can be told. The answer says whether anything changed, once that is durable.
pub(super) enum Tell {
    /// What the definition files say now.
    Define(Option<Box<BucketDefinition>>),
    /// An operator's switch.
    Switch(bool),
    /// A step of the pass that the record at `asked` wants. One that was overtaken by a newer one has nothing to say any
    /// more.
    Step { purpose: Purpose, asked: Position, step: BucketEvent },
}

impl actix::Message for Tell {
    type Result = Result<bool, EngineError>;
}

impl Actor for Bucket {
    type Context = Context<Self>;
}

impl Handler<Tell> for Bucket {
    type Result = ResponseActFuture<Self, Result<bool, EngineError>>;

    fn handle(&mut self, message: Tell, ctx: &mut Self::Context) -> Self::Result {
        let now = self.core.now();
        let event = {
            let state = self.state.read();
            match message {
                Tell::Define(definition) => decide::define(&state, now, definition.as_deref()),
                Tell::Switch(enabled) => decide::switch(&state, now, enabled),
                Tell::Step { purpose, asked, step } => {
                    (state.pass_due() == Some((purpose, asked))).then_some(step)
                }
            }
        };
        let Some(event) = event else { return Box::pin(actix::fut::ready(Ok(false))) };
        let (done, written) = tokio::sync::oneshot::channel();
        let write = write(Arc::clone(&self.core), self.id.clone(), Arc::clone(&self.state), event);
        // The next message is looked at only when this one is durable.
        ctx.wait(write.into_actor(self).map(|result, _, _| drop(done.send(result))));
        Box::pin(async { written.await.unwrap_or(Err(EngineError::Overloaded)) }.into_actor(self))
    }
}

async fn write(
    core: Arc<Core>,
    id: BucketId,
    state: Arc<RwLock<BucketState>>,
    event: BucketEvent,
) -> Result<bool, EngineError> {
    let encoded = event.encode().map_err(|error| EngineError::LogFailed(error.to_string()))?;
    let now = core.now();
    let record_id = core.entropy.lock().record(now);
    let version = state.read().version;
    let stamp = Stamp::impersonal(None);
    let append = Append {
        recorded_at: now,
        streams: vec![StreamAppend {
            stream: StreamName::bucket(&id),
            expected: version.map_or(Expected::NoStream, Expected::Version),
            records: vec![record(record_id, encoded, None, stamp)],
        }],
    };
    let appended = core.log().append(append).await.map_err(|error| match error {
        AppendError::Conflict { .. } | AppendError::Unavailable(_) => EngineError::Overloaded,
        error => EngineError::LogFailed(error.to_string()),
    })?;
    state.write().apply(&event, version.map_or(0, |version| version + 1), appended.last_position);
    Ok(true)
}
