//! The revocation endpoint: RFC 7009.
//!
//! Any generation of a refresh token ends its grant, expired and superseded ones too: the tag proves that it was ours. An access
//! token is refused from then on by itself; its grant goes on. `token_type_hint` is only a hint: our prefixes tell better.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{HeaderValue, Response, StatusCode};
use regrant_core::secret::Hash;
use regrant_core::token::RefreshToken;
use regrant_core::{Client, Refusal, Timestamp, revoke};
use regrant_store::Record;

use crate::answer::Failure;
use crate::app::{App, Settings};
use crate::client_auth;
use crate::correlation::Correlation;
use crate::cors;
use crate::form::Malformed;
use crate::introspect::open_access_token;
use crate::peer::Peer;
use crate::request::post_form;
use crate::sight;

/// `POST /oauth2/revoke`.
pub(crate) async fn endpoint(State(app): State<Arc<App>>, request: Request) -> Response<Body> {
    let correlation = sight::correlation();
    let (origin, peer) = (cors::origin(request.headers()), Peer::of(request.extensions()));
    // Once: the request sees one configuration.
    let settings = app.settings();
    let mut client = None;
    let mut response = match answer(&app, &settings, request, &correlation, &mut client).await {
        // RFC 7009 section 2.2: 200 "if the token has been revoked successfully or if the client submitted an invalid token".
        Ok(()) => {
            let mut response = Response::new(Body::empty());
            *response.status_mut() = StatusCode::OK;
            response.headers_mut().insert("cache-control", HeaderValue::from_static("no-store"));
            response
        }
        Err(failure) => {
            let failure = app.limits.failed(&app, peer, client.as_deref(), failure);
            failure.answer_to(client.as_deref(), &app, &settings, &correlation)
        }
    };
    cors::allow(&mut response, origin.as_deref(), client.as_deref(), &settings.clients);
    correlation.mark(response)
}

async fn answer(
    app: &App,
    settings: &Settings,
    request: Request,
    correlation: &Correlation,
    known: &mut Option<Arc<Client>>,
) -> Result<(), Failure> {
    let (parts, form) = post_form(request, "POST, OPTIONS").await?;
    let peer = Peer::of(&parts.extensions);
    let token = form.credential("token").ok_or(Malformed::Missing("token"))?;
    let presented = client_auth::read(&parts.headers, &form)??;
    let client = presented.prove(app, settings, peer, "/oauth2/revoke", correlation).await?;
    *known = Some(Arc::clone(&client));
    if let Some(token) = RefreshToken::open(token, &app.engine.keys()) {
        app.limits.grant(settings.config.limits.requests_per_grant, token.grant, &client)?;
        return refresh_token(app, token, &client, correlation).await;
    }
    if client.is_public() {
        app.limits.before_a_signature(app, peer)?;
    }
    match open_access_token(app, token) {
        // RFC 7009 section 2.1: "If this validation fails, the request is refused and the client is informed of the error".
        Some(token) if token.client != client.id.as_str() => Err(Refusal::OtherClient.into()),
        Some(token) => {
            let jti = Hash::of(token.jti.as_bytes()).0;
            let expires_at = Timestamp::from_millis(token.expires_at.saturating_mul(1000));
            app.engine.commit(vec![Record::DenyAccess { jti, expires_at }]).await?;
            sight::outcome("access_token_revoked");
            Ok(())
        }
        None => Ok(()),
    }
}

async fn refresh_token(
    app: &App,
    token: RefreshToken,
    client: &Arc<Client>,
    correlation: &Correlation,
) -> Result<(), Failure> {
    let (grant, id) = (token.grant, client.id.clone());
    let ended = app
        .engine
        .end(grant, correlation.as_str(), move |row, moment| {
            revoke::decide(row.map(|(grant, _)| grant), &token, &id, moment.keys, moment.now, &moment.entropy)
        })
        .await?;
    sight::grant(grant);
    match ended {
        Ok(()) => {
            sight::outcome("revoked");
            Ok(())
        }
        Err(Refusal::OtherClient) => Err(Refusal::OtherClient.into()),
        // Nothing is there to be revoked: section 2.2, "the purpose of the revocation request […] is already achieved".
        Err(refusal) => {
            sight::refused("nothing_to_revoke", refusal.as_str());
            Ok(())
        }
    }
}
