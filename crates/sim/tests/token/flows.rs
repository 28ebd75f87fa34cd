//! One verdict for every flow (check M1): each grant type meets each reason to refuse, with its exact answer, and what was refused is
//! consumed by none of it.

use sim::wire::{Browser, CALLBACK, CONFIG, PASSWORD, Reply, USER, VERIFIER, World, authorization};

use super::support::{refused, suspending_world, with_client, without_client, world};

const FLOWS: [&str; 4] = ["authorization_code", "refresh_token", "password", "client_credentials"];
const API: &str = "https://api.example/";

const fn client(flow: &str) -> &'static str {
    if matches!(flow.as_bytes(), b"client_credentials") { "daemon" } else { "web" }
}

/// What a client holds before the world changes.
async fn credential(world: &World, flow: &str) -> String {
    match flow {
        "authorization_code" => world.code("web").await,
        "refresh_token" => world.first("web").await,
        _ => String::new(),
    }
}

async fn ask(world: &World, flow: &str, held: &str) -> Reply {
    let mut form = vec![("grant_type", flow)];
    form.extend(match flow {
        "authorization_code" => vec![("code", held), ("redirect_uri", CALLBACK), ("code_verifier", VERIFIER)],
        "refresh_token" => vec![("refresh_token", held)],
        "password" => vec![("username", USER), ("password", PASSWORD), ("scope", "read")],
        _ => vec![("scope", "read")],
    });
    form.push(("resource", API));
    let basic = sim::wire::http::basic(client(flow), sim::wire::SECRET);
    if client(flow) == "daemon" {
        return world.http().post("/oauth2/token", &form, &[("authorization", &basic)]).await;
    }
    form.extend([("client_id", "web"), ("client_secret", sim::wire::SECRET)]);
    world.http().post("/oauth2/token", &form, &[]).await
}

/// The configuration in which the flow's client lacks something; `None` where it is not a matter of configuration.
fn lacking(what: &str, flow: &str) -> Option<String> {
    let client = client(flow);
    let web = client == "web";
    Some(match (what, flow) {
        ("the grant type", "authorization_code") => with_client(
            client,
            "redirect_uris = [\"https://app.example/cb\"]\ngrant_types = [\"authorization_code\", ",
            "grant_types = [",
        ),
        ("the grant type", "refresh_token") => with_client(client, "\"refresh_token\", ", ""),
        ("the grant type", "password") => with_client(client, ", \"password\"", ""),
        ("the grant type", _) => with_client(
            client,
            "grant_types = [\"client_credentials\"]",
            "grant_types = [\"authorization_code\"]\nredirect_uris = [\"https://app.example/cb\"]",
        ),
        ("the scope", _) if web => with_client(client, "\"openid\", \"read\", \"write\", \"files\"", ""),
        ("the scope", _) => with_client(client, "scopes = [\"read\", \"write\"]", "scopes = [\"write\"]"),
        ("the resource", _) if web => with_client(client, "\"https://api.example/\", ", ""),
        ("the resource", _) => with_client(client, "resources = [\"https://api.example/\"]", ""),
        ("the client", _) => without_client(client),
        _ => return None,
    })
}

/// Check M1: every grant type × {client lost the grant type, scope not registered, resource not allowed, client gone, user disabled}:
/// the exact answer, no grant made, nothing consumed: given back what it lacked, the same credential works.
#[tokio::test]
async fn every_flow_meets_every_reason_to_refuse() {
    for flow in FLOWS {
        for (what, status, error, reason) in [
            ("the grant type", 400, "unauthorized_client", "grant_type_not_allowed"),
            ("the scope", 400, "invalid_scope", "scope_not_allowed"),
            ("the resource", 400, "invalid_target", "target_not_allowed"),
            ("the client", 401, "invalid_client", "unknown_client"),
            ("the user", 400, "invalid_grant", "subject_disabled"),
        ] {
            let mut world = suspending_world().await;
            let held = credential(&world, flow).await;
            let before = if held.is_empty() { None } else { Some(world.row(&held).await) };
            let rows = world.grants().await;
            match lacking(what, flow) {
                Some(config) => world = world.restart_with(Some(&config)).await,
                None => world.app.admin().set_user_disabled(USER, true).await.expect("the user is there"),
            }
            let reply = ask(&world, flow, &held).await;
            if (flow, what) == ("client_credentials", "the user") {
                let _ = reply.expect_status(200);
                continue;
            }
            refused(&reply, status, error, reason);
            assert_eq!(world.grants().await, rows, "{flow} without {what} made a grant");
            if let Some(before) = before {
                assert_eq!(world.row(&held).await, before, "{flow} without {what} consumed something");
            }
            if what == "the user" {
                world.app.admin().set_user_disabled(USER, false).await.expect("the user is there");
            } else {
                world = world.restart_with(Some(CONFIG)).await;
            }
            let _ = ask(&world, flow, &held).await.expect_status(200);
        }
    }
}

/// Check M1: the implicit flow, which has no token request, meets the same verdict at the authorization endpoint.
#[tokio::test]
async fn the_implicit_flow_meets_the_same_verdict() {
    let others = |more: &[(&'static str, &'static str)]| {
        let mut others = vec![("response_type", "token"), ("code_challenge", ""), ("code_challenge_method", "")];
        others.extend(more);
        others
    };
    let code_only = with_client("spa-old", "grant_types = [\"implicit\"]", "grant_types = [\"authorization_code\"]");
    for (config, more) in [
        (code_only, vec![]),
        (without_client("spa-old"), vec![]),
        (CONFIG.to_owned(), vec![("scope", "write")]),
        (CONFIG.to_owned(), vec![("resource", "https://api.example/")]),
    ] {
        let world = world().await.restart_with(Some(&config)).await;
        let mut browser = Browser::new(&world.base);
        let reply = browser.get(&authorization("spa-old", &others(&more))).await;
        let reply = browser.follow(reply).await;
        let heard = format!("{} {}", reply.header("location"), reply.text());
        assert!(
            !heard.contains("access_token")
                && !heard.contains("id=\"consent-allow\"")
                && !heard.contains("id=\"login-submit\""),
            "{heard}"
        );
        assert!(heard.contains("error") || reply.status.is_client_error(), "{heard}");
    }
}

/// A disabled client is not a matter of this file's configuration yet; a disabled user is one of every flow's that has a user, also of
/// what was minted before.
#[tokio::test]
async fn a_disabled_user_is_refused_by_everything_minted_before() {
    let world = world().await;
    let grant = world.grant("opaque").await;
    let refresh = sim::wire::text(&grant, "refresh_token");
    world.app.admin().set_user_disabled(USER, true).await.expect("the user is there");
    refused(&world.refresh("opaque", &refresh).await, 400, "invalid_grant", "user_disabled");
    let answer = world.post("/oauth2/introspect", "opaque", &[("token", &refresh)], &[]).await;
    assert_eq!(answer.text(), "{\"active\":false}");
    assert!(!super::support::is_active(&world, &sim::wire::text(&grant, "access_token")).await);
}
