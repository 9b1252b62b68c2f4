//! Connecting the analytics provider (WS-90..WS-92). No answer holds a credential.

use std::sync::Arc;

use actix_web::{HttpRequest, HttpResponse, web::Data};
use mainspring_schemas::event::access::Scope;
use serde_json::json;

use crate::{
    analytics::{Connector, SOURCE, is_loopback},
    auth::require_admin,
    error::{Advice, ApiError},
    sources::mounted,
    state::AppState,
};

/// `GET /v1/admin/analytics/connect-info` (AU-25: its caller could connect).
pub(super) async fn connect_info(
    state: Data<AppState>,
    request: HttpRequest,
) -> Result<HttpResponse, ApiError> {
    require_admin(&state, &request, Scope::FullAdmin)?;
    let analytics = &state.settings.analytics;
    let source = mounted::find(&state.settings.sources, &state.engine, SOURCE).await?;
    let missing_scopes = analytics.connector.as_ref().map(|connector| connector.missing_scopes());
    Ok(HttpResponse::Ok().json(json!({
        "providerId": SOURCE,
        "analyticsConfigured": analytics.has_project_key,
        "privateHost": analytics.private_host,
        "hostExplicit": analytics.is_host_explicit,
        "projectIdHint": analytics.project,
        "personalKeyConfigured": analytics.has_personal_key,
        "webhookSecretConfigured": source.is_some_and(|source| source.secrets().is_some()),
        "apiPublicUrl": analytics.public_url,
        "scopeGap": missing_scopes.unwrap_or_default(),
    })))
}

/// `POST /v1/admin/analytics/provision-loop`. Once begun it ends, even if the caller goes away.
pub(super) async fn provision_loop(
    state: Data<AppState>,
    request: HttpRequest,
) -> Result<HttpResponse, ApiError> {
    require_admin(&state, &request, Scope::FullAdmin)?;
    let connector = connector(&state)?;
    actix_web::rt::spawn(connect(state, connector)).await.map_err(ApiError::internal)?
}

/// What connects, or why nothing can.
fn connector(state: &AppState) -> Result<Arc<dyn Connector>, ApiError> {
    let analytics = &state.settings.analytics;
    if !analytics.has_personal_key {
        return Err(ApiError::NotConnectable("no_posthog_credential", None));
    }
    let not_configured = |advice| ApiError::NotConnectable("posthog_not_configured", advice);
    let connector = analytics.connector.clone().ok_or_else(|| not_configured(None))?;
    if is_loopback(&analytics.public_url) {
        let detail = format!("PostHog cannot reach {}", analytics.public_url);
        let remediation =
            "Set API_PUBLIC_URL to an address of this server that is reachable from outside.".to_owned();
        return Err(ApiError::NotConnectable(
            "api_public_url_unreachable",
            Some(Advice { detail, remediation }),
        ));
    }
    if state.settings.sources.keeping_secret(SOURCE).is_none() {
        let detail = format!("The webhook source {SOURCE} is switched off, or one of a file takes its place");
        let remediation =
            format!("Allow {SOURCE} in ENABLED_WEBHOOK_PRESETS, and give a source of your own another id.");
        return Err(not_configured(Some(Advice { detail, remediation })));
    }
    Ok(connector)
}

/// The secret first, so that what PostHog sends is taken from the first callback on.
async fn connect(state: Data<AppState>, connector: Arc<dyn Connector>) -> Result<HttpResponse, ApiError> {
    let secret = secret(&state).await?;
    let webhook_url = state.settings.analytics.webhook_url();
    let connected = connector.connect(&webhook_url, &secret).await.map_err(|unconnected| {
        tracing::warn!(
            error = unconnected.error,
            detail = unconnected.advice.detail,
            "PostHog was not connected"
        );
        ApiError::Provider(unconnected.error, unconnected.advice)
    })?;
    tracing::info!(action = connected.action, destination = connected.id, "PostHog is connected");
    Ok(HttpResponse::Ok().json(json!({
        "provisioned": true,
        "created": connected.action == "created",
        "action": connected.action,
        "hogFunctionId": connected.id,
        "webhookUrl": webhook_url,
        "dashboardUrl": connected.dashboard_url,
    })))
}

/// The secret of the environment, the first if there are several; else the stored one, made if there is none (WS-92).
async fn secret(state: &AppState) -> Result<String, ApiError> {
    let unavailable = || ApiError::Overloaded;
    let source = state.settings.sources.keeping_secret(SOURCE).ok_or_else(unavailable)?;
    if let Some(secret) = source.secrets().and_then(|secrets| secrets.iter().next()) {
        return Ok(secret.to_owned());
    }
    match state.engine.source_secrets().ensure(&source.id).await {
        Ok(secret) => Ok(secret.as_str().to_owned()),
        Err(cause) => {
            tracing::error!(%cause, "the secret of PostHog's callbacks could not be stored or looked up");
            Err(unavailable())
        }
    }
}
