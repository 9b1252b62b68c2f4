//! Who a request comes from, and whether that is enough: 401, then 403, then 429 (AU-27).

use std::time::Instant;

use actix_web::{HttpMessage, HttpRequest, http::header};
use mainspring_actors::access::{AuthError, Principal};
use mainspring_schemas::event::access::Scope;
use subtle::ConstantTimeEq;

use crate::{error::ApiError, state::AppState};

/// The key a request presents: `Bearer`, in any letter case, one space, the key (AU-01).
fn presented(request: &HttpRequest) -> Option<&str> {
    let value = request.headers().get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, key) = value.split_once(' ')?;
    (scheme.eq_ignore_ascii_case("bearer") && !key.is_empty()).then_some(key)
}

/// Whether a request presents exactly this token; never if there is none.
pub(crate) fn is_token(token: Option<&str>, request: &HttpRequest) -> bool {
    token.zip(presented(request)).is_some_and(|(token, key)| token.as_bytes().ct_eq(key.as_bytes()).into())
}

/// The principal behind a request, if it may do what `needed` covers.
///
/// # Errors
/// 401 or 403.
pub(crate) fn require(state: &AppState, request: &HttpRequest, needed: Scope) -> Result<Principal, ApiError> {
    let key = presented(request).ok_or(ApiError::Unauthorized("Unauthorized"))?;
    let principal = if is_token(state.settings.admin_key.as_deref(), request) {
        Principal { id: None, name: "legacy".to_owned(), scopes: vec![Scope::FullAdmin] }
    } else {
        state.engine.keys().authenticate(key, state.engine.now()).map_err(|error| match error {
            AuthError::Unknown => ApiError::Unauthorized("Unauthorized"),
            AuthError::Expired => ApiError::Unauthorized("API key expired"),
        })?
    };
    if principal.allows(needed) { Ok(principal) } else { Err(ApiError::Forbidden) }
}

/// Who a part of the routes is for.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Plane {
    /// Everybody.
    Open,
    /// Applications.
    Data,
    /// Operators.
    Admin,
}

impl Plane {
    /// Lets a caller into the plane who may do the least there is in it.
    ///
    /// # Errors
    /// 401, 403 or 429.
    pub fn enter(self, state: &AppState, request: &HttpRequest) -> Result<(), ApiError> {
        match self {
            Self::Open => Ok(()),
            Self::Data => require(state, request, Scope::Ingest).map(|_| ()),
            Self::Admin => require_admin(state, request, Scope::Read).map(|_| ()),
        }
    }
}

/// Budget of a key on the admin plane after this request: the limit and what is left of it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Budget {
    /// Requests per minute.
    pub limit: u32,
    /// Requests left.
    pub remaining: u32,
    /// Seconds until all are.
    pub reset: u64,
}

/// As [`require`], and takes a slot of the admin plane's budget (RL-02), which every answer then tells (RL-07).
///
/// # Errors
/// 401, 403 or 429.
pub(crate) fn require_admin(
    state: &AppState,
    request: &HttpRequest,
    needed: Scope,
) -> Result<Principal, ApiError> {
    let principal = require(state, request, needed)?;
    let name = principal.id.map_or_else(|| "legacy".to_owned(), |id| id.to_string());
    if let Some(budget) = state.admin_limiter.take(&name, Instant::now())? {
        request.extensions_mut().insert(budget);
    }
    // For the audit trail.
    request.extensions_mut().insert(principal.clone());
    Ok(principal)
}
