//! For how long a deletion can be undone (CT-74).

use mainspring_actors::contact::Policy;
use mainspring_schemas::duration::DurationSpec;

use crate::environment::chosen;

/// The grace of deletions.
#[derive(Debug, Default, clap::Args)]
pub struct GraceArgument {
    /// For how long a deletion can be undone, such as 30d or 12h; then the contact is erased. 0 erases at once
    /// [env: DELETE_GRACE] [default: 30d]
    #[arg(long, value_name = "DURATION", value_parser = grace)]
    delete_grace: Option<i64>,
}

/// A duration in milliseconds.
fn grace(text: &str) -> Result<i64, String> {
    match text.trim() {
        "0" => Ok(0),
        text => text.parse().map(|grace: DurationSpec| grace.millis()).map_err(|error| error.to_string()),
    }
}

impl GraceArgument {
    /// The policy with this grace.
    pub fn put_into(&self, mut policy: Policy) -> anyhow::Result<Policy> {
        let grace = chosen(self.delete_grace, "DELETE_GRACE", grace)?;
        policy.delete_grace = grace.unwrap_or(policy.delete_grace);
        Ok(policy)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ct_74_a_grace_is_a_duration() {
        assert_eq!(grace("30d"), Ok(Policy::default().delete_grace));
        assert_eq!((grace(" 0 "), grace("0s"), grace("1h30m")), (Ok(0), Ok(0), Ok(5_400_000)));
        for bad in ["", "30", "-1d", "never"] {
            assert!(grace(bad).is_err(), "{bad}");
        }
    }
}
