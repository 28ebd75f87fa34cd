//! `[revocation_feed]`: how resource servers that do not introspect hear of what is over.

use std::time::Duration;

use super::document::Section;
use super::problem::Problem;

const SHORTEST_AGE: Duration = Duration::from_secs(1);
const LONGEST_AGE: Duration = Duration::from_secs(300);

/// Who may read the feed and the status lists.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Readers {
    /// Clients with `may_introspect`, by `client_secret_basic`.
    ResourceServers,
    /// Everybody.
    Public,
    /// There is no feed.
    Nobody,
}

/// What is told, to whom, and for how long it may be held.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RevocationFeed {
    /// Who may read.
    pub readers: Readers,
    /// Whether JWT access tokens of grants carry a `status` claim, without which nobody can tell to which grant they belong.
    pub status_claim: bool,
    /// `Cache-Control: max-age`.
    pub max_age: Duration,
}

impl Default for RevocationFeed {
    fn default() -> Self {
        Self { readers: Readers::ResourceServers, status_claim: true, max_age: Duration::from_secs(5) }
    }
}

/// Reads the section.
pub(super) fn read(section: &Section<'_>) -> RevocationFeed {
    let mut setting = RevocationFeed::default();
    match section.string("readers").as_deref() {
        None | Some("resource_servers") => {}
        Some("public") => setting.readers = Readers::Public,
        Some("nobody") => setting.readers = Readers::Nobody,
        Some(_) => {
            let remedy = "Choose \"resource_servers\", \"public\" or \"nobody\".";
            section.problem(Problem::new("readers", "it is none of the choices", remedy));
        }
    }
    let has_readers = setting.readers != Readers::Nobody;
    setting.status_claim = section.flag("status_claim").unwrap_or(has_readers);
    if setting.status_claim && !has_readers {
        let remedy = "Leave it out, or let somebody read.";
        section.problem(Problem::new("status_claim", "it would name lists that nobody may read", remedy));
    }
    if let Some(age) = section.duration("max_age", SHORTEST_AGE..=LONGEST_AGE) {
        setting.max_age = age;
    }
    section.finish(&super::TOP);
    setting
}
