//! The bytes of a grant's terms but for client and subject, which have columns and indices of their own.
//!
//! ```text
//! flags 1 | key 32? | logged in at, made at: varints | epoch varint | session 32?
//!   | code: secret 32? | challenge 32? | redirect URI 32? | expires at varint?
//!   | scope text | resources text | ID token text, its length one more than it is, or 0
//! text = length varint | UTF-8
//! ```
//!
//! One spelling only for each value, so that no change to a row goes unnoticed (check K8): a scope with two spaces, or a challenge without a
//! code, cannot be ours.

use regrant_core::grant::{Binding, CodeTerms, Rotation};
use regrant_core::secret::Hash;
use regrant_core::{ClientId, OpenId, Resources, Scope, Terms};

use crate::hot::{Reader, write_signed, write_varint};
use crate::spelling;

const CLIENT: u8 = 1;
const KEY: u8 = 2;
const REUSABLE: u8 = 4;
const REFRESHABLE: u8 = 8;
const SESSION: u8 = 16;
const CODE: u8 = 32;
const CHALLENGE: u8 = 64;
const REDIRECT_URI: u8 = 128;

/// Who reads the text of a set, in one spelling.
pub(crate) trait Sets {
    fn scope(&mut self, text: &str) -> Option<Scope>;
    fn resources(&mut self, text: &str) -> Option<Resources>;
}

/// Each is read anew.
pub(crate) struct Anew;

impl Sets for Anew {
    fn scope(&mut self, text: &str) -> Option<Scope> {
        spelling::scope(text)
    }

    fn resources(&mut self, text: &str) -> Option<Resources> {
        spelling::resources(text)
    }
}

pub(crate) fn encode(terms: &Terms) -> Vec<u8> {
    let flag = |is_there: bool, flag: u8| if is_there { flag } else { 0 };
    let code = terms.code.as_ref();
    let (challenge, redirect_uri) =
        (code.and_then(|code| code.challenge.as_ref()), code.and_then(|code| code.redirect_uri.as_ref()));
    let (binding, key) = match &terms.binding {
        Binding::Bearer => (0, None),
        Binding::Client => (CLIENT, None),
        Binding::Key(key) => (KEY, Some(key)),
    };
    let mut bytes = Vec::with_capacity(128);
    bytes.push(
        binding
            | flag(terms.rotation == Rotation::Reusable, REUSABLE)
            | flag(terms.refreshable, REFRESHABLE)
            | flag(terms.session.is_some(), SESSION)
            | flag(code.is_some(), CODE)
            | flag(challenge.is_some(), CHALLENGE)
            | flag(redirect_uri.is_some(), REDIRECT_URI),
    );
    bytes.extend(key.iter().flat_map(|key| key.0));
    write_signed(&mut bytes, terms.authenticated_at.millis());
    write_signed(&mut bytes, terms.created_at.millis());
    write_varint(&mut bytes, terms.epoch);
    bytes.extend(terms.session.iter().flatten());
    for hash in [code.map(|code| &code.secret), challenge, redirect_uri].into_iter().flatten() {
        bytes.extend_from_slice(&hash.0);
    }
    if let Some(code) = code {
        write_signed(&mut bytes, code.expires_at.millis());
    }
    for text in [terms.scope.to_string(), terms.resources.to_string()] {
        write_varint(&mut bytes, text.len() as u64);
        bytes.extend_from_slice(text.as_bytes());
    }
    match &terms.openid {
        None => bytes.push(0),
        Some(openid) => {
            let text = openid.text();
            write_varint(&mut bytes, text.len() as u64 + 1);
            bytes.extend_from_slice(text.as_bytes());
        }
    }
    bytes
}

/// Reads what [`encode`] wrote.
pub(crate) fn decode(client: ClientId, subject: String, bytes: &[u8], sets: &mut impl Sets) -> Option<Terms> {
    let mut reader = Reader(bytes);
    let flags = reader.byte()?;
    let has = |flag: u8| flags & flag != 0;
    let key = reader.optional(has(KEY))?;
    let binding = match (has(CLIENT), key) {
        (false, None) => Binding::Bearer,
        (true, None) => Binding::Client,
        (false, Some(key)) => Binding::Key(Hash(key)),
        (true, Some(_)) => return None,
    };
    let (authenticated_at, created_at) = (reader.time()?, reader.time()?);
    let (epoch, session) = (reader.varint()?, reader.optional(has(SESSION))?);
    let mut hash = |flag: u8| reader.optional(has(flag)).map(|hash| hash.map(Hash));
    let (secret, challenge, redirect_uri) = (hash(CODE)?, hash(CHALLENGE)?, hash(REDIRECT_URI)?);
    let code = match secret {
        Some(secret) => Some(CodeTerms { secret, challenge, redirect_uri, expires_at: reader.time()? }),
        None if challenge.is_none() && redirect_uri.is_none() => None,
        None => return None,
    };
    let length = reader.small()?;
    let scope = sets.scope(reader.text(length)?)?;
    let length = reader.small()?;
    let resources = sets.resources(reader.text(length)?)?;
    let openid = match reader.small::<usize>()?.checked_sub(1) {
        None => None,
        Some(length) => Some(OpenId::parse(reader.text(length)?)?),
    };
    let rotation = if has(REUSABLE) { Rotation::Reusable } else { Rotation::SingleUse };
    let refreshable = has(REFRESHABLE);
    reader.0.is_empty().then_some(Terms {
        client,
        subject,
        scope,
        resources,
        binding,
        rotation,
        refreshable,
        authenticated_at,
        created_at,
        epoch,
        session,
        code,
        openid,
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use regrant_core::Timestamp;

    use super::*;

    fn terms() -> impl Strategy<Value = Terms> {
        let hash = || any::<[u8; 32]>().prop_map(Hash);
        let time = || {
            prop_oneof![any::<i64>(), Just(1_800_000_000_000), Just(i64::MIN), Just(i64::MAX)]
                .prop_map(Timestamp::from_millis)
        };
        let binding = prop_oneof![Just(Binding::Bearer), Just(Binding::Client), hash().prop_map(Binding::Key)];
        let code = (hash(), prop::option::of(hash()), prop::option::of(hash()), time()).prop_map(
            |(secret, challenge, redirect_uri, expires_at)| CodeTerms { secret, challenge, redirect_uri, expires_at },
        );
        let scope = prop_oneof![Just(""), Just("read"), Just("openid read write")];
        let resources =
            prop_oneof![Just(""), Just("https://api.example/"), Just("https://a.example/ https://b.example/")];
        let kinds =
            (binding, any::<bool>(), any::<bool>(), prop::option::of(any::<[u8; 32]>()), prop::option::of(code));
        (kinds, time(), time(), any::<u64>(), scope, resources).prop_map(
            |(
                (binding, is_reusable, refreshable, session, code),
                authenticated_at,
                created_at,
                epoch,
                scope,
                resources,
            )| {
                let client = ClientId::parse("web").expect("a client");
                Terms {
                    scope: spelling::scope(scope).expect("a scope"),
                    resources: Resources::parse(resources).expect("resources"),
                    binding,
                    rotation: if is_reusable { Rotation::Reusable } else { Rotation::SingleUse },
                    refreshable,
                    authenticated_at,
                    created_at,
                    epoch,
                    session,
                    code,
                    openid: OpenId::parse("n-0S6\n1\npwd otp\n\nemail").filter(|_| refreshable),
                    ..spelling::unreadable(client, "usr_1".to_owned())
                }
            },
        )
    }

    fn read(bytes: &[u8]) -> Option<Terms> {
        decode(ClientId::parse("web")?, "usr_1".to_owned(), bytes, &mut Anew)
    }

    proptest! {
        /// Every value comes back, and a changed byte is another value or none; never a panic.
        #[test]
        fn terms_are_read_as_they_were_written(terms in terms(), at in any::<prop::sample::Index>(), change in 1..=255_u8) {
            let mut bytes = encode(&terms);
            prop_assert_eq!(read(&bytes), Some(terms.clone()));
            let at = at.index(bytes.len());
            bytes[at] ^= change;
            prop_assert_ne!(read(&bytes), Some(terms));
            bytes.truncate(at);
            prop_assert_eq!(read(&bytes), None);
        }

        #[test]
        fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = read(&bytes);
        }
    }
}
