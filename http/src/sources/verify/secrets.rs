//! The secrets of a source.

use std::fmt;

/// One secret or several, any of which may match while they are rotated (WS-22). Never shown.
#[derive(Clone, Default)]
pub struct Secrets(Vec<String>);

impl Secrets {
    /// Secrets separated by white space; `None` if there is none.
    pub fn read(text: &str) -> Option<Self> {
        let secrets: Vec<String> = text.split_whitespace().map(str::to_owned).collect();
        (!secrets.is_empty()).then_some(Self(secrets))
    }

    /// The secrets as they were configured.
    pub fn iter(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(String::as_str)
    }
}

impl fmt::Debug for Secrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} secrets", self.0.len())
    }
}
