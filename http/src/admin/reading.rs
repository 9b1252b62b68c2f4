//! Reading the read models: off the threads that serve, and not before they show what was acknowledged (HT-63).

use std::{
    fmt::Display,
    str::FromStr,
    time::{Duration, Instant},
};

use actix_web::{HttpResponse, HttpResponseBuilder, web};
use mainspring_projections::{ProjectionError, ReadModels};

use crate::{error::ApiError, issues::Issues, state::AppState};

/// How far behind the read models were when a list was made.
#[derive(Clone, Copy, Debug)]
pub struct Lag(Option<Duration>);

impl Lag {
    /// 200, with the lag if there was any.
    pub fn ok(self) -> HttpResponseBuilder {
        let mut response = HttpResponse::Ok();
        if let Some(waited) = self.0 {
            response.insert_header(("x-read-model-lag", waited.as_millis().to_string()));
        }
        response
    }
}

/// Waits, within the configured patience, until the read models show what was acknowledged, then asks them.
///
/// # Errors
/// [`ApiError::Internal`] if they cannot be read.
pub async fn ask<T: Send + 'static>(
    state: &AppState,
    question: impl FnOnce(&ReadModels) -> Result<T, ProjectionError> + Send + 'static,
) -> Result<(T, Lag), ApiError> {
    let began = Instant::now();
    let patience = Duration::from_millis(state.settings.patience_ms);
    let reached = state.read_models.wait_for(state.acknowledged(), patience).await;
    let lag = Lag((!reached).then(|| began.elapsed()));
    let models = state.read_models.clone();
    let answer = web::block(move || question(&models)).await.map_err(ApiError::internal)??;
    Ok((answer, lag))
}

/// A path parameter that must be a UUID.
///
/// # Errors
/// 400 with an issue.
pub fn uuid<T: FromStr<Err: Display>>(text: &str) -> Result<T, ApiError> {
    text.parse().map_err(|_| {
        let mut issues = Issues::default();
        issues.invalid_format("id", "uuid");
        ApiError::Invalid(issues.0)
    })
}
