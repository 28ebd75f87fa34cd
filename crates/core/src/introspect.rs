//! Whether a token is active (RFC 7662 section 2.2): pure, and never a write.

use crate::access::AccessToken;
use crate::client::{Client, GrantType};
use crate::grant::Grant;
use crate::issue::{self, Ask, Granted, SubjectStatus};
use crate::scope::Resources;
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

/// What a refresh of this token would yield now, if it is active: what the client has lost since is left out, and where nothing is left
/// the token is no longer active (checks T23 to T29).
#[must_use]
pub fn refresh_yields(
    token: &RefreshToken,
    grant: &Grant,
    subject: SubjectStatus,
    client: &Client,
    now: Timestamp,
) -> Option<Granted> {
    let ask = Ask {
        client,
        grant_type: GrantType::RefreshToken,
        subject,
        scope: None,
        resources: &Resources::default(),
        held: Some(issue::Held { scope: &grant.terms.scope, resources: &grant.terms.resources }),
    };
    let is_active = grant.terms.client == client.id && refresh_is_active(token, grant, subject, now);
    issue::verdict(&ask).ok().filter(|_| is_active)
}

/// What of an access token its client may have still: `None` where nothing is left of its scope or of its audience. `issuer` is the
/// audience of tokens for no resource.
#[must_use]
pub fn shrunk(token: AccessToken, client: &Client, issuer: &str) -> Option<AccessToken> {
    let scope: Vec<&str> = token.scope.split(' ').filter(|held| client.scopes.contains(held)).collect();
    let is_left = |audience: &String| audience == issuer || client.resources.contains(audience);
    let (scope, had_scope) = (scope.join(" "), !token.scope.is_empty());
    let audience: Vec<String> = token.audience.iter().filter(|audience| is_left(audience)).cloned().collect();
    let lost = (had_scope && scope.is_empty()) || (audience.is_empty() && !token.audience.is_empty());
    (!lost).then_some(AccessToken { scope, audience, ..token })
}
