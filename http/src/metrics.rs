//! `GET /metrics` for Prometheus (HE-06, OB-153, WS-97). No label ever holds a contact, an address or a URL.

mod current;
mod text;

use std::{sync::Arc, time::Instant};

use actix_web::{
    Error, HttpRequest, HttpResponse,
    body::MessageBody,
    dev::{ServiceRequest, ServiceResponse},
    http::{Method, header},
    middleware::Next,
    web::{self, Data},
};
use mainspring_actors::Engine;
use mainspring_projections::ReadModels;
use mainspring_schemas::event::access::Scope;
use prometheus_client::{
    encoding::{EncodeLabelSet, text::encode},
    metrics::{counter::Counter, family::Family, histogram::Histogram},
    registry::Registry,
};

use self::current::Current;
pub use self::text::Text;
use crate::{
    auth::{is_token, require},
    error::ApiError,
    state::{AppState, Settings},
};

/// What all names begin with.
const PREFIX: &str = "mainspring";

/// Bounds of the durations of requests, in seconds.
const SECONDS: [f64; 11] = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 2.5, 10.0];

/// What answers are sent as.
const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// The route of requests that none was found for.
const NO_ROUTE: &str = "none";

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Answered {
    method: &'static str,
    route: String,
    status: u16,
}

/// What became of an event.
#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Ingested {
    outcome: &'static str,
}

/// What is counted in the edge, and whatever else is registered.
pub(crate) struct Metrics {
    registry: Arc<Registry>,
    requests: Family<Answered, Histogram, fn() -> Histogram>,
    events: Family<Ingested, Counter>,
}

impl Metrics {
    /// Counters at zero, and what the given parts tell when they are asked.
    pub fn new(engine: &Engine, read_models: &ReadModels, settings: &Settings) -> Self {
        let histogram: fn() -> Histogram = || Histogram::new(SECONDS);
        let requests = Family::new_with_constructor(histogram);
        let events = Family::default();
        let mut registry = Registry::with_prefix(PREFIX);
        registry.register(
            "http_request_duration_seconds",
            "Time until a request was answered, by route template",
            requests.clone(),
        );
        registry.register("events", "Events by what became of them", events.clone());
        registry.register_collector(Box::new(Current::new(engine, read_models, settings)));
        Self { registry: Arc::new(registry), requests, events }
    }

    /// Registers more, before the first question.
    pub fn register(&mut self, more: impl FnOnce(&mut Registry)) {
        if let Some(registry) = Arc::get_mut(&mut self.registry) {
            more(registry);
        }
    }

    /// Counts what became of an event.
    pub fn event(&self, outcome: &'static str) {
        self.events.get_or_create(&Ingested { outcome }).inc();
    }
}

/// A method that may be a label: callers can make up others without end.
fn method_label(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::HEAD => "HEAD",
        Method::POST => "POST",
        Method::PUT => "PUT",
        Method::PATCH => "PATCH",
        Method::DELETE => "DELETE",
        Method::OPTIONS => "OPTIONS",
        _ => "other",
    }
}

/// Counts requests and how long they took.
pub(crate) async fn measure(
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<impl MessageBody>, Error> {
    let began = Instant::now();
    let state = request.app_data::<Data<AppState>>().cloned();
    let method = method_label(request.method());
    let response = next.call(request).await?;
    if let Some(state) = state {
        let route = response.request().match_pattern().unwrap_or_else(|| NO_ROUTE.to_owned());
        let answered = Answered { method, route, status: response.status().as_u16() };
        state.metrics.requests.get_or_create(&answered).observe(began.elapsed().as_secs_f64());
    }
    Ok(response)
}

/// `GET /metrics`: for the token of `METRICS_TOKEN`, or a key that may read (CF-51).
pub(crate) async fn read(state: Data<AppState>, request: HttpRequest) -> Result<HttpResponse, ApiError> {
    if !is_token(state.settings.metrics_token.as_deref(), &request) {
        require(&state, &request, Scope::Read)?;
    }
    let registry = Arc::clone(&state.metrics.registry);
    let text = web::block(move || {
        let mut text = String::new();
        encode(&mut text, &registry).map(|()| text)
    });
    let text = text.await.map_err(ApiError::internal)?.map_err(ApiError::internal)?;
    Ok(HttpResponse::Ok().insert_header((header::CONTENT_TYPE, CONTENT_TYPE)).body(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn he_06_callers_cannot_make_up_labels() {
        assert_eq!(method_label(&Method::POST), "POST");
        assert_eq!(method_label(&Method::from_bytes(b"MADEUP").unwrap_or_default()), "other");
    }
}
