//! For how long a deletion can be undone (CT-74).

use mainspring_actors::contact::Policy;

use crate::environment::{chosen, duration};

/// The grace of deletions.
#[derive(Debug, Default, clap::Args)]
pub struct GraceArgument {
    /// For how long a deletion can be undone, such as 30d or 12h; then the contact is erased. 0 erases at once
    /// [env: DELETE_GRACE] [default: 30d]
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    delete_grace: Option<i64>,
}

impl GraceArgument {
    /// The policy with this grace.
    pub fn put_into(&self, mut policy: Policy) -> anyhow::Result<Policy> {
        let grace = chosen(self.delete_grace, "DELETE_GRACE", duration)?;
        policy.delete_grace = grace.unwrap_or(policy.delete_grace);
        Ok(policy)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ct_74_a_grace_is_a_duration() {
        assert_eq!(duration("30d"), Ok(Policy::default().delete_grace));
        assert_eq!((duration(" 0 "), duration("0s"), duration("1h30m")), (Ok(0), Ok(0), Ok(5_400_000)));
        for bad in ["", "30", "-1d", "never"] {
            assert!(duration(bad).is_err(), "{bad}");
        }
    }
}
