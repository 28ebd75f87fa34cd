//! Who is one party on the network.
//!
//! IPv6: the /64, the smallest network that one subscriber gets; within it addresses are free to have (RFC 8981). IPv4: the
//! single address. A wider prefix would make neighbours pay for each other, and there are no addresses to be had for nothing;
//! many people behind one address are the rule, and so nothing that is honest is ever counted by network alone.

use std::net::IpAddr;

use crate::config::proxies::Network;
use crate::peer::Peer;

/// One party's network, as far as limits are concerned.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) struct Prefix(Network);

impl Prefix {
    /// Of the one that the connection, or a trusted proxy, speaks for. `None` without a network.
    pub(crate) fn of(peer: Peer) -> Option<Self> {
        peer.address.map(Self::around)
    }

    /// Of an address.
    pub(crate) fn around(address: IpAddr) -> Self {
        Self(Network::around(address, 32, 64))
    }

    /// Its leading bits, for keyed hashes.
    pub(crate) fn bytes(self) -> Vec<u8> {
        match self.0.address() {
            IpAddr::V4(address) => address.octets().to_vec(),
            IpAddr::V6(address) => address.octets()[..8].to_vec(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn prefix(address: &str) -> Option<Prefix> {
        Prefix::of(Peer { address: Some(address.parse().expect("an address")) })
    }

    #[test]
    fn one_party_is_one_prefix() {
        assert_eq!(prefix("2001:db8:1:2::1"), prefix("2001:db8:1:2:ffff:ffff:ffff:ffff"));
        assert_ne!(prefix("2001:db8:1:2::1"), prefix("2001:db8:1:3::1"));
        assert_ne!(prefix("192.0.2.1"), prefix("192.0.2.2"));
        assert_eq!(prefix("192.0.2.1"), prefix("::ffff:192.0.2.1"), "however a socket spells it");
        assert_eq!(Prefix::of(Peer { address: None }), None);
    }
}
