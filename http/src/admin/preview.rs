//! What a criterion would match, before a bucket is defined by it (BK-229).

use actix_web::{
    HttpRequest, HttpResponse,
    web::{Bytes, Data},
};
use mainspring_schemas::{
    criteria::{Criteria, Problem, Severity, criteria_hash, read_json},
    event::access::Scope,
};
use serde_json::{Value, json};

use crate::{
    auth::require_admin,
    error::ApiError,
    issues::Issue,
    json::{Members, members},
    state::AppState,
};

/// Most contacts of a sample.
const MOST: u64 = 100;

/// Contacts of a sample if nobody says how many.
const SOME: u64 = 10;

/// `POST /v1/admin/buckets/preview`: `{criteria, limit?}`, the criteria in any form. Writes nothing.
pub(super) async fn preview(
    state: Data<AppState>,
    request: HttpRequest,
    body: Bytes,
) -> Result<HttpResponse, ApiError> {
    require_admin(&state, &request, Scope::Read)?;
    let mut members = members(&request, &body)?;
    let mut reader = Members::new(&mut members);
    let limit = reader.integer("limit", 0, MOST).unwrap_or(SOME);
    let given = reader.take("criteria");
    if given.is_none() {
        reader.issues.invalid_type("criteria", "object", None);
    }
    let (criteria, problems) = given.as_ref().map(read_json).unwrap_or_default();
    let (errors, warnings): (Vec<_>, Vec<_>) =
        problems.into_iter().partition(|problem| problem.severity == Severity::Error);
    reader.issues.0.extend(errors.iter().map(issue));
    let criteria = reader.issues.into_result(criteria)?;
    // Criteria that cannot be read have an error that says why.
    let criteria: Criteria = criteria.ok_or(ApiError::Internal)?;
    let found = state.engine.preview(&criteria, usize::try_from(limit).unwrap_or_default()).await?;
    let warnings: Vec<Value> = warnings
        .iter()
        .map(
            |warning| json!({"path": place(&warning.path), "message": warning.message, "hint": warning.hint}),
        )
        .collect();
    Ok(HttpResponse::Ok().json(json!({
        "size": found.size,
        "evaluated": found.evaluated,
        "sample": found.sample,
        "criteria": criteria,
        "hash": criteria_hash(&criteria),
        "warnings": warnings,
    })))
}

fn issue(problem: &Problem) -> Issue {
    let hint = problem.hint.as_ref().map(|hint| ("hint".to_owned(), json!(hint)));
    Issue {
        code: "custom",
        path: place(&problem.path),
        message: problem.message.clone(),
        details: hint.into_iter().collect(),
    }
}

/// Keys and indexes down to a place such as `conditions[1].within` of the criteria (HT-32).
fn place(path: &str) -> Vec<Value> {
    let keys = path.split(['.', '[']).filter(|part| !part.is_empty());
    let part = |part: &str| match part.strip_suffix(']').and_then(|index| index.parse::<u64>().ok()) {
        Some(index) => Value::from(index),
        None => Value::from(part),
    };
    std::iter::once(Value::from("criteria")).chain(keys.map(part)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ht_32_a_place_is_keys_and_indexes() {
        assert_eq!(place(""), [json!("criteria")]);
        let expected = [json!("criteria"), json!("conditions"), json!(1), json!(0), json!("within")];
        assert_eq!(place("conditions[1][0].within"), expected);
        assert_eq!(place("[2].prop"), [json!("criteria"), json!(2), json!("prop")]);
    }
}
