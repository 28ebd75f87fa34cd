//! Who is one party on the network.
//!
//! IPv6: the /64, the smallest network that one subscriber gets; within it addresses are free to have (RFC 8981). IPv4: the
//! single address. A wider prefix would make neighbours pay for each other, and there are no addresses to be had for nothing;
//! many people behind one address are the rule, and so nothing that is honest is ever counted by network alone.

use std::net::IpAddr;

use crate::peer::Peer;

/// A network, as far as limits are concerned.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub(crate) enum Prefix {
    /// An IPv4 address.
    V4([u8; 4]),
    /// An IPv6 /64.
    V6([u8; 8]),
}

impl Prefix {
    /// Of the one that the connection, or a trusted proxy, speaks for. `None` without a network.
    pub(crate) fn of(peer: Peer) -> Option<Self> {
        Some(match peer.address?.to_canonical() {
            IpAddr::V4(address) => Self::V4(address.octets()),
            IpAddr::V6(address) => {
                let [a, b, c, d, e, f, g, h, ..] = address.octets();
                Self::V6([a, b, c, d, e, f, g, h])
            }
        })
    }

    /// For keyed hashes.
    pub(crate) fn bytes(&self) -> &[u8] {
        match self {
            Self::V4(bytes) => bytes,
            Self::V6(bytes) => bytes,
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
