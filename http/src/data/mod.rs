//! The data plane: what applications call (scope `ingest`).

mod contacts;
mod event_body;
mod events;

use actix_web::web;

/// Registers the routes below `/v1`.
pub(crate) fn configure(config: &mut web::ServiceConfig) {
    config
        .service(crate::server::resource("/v1/events", "POST").route(web::post().to(events::ingest)))
        .service(
            crate::server::resource("/v1/events/batch", "POST").route(web::post().to(events::ingest_batch)),
        )
        .service(
            crate::server::resource("/v1/contacts", "DELETE, PUT")
                .route(web::put().to(contacts::upsert))
                .route(web::delete().to(contacts::delete)),
        )
        .service(
            crate::server::resource("/v1/contacts/find", "GET, HEAD").route(web::get().to(contacts::find)),
        );
}
