//! Inbound webhook sources: third parties' callbacks become events (the webhook sources specification).
//!
//! * [`registry`]: which sources there are; `mounted`: which of them take callbacks now, and with which secrets.
//! * [`source`]: what a source makes of a request, from bytes to an event; pure.
//! * [`verify`]: whether a request comes from its provider.
//! * [`preset`]: mappings of the known providers; sources of files are read by `mainspring_schemas::source`.
//! * `receive` is the route, `ingest` the way to the engine, `limits` what events may look like.

pub mod event;
pub mod headers;
mod ingest;
mod limits;
pub(crate) mod mounted;
pub mod preset;
pub(crate) mod receive;
pub mod registry;
pub mod source;
pub mod statistics;
pub mod verify;

use actix_web::{HttpResponse, web};

use crate::error::ApiError;

/// Registers the route. Routes below `/v1/webhooks` with a meaning of their own must be registered before (WS-01).
pub(crate) fn configure(config: &mut web::ServiceConfig) {
    let refuse = || async { Err::<HttpResponse, _>(ApiError::NotFound("Not Found".to_owned())) };
    config.service(
        web::resource("/v1/webhooks/{id}")
            .route(web::post().to(receive::receive))
            .default_service(web::to(refuse)),
    );
}
