//! What a client's choices cost, in the words of its operator: lost sessions, and thefts that nobody sees.

use std::time::Duration;

use regrant_core::Policy;
use regrant_core::client::{AccessTokenFormat, Client, GrantType, OnReplay};

use super::super::duration;

/// Beyond this many percent, a thief's chance is worth a notice even where nothing was set.
const NOTABLE_CHANCE: u128 = 25;
const A_DAY: Duration = Duration::from_secs(86_400);

/// One sentence for each choice that costs something.
pub(super) fn of(client: &Client) -> Vec<String> {
    let mut costs = Vec::new();
    if client.may_use(GrantType::Password) {
        costs.push(
            "it has the grant type \"password\", of which RFC 9700 section 2.4 says: \"MUST NOT be used\". The client sees its users' \
             passwords, and a second factor is impossible. Move it to \"authorization_code\""
                .to_owned(),
        );
    }
    if client.may_use(GrantType::Implicit) {
        costs.push(
            "it has the grant type \"implicit\", of which RFC 9700 section 2.1.2 says: \"clients SHOULD NOT use the implicit grant\". \
             Its access tokens show in addresses and histories, and it gets no refresh token. Move it to \"authorization_code\""
                .to_owned(),
        );
    }
    if !client.require_pkce && client.may_use(GrantType::AuthorizationCode) {
        costs.push(
            "require_pkce = false: a stolen authorization code can be injected into another user's login unless the client checks \
             something like a nonce (RFC 9700 section 2.1.1)"
                .to_owned(),
        );
    }
    if client.is_public() && client.skip_consent {
        costs.push(
            "skip_consent on a public client: any program that passes for it gets tokens of logged-in users without a question \
             (RFC 6749 section 10.2)"
                .to_owned(),
        );
    }
    if client.may_use(GrantType::RefreshToken) {
        costs.extend(of_retries(client));
    }
    let policy = &client.policy;
    if policy.access_token_format == AccessTokenFormat::Jwt && policy.access_token_lifetime > A_DAY {
        costs.push(format!(
            "access_token_lifetime = {}: an API that does not introspect goes on taking a revoked grant's tokens for as long as that. \
             A refresh costs one request; an hour is usual",
            duration::write(policy.access_token_lifetime)
        ));
    }
    costs
}

fn of_retries(client: &Client) -> Option<String> {
    let policy = &client.policy;
    if !client.is_public() {
        return (policy.on_replay == OnReplay::Refuse).then(|| {
            "on_replay = \"refuse\": who presents a spent token is turned away, but the other holder of the grant, thief or not, goes on \
             until you revoke it; watch the events"
                .to_owned()
        });
    }
    if policy.retry_window.is_zero() {
        return Some(
            "retry_window = 0: a client that does not hear an answer cannot have it again, and its user must log in anew. Where one \
             answer in 1000 is lost, that is one session lost per 1000 refreshes"
                .to_owned(),
        );
    }
    // `expires_in` is drawn from 80 to 100 % of the lifetime, so a thief cannot know when within that fifth the owner refreshes.
    let spread = (policy.access_token_lifetime / 5).max(Duration::from_millis(1));
    let chance = (policy.retry_window.as_millis() * 100 / spread.as_millis()).min(100);
    let chosen = policy.retry_window != Policy::RETRY_WINDOW;
    (chosen || chance >= NOTABLE_CHANCE).then(|| {
        format!(
            "retry_window = {}: a thief who copied a refresh token and asks at the right moment gets the same answer as its owner. \
             Refreshes are spread over {}, so he stays unseen with a chance of about {} % in each access token's life. A longer \
             access_token_lifetime or a shorter retry_window lowers it",
            duration::write(policy.retry_window),
            duration::write(spread),
            chance.max(1),
        )
    })
}
