//! Who gets in: a client's own token for this API and nothing else, wherever the API answers.

use axum::body::Body;
use axum::http::Method;
use regrant_server::admin::api::document;
use sim::process::{Home, Scratch, Server};
use sim::wire::{CONFIG, Http, PASSWORD, USER, World, text};

use super::support::{OPS, Ops, problem, token, world};

const ANYTHING: [&str; 4] = ["/admin/v1", "/admin/v1/clients", "/admin/v1/nowhere/at/all", "/admin/v1/openapi.json"];

/// Checks O6, O1, M1: no operation answers without a token, nor with one that is not by client credentials for this API alone; what
/// is asked for makes no difference, and neither does whether it exists.
#[tokio::test]
async fn nobody_gets_in_without_the_token_that_opens() {
    let world = world().await;
    let user = text(&world.grant("web").await, "access_token");
    let daemon = world.token("daemon", &[("grant_type", "client_credentials")]).await.expect_status(200).json();
    // For two APIs at once: whoever runs the other one holds it, too.
    let asked = [("grant_type", "client_credentials"), ("scope", "regrant.admin")];
    let shared = world.token("ops-opaque", &asked).await.expect_status(200).json();
    // Of this API, with a scope that is nobody's own; one of another API alone is nothing here, and there is no token for it.
    let narrow = |scope| [("grant_type", "client_credentials"), ("scope", scope), ("resource", "urn:regrant:admin")];
    let _ = world.token("ops-opaque", &narrow("read")).await.expect_status(400);
    let narrow = world.token("ops-opaque", &narrow("profile")).await.expect_status(200).json();
    let good = token(&world, "ops").await;
    let paths = document()["paths"].as_object().expect("paths").iter();
    let operations = paths.flat_map(|(path, methods)| {
        let of_path = move |method: &String| (path.replace(['{', '}'], ""), method.to_uppercase());
        methods.as_object().expect("methods").keys().map(of_path)
    });
    let others = ANYTHING.into_iter().map(|path| (path.to_owned(), "GET".to_owned()));
    for (path, method) in operations.chain(others) {
        let method: Method = method.parse().expect("a method");
        for (authorization, status, word) in [
            (None, 401, "no-token"),
            (Some("Basic b3BzOm9wcw==".to_owned()), 401, "no-token"),
            (Some("Bearer nonsense".to_owned()), 401, "invalid-token"),
            (Some(format!("Bearer {user}")), 403, "forbidden"),
            (Some(format!("Bearer {}", text(&daemon, "access_token"))), 403, "forbidden"),
            (Some(format!("Bearer {}", text(&shared, "access_token"))), 403, "forbidden"),
            (Some(format!("Bearer {}", text(&narrow, "access_token"))), 403, "forbidden"),
        ] {
            let headers: Vec<_> = authorization.iter().map(|value| ("authorization", value.as_str())).collect();
            let reply = world.http().send(method.clone(), &path, &headers, Body::from("{}")).await;
            problem(&reply, status, word);
        }
        // A token belongs into the header.
        let reply = world.http().send(method, &format!("{path}?access_token={good}"), &[], Body::empty()).await;
        problem(&reply, 401, "no-token");
    }
    let bearer = format!("Bearer {good}");
    let twice = [("authorization", bearer.as_str()), ("authorization", bearer.as_str())];
    problem(&world.http().get("/admin/v1/status", &twice).await, 400, "malformed");
    let opaque = format!("Bearer {}", token(&world, "ops-opaque").await);
    for bearer in [bearer, opaque] {
        let _ = world.http().get("/admin/v1/status", &[("authorization", &bearer)]).await.expect_status(200);
    }
}

/// Check O6: who may look may look at everything, and change nothing.
#[tokio::test]
async fn a_client_that_may_look_changes_nothing() {
    let auditor = OPS
        .replace("id = \"ops\"", "id = \"auditor\"")
        .replace("scopes = [\"regrant.admin\"]", "scopes = [\"regrant.admin.read\"]");
    let auditor = auditor.split("[[client]]").nth(1).expect("a client").to_owned();
    let world = World::with(&format!("{CONFIG}{OPS}[[client]]{auditor}")).await;
    let asked =
        [("grant_type", "client_credentials"), ("scope", "regrant.admin.read"), ("resource", "urn:regrant:admin")];
    let read = text(&world.token("auditor", &asked).await.expect_status(200).json(), "access_token");
    let bearer = format!("Bearer {read}");
    let headers = [("authorization", bearer.as_str()), ("content-type", "application/json")];
    for (path, methods) in document()["paths"].as_object().expect("paths") {
        for method in methods.as_object().expect("methods").keys() {
            let path = path.replace(['{', '}'], "");
            let method: Method = method.to_uppercase().parse().expect("a method");
            let reply = world.http().send(method.clone(), &path, &headers, Body::from("{}")).await;
            assert_eq!(reply.status.as_u16() == 403, method != Method::GET, "{method} {path}: {}", reply.text());
        }
    }
    // Who has the hashes of passwords guesses at them, and logs in: that is more than to look.
    let export = async |query: &str| world.http().get(&format!("/admin/v1/user-exports{query}"), &headers[..1]).await;
    for query in ["?hashes=included", "?hashes=%69ncluded&limit=1"] {
        problem(&export(query).await, 403, "forbidden");
    }
    let _ = export("").await.expect_status(200);
    let wanted = [("grant_type", "client_credentials"), ("scope", "regrant.admin"), ("resource", "urn:regrant:admin")];
    let _ = world.token("auditor", &wanted).await.expect_status(400);
}

/// Check O6: without the setting there is nothing at all, whatever clients there are.
#[tokio::test]
async fn the_api_is_closed_unless_it_is_opened() {
    let closed = format!("{CONFIG}{}", OPS.replace("[admin_api]\nlisten = \"main\"\n", ""));
    let world = World::with(&closed).await;
    let bearer = format!("Bearer {}", token(&world, "ops").await);
    for path in ANYTHING {
        let reply = world.http().get(path, &[("authorization", &bearer)]).await;
        assert_eq!((reply.status.as_u16(), reply.header("content-type").contains("problem")), (404, false), "{path}");
    }
}

/// Law L9: a client that is taken off the list, or a token that is revoked, is out at the next request.
#[tokio::test]
async fn what_the_client_has_lost_its_token_has_lost() {
    let ops = Ops::new().await;
    let _ = ops.get("/status").await.expect_status(200);
    let bearer = ops.bearer.trim_start_matches("Bearer ").to_owned();
    let _ = ops.world.post("/oauth2/revoke", "ops", &[("token", &bearer)], &[]).await.expect_status(200);
    problem(&ops.get("/status").await, 401, "invalid-token");
    // A token of five minutes ago, of a client of the store that is another today.
    let ops = Ops::new().await;
    let second = serde_json::json!({
        "id": "second", "grant_types": ["client_credentials"], "scopes": ["regrant.admin"], "resources": ["urn:regrant:admin"]
    });
    let secret = text(&ops.post("/clients", &second).await.expect_status(201).json(), "client_secret");
    let basic = sim::wire::http::basic("second", &secret);
    let asked = [("grant_type", "client_credentials")];
    let given = ops.world.http().post("/oauth2/token", &asked, &[("authorization", &basic)]).await.expect_status(200);
    let second_bearer = format!("Bearer {}", text(&given.json(), "access_token"));
    let status = async || ops.world.http().get("/admin/v1/status", &[("authorization", &second_bearer)]).await;
    let _ = status().await.expect_status(200);
    let less = serde_json::json!({"id": "second", "grant_types": ["client_credentials"], "scopes": ["read"]});
    let _ = ops.put("/clients/second", &less).await.expect_status(200);
    assert!([401, 403].contains(&status().await.status.as_u16()), "what it may not have now, it has not");
    let _ = ops.send(Method::DELETE, "/clients/second", None, &[]).await.expect_status(204);
    problem(&status().await, 401, "invalid-token");
}

/// Check O6: a listener of its own answers the API and nothing else, and the main one then nothing of it.
#[tokio::test]
async fn a_listener_of_its_own_is_the_only_one() {
    let scratch = Scratch::new("admin-listener");
    let config = format!("{CONFIG}{}", OPS.replace("\"main\"", "\"127.0.0.1:0\""));
    let home = Home::make_with(&scratch.path().join("home"), &config);
    home.add_user();
    let server = Server::start(&home);
    let own = Http::new(server.admin().expect("the first line says where"));
    let basic = sim::wire::http::basic("ops", sim::wire::SECRET);
    let asked = [("grant_type", "client_credentials"), ("resource", "urn:regrant:admin")];
    let given = server.http().post("/oauth2/token", &asked, &[("authorization", &basic)]).await.expect_status(200);
    let bearer = format!("Bearer {}", text(&given.json(), "access_token"));
    let headers = [("authorization", bearer.as_str())];
    let users = own.get("/admin/v1/users", &headers).await.expect_status(200).json();
    assert_eq!(users["items"][0]["name"], USER);
    problem(&own.get("/admin/v1/users", &[]).await, 401, "no-token");
    assert_eq!(server.http().get("/admin/v1/users", &headers).await.status, 404);
    for elsewhere in ["/", "/healthz", "/oauth2/jwks", "/metrics", "/.well-known/openid-configuration"] {
        assert_eq!(own.get(elsewhere, &headers).await.status, 404, "{elsewhere}");
    }
    let password = [("grant_type", "password"), ("username", USER), ("password", PASSWORD), ("client_id", "phone")];
    assert_eq!(own.post("/oauth2/token", &password, &[]).await.status, 404);
    server.stop();
}

/// A network that only fails hears so, before a signature is verified for it (check X10).
#[tokio::test]
async fn a_network_that_only_fails_is_told_to_wait() {
    let limited = format!("{CONFIG}{OPS}\n[limits]\nfailures_per_network = \"5/m\"\n");
    let world = World::with(&limited).await;
    let bearer = format!("Bearer {}", token(&world, "ops").await);
    for _ in 0..5 {
        problem(&world.http().get("/admin/v1/status", &[("authorization", "Bearer x")]).await, 401, "invalid-token");
    }
    problem(&world.http().get("/admin/v1/status", &[("authorization", "Bearer x")]).await, 429, "too-many-requests");
    let elsewhere = world.http_from("127.0.0.9");
    let _ = elsewhere.get("/admin/v1/status", &[("authorization", &bearer)]).await.expect_status(200);
}
