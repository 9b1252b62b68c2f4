//! What one attempt leads to (OB-120..OB-127, OB-140, OB-141).

use mainspring_schemas::{Timestamp, event::delivery::AttemptResult};

use crate::schedule::{self, Schedule};

/// What came back of one attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// The receiver answered.
    Http {
        /// Its status.
        status: u16,
        /// Its `Retry-After`, as sent.
        retry_after: Option<String>,
        /// The verdict of the destination's own classifier, which then decides alone (OB-140).
        accepted: Option<bool>,
    },
    /// The request failed on its way.
    Failure(Failure),
    /// The destination chose to send nothing (OB-124).
    Skipped,
    /// The destination's configuration makes a request impossible; the text says what is missing (OB-201).
    Config(String),
}

/// Why a request got no answer. The texts never contain addresses or urls (OB-132, OB-199).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// No complete answer within this many milliseconds.
    Timeout {
        /// The limit.
        ms: u64,
    },
    /// The name resolves to nothing.
    Dns,
    /// No connection.
    Connect,
    /// No secure connection: certificate, protocol or handshake.
    Tls,
    /// The connection broke, or what came over it is no HTTP.
    Reset,
    /// The address check refused, before any connection (section 13).
    Blocked {
        /// The class of the address or name, e.g. `private`.
        class: &'static str,
    },
}

/// Everything the next state depends on besides the answer.
#[derive(Clone, Copy, Debug)]
pub struct Circumstances<'a> {
    /// Attempts made before this one on the current schedule.
    pub attempts_before: u32,
    /// When the outcome was known.
    pub now: Timestamp,
    /// The schedule in force.
    pub schedule: &'a Schedule,
    /// Attempts after which a 3xx or 4xx is final; `None` = only the schedule ends it (OB-141).
    pub client_error_attempts: Option<u32>,
    /// A test delivery gets one attempt (OB-177).
    pub only_attempt: bool,
    /// A random number in [0, 1).
    pub unit: f64,
}

/// The next state of a delivery, and what its endpoint learns.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// What follows.
    pub result: AttemptResult,
    /// The class of what went wrong, as recorded.
    pub error_class: Option<&'static str>,
    /// What went wrong, as recorded (OB-132).
    pub error: Option<String>,
    /// What it says about the endpoint.
    pub health: Health,
    /// No delivery of the endpoint may be attempted before this instant (OB-145).
    pub endpoint_blocked_until: Option<Timestamp>,
}

/// What an attempt says about its endpoint's health (OB-151).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Health {
    /// It works: the count of consecutive failures goes back to 0.
    Success,
    /// One more consecutive failure.
    Failure,
    /// It says nothing: no request was made.
    Unchanged,
    /// It wants no deliveries any more: disable it, reason `gone`.
    Gone,
}

/// Judges one attempt.
pub fn judge(answer: &Answer, circumstances: Circumstances<'_>) -> Outcome {
    let class = match answer {
        Answer::Skipped => return delivered(Health::Unchanged),
        Answer::Http { status, accepted, .. } => match class_of_status(*status, *accepted) {
            None => return delivered(Health::Success),
            Some(class) => class,
        },
        Answer::Failure(failure) => failure.class(),
        Answer::Config(_) => "config",
    };
    let error = match answer {
        Answer::Http { status, .. } => format!("HTTP {status}"),
        Answer::Failure(failure) => failure.text(),
        Answer::Config(text) => text.clone(),
        Answer::Skipped => String::new(),
    };
    let health = match class {
        "gone" => Health::Gone,
        "config" => Health::Unchanged,
        _ => Health::Failure,
    };
    let asked = asked_wait(answer, circumstances.now);
    let result = match next_delay(class, circumstances) {
        Some(delay) => {
            AttemptResult::Retry { next_at: circumstances.now.plus(delay.max(asked.unwrap_or_default())) }
        }
        None => AttemptResult::Failed,
    };
    let endpoint_blocked_until =
        if class == "throttled" { asked.map(|wait| circumstances.now.plus(wait)) } else { None };
    Outcome { result, error_class: Some(class), error: Some(error), health, endpoint_blocked_until }
}

fn delivered(health: Health) -> Outcome {
    Outcome {
        result: AttemptResult::Delivered,
        error_class: None,
        error: None,
        health,
        endpoint_blocked_until: None,
    }
}

/// The class of a status that is no success; `None` if it is one.
fn class_of_status(status: u16, accepted: Option<bool>) -> Option<&'static str> {
    match (accepted, status) {
        (Some(true), _) | (None, 200..=299) => None,
        (Some(false), 200..=299) => Some("rejected"),
        (_, 408) => Some("timeout"),
        (_, 410) => Some("gone"),
        (_, 429) => Some("throttled"),
        (_, 300..=399) => Some("redirect"),
        (_, 400..=499) => Some("client_error"),
        // A final status below 200 is no HTTP that anybody agreed on; it is the server's fault.
        _ => Some("server_error"),
    }
}

/// The wait until the next attempt, or `None` if there is none.
fn next_delay(class: &str, circumstances: Circumstances<'_>) -> Option<i64> {
    let made = circumstances.attempts_before.saturating_add(1);
    let permanent = matches!(class, "gone" | "config" | "blocked");
    let capped = matches!(class, "client_error" | "redirect")
        && circumstances.client_error_attempts.is_some_and(|most| made >= most);
    if permanent || capped || circumstances.only_attempt {
        return None;
    }
    circumstances.schedule.delay_after(made, circumstances.unit)
}

fn asked_wait(answer: &Answer, now: Timestamp) -> Option<i64> {
    match answer {
        Answer::Http { status, retry_after: Some(header), .. } if schedule::honours_retry_after(*status) => {
            schedule::retry_after(header, now)
        }
        _ => None,
    }
}

impl Failure {
    /// The class, as recorded.
    pub const fn class(self) -> &'static str {
        match self {
            Self::Timeout { .. } => "timeout",
            Self::Dns => "dns",
            Self::Connect => "connect",
            Self::Tls => "tls",
            Self::Reset => "reset",
            Self::Blocked { .. } => "blocked",
        }
    }

    /// The text, as recorded (OB-132, OB-199).
    pub fn text(self) -> String {
        match self {
            Self::Timeout { ms } => format!("Timeout after {ms}ms"),
            Self::Dns => "name not resolved".to_owned(),
            Self::Connect => "could not connect".to_owned(),
            Self::Tls => "no secure connection".to_owned(),
            Self::Reset => "connection broken or no HTTP answer".to_owned(),
            Self::Blocked { class } => format!("destination not allowed ({class})"),
        }
    }
}
