//! Where a grant is used from: the network, shortened, and the family of the program. Enough for its owner to recognise a device, too
//! little to follow a person.
//!
//! It is kept beside the grant, in the transaction of a decision, only when it has changed. What was written is remembered by a
//! fingerprint, so that an ordinary refresh costs a look into a table in memory, and neither a read nor a write.

use std::fmt::Write as _;
use std::net::IpAddr;

use axum::http::HeaderValue;
use regrant_core::Timestamp;
use regrant_store::Record;
use regrant_store::beside::Place;

/// For how many grants it is remembered what was written: 24 MiB at the most, and as little as there are grants.
const MOST: u64 = 1 << 21;
/// Grants whose memory is one piece, taken when the first of them is refreshed: numbers are given out one after the other.
const PIECE: usize = 1024;
/// Another place is not written earlier than this after the last one: a device between two networks writes no row with each refresh.
/// In seconds.
const PAUSE: u32 = 60;
/// So much of a `User-Agent` is looked at.
const MAX_AGENT: usize = 512;

/// Where a request came from.
#[derive(Clone, Debug)]
pub(crate) struct Whereabouts {
    pub(crate) address: Option<IpAddr>,
    pub(crate) agent: Option<HeaderValue>,
}

impl Whereabouts {
    /// What is kept of it.
    pub(crate) fn place(&self, at: Timestamp) -> Place {
        let agent = self.agent.as_ref().map_or(String::new(), |agent| family(agent.as_bytes()));
        Place { at, network: self.address.map(network).unwrap_or_default(), agent }
    }

    /// FNV-1a over everything that is kept, and more: another version of a program is another fingerprint and the same place.
    fn fingerprint(&self) -> u32 {
        let agent = self.agent.as_ref().map_or(&[][..], HeaderValue::as_bytes);
        let agent = agent.get(..MAX_AGENT).unwrap_or(agent);
        let mix = |hash: u64, byte: &u8| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
        let begin = match self.address {
            None => 0xcbf2_9ce4_8422_2325,
            Some(IpAddr::V4(address)) => address.octets()[..3].iter().fold(0xcbf2_9ce4_8422_2325, mix),
            Some(IpAddr::V6(address)) => address.octets()[..6].iter().fold(0xcbf2_9ce4_8422_2326, mix),
        };
        let [a, b, c, d, e, f, g, h] = agent.iter().fold(begin, mix).to_be_bytes();
        u32::from_be_bytes([a, b, c, d]) ^ u32::from_be_bytes([e, f, g, h])
    }
}

/// What was written for one grant.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
struct Written {
    /// Which of the grants that share this memory, counted from 1; 0 for none.
    lap: u32,
    print: u32,
    /// When, in seconds since the epoch.
    at: u32,
}

/// What is known to be written, by number of grant: of grants that lie [`MOST`] apart, the later one's.
#[derive(Debug, Default)]
pub(crate) struct Places {
    known: Vec<Option<Box<[Written; PIECE]>>>,
    /// What the batch under way writes.
    pending: std::cell::RefCell<Vec<(u64, u32)>>,
}

impl Places {
    /// What to write, if it may be another place than the last.
    pub(crate) fn news(&self, grant: u64, from: &Whereabouts, now: Timestamp) -> Option<Record> {
        let (print, (piece, slot, lap)) = (from.fingerprint(), within(grant));
        let written = self.known.get(piece).and_then(Option::as_deref).map(|piece| piece[slot]);
        let is_known = |known: Written| known.print == print || seconds(now).saturating_sub(known.at) < PAUSE;
        if written.is_some_and(|known| known.lap == lap && is_known(known)) {
            return None;
        }
        self.pending.borrow_mut().push((grant, print));
        Some(Record::Seen { grant, place: from.place(now) })
    }

    /// A batch begins: what an earlier one did not write is not known.
    pub(crate) fn begin(&mut self) {
        self.pending.get_mut().clear();
    }

    /// The batch is durable: what it wrote is known.
    pub(crate) fn committed(&mut self, records: &[Record], now: Timestamp) {
        let pending = std::mem::take(self.pending.get_mut());
        if !records.iter().any(|record| matches!(record, Record::Seen { .. })) {
            return;
        }
        for (grant, print) in pending {
            let (piece, slot, lap) = within(grant);
            if self.known.len() <= piece {
                self.known.resize(piece + 1, None);
            }
            self.known[piece].get_or_insert_with(|| Box::new([Written::default(); PIECE]))[slot] =
                Written { lap, print, at: seconds(now) };
        }
    }
}

/// Which piece a grant's memory is in, where there, and which of those that share it it is.
fn within(grant: u64) -> (usize, usize, u32) {
    let at = usize::try_from(grant % MOST).unwrap_or_default();
    (at / PIECE, at % PIECE, u32::try_from(grant / MOST).unwrap_or(u32::MAX).saturating_add(1))
}

fn seconds(at: Timestamp) -> u32 {
    u32::try_from(at.millis() / 1000).unwrap_or_default()
}

/// The network of an address: enough to see where a flood comes from, too little to follow a person.
pub(crate) fn network(address: IpAddr) -> String {
    match address {
        IpAddr::V4(address) => {
            let [a, b, c, _] = address.octets();
            format!("{a}.{b}.{c}.0/24")
        }
        IpAddr::V6(address) => {
            let mut text = String::with_capacity(24);
            for part in address.segments().into_iter().take(3) {
                let _ = write!(text, "{part:x}:");
            }
            text + ":/48"
        }
    }
}

/// What a program calls itself, as one of our own words: what else stands in a `User-Agent` identifies people, and is not kept.
fn family(agent: &[u8]) -> String {
    // In this order: most browsers name those that they resemble, too.
    const PROGRAMS: [(&str, &str); 21] = [
        ("edg", "Edge"),
        ("opr/", "Opera"),
        ("samsungbrowser", "Samsung Internet"),
        ("firefox", "Firefox"),
        ("fxios", "Firefox"),
        ("crios", "Chrome"),
        ("chrome", "Chrome"),
        ("okhttp", "OkHttp"),
        ("cfnetwork", "CFNetwork"),
        ("safari", "Safari"),
        ("dart", "Dart"),
        ("curl", "curl"),
        ("wget", "Wget"),
        ("python", "Python"),
        ("go-http-client", "Go"),
        ("java", "Java"),
        ("node", "Node.js"),
        ("axios", "Node.js"),
        (".net", ".NET"),
        ("regrant", "Regrant"),
        ("mozilla", "a browser"),
    ];
    const SYSTEMS: [(&str, &str); 8] = [
        ("android", "Android"),
        ("iphone", "iOS"),
        ("ipad", "iOS"),
        ("windows", "Windows"),
        ("mac os", "macOS"),
        ("darwin", "macOS or iOS"),
        ("cros", "ChromeOS"),
        ("linux", "Linux"),
    ];
    let agent = agent.get(..MAX_AGENT).unwrap_or(agent).to_ascii_lowercase();
    let named = |word: &str| agent.windows(word.len()).any(|found| found == word.as_bytes());
    let first = |words: &[(&str, &'static str)]| words.iter().find(|(word, _)| named(word)).map(|(_, name)| *name);
    match (first(&PROGRAMS), first(&SYSTEMS)) {
        _ if agent.is_empty() => String::new(),
        (program, Some(system)) => format!("{} on {system}", program.unwrap_or("another program")),
        (program, None) => program.unwrap_or("another program").to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_told_by_its_network() {
        let told = |text: &str| network(text.parse().expect("an address"));
        assert_eq!(told("203.0.113.77"), "203.0.113.0/24");
        assert_eq!(told("2001:db8:abcd:1::9"), "2001:db8:abcd::/48");
        assert_eq!(told("::1"), "0:0:0::/48");
    }

    /// Check O8: whatever is sent, what is kept is one of our own words.
    #[test]
    fn a_program_is_told_by_its_family() {
        for (agent, told) in [
            ("Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0", "Firefox on Linux"),
            (
                "Mozilla/5.0 (Windows NT 10.0) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0 Safari/537.36 Edg/140.0",
                "Edge on Windows",
            ),
            (
                "Mozilla/5.0 (iPhone; CPU iPhone OS 19_0 like Mac OS X) AppleWebKit/605.1 (KHTML, like Gecko) Version/19 Safari/604.1",
                "Safari on iOS",
            ),
            ("okhttp/5.1.0", "OkHttp"),
            ("curl/8.9.1", "curl"),
            ("", ""),
            ("alice@example.com \u{1b}[31m", "another program"),
        ] {
            assert_eq!(family(agent.as_bytes()), told);
        }
        assert_eq!(family(&[0xff; 100_000]), "another program");
    }

    fn from(address: &str) -> Whereabouts {
        Whereabouts { address: address.parse().ok(), agent: Some(HeaderValue::from_static("curl/8")) }
    }

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_millis(seconds * 1000)
    }

    #[test]
    fn what_was_written_is_not_written_again() {
        let mut places = Places::default();
        let mut used = |address: &str, seconds| {
            let news = places.news(7, &from(address), at(seconds));
            places.committed(news.as_slice(), at(seconds));
            news.is_some()
        };
        assert!(used("192.0.2.1", 0));
        assert!(!used("192.0.2.200", 3600), "the same network");
        assert!(used("198.51.100.1", 3601));
        assert!(!used("192.0.2.1", 3602), "not with each refresh");
        assert!(used("192.0.2.1", 3700));
    }

    /// One after the other, as they are given out, and far apart.
    #[test]
    fn what_is_remembered_is_bounded_and_one_grants_alone() {
        let mut places = Places::default();
        for grant in (0..3 * PIECE as u64).chain((0..5 * MOST).step_by(100_003)) {
            let news = places.news(grant, &from("192.0.2.1"), at(3600));
            places.committed(news.as_slice(), at(3600));
        }
        assert!(places.known.len() * PIECE <= MOST as usize);
        assert_eq!(size_of::<Written>() * MOST as usize, 24 << 20);
        let mut is_news = |grant| {
            let news = places.news(grant, &from("192.0.2.1"), at(3601)).is_some();
            places.begin();
            news
        };
        assert!(!is_news(7));
        assert!(is_news(7 + MOST), "another grant's");
        assert!(is_news(3 * PIECE as u64 + 1), "nobody's");
        assert!(is_news(u64::MAX));
    }
}
