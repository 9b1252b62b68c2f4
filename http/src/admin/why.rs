//! Why a contact is in a bucket, or is not: now, or at a past instant.

use actix_web::{
    HttpRequest, HttpResponse,
    web::{Data, Path},
};
use mainspring_actors::engine::WhyError;
use mainspring_schemas::{BucketId, event::access::Scope};

use super::{buckets, contacts};
use crate::{auth::require_admin, error::ApiError, query::Parameters, state::AppState};

/// `GET /v1/admin/contacts/{id}/buckets/{bucket}/why?at=INSTANT`. A contact that was merged away answers by its
/// survivor. What did not exist at the instant is not found, and the error says that it is a matter of time.
pub(super) async fn why(
    state: Data<AppState>,
    request: HttpRequest,
    path: Path<(String, String)>,
) -> Result<HttpResponse, ApiError> {
    require_admin(&state, &request, Scope::Read)?;
    let mut parameters = Parameters::of(&request);
    let at = parameters.instant("at");
    if at.is_some_and(|at| at > state.engine.now()) {
        parameters.issues.custom("at", "must not be in the future");
    }
    parameters.check()?;
    let (name, bucket) = path.into_inner();
    let contact = contacts::named(&state, &name).await?;
    let bucket = BucketId::new(&bucket).map_err(|_| buckets::not_found())?;
    let then = |what: &str, now: ApiError| match at {
        Some(at) => ApiError::NotFound(format!("{what} did not exist at {at}")),
        None => now,
    };
    let why = state.engine.why(contact, &bucket, at).await.map_err(|error| match error {
        WhyError::NoContact => then("Contact", contacts::not_found()),
        WhyError::NoBucket => then("Bucket", buckets::not_found()),
        WhyError::Engine(error) => error.into(),
    })?;
    Ok(HttpResponse::Ok().json(why))
}
