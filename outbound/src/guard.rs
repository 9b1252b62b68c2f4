//! Where a request may go (section 13): the check of a url, and the check of what its name resolves to.

use std::net::IpAddr;

use url::{Host, Url};

use crate::address::{self, Block};

/// Destinations exempt from the rules (OB-197): exact host names and blocks of addresses.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AllowList {
    hosts: Vec<String>,
    blocks: Vec<Block>,
}

/// An entry of an allow-list that is neither a host name nor a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected a comma list of host names, addresses and CIDR blocks")]
pub struct InvalidAllowList;

impl AllowList {
    /// Reads `127.0.0.1/32,crm.internal`.
    ///
    /// # Errors
    /// [`InvalidAllowList`] if an entry is unreadable.
    pub fn parse(text: &str) -> Result<Self, InvalidAllowList> {
        let mut list = Self::default();
        for entry in text.split(',').map(str::trim).filter(|entry| !entry.is_empty()) {
            if let Some(block) = Block::parse(entry) {
                list.blocks.push(block);
                continue;
            }
            match Host::parse(entry) {
                Ok(Host::Domain(name)) if !entry.contains(['/', ':', '*']) => {
                    list.hosts.push(without_dot(&name).to_owned());
                }
                _ => return Err(InvalidAllowList),
            }
        }
        Ok(list)
    }

    /// Whether nothing is exempt.
    pub fn is_empty(&self) -> bool {
        self.hosts.is_empty() && self.blocks.is_empty()
    }

    fn names(&self, host: &str) -> bool {
        self.hosts.iter().any(|allowed| allowed == without_dot(host))
    }

    fn covers(&self, address: IpAddr) -> bool {
        self.blocks.iter().any(|block| block.contains(address.to_canonical()) || block.contains(address))
    }
}

/// The rules in force.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Policy {
    /// Whether `http` is a scheme (OB-190).
    pub allow_http: bool,
    /// Whether private names and addresses are destinations like all others: development only.
    pub allow_private: bool,
    /// What is exempt (OB-197).
    pub allowed: AllowList,
}

/// Why a destination is refused. The texts name no host and no address (OB-199).
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// It does not parse.
    #[error("not a URL")]
    NotAUrl,
    /// Neither `https` nor, where allowed, `http`.
    #[error("scheme")]
    Scheme,
    /// It holds a user or a password.
    #[error("credentials in the URL")]
    Credentials,
    /// Its port cannot be connected to.
    #[error("port")]
    Port,
    /// Its name is one of a private network.
    #[error("host")]
    Host,
    /// Its address, or one its name resolves to, is not public.
    #[error("address ({0})")]
    Address(&'static str),
}

impl Refusal {
    /// The class as recorded with a refused attempt.
    pub const fn class(self) -> &'static str {
        match self {
            Self::NotAUrl => "url",
            Self::Scheme => "scheme",
            Self::Credentials => "credentials",
            Self::Port => "port",
            Self::Host => "host",
            Self::Address(class) => class,
        }
    }
}

impl Policy {
    /// The check that needs no name resolution: at create, at update, and before every attempt (OB-190..OB-196).
    /// Returns the url as it will be requested, without its fragment.
    ///
    /// # Errors
    /// [`Refusal`] with the reason.
    pub fn check_url(&self, text: &str) -> Result<Url, Refusal> {
        let mut url = Url::parse(text).map_err(|_| Refusal::NotAUrl)?;
        match url.scheme() {
            "https" => {}
            "http" if self.allow_http => {}
            _ => return Err(Refusal::Scheme),
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(Refusal::Credentials);
        }
        if url.port() == Some(0) {
            return Err(Refusal::Port);
        }
        match url.host() {
            Some(Host::Domain(name)) => self.check_name(name)?,
            Some(Host::Ipv4(address)) => self.check_address(address.into())?,
            Some(Host::Ipv6(address)) => self.check_address(address.into())?,
            None => return Err(Refusal::NotAUrl),
        }
        url.set_fragment(None);
        Ok(url)
    }

    /// The check of a name's addresses, before connecting: one that is refused condemns them all (OB-195).
    ///
    /// # Errors
    /// [`Refusal::Address`] with the class of the first refused one.
    pub fn check_resolved(&self, name: &str, addresses: &[IpAddr]) -> Result<(), Refusal> {
        if self.allowed.names(name) {
            return Ok(());
        }
        addresses.iter().try_for_each(|address| self.check_address(*address))
    }

    fn check_address(&self, address: IpAddr) -> Result<(), Refusal> {
        match address::refusal(address) {
            Some(class) if !self.allow_private && !self.allowed.covers(address) => {
                Err(Refusal::Address(class))
            }
            _ => Ok(()),
        }
    }

    /// Names of private networks are refused without looking them up (OB-193).
    fn check_name(&self, name: &str) -> Result<(), Refusal> {
        if self.allow_private || self.allowed.names(name) {
            return Ok(());
        }
        // Comparing the last label and requiring a second one covers `localhost` and `*.localhost` alike.
        match without_dot(name).rsplit_once('.') {
            None | Some((_, "localhost" | "local" | "internal")) => Err(Refusal::Host),
            Some(_) => Ok(()),
        }
    }
}

fn without_dot(name: &str) -> &str {
    name.strip_suffix('.').unwrap_or(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ob_192_fragments_are_dropped() {
        let url = Policy::default().check_url("https://hooks.example.com/x#secret").unwrap();
        assert_eq!(url.as_str(), "https://hooks.example.com/x");
    }

    #[test]
    fn ob_197_entries_are_read_or_refused() {
        let list = AllowList::parse(" CRM.internal. , 10.0.0.0/8,fd00::1,").unwrap();
        assert!(list.names("crm.internal") && list.names("crm.internal."));
        assert!(list.covers("10.1.2.3".parse().unwrap()) && list.covers("::ffff:10.1.2.3".parse().unwrap()));
        assert!(list.covers("fd00::1".parse().unwrap()) && !list.covers("fd00::2".parse().unwrap()));
        for bad in ["*.example.com", "https://x.example", "10.0.0.0/40", "a b"] {
            assert_eq!(AllowList::parse(bad), Err(InvalidAllowList), "{bad}");
        }
    }

    #[test]
    fn ob_197_an_allowed_block_does_not_allow_the_names_that_point_into_it() {
        let policy = Policy { allowed: AllowList::parse("127.0.0.1/32").unwrap(), ..Policy::default() };
        assert_eq!(policy.check_url("https://localhost/x"), Err(Refusal::Host));
        assert_eq!(policy.check_resolved("a.example", &["127.0.0.1".parse().unwrap()]), Ok(()));
        let mixed = ["127.0.0.1".parse().unwrap(), "10.0.0.1".parse().unwrap()];
        assert_eq!(policy.check_resolved("a.example", &mixed), Err(Refusal::Address("private")));
    }

    #[test]
    fn w6_zones_port_zero_and_dot_variants_are_refused() {
        let policy = Policy::default();
        assert_eq!(policy.check_url("https://[fe80::1%25eth0]/"), Err(Refusal::NotAUrl));
        assert_eq!(policy.check_url("https://hooks.example.com:0/"), Err(Refusal::Port));
        assert_eq!(policy.check_url("https://127。0。0。1/"), Err(Refusal::Address("loopback")));
        assert_eq!(policy.check_url("https://127.0.0.1./"), Err(Refusal::Address("loopback")));
    }
}
