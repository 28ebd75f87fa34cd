//! The list of reasons: why a request was refused, under one stable code in the log, the metrics, the events and `regrant explain`.
//!
//! `docs/reasons.md` is written from this list, and a test holds them together. A code never changes its meaning; what the client
//! hears is the RFC's code beside it, and the reason itself only where `tell_reason` is set.

use std::time::Duration;

use regrant_core::Refusal;
use regrant_core::grant::EndReason;
use regrant_store::{Cause, Unavailable};
use serde::Serialize;

use crate::answer::{BearerFailure, Budget, Failure};
use crate::client_auth::NotAuthenticated;
use crate::form::Malformed;
use crate::registration::BadMetadata;

/// One reason.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Reason {
    /// The stable code.
    pub code: &'static str,
    /// What the client hears: the RFC's code.
    pub outside: &'static str,
    /// The status of that answer.
    pub status: u16,
    /// What happened.
    pub happened: &'static str,
    /// What would have been accepted, or what to do.
    pub accepted: &'static str,
}

/// Every reason: those of the rules first, in the order in which they are asked, then those of the edge.
#[must_use]
pub fn all() -> Vec<Reason> {
    let rules = Refusal::all().map(of);
    let edge = EDGE.into_iter().map(|(failure, happened, accepted)| reason(&failure, happened, accepted));
    rules.chain(edge).collect()
}

/// The reason of a refusal.
#[must_use]
pub fn of(refusal: Refusal) -> Reason {
    let (happened, accepted) = told(refusal);
    reason(&Failure::Refused(refusal), happened, accepted)
}

/// The reason of this code.
#[must_use]
pub fn named(code: &str) -> Option<Reason> {
    all().into_iter().find(|reason| reason.code == code)
}

/// `docs/reasons.md`.
#[must_use]
pub fn document() -> String {
    let mut text = HEAD.to_owned();
    for Reason { code, outside, status, happened, accepted } in all() {
        text.push_str(&format!("| <a id=\"{code}\"></a>`{code}` | {status} `{outside}` | {happened} | {accepted} |\n"));
    }
    text
}

const HEAD: &str = "# Reasons

Why a request was refused. Each reason has one code, and it is the same in the log (`outcome`), the metrics
(`regrant_requests_total{outcome=…}`), the events (`reason`) and `regrant explain`. A code never changes its meaning.

The client hears the RFC's code and a correlation id (`correlation_id`, and the header `x-correlation-id`);
`regrant explain CORRELATION-ID` finds the event. With `tell_reason = true` in its `[[client]]` the answer has the member
`reason` as well, and `error_uri`, the place of the reason on the server's own page `/reasons`; but not where the token is
not the client's own: that is nobody's business.

Written from the code: `REGRANT_BLESS=1 cargo test --profile proof -p sim --test tidy`.

| code | the client hears | what happened | what would have been accepted, what to do |
|---|---|---|---|
";

fn reason(failure: &Failure, happened: &'static str, accepted: &'static str) -> Reason {
    let (code, outside, status) = (failure.outcome(), failure.code().as_str(), failure.status().as_u16());
    Reason { code, outside, status, happened, accepted }
}

const LOG_IN: &str = "nothing any more: the user logs in again";

const fn told(refusal: Refusal) -> (&'static str, &'static str) {
    match refusal {
        Refusal::NotOurs => (
            "the token or code was not minted here, or a character of it is wrong",
            "the text as it was sent to the client, of this server",
        ),
        Refusal::UnknownGrant => (
            "the token is ours by its tag, and there is no such grant: its tombstone is gone, or the store was set back",
            LOG_IN,
        ),
        Refusal::OtherClient => (
            "a genuine token, presented by another client than the one it was given to",
            "the same token from its own client; if that did not leak it, find out who did",
        ),
        Refusal::OtherKey => (
            "the token is bound to another key than the one that was proved",
            "the same request with a proof of the client's own key",
        ),
        Refusal::TamperedRow => (
            "the grant's row in the store is not as the server wrote it",
            "nothing: look at who can write to the store, restore it from a backup",
        ),
        Refusal::IdleExpired => ("the grant was not used for longer than idle_lifetime", LOG_IN),
        Refusal::AbsoluteExpired => ("the grant has reached its absolute_lifetime", LOG_IN),
        Refusal::SubjectDisabled => ("the user is disabled", "the same request once the user is enabled again"),
        Refusal::SubjectGone => ("the user was removed", "nothing any more"),
        Refusal::ClientDisabled => ("the client is switched off", "the same request once it is switched on again"),
        Refusal::GrantTypeNotAllowed => (
            "the client does not have this grant type, or no longer",
            "one of its grant_types, or a grant type added to them",
        ),
        Refusal::NotRefreshable => {
            ("the grant was made without a refresh token", "a login after the client was given refresh_token")
        }
        Refusal::ReusableForPublic => (
            "the grant's token is reusable, and its client has become public since (RFC 9700 section 4.14.2)",
            "nothing any more: the user logs in again and gets a token that rotates",
        ),
        Refusal::ConsentPaused => {
            ("the user has paused the client", "the same token, once the user lets the client go on (/account)")
        }
        Refusal::ConsentOver => ("the end that the user had set for the client has come (/account)", LOG_IN),
        Refusal::ScopeExceeded => {
            ("more scope was asked for than was granted", "no scope parameter, or a part of the grant's scope")
        }
        Refusal::ScopeNotAllowed => (
            "scope was asked for that the client may not have or that means nothing to the resource, or nothing is left of what was granted",
            "scope within the client's scopes, and some that the resource knows",
        ),
        Refusal::TargetExceeded => {
            ("a resource was asked for that was not granted", "no resource parameter, or some of the grant's resources")
        }
        Refusal::TargetNotAllowed => (
            "a resource was asked for that the client may not have tokens for",
            "resources within the client's resources",
        ),
        Refusal::Straggler { .. } => (
            "a token that was replaced a moment ago: a worker came late, or a thief early; nothing was revoked",
            "the newer token, which the client has in its own store by now; the retry-after tells when to ask",
        ),
        Refusal::SeedKeyNotYet => (
            "the key that repeats the last answer was made on another node, and is not here yet",
            "the same request a second later",
        ),
        Refusal::NotPrepared => (
            "the grant changed while the token hook was asked, or claims were looked up",
            "the same request a second later",
        ),
        Refusal::SeedKeyGone => {
            ("the key that repeats the last answer was destroyed", "the live token; without it the user logs in again")
        }
        Refusal::Replayed => (
            "a spent token was presented: two parties hold tokens of one grant, and it was ended",
            "nothing any more: the user logs in again; if that happens often, look whether clients share a store",
        ),
        Refusal::ReplayRefused => (
            "a spent token was presented, and the client's on_replay is \"refuse\"",
            "the live token; if its holder is not the client, revoke the grant",
        ),
        Refusal::SpentUnderCompromisedKey => {
            ("a spent token whose tag key is known to others: it proves nothing, and ends nothing", "the live token")
        }
        Refusal::Unissued => (
            "a generation that was never issued: the store was set back behind its tokens, or a key leaked",
            "nothing: read docs/operations.md about a restored store",
        ),
        Refusal::EraAhead => {
            ("the token is of an era that the store has not reached: the store was set back", "as for unissued")
        }
        Refusal::EraPast => {
            ("the code is of an era before a restore, and may have been redeemed in the time that was lost", LOG_IN)
        }
        Refusal::Superseded => (
            "the token may have been replaced in the time that a restored store has lost, and the grant was ended",
            LOG_IN,
        ),
        Refusal::Lost => (
            "the token is of the time that a restored store has lost, its holder proves no key, and the grant was ended",
            LOG_IN,
        ),
        Refusal::ImpossibleGeneration => {
            ("a refresh token of generation 0, which is never minted: a key leaked", "nothing: replace the tag key")
        }
        Refusal::GenerationsExhausted => ("the grant was refreshed four billion times, and was ended", LOG_IN),
        Refusal::CodeExpired => ("the authorization code is past its time", "the code within a minute of the redirect"),
        Refusal::CodeSpent => {
            ("the authorization code was redeemed less than half a second ago: a double click", "the first answer")
        }
        Refusal::CodeReplayed => (
            "the authorization code was redeemed before; the grant that it made was ended (RFC 6749 section 4.1.2)",
            "each code once",
        ),
        Refusal::CodeForged => {
            ("the code's secret is not the one that was sent", "the code as it was sent; a key may have leaked")
        }
        Refusal::DevicePending => (
            "nobody has answered what the device asked for yet",
            "the same request after the interval, until somebody has",
        ),
        Refusal::DeviceTooFast => (
            "nobody has answered yet, and the device asks more often than it was told to",
            "the same request after an interval that is 5 seconds longer each time",
        ),
        Refusal::DeviceDenied => ("the user refused what the device asked for", "a new device code, which is allowed"),
        Refusal::DeviceCodeExpired => {
            ("nobody answered within expires_in, or the device came too late", "a new device code")
        }
        Refusal::RedirectUriMismatch => (
            "redirect_uri differs from the authorization request's",
            "the same redirect_uri, byte by byte, or none if none was sent",
        ),
        Refusal::VerifierMissing => ("no code_verifier, and a challenge was sent", "the verifier of that challenge"),
        Refusal::VerifierUnexpected => {
            ("a code_verifier, and no challenge was sent (RFC 9700 section 2.1.1)", "a challenge at the beginning")
        }
        Refusal::VerifierMalformed => {
            ("code_verifier is not 43 to 128 unreserved characters (RFC 7636 section 4.1)", "one that is")
        }
        Refusal::VerifierWrong => ("code_verifier does not hash to the challenge", "the verifier of that challenge"),
        Refusal::WrongPassword => ("the user's name or password is wrong", "the right ones"),
        Refusal::Ended(reason) => ended(reason),
    }
}

const fn ended(reason: EndReason) -> (&'static str, &'static str) {
    match reason {
        EndReason::RefreshReplayed => {
            ("the grant was ended before, because a spent refresh token was presented", LOG_IN)
        }
        EndReason::CodeReplayed => ("the grant was ended before, because its code was presented twice", LOG_IN),
        EndReason::RevokedByClient => ("the client revoked the grant (RFC 7009)", LOG_IN),
        EndReason::RevokedByOperator => ("an operator revoked the grant", LOG_IN),
        EndReason::RevokedByUser => ("the user revoked the grant", LOG_IN),
        EndReason::GenerationsExhausted => {
            ("the grant was ended before, as it had been refreshed four billion times", LOG_IN)
        }
        EndReason::UserRevoked => ("an operator revoked everything of the user", LOG_IN),
        EndReason::ClientRevoked => ("an operator revoked everything of the client", LOG_IN),
        EndReason::UserAtClientRevoked => ("an operator revoked what the user had given the client", LOG_IN),
        EndReason::SessionRevoked => ("an operator revoked everything of the browser session", LOG_IN),
        EndReason::KeyRevoked => ("an operator revoked everything under a tag key", LOG_IN),
        EndReason::ScopeRevoked => ("an operator revoked everything that holds a scope", LOG_IN),
        EndReason::ResourceRevoked => ("an operator revoked everything that holds a resource", LOG_IN),
        EndReason::IssuedBeforeRevoked => ("an operator revoked everything made before a time", LOG_IN),
        EndReason::SelectionRevoked => ("an operator revoked in bulk by several criteria", LOG_IN),
        EndReason::PasswordChanged => ("the user's password was changed (on_password_changed)", LOG_IN),
        EndReason::UserDisabled => ("the user was disabled, and perhaps enabled again (on_user_disabled)", LOG_IN),
        EndReason::DeniedByUser => ("the user refused what the device asked for", "a new device code"),
        EndReason::LostInRestore => (
            "the store was restored from an older copy, and which token of the grant is the newest could not be known",
            LOG_IN,
        ),
        EndReason::UserRemoved => ("the user was removed", LOG_IN),
        EndReason::LoggedOut => ("the user logged out of the session in which the grant was given (on_logout)", LOG_IN),
        EndReason::ConsentWithdrawn => ("the user's consent was withdrawn (on_consent_withdrawn)", LOG_IN),
        EndReason::ClientRemoved => ("the client was removed (on_client_removed)", LOG_IN),
        EndReason::ClientSwitchedOff => {
            ("the client was disabled, and perhaps enabled again (on_client_disabled)", LOG_IN)
        }
        EndReason::ClientSecretRotated => ("the client got another secret (on_client_secret_rotated)", LOG_IN),
        EndReason::RedirectUrisReduced => ("the client lost a redirect URI (on_redirect_uris_reduced)", LOG_IN),
        EndReason::GlobalRevocation => ("another system asked to revoke everything of the user", LOG_IN),
    }
}

/// What would have been accepted where somebody asked too often.
const LATER: &str = "the same request after Retry-After";

const fn too_many(
    budget: Budget,
    happened: &'static str,
    accepted: &'static str,
) -> (Failure, &'static str, &'static str) {
    (Failure::TooMany(budget, Duration::ZERO), happened, accepted)
}

/// What the edge refuses before, or beside, the rules: one example of each.
const EDGE: [(Failure, &str, &str); 42] = [
    (
        Failure::Malformed(Malformed::Encoding),
        "the request cannot be read; error_description and the log say what of it",
        "a form as RFC 6749 describes it, each parameter once, in the body",
    ),
    (Failure::Method(""), "another method than the endpoint takes", "the method in Allow"),
    (Failure::UnsupportedGrantType, "the grant_type is none of ours", "one of grant_types_supported"),
    (Failure::MalformedScope, "scope cannot be read", "tokens of RFC 6749 section 3.3, separated by single spaces"),
    (Failure::MalformedTarget, "resource is no absolute URI without a fragment", "what RFC 8707 section 2 describes"),
    (Failure::Client(NotAuthenticated::NoClient), "no client was named", "client_id, or an Authorization header"),
    (Failure::Client(NotAuthenticated::UnknownClient), "there is no such client", "a registered client_id"),
    (
        Failure::Client(NotAuthenticated::OtherMethod),
        "another way of authentication than the registered one",
        "the client's token_endpoint_auth_method",
    ),
    (
        Failure::Client(NotAuthenticated::WrongSecret),
        "the secret is wrong",
        "the client's secret, or the one before it while both work",
    ),
    (Failure::Client(NotAuthenticated::UnknownScheme), "an Authorization scheme other than Basic", "Basic"),
    (
        Failure::Client(NotAuthenticated::UnknownAssertionType),
        "a client_assertion_type that is not the one of JWTs",
        "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
    ),
    (
        Failure::Client(NotAuthenticated::BadAssertion),
        "the client's assertion is no JWT of its kind, has another algorithm than the registered one, or is not signed by a key of the client",
        "a JWT by a key of jwks or jwks_uri, or under the client's secret; a new key is seen within a minute",
    ),
    (
        Failure::Client(NotAuthenticated::NoKeys),
        "the client has no keys, or no secret, that an assertion of its could be verified with",
        "jwks, jwks_uri or secret_file of the client",
    ),
    (
        Failure::Client(NotAuthenticated::AssertionClaims),
        "iss or sub of the assertion is not the client, or it has no jti of 1 to 255 characters",
        "both the client_id, and a fresh jti",
    ),
    (
        Failure::Client(NotAuthenticated::AssertionAudience),
        "aud of the assertion is not the one text that it must be",
        "the issuer; or the token endpoint, or the endpoint that is asked; never a list",
    ),
    (
        Failure::Client(NotAuthenticated::AssertionTimes),
        "the assertion has expired, is not valid yet, or expires more than an hour from now",
        "an exp at most an hour away, by a clock that is right",
    ),
    (
        Failure::Client(NotAuthenticated::AssertionReplayed),
        "the assertion was used before",
        "an assertion with a fresh jti for each request",
    ),
    (
        Failure::Registration(BadMetadata::RedirectUri),
        "a redirect URI of a registration is missing, or none that this kind of client may have",
        "https; of native clients also a loopback address or a scheme of their own",
    ),
    (
        Failure::Registration(BadMetadata::Member("")),
        "a member of the client's metadata is not supported; error_description and the log say which",
        "what docs/clients.md lists",
    ),
    (
        Failure::Registration(BadMetadata::SoftwareStatement),
        "the software statement is no signed JWT",
        "a registration without one",
    ),
    (
        Failure::Registration(BadMetadata::UnapprovedSoftwareStatement),
        "a software statement was sent, and nobody is trusted to make them",
        "a registration without one",
    ),
    (
        Failure::RegistrationOff,
        "clients do not register themselves here",
        "[registration] mode = \"token\" or \"open\"",
    ),
    (
        Failure::RegistrationFull,
        "there are as many registered clients as [registration] most allows",
        "the same request once unused ones are removed",
    ),
    (Failure::Busy, "too many wait for what this needs", "the same request a second later"),
    (
        Failure::HookDenied,
        "the token hook said no; nothing was consumed",
        "what the hook accepts: its reason is in the log",
    ),
    (
        Failure::HookFailed,
        "the token hook did not answer, and on_failure is \"deny\"; nothing was consumed",
        "the same request once the hook answers",
    ),
    (
        Failure::ClaimsTooLarge(0),
        "the claims that the token would carry are too large; nothing was consumed",
        "the same request once fewer claims are configured",
    ),
    (
        Failure::NoEncryptionKey,
        "the client wants ID tokens or userinfo answers encrypted, and its jwks_uri has no key for that, or cannot be read; nothing was consumed",
        "the same request once the client's keys are there",
    ),
    (
        Failure::ClientKeysUnread(Duration::ZERO),
        "the client's keys cannot be read: jwks_uri did not answer, or [outbound] does not let it be asked; nothing was examined or consumed",
        "the same request after the retry-after, once jwks_uri answers; the log names the cause",
    ),
    (
        Failure::ClientKeyUnknown(Duration::ZERO),
        "the assertion names a key that jwks_uri did not have when it was last read, less than a minute ago; nothing was examined or consumed",
        "the same request after the retry-after: then jwks_uri is asked again",
    ),
    too_many(Budget::Network, "this network sent too much that proves nothing", LATER),
    too_many(
        Budget::Secrets,
        "this network sent too many wrong secrets for this client",
        "the right secret at any time",
    ),
    too_many(Budget::Grant, "this grant's tokens come more often than requests_per_grant: the client runs wild", LATER),
    too_many(Budget::Client, "this client asks more often than requests_per_client", LATER),
    too_many(
        Budget::Logins,
        "too many failed log-ins to this account, or from this network",
        "the right password after Retry-After",
    ),
    too_many(
        Budget::Registrations,
        "this network registered more clients, or it or this client changed more registrations, than registrations_per_network",
        LATER,
    ),
    too_many(Budget::Passwords, "too many passwords of this network are verified at once", LATER),
    (
        Failure::Unavailable(Unavailable { cause: Cause::Io, detail: String::new() }),
        "the store failed, or the clock cannot be believed: nothing has happened; or what revokes is in force, and the revocation journal does not have it yet",
        "the same request a second later; the log names the cause",
    ),
    (Failure::Bearer(BearerFailure::NoToken), "no access token was sent", "an Authorization header with Bearer"),
    (
        Failure::Bearer(BearerFailure::Malformed),
        "the access token was sent in two ways, or cannot be read",
        "one Authorization header",
    ),
    (
        Failure::Bearer(BearerFailure::InvalidToken),
        "the access token is not ours, has expired, or its grant is over",
        "a fresh access token",
    ),
    (
        Failure::Bearer(BearerFailure::InsufficientScope),
        "the access token is not a user's, or lacks the scope",
        "a user's token with scope openid",
    ),
];

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    /// Law L12: every refusal has a distinct reason.
    #[test]
    fn every_code_is_there_once_and_says_something() {
        let all = all();
        let codes: BTreeSet<&str> = all.iter().map(|reason| reason.code).collect();
        assert_eq!(codes.len(), all.len(), "a code is there twice");
        for reason in &all {
            assert!(reason.code.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_'), "{reason:?}");
            assert!(!reason.happened.is_empty() && !reason.accepted.is_empty(), "{reason:?}");
            assert_eq!(named(reason.code).as_ref(), Some(reason));
        }
    }
}
