//! A grant: what one subject gave one client, on one device, once. One row, of constant size, which owns everything minted
//! from it (laws L4, L5).
//!
//! The hot half changes at each rotation; the cold half ([`Terms`]) is written once. Both stand under one MAC, so that a row
//! changed behind our back is refused instead of believed (check K8).

use std::sync::Arc;

use aws_lc_rs::hmac;

use crate::client::ClientId;
use crate::keys::{Keys, ROW_KEY, cut};
use crate::openid::OpenId;
use crate::scope::{Resources, Scope};
use crate::secret::{Hash, Seed, Wiped};
use crate::time::Timestamp;
use crate::token::{Code, RefreshToken};

/// Names a grant. The number is the store's key and is never used twice; the random half is stored and compared.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct GrantId {
    /// Sequential within reserved blocks, at least 1.
    pub number: u64,
    /// Makes an id that names a number of the future or the past worthless.
    pub random: u64,
}

impl GrantId {
    /// The id as tokens carry it: one AES block, which leaks neither volume nor order.
    #[must_use]
    pub fn to_wire(self, keys: &Keys) -> [u8; 16] {
        let mut block = [0; 16];
        block[..8].copy_from_slice(&self.number.to_be_bytes());
        block[8..].copy_from_slice(&self.random.to_be_bytes());
        keys.hide().encrypt(block)
    }

    /// Reverses [`GrantId::to_wire`]. Any 16 bytes name some id; whether a grant is there is the store's word.
    #[must_use]
    pub fn from_wire(wire: [u8; 16], keys: &Keys) -> Self {
        let block = keys.hide().decrypt(wire);
        Self { number: u64::from_be_bytes(cut(&block)), random: u64::from_be_bytes(cut(&block[8..])) }
    }

    /// The id for people, logs and commands: 22 base62 digits of the wire id.
    #[must_use]
    pub fn display(self, keys: &Keys) -> String {
        crate::codec::encode_plain(&self.to_wire(keys))
    }

    /// Reads what [`GrantId::display`] wrote.
    #[must_use]
    pub fn parse(text: &str, keys: &Keys) -> Option<Self> {
        crate::codec::decode_plain(text).map(|wire| Self::from_wire(wire, keys))
    }
}

/// Whether a refresh yields a new refresh token (RFC 9700 section 4.14.2) or the same one. Fixed when the grant is made.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Rotation {
    /// Each refresh token works once; its successor comes with the answer.
    SingleUse,
    /// One refresh token works until the grant ends.
    Reusable,
}

/// Why a grant was ended before its clocks.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum EndReason {
    /// A spent refresh token was presented: two parties hold tokens of one grant.
    RefreshReplayed,
    /// A redeemed authorization or device code was presented again.
    CodeReplayed,
    /// The client revoked its token (RFC 7009).
    RevokedByClient,
    /// An operator revoked the grant.
    RevokedByOperator,
    /// The subject withdrew.
    RevokedByUser,
    /// The largest generation was presented.
    GenerationsExhausted,
    /// An operator revoked all grants of the user.
    UserRevoked,
    /// An operator revoked all grants of the client.
    ClientRevoked,
    /// An operator revoked what the user gave the client.
    UserAtClientRevoked,
    /// An operator revoked all grants of the browser session.
    SessionRevoked,
    /// An operator revoked all grants whose live token has the tag of this key.
    KeyRevoked,
    /// An operator revoked all grants that hold the scope.
    ScopeRevoked,
    /// An operator revoked all grants that hold the resource.
    ResourceRevoked,
    /// An operator revoked everything made before a time.
    IssuedBeforeRevoked,
    /// An operator revoked in bulk by several criteria.
    SelectionRevoked,
    /// The user's password was changed.
    PasswordChanged,
    /// The user was switched off, and perhaps on again.
    UserDisabled,
    /// The user logged out of the browser session in which the grant was given.
    LoggedOut,
    /// The user's consent was withdrawn.
    ConsentWithdrawn,
    /// The client was removed, and perhaps another one added under its name.
    ClientRemoved,
    /// The client was switched off, and perhaps on again.
    ClientSwitchedOff,
    /// The client got another secret.
    ClientSecretRotated,
    /// The client lost a redirect URI.
    RedirectUrisReduced,
    /// Another system asked to revoke everything of the user (draft-parecki-oauth-global-token-revocation).
    GlobalRevocation,
    /// The user was removed, and perhaps brought back under the same subject.
    UserRemoved,
    /// The store was restored from an older copy, and which of its tokens is the newest cannot be known.
    LostInRestore,
    /// The user refused what a device asked for.
    DeniedByUser,
}

impl EndReason {
    /// All of them, in the order of their numbers in the store, which count from 1.
    pub const ALL: [Self; 27] = [
        Self::RefreshReplayed,
        Self::CodeReplayed,
        Self::RevokedByClient,
        Self::RevokedByOperator,
        Self::RevokedByUser,
        Self::GenerationsExhausted,
        Self::UserRevoked,
        Self::ClientRevoked,
        Self::UserAtClientRevoked,
        Self::SessionRevoked,
        Self::KeyRevoked,
        Self::ScopeRevoked,
        Self::ResourceRevoked,
        Self::IssuedBeforeRevoked,
        Self::SelectionRevoked,
        Self::PasswordChanged,
        Self::UserDisabled,
        Self::LoggedOut,
        Self::ConsentWithdrawn,
        Self::ClientRemoved,
        Self::ClientSwitchedOff,
        Self::ClientSecretRotated,
        Self::RedirectUrisReduced,
        Self::GlobalRevocation,
        Self::UserRemoved,
        Self::LostInRestore,
        Self::DeniedByUser,
    ];

    /// The stable word for logs, events and commands.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::RefreshReplayed => "refresh_replayed",
            Self::CodeReplayed => "code_replayed",
            Self::RevokedByClient => "revoked_by_client",
            Self::RevokedByOperator => "revoked_by_operator",
            Self::RevokedByUser => "revoked_by_user",
            Self::GenerationsExhausted => "generations_exhausted",
            Self::UserRevoked => "user_revoked",
            Self::ClientRevoked => "client_revoked",
            Self::UserAtClientRevoked => "user_at_client_revoked",
            Self::SessionRevoked => "session_revoked",
            Self::KeyRevoked => "key_revoked",
            Self::ScopeRevoked => "scope_revoked",
            Self::ResourceRevoked => "resource_revoked",
            Self::IssuedBeforeRevoked => "issued_before_revoked",
            Self::SelectionRevoked => "selection_revoked",
            Self::PasswordChanged => "password_changed",
            Self::UserDisabled => "user_disabled",
            Self::LoggedOut => "logged_out",
            Self::ConsentWithdrawn => "consent_withdrawn",
            Self::ClientRemoved => "client_removed",
            Self::ClientSwitchedOff => "client_switched_off",
            Self::ClientSecretRotated => "client_secret_rotated",
            Self::RedirectUrisReduced => "redirect_uris_reduced",
            Self::GlobalRevocation => "global_revocation",
            Self::UserRemoved => "user_removed",
            Self::LostInRestore => "lost_in_restore",
            Self::DeniedByUser => "denied_by_user",
        }
    }

    /// The number in the store.
    #[must_use]
    pub const fn code(self) -> u8 {
        match self {
            Self::RefreshReplayed => 1,
            Self::CodeReplayed => 2,
            Self::RevokedByClient => 3,
            Self::RevokedByOperator => 4,
            Self::RevokedByUser => 5,
            Self::GenerationsExhausted => 6,
            Self::UserRevoked => 7,
            Self::ClientRevoked => 8,
            Self::UserAtClientRevoked => 9,
            Self::SessionRevoked => 10,
            Self::KeyRevoked => 11,
            Self::ScopeRevoked => 12,
            Self::ResourceRevoked => 13,
            Self::IssuedBeforeRevoked => 14,
            Self::SelectionRevoked => 15,
            Self::PasswordChanged => 16,
            Self::UserDisabled => 17,
            Self::LoggedOut => 18,
            Self::ConsentWithdrawn => 19,
            Self::ClientRemoved => 20,
            Self::ClientSwitchedOff => 21,
            Self::ClientSecretRotated => 22,
            Self::RedirectUrisReduced => 23,
            Self::GlobalRevocation => 24,
            Self::UserRemoved => 25,
            Self::LostInRestore => 26,
            Self::DeniedByUser => 27,
        }
    }

    /// Reverses [`EndReason::code`].
    #[must_use]
    pub fn from_code(code: u8) -> Option<Self> {
        Self::ALL.get(usize::from(code).checked_sub(1)?).copied()
    }
}

/// What binds a refresh token to its holder besides the token itself.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Binding {
    /// Nothing: whoever holds the token of a public client is its client.
    Bearer,
    /// The client authenticates at each refresh.
    Client,
    /// The holder proves a key at each refresh: the hash of its public half (RFC 9449 `jkt`, RFC 8705 `x5t#S256`).
    Key(Hash),
}

/// The part of a grant that never changes: who gave what to whom.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Terms {
    /// The client that holds the grant.
    pub client: ClientId,
    /// The stable identifier of the user who gave it (`sub`).
    pub subject: String,
    /// All that was granted; a refresh may narrow its access token, never this (law L8).
    pub scope: Scope,
    /// The resource servers it is for (RFC 8707); empty means the server's default.
    pub resources: Resources,
    /// What binds its tokens.
    pub binding: Binding,
    /// Whether refreshes rotate.
    pub rotation: Rotation,
    /// Whether refresh tokens were promised at all: the client's `refresh_token` grant type at the time.
    pub refreshable: bool,
    /// When the subject logged in (`auth_time`).
    pub authenticated_at: Timestamp,
    /// When the grant was made.
    pub created_at: Timestamp,
    /// How many wide revocations there had been by then ([`Epoch`](crate::epoch::Epoch)).
    pub epoch: u64,
    /// The browser session in which it was given, by the keyed hash that names it; `None` without a browser.
    pub session: Option<[u8; 32]>,
    /// What the authorization code was bound to; `None` for grants without a code.
    pub code: Option<CodeTerms>,
    /// What its ID tokens say; `None` for grants that have none.
    pub openid: Option<OpenId>,
}

/// What an authorization code is bound to (RFC 6749 section 4.1.3, RFC 7636 section 4.6). Kept as long as the grant, so
/// that a replay is recognised for ever.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CodeTerms {
    /// SHA-256 of the code's secret.
    pub secret: Hash,
    /// The PKCE S256 challenge, if one was sent.
    pub challenge: Option<Hash>,
    /// SHA-256 of the `redirect_uri` of the authorization request; `None` if it carried none.
    pub redirect_uri: Option<Hash>,
    /// When the code stops being redeemable.
    pub expires_at: Timestamp,
}

/// A grant's row.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Grant {
    /// Its name.
    pub id: GrantId,
    /// Stepped by every write: what compare-and-set compares.
    pub version: u64,
    /// Chance stored by every write, to recognise one's own.
    pub write_id: u64,
    /// How many times the refresh token was rotated, plus one; 0 while there is only a code.
    pub generation: u32,
    /// SHA-256 of the live seed; `None` while there is only a code, and for grants without refresh tokens.
    pub current: Option<Hash>,
    /// What derives the live seed from its predecessor, for as long as a retry may need it.
    pub ratchet: Option<[u8; 32]>,
    /// The tag key under which the live token was minted.
    pub tag_key: u8,
    /// The era in which the live token was minted.
    pub era: u16,
    /// The seed key that made the live seed.
    pub seed_key: u32,
    /// When the live token replaced its predecessor.
    pub rotated_at: Timestamp,
    /// When that one had replaced its own.
    pub previously_rotated_at: Timestamp,
    /// When a refresh of this grant was last answered 200.
    pub answered_at: Timestamp,
    /// Counted retries of the last rotation.
    pub retries: u32,
    /// SHA-256 of the `Idempotency-Key` of the request that rotated.
    pub retry_proof: Option<Hash>,
    /// When it ends for lack of use.
    pub idle_at: Timestamp,
    /// When it ends whatever is done.
    pub absolute_at: Timestamp,
    /// When and why it was ended early.
    pub ended: Option<(Timestamp, EndReason)>,
    /// When the code was redeemed, or the grant made without one.
    pub redeemed_at: Option<Timestamp>,
    /// What never changes.
    pub terms: Arc<Terms>,
}

impl Grant {
    /// The earlier of the two clocks.
    #[must_use]
    pub fn ends_at(&self) -> Timestamp {
        self.idle_at.min(self.absolute_at)
    }

    /// Whether nothing minted from this grant may be vouched for any more.
    #[must_use]
    pub fn is_over(&self, now: Timestamp) -> bool {
        let over = match self.redeemed_at {
            None => self.terms.code.as_ref().is_none_or(|code| code.expires_at.is_over(now)),
            Some(_) => self.ends_at().is_over(now),
        };
        self.ended.is_some() || over
    }

    /// The live refresh token with this seed.
    #[must_use]
    pub(crate) fn token(&self, seed: Seed) -> RefreshToken {
        RefreshToken { tag_key: self.tag_key, era: self.era, grant: self.id, generation: self.generation, seed }
    }

    /// The code with this seed.
    #[must_use]
    pub(crate) fn code_token(&self, seed: Seed) -> Code {
        Code { tag_key: self.tag_key, era: self.era, grant: self.id, seed }
    }

    /// The MAC over every column, with the id of its key: what the store keeps beside the row.
    #[must_use]
    pub fn mac(&self, keys: &Keys) -> RowMac {
        RowMac { key_id: ROW_KEY, mac: self.mac_under(keys.row()) }
    }

    /// Whether the row is the one we wrote.
    #[must_use]
    pub fn is_intact(&self, mac: RowMac, keys: &Keys) -> bool {
        let ours = self.mac_under(keys.row());
        mac.key_id == ROW_KEY && aws_lc_rs::constant_time::verify_slices_are_equal(&ours, &mac.mac).is_ok()
    }

    fn mac_under(&self, key: &hmac::Key) -> [u8; 16] {
        let mut writer = MacWriter(Wiped::new(Vec::with_capacity(ROW_LEN)));
        writer.bytes(b"regrant row v1");
        writer.numbers(&[self.id.number, self.id.random, self.version, self.write_id, u64::from(self.generation)]);
        writer.optional(self.current.as_ref().map(|hash| hash.0.as_slice()));
        writer.optional(self.ratchet.as_ref().map(<[u8; 32]>::as_slice));
        writer.numbers(&[u64::from(self.tag_key), u64::from(self.era), u64::from(self.seed_key)]);
        writer.times(&[self.rotated_at, self.previously_rotated_at, self.answered_at, self.idle_at, self.absolute_at]);
        writer.numbers(&[u64::from(self.retries)]);
        writer.optional(self.retry_proof.as_ref().map(|hash| hash.0.as_slice()));
        let (ended_at, reason) = self.ended.map_or((Timestamp::MAX, 0), |(at, reason)| (at, reason.code()));
        writer.numbers(&[u64::from(reason), u64::from(self.redeemed_at.is_some())]);
        writer.times(&[ended_at, self.redeemed_at.unwrap_or(Timestamp::MAX)]);
        self.terms.write_to(&mut writer);
        cut(hmac::sign(key, &writer.0).as_ref())
    }
}

impl Terms {
    fn write_to(&self, writer: &mut MacWriter) {
        writer.bytes(self.client.as_str().as_bytes());
        writer.bytes(self.subject.as_bytes());
        writer.words(self.scope.iter());
        writer.words(self.resources.iter());
        let (binding, key) = match &self.binding {
            Binding::Bearer => (0, None),
            Binding::Client => (1, None),
            Binding::Key(hash) => (2, Some(hash.0.as_slice())),
        };
        let reusable = u64::from(self.rotation == Rotation::Reusable);
        writer.numbers(&[binding, reusable, u64::from(self.refreshable)]);
        writer.optional(key);
        writer.times(&[self.authenticated_at, self.created_at]);
        writer.numbers(&[u64::from(self.code.is_some())]);
        if let Some(code) = &self.code {
            writer.bytes(&code.secret.0);
            writer.optional(code.challenge.as_ref().map(|hash| hash.0.as_slice()));
            writer.optional(code.redirect_uri.as_ref().map(|hash| hash.0.as_slice()));
            writer.times(&[code.expires_at]);
        }
        // Rows of before there were epochs have neither, and an encoding that ends here; rows without ID tokens end after both. No row can
        // pass for one of another kind: all that stands before tells where it ends.
        if self.epoch != 0 || self.session.is_some() || self.openid.is_some() {
            writer.numbers(&[self.epoch]);
            writer.optional(self.session.as_ref().map(<[u8; 32]>::as_slice));
        }
        if let Some(openid) = &self.openid {
            writer.bytes(openid.text().as_bytes());
        }
    }
}

/// The MAC of a row and the id of its key.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct RowMac {
    /// Which row key made it.
    pub key_id: u8,
    /// 128 bits of HMAC-SHA-256.
    pub mac: [u8; 16],
}

/// Longer than the encoding of most rows, which then grows nowhere.
const ROW_LEN: usize = 384;

/// Writes what the MAC is taken of, so that no two rows have one encoding: numbers are fixed, the rest carries its length. The fields
/// are gathered first: the hash takes one long piece for less than it takes thirty short ones.
pub(crate) struct MacWriter(pub(crate) Wiped<Vec<u8>>);

impl MacWriter {
    pub(crate) fn numbers(&mut self, numbers: &[u64]) {
        for number in numbers {
            self.0.extend_from_slice(&number.to_be_bytes());
        }
    }

    fn times(&mut self, times: &[Timestamp]) {
        for time in times {
            self.0.extend_from_slice(&time.millis().to_be_bytes());
        }
    }

    pub(crate) fn bytes(&mut self, bytes: &[u8]) {
        self.numbers(&[bytes.len() as u64]);
        self.0.extend_from_slice(bytes);
    }

    /// The words with a space between two, as the store spells them.
    fn words<'a>(&mut self, words: impl Iterator<Item = &'a str>) {
        let length_at = self.0.len();
        self.numbers(&[0]);
        let begin = self.0.len();
        for word in words {
            if self.0.len() > begin {
                self.0.push(b' ');
            }
            self.0.extend_from_slice(word.as_bytes());
        }
        let length = (self.0.len() - begin) as u64;
        self.0[length_at..begin].copy_from_slice(&length.to_be_bytes());
    }

    pub(crate) fn optional(&mut self, bytes: Option<&[u8]>) {
        match bytes {
            None => self.numbers(&[u64::MAX]),
            Some(bytes) => self.bytes(bytes),
        }
    }
}
