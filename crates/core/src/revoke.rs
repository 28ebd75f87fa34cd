//! Ending a grant on request: RFC 7009 for clients, and the operator's blacklist.
//!
//! Any genuine generation up to the current one ends the grant, expired and superseded ones too: the tag proves that it was
//! ours, the client proved that it is his.

use crate::client::ClientId;
use crate::decision::{Change, Decision, EventKind, ended, event};
use crate::grant::{EndReason, Grant};
use crate::keys::{KeyStatus, Keys};
use crate::refusal::Refusal;
use crate::secret::Entropy;
use crate::time::Timestamp;
use crate::token::RefreshToken;

/// RFC 7009 section 2.1: "verifies […] whether the token was issued to the client making the revocation request".
/// `Ok` also where there was nothing left to end: section 2.2, "the purpose of the revocation request […] is already
/// achieved".
pub fn decide(
    grant: Option<&Grant>,
    token: &RefreshToken,
    client: &ClientId,
    keys: &Keys,
    now: Timestamp,
    entropy: &Entropy,
) -> Decision<()> {
    let Some(grant) = grant.filter(|grant| grant.id == token.grant) else {
        return Decision::refuse(Refusal::UnknownGrant);
    };
    if grant.terms.client != *client {
        return Decision::refuse(Refusal::OtherClient);
    }
    match is_proof(grant, token, keys) {
        Ok(()) => end(grant, EndReason::RevokedByClient, "", now, entropy),
        Err(Refusal::Unissued) => {
            let detail = format!("revocation with generation {}, current {}", token.generation, grant.generation);
            Decision::report(Refusal::Unissued, event(EventKind::Alarm, grant, detail))
        }
        Err(refusal) => Decision::refuse(refusal),
    }
}

/// Whether a token of this grant, whose tag is good, is one that was issued: any generation up to the current one is.
///
/// # Errors
/// [`Refusal::Unissued`] for one of the future, [`Refusal::SpentUnderCompromisedKey`] for one that others can make, too.
pub fn is_proof(grant: &Grant, token: &RefreshToken, keys: &Keys) -> Result<(), Refusal> {
    if token.generation == 0 || token.generation > grant.generation || token.era > keys.era() {
        return Err(Refusal::Unissued);
    }
    // Under a compromised key only the live seed is proof of anything.
    if keys.tag_status(token.tag_key) == KeyStatus::Compromised && grant.current != Some(token.seed.hash()) {
        return Err(Refusal::SpentUnderCompromisedKey);
    }
    Ok(())
}

/// Ends a grant for a stated reason. A grant that has ended keeps its first reason.
pub fn end(grant: &Grant, reason: EndReason, detail: &str, now: Timestamp, entropy: &Entropy) -> Decision<()> {
    if grant.ended.is_some() {
        return Decision { write: crate::Write::Nothing, event: None, outcome: Ok(()) };
    }
    Decision::accept(Change::Ended, ended(grant, now, reason, entropy), ()).with_event(event(
        EventKind::GrantEnded(reason),
        grant,
        detail.to_owned(),
    ))
}
