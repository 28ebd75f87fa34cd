//! Who asks: honest clients with their tokens, and a thief.

use super::laws::Life;
use crate::wire::{SECRET, http};

/// What a client can prove.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Class {
    /// Nothing.
    Plain,
    /// That it is the sender of the last request.
    Keyed,
    /// Its secret; single use.
    Secret,
    /// Its secret; the token stays.
    Reusable,
}

impl Class {
    pub(super) const ALL: [Self; 4] = [Self::Plain, Self::Keyed, Self::Secret, Self::Reusable];

    pub(super) const fn client(self) -> &'static str {
        match self {
            Self::Plain | Self::Keyed => "phone",
            Self::Secret => "web",
            Self::Reusable => "steady",
        }
    }

    /// Whether a stolen token alone is worth nothing.
    pub(super) const fn is_bound(self) -> bool {
        matches!(self, Self::Secret | Self::Reusable)
    }
}

/// A worker of a client: a tab, or a thread.
#[derive(Clone, Debug, Default)]
pub(super) struct Worker {
    /// The question that it waits for, and since when, in true milliseconds.
    pub(super) waiting: Option<(usize, i64)>,
}

/// A login, and what came of it.
#[derive(Clone, Debug)]
pub(super) struct Session {
    pub(super) class: Class,
    pub(super) user: usize,
    pub(super) code: Option<String>,
    /// The token that all its workers share.
    pub(super) token: Option<String>,
    /// What goes with the token that was sent, until its answer is saved.
    pub(super) key: Option<String>,
    /// When the token was first sent: the store's newest time.
    pub(super) first_sent: Option<i64>,
    pub(super) access: Option<String>,
    pub(super) workers: Vec<Worker>,
    pub(super) is_over: bool,
    pub(super) life: Life,
}

impl Session {
    pub(super) fn new(class: Class, user: usize, workers: usize) -> Self {
        Self {
            class,
            user,
            code: None,
            token: None,
            key: None,
            first_sent: None,
            access: None,
            workers: vec![Worker::default(); workers],
            is_over: false,
            life: Life::default(),
        }
    }
}

/// What is asked.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Kind {
    Redeem,
    Refresh,
    Revoke,
    Introspect,
}

/// Who asks.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Asker {
    Worker(usize),
    Thief,
    /// A resource server.
    Resource,
}

/// A question, as it is sent, perhaps more than once.
#[derive(Clone, Debug)]
pub(super) struct Question {
    pub(super) kind: Kind,
    pub(super) asker: Asker,
    pub(super) session: usize,
    pub(super) class: Class,
    pub(super) text: String,
    pub(super) key: Option<String>,
    /// The store's newest time when it was sent, and when its token first was.
    pub(super) sent: i64,
    pub(super) first_sent: i64,
    /// How often it came to a node.
    pub(super) arrived: u32,
    /// Whether he who has no secret is believed to have it.
    pub(super) is_believed: bool,
}

impl Question {
    pub(super) const fn path(&self) -> &'static str {
        match self.kind {
            Kind::Redeem | Kind::Refresh => "/oauth2/token",
            Kind::Revoke => "/oauth2/revoke",
            Kind::Introspect => "/oauth2/introspect",
        }
    }

    /// The form, and the headers beside it.
    pub(super) fn request(&self) -> (String, Vec<(&'static str, String)>) {
        let mut form = match self.kind {
            Kind::Redeem => vec![
                ("grant_type", "authorization_code"),
                ("code", self.text.as_str()),
                ("redirect_uri", crate::wire::CALLBACK),
                ("code_verifier", crate::wire::VERIFIER),
            ],
            Kind::Refresh => vec![("grant_type", "refresh_token"), ("refresh_token", self.text.as_str())],
            Kind::Revoke | Kind::Introspect => vec![("token", self.text.as_str())],
        };
        let mut headers = Vec::new();
        let is_stranger = self.asker == Asker::Thief && self.class.is_bound() && !self.is_believed;
        match (self.asker, self.class) {
            (Asker::Resource, _) => headers.push(("authorization", http::basic("api", SECRET))),
            // A public client's name is all that he can give.
            _ if is_stranger => form.push(("client_id", "phone")),
            (_, Class::Plain | Class::Keyed) => form.push(("client_id", self.class.client())),
            (_, Class::Secret) => form.extend([("client_id", self.class.client()), ("client_secret", SECRET)]),
            (_, Class::Reusable) => headers.push(("authorization", http::basic(self.class.client(), SECRET))),
        }
        headers.extend(self.key.clone().map(|key| ("idempotency-key", key)));
        (regrant_server::form::write(&form), headers)
    }
}

/// What a thief has.
#[derive(Clone, Debug)]
pub(super) struct Loot {
    pub(super) session: usize,
    pub(super) token: String,
    pub(super) key: Option<String>,
}
