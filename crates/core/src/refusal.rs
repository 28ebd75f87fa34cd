//! Why a request was refused, inside (law L12). The client hears only an RFC code; the edge maps one to the other in one place.

use crate::grant::EndReason;
use std::time::Duration;

/// The true reason of a refusal: distinct, stable, without text and without secrets.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Refusal {
    /// Wrong size, prefix, checksum, version or tag: we did not mint it.
    NotOurs,
    /// Ours by its tag, and no such grant is there.
    UnknownGrant,
    /// Another client's.
    OtherClient,
    /// Bound to another key than the one proved.
    OtherKey,
    /// The row is not as we wrote it.
    TamperedRow,
    /// The grant was ended early.
    Ended(EndReason),
    /// Not used for longer than the idle lifetime.
    IdleExpired,
    /// The grant reached its absolute end.
    AbsoluteExpired,
    /// The user is disabled.
    SubjectDisabled,
    /// The user is no longer there.
    SubjectGone,
    /// The client is switched off.
    ClientDisabled,
    /// The client may not use this flow (any more).
    GrantTypeNotAllowed,
    /// The grant was made without a refresh token.
    NotRefreshable,
    /// A reusable grant whose client has become public.
    ReusableForPublic,
    /// The user has paused the client.
    ConsentPaused,
    /// The end that the user set for the client has come.
    ConsentOver,
    /// More scope than was granted.
    ScopeExceeded,
    /// Scope that the client may no longer have.
    ScopeNotAllowed,
    /// A resource that was not granted.
    TargetExceeded,
    /// A resource that the client may not have tokens for.
    TargetNotAllowed,
    /// An honest worker came a moment late, or so it may be: ask again after this long.
    Straggler {
        /// For `Retry-After`.
        retry_after: Duration,
    },
    /// The seed key that a retry needs was made on another node and is not here yet.
    SeedKeyNotYet,
    /// The grant has changed since what its token will say was prepared: ask again.
    NotPrepared,
    /// The seed key that a retry needs was destroyed.
    SeedKeyGone,
    /// A spent token: two parties hold tokens of one grant, and the grant was ended.
    Replayed,
    /// A spent token, and the client's policy is only to refuse.
    ReplayRefused,
    /// A spent token whose tag key is known to others, so that it proves nothing.
    SpentUnderCompromisedKey,
    /// A generation that was never issued: the store was set back, or a key leaked.
    Unissued,
    /// An era that the store has not reached.
    EraAhead,
    /// A code of an earlier era: it may have been redeemed in the time that the store has lost.
    EraPast,
    /// A token that may have been replaced in the time that the store has lost; the grant was ended.
    Superseded,
    /// A token of the time that the store has lost, whose holder proves no key; the grant was ended.
    Lost,
    /// A refresh token of generation 0, which is never minted.
    ImpossibleGeneration,
    /// The largest generation was presented; the grant ended.
    GenerationsExhausted,
    /// The authorization code is past its time.
    CodeExpired,
    /// The authorization code was redeemed a moment ago.
    CodeSpent,
    /// The authorization code was redeemed before; the grant that it made was ended.
    CodeReplayed,
    /// The code's secret is not the one that the row knows.
    CodeForged,
    /// Nobody has answered what the device asked for yet (RFC 8628 section 3.5).
    DevicePending,
    /// The same, and the device asks more often than it was told to.
    DeviceTooFast,
    /// The user refused what the device asked for.
    DeviceDenied,
    /// The device code is past its time.
    DeviceCodeExpired,
    /// `redirect_uri` differs from the authorization request's.
    RedirectUriMismatch,
    /// No `code_verifier`, and a challenge was sent.
    VerifierMissing,
    /// A `code_verifier`, and no challenge was sent (RFC 9700 section 2.1.1).
    VerifierUnexpected,
    /// `code_verifier` is not 43 to 128 unreserved characters.
    VerifierMalformed,
    /// `code_verifier` does not hash to the challenge.
    VerifierWrong,
    /// The resource owner's name or password is wrong.
    WrongPassword,
}

impl Refusal {
    /// Every refusal, for documents and tests. Where it carries a value, with any.
    pub fn all() -> impl Iterator<Item = Self> {
        const PLAIN: [Refusal; 47] = [
            Refusal::NotOurs,
            Refusal::UnknownGrant,
            Refusal::OtherClient,
            Refusal::OtherKey,
            Refusal::TamperedRow,
            Refusal::IdleExpired,
            Refusal::AbsoluteExpired,
            Refusal::SubjectDisabled,
            Refusal::SubjectGone,
            Refusal::ClientDisabled,
            Refusal::GrantTypeNotAllowed,
            Refusal::NotRefreshable,
            Refusal::ReusableForPublic,
            Refusal::ConsentPaused,
            Refusal::ConsentOver,
            Refusal::ScopeExceeded,
            Refusal::ScopeNotAllowed,
            Refusal::TargetExceeded,
            Refusal::TargetNotAllowed,
            Refusal::Straggler { retry_after: Duration::from_secs(2) },
            Refusal::SeedKeyNotYet,
            Refusal::NotPrepared,
            Refusal::SeedKeyGone,
            Refusal::Replayed,
            Refusal::ReplayRefused,
            Refusal::SpentUnderCompromisedKey,
            Refusal::Unissued,
            Refusal::EraAhead,
            Refusal::EraPast,
            Refusal::Superseded,
            Refusal::Lost,
            Refusal::ImpossibleGeneration,
            Refusal::GenerationsExhausted,
            Refusal::CodeExpired,
            Refusal::CodeSpent,
            Refusal::CodeReplayed,
            Refusal::CodeForged,
            Refusal::DevicePending,
            Refusal::DeviceTooFast,
            Refusal::DeviceDenied,
            Refusal::DeviceCodeExpired,
            Refusal::RedirectUriMismatch,
            Refusal::VerifierMissing,
            Refusal::VerifierUnexpected,
            Refusal::VerifierMalformed,
            Refusal::VerifierWrong,
            Refusal::WrongPassword,
        ];
        PLAIN.into_iter().chain(EndReason::ALL.into_iter().map(Self::Ended))
    }

    /// Whether it says nothing of a grant of the client's own: told to a client, these would say whose a stolen token is.
    #[must_use]
    pub const fn is_about_a_stranger(self) -> bool {
        matches!(self, Self::NotOurs | Self::UnknownGrant | Self::OtherClient | Self::OtherKey)
    }

    /// The stable reason code for logs, metrics and events.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::NotOurs => "not_ours",
            Self::UnknownGrant => "unknown_grant",
            Self::OtherClient => "other_client",
            Self::OtherKey => "other_key",
            Self::TamperedRow => "tampered_row",
            Self::Ended(reason) => reason.as_str(),
            Self::IdleExpired => "idle_expired",
            Self::AbsoluteExpired => "absolute_expired",
            Self::SubjectDisabled => "subject_disabled",
            Self::SubjectGone => "subject_gone",
            Self::ClientDisabled => "client_disabled",
            Self::GrantTypeNotAllowed => "grant_type_not_allowed",
            Self::NotRefreshable => "not_refreshable",
            Self::ReusableForPublic => "reusable_for_public",
            Self::ConsentPaused => "consent_paused",
            Self::ConsentOver => "consent_over",
            Self::ScopeExceeded => "scope_exceeded",
            Self::ScopeNotAllowed => "scope_not_allowed",
            Self::TargetExceeded => "target_exceeded",
            Self::TargetNotAllowed => "target_not_allowed",
            Self::Straggler { .. } => "straggler",
            Self::SeedKeyNotYet => "seed_key_not_yet",
            Self::NotPrepared => "not_prepared",
            Self::SeedKeyGone => "seed_key_gone",
            Self::Replayed => "replayed",
            Self::ReplayRefused => "replay_refused",
            Self::SpentUnderCompromisedKey => "spent_under_compromised_key",
            Self::Unissued => "unissued",
            Self::EraAhead => "era_ahead",
            Self::EraPast => "era_past",
            Self::Superseded => "superseded_in_restore",
            Self::Lost => "lost_in_restore_now",
            Self::ImpossibleGeneration => "impossible_generation",
            Self::GenerationsExhausted => "generations_exhausted_now",
            Self::CodeExpired => "code_expired",
            Self::CodeSpent => "code_spent",
            Self::CodeReplayed => "code_replayed_now",
            Self::CodeForged => "code_forged",
            Self::DevicePending => "device_pending",
            Self::DeviceTooFast => "device_too_fast",
            Self::DeviceDenied => "device_denied",
            Self::DeviceCodeExpired => "device_code_expired",
            Self::RedirectUriMismatch => "redirect_uri_mismatch",
            Self::VerifierMissing => "verifier_missing",
            Self::VerifierUnexpected => "verifier_unexpected",
            Self::VerifierMalformed => "verifier_malformed",
            Self::VerifierWrong => "verifier_wrong",
            Self::WrongPassword => "wrong_password",
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    /// Law L12: one code for each reason, or whoever reads the log could not tell two apart.
    #[test]
    fn every_refusal_has_a_reason_code_of_its_own() {
        let mut seen = HashSet::new();
        for refusal in Refusal::all() {
            let code = refusal.as_str();
            assert!(seen.insert(code), "{code} twice");
            assert!(!code.is_empty() && code.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_'), "{code}");
        }
        assert!(seen.contains("not_ours") && EndReason::ALL.iter().all(|reason| seen.contains(reason.as_str())));
    }

    /// Law L11: what these four say is not of the asker's own grant. All others are.
    #[test]
    fn four_refusals_are_about_strangers() {
        let about: Vec<_> = Refusal::all().filter(|refusal| refusal.is_about_a_stranger()).collect();
        assert_eq!(about, [Refusal::NotOurs, Refusal::UnknownGrant, Refusal::OtherClient, Refusal::OtherKey]);
    }
}
