//! Settings of identity: who is one person, how many keys one may have, and the secret of identity tokens.

use anyhow::Context;
use mainspring_actors::{
    contact::{EmailUpdate, Policy},
    identity::MergePolicy,
};
use mainspring_http::identify::TokenKeys;

use crate::{
    compose::DataDir,
    environment::{self, Names, chosen, chosen_by_either},
    exit::Fault,
};

/// A shorter secret could be guessed (CF-20).
const SHORTEST_SECRET: usize = 32;

const MERGE_POLICY: Names = ["IDENTITY_MERGE_POLICY", "MAINSPRING_IDENTITY_MERGE_POLICY"];
const EMAIL_UPDATE: Names = ["IDENTITY_EMAIL_UPDATE", "MAINSPRING_IDENTITY_EMAIL_UPDATE"];
const MAX_KEYS: Names = ["IDENTITY_MAX_KEYS_PER_KIND", "MAINSPRING_IDENTITY_MAX_KEYS_PER_KIND"];
const SECRET: Names = ["BETTER_AUTH_SECRET", "MAINSPRING_SECRET"];
const PREVIOUS_SECRETS: Names = ["BETTER_AUTH_SECRET_PREVIOUS", "MAINSPRING_SECRET_PREVIOUS"];

/// How calls find and change contacts.
#[derive(Debug, Default, clap::Args)]
pub struct IdentityArguments {
    /// When contacts that one call names become one: strong, any or never [env: IDENTITY_MERGE_POLICY]
    /// [default: strong]
    #[arg(long, value_name = "POLICY", value_parser = merge_policy)]
    identity_merge_policy: Option<MergePolicy>,
    /// Which calls replace a contact's address: upsert, any or never [env: IDENTITY_EMAIL_UPDATE]
    /// [default: upsert]
    #[arg(long, value_name = "CALLS", value_parser = email_update)]
    identity_email_update: Option<EmailUpdate>,
    /// Most keys of one kind that calls attach to a contact [env: IDENTITY_MAX_KEYS_PER_KIND]
    /// [default: 1000]
    #[arg(long, value_name = "N", value_parser = key_limit)]
    identity_max_keys_per_kind: Option<usize>,
}

fn word<T: Copy>(text: &str, words: &[(&str, T)]) -> Result<T, String> {
    let found = words.iter().find(|(word, _)| *word == text.trim());
    let expected = || words.iter().map(|(word, _)| *word).collect::<Vec<_>>().join(", ");
    found.map(|(_, value)| *value).ok_or_else(|| format!("expected one of {}", expected()))
}

fn merge_policy(text: &str) -> Result<MergePolicy, String> {
    word(text, &MergePolicy::ALL)
}

fn email_update(text: &str) -> Result<EmailUpdate, String> {
    word(text, &EmailUpdate::ALL)
}

fn announce_all(text: &str) -> Result<bool, String> {
    word(text, &[("intent", false), ("all", true)])
}

fn key_limit(text: &str) -> Result<usize, String> {
    let number = text.trim().parse().ok().filter(|number| *number > 0);
    number.ok_or_else(|| "expected a number of at least 1".to_owned())
}

impl IdentityArguments {
    /// The settings contacts decide by (KE-12, RS-23, RS-32, OB-41).
    pub fn policy(&self) -> anyhow::Result<Policy> {
        let mut policy = Policy::default();
        let merges = chosen_by_either(self.identity_merge_policy, MERGE_POLICY, merge_policy)?;
        policy.merges = merges.unwrap_or(policy.merges);
        let updates = chosen_by_either(self.identity_email_update, EMAIL_UPDATE, email_update)?;
        policy.email_update = updates.unwrap_or(policy.email_update);
        let limit = chosen_by_either(self.identity_max_keys_per_kind, MAX_KEYS, key_limit)?;
        policy.max_keys_per_kind = limit.unwrap_or(policy.max_keys_per_kind);
        let scope = chosen(None, "OUTBOUND_CONTACT_SCOPE", announce_all)?;
        policy.announce_all = scope.unwrap_or(policy.announce_all);
        Ok(policy)
    }
}

/// The secrets in `BETTER_AUTH_SECRET` and `BETTER_AUTH_SECRET_PREVIOUS`, or in `MAINSPRING_SECRET` and
/// `MAINSPRING_SECRET_PREVIOUS`, checked (TK-21).
pub struct TokenSecrets {
    current: Option<String>,
    previous: Vec<String>,
}

impl TokenSecrets {
    /// Reads the environment.
    pub fn read() -> anyhow::Result<Self> {
        let current = environment::either(SECRET, environment::secret)?;
        // With a comma it could not stand in the list of previous ones some day.
        let fits = |secret: &String| secret.len() >= SHORTEST_SECRET && !secret.contains(',');
        if let Some((name, _)) = current.as_ref().filter(|(_, secret)| !fits(secret)) {
            let expected = format!("expected at least {SHORTEST_SECRET} bytes without a comma");
            return Err(Fault::usage(format!("{name}: {expected}")).into());
        }
        let previous = environment::either(PREVIOUS_SECRETS, environment::secret)?;
        let previous = previous.map(|(_, secrets)| secrets).unwrap_or_default();
        let previous = previous.split(',').map(str::trim).filter(|secret| !secret.is_empty());
        let previous = previous.map(str::to_owned).collect();
        Ok(Self { current: current.map(|(_, secret)| secret), previous })
    }

    /// The keys; an installation without a secret of its operator's has one of its own.
    pub fn keys(self, data: &DataDir) -> anyhow::Result<TokenKeys> {
        let previous = self.previous.iter().map(String::as_bytes);
        match self.current {
            Some(secret) => Ok(TokenKeys::new(secret.as_bytes(), previous)),
            None => {
                let secret = data.token_secret().context("the secret of identity tokens is missing")?;
                Ok(TokenKeys::new(&secret, previous))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rs_23_rs_32_ke_12_settings_are_words_and_numbers() {
        assert_eq!(merge_policy(" never "), Ok(MergePolicy::Never));
        assert_eq!(email_update("any"), Ok(EmailUpdate::Any));
        assert_eq!(merge_policy("always"), Err("expected one of strong, any, never".to_owned()));
        assert_eq!(key_limit("12"), Ok(12));
        assert!(key_limit("0").is_err() && key_limit("many").is_err());
    }
}
