//! `[registration]`: who may register clients (RFC 7591, OpenID Connect Dynamic Client Registration 1.0), and what those may do.

use std::collections::BTreeSet;
use std::time::Duration;

use regrant_core::client::GrantType;

use super::document::Section;
use super::problem::Problem;
use super::{BUILT_IN_SCOPES, TOP};

const MINUTE: Duration = Duration::from_secs(60);
const DAY: Duration = Duration::from_secs(86_400);
/// The most clients that can be registered: each is held in memory.
const MOST: u64 = 100_000;

/// Who may register.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum RegistrationMode {
    /// Nobody.
    Off,
    /// Who has an initial access token, which an operator makes.
    Token,
    /// Everybody, within `[limits]`.
    Open,
}

impl RegistrationMode {
    /// The word for it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::Token => "token",
            Self::Open => "open",
        }
    }
}

/// A `[registration]`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RegistrationSetting {
    /// Who may register.
    pub mode: RegistrationMode,
    /// Scopes that registered clients may have.
    pub scopes: Vec<String>,
    /// Flows that they may use.
    pub grant_types: BTreeSet<GrantType>,
    /// How many there may be.
    pub most: u32,
    /// A registered client that has no living grant is removed this long after it was registered, last changed, or last had one.
    pub reap_after: Duration,
}

impl Default for RegistrationSetting {
    fn default() -> Self {
        Self {
            mode: RegistrationMode::Off,
            scopes: BUILT_IN_SCOPES.map(str::to_owned).to_vec(),
            grant_types: BTreeSet::from([GrantType::AuthorizationCode, GrantType::RefreshToken]),
            most: 10_000,
            reap_after: 30 * DAY,
        }
    }
}

/// Reads the section. Whether the scopes are declared is looked at when a client registers: one that is not is nobody's.
pub(super) fn read(section: &Section<'_>) -> RegistrationSetting {
    let mut setting = RegistrationSetting::default();
    match section.string("mode").as_deref() {
        None | Some("off") => {}
        Some("token") => setting.mode = RegistrationMode::Token,
        Some("open") => setting.mode = RegistrationMode::Open,
        Some(_) => {
            let remedy = "Choose \"off\", \"token\" or \"open\".";
            section.problem(Problem::new("mode", "it is none of the choices", remedy));
        }
    }
    if let Some(scopes) = section.strings("scopes") {
        if scopes.iter().any(|scope| super::ADMIN_SCOPES.contains(&scope.as_str())) {
            let what = "the scopes of the admin API are not for clients that register themselves";
            section.problem(Problem::new("scopes", what, "Leave it out."));
        }
        setting.scopes = scopes;
    }
    if let Some(words) = section.strings("grant_types") {
        setting.grant_types = BTreeSet::new();
        for (index, word) in words.iter().enumerate() {
            let known = [GrantType::AuthorizationCode, GrantType::RefreshToken, GrantType::Implicit];
            match known.into_iter().find(|known| known.as_str() == word) {
                Some(known) => drop(setting.grant_types.insert(known)),
                None => {
                    let what = "no client that registered itself may use it";
                    let remedy = "Choose of \"authorization_code\", \"refresh_token\" and \"implicit\".";
                    section.problem(Problem::new("grant_types", what, remedy).at(index));
                }
            }
        }
    }
    if let Some(most) = section.number("most", 1..=MOST) {
        setting.most = u32::try_from(most).unwrap_or(u32::MAX);
    }
    if let Some(after) = section.duration("reap_after", MINUTE..=3650 * DAY) {
        setting.reap_after = after;
    }
    section.finish(&TOP);
    setting
}
