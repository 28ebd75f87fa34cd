//! Wide revocations: one row ends every grant that it selects, whatever their number (security section 4.4, check T33).
//!
//! The store counts them. A grant keeps under its MAC how many there had been when its user was looked at
//! ([`Terms::epoch`](crate::grant::Terms::epoch)), so that order comes from a counter and never from a clock (law L10): what is asked
//! for after a revocation is never touched by it, and what was under way is.
//!
//! | a grant is covered by an [`Epoch`] when | because                                                        |
//! |-----------------------------------------|----------------------------------------------------------------|
//! | it was made before it, by the counter   | who logs in again afterwards has a grant again                 |
//! | or, of `issued_before`, by its own time | that is what was asked for; the time asked for is never ahead  |
//! | every criterion that is given fits      | criteria narrow, they never add                                |
//! | it was not undone                       | only what an operator did in bulk can be, and only for a while |
//!
//! A covered grant *is* ended, at the time and for the reason of the first that covers it: [`Grant::seen_under`] is how everybody
//! sees a row, and so refresh, redemption, introspection and userinfo obey without knowing of it. The sweep writes the
//! ending into the rows later, and the epoch goes.

use std::sync::Arc;

use crate::access::AccessToken;
use crate::client::ClientId;
use crate::grant::{EndReason, Grant};
use crate::time::Timestamp;

/// OpenID Connect Core section 11: what makes a grant outlive the session in which it was given.
pub const OFFLINE_ACCESS: &str = "offline_access";

/// Which grants: those for which every criterion that is given fits. None given would be all.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
pub struct Selector {
    /// Of this user.
    pub subject: Option<String>,
    /// Of this client.
    pub client: Option<ClientId>,
    /// Given in this browser session, by the keyed hash that names it.
    pub session: Option<[u8; 32]>,
    /// Whose live refresh token has the tag of this key.
    pub tag_key: Option<u8>,
    /// That hold this scope.
    pub scope: Option<String>,
    /// That hold this resource.
    pub resource: Option<String>,
    /// Made before this time, whatever the counter says.
    pub issued_before: Option<Timestamp>,
    /// That hold no `offline_access`.
    pub online_only: bool,
    /// Of these clients, or of every other.
    pub among: Option<Among>,
    /// Given in another browser session than this, or in none.
    pub but_session: Option<[u8; 32]>,
}

/// Several clients, or all but several. Shared, for a selector is kept in memory for as long as its revocation is.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum Among {
    /// These.
    Only(Arc<[ClientId]>),
    /// Every other.
    But(Arc<[ClientId]>),
}

impl Among {
    /// The most bytes of its text: a store and a journal keep it.
    pub const MAX_LEN: usize = 16 * 1024;

    /// Whether this client is meant.
    #[must_use]
    pub fn admits(&self, client: &str) -> bool {
        match self {
            Self::Only(clients) => clients.iter().any(|known| known.as_str() == client),
            Self::But(clients) => !clients.iter().any(|known| known.as_str() == client),
        }
    }

    /// For a store: `only` or `but`, and the clients. No identifier has a space.
    #[must_use]
    pub fn text(&self) -> String {
        let (mut text, clients) = match self {
            Self::Only(clients) => ("only".to_owned(), clients),
            Self::But(clients) => ("but".to_owned(), clients),
        };
        for client in clients.iter() {
            text.push(' ');
            text.push_str(client.as_str());
        }
        text
    }

    /// What [`Among::text`] wrote.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (word, clients) = text.split_once(' ')?;
        let clients: Option<Arc<[ClientId]>> = clients.split(' ').map(ClientId::parse).collect();
        match word {
            "only" => clients.map(Self::Only),
            "but" => clients.map(Self::But),
            _ => None,
        }
    }
}

impl Selector {
    /// Whether every grant there is would fit.
    #[must_use]
    pub fn is_everything(&self) -> bool {
        *self == Self::default()
    }

    /// The reason that operators read, by what was selected.
    #[must_use]
    pub fn reason(&self) -> EndReason {
        let given = [
            (self.subject.is_some(), EndReason::UserRevoked),
            (self.client.is_some(), EndReason::ClientRevoked),
            (self.session.is_some(), EndReason::SessionRevoked),
            (self.tag_key.is_some(), EndReason::KeyRevoked),
            (self.scope.is_some(), EndReason::ScopeRevoked),
            (self.resource.is_some(), EndReason::ResourceRevoked),
            (self.issued_before.is_some(), EndReason::IssuedBeforeRevoked),
            (self.online_only || self.among.is_some() || self.but_session.is_some(), EndReason::SelectionRevoked),
        ];
        let mut given = given.into_iter().filter(|(is_given, _)| *is_given).map(|(_, reason)| reason);
        match (given.next(), given.next(), given.next()) {
            (Some(one), None, _) => one,
            (Some(EndReason::UserRevoked), Some(EndReason::ClientRevoked), None) => EndReason::UserAtClientRevoked,
            _ => EndReason::SelectionRevoked,
        }
    }

    /// Whether the grant is one of those that are meant, whenever it was made.
    #[must_use]
    pub fn fits(&self, grant: &Grant) -> bool {
        let terms = &grant.terms;
        self.subject.as_ref().is_none_or(|subject| *subject == terms.subject)
            && self.client.as_ref().is_none_or(|client| *client == terms.client)
            && self.session.is_none_or(|session| terms.session == Some(session))
            && self.tag_key.is_none_or(|key| grant.tag_key == key)
            && self.scope.as_ref().is_none_or(|scope| terms.scope.contains(scope))
            && self.resource.as_ref().is_none_or(|resource| terms.resources.contains(resource))
            && self.issued_before.is_none_or(|before| terms.created_at < before)
            && !(self.online_only && terms.scope.contains(OFFLINE_ACCESS))
            && self.among.as_ref().is_none_or(|among| among.admits(terms.client.as_str()))
            && self.but_session.is_none_or(|session| terms.session != Some(session))
    }
}

/// One wide revocation.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Epoch {
    /// Which it is, counted from 1 and never used twice.
    pub number: u64,
    /// When.
    pub at: Timestamp,
    /// What it ends.
    pub selector: Selector,
    /// Why, as each grant that it ends tells.
    pub reason: EndReason,
    /// More, for people.
    pub detail: String,
    /// Until when an operator may take it back; `None` if it is final.
    pub undo_until: Option<Timestamp>,
    /// When it was taken back.
    pub undone_at: Option<Timestamp>,
}

/// That a row is covered, and by what.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Covered {
    /// The number of the revocation.
    pub number: u64,
    /// Its time.
    pub at: Timestamp,
    /// Its reason.
    pub reason: EndReason,
}

impl Epoch {
    /// Whether this grant is ended by it.
    #[must_use]
    pub fn covers(&self, grant: &Grant) -> bool {
        let was_there = self.selector.issued_before.is_some() || grant.terms.epoch < self.number;
        self.undone_at.is_none() && was_there && self.selector.fits(grant)
    }

    /// Whether an access token that belongs to no grant (implicit, client credentials) is dead by it. Such a token has no counter:
    /// the second in which it was issued decides, which never runs behind the store's: one of the same second is dead, too. It has no tag key; a session, if the
    /// user's browser carried it.
    #[must_use]
    pub fn covers_access(&self, token: &AccessToken) -> bool {
        // Without a grant there is no `offline_access`: such a token is of the session.
        let Selector {
            subject,
            client,
            session,
            tag_key,
            scope,
            resource,
            issued_before,
            online_only: _,
            among,
            but_session,
        } = &self.selector;
        let issued_at = Timestamp::from_millis(token.issued_at.saturating_mul(1000));
        self.undone_at.is_none()
            && session.is_none_or(|session| token.session == Some(session))
            && but_session.is_none_or(|session| token.session != Some(session))
            && among.as_ref().is_none_or(|among| among.admits(&token.client))
            && tag_key.is_none()
            && issued_before.map_or(issued_at <= self.at, |before| issued_at < before)
            && subject.as_ref().is_none_or(|subject| *subject == token.subject)
            && client.as_ref().is_none_or(|client| client.as_str() == token.client)
            && scope.as_ref().is_none_or(|scope| token.scope.split(' ').any(|held| held == scope))
            && resource.as_ref().is_none_or(|resource| token.audience.contains(resource))
    }

    /// Whether it may still be taken back at this time.
    #[must_use]
    pub fn can_be_undone(&self, now: Timestamp) -> bool {
        self.undone_at.is_none() && self.undo_until.is_some_and(|until| !until.is_over(now))
    }

    /// What a row that it covers says of it.
    #[must_use]
    pub const fn covered(&self) -> Covered {
        Covered { number: self.number, at: self.at, reason: self.reason }
    }
}

impl Grant {
    /// The grant as everybody is to see it: under a wide revocation it has ended. Asked after the MAC, which is that of the row as it
    /// was written. A grant that has ended keeps its first reason.
    #[must_use]
    pub fn seen_under(self, covered: Option<Covered>) -> Self {
        match covered {
            Some(Covered { at, reason, .. }) if self.ended.is_none() => Self { ended: Some((at, reason)), ..self },
            Some(_) | None => self,
        }
    }

    /// The same with an end that the user set: neither clock runs longer. Asked after the MAC, as above.
    #[must_use]
    pub fn seen_until(self, end: Option<Timestamp>) -> Self {
        match end {
            Some(end) => Self { idle_at: self.idle_at.min(end), absolute_at: self.absolute_at.min(end), ..self },
            None => self,
        }
    }
}
