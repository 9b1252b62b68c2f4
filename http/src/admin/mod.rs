//! The admin plane: what operators see and change, below `/v1/admin`.
//!
//! Every handler begins with `require_admin`, so that an unknown caller learns nothing (AU-27), and reads
//! lists through `reading::ask`, so that they show what was just acknowledged (HT-63).

mod analytics;
mod api_keys;
mod audit;
mod buckets;
mod bulk_letters;
mod contact_buckets;
mod contacts;
mod dead_letters;
mod deliveries;
mod destinations;
mod endpoints;
mod masking;
mod members;
mod metrics;
mod preview;
mod reading;
mod redelivery;
mod stays;
mod webhook_sources;
mod why;

use actix_web::web;

pub(crate) use self::audit::{PLANE, audit};
use crate::{
    auth::Plane,
    data,
    server::{elsewhere, get, resource},
};

/// Registers the routes. Fixed paths come before those with an id in the same place.
pub(crate) fn configure(config: &mut web::ServiceConfig) {
    config
        .service(
            resource("/v1/admin/contacts", Plane::Admin, "GET, HEAD, POST")
                .route(get().to(contacts::list))
                .route(web::post().to(contacts::create)),
        )
        .service(
            resource("/v1/admin/contacts/{id}", Plane::Admin, "DELETE, GET, HEAD, PATCH")
                .route(get().to(contacts::one))
                .route(web::patch().to(contacts::edit))
                .route(web::delete().to(contacts::delete)),
        )
        .service(
            resource("/v1/admin/contacts/{id}/restore", Plane::Admin, "POST")
                .route(web::post().to(contacts::restore)),
        )
        .service(
            resource("/v1/admin/contacts/{id}/timeline", Plane::Admin, "GET, HEAD")
                .route(get().to(contacts::timeline)),
        )
        .service(
            resource("/v1/admin/contacts/{id}/buckets", Plane::Admin, "GET, HEAD")
                .route(get().to(contact_buckets::list)),
        )
        .service(
            resource("/v1/admin/contacts/{id}/buckets/{bucket}/why", Plane::Admin, "GET, HEAD")
                .route(get().to(why::why)),
        )
        .service(
            resource("/v1/admin/events", Plane::Admin, "POST")
                .route(web::post().to(data::ingest_by_operator)),
        )
        .service(resource("/v1/admin/buckets", Plane::Admin, "GET, HEAD").route(get().to(buckets::list)))
        .service(
            // A bucket may be called that, so this is one more method of its path.
            resource("/v1/admin/buckets/{id:preview}", Plane::Admin, "GET, HEAD, PATCH, POST")
                .route(get().to(buckets::one))
                .route(web::patch().to(buckets::switch))
                .route(web::post().to(preview::preview)),
        )
        .service(
            resource("/v1/admin/buckets/{id}", Plane::Admin, "GET, HEAD, PATCH")
                .route(get().to(buckets::one))
                .route(web::patch().to(buckets::switch)),
        )
        .service(
            resource("/v1/admin/buckets/{id}/members", Plane::Admin, "GET, HEAD")
                .route(get().to(members::list)),
        )
        .service(
            resource("/v1/admin/buckets/{id}/members/{userId}", Plane::Admin, "GET, HEAD")
                .route(get().to(members::one)),
        )
        .service(
            resource("/v1/admin/metrics/overview", Plane::Admin, "GET, HEAD")
                .route(get().to(metrics::overview)),
        )
        .service(
            resource("/v1/admin/metrics/buckets", Plane::Admin, "GET, HEAD")
                .route(get().to(metrics::buckets)),
        )
        .service(
            resource("/v1/admin/metrics/buckets/{id}", Plane::Admin, "GET, HEAD")
                .route(get().to(metrics::bucket)),
        )
        .service(
            resource("/v1/admin/analytics/connect-info", Plane::Admin, "GET, HEAD")
                .route(get().to(analytics::connect_info)),
        )
        .service(
            resource("/v1/admin/analytics/provision-loop", Plane::Admin, "POST")
                .route(web::post().to(analytics::provision_loop)),
        )
        .service(
            resource("/v1/admin/webhook-sources", Plane::Admin, "GET, HEAD")
                .route(get().to(webhook_sources::list)),
        )
        .service(
            resource("/v1/admin/webhook-sources/{id}/preview", Plane::Admin, "POST")
                .route(web::post().to(webhook_sources::preview)),
        )
        .service(
            resource("/v1/admin/webhooks", Plane::Admin, "GET, HEAD, POST")
                .route(get().to(endpoints::list))
                .route(web::post().to(endpoints::create)),
        )
        .service(
            resource("/v1/admin/webhooks/deliveries", Plane::Admin, "GET, HEAD")
                .route(get().to(deliveries::list)),
        )
        .service(
            resource("/v1/admin/webhooks/deliveries/{id}", Plane::Admin, "GET, HEAD")
                .route(get().to(deliveries::one)),
        )
        .service(
            resource("/v1/admin/webhooks/deliveries/{id}/retry", Plane::Admin, "POST")
                .route(web::post().to(redelivery::retry)),
        )
        .service(
            resource("/v1/admin/webhooks/recoveries/{taskId}", Plane::Admin, "GET, HEAD")
                .route(get().to(redelivery::progress)),
        )
        .service(
            resource("/v1/admin/webhooks/{id}", Plane::Admin, "DELETE, GET, HEAD, PATCH")
                .route(get().to(endpoints::one))
                .route(web::patch().to(endpoints::update))
                .route(web::delete().to(endpoints::delete)),
        )
        .service(
            resource("/v1/admin/webhooks/{id}/rotate-secret", Plane::Admin, "POST")
                .route(web::post().to(endpoints::rotate_secret)),
        )
        .service(
            resource("/v1/admin/webhooks/{id}/test", Plane::Admin, "POST")
                .route(web::post().to(endpoints::test)),
        )
        .service(
            resource("/v1/admin/webhooks/{id}/deliveries", Plane::Admin, "GET, HEAD")
                .route(get().to(deliveries::list_of_endpoint)),
        )
        .service(
            resource("/v1/admin/webhooks/{id}/recover", Plane::Admin, "POST")
                .route(web::post().to(redelivery::recover)),
        )
        .service(
            resource("/v1/admin/webhooks/{id}/replay", Plane::Admin, "POST")
                .route(web::post().to(redelivery::replay)),
        )
        .service(
            resource("/v1/admin/webhooks/{id}/stats", Plane::Admin, "GET, HEAD")
                .route(get().to(deliveries::stats)),
        )
        .service(resource("/v1/admin/dlq", Plane::Admin, "GET, HEAD").route(get().to(dead_letters::list)))
        .service(
            resource("/v1/admin/dlq/retry", Plane::Admin, "POST").route(web::post().to(bulk_letters::retry)),
        )
        .service(
            resource("/v1/admin/dlq/discard", Plane::Admin, "POST")
                .route(web::post().to(bulk_letters::discard)),
        )
        .service(
            resource("/v1/admin/dlq/{id}", Plane::Admin, "DELETE")
                .route(web::delete().to(dead_letters::discard)),
        )
        .service(
            resource("/v1/admin/dlq/{id}/retry", Plane::Admin, "POST")
                .route(web::post().to(dead_letters::retry)),
        )
        .service(
            resource("/v1/admin/api-keys", Plane::Admin, "GET, HEAD, POST")
                .route(get().to(api_keys::list))
                .route(web::post().to(api_keys::create)),
        )
        .service(
            resource("/v1/admin/api-keys/self", Plane::Admin, "GET, HEAD").route(get().to(api_keys::own)),
        )
        .service(
            resource("/v1/admin/api-keys/{id}", Plane::Admin, "DELETE")
                .route(web::delete().to(api_keys::revoke)),
        )
        .service(resource("/v1/admin/audit-logs", Plane::Admin, "GET, HEAD").route(get().to(audit::list)))
        .service(elsewhere("/v1/admin", Plane::Admin));
}
