//! `[revocation]`: what ends by itself when something else happens, and for how long a bulk revocation can be taken back.
//!
//! | setting                    | unless set | or                | when                                                       |
//! |----------------------------|------------|-------------------|------------------------------------------------------------|
//! | `on_user_disabled`         | end        | suspend           | a user is switched off                                     |
//! | `on_password_changed`      | end        | keep              | a user gets another password                               |
//! | `on_logout`                | keep       | end_online, end   | a user logs out of a browser session                       |
//! | `on_consent_withdrawn`     | end        | keep              | what a user allowed a client is withdrawn                  |
//! | `on_client_removed`        | end        | suspend           | a client is removed, by command or from the file at a reload |
//! | `on_client_disabled`       | suspend    | end               | a client is switched off at a reload                       |
//! | `on_client_secret_rotated` | keep       | end               | a client gets another secret                               |
//! | `on_redirect_uris_reduced` | keep       | end               | a client loses a redirect URI at a reload                  |
//! | `undo_window`              | 1h         | 0s to 7d          | an operator revoked in bulk                                |
//!
//! A client has an `on_logout` of its own, where it has one (`core/src/client.rs`).
//!
//! To end is for ever; what is suspended works again when its cause is gone. The reasons for the defaults are in docs/revocation.md.

use std::time::Duration;

use regrant_core::client::OnLogout;

use super::document::Section;
use super::problem::Problem;

const HOUR: Duration = Duration::from_secs(3600);
const LONGEST: Duration = Duration::from_secs(7 * 86_400);

/// What happens to the grants that an event concerns.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum OnEvent {
    /// They go on.
    Keep,
    /// They are refused for as long as it lasts.
    Suspend,
    /// Those without `offline_access` end for ever.
    EndOnline,
    /// They end for ever.
    End,
}

impl OnEvent {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Keep => "keep",
            Self::Suspend => "suspend",
            Self::EndOnline => "end_online",
            Self::End => "end",
        }
    }
}

impl From<OnLogout> for OnEvent {
    fn from(choice: OnLogout) -> Self {
        match choice {
            OnLogout::Keep => Self::Keep,
            OnLogout::EndOnline => Self::EndOnline,
            OnLogout::End => Self::End,
        }
    }
}

/// `[revocation]`, read.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct RevocationSettings {
    /// A user is switched off.
    pub user_disabled: OnEvent,
    /// A user gets another password.
    pub password_changed: OnEvent,
    /// A user logs out of a browser session.
    pub logout: OnEvent,
    /// What a user allowed a client is withdrawn.
    pub consent_withdrawn: OnEvent,
    /// A client is removed.
    pub client_removed: OnEvent,
    /// A client is switched off.
    pub client_disabled: OnEvent,
    /// A client gets another secret.
    pub client_secret_rotated: OnEvent,
    /// A client loses a redirect URI.
    pub redirect_uris_reduced: OnEvent,
    /// How long an operator may take a bulk revocation back.
    pub undo_window: Duration,
}

impl Default for RevocationSettings {
    fn default() -> Self {
        Self {
            user_disabled: OnEvent::End,
            password_changed: OnEvent::End,
            logout: OnEvent::Keep,
            consent_withdrawn: OnEvent::End,
            client_removed: OnEvent::End,
            client_disabled: OnEvent::Suspend,
            client_secret_rotated: OnEvent::Keep,
            redirect_uris_reduced: OnEvent::Keep,
            undo_window: HOUR,
        }
    }
}

impl RevocationSettings {
    pub(super) fn read(section: &Section<'_>) -> Self {
        use OnEvent::{End, EndOnline, Keep, Suspend};
        let usual = Self::default();
        let read = |key, allowed: &[OnEvent], usual| one_of(section, key, allowed).unwrap_or(usual);
        let settings = Self {
            user_disabled: read("on_user_disabled", &[End, Suspend], usual.user_disabled),
            password_changed: read("on_password_changed", &[End, Keep], usual.password_changed),
            logout: read("on_logout", &[Keep, EndOnline, End], usual.logout),
            consent_withdrawn: read("on_consent_withdrawn", &[End, Keep], usual.consent_withdrawn),
            client_removed: read("on_client_removed", &[End, Suspend], usual.client_removed),
            client_disabled: read("on_client_disabled", &[Suspend, End], usual.client_disabled),
            client_secret_rotated: read("on_client_secret_rotated", &[Keep, End], usual.client_secret_rotated),
            redirect_uris_reduced: read("on_redirect_uris_reduced", &[Keep, End], usual.redirect_uris_reduced),
            undo_window: section.duration("undo_window", Duration::ZERO..=LONGEST).unwrap_or(usual.undo_window),
        };
        section.finish(&super::TOP);
        settings
    }

    /// One sentence for each choice that costs something.
    pub(super) fn costs(&self) -> Vec<String> {
        let mut costs = Vec::new();
        if self.user_disabled == OnEvent::Suspend {
            costs.push("revocation.on_user_disabled = \"suspend\": whoever switches a user on again brings all sessions back, also those of a thief".to_owned());
        }
        if self.password_changed == OnEvent::Keep {
            costs.push(
                "revocation.on_password_changed = \"keep\": whoever knew the old password keeps what he got with it"
                    .to_owned(),
            );
        }
        if self.client_removed == OnEvent::Suspend {
            costs.push("revocation.on_client_removed = \"suspend\": another client that is added under the name of one that was removed takes over its sessions".to_owned());
        }
        costs
    }
}

fn one_of(section: &Section<'_>, key: &'static str, allowed: &[OnEvent]) -> Option<OnEvent> {
    let word = section.string(key)?;
    let found = allowed.iter().copied().find(|effect| effect.as_str() == word);
    if found.is_none() {
        let shown: String = word.chars().take(40).collect();
        let words: Vec<String> = allowed.iter().map(|effect| format!("\"{}\"", effect.as_str())).collect();
        let remedy = format!("Write {}.", words.join(" or "));
        section.problem(Problem::new(key, format!("{shown:?} is not possible here"), remedy));
    }
    found
}
