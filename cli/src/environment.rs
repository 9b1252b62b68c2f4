//! Variables of the environment: an empty one is an unset one (CF-02), a secret may stand in a file (CF-08).

use std::{path::PathBuf, str::FromStr};

use anyhow::Context;
use mainspring_schemas::duration::DurationSpec;

use crate::exit::Fault;

/// The value of a variable that is set.
pub fn text(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.trim().is_empty())
}

/// The value of a variable as it stands, where blanks mean something.
pub fn verbatim(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

/// A path.
pub fn path(name: &str) -> Option<PathBuf> {
    text(name).map(PathBuf::from)
}

/// A value of any other type; one nobody can read is an error that names the variable and what was expected.
pub fn parsed<T: FromStr>(name: &str, expected: &str) -> anyhow::Result<Option<T>> {
    let Some(text) = text(name) else { return Ok(None) };
    match text.trim().parse() {
        Ok(value) => Ok(Some(value)),
        Err(_) => Err(Fault::usage(format!("{name}: expected {expected}")).into()),
    }
}

/// A value from a flag, else from a variable, else nothing. `read` says what is wrong with the variable's text.
pub fn chosen<T>(
    flag: Option<T>,
    name: &str,
    read: impl FnOnce(&str) -> Result<T, String>,
) -> anyhow::Result<Option<T>> {
    if flag.is_some() {
        return Ok(flag);
    }
    let given = text(name).map(|text| read(&text)).transpose();
    given.map_err(|problem| Fault::usage(format!("{name}: {problem}")).into())
}

/// The names of a variable that has two, the documented one first, and a synonym from before it was documented.
pub type Names = [&'static str; 2];

/// What stands in a variable that has two names, and under which of them it was found. Both with different values are
/// an error, since nobody could say which one is meant.
pub fn either<T: PartialEq>(
    names: Names,
    read: impl Fn(&str) -> anyhow::Result<Option<T>>,
) -> anyhow::Result<Option<(&'static str, T)>> {
    let [name, synonym] = names;
    match (read(name)?, read(synonym)?) {
        (Some(value), Some(other)) if value != other => {
            Err(Fault::usage(format!("{name} and {synonym} are different: set only {name}")).into())
        }
        (Some(value), _) => Ok(Some((name, value))),
        (None, value) => Ok(value.map(|value| (synonym, value))),
    }
}

/// As [`chosen`], from a variable that has two names.
pub fn chosen_by_either<T>(
    flag: Option<T>,
    names: Names,
    read: impl FnOnce(&str) -> Result<T, String>,
) -> anyhow::Result<Option<T>> {
    if flag.is_some() {
        return Ok(flag);
    }
    let Some((name, text)) = either(names, |name| Ok(text(name)))? else { return Ok(None) };
    read(&text).map(Some).map_err(|problem| Fault::usage(format!("{name}: {problem}")).into())
}

/// A duration such as `30d` or `1h30m` in milliseconds; `0` needs no unit.
pub fn duration(text: &str) -> Result<i64, String> {
    match text.trim() {
        "0" => Ok(0),
        text => {
            text.parse().map(|duration: DurationSpec| duration.millis()).map_err(|error| error.to_string())
        }
    }
}

/// A secret from `NAME`, or from the file that `NAME_FILE` names.
pub fn secret(name: &str) -> anyhow::Result<Option<String>> {
    if let Some(value) = text(name) {
        return Ok(Some(value));
    }
    let variable = format!("{name}_FILE");
    let Some(file) = path(&variable) else { return Ok(None) };
    let content = std::fs::read_to_string(&file)
        .with_context(|| Fault::usage(format!("{variable}: {} cannot be read", file.display())))?;
    let content = content.trim_end_matches(['\r', '\n']).to_owned();
    Ok((!content.is_empty()).then_some(content))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cf_06_a_variable_with_two_names_is_read_by_the_documented_one_first() {
        let read = |first: Option<u8>, second: Option<u8>| {
            either(["FIRST", "SECOND"], |name| Ok(if name == "FIRST" { first } else { second }))
        };
        assert_eq!(read(None, None).unwrap(), None);
        assert_eq!(read(Some(1), None).unwrap(), Some(("FIRST", 1)));
        assert_eq!(read(None, Some(2)).unwrap(), Some(("SECOND", 2)));
        assert_eq!(read(Some(3), Some(3)).unwrap(), Some(("FIRST", 3)));
        assert_eq!(
            read(Some(1), Some(2)).unwrap_err().to_string(),
            "FIRST and SECOND are different: set only FIRST"
        );
    }
}
