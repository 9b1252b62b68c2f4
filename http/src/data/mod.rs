//! The data plane: what applications call (scope `ingest`).

mod contacts;
mod event_body;
mod events;

use actix_web::web;

pub(crate) use event_body::RESERVED;
pub(crate) use events::ingest_by_operator;

use crate::{
    auth::Plane,
    server::{elsewhere, get, resource},
};

/// Registers the routes below `/v1`.
pub(crate) fn configure(config: &mut web::ServiceConfig) {
    config
        .service(resource("/v1/events", Plane::Data, "POST").route(web::post().to(events::ingest)))
        .service(
            resource("/v1/events/batch", Plane::Data, "POST").route(web::post().to(events::ingest_batch)),
        )
        .service(
            resource("/v1/contacts", Plane::Data, "DELETE, PUT")
                .route(web::put().to(contacts::upsert))
                .route(web::delete().to(contacts::delete)),
        )
        .service(resource("/v1/contacts/find", Plane::Data, "GET, HEAD").route(get().to(contacts::find)))
        .service(elsewhere("/v1/events", Plane::Data))
        .service(elsewhere("/v1/contacts", Plane::Data));
}
