//! What the page `{base}/account` shows: its words are made by `interaction/account.rs`.

use serde::Serialize;

use super::ScopeLine;

/// A user's own page: what is connected, what was allowed, the password, what happened.
///
/// | form           | sends besides `csrf`                                                            |
/// |----------------|---------------------------------------------------------------------------------|
/// | of a grant     | `action` = `end`, `grant`                                                       |
/// | of all of them | `action` = `end_others` or `end_all`                                            |
/// | of a consent   | `action` = `pause`, `resume`, `withdraw` or `until`, `client`, `date`           |
/// | password       | `action` = `password`, `current_password`, `new_password`                      |
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Account<'a> {
    /// Path of the issuer.
    pub base: &'a str,
    /// Who is logged in.
    pub username: &'a str,
    /// Comes back as the field `csrf`.
    pub csrf: &'a str,
    /// What the last form did, a sentence; empty if there was none.
    pub done: &'a str,
    /// What was wrong with the last form, a sentence.
    pub error: Option<&'a str>,
    /// Whether it was the form of the password.
    pub password_failed: bool,
    /// What can renew its access.
    pub grants: &'a [Connection<'a>],
    /// What was allowed, and would not be asked again.
    pub consents: &'a [Allowed<'a>],
    /// What happened last, newest first.
    pub history: &'a [Happened<'a>],
    /// Whether there are more connections than are shown.
    pub more: bool,
}

/// A grant that can refresh.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Connection<'a> {
    /// Comes back as the field `grant`.
    pub id: &'a str,
    /// The application's name, or its identifier.
    pub client_name: &'a str,
    /// Whether it came from this browser's login.
    pub here: bool,
    /// "Firefox, 192.0.2.0/24"; empty if it is not known.
    pub place: &'a str,
    /// When it was made.
    pub since: &'a str,
    /// When it was last used.
    pub used: &'a str,
    /// When it ends if it is not used.
    pub idle: &'a str,
    /// When it ends in any case.
    pub end: &'a str,
    /// What it may do.
    pub scopes: &'a [ScopeLine<'a>],
}

/// A consent that is remembered.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Allowed<'a> {
    /// Comes back as the field `client`.
    pub client: &'a str,
    /// The application's name, or its identifier.
    pub client_name: &'a str,
    /// When it was given.
    pub since: &'a str,
    /// The day on which it ends, as `2027-01-31`; empty if it has none.
    pub until: &'a str,
    /// Whether it is paused.
    pub paused: bool,
    /// What was allowed.
    pub scopes: &'a [ScopeLine<'a>],
}

/// A line of the history.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Happened<'a> {
    /// When.
    pub at: &'a str,
    /// What, in a few words.
    pub what: &'a str,
    /// The application that it is about; empty if there is none.
    pub client_name: &'a str,
}
