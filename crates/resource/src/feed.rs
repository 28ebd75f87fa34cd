//! Following the revocation feed: what is over before its time, in pages behind a cursor.
//!
//! | a line of the feed                                  | is about                                                             |
//! |-----------------------------------------------------|----------------------------------------------------------------------|
//! | `list`, `idx`                                       | every token whose `status.status_list` names this bit: one grant     |
//! | `list`, `idxs`                                      | the same of many bits: distances in groups of 7 bits, base64url      |
//! | `jti_hash`                                          | the token whose `jti` has this SHA-256                               |
//! | `all`: `client_id`, `sub_hash`, `scope`, `aud`      | every token that fits all that is there, issued up to `revoked_at`   |
//!
//! Lines are kept until `expires_at`: no token is left then that they could be about. A line with an `id` goes when `taken_back` has that
//! `id`, which is never used again: so whatever order and however often pages come, what was taken back works, and nothing else that was
//! revoked works again.

use std::collections::{HashMap, HashSet};
use std::sync::{PoisonError, RwLock, RwLockReadGuard};
use std::time::Duration;

use aws_lc_rs::digest;
use bytes::Bytes;
use http::header::{AUTHORIZATION, ETAG, HeaderValue, IF_NONE_MATCH};
use http::{Request, StatusCode};
use regrant_jose::{base64url, check_issuer, check_times};
use serde_json::{Map, Value};

use crate::judge::Parts;
use crate::keys::{Keys, Unproven};
use crate::metadata::Endpoints;

/// The most that is read of one page, in bytes.
const MAX_PAGE: usize = 64 * 1024;
/// The most pages of one look.
const MAX_PAGES: usize = 10_000;
/// The most lines that are held, and the most of them that are about many: each token is compared with each of those.
const MAX_LINES: usize = 500_000;
const MAX_WIDE: usize = 10_000;
/// How many bits a list has at most.
const LIST_SIZE: u64 = 1 << 16;
/// How long what is over is held at most beyond its time.
const TIDY: Duration = Duration::from_secs(60);

/// The copy, and who is at work on it.
#[derive(Debug, Default)]
pub(crate) struct Feed {
    lines: RwLock<Lines>,
    looking: tokio::sync::Mutex<Looking>,
}

#[derive(Debug, Default)]
struct Lines {
    /// By list and index, until when.
    grants: HashMap<(String, u64), u64>,
    /// By the hash of the `jti`, until when.
    tokens: HashMap<[u8; 32], u64>,
    wide: Vec<Wide>,
    /// What can be taken back, by its `id`.
    bulk: HashMap<u64, Bulk>,
    /// What was taken back, until when.
    taken_back: HashMap<u64, u64>,
    /// How many lines and places `bulk` holds.
    in_bulk: usize,
    /// What the addresses of status lists begin with.
    lists: String,
    /// When the authorization server last said that this is all, and when it was last asked.
    confirmed: Option<Duration>,
    asked: Option<Duration>,
}

/// Where the next look goes on.
#[derive(Debug, Default)]
struct Looking {
    cursor: String,
    etag: Option<HeaderValue>,
    tidied: Duration,
}

/// The lines of one `id`.
#[derive(Debug, Default)]
struct Bulk {
    places: HashSet<(String, u64)>,
    wide: Vec<Wide>,
    expires_at: u64,
}

#[derive(Debug, PartialEq, Eq)]
struct Wide {
    client: Option<String>,
    subject: Option<String>,
    scope: Option<String>,
    audience: Option<String>,
    revoked_at: u64,
    expires_at: u64,
}

/// What the feed says of a token.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Heard {
    /// It is over.
    Revoked,
    /// Nothing, and this is how old the feed is.
    Nothing { age: Duration },
    /// It belongs to a grant and does not say to which.
    NotNamed,
}

/// What a token is known by.
struct Names<'a> {
    claims: &'a Map<String, Value>,
    issued_at: u64,
}

impl Feed {
    /// Looks at the feed, if that is due, and then for the token in it.
    pub(crate) async fn hear(
        &self,
        parts: &Parts,
        endpoints: &Endpoints,
        keys: &Keys,
        claims: &Map<String, Value>,
        issued_at: u64,
    ) -> Heard {
        self.look(parts, endpoints, keys).await;
        let names = Names { claims, issued_at };
        let lines = self.lines();
        if lines.hold(&names) {
            return Heard::Revoked;
        }
        if names.place(&lines.lists).is_none() && names.is_of_a_grant() {
            return Heard::NotNamed;
        }
        let now = parts.clock.elapsed();
        Heard::Nothing { age: lines.confirmed.map_or(Duration::MAX, |at| now.saturating_sub(at)) }
    }

    fn lines(&self) -> RwLockReadGuard<'_, Lines> {
        self.lines.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn change(&self, change: impl FnOnce(&mut Lines)) {
        change(&mut self.lines.write().unwrap_or_else(PoisonError::into_inner));
    }

    /// One looks at a time. The others wait for him only if what is there is too old to go by.
    async fn look(&self, parts: &Parts, endpoints: &Endpoints, keys: &Keys) {
        let is_old = |at: Option<Duration>, age| at.is_none_or(|at| parts.clock.elapsed().saturating_sub(at) >= age);
        if !is_old(self.lines().asked, parts.feed_interval) {
            return;
        }
        let mut looking = match self.looking.try_lock() {
            Ok(looking) => looking,
            Err(_) if !is_old(self.lines().confirmed, parts.feed_max_age) => return,
            Err(_) => self.looking.lock().await,
        };
        if !is_old(self.lines().asked, parts.feed_interval) {
            return;
        }
        let began = parts.clock.elapsed();
        let read = self.read(parts, endpoints, keys, &mut looking).await;
        // Asked counts from the end: a server that answers slowly is not asked all the time.
        let ended = parts.clock.elapsed();
        self.change(|lines| {
            lines.asked = Some(ended);
            if read.is_ok() {
                lines.confirmed = Some(began);
            }
        });
        if is_old(Some(looking.tidied), TIDY) {
            looking.tidied = ended;
            let date = parts.clock.date().saturating_sub(parts.leeway);
            self.change(|lines| lines.tidy(date));
        }
    }

    /// Reads page after page until there is no more.
    async fn read(
        &self,
        parts: &Parts,
        endpoints: &Endpoints,
        keys: &Keys,
        looking: &mut Looking,
    ) -> Result<(), String> {
        let url = endpoints.feed.as_deref().ok_or("the server has no revocation feed")?;
        for _ in 0..MAX_PAGES {
            let separator = if url.contains('?') { '&' } else { '?' };
            let query =
                if looking.cursor.is_empty() { String::new() } else { format!("{separator}since={}", looking.cursor) };
            let mut request = Request::get(format!("{url}{query}"));
            for (name, value) in [
                (AUTHORIZATION, parts.credentials.as_deref().and_then(|value| HeaderValue::try_from(value).ok())),
                (IF_NONE_MATCH, looking.etag.clone()),
            ] {
                if let Some(value) = value {
                    request = request.header(name, value);
                }
            }
            let request = request.body(Bytes::new()).map_err(|error| error.to_string())?;
            let response = parts.client.send(request, MAX_PAGE).await.map_err(|error| error.to_string())?;
            match response.status() {
                StatusCode::NOT_MODIFIED if looking.etag.is_some() => return Ok(()),
                StatusCode::OK => {}
                status => return Err(format!("the revocation feed answers {status}")),
            }
            let etag = response.headers().get(ETAG).cloned();
            let page = std::str::from_utf8(response.body()).map_err(|error| error.to_string())?;
            let claims = match keys.verify(parts, endpoints, page, "revocations+jwt").await {
                Ok(verified) => verified.claims,
                Err(Unproven::Refused(error)) => return Err(error.to_string()),
                Err(Unproven::NoKeys(cause)) => return Err(cause),
            };
            check_issuer(&claims, &parts.issuer).map_err(|error| error.to_string())?;
            check_times(&claims, parts.clock.date(), parts.leeway).map_err(|error| error.to_string())?;
            let (cursor, more) = self.take(&claims).ok_or("the revocation feed cannot be read")?;
            // An unchanged cursor is the same question again: its answer can be "not modified".
            looking.etag = etag.filter(|_| looking.cursor == cursor && !more);
            let stands_still = more && looking.cursor == cursor;
            looking.cursor = cursor;
            if !more {
                return Ok(());
            }
            if stands_still {
                return Err("the revocation feed goes in a circle".to_owned());
            }
        }
        Err("the revocation feed has no end".to_owned())
    }

    /// Takes a page's lines; `None` if it cannot be read, or there is no room. What was read by then stays.
    fn take(&self, page: &Map<String, Value>) -> Option<(String, bool)> {
        let cursor = page.get("cursor")?.as_str().filter(|cursor| is_cursor(cursor))?;
        let (more, lists) = (page.get("more")?.as_bool()?, page.get("status_lists")?.as_str()?);
        let lines = page.get("revocations")?.as_array()?;
        let mut held = self.lines.write().unwrap_or_else(PoisonError::into_inner);
        lists.clone_into(&mut held.lists);
        for line in lines {
            held.take(line.as_object()?)?;
        }
        // A server of before there was this has none.
        for taken in page.get("taken_back").and_then(Value::as_array).into_iter().flatten() {
            let number = |name: &str| taken.get(name).and_then(Value::as_u64);
            held.take_back(number("id")?, number("expires_at")?);
        }
        Some((cursor.to_owned(), more))
    }
}

/// What goes into a query as it is.
fn is_cursor(text: &str) -> bool {
    !text.is_empty()
        && text.len() <= 64
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte))
}

impl Lines {
    fn take(&mut self, line: &Map<String, Value>) -> Option<()> {
        let number = |name: &str| line.get(name).and_then(Value::as_u64);
        let (revoked_at, expires_at) = (number("revoked_at")?, number("expires_at")?);
        let id = match line.get("id") {
            None => None,
            Some(id) => Some(id.as_u64()?),
        };
        if self.grants.len() + self.tokens.len() + self.wide.len() + self.in_bulk >= MAX_LINES {
            return None;
        }
        if id.is_some_and(|id| self.taken_back.contains_key(&id)) {
            return Some(());
        }
        let later = |held: &mut u64| *held = (*held).max(expires_at);
        if let Some(hash) = line.get("jti_hash") {
            let hash = base64url::decode(hash.as_str()?).ok()?.try_into().ok()?;
            self.tokens.entry(hash).and_modify(later).or_insert(expires_at);
        } else if let Some(all) = line.get("all") {
            let all = all.as_object()?;
            // A part that is not understood must not make the line mean more tokens than it says; nor may it mean none.
            let part = |name: &str| {
                all.get(name).map(|part| part.as_str().map(str::to_owned)).map_or(Some(None), |part| part.map(Some))
            };
            let wide = Wide {
                client: part("client_id")?,
                subject: part("sub_hash")?,
                scope: part("scope")?,
                audience: part("aud")?,
                revoked_at,
                expires_at,
            };
            let known = ["client_id", "sub_hash", "scope", "aud"];
            if self.wide.len() + self.bulk.len() >= MAX_WIDE || all.keys().any(|name| !known.contains(&name.as_str())) {
                return None;
            }
            let place = match id {
                Some(id) => &mut self.bulk(id, expires_at)?.wide,
                None => &mut self.wide,
            };
            if !place.contains(&wide) {
                place.push(wide);
                self.in_bulk += usize::from(id.is_some());
            }
        } else {
            let list = line.get("list")?.as_str()?;
            let indexes = match line.get("idxs") {
                Some(indexes) => indexes_of(indexes.as_str()?)?,
                None => vec![number("idx")?],
            };
            let places = indexes.into_iter().map(|index| (list.to_owned(), index));
            match id {
                Some(id) => {
                    let bulk = self.bulk(id, expires_at)?;
                    let before = bulk.places.len();
                    bulk.places.extend(places);
                    self.in_bulk += bulk.places.len() - before;
                }
                None => places.for_each(|place| {
                    self.grants.entry(place).and_modify(later).or_insert(expires_at);
                }),
            }
        }
        Some(())
    }

    fn bulk(&mut self, id: u64, expires_at: u64) -> Option<&mut Bulk> {
        if self.bulk.len() >= MAX_WIDE && !self.bulk.contains_key(&id) {
            return None;
        }
        let bulk = self.bulk.entry(id).or_default();
        bulk.expires_at = bulk.expires_at.max(expires_at);
        Some(bulk)
    }

    fn take_back(&mut self, id: u64, expires_at: u64) {
        if let Some(bulk) = self.bulk.remove(&id) {
            self.in_bulk = self.in_bulk.saturating_sub(bulk.places.len() + bulk.wide.len());
        }
        // With too many, a line that comes again would mean more than it must, and nothing less.
        if self.taken_back.len() < MAX_WIDE {
            let until = self.taken_back.entry(id).or_default();
            *until = (*until).max(expires_at);
        }
    }

    fn hold(&self, names: &Names<'_>) -> bool {
        let place = names.place(&self.lists);
        let by_grant = place.as_ref().is_some_and(|place| {
            self.grants.contains_key(place) || self.bulk.values().any(|bulk| bulk.places.contains(place))
        });
        by_grant
            || names.text("jti").is_some_and(|jti| self.tokens.contains_key(&sha256(jti)))
            || self.wide.iter().any(|wide| wide.means(names))
            || self.bulk.values().flat_map(|bulk| &bulk.wide).any(|wide| wide.means(names))
    }

    fn tidy(&mut self, date: u64) {
        self.grants.retain(|_, expires_at| *expires_at > date);
        self.tokens.retain(|_, expires_at| *expires_at > date);
        self.wide.retain(|wide| wide.expires_at > date);
        self.bulk.retain(|_, bulk| bulk.expires_at > date);
        self.taken_back.retain(|_, expires_at| *expires_at > date);
        self.in_bulk = self.bulk.values().map(|bulk| bulk.places.len() + bulk.wide.len()).sum();
    }
}

impl Wide {
    fn means(&self, names: &Names<'_>) -> bool {
        let is =
            |wanted: &Option<String>, found: Option<&str>| wanted.as_deref().is_none_or(|wanted| found == Some(wanted));
        names.issued_at <= self.revoked_at
            && is(&self.client, names.text("client_id"))
            && self
                .subject
                .as_deref()
                .is_none_or(|hash| names.text("sub").is_some_and(|subject| base64url::encode(&sha256(subject)) == hash))
            && self
                .scope
                .as_deref()
                .is_none_or(|wanted| names.text("scope").is_some_and(|scope| scope.split(' ').any(|one| one == wanted)))
            && self.audience.as_deref().is_none_or(|wanted| names.has_audience(wanted))
    }
}

impl Names<'_> {
    fn text(&self, name: &str) -> Option<&str> {
        self.claims.get(name).and_then(Value::as_str)
    }

    /// draft-ietf-oauth-status-list, section 6.1: the list's name and the index.
    fn place(&self, lists: &str) -> Option<(String, u64)> {
        let named = self.claims.get("status")?.get("status_list")?;
        let name = named.get("uri")?.as_str()?.strip_prefix(lists)?;
        Some((name.to_owned(), named.get("idx")?.as_u64()?))
    }

    /// RFC 9068 section 2.2: of a client's own token `sub` is the client, and there is no grant behind it.
    fn is_of_a_grant(&self) -> bool {
        self.text("sub") != self.text("client_id")
    }

    fn has_audience(&self, wanted: &str) -> bool {
        match self.claims.get("aud") {
            Some(Value::String(one)) => one == wanted,
            Some(Value::Array(many)) => many.iter().any(|one| one == wanted),
            _ => false,
        }
    }
}

/// Places in ascending order, each as its distance from the one before. At most a list's worth, and none beyond its end.
fn indexes_of(text: &str) -> Option<Vec<u64>> {
    let bytes = base64url::decode(text).ok()?;
    let (mut indexes, mut last, mut distance, mut shift) = (Vec::new(), 0_u64, 0_u64, 0);
    for byte in bytes {
        distance |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 != 0 {
            shift += 7;
            if shift > 14 {
                return None;
            }
            continue;
        }
        last += distance;
        if last >= LIST_SIZE {
            return None;
        }
        indexes.push(last);
        (distance, shift) = (0, 0);
    }
    (shift == 0).then_some(indexes)
}

fn sha256(text: &str) -> [u8; 32] {
    let mut out = [0; 32];
    out.copy_from_slice(digest::digest(&digest::SHA256, text.as_bytes()).as_ref());
    out
}
