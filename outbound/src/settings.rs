//! What an operator may set (section 17), read strictly: an unreadable value is an error that names its variable.

use std::{path::PathBuf, str::FromStr, time::Duration};

use mainspring_schemas::duration::DurationSpec;
use url::Url;

use crate::{
    guard::{AllowList, Policy},
    schedule::{self, Schedule},
};

/// How deliveries are made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Limit of one attempt, answer included (OB-113).
    pub timeout: Duration,
    /// When to try again (OB-144).
    pub schedule: Schedule,
    /// Attempts after which a 3xx or 4xx is final (OB-141).
    pub client_error_attempts: Option<u32>,
    /// Attempts in flight overall (OB-150).
    pub concurrency: usize,
    /// Attempts in flight per endpoint (OB-150).
    pub endpoint_concurrency: usize,
    /// Whether the first bytes of answers are stored (OB-115).
    pub capture_body: bool,
    /// Where requests may go (section 13).
    pub policy: Policy,
    /// Further certificate authorities, PEM (OB-116).
    pub ca_file: Option<PathBuf>,
    /// How long deliveries stay readable that were delivered or discarded (OB-163).
    pub retention: Duration,
    /// How long failed ones do.
    pub failed_retention: Duration,
    /// How long deliveries to a disabled endpoint are held, in milliseconds; 0 = not at all (OB-88).
    pub hold_ms: i64,
    /// After how many milliseconds of nothing but failures an endpoint is disabled; 0 = never (OB-152).
    pub auto_disable_ms: i64,
    /// Where alerts are posted to, besides the log (OB-153).
    pub alert_url: Option<Concealed>,
    /// The forward proxy of every request; the environment's are not read (OB-198).
    pub proxy: Option<Concealed>,
}

/// An address that may hold a credential: debug output does not show it.
#[derive(Clone, PartialEq, Eq)]
pub struct Concealed(pub String);

impl std::fmt::Debug for Concealed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Concealed")
    }
}

/// A variable nobody can read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{variable}: {reason}")]
pub struct InvalidSetting {
    /// Its name.
    pub variable: &'static str,
    /// What was expected instead. Never repeats the value.
    pub reason: String,
}

const TIMEOUT: &str = "OUTBOUND_WEBHOOK_TIMEOUT_MS";
const SCHEDULE: &str = "OUTBOUND_WEBHOOK_SCHEDULE";
const MAX_ATTEMPTS: &str = "OUTBOUND_WEBHOOK_MAX_ATTEMPTS";
const BASE_DELAY: &str = "OUTBOUND_WEBHOOK_BASE_DELAY_MS";
const MAX_DELAY: &str = "OUTBOUND_WEBHOOK_MAX_DELAY_MS";
const CLIENT_ERROR_ATTEMPTS: &str = "OUTBOUND_WEBHOOK_CLIENT_ERROR_ATTEMPTS";
const CONCURRENCY: &str = "OUTBOUND_WEBHOOK_CONCURRENCY";
const ENDPOINT_CONCURRENCY: &str = "OUTBOUND_WEBHOOK_ENDPOINT_CONCURRENCY";
const CAPTURE_BODY: &str = "OUTBOUND_WEBHOOK_CAPTURE_BODY";
const ALLOW_HTTP: &str = "OUTBOUND_WEBHOOK_ALLOW_HTTP";
const ALLOW_PRIVATE: &str = "OUTBOUND_WEBHOOK_ALLOW_PRIVATE";
const ALLOWED_HOSTS: &str = "OUTBOUND_WEBHOOK_ALLOWED_HOSTS";
const CA_FILE: &str = "OUTBOUND_WEBHOOK_CA_FILE";
const HOLD: &str = "OUTBOUND_WEBHOOK_HOLD";
const AUTO_DISABLE_AFTER: &str = "OUTBOUND_WEBHOOK_AUTO_DISABLE_AFTER";
const ALERT_URL: &str = "OPERATIONS_ALERT_URL";
const PROXY_URL: &str = "OUTBOUND_PROXY_URL";
const RETENTION: &str = "OUTBOUND_WEBHOOK_RETENTION";
const FAILED_RETENTION: &str = "OUTBOUND_WEBHOOK_FAILED_RETENTION";

/// Three days.
const DEFAULT_HOLD_MS: i64 = 72 * 3_600_000;

/// Five days.
const DEFAULT_AUTO_DISABLE_MS: i64 = 5 * 24 * 3_600_000;

const DAY_SECONDS: u64 = 86_400;

impl Default for Settings {
    fn default() -> Self {
        let mut problems = Vec::new();
        Self::read(&Reader { lookup: &|_| None }, &mut problems)
    }
}

impl Settings {
    /// The names of all variables read here.
    pub const VARIABLES: [&'static str; 19] = [
        TIMEOUT,
        SCHEDULE,
        MAX_ATTEMPTS,
        BASE_DELAY,
        MAX_DELAY,
        CLIENT_ERROR_ATTEMPTS,
        CONCURRENCY,
        ENDPOINT_CONCURRENCY,
        CAPTURE_BODY,
        ALLOW_HTTP,
        ALLOW_PRIVATE,
        ALLOWED_HOSTS,
        CA_FILE,
        HOLD,
        AUTO_DISABLE_AFTER,
        ALERT_URL,
        PROXY_URL,
        RETENTION,
        FAILED_RETENTION,
    ];

    /// Reads all variables through `lookup`; an empty value is an unset one (CF-02).
    ///
    /// # Errors
    /// Every problem at once, each naming its variable (CF-03, CF-07, OB-144).
    pub fn from_variables(lookup: impl Fn(&str) -> Option<String>) -> Result<Self, Vec<InvalidSetting>> {
        let mut problems = Vec::new();
        let settings = Self::read(&Reader { lookup: &lookup }, &mut problems);
        if problems.is_empty() { Ok(settings) } else { Err(problems) }
    }

    fn read(reader: &Reader<'_>, problems: &mut Vec<InvalidSetting>) -> Self {
        let policy = Policy {
            allow_http: reader.switch(ALLOW_HTTP, problems).unwrap_or(false),
            allow_private: reader.switch(ALLOW_PRIVATE, problems).unwrap_or(false),
            allowed: reader.parsed(ALLOWED_HOSTS, AllowList::parse, problems).unwrap_or_default(),
        };
        let alert_url = |text: &str| match policy.check_url(text) {
            Ok(url) => Ok(Concealed(url.into())),
            Err(refusal) => Err(format!("not allowed: {refusal}")),
        };
        Self {
            alert_url: reader.parsed(ALERT_URL, alert_url, problems),
            proxy: reader.parsed(PROXY_URL, read_proxy, problems),
            hold_ms: reader.parsed(HOLD, read_span, problems).unwrap_or(DEFAULT_HOLD_MS),
            auto_disable_ms: reader
                .parsed(AUTO_DISABLE_AFTER, read_span, problems)
                .unwrap_or(DEFAULT_AUTO_DISABLE_MS),
            timeout: Duration::from_millis(reader.number(TIMEOUT, 100..=600_000, problems).unwrap_or(15_000)),
            schedule: read_schedule(reader, problems),
            client_error_attempts: reader.number(CLIENT_ERROR_ATTEMPTS, 1..=100, problems),
            concurrency: reader.number(CONCURRENCY, 1..=4_096, problems).unwrap_or(64),
            endpoint_concurrency: reader.number(ENDPOINT_CONCURRENCY, 1..=4_096, problems).unwrap_or(8),
            capture_body: reader.switch(CAPTURE_BODY, problems).unwrap_or(true),
            policy,
            ca_file: reader.text(CA_FILE).map(PathBuf::from),
            retention: reader.span(RETENTION, 30, problems),
            failed_retention: reader.span(FAILED_RETENTION, 90, problems),
        }
    }
}

/// The schedule, or the reference's formula as soon as one of its variables is set (OB-144).
fn read_schedule(reader: &Reader<'_>, problems: &mut Vec<InvalidSetting>) -> Schedule {
    let formula = [MAX_ATTEMPTS, BASE_DELAY, MAX_DELAY].into_iter().find(|name| reader.text(name).is_some());
    let delays = reader.parsed(SCHEDULE, Schedule::parse, problems);
    let Some(first_of_formula) = formula else {
        return delays
            .or_else(|| Schedule::parse(schedule::DEFAULT).ok())
            .unwrap_or(Schedule::Delays(Vec::new()));
    };
    if reader.text(SCHEDULE).is_some() {
        let reason = format!("cannot be combined with {first_of_formula}");
        problems.push(InvalidSetting { variable: SCHEDULE, reason });
    }
    Schedule::Formula {
        max_attempts: reader.number(MAX_ATTEMPTS, 1..=100, problems).unwrap_or(8),
        base_ms: reader.number(BASE_DELAY, 1..=86_400_000, problems).unwrap_or(5_000),
        max_ms: reader.number(MAX_DELAY, 1..=2_592_000_000, problems).unwrap_or(21_600_000),
    }
}

fn read_span(text: &str) -> Result<i64, &'static str> {
    match text.trim() {
        "0" => Ok(0),
        text => text.parse::<DurationSpec>().map(|span| span.millis()),
    }
    .map_err(|_| "expected a length of time such as 72h or 5d, or 0")
}

/// A proxy is the operator's own: it may stand anywhere and need a password.
fn read_proxy(text: &str) -> Result<Concealed, &'static str> {
    let url = Url::parse(text.trim()).ok().filter(|url| url.has_host());
    match url {
        Some(url) if matches!(url.scheme(), "http" | "https") => Ok(Concealed(url.into())),
        _ => Err("expected an address such as http://proxy.internal:3128"),
    }
}

struct Reader<'a> {
    lookup: &'a dyn Fn(&str) -> Option<String>,
}

impl Reader<'_> {
    fn text(&self, variable: &str) -> Option<String> {
        (self.lookup)(variable).filter(|value| !value.trim().is_empty())
    }

    fn parsed<T, E: std::fmt::Display>(
        &self,
        variable: &'static str,
        parse: impl Fn(&str) -> Result<T, E>,
        problems: &mut Vec<InvalidSetting>,
    ) -> Option<T> {
        match parse(&self.text(variable)?) {
            Ok(value) => Some(value),
            Err(error) => {
                problems.push(InvalidSetting { variable, reason: error.to_string() });
                None
            }
        }
    }

    fn number<T: FromStr + PartialOrd + std::fmt::Display>(
        &self,
        variable: &'static str,
        range: std::ops::RangeInclusive<T>,
        problems: &mut Vec<InvalidSetting>,
    ) -> Option<T> {
        let read = |text: &str| {
            let number = text.trim().parse::<T>().ok().filter(|number| range.contains(number));
            number.ok_or_else(|| format!("expected a whole number from {} to {}", range.start(), range.end()))
        };
        self.parsed(variable, read, problems)
    }

    /// A length of time, longer than nothing; a number of days if unset.
    fn span(
        &self,
        variable: &'static str,
        default_days: u64,
        problems: &mut Vec<InvalidSetting>,
    ) -> Duration {
        let read = |text: &str| {
            let span = text.trim().parse::<DurationSpec>().ok();
            let millis = span.and_then(|span| u64::try_from(span.millis()).ok()).filter(|millis| *millis > 0);
            millis.map(Duration::from_millis).ok_or("expected a length of time such as 12h, 30d or 4w")
        };
        let default = Duration::from_secs(default_days * DAY_SECONDS);
        self.parsed(variable, read, problems).unwrap_or(default)
    }

    fn switch(&self, variable: &'static str, problems: &mut Vec<InvalidSetting>) -> Option<bool> {
        let read = |text: &str| match text.trim() {
            "true" => Ok(true),
            "false" => Ok(false),
            _ => Err("expected true or false"),
        };
        self.parsed(variable, read, problems)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(pairs: &[(&str, &str)]) -> Result<Settings, Vec<InvalidSetting>> {
        Settings::from_variables(|name| {
            pairs.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned())
        })
    }

    #[test]
    fn ob_144_defaults_span_three_days() {
        let settings = read(&[(SCHEDULE, ""), (TIMEOUT, " ")]).unwrap();
        assert_eq!(settings, Settings::default());
        assert_eq!((settings.concurrency, settings.endpoint_concurrency), (64, 8));
        assert_eq!(settings.timeout, Duration::from_secs(15));
        let Schedule::Delays(delays) = settings.schedule else { panic!("the default is a schedule") };
        assert_eq!((delays.len(), delays.iter().sum::<i64>()), (9, 272_105_000));
    }

    #[test]
    fn ob_163_retention_is_thirty_and_ninety_days() {
        let days = |days: u64| Duration::from_secs(days * DAY_SECONDS);
        let settings = read(&[]).unwrap();
        assert_eq!((settings.retention, settings.failed_retention), (days(30), days(90)));
        assert_eq!(read(&[(RETENTION, "1w")]).unwrap().retention, days(7));
        assert!(read(&[(FAILED_RETENTION, "0s")]).is_err());
    }

    #[test]
    fn ob_144_one_variable_of_the_formula_switches_to_it() {
        let schedule = read(&[(MAX_ATTEMPTS, "3")]).unwrap().schedule;
        assert_eq!(schedule, Schedule::Formula { max_attempts: 3, base_ms: 5_000, max_ms: 21_600_000 });
        let problems = read(&[(MAX_DELAY, "1000"), (SCHEDULE, "5s")]).unwrap_err();
        assert_eq!(problems[0].to_string(), format!("{SCHEDULE}: cannot be combined with {MAX_DELAY}"));
    }

    #[test]
    fn cf_07_every_unreadable_variable_is_named_at_once() {
        for name in Settings::VARIABLES.into_iter().filter(|name| *name != CA_FILE) {
            let problems = read(&[(name, "a b")]).unwrap_err();
            assert_eq!(problems.iter().map(|problem| problem.variable).collect::<Vec<_>>(), [name]);
            assert!(!problems[0].reason.contains("a b"), "the value is not repeated");
        }
        let all = read(&[(TIMEOUT, "0"), (CONCURRENCY, "many"), (ALLOW_HTTP, "1")]).unwrap_err();
        assert_eq!(all.len(), 3);
    }
}
