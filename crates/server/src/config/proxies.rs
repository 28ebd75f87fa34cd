//! `trusted_proxies` and `forwarded_header`: whose word about a client's address is taken, and which word.
//!
//! Nobody's by default. A network that holds everybody would make the setting mean nothing, so it is refused. Only one
//! header is read: a proxy sets the one it knows and passes on whatever a client wrote into the other.

use std::net::IpAddr;

use super::document::Section;
use super::problem::Problem;

/// The most networks.
const MAX_NETWORKS: usize = 256;

/// Addresses that begin with the same bits.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Network {
    address: IpAddr,
    bits: u8,
}

impl Network {
    /// Reads `10.0.0.0/8`, `2001:db8::/32`, or one address.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        let (address, bits) = text.split_once('/').map_or((text, None), |(address, bits)| (address, Some(bits)));
        let address: IpAddr = address.parse().map_err(|_| "it is no IP address and no network like \"10.0.0.0/8\"")?;
        let all: u8 = if address.is_ipv4() { 32 } else { 128 };
        let bits = match bits {
            None => all,
            Some(bits) if bits.starts_with('+') => return Err("its length is no number of bits"),
            Some(bits) => bits.parse().ok().filter(|bits| *bits <= all).ok_or("its length is no number of bits")?,
        };
        if bits == 0 {
            return Err("it holds every address, so that anybody could say anything");
        }
        let network = Self { address, bits };
        if network.first(address) == address { Ok(network) } else { Err("bits are set behind its length") }
    }

    /// The network of this many leading bits that an address is in; of all its bits, if it has fewer.
    #[must_use]
    pub fn around(address: IpAddr, v4: u8, v6: u8) -> Self {
        let address = address.to_canonical();
        let bits = if address.is_ipv4() { v4.min(32) } else { v6.min(128) };
        let network = Self { address, bits };
        Self { address: network.first(address), bits }
    }

    /// Its first address.
    #[must_use]
    pub const fn address(&self) -> IpAddr {
        self.address
    }

    /// Whether an address is in it. An IPv4 address in IPv6 clothing is an IPv4 address.
    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        address.is_ipv4() == self.address.is_ipv4() && self.first(address) == self.address
    }

    /// The address with all bits behind our length set to zero.
    fn first(&self, address: IpAddr) -> IpAddr {
        match address {
            IpAddr::V4(v4) => {
                let mask = u32::MAX.checked_shl(32 - u32::from(self.bits)).unwrap_or(0);
                IpAddr::V4((v4.to_bits() & mask).into())
            }
            IpAddr::V6(v6) => {
                let mask = u128::MAX.checked_shl(128 - u32::from(self.bits)).unwrap_or(0);
                IpAddr::V6((v6.to_bits() & mask).into())
            }
        }
    }
}

/// Which header a trusted proxy tells the client's address in.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub enum ForwardedHeader {
    /// `X-Forwarded-For`.
    #[default]
    XForwardedFor,
    /// `Forwarded` (RFC 7239).
    Forwarded,
}

/// The proxies whose word is taken.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct TrustedProxies {
    /// Where they are.
    pub networks: Vec<Network>,
    /// What they say it in.
    pub header: ForwardedHeader,
}

impl TrustedProxies {
    /// Whether this address is one of them.
    #[must_use]
    pub fn trusts(&self, address: IpAddr) -> bool {
        self.networks.iter().any(|network| network.contains(address))
    }
}

/// Reads both settings.
pub(super) fn read(top: &Section<'_>) -> TrustedProxies {
    let mut proxies = TrustedProxies::default();
    let key = "trusted_proxies";
    let names = top.strings(key).unwrap_or_default();
    if names.len() > MAX_NETWORKS {
        let what = format!("there are {}, and {MAX_NETWORKS} are the limit", names.len());
        top.problem(Problem::new(key, what, "Name the networks and not each address."));
    }
    for (index, name) in names.iter().take(MAX_NETWORKS).enumerate() {
        match Network::parse(name) {
            Ok(network) => proxies.networks.push(network),
            Err(what) => {
                let remedy = "Name the addresses of your own proxies, like \"127.0.0.1\" or \"10.0.3.0/24\".";
                top.problem(Problem::new(key, what, remedy).at(index));
            }
        }
    }
    let key = "forwarded_header";
    match top.string(key).as_deref() {
        None | Some("x-forwarded-for") => {}
        Some("forwarded") => proxies.header = ForwardedHeader::Forwarded,
        Some(_) => {
            let remedy = "Choose \"x-forwarded-for\" or \"forwarded\", the one that your proxy itself writes.";
            top.problem(Problem::new(key, "there is no such choice", remedy));
        }
    }
    proxies
}
