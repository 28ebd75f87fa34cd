//! Request budgets: by network for what fails before it proves anything, by grant and by client for what proves itself.
//!
//! RFC 6749 section 2.3.1: "Since this client authentication method involves a password, the authorization server MUST protect
//! any endpoint utilizing it against brute force attacks." The secret is compared first, which costs one SHA-256: who has it is
//! never refused because others guess. What protects it is its length (32 characters at least, 256 bits from us); the limit
//! keeps the noise down.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use regrant_core::client::AuthMethod;
use regrant_core::{Client, ClientId, GrantId};

use super::Limits;
use super::gcra::Wait;
use super::prefix::Prefix;
use crate::answer::Failure;
use crate::app::{App, Settings};
use crate::config::Rate;
use crate::peer::Peer;

/// Whose budget is used up. The log knows which; the client hears when to come again.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Budget {
    /// This network's failures.
    Network,
    /// Wrong secrets for this client from this network.
    Secrets,
    /// This grant's requests.
    Grant,
    /// This client's requests.
    Client,
    /// Failed log-ins.
    Logins,
    /// Device codes for this network or client.
    Devices,
    /// Wrong user codes.
    UserCodes,
    /// Passwords that wait to be verified, from one place.
    Passwords,
    /// Clients registered from this network, or changes of them.
    Registrations,
}

impl Budget {
    /// The stable reason code.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Network => "too_many_failures_from_network",
            Self::Secrets => "too_many_wrong_secrets",
            Self::Grant => "too_many_requests_for_grant",
            Self::Client => "too_many_requests_from_client",
            Self::Logins => "too_many_failed_logins",
            Self::Devices => "too_many_device_codes",
            Self::UserCodes => "too_many_wrong_user_codes",
            Self::Passwords => "too_many_passwords_at_once",
            Self::Registrations => "too_many_registrations",
        }
    }
}

/// A kind of line in the log that anybody can cause, as often as he likes.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) enum Line {
    /// A request to the back channel that proved nothing.
    Refused,
    /// A page that showed an error, or a log-in that failed.
    Page,
}

/// How many lines of each kind were left out since the last one.
#[derive(Debug, Default)]
pub(super) struct LeftOut([AtomicU64; 2]);

impl LeftOut {
    fn of(&self, line: Line) -> &AtomicU64 {
        let [refused, page] = &self.0;
        match line {
            Line::Refused => refused,
            Line::Page => page,
        }
    }
}

/// Whose a client is that signs assertions.
enum Signer {
    /// An operator wrote it down.
    Operators,
    /// It registered itself.
    Registered,
}

impl Signer {
    fn named(settings: &Settings, claimed: &str) -> Option<Self> {
        let id = ClientId::parse(claimed)?;
        let client = settings.clients.get(&id)?;
        if !matches!(client.auth, AuthMethod::PrivateKeyJwt | AuthMethod::ClientSecretJwt) {
            return None;
        }
        let is_registered = settings.clients.profile(&id).is_some_and(|profile| profile.registration.is_some());
        Some(if is_registered { Self::Registered } else { Self::Operators })
    }
}

pub(super) const fn over(budget: Budget) -> impl Fn(Wait) -> Failure {
    move |Wait(wait)| Failure::TooMany(budget, wait)
}

impl Limits {
    /// A genuine token was presented by this client, whatever its state: counted before the queue. Not by the grant alone, or
    /// a client that the token was never given to could use up the budget of the one that it was.
    pub(crate) fn grant(&self, rate: Rate, grant: GrantId, client: &Client) -> Result<(), Failure> {
        let key = ("grant", grant.number, grant.random, client.id.as_str());
        self.known.take(key, rate, self.now()).map_err(over(Budget::Grant))
    }

    /// A token of this grant came with an assertion whose signature would not be looked at otherwise. Not the budget of its
    /// client: a thief of the token has the assertions of nobody.
    pub(crate) fn vouched(&self, rate: Rate, grant: GrantId) -> Result<(), Failure> {
        self.known.take(("vouched", grant.number, grant.random), rate, self.now()).map_err(over(Budget::Grant))
    }

    /// This client has proved who it is. A public one proves nothing by its name: strangers could use up its budget.
    pub(crate) fn client(&self, rate: Rate, client: &Client) -> Result<(), Failure> {
        if client.is_public() {
            return Ok(());
        }
        self.known.take(("client", client.id.as_str()), rate, self.now()).map_err(over(Budget::Client))
    }

    /// Somebody did not prove to be this client. The same whether or not there is one of this name.
    pub(crate) fn wrong_secret(&self, rate: Rate, peer: Peer, claimed: &str) -> Result<(), Failure> {
        let Some(prefix) = Prefix::of(peer) else { return Ok(()) };
        self.strangers.take(("secret", prefix, claimed), rate, self.now()).map_err(over(Budget::Secrets))
    }

    /// Somebody registers a client: each costs a row, and a place in memory.
    pub(crate) fn registration(&self, rate: Rate, peer: Peer) -> Result<(), Failure> {
        let Some(prefix) = Prefix::of(peer) else { return Ok(()) };
        self.strangers.take(("registration", prefix), rate, self.now()).map_err(over(Budget::Registrations))
    }

    /// A registered client changes what it registered: each is a row, an event and an entry of the revocation journal. By client, for it has
    /// proved itself; and by network, for whoever registers many.
    pub(crate) fn registration_change(&self, rate: Rate, client: &ClientId, peer: Peer) -> Result<(), Failure> {
        let (what, now) = ("registration change", self.now());
        self.known.take((what, client.as_str()), rate, now).map_err(over(Budget::Registrations))?;
        let Some(prefix) = Prefix::of(peer) else { return Ok(()) };
        self.strangers.take((what, prefix), rate, now).map_err(over(Budget::Registrations))
    }

    /// A user gets an authorization code. Only users cause it (check X9): each costs a row.
    pub(crate) fn code(&self, rate: Rate, subject: &str) -> Result<(), Duration> {
        self.known.take(("code", subject), rate, self.now()).map_err(|Wait(wait)| wait)
    }

    /// A user sends a form of the account page: each costs a row or two, and an event (check X9).
    pub(crate) fn account(&self, rate: Rate, subject: &str) -> Result<(), Duration> {
        self.known.take(("account", subject), rate, self.now()).map_err(|Wait(wait)| wait)
    }

    /// A request failed: if it proved nothing and its network has failed too often, that is all it hears.
    pub(crate) fn failed(&self, app: &App, peer: Peer, client: Option<&Client>, failure: Failure) -> Failure {
        let has_proved_itself = client.is_some_and(|client| !client.is_public());
        let Some(prefix) = Prefix::of(peer).filter(|_| failure.proves_nothing() && !has_proved_itself) else {
            return failure;
        };
        let rate = app.settings().config.limits.failures_per_network;
        match self.strangers.take(("network", prefix), rate, self.now()) {
            Ok(()) => failure,
            Err(Wait(wait)) => Failure::TooMany(Budget::Network, wait),
        }
    }

    /// Before a signature is verified for somebody who has proved nothing (check X10): a network that has failed too often is
    /// not worth it.
    pub(crate) fn before_a_signature(&self, app: &App, peer: Peer) -> Result<(), Failure> {
        let Some(prefix) = Prefix::of(peer) else { return Ok(()) };
        let rate = app.settings().config.limits.failures_per_network;
        self.strangers.look(("network", prefix), rate, self.now()).map_err(over(Budget::Network))
    }

    /// An assertion from a network that has failed too often is looked at all the same where it names a client that signs, for none
    /// but that client pays for what others send: until so many of that name were wrong there ([`Limits::wrong_secret`]). So
    /// a network costs no more signatures than that for each of the operator's clients, and the same as one
    /// [`Limits::before_a_signature`] for all together that registered themselves, of which anybody can have many.
    pub(crate) fn before_an_assertion(&self, settings: &Settings, peer: Peer, claimed: &str) -> Option<()> {
        let (limits, prefix) = (&settings.config.limits, Prefix::of(peer)?);
        let left = match Signer::named(settings, claimed)? {
            Signer::Operators => self.strangers.look(("secret", prefix, claimed), limits.wrong_secrets, self.now()),
            Signer::Registered => self.strangers.look(("assertions", prefix), limits.failures_per_network, self.now()),
        };
        left.ok()
    }

    /// It was not what it said.
    pub(crate) fn wrong_assertion(&self, settings: &Settings, peer: Peer, claimed: &str) {
        if let (Some(prefix), Some(Signer::Registered)) = (Prefix::of(peer), Signer::named(settings, claimed)) {
            let rate = settings.config.limits.failures_per_network;
            let _ = self.strangers.take(("assertions", prefix), rate, self.now());
        }
    }

    /// Whether a line that anybody can cause is written now (check X11). The next one that is tells how many were not.
    pub(crate) fn may_log(&self, app: &App, line: Line) -> bool {
        let rate = app.settings().config.limits.refusals_logged;
        if self.known.take(("line", line), rate, self.now()).is_err() {
            self.left_out.of(line).fetch_add(1, Ordering::Relaxed);
            return false;
        }
        let left_out = self.left_out.of(line).swap(0, Ordering::Relaxed);
        if left_out > 0 {
            tracing::warn!(?line, left_out, "more lines of this kind were left out: somebody floods this server");
        }
        true
    }
}
