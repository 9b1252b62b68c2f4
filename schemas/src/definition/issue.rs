//! What is wrong with definition files, and where.

use std::fmt;

use crate::criteria::{Problem, Severity, document::Mark};

/// A problem of a definition file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Issue {
    /// Whether it refuses the definition.
    pub severity: Severity,
    /// Name of the file.
    pub file: String,
    /// Line, from 1.
    pub line: usize,
    /// Column in characters, from 1.
    pub column: usize,
    /// Path of the value as the author spelled it, such as `criteria.all[1].within`; empty for the file itself.
    pub field: String,
    /// What is wrong.
    pub message: String,
    /// What to do about it.
    pub hint: Option<String>,
}

impl Issue {
    pub(crate) fn new(file: &str, at: Mark, problem: Problem) -> Self {
        let Problem { severity, path, message, hint } = problem;
        let (line, column) = (at.line.max(1), at.column.max(1));
        Self { severity, file: file.to_owned(), line, column, field: path, message, hint }
    }

    /// Whether it refuses the definition.
    pub fn is_error(&self) -> bool {
        self.severity == Severity::Error
    }
}

impl fmt::Display for Issue {
    /// `file:line:column: error: field: message (hint)`
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}: {}: ", self.file, self.line, self.column, self.severity)?;
        if !self.field.is_empty() {
            write!(f, "{}: ", self.field)?;
        }
        f.write_str(&self.message)?;
        self.hint.as_ref().map_or(Ok(()), |hint| write!(f, " ({hint})"))
    }
}
