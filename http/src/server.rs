//! The server: routes, limits, workers, an orderly end.

use std::{net::TcpListener, time::Duration};

use actix_web::{
    App, HttpRequest, HttpResponse, HttpServer, Resource, Route, Scope,
    dev::Server,
    error::PayloadError,
    guard,
    http::header,
    middleware::{Compress, ErrorHandlers, from_fn},
    web::{self, Data, PayloadConfig},
};

use crate::{
    admin,
    auth::Plane,
    data,
    error::ApiError,
    headers::{leave_small, stamp},
    health, identify, metrics,
    slow_bodies::{is_late, refuse_slow_bodies},
    sources,
    state::AppState,
};

/// Idle connections outlive a load balancer's own patience (HT-44).
const KEEP_ALIVE: Duration = Duration::from_secs(72);

/// A request's head must arrive within this.
const HEAD_TIMEOUT: Duration = Duration::from_secs(60);

/// A route for `GET`, and for `HEAD`, which is answered alike but without a body (HT-08).
pub(crate) fn get() -> Route {
    web::route().guard(guard::Any(guard::Get()).or(guard::Head()))
}

/// A path with its methods: any other method is answered 405 and told which there are (HT-08), once the caller has shown
/// that the plane is for them (AU-27).
pub(crate) fn resource(path: &str, plane: Plane, allow: &'static str) -> Resource {
    let refuse = move |state: Data<AppState>, request: HttpRequest| async move {
        plane.enter(&state, &request)?;
        let mut response = HttpResponse::MethodNotAllowed();
        response.insert_header((header::ALLOW, allow));
        Ok::<_, ApiError>(response.json(serde_json::json!({"error": "Method Not Allowed"})))
    };
    web::resource(path).default_service(web::to(refuse))
}

/// Everything below a path that is no route: 404, and nothing at all for callers without a key.
pub(crate) fn elsewhere(path: &str, plane: Plane) -> Scope {
    let unknown = move |state: Data<AppState>, request: HttpRequest| async move {
        plane.enter(&state, &request)?;
        Err::<HttpResponse, _>(ApiError::NotFound("Not Found".to_owned()))
    };
    web::scope(path).default_service(web::to(unknown))
}

/// Registers every route.
pub fn configure(config: &mut web::ServiceConfig) {
    config
        .service(resource("/v1/health", Plane::Open, "GET, HEAD").route(get().to(health::health)))
        .service(resource("/v1/health/live", Plane::Open, "GET, HEAD").route(get().to(health::live)))
        .service(resource("/v1/health/ready", Plane::Open, "GET, HEAD").route(get().to(health::ready)));
    config.service(resource("/metrics", Plane::Open, "GET, HEAD").route(get().to(metrics::read)));
    data::configure(config);
    identify::configure(config);
    sources::configure(config);
    admin::configure(config);
    config.default_service(web::to(|| async {
        Err::<HttpResponse, _>(ApiError::NotFound("Not Found".to_owned()))
    }));
}

/// What actix refuses before a handler runs, in our words.
fn payload_error(error: &PayloadError) -> ApiError {
    match error {
        PayloadError::Overflow => ApiError::TooLarge,
        late if is_late(late) => ApiError::TooSlow,
        _ => ApiError::BadRequest("Malformed JSON in request body".to_owned()),
    }
}

/// A server on a bound listener. It must be awaited; [`actix_web::dev::ServerHandle::stop`] ends it in order.
///
/// # Errors
/// If the listener cannot be used.
pub fn serve(state: Data<AppState>, listener: TcpListener) -> std::io::Result<Server> {
    let workers = state.settings.workers.max(1);
    let max_body = state.settings.max_body;
    let stop_grace = state.settings.stop_grace.as_secs().max(1);
    let server = HttpServer::new(move || {
        App::new()
            .app_data(state.clone())
            .app_data(PayloadConfig::new(max_body))
            .app_data(web::JsonConfig::default().limit(max_body))
            .wrap(from_fn(refuse_slow_bodies))
            // Inside of what stamps, so that these refusals too have a request id.
            .wrap(ErrorHandlers::new().default_handler_client(rewrite))
            .wrap(from_fn(admin::audit))
            .wrap(from_fn(leave_small))
            .wrap(Compress::default())
            .wrap(from_fn(stamp))
            .wrap(from_fn(metrics::measure))
            .configure(configure)
    })
    .workers(workers)
    .keep_alive(KEEP_ALIVE)
    .client_request_timeout(HEAD_TIMEOUT)
    .shutdown_timeout(stop_grace)
    .disable_signals()
    .backlog(4096)
    .listen(listener)?;
    Ok(server.run())
}

/// Gives refusals of the framework itself the one documented format.
#[expect(clippy::unnecessary_wraps, reason = "the framework's signature")]
fn rewrite<B>(
    response: actix_web::dev::ServiceResponse<B>,
) -> actix_web::Result<actix_web::middleware::ErrorHandlerResponse<B>>
where
    B: actix_web::body::MessageBody + 'static,
{
    use actix_web::{ResponseError, middleware::ErrorHandlerResponse};

    let ours =
        response.response().error().and_then(|error| error.as_error::<PayloadError>()).map(payload_error);
    let Some(error) = ours else { return Ok(ErrorHandlerResponse::Response(response.map_into_left_body())) };
    let (request, _) = response.into_parts();
    let rewritten = error.error_response().map_into_right_body();
    Ok(ErrorHandlerResponse::Response(actix_web::dev::ServiceResponse::new(request, rewritten)))
}
