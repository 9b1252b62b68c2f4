//! Whose address a request comes from (HT-46).

use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use actix_web::HttpRequest;
use ipnet::IpNet;

/// The client's address: the peer, or the right-most hop of `X-Forwarded-For` that is no trusted proxy if the peer is one.
/// `None` for a connection without a peer.
pub(crate) fn client(request: &HttpRequest, trusted: &[IpNet]) -> Option<IpAddr> {
    let peer = request.peer_addr()?.ip().to_canonical();
    let hops = request.headers().get_all("x-forwarded-for").filter_map(|value| value.to_str().ok());
    Some(behind(peer, hops.collect::<Vec<_>>().join(",").as_str(), trusted))
}

/// What counts as one client: an address, or the network of an IPv6 one, in which nobody has only one address.
pub(crate) fn network(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(_) => address,
        IpAddr::V6(address) => IpAddr::V6((u128::from(address) >> 64 << 64).into()),
    }
}

fn behind(peer: IpAddr, forwarded: &str, trusted: &[IpNet]) -> IpAddr {
    let is_trusted = |address: IpAddr| trusted.iter().any(|net| net.contains(&address));
    let mut client = peer;
    for hop in forwarded.rsplit(',').map(str::trim).filter(|hop| !hop.is_empty()) {
        if !is_trusted(client) {
            break;
        }
        // A hop nobody can read was written by somebody who is not trusted.
        let Some(address) = address_of(hop) else { break };
        client = address.to_canonical();
    }
    client
}

/// A hop's address. Some gateways write the port after it, and an IPv6 address in brackets then.
fn address_of(hop: &str) -> Option<IpAddr> {
    let bracketed = || hop.strip_prefix('[')?.strip_suffix(']')?.parse::<Ipv6Addr>().ok().map(IpAddr::V6);
    let with_port = || hop.parse::<SocketAddr>().ok().map(|address| address.ip());
    hop.parse().ok().or_else(with_port).or_else(bracketed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ht_46_only_trusted_proxies_are_believed() {
        let trusted = ["10.0.0.0/8".parse().unwrap(), "::1/128".parse().unwrap()];
        let client = |peer: &str, forwarded| behind(peer.parse().unwrap(), forwarded, &trusted).to_string();
        assert_eq!(client("203.0.113.9", "1.2.3.4"), "203.0.113.9");
        assert_eq!(client("10.1.1.1", "1.2.3.4, 198.51.100.7"), "198.51.100.7");
        assert_eq!(client("10.1.1.1", "1.2.3.4, 198.51.100.7, 10.2.2.2"), "198.51.100.7");
        assert_eq!(client("::1", "2001:db8::1"), "2001:db8::1");
        assert_eq!(client("10.1.1.1", "1.2.3.4, unknown"), "10.1.1.1");
        assert_eq!(client("10.1.1.1", ""), "10.1.1.1");
        assert_eq!(client("10.1.1.1", "1.2.3.4:5678, 10.2.2.2:80"), "1.2.3.4", "with ports");
        assert_eq!(client("10.1.1.1", "[2001:db8::1]:443"), "2001:db8::1");
        assert_eq!(client("10.1.1.1", "[2001:db8::1]"), "2001:db8::1");
        assert_eq!(client("10.1.1.1", "1.2.3.4:99999"), "10.1.1.1", "no port there is");
    }

    #[test]
    fn ws_95_a_client_s_ipv6_addresses_count_as_one() {
        let network = |address: &str| network(address.parse().unwrap()).to_string();
        assert_eq!(network("203.0.113.9"), "203.0.113.9");
        assert_eq!(network("2001:db8:1:2:3:4:5:6"), "2001:db8:1:2::");
    }
}
