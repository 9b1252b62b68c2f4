//! Which names the paths of expressions may begin with.
//!
//! A name without a dot stands for everything below it (`data`). Names with one say which members there are and that
//! there are no others (`config.token`, `config.region`).

use crate::criteria::suggest::did_you_mean;

/// A path that leaves the known names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Unknown {
    /// The path up to its first unknown part.
    pub name: String,
    /// What could stand there.
    pub known: Vec<String>,
    /// What was probably meant, for the end of a message; else empty.
    pub hint: String,
}

/// The first `parts` parts of a dotted path, or all of it if it has fewer.
fn beginning(path: &str, parts: usize) -> &str {
    let end = path.match_indices('.').nth(parts - 1).map_or(path.len(), |(at, _)| at);
    &path[..end]
}

/// What is unknown about a path, if anything is.
pub(super) fn unknown(path: &str, known: &[&str]) -> Option<Unknown> {
    for parts in 1..=path.split('.').count() {
        let name = beginning(path, parts);
        if known.contains(&name) {
            return None;
        }
        if known.iter().any(|known| beginning(known, parts) == name) {
            continue;
        }
        let parent = name.rsplit_once('.').map_or("", |(parent, _)| parent);
        let is_beside = |known: &&&str| parts == 1 || beginning(known, parts - 1) == parent;
        let mut beside: Vec<&str> =
            known.iter().filter(is_beside).map(|known| beginning(known, parts)).collect();
        beside.dedup();
        let hint = did_you_mean(name, &beside).map_or_else(String::new, |hint| format!(" ({hint})"));
        let known = beside.into_iter().map(str::to_owned).collect();
        return Some(Unknown { name: name.to_owned(), known, hint });
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ob_260_a_path_is_known_as_far_as_its_names_are_declared() {
        let known = ["data", "config.token", "config.region", "endpoint"];
        for path in ["data", "data.a.b", "config", "config.token", "config.token.x", "endpoint.id"] {
            assert_eq!(unknown(path, &known), None, "{path}");
        }
        for (path, name, beside, hint) in [
            ("dta.id", "dta", "data, config, endpoint", " (did you mean `data`?)"),
            (
                "config.tokn.x",
                "config.tokn",
                "config.token, config.region",
                " (did you mean `config.token`?)",
            ),
            ("config.", "config.", "config.token, config.region", ""),
            ("", "", "data, config, endpoint", ""),
        ] {
            let found = unknown(path, &known).unwrap();
            assert_eq!((found.name.as_str(), found.known.join(", ").as_str()), (name, beside), "{path}");
            assert_eq!(found.hint, hint, "{path}");
        }
        assert_eq!(unknown("config.x", &["data"]).unwrap().name, "config");
    }
}
