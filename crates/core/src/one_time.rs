//! The kinds of credential we mint, each with its own prefix and type: what is one is never another (check A9).

use crate::codec;
use crate::secret::Hash;
use zeroize::Zeroizing;

/// Every kind of credential, for secret scanners and for the matrix test.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// Refresh token.
    Refresh,
    /// Opaque access token.
    Access,
    /// Authorization code.
    Code,
    /// Device code.
    Device,
    /// Client secret.
    ClientSecret,
    /// Initial access token: lets its holder register clients (RFC 7591 section 3).
    InitialAccess,
    /// Registration access token: lets a registered client read and change what was registered (RFC 7592).
    Registration,
}

impl Kind {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::Refresh,
        Self::Access,
        Self::Code,
        Self::Device,
        Self::ClientSecret,
        Self::InitialAccess,
        Self::Registration,
    ];

    /// Its published prefix.
    #[must_use]
    pub const fn prefix(self) -> &'static str {
        match self {
            Self::Refresh => crate::token::REFRESH_PREFIX,
            Self::Access => crate::access::ACCESS_PREFIX,
            Self::Code => crate::token::CODE_PREFIX,
            Self::Device => crate::token::DEVICE_PREFIX,
            Self::ClientSecret => "rgs_",
            Self::InitialAccess => "rgi_",
            Self::Registration => "rgm_",
        }
    }

    /// Which kind a text claims to be.
    #[must_use]
    pub fn of(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| text.starts_with(kind.prefix()))
    }
}

/// The shortest client secret that is taken, in characters. Ours have 53.
pub const MIN_SECRET_LEN: usize = 32;
/// The longest client secret that is read.
pub const MAX_SECRET_LEN: usize = 256;

/// A new client secret of 256 bits, from fresh chance.
#[must_use]
pub fn client_secret(random: [u8; 32]) -> Zeroizing<String> {
    Zeroizing::new(codec::encode(Kind::ClientSecret.prefix(), &random))
}

/// A new initial access token, or registration access token, of 256 bits.
#[must_use]
pub fn registration_token(kind: Kind, random: [u8; 32]) -> Zeroizing<String> {
    Zeroizing::new(codec::encode(kind.prefix(), &random))
}

/// What the store keeps of one: its hash, with its kind in it. `None` for a text that is none of this kind.
#[must_use]
pub fn registration_token_hash(kind: Kind, text: &str) -> Option<Hash> {
    codec::decode::<32>(kind.prefix(), text).map(|_| Hash::of(text.as_bytes()))
}

/// What the store and the configuration keep of a client secret. 256 bits need no slow hash.
#[must_use]
pub fn client_secret_hash(secret: &str) -> Hash {
    Hash::of(secret.as_bytes())
}
