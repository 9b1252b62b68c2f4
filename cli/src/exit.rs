//! How the process ends (OC-02): the numbers, and which error means which.

use std::{fmt, process::ExitCode};

use mainspring_actors::{engine::StartError, history::HistoryError};
use mainspring_eventlog::LogError;
use mainspring_projections::ProjectionError;
use mainspring_schemas::codec::DecodeError;

/// Why a command did not simply succeed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// It failed.
    Failed = 1,
    /// It was called or configured wrongly.
    Usage = 2,
    /// Stored data is damaged.
    Damaged = 3,
    /// Stored data belongs to a newer program.
    Version = 4,
    /// The data directory or the port is in use.
    InUse = 5,
    /// It found differences.
    Differences = 6,
    /// It was interrupted.
    Interrupted = 130,
}

impl From<Reason> for ExitCode {
    fn from(reason: Reason) -> Self {
        Self::from(reason as u8)
    }
}

/// An error that knows how the process ends because of it.
#[derive(Debug)]
pub struct Fault {
    reason: Reason,
    message: String,
}

impl Fault {
    /// A fault with a message that says what to do.
    pub fn new(reason: Reason, message: impl Into<String>) -> Self {
        Self { reason, message: message.into() }
    }

    /// Wrong arguments, variables or definitions.
    pub fn usage(message: impl Into<String>) -> Self {
        Self::new(Reason::Usage, message)
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Fault {}

/// The reason behind an error: stated by a [`Fault`], or read off the typed errors of the crates.
pub fn reason(error: &anyhow::Error) -> Reason {
    if let Some(fault) = error.downcast_ref::<Fault>() {
        return fault.reason;
    }
    error.chain().find_map(of_cause).unwrap_or(Reason::Failed)
}

fn of_cause(error: &(dyn std::error::Error + 'static)) -> Option<Reason> {
    if let Some(error) = error.downcast_ref::<StartError>() {
        return match error {
            StartError::Log(error) => of_log(error),
            StartError::Decode(error) => Some(of_decode(error)),
            _ => None,
        };
    }
    if let Some(error) = error.downcast_ref::<ProjectionError>() {
        return match error {
            ProjectionError::Newer { .. } => Some(Reason::Version),
            ProjectionError::Undecodable { source, .. } => Some(of_decode(source)),
            ProjectionError::Ahead { .. }
            | ProjectionError::PositionGap { .. }
            | ProjectionError::VersionGap { .. }
            | ProjectionError::Misplaced { .. } => Some(Reason::Damaged),
            ProjectionError::Log(error) => of_log(error),
            ProjectionError::Interrupted => Some(Reason::Interrupted),
            _ => None,
        };
    }
    if let Some(error) = error.downcast_ref::<HistoryError>() {
        return match error {
            HistoryError::Log(error) => of_log(error),
            HistoryError::Decode(error) => Some(of_decode(error)),
        };
    }
    if let Some(error) = error.downcast_ref::<LogError>() {
        return of_log(error);
    }
    error.downcast_ref::<DecodeError>().map(of_decode)
}

fn of_log(error: &LogError) -> Option<Reason> {
    matches!(error, LogError::Corrupt { .. }).then_some(Reason::Damaged)
}

fn of_decode(error: &DecodeError) -> Reason {
    match error {
        DecodeError::Newer { .. } | DecodeError::UnknownType { .. } => Reason::Version,
        DecodeError::Damaged { .. } => Reason::Damaged,
    }
}

#[cfg(test)]
mod tests {
    use anyhow::Context;

    use super::*;

    #[test]
    fn oc_02_an_error_keeps_its_number_under_explanations() {
        let stated = anyhow::Error::new(Fault::new(Reason::InUse, "in use")).context("opening");
        assert_eq!(reason(&stated), Reason::InUse);
        let corrupt = LogError::Corrupt { file: "a".into(), offset: 0, position: 0, reason: "b".into() };
        let wrapped = Err::<(), _>(StartError::Log(corrupt)).context("starting").unwrap_err();
        assert_eq!(reason(&wrapped), Reason::Damaged);
        assert_eq!(reason(&anyhow::anyhow!("whatever")), Reason::Failed);
    }
}
