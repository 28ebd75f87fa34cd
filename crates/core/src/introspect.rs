//! Whether a token is active (RFC 7662 section 2.2): pure, and never a write.

use crate::access::AccessToken;
use crate::grant::Grant;
use crate::issue::SubjectStatus;
use crate::time::Timestamp;
use crate::token::RefreshToken;

/// An access token is vouched for while it lives, its grant lives, and its user may log in. `grant` is the row that it
/// names; a token without a grant (client credentials, implicit) stands alone.
#[must_use]
pub fn access_is_active(token: &AccessToken, grant: Option<&Grant>, subject: SubjectStatus, now: Timestamp) -> bool {
    let alive = Timestamp::from_millis(token.expires_at.saturating_mul(1000));
    if alive.is_over(now) || !subject.is_in_order() || subject.is_over(now) {
        return false;
    }
    match (token.grant, grant) {
        (None, _) => true,
        (Some((id, generation)), Some(grant)) => {
            grant.id.number == id
                && grant.terms.client.as_str() == token.client
                && generation <= grant.generation
                && grant.redeemed_at.is_some()
                && !grant.is_over(now)
        }
        (Some(_), None) => false,
    }
}

/// A refresh token is active if it is the live one: the only one that a refresh would rotate.
#[must_use]
pub fn refresh_is_active(token: &RefreshToken, grant: &Grant, subject: SubjectStatus, now: Timestamp) -> bool {
    grant.id == token.grant
        && token.generation > 0
        && token.generation == grant.generation
        && grant.current == Some(token.seed.hash())
        && grant.terms.refreshable
        && subject != SubjectStatus::None
        && subject.is_in_order()
        && !subject.is_over(now)
        && !grant.is_over(now)
}
