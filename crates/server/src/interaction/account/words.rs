//! The words of the account page: what a grant, a consent and an event are called there, and their times.

use std::time::Duration;

use regrant_core::{ClientId, Grant, Scope, Timestamp};
use regrant_store::beside::Place;
use regrant_store::{Consent, StoredEvent};

use super::super::described;
use crate::app::Settings;
use crate::pages::{self, Voice};
use crate::session::LoggedIn;

/// The texts of one entry, which the page borrows.
#[derive(Default)]
pub(super) struct Shown {
    id: String,
    name: String,
    here: bool,
    paused: bool,
    pub(super) place: String,
    since: String,
    used: String,
    idle: String,
    end: String,
    scopes: Vec<(String, String)>,
}

impl Shown {
    pub(super) fn scope_lines(&self) -> Vec<pages::ScopeLine<'_>> {
        self.scopes.iter().map(|(name, description)| pages::ScopeLine { name, description }).collect()
    }

    pub(super) fn connection<'a>(&'a self, scopes: &'a [pages::ScopeLine<'a>]) -> pages::Connection<'a> {
        pages::Connection {
            id: &self.id,
            client_name: &self.name,
            here: self.here,
            place: &self.place,
            since: &self.since,
            used: &self.used,
            idle: &self.idle,
            end: &self.end,
            scopes,
        }
    }

    pub(super) fn allowed<'a>(&'a self, scopes: &'a [pages::ScopeLine<'a>]) -> pages::Allowed<'a> {
        let Self { id, name, since, end, paused, .. } = self;
        pages::Allowed { client: id, client_name: name, since, until: end, paused: *paused, scopes }
    }

    pub(super) fn happened(&self) -> pages::Happened<'_> {
        pages::Happened { at: &self.since, what: &self.used, client_name: &self.name }
    }
}

/// What things are called on the page.
pub(super) struct Words<'a> {
    pub(super) settings: &'a Settings,
    pub(super) voice: &'a Voice,
}

impl Words<'_> {
    pub(super) fn client(&self, id: &str) -> String {
        let client = ClientId::parse(id).and_then(|id| self.settings.clients.get(&id));
        client.map_or_else(|| id.to_owned(), |client| client.name.clone())
    }

    pub(super) fn scopes(&self, scope: &Scope) -> Vec<(String, String)> {
        described(self.settings, self.voice, scope)
    }

    pub(super) fn grant(&self, grant: &Grant, id: &str, who: &LoggedIn) -> Shown {
        Shown {
            id: id.to_owned(),
            name: self.client(grant.terms.client.as_str()),
            here: grant.terms.session == Some(who.session.id),
            since: self.voice.day(grant.terms.created_at),
            used: self.voice.minute(grant.answered_at),
            idle: self.voice.day(grant.idle_at),
            end: self.voice.day(grant.absolute_at),
            scopes: self.scopes(&grant.terms.scope),
            ..Shown::default()
        }
    }

    pub(super) fn consent(&self, consent: &Consent) -> Shown {
        Shown {
            id: consent.client.clone(),
            name: self.client(&consent.client),
            paused: consent.paused_at.is_some(),
            since: self.voice.day(consent.at),
            // The last day, and not the instant behind it.
            end: consent
                .ends_at
                .map(|end| written(end.minus(Duration::from_millis(1)), "%Y-%m-%d"))
                .unwrap_or_default(),
            scopes: self.scopes(&Scope::parse(&consent.scope).unwrap_or_default()),
            ..Shown::default()
        }
    }

    pub(super) fn event(&self, event: &StoredEvent) -> Shown {
        Shown {
            name: event.client.as_deref().map(|client| self.client(client)).unwrap_or_default(),
            since: self.voice.minute(event.at),
            used: self.voice.say(in_words(event)),
            ..Shown::default()
        }
    }
}

/// The key of what is said of an event.
fn in_words(event: &StoredEvent) -> &'static str {
    match (event.kind.as_str(), event.reason.as_deref(), event.detail.as_str()) {
        ("login", ..) => "event.login",
        ("login_failed", ..) => "event.login_failed",
        ("logout", ..) => "event.logout",
        ("consent", _, PAUSED) => "event.paused",
        ("consent", _, RESUMED) => "event.resumed",
        ("consent", _, WITHDRAWN) => "event.withdrawn",
        ("consent", _, LIMITED) => "event.limited",
        ("consent", _, UNLIMITED) => "event.unlimited",
        ("consent", ..) => "event.allowed",
        ("grant_created", ..) => "event.connected",
        ("grant_ended", Some("refresh_replayed" | "code_replayed"), _) => "event.replayed",
        ("grant_ended", Some("revoked_by_user"), _) => "event.disconnected_by_user",
        ("grant_ended", Some("revoked_by_client"), _) => "event.disconnected_by_client",
        ("grant_ended", ..) => "event.disconnected",
        ("straggler" | "replay_refused" | "alarm", ..) => "event.refused",
        ("admin", ..) => "event.operator",
        _ => "event.other",
    }
}

/// What the events of a consent say.
pub(super) const PAUSED: &str = "paused";
pub(super) const RESUMED: &str = "resumed";
pub(super) const WITHDRAWN: &str = "withdrawn";
pub(super) const LIMITED: &str = "given an end";
pub(super) const UNLIMITED: &str = "without an end";

/// The program and its network, as far as they are known.
pub(in crate::interaction) fn place(place: &Place) -> String {
    let known = [place.agent.as_str(), place.network.as_str()];
    known.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join(", ")
}

fn written(at: Timestamp, format: &str) -> String {
    jiff::Timestamp::from_millisecond(at.millis()).map(|at| at.strftime(format).to_string()).unwrap_or_default()
}
