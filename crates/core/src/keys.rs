//! The keys a decision needs: derived from one root, one purpose each, numbered, with a status.
//!
//! Root key → HKDF-SHA-256 with the deployment id as salt → one key per [`Purpose`] and id. No purpose is used twice and no
//! key has a default (checks K5). Seed keys alone are random and not derived: they are wrapped, rotated daily, left out of
//! every backup, and destroyed once no pending retry needs them, so that not even the root key brings them back (law L6).

mod status;

use std::collections::BTreeMap;

use aws_lc_rs::cipher::{AES_128, DecryptingKey, DecryptionContext, EncryptingKey, UnboundCipherKey};
use aws_lc_rs::{aead, hkdf, hmac};
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

use crate::recovery::Recovery;

pub use status::{BadKeys, KeyStatus, SeedKeyMissing};

/// Names one installation: 16 random bytes kept in the store. Tokens are bound to it and not to the issuer's name, so a
/// new domain logs nobody out.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct DeploymentId(pub [u8; 16]);

/// The one secret an operator keeps outside the store: 32 random bytes.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub struct RootKey([u8; 32]);

impl std::fmt::Debug for RootKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("RootKey(redacted)")
    }
}

/// The prefix of a root key in its file.
pub const ROOT_KEY_PREFIX: &str = "rgroot_";

impl RootKey {
    /// Takes 32 random bytes.
    #[must_use]
    pub const fn new(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// Reads the text of a root key file; `None` unless it is exactly what [`RootKey::text`] writes.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        crate::codec::decode(ROOT_KEY_PREFIX, text).map(Self)
    }

    /// The text for a root key file: prefix, base62, checksum.
    #[must_use]
    pub fn text(&self) -> Zeroizing<String> {
        Zeroizing::new(crate::codec::encode(ROOT_KEY_PREFIX, &self.0))
    }

    /// The key of one purpose, id and deployment.
    #[must_use]
    pub fn derive(&self, purpose: Purpose, deployment: DeploymentId, id: u32) -> Zeroizing<[u8; 32]> {
        let extracted = hkdf::Salt::new(hkdf::HKDF_SHA256, &deployment.0).extract(&self.0);
        let id = id.to_be_bytes();
        let info = [purpose.label().as_bytes(), &id];
        let mut key = Zeroizing::new([0; 32]);
        // 32 bytes are within HKDF's 255 blocks, so neither step can fail; were it to, the key would stay all zero and
        // the check value below would not fit the store.
        if let Ok(expanded) = extracted.expand(&info, hkdf::HKDF_SHA256) {
            let _ = expanded.fill(key.as_mut());
        }
        key
    }

    /// Proves that this root key belongs to the store that keeps the value, and tells nothing else (checks K6, K7).
    #[must_use]
    pub fn check_value(&self, deployment: DeploymentId) -> [u8; 16] {
        let key = hmac::Key::new(hmac::HMAC_SHA256, self.derive(Purpose::RootCheck, deployment, 0).as_ref());
        cut(hmac::sign(&key, b"regrant root check v1").as_ref())
    }
}

/// What a derived key is for. Each has a key of its own: what opens one kind of value opens no other.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Purpose {
    /// Tags of refresh tokens.
    RefreshTag,
    /// Tags of authorization codes.
    CodeTag,
    /// Tags of device codes.
    DeviceTag,
    /// Hashes user codes.
    UserCode,
    /// What scripts see of a browser session.
    SessionState,
    /// Message authentication of grant rows.
    RowMac,
    /// Hides grant numbers inside grant ids. Never rotates.
    GrantId,
    /// Seals grant number and generation in an access token's `jti`.
    Jti,
    /// Seals opaque access tokens.
    AccessToken,
    /// Wraps signing and seed keys at rest.
    Wrap,
    /// Hashes browser session cookies.
    SessionCookie,
    /// Form tokens against cross-site requests.
    Csrf,
    /// The check value of the root key.
    RootCheck,
    /// Message authentication of the revocation journal.
    Revocations,
    /// Chains the events.
    EventChain,
    /// Cursors of the admin API's pages.
    PageCursor,
    /// Places grants in status lists, and names the lists. Never rotates.
    StatusList,
    /// Pairwise subject identifiers. Never rotates: clients know their users by them.
    PairwiseSubject,
    /// Names of sessions for pairwise clients.
    PairwiseSession,
    /// The private key that request objects are encrypted to.
    RequestObjects,
    /// Wraps the secrets of clients that have to be known to be compared with (`client_secret_jwt`).
    ClientSecret,
    /// Seals interactions while somebody else shows them.
    Interaction,
    /// Derives what a change of a registration gives anew.
    Registration,
}

impl Purpose {
    /// Every purpose, for the test that no two keys are equal.
    pub const ALL: [Self; 23] = [
        Self::RefreshTag,
        Self::CodeTag,
        Self::DeviceTag,
        Self::UserCode,
        Self::SessionState,
        Self::RowMac,
        Self::GrantId,
        Self::Jti,
        Self::AccessToken,
        Self::Wrap,
        Self::SessionCookie,
        Self::Csrf,
        Self::RootCheck,
        Self::Revocations,
        Self::EventChain,
        Self::PageCursor,
        Self::StatusList,
        Self::PairwiseSubject,
        Self::PairwiseSession,
        Self::RequestObjects,
        Self::ClientSecret,
        Self::Interaction,
        Self::Registration,
    ];

    const fn label(self) -> &'static str {
        match self {
            Self::RefreshTag => "regrant key refresh-tag v1",
            Self::CodeTag => "regrant key code-tag v1",
            Self::DeviceTag => "regrant key device-tag v1",
            Self::UserCode => "regrant key user-code v1",
            Self::SessionState => "regrant key session-state v1",
            Self::RowMac => "regrant key row-mac v1",
            Self::GrantId => "regrant key grant-id v1",
            Self::Jti => "regrant key jti v1",
            Self::AccessToken => "regrant key access-token v1",
            Self::Wrap => "regrant key wrap v1",
            Self::SessionCookie => "regrant key session-cookie v1",
            Self::Csrf => "regrant key csrf v1",
            Self::RootCheck => "regrant key root-check v1",
            Self::Revocations => "regrant key revocations v1",
            Self::EventChain => "regrant key event-chain v1",
            Self::PageCursor => "regrant key page-cursor v1",
            Self::StatusList => "regrant key status-list v1",
            Self::PairwiseSubject => "regrant key pairwise-subject v1",
            Self::PairwiseSession => "regrant key pairwise-session v1",
            Self::RequestObjects => "regrant key request-objects v1",
            Self::ClientSecret => "regrant key client-secret v1",
            Self::Interaction => "regrant key interaction v1",
            Self::Registration => "regrant key registration v1",
        }
    }
}

/// A tag key and its status.
struct TagKey {
    status: KeyStatus,
    refresh: hmac::Key,
    code: hmac::Key,
    device: hmac::Key,
}

/// The number of the key of row MACs, which each row carries. There is no other: this key does not rotate.
pub(crate) const ROW_KEY: u8 = 1;

/// All keys of one moment, parsed once. Decisions get it by reference; a rotation replaces it whole.
pub struct Keys {
    deployment: DeploymentId,
    era: u16,
    recovery: Option<Recovery>,
    tag: BTreeMap<u8, TagKey>,
    current_tag: u8,
    seed: BTreeMap<u32, hmac::Key>,
    current_seed: u32,
    row: hmac::Key,
    hide: BlockCipher,
    jti: BlockCipher,
    status: BlockCipher,
    access: BTreeMap<u8, aead::LessSafeKey>,
    current_access: u8,
}

impl std::fmt::Debug for Keys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Keys").field("deployment", &self.deployment).field("era", &self.era).finish_non_exhaustive()
    }
}

/// Which keys there are, by number: the derived ones with their status, the seed keys with their bytes.
#[derive(Clone, Copy)]
pub struct KeySet<'a> {
    /// Tags of refresh tokens and codes. Exactly one is current.
    pub tag: &'a [(u8, KeyStatus)],
    /// Opaque access tokens. Exactly one is current.
    pub sealing: &'a [(u8, KeyStatus)],
    /// 32 random bytes each; the highest number is current.
    pub seed: &'a [(u32, Zeroizing<[u8; 32]>)],
}

impl std::fmt::Debug for KeySet<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("KeySet").field("tag", &self.tag).field("sealing", &self.sealing).finish_non_exhaustive()
    }
}

impl Keys {
    /// The keys of a deployment in its first days: derived keys number 1, and the seed keys given.
    ///
    /// # Errors
    /// [`BadKeys`] if no seed key is given or a cipher refuses its key.
    pub fn new(
        root: &RootKey,
        deployment: DeploymentId,
        era: u16,
        seed_keys: &[(u32, Zeroizing<[u8; 32]>)],
    ) -> Result<Self, BadKeys> {
        let first = [(1, KeyStatus::Current)];
        Self::of(root, deployment, era, KeySet { tag: &first, sealing: &first, seed: seed_keys })
    }

    /// The keys of this moment.
    ///
    /// # Errors
    /// [`BadKeys`] if there is no seed key, not exactly one current key of another kind, or a cipher refuses its key.
    pub fn of(root: &RootKey, deployment: DeploymentId, era: u16, set: KeySet<'_>) -> Result<Self, BadKeys> {
        let mac = |purpose, id| hmac::Key::new(hmac::HMAC_SHA256, root.derive(purpose, deployment, id).as_ref());
        let (current_tag, current_access) = (only_current(set.tag)?, only_current(set.sealing)?);
        let tag = set
            .tag
            .iter()
            .filter(|(_, status)| *status != KeyStatus::Gone)
            .map(|(id, status)| {
                let wide = u32::from(*id);
                let (refresh, code) = (mac(Purpose::RefreshTag, wide), mac(Purpose::CodeTag, wide));
                let device = mac(Purpose::DeviceTag, wide);
                (*id, TagKey { status: *status, refresh, code, device })
            })
            .collect();
        let mut access = BTreeMap::new();
        for (id, status) in set.sealing {
            // Whoever has a compromised one can write any opaque token: none of its tokens opens.
            if matches!(status, KeyStatus::Next | KeyStatus::Current | KeyStatus::Verify) {
                let key = root.derive(Purpose::AccessToken, deployment, u32::from(*id));
                let key = aead::UnboundKey::new(&aead::AES_256_GCM_SIV, key.as_ref()).map_err(|_| BadKeys)?;
                access.insert(*id, aead::LessSafeKey::new(key));
            }
        }
        let seed: BTreeMap<u32, hmac::Key> =
            set.seed.iter().map(|(id, key)| (*id, hmac::Key::new(hmac::HMAC_SHA256, key.as_ref()))).collect();
        let current_seed = *seed.keys().next_back().ok_or(BadKeys)?;
        let block = |purpose| BlockCipher::new(&root.derive(purpose, deployment, 0));
        Ok(Self {
            deployment,
            era,
            recovery: None,
            tag,
            current_tag,
            seed,
            current_seed,
            row: mac(Purpose::RowMac, u32::from(ROW_KEY)),
            hide: block(Purpose::GrantId)?,
            jti: block(Purpose::Jti)?,
            status: block(Purpose::StatusList)?,
            access,
            current_access,
        })
    }

    /// Which installation these keys belong to.
    #[must_use]
    pub const fn deployment(&self) -> DeploymentId {
        self.deployment
    }

    /// How many restores from a backup the store has seen.
    #[must_use]
    pub const fn era(&self) -> u16 {
        self.era
    }

    /// The same keys after a recovery that an operator has opened.
    #[must_use]
    pub fn with_recovery(self, recovery: Option<Recovery>) -> Self {
        Self { recovery, ..self }
    }

    /// The last recovery, if there was one.
    #[must_use]
    pub const fn recovery(&self) -> Option<&Recovery> {
        self.recovery.as_ref()
    }

    /// The tag key that mints now.
    #[must_use]
    pub const fn current_tag(&self) -> u8 {
        self.current_tag
    }

    /// The seed key that rotates now.
    #[must_use]
    pub const fn current_seed(&self) -> u32 {
        self.current_seed
    }

    /// The status of a tag key; [`KeyStatus::Gone`] if it is not there.
    #[must_use]
    pub fn tag_status(&self, id: u8) -> KeyStatus {
        self.tag.get(&id).map_or(KeyStatus::Gone, |key| key.status)
    }

    pub(crate) fn refresh_tag(&self, id: u8) -> Option<&hmac::Key> {
        self.tag.get(&id).map(|key| &key.refresh)
    }

    pub(crate) fn code_tag(&self, id: u8) -> Option<&hmac::Key> {
        self.tag.get(&id).map(|key| &key.code)
    }

    pub(crate) fn device_tag(&self, id: u8) -> Option<&hmac::Key> {
        self.tag.get(&id).map(|key| &key.device)
    }

    /// The seed key of this number, or why there is none: numbers above the newest were made elsewhere.
    pub(crate) fn seed_key(&self, id: u32) -> Result<&hmac::Key, SeedKeyMissing> {
        self.seed.get(&id).ok_or(if id > self.current_seed { SeedKeyMissing::NotYet } else { SeedKeyMissing::Gone })
    }

    pub(crate) const fn row(&self) -> &hmac::Key {
        &self.row
    }

    pub(crate) const fn hide(&self) -> &BlockCipher {
        &self.hide
    }

    pub(crate) const fn jti(&self) -> &BlockCipher {
        &self.jti
    }

    pub(crate) const fn status(&self) -> &BlockCipher {
        &self.status
    }

    pub(crate) fn access_key(&self, id: u8) -> Option<&aead::LessSafeKey> {
        self.access.get(&id)
    }

    /// The sealing key that mints now.
    #[must_use]
    pub const fn current_access(&self) -> u8 {
        self.current_access
    }
}

fn only_current(keys: &[(u8, KeyStatus)]) -> Result<u8, BadKeys> {
    let mut current = keys.iter().filter(|(_, status)| *status == KeyStatus::Current);
    match (current.next(), current.next()) {
        (Some((id, _)), None) => Ok(*id),
        _ => Err(BadKeys),
    }
}

/// AES-128 on single blocks: a permutation of 16 bytes, used to hide numbers and never to encrypt messages.
pub(crate) struct BlockCipher {
    encrypt: EncryptingKey,
    decrypt: DecryptingKey,
}

impl BlockCipher {
    fn new(key: &[u8; 32]) -> Result<Self, BadKeys> {
        let unbound = || UnboundCipherKey::new(&AES_128, &key[..16]).map_err(|_| BadKeys);
        Ok(Self {
            encrypt: EncryptingKey::ecb(unbound()?).map_err(|_| BadKeys)?,
            decrypt: DecryptingKey::ecb(unbound()?).map_err(|_| BadKeys)?,
        })
    }

    pub(crate) fn encrypt(&self, mut block: [u8; 16]) -> [u8; 16] {
        // One whole block and no padding: the cipher has no way to refuse it.
        let _ = self.encrypt.encrypt(&mut block);
        block
    }

    pub(crate) fn decrypt(&self, mut block: [u8; 16]) -> [u8; 16] {
        let _ = self.decrypt.decrypt(&mut block, DecryptionContext::None);
        block
    }
}

/// The first `N` bytes of a longer value: how tags are cut.
pub(crate) fn cut<const N: usize>(long: &[u8]) -> [u8; N] {
    let mut out = [0; N];
    out.copy_from_slice(&long[..N]);
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    const DEPLOYMENT: DeploymentId = DeploymentId([7; 16]);

    /// Check K5.
    #[test]
    fn every_purpose_id_and_deployment_has_a_key_of_its_own() {
        let root = RootKey::new([1; 32]);
        let mut seen = HashSet::new();
        for purpose in Purpose::ALL {
            for id in 0..4 {
                for deployment in [DEPLOYMENT, DeploymentId([8; 16])] {
                    assert!(seen.insert(*root.derive(purpose, deployment, id)));
                }
            }
        }
        assert!(!seen.contains(&[0; 32]));
    }

    #[test]
    fn a_root_key_reads_its_own_text_only() {
        let root = RootKey::new([9; 32]);
        let text = root.text();
        assert!(RootKey::parse(&text).is_some());
        assert!(RootKey::parse(&text[..text.len() - 1]).is_none());
        assert!(RootKey::parse("").is_none());
        assert!(!format!("{root:?}").contains('9'));
    }

    #[test]
    fn a_block_comes_back() {
        let cipher = BlockCipher::new(&[3; 32]).expect("a 128-bit key");
        let block = *b"sixteen bytes ok";
        assert_ne!(cipher.encrypt(block), block);
        assert_eq!(cipher.decrypt(cipher.encrypt(block)), block);
    }
}
