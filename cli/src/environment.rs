//! Variables of the environment: an empty one is an unset one (CF-02), a secret may stand in a file (CF-08).

use std::{path::PathBuf, str::FromStr};

use anyhow::Context;

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
