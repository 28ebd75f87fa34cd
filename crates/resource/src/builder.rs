//! What a resource server must be told, and what is chosen for it.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::judge::Parts;
use crate::{Clock, HttpClient, ResourceServer, SystemClock};

/// What becomes of tokens while the feed is older than [`Builder::feed_max_age`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum WhenOld {
    /// 503 for everybody until it can be read again: no revoked token gets through, nor any other.
    FailClosed,
    /// Ask about each token; 503 where that fails, too. The default where there are credentials.
    Introspect,
    /// Accept what the feed as it is says nothing against, until it is this old; then 503. For this long a revoked token may work.
    AcceptUntil(Duration),
}

/// How this resource server proves who it is at the authorization server: `client_secret_basic` (RFC 6749 section 2.3.1).
#[derive(Clone)]
pub struct Credentials {
    id: String,
    secret: String,
}

impl Credentials {
    /// The `client_id` of a client that may introspect, and its secret.
    #[must_use]
    pub fn new(id: impl Into<String>, secret: impl Into<String>) -> Self {
        Self { id: id.into(), secret: secret.into() }
    }

    /// The value of `Authorization`.
    pub(crate) fn header(&self) -> String {
        use base64::Engine as _;
        let pair = format!("{}:{}", form_encoded(&self.id), form_encoded(&self.secret));
        format!("Basic {}", base64::engine::general_purpose::STANDARD.encode(pair))
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials").field("id", &self.id).finish_non_exhaustive()
    }
}

/// `application/x-www-form-urlencoded`, byte by byte.
pub(crate) fn form_encoded(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._*".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            encoded.push_str(&format!("%{byte:02X}"));
        }
    }
    encoded
}

/// Why a resource server cannot be built.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum BadSetting {
    /// The issuer is no `https` URL without query and fragment; plain `http` is for loopback addresses.
    Issuer,
    /// The audience is empty, longer than 2048 bytes, or has characters that no header may have.
    Audience,
    /// Introspection was chosen without [`Builder::credentials`].
    NoCredentials,
    /// A leeway of more than five minutes, or a feed that may be older than a day.
    TooLong,
    /// There is no HTTP client: the feature `client` is off, and none was brought.
    NoClient,
}

impl fmt::Display for BadSetting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Issuer => "the issuer must be an https URL without query and fragment",
            Self::Audience => "the audience must be 1 to 2048 visible ASCII characters without quotes",
            Self::NoCredentials => "introspection needs credentials",
            Self::TooLong => "a leeway is at most 5 minutes, and a feed at most a day old",
            Self::NoClient => "there is no HTTP client",
        })
    }
}

impl std::error::Error for BadSetting {}

/// Makes a [`ResourceServer`].
pub struct Builder {
    issuer: String,
    audience: String,
    leeway: Duration,
    credentials: Option<Credentials>,
    follows: bool,
    feed_interval: Duration,
    feed_max_age: Duration,
    when_old: Option<WhenOld>,
    clock: Arc<dyn Clock>,
    client: Option<Arc<dyn HttpClient>>,
}

impl fmt::Debug for Builder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Builder")
            .field("issuer", &self.issuer)
            .field("audience", &self.audience)
            .finish_non_exhaustive()
    }
}

impl Builder {
    pub(crate) fn new(issuer: String, audience: String) -> Self {
        Self {
            issuer,
            audience,
            leeway: Duration::from_secs(5),
            credentials: None,
            follows: false,
            feed_interval: Duration::from_secs(5),
            feed_max_age: Duration::from_secs(60),
            when_old: None,
            clock: Arc::new(SystemClock),
            client: None,
        }
    }

    /// How far the clocks of both servers may be apart: 5 s unless set, 5 minutes at most.
    #[must_use]
    pub fn leeway(self, leeway: Duration) -> Self {
        Self { leeway, ..self }
    }

    /// Who this is to the authorization server. With them tokens that are no JWTs are introspected; without, refused.
    #[must_use]
    pub fn credentials(self, credentials: Credentials) -> Self {
        Self { credentials: Some(credentials), ..self }
    }

    /// Hears of revocations by the authorization server's feed. Off unless called: JWTs are then good until they expire.
    #[must_use]
    pub fn follow_revocations(self) -> Self {
        Self { follows: true, ..self }
    }

    /// How often the feed is looked at while tokens come: 5 s unless set. A revocation is heard of within this and the authorization
    /// server's own second.
    #[must_use]
    pub fn feed_interval(self, interval: Duration) -> Self {
        Self { feed_interval: interval, ..self }
    }

    /// How old the feed may be to be believed: 60 s unless set, a day at most. Beyond it [`WhenOld`] says what to do.
    #[must_use]
    pub fn feed_max_age(self, age: Duration) -> Self {
        Self { feed_max_age: age, ..self }
    }

    /// What to do when the feed is old: unless set, [`WhenOld::Introspect`] with credentials and [`WhenOld::FailClosed`] without.
    #[must_use]
    pub fn when_old(self, policy: WhenOld) -> Self {
        Self { when_old: Some(policy), ..self }
    }

    /// Another source of time.
    #[must_use]
    pub fn clock(self, clock: impl Clock) -> Self {
        Self { clock: Arc::new(clock), ..self }
    }

    /// Another HTTP client.
    #[must_use]
    pub fn http_client(self, client: impl HttpClient) -> Self {
        Self { client: Some(Arc::new(client)), ..self }
    }

    /// Builds it. Nothing is fetched before the first token comes.
    ///
    /// # Errors
    /// [`BadSetting`].
    pub fn build(self) -> Result<ResourceServer, BadSetting> {
        let is_visible = |text: &str| text.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'"' && byte != b'\\');
        if !is_visible(&self.issuer) || !is_issuer(&self.issuer) {
            return Err(BadSetting::Issuer);
        }
        if self.audience.is_empty() || self.audience.len() > 2048 || !is_visible(&self.audience) {
            return Err(BadSetting::Audience);
        }
        let longest = match self.when_old {
            Some(WhenOld::AcceptUntil(age)) => self.feed_max_age.max(age),
            _ => self.feed_max_age,
        };
        if self.leeway > Duration::from_secs(300) || longest > Duration::from_secs(86_400) {
            return Err(BadSetting::TooLong);
        }
        let unless_set = if self.credentials.is_some() { WhenOld::Introspect } else { WhenOld::FailClosed };
        let when_old = self.when_old.unwrap_or(unless_set);
        if when_old == WhenOld::Introspect && self.credentials.is_none() {
            return Err(BadSetting::NoCredentials);
        }
        Ok(ResourceServer::of(Parts {
            issuer: self.issuer,
            audience: self.audience,
            leeway: self.leeway.as_secs(),
            credentials: self.credentials.map(|credentials| credentials.header()),
            follows: self.follows,
            feed_interval: self.feed_interval,
            feed_max_age: self.feed_max_age,
            when_old,
            clock: self.clock,
            client: self.client.or_else(own_client).ok_or(BadSetting::NoClient)?,
        }))
    }
}

#[cfg(feature = "client")]
fn own_client() -> Option<Arc<dyn HttpClient>> {
    Some(Arc::new(crate::HyperClient::new()))
}

#[cfg(not(feature = "client"))]
fn own_client() -> Option<Arc<dyn HttpClient>> {
    None
}

/// RFC 8414 section 2: "a URL that uses the "https" scheme and has no query or fragment components".
fn is_issuer(text: &str) -> bool {
    let Ok(uri) = text.parse::<http::Uri>() else { return false };
    !text.contains(['?', '#']) && is_safe(&uri)
}

/// https, or http to this very machine.
pub(crate) fn is_safe(uri: &http::Uri) -> bool {
    let host = uri.host().unwrap_or_default();
    match uri.scheme_str() {
        Some("https") => !host.is_empty(),
        Some("http") => {
            host == "[::1]" || host.parse::<std::net::Ipv4Addr>().is_ok_and(|address| address.is_loopback())
        }
        _ => false,
    }
}
