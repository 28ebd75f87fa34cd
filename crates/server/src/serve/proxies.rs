//! Whose address a request came from, where proxies stand in front: read from the right, for each proxy adds at the right, and
//! only as far as each word is that of a proxy we trust. What stands further left was written by who knows whom.

use std::net::{IpAddr, SocketAddr};

use axum::http::HeaderMap;

use crate::config::proxies::{ForwardedHeader, TrustedProxies};

/// The most hops that are read.
const MAX_HOPS: usize = 32;

/// The address of the client as far as it can be known.
pub(super) fn client(remote: IpAddr, headers: &HeaderMap, trusted: &TrustedProxies) -> IpAddr {
    let remote = remote.to_canonical();
    if !trusted.trusts(remote) {
        return remote;
    }
    let hops = match trusted.header {
        ForwardedHeader::XForwardedFor => x_forwarded_for(headers),
        ForwardedHeader::Forwarded => forwarded(headers),
    };
    let mut nearest = remote;
    for hop in hops.into_iter().take(MAX_HOPS) {
        // Unknown, hidden, or no address: the proxy that wrote it is as far as we can see.
        let Some(hop) = hop else { return nearest };
        nearest = hop;
        if !trusted.trusts(hop) {
            return nearest;
        }
    }
    nearest
}

/// The hops of all `X-Forwarded-For` lines, from the nearest.
fn x_forwarded_for(headers: &HeaderMap) -> Vec<Option<IpAddr>> {
    let lines = headers.get_all("x-forwarded-for").iter().rev();
    let hops = lines.flat_map(|line| match line.to_str() {
        Ok(line) => line.rsplit(',').map(|hop| address(hop.trim_matches([' ', '\t']))).take(MAX_HOPS).collect(),
        Err(_) => vec![None],
    });
    hops.take(MAX_HOPS).collect()
}

/// The hops of all `Forwarded` lines, from the nearest. RFC 7239 section 4: elements are separated by commas, their parameters
/// by semicolons, and both may stand in quoted strings.
fn forwarded(headers: &HeaderMap) -> Vec<Option<IpAddr>> {
    let mut hops = Vec::new();
    for line in headers.get_all("forwarded").iter().rev() {
        let elements = line.to_str().ok().and_then(|line| split(line, ','));
        match elements {
            Some(elements) => hops.extend(elements.iter().rev().take(MAX_HOPS).map(|element| forwarded_for(element))),
            None => hops.push(None),
        }
        if hops.len() > MAX_HOPS {
            break;
        }
    }
    hops
}

/// The `for` parameter of one element. RFC 7239 section 6: an address, a hidden name or `unknown`; an IPv6 address is in brackets
/// and, as is everything with a port, in quotes.
fn forwarded_for(element: &str) -> Option<IpAddr> {
    let mut found = None;
    for pair in split(element, ';')? {
        let (name, value) = pair.split_once('=')?;
        if name.trim_matches([' ', '\t']).eq_ignore_ascii_case("for") {
            // RFC 7239 section 4: "Each parameter MUST NOT occur more than once per field-value."
            if found.is_some() {
                return None;
            }
            let value = value.trim_matches([' ', '\t']);
            let quoted = value.strip_prefix('"').and_then(|value| value.strip_suffix('"'));
            found = Some(address(quoted.unwrap_or(value))?);
        }
    }
    found
}

/// The parts between separators that stand in no quoted string. Nothing if a string does not end.
fn split(text: &str, separator: char) -> Option<Vec<&str>> {
    let (mut parts, mut start, mut is_quoted, mut is_escaped) = (Vec::new(), 0, false, false);
    for (at, character) in text.char_indices() {
        match character {
            _ if is_escaped => is_escaped = false,
            '\\' if is_quoted => is_escaped = true,
            '"' => is_quoted = !is_quoted,
            _ if character == separator && !is_quoted => {
                parts.push(&text[start..at]);
                start = at + 1;
            }
            _ => {}
        }
    }
    parts.push(&text[start..]);
    (!is_quoted).then_some(parts)
}

/// An address with or without a port and brackets.
fn address(text: &str) -> Option<IpAddr> {
    let bare = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')).unwrap_or(text);
    let address = bare.parse().ok().or_else(|| text.parse::<SocketAddr>().ok().map(|address| address.ip()))?;
    Some(IpAddr::to_canonical(&address))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::proxies::Network;

    const PROXY: &str = "10.0.0.1";

    fn seen(remote: &str, header: ForwardedHeader, lines: &[(&'static str, &str)]) -> String {
        let networks = ["10.0.0.0/8", "::1"].map(|network| Network::parse(network).expect("a network")).to_vec();
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            headers.append(*name, value.parse().expect("a header"));
        }
        client(remote.parse().expect("an address"), &headers, &TrustedProxies { networks, header }).to_string()
    }

    #[test]
    fn x_forwarded_for_is_read_from_the_right_past_trusted_hops() {
        for (value, expected) in [
            ("203.0.113.9", "203.0.113.9"),
            ("6.6.6.6, 203.0.113.9", "203.0.113.9"),
            ("6.6.6.6, 203.0.113.9,10.1.2.3", "203.0.113.9"),
            ("6.6.6.6, nonsense, 10.1.2.3", "10.1.2.3"),
            ("", PROXY),
            ("unknown", PROXY),
            ("203.0.113.9:1234", "203.0.113.9"),
            ("2001:db8::7", "2001:db8::7"),
            ("[2001:db8::7]:44", "2001:db8::7"),
            ("::ffff:203.0.113.9", "203.0.113.9"),
            ("10.9.9.9", "10.9.9.9"),
        ] {
            let header = ForwardedHeader::XForwardedFor;
            assert_eq!(seen(PROXY, header, &[("x-forwarded-for", value)]), expected, "{value}");
            assert_eq!(
                seen("192.0.2.1", header, &[("x-forwarded-for", value)]),
                "192.0.2.1",
                "a stranger says {value}"
            );
            assert_eq!(seen(PROXY, ForwardedHeader::Forwarded, &[("x-forwarded-for", value)]), PROXY, "{value}");
        }
        let lines = [("x-forwarded-for", "6.6.6.6"), ("x-forwarded-for", "203.0.113.9, 10.0.0.2")];
        assert_eq!(seen(PROXY, ForwardedHeader::XForwardedFor, &lines), "203.0.113.9");
    }

    #[test]
    fn forwarded_is_read_from_the_right_past_trusted_hops() {
        for (value, expected) in [
            ("for=203.0.113.9;proto=https;by=10.0.0.1", "203.0.113.9"),
            ("for=6.6.6.6, For=\"203.0.113.9:80\" ; host=evil", "203.0.113.9"),
            ("for=6.6.6.6, for=\"[2001:db8:cafe::17]:4711\", for=10.2.2.2", "2001:db8:cafe::17"),
            ("for=\"a, for=6.6.6.6\", for=203.0.113.9", "203.0.113.9"),
            ("for=\"_hidden\"", PROXY),
            ("for=unknown", PROXY),
            ("for=6.6.6.6;for=203.0.113.9", PROXY),
            ("for=\"203.0.113.9", PROXY),
            ("proto=https", PROXY),
        ] {
            assert_eq!(seen(PROXY, ForwardedHeader::Forwarded, &[("forwarded", value)]), expected, "{value}");
        }
    }
}
