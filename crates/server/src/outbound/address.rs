//! Which addresses strangers may make this server talk to: checks S2 and S3.
//!
//! What is refused is what the registries of IANA (RFC 6890 and its updates) do not call globally reachable, and every form in
//! which an IPv6 address carries an IPv4 one: a translator between here and there would turn it into that one.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Networks of IPv4 that are no part of the public Internet, or that stand for something else there.
const V4: [([u8; 4], u8); 16] = [
    ([0, 0, 0, 0], 8),        // this network (RFC 791)
    ([10, 0, 0, 0], 8),       // private (RFC 1918)
    ([100, 64, 0, 0], 10),    // shared by carriers (RFC 6598)
    ([127, 0, 0, 0], 8),      // loopback
    ([169, 254, 0, 0], 16),   // link-local (RFC 3927); the metadata of clouds is there
    ([172, 16, 0, 0], 12),    // private
    ([192, 0, 0, 0], 24),     // protocol assignments (RFC 6890)
    ([192, 0, 2, 0], 24),     // documentation (RFC 5737)
    ([192, 88, 99, 0], 24),   // relays of 6to4 (RFC 7526)
    ([192, 168, 0, 0], 16),   // private
    ([198, 18, 0, 0], 15),    // benchmarks (RFC 2544)
    ([198, 51, 100, 0], 24),  // documentation
    ([203, 0, 113, 0], 24),   // documentation
    ([168, 63, 129, 16], 32), // the metadata of a cloud, at an address that looks public
    ([224, 0, 0, 0], 4),      // multicast (RFC 5771)
    ([240, 0, 0, 0], 4),      // reserved, and the broadcast address
];

/// Of IPv6 only 2000::/3 is handed out (RFC 4291 section 2.4), and of it these are something else. Everything outside of it is
/// refused with it: loopback, ::/96 and ::ffff:0:0/96 with an IPv4 address inside, the translators' 64:ff9b::/96 and
/// 64:ff9b:1::/48 (RFC 6052, RFC 8215), unique local, link-local, site-local and multicast.
const V6: [([u16; 8], u8); 4] = [
    ([0x2001, 0, 0, 0, 0, 0, 0, 0], 23), // protocol assignments, Teredo (RFC 4380) and ORCHID among them
    ([0x2001, 0xdb8, 0, 0, 0, 0, 0, 0], 32), // documentation (RFC 3849)
    ([0x2002, 0, 0, 0, 0, 0, 0, 0], 16), // 6to4 (RFC 3056): an IPv4 address is inside
    ([0x3fff, 0, 0, 0, 0, 0, 0, 0], 20), // documentation (RFC 9637)
];

/// Whether this is an address of the public Internet.
pub(super) fn is_public(address: IpAddr) -> bool {
    match address.to_canonical() {
        IpAddr::V4(address) => !V4.iter().any(|(network, bits)| is_within_v4(address, *network, *bits)),
        IpAddr::V6(address) => {
            is_within_v6(address, [0x2000, 0, 0, 0, 0, 0, 0, 0], 3)
                && !V6.iter().any(|(network, bits)| is_within_v6(address, *network, *bits))
                && !carries_v4(address)
        }
    }
}

fn is_within_v4(address: Ipv4Addr, network: [u8; 4], bits: u8) -> bool {
    let differing = address.to_bits() ^ u32::from_be_bytes(network);
    differing.leading_zeros() >= u32::from(bits)
}

fn is_within_v6(address: Ipv6Addr, network: [u16; 8], bits: u8) -> bool {
    let differing = address.to_bits() ^ Ipv6Addr::from(network).to_bits();
    differing.leading_zeros() >= u32::from(bits)
}

/// ISATAP (RFC 5214 section 6.1): an interface identifier that begins with 00-00-5E-FE, or 02-00-5E-FE.
fn carries_v4(address: Ipv6Addr) -> bool {
    let segments = address.segments();
    matches!((segments[4], segments[5]), (0x0000 | 0x0200, 0x5efe))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is(address: &str) -> bool {
        is_public(address.parse().unwrap_or_else(|_| panic!("{address}")))
    }

    /// Check S2: one of each kind, at both of its ends.
    #[test]
    fn nothing_but_the_public_internet_is_public() {
        for address in [
            "0.0.0.0",
            "0.255.255.255",
            "10.0.0.1",
            "10.255.255.255",
            "100.64.0.0",
            "100.127.255.255",
            "127.0.0.1",
            "127.255.255.254",
            "169.254.169.254",
            "169.254.0.1",
            "172.16.0.1",
            "172.31.255.255",
            "192.0.0.8",
            "192.0.2.1",
            "192.88.99.1",
            "192.168.0.1",
            "192.168.255.255",
            "198.18.0.1",
            "198.19.255.255",
            "198.51.100.7",
            "203.0.113.7",
            "168.63.129.16",
            "224.0.0.1",
            "239.255.255.255",
            "240.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "::7f00:1",
            "::8.8.8.8",
            "::ffff:127.0.0.1",
            "::ffff:10.0.0.1",
            "64:ff9b::7f00:1",
            "64:ff9b::8.8.8.8",
            "64:ff9b:1::a00:1",
            "100::1",
            "2001::1",
            "2001:0:1::",
            "2001:1ff::1",
            "2001:db8::1",
            "2002:7f00:1::",
            "2002:a00:1::1",
            "2002:808:808::1",
            "3fff::1",
            "fc00::1",
            "fd00:ec2::254",
            "fe80::1",
            "febf::1",
            "fec0::1",
            "ff02::1",
            "ff0e::1",
            "4000::1",
            "2606:4700::5efe:7f00:1",
            "2606:4700::200:5efe:a00:1",
        ] {
            assert!(!is(address), "{address}");
        }
        for address in [
            "1.1.1.1",
            "8.8.8.8",
            "9.255.255.255",
            "11.0.0.0",
            "100.63.255.255",
            "100.128.0.0",
            "126.255.255.255",
            "128.0.0.1",
            "169.253.255.255",
            "169.255.0.0",
            "172.15.255.255",
            "172.32.0.0",
            "192.0.1.0",
            "192.167.255.255",
            "192.169.0.0",
            "198.17.255.255",
            "198.20.0.0",
            "223.255.255.255",
            "::ffff:8.8.8.8",
            "2606:4700::1111",
            "2001:200::1",
            "2001:4860:4860::8888",
            "2a00:1450::1",
            "3ffe::1",
        ] {
            assert!(is(address), "{address}");
        }
    }
}
