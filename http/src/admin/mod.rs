//! The admin plane: what operators see and change, below `/v1/admin`.
//!
//! Every handler begins with [`crate::auth::require_admin`], so that an unknown caller learns nothing (AU-27), and reads
//! lists through [`reading::ask`], so that they show what was just acknowledged (HT-63).

mod api_keys;
mod buckets;
mod contacts;
mod deliveries;
mod endpoints;
mod metrics;
mod reading;

use actix_web::{HttpRequest, web};
use mainspring_schemas::event::access::Scope;

use crate::{auth::require_admin, error::ApiError, server::resource, state::AppState};

/// Registers the routes. Fixed paths come before those with an id in the same place.
pub(crate) fn configure(config: &mut web::ServiceConfig) {
    config
        .service(resource("/v1/admin/contacts", "GET, HEAD").route(web::get().to(contacts::list)))
        .service(
            resource("/v1/admin/contacts/{id}", "DELETE, GET, HEAD")
                .route(web::get().to(contacts::one))
                .route(web::delete().to(contacts::delete)),
        )
        .service(
            resource("/v1/admin/contacts/{id}/buckets", "GET, HEAD").route(web::get().to(contacts::stays)),
        )
        .service(resource("/v1/admin/buckets", "GET, HEAD").route(web::get().to(buckets::list)))
        .service(
            resource("/v1/admin/buckets/{id}", "GET, HEAD, PATCH")
                .route(web::get().to(buckets::one))
                .route(web::patch().to(buckets::switch)),
        )
        .service(
            resource("/v1/admin/buckets/{id}/members", "GET, HEAD").route(web::get().to(buckets::members)),
        )
        .service(resource("/v1/admin/metrics/overview", "GET, HEAD").route(web::get().to(metrics::overview)))
        .service(resource("/v1/admin/metrics/buckets", "GET, HEAD").route(web::get().to(metrics::buckets)))
        .service(
            resource("/v1/admin/metrics/buckets/{id}", "GET, HEAD").route(web::get().to(metrics::bucket)),
        )
        .service(
            resource("/v1/admin/webhooks", "GET, HEAD, POST")
                .route(web::get().to(endpoints::list))
                .route(web::post().to(endpoints::create)),
        )
        .service(
            resource("/v1/admin/webhooks/deliveries", "GET, HEAD").route(web::get().to(deliveries::list)),
        )
        .service(
            resource("/v1/admin/webhooks/deliveries/{id}", "GET, HEAD").route(web::get().to(deliveries::one)),
        )
        .service(
            resource("/v1/admin/webhooks/{id}", "DELETE, GET, HEAD, PATCH")
                .route(web::get().to(endpoints::one))
                .route(web::patch().to(endpoints::update))
                .route(web::delete().to(endpoints::delete)),
        )
        .service(
            resource("/v1/admin/webhooks/{id}/rotate-secret", "POST")
                .route(web::post().to(endpoints::rotate_secret)),
        )
        .service(resource("/v1/admin/webhooks/{id}/test", "POST").route(web::post().to(endpoints::test)))
        .service(
            resource("/v1/admin/webhooks/{id}/deliveries", "GET, HEAD")
                .route(web::get().to(deliveries::list_of_endpoint)),
        )
        .service(resource("/v1/admin/dlq", "GET, HEAD").route(web::get().to(deliveries::dead_letters)))
        .service(
            resource("/v1/admin/api-keys", "GET, HEAD, POST")
                .route(web::get().to(api_keys::list))
                .route(web::post().to(api_keys::create)),
        )
        .service(resource("/v1/admin/api-keys/self", "GET, HEAD").route(web::get().to(api_keys::own)))
        .service(resource("/v1/admin/api-keys/{id}", "DELETE").route(web::delete().to(api_keys::revoke)))
        .service(web::scope("/v1/admin").default_service(web::to(unknown)));
}

/// An unknown path below `/v1/admin`: whether it exists is nothing for callers without a key.
async fn unknown(
    state: web::Data<AppState>,
    request: HttpRequest,
) -> Result<actix_web::HttpResponse, ApiError> {
    require_admin(&state, &request, Scope::Read)?;
    Err(ApiError::NotFound("Not Found".to_owned()))
}
