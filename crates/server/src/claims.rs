//! What an access token says beside what RFC 9068 section 2.2 prescribes: the user's attributes, the operator's static claims,
//! and what the token hook added.
//!
//! | from                                          | read when                                   | wins over    |
//! |-----------------------------------------------|---------------------------------------------|--------------|
//! | `claims` of each resource in the audience     | at each minting, from the user's record     |              |
//! | `access_token_claims` of the client           | the same                                    | those before |
//! | `static_claims` of each resource, then client | at each minting, from the configuration     | those before |
//! | the hook's answer                             | at each minting                             | all          |
//!
//! RFC 9068 section 2.2.3.1: groups, roles and entitlements go by the names of RFC 7643 section 4.1.2. A name that means
//! something already is nobody's to give (check I11): it is refused where it is written, and left out should it still come.
//! What is too large is refused and not cut: half a list of groups would be a lie.

pub mod attributes;
mod names;
pub(crate) mod prepare;
pub mod rules;

use serde_json::{Map, Value};

pub use attributes::Attributes;
pub use names::{BadClaim, RESERVED, USERINFO_CLAIMS, check_name, check_value};
pub use rules::{ClientClaims, Rules};

/// The most that all claims of one token together may take, in bytes of JSON.
pub const MAX_CLAIMS: usize = 4096;

/// The claims of one access token, checked and within [`MAX_CLAIMS`].
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct TokenClaims {
    /// All of them.
    pub(crate) all: Map<String, Value>,
    /// Those among them that the hook gave, which nobody could look up again.
    pub(crate) from_hook: Map<String, Value>,
}

/// All claims together are larger than [`MAX_CLAIMS`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct TooLarge {
    pub(crate) bytes: usize,
}

impl TokenClaims {
    /// The claims that the userinfo endpoint is asked for by name, in a token that belongs to no grant. They are few: names of OpenID
    /// Connect Core section 5.1.
    pub(crate) fn ask_at_userinfo(&mut self, names: &[String]) {
        if !names.is_empty() {
            self.all.insert(USERINFO_CLAIMS.to_owned(), Value::from(names));
            self.from_hook.insert(USERINFO_CLAIMS.to_owned(), Value::from(names));
        }
    }

    /// Puts together what was found.
    pub(crate) fn new(mut found: Map<String, Value>, from_hook: Map<String, Value>) -> Result<Self, TooLarge> {
        found.extend(from_hook.clone());
        let bytes = serde_json::to_string(&found).map_or(usize::MAX, |text| text.len());
        if bytes > MAX_CLAIMS { Err(TooLarge { bytes }) } else { Ok(Self { all: found, from_hook }) }
    }
}

/// The claims that these rules find, the later rules winning. `user` is nobody for a client that acts for itself.
pub(crate) fn found(rules: &[&Rules], user: Option<(&regrant_store::User, &Attributes)>) -> Map<String, Value> {
    let mut claims = Map::new();
    if let Some((user, attributes)) = user {
        for take in rules.iter().flat_map(|rules| &rules.takes) {
            if let Some(value) = attributes.of(user, &take.attribute) {
                claims.insert(take.claim.clone(), value);
            }
        }
    }
    for (name, value) in rules.iter().flat_map(|rules| &rules.fixed) {
        claims.insert(name.clone(), value.clone());
    }
    claims.retain(|name, _| names::check_name(name).is_ok());
    claims
}
