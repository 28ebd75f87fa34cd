//! Which path leads where: the whole surface on one page.

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::{Path, Request, State};
use axum::http::{HeaderValue, Response, StatusCode};
use axum::routing::{MethodRouter, any, get, post};
use regrant_store::{Cause, Question, Unavailable};
use serde_json::json;

use crate::app::App;
use crate::config::AdminApi;
use crate::{
    admin, answer, cors, device, feed, global_revocation, interaction, introspect, metadata, pages, reasons_page,
    registration, revoke, session_state, sight, token, userinfo,
};

/// Everything under the issuer's path, and the metadata where RFC 8414 section 3.1 and OpenID Connect Discovery section 4 want it.
pub fn router(app: Arc<App>) -> Router {
    let base = app.issuer.path().to_owned();
    let at = |path: &str| format!("{base}{path}");
    let metadata = || get(metadata::endpoint);
    let mut router = Router::new()
        .route(&at("/oauth2/authorize"), get(interaction::authorize).post(interaction::authorize))
        .route(&at("/login"), post(interaction::login))
        .route(&at("/consent"), post(interaction::consent))
        .route(&at("/select"), post(interaction::select))
        .route(&at("/interaction"), get(interaction::answered))
        .route(&at("/logout"), get(interaction::logout).post(interaction::logout))
        .route(&at("/device"), get(interaction::device).post(interaction::device))
        .route(&at("/account"), get(interaction::account).post(interaction::account))
        .route(&at("/account/history"), get(interaction::history))
        .route(&at("/oauth2/logout"), get(interaction::end_session).post(interaction::end_session))
        .route(&at("/oauth2/check-session"), get(session_state::check_session))
        .route(&at("/oauth2/device_authorization"), back_channel(any(device::endpoint)))
        .route(&at("/oauth2/token"), back_channel(any(token::endpoint)))
        .route(&at("/oauth2/revoke"), back_channel(any(revoke::endpoint)))
        .route(&at("/oauth2/introspect"), any(introspect::endpoint))
        .route(&at("/oauth2/global-revoke"), any(global_revocation::endpoint))
        .route(&at("/oauth2/userinfo"), get(userinfo::endpoint).post(userinfo::endpoint).options(cors::preflight))
        .route(&at("/oauth2/revocations"), get(feed::feed))
        .route(&at("/oauth2/status-lists/{name}"), get(feed::status_list))
        .route(&at("/oauth2/register"), any(registration::endpoint))
        .route(&at("/oauth2/register/{id}"), any(registration::one))
        .route(&at("/oauth2/jwks"), get(metadata::jwks))
        .route(&at("/.well-known/oauth-authorization-server"), metadata())
        .route(&at("/.well-known/openid-configuration"), metadata())
        .route(&at("/assets/{file}"), get(asset))
        .route(&at("/reasons"), get(reasons_page::endpoint))
        .route(&at("/"), get(interaction::home))
        .route("/healthz", get(healthz))
        .route("/readyz", get(readyz));
    if !base.is_empty() {
        router = router
            .route(&base, get(interaction::home))
            // RFC 8414 section 3.1: the well-known string is inserted between the host and the path.
            .route(&format!("/.well-known/oauth-authorization-server{base}"), metadata())
            .route(&format!("/.well-known/openid-configuration{base}"), metadata())
            .route(&at("/healthz"), get(healthz))
            .route(&at("/readyz"), get(readyz));
    }
    for alias in &app.settings().config.token_endpoint_aliases {
        router = router.route(&at(alias), back_channel(any(token::endpoint)));
    }
    if app.settings().config.admin_api == AdminApi::Main {
        router = router.merge(admin::api::routes(&app, &base));
    }
    let watch = axum::middleware::from_fn_with_state(Arc::clone(&app), sight::watch);
    router.fallback(interaction::not_found).layer(watch).with_state(app)
}

/// An endpoint that scripts of registered origins may call.
fn back_channel(endpoint: MethodRouter<Arc<App>>) -> MethodRouter<Arc<App>> {
    endpoint.options(cors::preflight)
}

/// What pages load: the style sheet and the scripts, named after their texts, and the images of the theme.
async fn asset(State(app): State<Arc<App>>, Path(file): Path<String>, request: Request) -> Response<Body> {
    const FOR_EVER: &str = "public, max-age=31536000, immutable";
    const A_DAY: &str = "public, max-age=86400";
    const SCRIPT: &str = "text/javascript; charset=utf-8";
    let theme = Arc::clone(&app.settings().config.pages.theme);
    let (style, css) = theme.stylesheet();
    let scripts = [pages::form_post_script(), pages::check_session_script()];
    if file == style {
        return served(css.to_owned(), "text/css; charset=utf-8", FOR_EVER);
    }
    if let Some((_, text)) = scripts.into_iter().find(|(name, _)| *name == file) {
        return served(text, SCRIPT, FOR_EVER);
    }
    if file == "favicon.svg" {
        return served(theme.favicon().to_owned(), "image/svg+xml", A_DAY);
    }
    match theme.image(&file) {
        Some(image) => served(image.bytes.to_vec(), image.media_type, A_DAY),
        None => interaction::not_found(State(app), request).await,
    }
}

fn served(body: impl Into<Body>, media_type: &'static str, caching: &'static str) -> Response<Body> {
    let mut response = Response::new(body.into());
    let headers = response.headers_mut();
    headers.insert("content-type", HeaderValue::from_static(media_type));
    headers.insert("cache-control", HeaderValue::from_static(caching));
    headers.insert("x-content-type-options", HeaderValue::from_static("nosniff"));
    headers.insert("content-security-policy", HeaderValue::from_static("default-src 'none'"));
    response
}

/// The process answers, and need not be started anew.
async fn healthz(State(app): State<Arc<App>>) -> Response<Body> {
    match app.engine.failure() {
        None => answer::json(StatusCode::OK, &json!({"status": "ok"})),
        Some(_) => {
            answer::json(StatusCode::SERVICE_UNAVAILABLE, &json!({"status": "ending: the store must be opened anew"}))
        }
    }
}

/// The store answers, too, and the server is to stay.
async fn readyz(State(app): State<Arc<App>>) -> Response<Body> {
    if app.is_leaving() {
        return answer::json(StatusCode::SERVICE_UNAVAILABLE, &json!({"status": "stopping"}));
    }
    match app.engine.ask(Question::Deployment).await {
        Ok(_) => answer::json(StatusCode::OK, &json!({"status": "ready"})),
        Err(Unavailable { cause: Cause::Clock, .. }) => {
            answer::json(StatusCode::SERVICE_UNAVAILABLE, &json!({"status": "clock implausible"}))
        }
        Err(_) => answer::json(StatusCode::SERVICE_UNAVAILABLE, &json!({"status": "store unavailable"})),
    }
}
