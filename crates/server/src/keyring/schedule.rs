//! When each step of a key's life is due. Pure: rows, settings and the time in, steps out.
//!
//! | key                    | its next step                                      | when                                                   |
//! |------------------------|----------------------------------------------------|--------------------------------------------------------|
//! | signing, `current`     | its successor is published (`next`)                | `signing_publish_ahead` before `signing_rotation` ends |
//! | signing, `next`        | takes over                                         | `signing_publish_ahead` after it was published         |
//! | signing, sealing `verify` | gone                                            | the longest token that it made has ended, and a grace  |
//! | sealing, tag, seed `current` | replaced                                     | `…_rotation` after it became current                   |
//! | tag, seed `verify`     | gone                                               | nothing hangs on it any more: the sweep knows          |
//!
//! Resource servers hold a key set for its `max-age`: a key that signs sooner after its publication is one that they do not know.

use std::collections::HashMap;
use std::time::Duration;

use regrant_core::client::{AccessTokenFormat, SignatureAlgorithm};
use regrant_core::keys::KeyStatus;
use regrant_core::openid::SCOPE;
use regrant_core::{Client, Timestamp};
use regrant_jose::Algorithm;
use regrant_store::{KeyKind, KeyRecord};

use super::Keyring;
use super::step::Step;
use crate::config::KeySettings;
use crate::id_token;

/// For how long others may hold our key set (`Cache-Control: max-age`).
pub const JWKS_MAX_AGE: Duration = Duration::from_secs(300);
/// How much longer than needed a key verifies: for requests that were under way when it was replaced, and for the clocks of
/// resource servers.
pub const GRACE: Duration = Duration::from_secs(300);

/// What signs in words of `core`, as `jose` calls it.
#[must_use]
pub const fn algorithm(of: SignatureAlgorithm) -> Algorithm {
    match of {
        SignatureAlgorithm::Es256 => Algorithm::Es256,
        SignatureAlgorithm::EdDsa => Algorithm::EdDsa,
        SignatureAlgorithm::Ps256 => Algorithm::Ps256,
        SignatureAlgorithm::Rs256 => Algorithm::Rs256,
    }
}

/// How long access and ID tokens live under the settings of a moment, and so which algorithms are in use.
#[derive(Clone, Debug, Default)]
pub struct Lifetimes {
    jwt: HashMap<Algorithm, u64>,
    opaque: u64,
}

impl Lifetimes {
    /// Of these clients.
    pub fn of_clients<'a>(clients: impl IntoIterator<Item = &'a Client>) -> Self {
        // ES256 is there before any client is, so that the key set is never empty; and RS256, which OpenID Connect Core section 15.1 makes
        // every server have, so that the first client of OpenID Connect does not wait for its key.
        let mut all = Self { jwt: HashMap::from([(Algorithm::Es256, 0), (Algorithm::Rs256, 0)]), opaque: 0 };
        for client in clients {
            let longest = match client.policy.access_token_format {
                AccessTokenFormat::Jwt => all.jwt.entry(algorithm(client.policy.access_token_algorithm)).or_default(),
                AccessTokenFormat::Opaque => &mut all.opaque,
            };
            *longest = (*longest).max(client.policy.access_token_lifetime.as_secs());
            if client.scopes.contains(SCOPE) {
                let longest = all.jwt.entry(algorithm(client.id_token_algorithm)).or_default();
                *longest = (*longest).max(id_token::LIFETIME.as_secs());
                // A userinfo answer is looked at when it comes.
                if let Some(signed_with) = client.userinfo_algorithm {
                    all.jwt.entry(algorithm(signed_with)).or_default();
                }
            }
        }
        all
    }

    /// The same, and a key for this algorithm, which signs nothing that lives.
    #[must_use]
    pub fn with(mut self, algorithm: Algorithm) -> Self {
        self.jwt.entry(algorithm).or_default();
        self
    }

    /// In seconds, of what a key of this kind and algorithm makes.
    pub(crate) fn of(&self, kind: KeyKind, algorithm: &str) -> u64 {
        match kind {
            KeyKind::Sealing => self.opaque,
            KeyKind::Signing => {
                algorithm.parse().ok().and_then(|algorithm: Algorithm| self.jwt.get(&algorithm).copied()).unwrap_or(0)
            }
            KeyKind::Tag | KeyKind::Seed => 0,
        }
    }

    /// The algorithms in use, the preferred first.
    pub fn algorithms(&self) -> impl Iterator<Item = Algorithm> {
        Algorithm::ALL.into_iter().filter(|algorithm| self.jwt.contains_key(algorithm))
    }

    fn uses(&self, algorithm: Algorithm) -> bool {
        self.jwt.contains_key(&algorithm)
    }
}

impl Keyring {
    /// What must be there before anything is minted, and is not; and what outlives a current key longer than its row knows.
    pub(crate) fn missing(&self, lifetimes: &Lifetimes) -> Vec<Step> {
        let mut steps = Vec::new();
        for kind in [KeyKind::Tag, KeyKind::Seed, KeyKind::Sealing] {
            // The seed key of a store that was restored from a backup has a row and no bytes.
            let current = self.current_of(kind, "").filter(|row| kind != KeyKind::Seed || row.wrapped.is_some());
            if current.is_none() {
                steps.push(Step::Replace { kind, algorithm: None });
            }
        }
        for algorithm in lifetimes.algorithms() {
            if self.current_of(KeyKind::Signing, algorithm.as_str()).is_none() {
                steps.push(Step::Replace { kind: KeyKind::Signing, algorithm: Some(algorithm) });
            }
        }
        for row in self.rows().values().filter(|row| row.status == KeyStatus::Current) {
            let seconds = lifetimes.of(row.kind, &row.algorithm);
            if seconds > row.outlived_by {
                steps.push(Step::Outlive { kind: row.kind, id: row.id, seconds });
            }
        }
        steps
    }

    /// The steps that are due now.
    pub(crate) fn due(&self, settings: &KeySettings, lifetimes: &Lifetimes, now: Timestamp) -> Vec<Step> {
        let mut steps = self.missing(lifetimes);
        for row in self.rows().values() {
            if let Some((at, step)) = self.next_step(row, settings, lifetimes)
                && at.is_over(now)
                && !steps.contains(&step)
            {
                steps.push(step);
            }
        }
        steps
    }

    /// The next step of one key, and when it is due; `None` if only something else decides.
    pub(crate) fn next_step(
        &self,
        row: &KeyRecord,
        settings: &KeySettings,
        lifetimes: &Lifetimes,
    ) -> Option<(Timestamp, Step)> {
        let (kind, id) = (row.kind, row.id);
        let rotation = match kind {
            KeyKind::Tag => settings.tag_rotation,
            KeyKind::Seed => Some(settings.seed_rotation),
            KeyKind::Sealing => settings.sealing_rotation,
            KeyKind::Signing => settings.signing_rotation,
        };
        match (kind, row.status) {
            (KeyKind::Signing, KeyStatus::Next) => {
                // Made by a command while no server ran, it was not published until this one began.
                let known = self.opened_at.plus(JWKS_MAX_AGE);
                Some((row.created_at.plus(settings.signing_publish_ahead).max(known), Step::Promote { id }))
            }
            (KeyKind::Signing, KeyStatus::Current) => {
                let algorithm: Algorithm = row.algorithm.parse().ok()?;
                let ends = row.current_at?.plus(rotation?);
                let has_next = |other: &KeyRecord| other.status == KeyStatus::Next && other.algorithm == row.algorithm;
                match (self.of_kind(kind).any(has_next), lifetimes.uses(algorithm)) {
                    (true, _) => None,
                    (false, true) => Some((ends.minus(settings.signing_publish_ahead), Step::Announce { algorithm })),
                    (false, false) => Some((ends, Step::Withdraw { id })),
                }
            }
            (KeyKind::Signing | KeyKind::Sealing, KeyStatus::Verify) => {
                Some((verifies_until(row)?, Step::End { kind, id }))
            }
            (KeyKind::Tag | KeyKind::Seed | KeyKind::Sealing, KeyStatus::Current) => {
                Some((row.current_at?.plus(rotation?), Step::Replace { kind, algorithm: None }))
            }
            _ => None,
        }
    }
}

/// Until when something that this signing or sealing key made may live.
pub(crate) fn verifies_until(row: &KeyRecord) -> Option<Timestamp> {
    Some(row.verify_at?.plus(Duration::from_secs(row.outlived_by)).plus(GRACE))
}
