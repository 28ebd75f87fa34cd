//! Making a grant, and redeeming its authorization code: RFC 6749 section 4.1.3, RFC 7636 section 4.6, RFC 9700 section 4.5.
//!
//! A code is a grant in its first state. Asked in this order; nothing changes before the request is otherwise valid, or
//! whoever finds a code in a log could end the grant (OAuth 2.1 section 7.5.2):
//!
//! | asked                                               | otherwise                                |
//! |-----------------------------------------------------|------------------------------------------|
//! | the grant is there, and this client's               | refused                                  |
//! | the secret is the code's                            | refused                                  |
//! | the code is of this era                             | refused: an earlier one may have been redeemed in the time that a restored store has lost |
//! | same `redirect_uri`, right `code_verifier`          | refused                                  |
//! | never redeemed                                      | within 500 ms, or where its key is known to others, refused; else the grant is ended |
//! | not expired, not ended                              | refused                                  |
//! | client, flow, user and resources are still allowed  | refused                                  |

use std::sync::Arc;
use std::time::Duration;

use crate::client::{Class, Client, GrantType, RefreshTokens};
use crate::decision::{Change, Decision, EventKind, ended, event, next_version};
use crate::grant::{Binding, CodeTerms, EndReason, Grant, GrantId, Rotation, Terms};
use crate::issue::{self, Ask, Granted, SubjectStatus};
use crate::keys::{KeyStatus, Keys};
use crate::openid::{OFFLINE_ACCESS, OpenId};
use crate::pkce;
use crate::refresh::expires_in;
use crate::refusal::Refusal;
use crate::scope::{Resources, Scope};
use crate::secret::{Entropy, Hash, Seed};
use crate::time::Timestamp;
use crate::token::{Code, RefreshToken};

/// A code that comes again this soon after its redemption is a double click, and ends nothing.
pub const DOUBLE_CLICK: Duration = Duration::from_millis(500);

/// What was decided at the authorization endpoint, or by the password grant: who gives what to whom.
#[derive(Clone, Debug)]
pub struct Consent {
    /// `sub` of the user.
    pub subject: String,
    /// What may be issued, by [`issue::verdict`].
    pub granted: Granted,
    /// When the user logged in.
    pub authenticated_at: Timestamp,
    /// In which browser session; `None` without a browser.
    pub session: Option<[u8; 32]>,
    /// How many wide revocations there had been *before* session or password were looked at: one that comes in between ends the grant,
    /// too.
    pub epoch: u64,
    /// What ID tokens are to say; `None` if there are to be none.
    pub openid: Option<OpenId>,
}

/// What a code is bound to.
#[derive(Clone, Debug)]
pub struct CodeRequest {
    /// The PKCE challenge, if one was sent.
    pub challenge: Option<Hash>,
    /// The `redirect_uri` parameter, if one was sent.
    pub redirect_uri: Option<String>,
    /// How long the code may be redeemed.
    pub lifetime: Duration,
}

/// A grant in its code state, with the code for the client.
#[must_use]
pub fn grant_with_code(
    id: GrantId,
    client: &Client,
    consent: Consent,
    request: &CodeRequest,
    keys: &Keys,
    now: Timestamp,
    entropy: &Entropy,
) -> (Grant, Code) {
    let seed = Seed::new(entropy.secret());
    let code = CodeTerms {
        secret: seed.hash(),
        challenge: request.challenge,
        redirect_uri: request.redirect_uri.as_deref().map(|uri| Hash::of(uri.as_bytes())),
        expires_at: now.plus(request.lifetime),
    };
    let grant = Grant {
        // RFC 6749 section 4.1.2: the code has its own expiry; the clocks of the grant start when it is redeemed.
        idle_at: code.expires_at,
        absolute_at: code.expires_at,
        ..blank(id, terms(client, consent, Some(code), now), keys, now, entropy)
    };
    let code = grant.code_token(seed);
    (grant, code)
}

/// A grant made without a code: the password grant. Its refresh token, if the client may have one, is of generation 1.
pub fn grant_at_once(
    id: GrantId,
    client: &Client,
    consent: Consent,
    keys: &Keys,
    now: Timestamp,
    entropy: &Entropy,
) -> Decision<Issued> {
    let granted = consent.granted.clone();
    let grant = blank(id, terms(client, consent, None, now), keys, now, entropy);
    issue_first(grant, Change::Created, (granted, None), client, keys, now, entropy)
}

/// The first tokens of a grant.
#[derive(Clone, Debug)]
pub struct Issued {
    /// The first refresh token; `None` unless the client has the `refresh_token` grant type, and by its setting `offline_access`.
    pub token: Option<RefreshToken>,
    /// The grant as it is now.
    pub grant: Grant,
    /// What the access token may carry.
    pub granted: Granted,
    /// Its `expires_in`, in seconds.
    pub expires_in: u64,
    /// When this was decided: what all announced times count from.
    pub at: Timestamp,
}

/// The redemption of a code, parsed: the client is authenticated and the code's tag is good.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// The presented code.
    pub code: &'a Code,
    /// The `redirect_uri` parameter.
    pub redirect_uri: Option<&'a str>,
    /// The `code_verifier` parameter.
    pub verifier: Option<&'a str>,
    /// The resources asked for; empty if none.
    pub resources: &'a Resources,
}

/// What may this code do? `grant` is the row that the code names, if there is one, and its user's status.
pub fn decide(
    grant: Option<(&Grant, SubjectStatus)>,
    request: &Request<'_>,
    client: &Client,
    keys: &Keys,
    now: Timestamp,
    entropy: &Entropy,
) -> Decision<Issued> {
    decide_as(GrantType::AuthorizationCode, grant, request, client, keys, now, entropy)
}

/// The same for each kind of code.
pub(crate) fn decide_as(
    grant_type: GrantType,
    grant: Option<(&Grant, SubjectStatus)>,
    request: &Request<'_>,
    client: &Client,
    keys: &Keys,
    now: Timestamp,
    entropy: &Entropy,
) -> Decision<Issued> {
    let what = if grant_type == GrantType::DeviceCode { "device code" } else { "authorization code" };
    let Some((grant, subject)) = grant.filter(|(grant, _)| grant.id == request.code.grant) else {
        return Decision::refuse(Refusal::UnknownGrant);
    };
    // RFC 6749 section 4.1.3: "ensure that the authorization code was issued to the authenticated confidential client".
    let tell = |refusal| Decision::tell(refusal, grant, &client.id, what.to_owned());
    if grant.terms.client != client.id {
        return tell(Refusal::OtherClient);
    }
    let Some(code) = &grant.terms.code else {
        return Decision::refuse(Refusal::UnknownGrant);
    };
    if let Err(refusal) = is_otherwise_valid(code, request) {
        return tell(refusal);
    }
    if request.code.era > keys.era() {
        let told = event(EventKind::Alarm, grant, format!("{what} of an era that the store has not reached"));
        return Decision::report(Refusal::EraAhead, told);
    }
    if request.code.era < keys.era() && grant.redeemed_at.is_none() {
        return Decision::refuse(Refusal::EraPast);
    }
    if let Some(redeemed_at) = grant.redeemed_at {
        let tag_key = keys.tag_status(request.code.tag_key);
        return presented_again((grant, what), redeemed_at, tag_key, now, entropy);
    }
    if let Some((_, reason)) = grant.ended {
        return tell(Refusal::Ended(reason));
    }
    if code.expires_at.is_over(now) {
        return tell(Refusal::CodeExpired);
    }
    if subject.is_over(now) {
        return tell(Refusal::ConsentOver);
    }
    let ask = Ask {
        client,
        grant_type,
        subject,
        scope: None,
        resources: request.resources,
        held: Some(issue::Held { scope: &grant.terms.scope, resources: &grant.terms.resources }),
    };
    match issue::verdict(&ask) {
        Err(refusal) => Decision::tell(refusal, grant, &client.id, issue::exceeded(&ask)),
        Ok(granted) => {
            let row = next_version(grant, entropy);
            issue_first(row, Change::Redeemed, (granted, subject.end()), client, keys, now, entropy)
        }
    }
}

fn is_otherwise_valid(code: &CodeTerms, request: &Request<'_>) -> Result<(), Refusal> {
    if request.code.seed.hash() != code.secret {
        return Err(Refusal::CodeForged);
    }
    // RFC 6749 section 4.1.3: "ensure that the "redirect_uri" parameter is present if the "redirect_uri" parameter was
    // included in the initial authorization request […], and if included ensure that their values are identical".
    if request.redirect_uri.map(|uri| Hash::of(uri.as_bytes())) != code.redirect_uri {
        return Err(Refusal::RedirectUriMismatch);
    }
    pkce::verify(code.challenge.as_ref(), request.verifier)
}

/// RFC 6749 section 4.1.2: "If an authorization code is used more than once, the authorization server MUST deny the request
/// and SHOULD revoke (when possible) all tokens previously issued based on that authorization code." What a compromised key
/// tagged proves nothing, and ends nothing.
fn presented_again(
    (grant, what): (&Grant, &str),
    redeemed_at: Timestamp,
    tag_key: KeyStatus,
    now: Timestamp,
    entropy: &Entropy,
) -> Decision<Issued> {
    let tell = |refusal| Decision::tell(refusal, grant, &grant.terms.client, format!("{what} presented again"));
    if let Some((_, reason)) = grant.ended {
        return tell(Refusal::Ended(reason));
    }
    if now.since(redeemed_at) < DOUBLE_CLICK {
        return tell(Refusal::CodeSpent);
    }
    if tag_key == KeyStatus::Compromised {
        return tell(Refusal::SpentUnderCompromisedKey);
    }
    let reason = EndReason::CodeReplayed;
    let told = event(EventKind::GrantEnded(reason), grant, format!("{what} presented again"));
    Decision::end(ended(grant, now, reason, entropy), Refusal::CodeReplayed, told)
}

/// Starts both clocks, which end no later than the user said, and, where the client may refresh, mints generation 1 from fresh chance.
fn issue_first(
    grant: Grant,
    change: Change,
    (granted, end): (Granted, Option<Timestamp>),
    client: &Client,
    keys: &Keys,
    now: Timestamp,
    entropy: &Entropy,
) -> Decision<Issued> {
    let policy = &client.policy;
    let refreshable = grant.terms.refreshable;
    let seed = refreshable.then(|| Seed::new(entropy.secret()));
    // A grant without a refresh token has nothing to outlive its access token.
    let absolute = if refreshable { policy.absolute_lifetime } else { policy.access_token_lifetime };
    let absolute_at = end.map_or(now.plus(absolute), |end| end.min(now.plus(absolute)));
    let row = Grant {
        generation: u32::from(refreshable),
        current: seed.as_ref().map(Seed::hash),
        tag_key: keys.current_tag(),
        era: keys.era(),
        rotated_at: now,
        previously_rotated_at: now,
        answered_at: now,
        idle_at: now.plus(policy.idle_lifetime).min(absolute_at),
        absolute_at,
        redeemed_at: Some(now),
        ..grant
    };
    let told = event(EventKind::GrantCreated, &row, row.terms.scope.to_string());
    let issued = Issued {
        token: seed.map(|seed| row.token(seed)),
        granted,
        expires_in: expires_in(&row, policy, now, entropy),
        at: now,
        grant: row.clone(),
    };
    Decision::accept(change, row, issued).with_event(told)
}

pub(crate) fn terms(client: &Client, consent: Consent, code: Option<CodeTerms>, now: Timestamp) -> Terms {
    let refreshable = may_refresh(client, &consent.granted.scope);
    Terms {
        client: client.id.clone(),
        subject: consent.subject,
        scope: consent.granted.scope,
        resources: consent.granted.resources,
        binding: match client.policy.class {
            Class::Public => Binding::Bearer,
            Class::Key | Class::Secret => Binding::Client,
        },
        // RFC 9700 section 4.14.2: a public client's tokens are rotated, whatever the settings say.
        rotation: if client.is_public() { Rotation::SingleUse } else { client.policy.rotation },
        refreshable,
        authenticated_at: consent.authenticated_at,
        created_at: now,
        epoch: consent.epoch,
        session: consent.session,
        code,
        openid: consent.openid,
    }
}

/// Whether a grant of this scope has refresh tokens: by the client's grant types, and by its setting `offline_access`.
#[must_use]
pub fn may_refresh(client: &Client, scope: &Scope) -> bool {
    client.may_use(GrantType::RefreshToken)
        && match client.refresh_tokens {
            RefreshTokens::Always => true,
            RefreshTokens::OfflineAccess => scope.contains(OFFLINE_ACCESS),
        }
}

pub(crate) fn blank(id: GrantId, terms: Terms, keys: &Keys, now: Timestamp, entropy: &Entropy) -> Grant {
    Grant {
        id,
        version: 1,
        write_id: entropy.write_id(),
        generation: 0,
        current: None,
        ratchet: None,
        tag_key: keys.current_tag(),
        era: keys.era(),
        seed_key: keys.current_seed(),
        rotated_at: now,
        previously_rotated_at: now,
        answered_at: now,
        retries: 0,
        retry_proof: None,
        idle_at: now,
        absolute_at: now,
        ended: None,
        redeemed_at: None,
        terms: Arc::new(terms),
    }
}
