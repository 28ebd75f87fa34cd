//! How clients, users, grants and events are shown: the same to the command line, to a program and over HTTP.

use regrant_core::client::{AccessTokenFormat, OnReplay, RefreshTokens, SubjectType};
use regrant_core::grant::Rotation;
use regrant_core::{Grant, Keys, Timestamp};
use regrant_store::{StoredEvent, User};

use crate::session;

use super::{ClientView, EventView, GrantView, UserView, rfc3339};

pub(super) fn client_view(client: &regrant_core::Client, declared: bool, tell_reason: bool) -> ClientView {
    ClientView {
        id: client.id.as_str().to_owned(),
        name: client.name.clone(),
        origin: if declared { "file" } else { "store" }.to_owned(),
        token_endpoint_auth_method: client.auth.as_str().to_owned(),
        grant_types: client.grant_types.iter().map(|grant_type| grant_type.as_str().to_owned()).collect(),
        response_types: client.response_types.iter().cloned().collect(),
        redirect_uris: client.redirect_uris.clone(),
        scope: client.scopes.to_string(),
        resources: client.resources.iter().map(str::to_owned).collect(),
        rotation: rotation(client.policy.rotation).to_owned(),
        retry_window: client.is_public().then_some(client.policy.retry_window.as_secs()),
        on_replay: on_replay(client.policy.on_replay).to_owned(),
        idle_lifetime: client.policy.idle_lifetime.as_secs(),
        absolute_lifetime: client.policy.absolute_lifetime.as_secs(),
        access_token_lifetime: client.policy.access_token_lifetime.as_secs(),
        access_token_format: format(client.policy.access_token_format).to_owned(),
        may_introspect: client.may_introspect,
        may_revoke_users: client.may_revoke_users,
        disabled: client.disabled,
        require_pkce: client.require_pkce,
        allowed_origins: client.allowed_origins.clone(),
        skip_consent: client.skip_consent,
        tell_reason,
        refresh_tokens: match client.refresh_tokens {
            RefreshTokens::Always => "always",
            RefreshTokens::OfflineAccess => "offline_access",
        }
        .to_owned(),
        subject_type: match client.subject_type {
            SubjectType::Public => "public",
            SubjectType::Pairwise(_) => "pairwise",
        }
        .to_owned(),
        default_max_age: client.default_max_age.map(|age| age.as_secs()),
        id_token_signed_response_alg: client.id_token_algorithm.as_str().to_owned(),
        userinfo_signed_response_alg: client.userinfo_algorithm.map(|algorithm| algorithm.as_str().to_owned()),
        introspection_signed_response_alg: client.introspection_algorithm.as_str().to_owned(),
        access_token_signed_response_alg: client.policy.access_token_algorithm.as_str().to_owned(),
        post_logout_redirect_uris: client.logout.post_logout_redirect_uris.clone(),
        backchannel_logout_uri: client.logout.backchannel.clone(),
        backchannel_logout_session_required: client.logout.backchannel_session_required,
        frontchannel_logout_uri: client.logout.frontchannel.clone(),
        frontchannel_logout_session_required: client.logout.frontchannel_session_required,
        on_logout: client.logout.on_logout.map(|what| what.as_str().to_owned()),
    }
}

pub(super) fn user_view(user: &User) -> UserView {
    UserView {
        name: user.name.clone(),
        subject: user.subject.clone(),
        enabled: user.disabled_at.is_none(),
        created_at: rfc3339(user.created_at),
        disabled_at: user.disabled_at.map(rfc3339),
    }
}

pub(super) fn grant_view(
    grant: &Grant,
    user: Option<String>,
    is_intact: bool,
    keys: &Keys,
    now: Timestamp,
) -> GrantView {
    let state = match (grant.ended, grant.redeemed_at) {
        _ if !is_intact => "tampered",
        (Some(_), _) => "revoked",
        (None, None) if grant.is_over(now) => "code_expired",
        (None, None) => "code",
        (None, Some(_)) if grant.absolute_at.is_over(now) => "absolute_expired",
        (None, Some(_)) if grant.idle_at.is_over(now) => "idle_expired",
        (None, Some(_)) => "live",
    };
    GrantView {
        id: grant.id.display(keys),
        client: grant.terms.client.as_str().to_owned(),
        subject: grant.terms.subject.clone(),
        user,
        scope: grant.terms.scope.to_string(),
        resources: grant.terms.resources.to_string(),
        rotation: rotation(grant.terms.rotation).to_owned(),
        generation: grant.generation,
        retries: grant.retries,
        state: state.to_owned(),
        reason: grant.ended.map(|(_, reason)| reason.as_str().to_owned()),
        session: grant.terms.session.as_ref().map(session::sid),
        ended_at: grant.ended.map(|(at, _)| rfc3339(at)),
        created_at: rfc3339(grant.terms.created_at),
        last_refreshed_at: grant.redeemed_at.map(|_| rfc3339(grant.answered_at)),
        idle_ends_at: rfc3339(grant.idle_at),
        absolute_ends_at: rfc3339(grant.absolute_at),
    }
}

pub(super) fn event_view(event: &StoredEvent) -> EventView {
    EventView {
        at: rfc3339(event.at),
        kind: event.kind.clone(),
        reason: event.reason.clone(),
        client: event.client.clone(),
        subject: event.subject.clone(),
        detail: event.detail.clone(),
        correlation: event.correlation.clone(),
    }
}

const fn rotation(rotation: Rotation) -> &'static str {
    match rotation {
        Rotation::SingleUse => "single_use",
        Rotation::Reusable => "reusable",
    }
}

const fn on_replay(on_replay: OnReplay) -> &'static str {
    match on_replay {
        OnReplay::Revoke => "revoke",
        OnReplay::Refuse => "refuse",
    }
}

const fn format(format: AccessTokenFormat) -> &'static str {
    match format {
        AccessTokenFormat::Jwt => "jwt",
        AccessTokenFormat::Opaque => "opaque",
    }
}
