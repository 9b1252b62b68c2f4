//! Which project an account means, if nobody said so.

use serde_json::Value;

use super::{
    api::{Api, results},
    fault::{Fault, FaultKind},
};

/// Asks PostHog which project it is: the one that events are sent to, else the only one there is.
///
/// # Errors
/// `project-discovery-failed` if that leaves none or several.
pub(super) async fn discover(api: &Api, project_key: Option<&str>) -> Result<u64, Fault> {
    let projects = match api.get("/api/projects/?limit=100").await {
        Ok(page) => results(page)?,
        // A key for one project may not list them all.
        Err(fault) if fault.kind == FaultKind::MissingScope => match api.get("/api/projects/@current/").await
        {
            Ok(project) => vec![project],
            Err(fault) => return Err(unlisted(fault)),
        },
        Err(fault) => return Err(unlisted(fault)),
    };
    choose(&projects, project_key)
}

fn unlisted(fault: Fault) -> Fault {
    match fault.kind {
        FaultKind::MissingScope => {
            Fault::no_project("The personal API key may not list projects (scope project:read)")
        }
        _ => fault,
    }
}

fn choose(projects: &[Value], project_key: Option<&str>) -> Result<u64, Fault> {
    let is_meant = |project: &&Value| project_key.is_none_or(|key| project["api_token"] == key);
    let mut meant = projects.iter().filter(is_meant).filter_map(|project| project["id"].as_u64());
    match (meant.next(), meant.next(), project_key) {
        (Some(id), None, _) => Ok(id),
        (None, _, None) => Err(Fault::no_project("The personal API key covers no project")),
        (None, _, Some(_)) => Err(Fault::no_project("No project has the key in POSTHOG_API_KEY")),
        (Some(_), Some(_), _) => Err(Fault::no_project("The personal API key covers several projects")),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn ws_91_a_project_is_found_by_its_key_or_by_being_the_only_one() {
        let one = json!({"id": 1, "api_token": "phc_1"});
        let two = json!({"id": 2, "api_token": "phc_2"});
        let both = [one.clone(), two];
        assert_eq!(choose(&both, Some("phc_2")), Ok(2));
        assert_eq!(choose(std::slice::from_ref(&one), None), Ok(1));
        let failed = |projects: &[Value], key| choose(projects, key).unwrap_err().kind;
        for (projects, key) in
            [(both.as_slice(), None), (&both, Some("phc_3")), (&[], None), (&[json!({})], None)]
        {
            assert_eq!(failed(projects, key), FaultKind::ProjectDiscoveryFailed);
        }
    }
}
