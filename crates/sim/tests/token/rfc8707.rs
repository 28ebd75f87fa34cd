//! RFC 8707, resource indicators, at the token endpoint:
//!
//! - Section 2: "Its value MUST be an absolute URI […]. The URI MUST NOT include a fragment component." "Multiple "resource" parameters
//!   MAY be used".
//! - `invalid_target`: "The requested resource is invalid, missing, unknown, or malformed."
//! - 2.2: in a refresh, the resources asked for are within those of the grant; the access token's audience is what was asked for, and
//!   "the scope […] of the access token is then the intersection".

use sim::wire::{Browser, World, authorization, text};

use super::support::{claims, next, refused, secs, with_client, with_setting, world};

const API: &str = "https://api.example/";
const FILES: &str = "https://files.example/";

async fn refresh_for(world: &World, token: &str, resources: &[&str]) -> sim::wire::Reply {
    let mut form = vec![("grant_type", "refresh_token"), ("refresh_token", token)];
    form.extend(resources.iter().map(|resource| ("resource", *resource)));
    world.token("web", &form).await
}

fn audience(access: &str) -> Vec<String> {
    match &claims(access)["aud"] {
        serde_json::Value::String(one) => vec![one.clone()],
        many => many.as_array().expect("a list").iter().map(|one| one.as_str().expect("a string").to_owned()).collect(),
    }
}

/// Check T31, law L8: the resources of a grant are kept, an access token may have fewer, and the next refresh has them all again.
#[tokio::test]
async fn a_refresh_narrows_the_audience_and_never_the_grant() {
    let world = world().await;
    let first = world.first("web").await;
    for (asked, heard) in [
        (vec![], vec![API, FILES]),
        (vec![API], vec![API]),
        (vec![FILES, FILES], vec![FILES]),
        (vec![FILES, API], vec![API, FILES]),
        (vec![], vec![API, FILES]),
    ] {
        let answer = refresh_for(&world, &first, &asked).await.expect_status(200).json();
        assert_eq!(audience(&text(&answer, "access_token")), heard);
        assert_eq!(world.row(&first).await.terms.resources.to_string(), format!("{API} {FILES}"));
    }
}

/// Check T31: "the intersection": scopes that another resource owns are left out of the token, and the answer says so.
#[tokio::test]
async fn the_scope_of_a_token_is_what_its_audience_understands() {
    let world = world().await;
    let first = world.first("web").await;
    for (resource, scope) in [(API, "openid read write"), (FILES, "files openid")] {
        let answer = refresh_for(&world, &first, &[resource]).await.expect_status(200).json();
        assert_eq!(
            (text(&answer, "scope"), claims(&text(&answer, "access_token"))["scope"].as_str()),
            (scope.to_owned(), Some(scope))
        );
    }
}

/// RFC 6749 section 5.1: an answer without `scope` says that all was given that was asked for. A token that could say nothing is not made:
/// `invalid_scope`, whatever the state of the grant, and nothing is consumed.
#[tokio::test]
async fn a_scope_that_means_nothing_to_the_audience_is_refused() {
    let world = world().await;
    let first = world.first("web").await;
    let form = |token| {
        [("grant_type", "refresh_token"), ("refresh_token", token), ("scope", "read write"), ("resource", FILES)]
    };
    let before = world.row(&first).await;
    refused(&world.token("web", &form(&first)).await, 400, "invalid_scope", "scope_not_allowed");
    assert_eq!(world.row(&first).await, before);
    let _ = world.post("/oauth2/revoke", "web", &[("token", &first)], &[]).await.expect_status(200);
    refused(&world.token("web", &form(&first)).await, 400, "invalid_scope", "scope_not_allowed");

    let machine = [("grant_type", "client_credentials"), ("scope", "read"), ("resource", FILES)];
    let world = restarted_with_machine(world).await;
    refused(&world.token("machine", &machine).await, 400, "invalid_scope", "scope_not_allowed");
    let mut browser = Browser::new(&world.base);
    let answer = browser.get(&authorization("web", &[("scope", "read"), ("resource", FILES)])).await;
    assert!(answer.header("location").contains("error=invalid_scope"), "{}", answer.header("location"));
}

/// The same where the grant alone says which resource it is: whether a request repeats that makes no difference, and nothing is consumed.
#[tokio::test]
async fn a_scope_that_means_nothing_to_the_grants_audience_is_refused() {
    let world = world().await;
    let asked = authorization("web", &[("scope", "read files"), ("resource", API)]);
    let code = Browser::new(&world.base).log_in_for_code(&asked).await;
    let first = text(&world.redeem("web", &code).await.expect_status(200).json(), "refresh_token");
    let before = world.row(&first).await;
    for more in [vec![], vec![("resource", API)]] {
        let mut form = vec![("grant_type", "refresh_token"), ("refresh_token", first.as_str()), ("scope", "files")];
        form.extend(more);
        refused(&world.token("web", &form).await, 400, "invalid_scope", "scope_not_allowed");
        assert_eq!(world.row(&first).await, before);
    }
    let answer = refresh_for(&world, &first, &[]).await.expect_status(200).json();
    assert_eq!(text(&answer, "scope"), "read");
}

/// In every state of the token alike, and nothing is ended: or a thief could ask which state it is.
#[tokio::test]
async fn a_scope_that_means_nothing_sounds_the_same_in_every_state() {
    let world = World::with(&with_setting("web", "rotation = \"single_use\"")).await;
    let asked = authorization("web", &[("scope", "read files"), ("resource", API)]);
    let code = Browser::new(&world.base).log_in_for_code(&asked).await;
    let spent = text(&world.redeem("web", &code).await.expect_status(200).json(), "refresh_token");
    let mut live = spent.clone();
    for passed in [0, 0, 0, 3600] {
        world.advance(secs(passed));
        for token in [&spent, &live] {
            let form = [("grant_type", "refresh_token"), ("refresh_token", token.as_str()), ("scope", "files")];
            refused(&world.token("web", &form).await, 400, "invalid_scope", "scope_not_allowed");
        }
        live = next(refresh_for(&world, &live, &[]).await);
    }
}

/// The machine of the usual configuration, with both resources.
async fn restarted_with_machine(world: World) -> World {
    let client = r#"
[[client]]
id = "machine"
secret_hash = "HASH"
grant_types = ["client_credentials"]
scopes = ["read", "files"]
resources = ["https://api.example/", "https://files.example/"]
"#;
    world.restart_with(Some(&format!("{}{client}", sim::wire::CONFIG))).await
}

/// Where a code is redeemed for a resource that understands nothing of it, the answer says that the scope is empty.
#[tokio::test]
async fn an_empty_scope_is_told() {
    let world = world().await;
    let code = Browser::new(&world.base).log_in_for_code(&authorization("web", &[("scope", "read")])).await;
    let form = [
        ("grant_type", "authorization_code"),
        ("code", code.as_str()),
        ("redirect_uri", sim::wire::CALLBACK),
        ("code_verifier", sim::wire::VERIFIER),
        ("resource", FILES),
    ];
    let answer = world.token("web", &form).await.expect_status(200).json();
    assert_eq!(
        (answer["scope"].as_str(), &claims(&text(&answer, "access_token"))["scope"]),
        (Some(""), &serde_json::Value::Null)
    );
}

/// Check T31, law L8: what the grant was not given for, a refresh does not get; the bytes decide; nothing is consumed.
#[tokio::test]
async fn a_refresh_never_widens_the_audience() {
    let world = world().await;
    let code = Browser::new(&world.base).log_in_for_code(&authorization("web", &[("resource", API)])).await;
    let first = next(world.redeem("web", &code).await);
    let before = world.row(&first).await;
    assert_eq!(before.terms.resources.to_string(), API);
    for (resources, reason) in [
        (vec![FILES], "target_exceeded"),
        (vec![API, FILES], "target_exceeded"),
        (vec!["https://api.example"], "target_exceeded"),
        (vec!["https://API.example/"], "target_exceeded"),
        (vec!["https://api.example:443/"], "target_exceeded"),
        (vec!["https://api.example/../"], "target_exceeded"),
        (vec!["https://api.example/#fragment"], "malformed_target"),
        (vec!["/relative"], "malformed_target"),
        (vec!["https://\u{e4}.example/"], "malformed_target"),
        (vec!["https://a.example/"; 17], "malformed_target_or_exceeded"),
    ] {
        let reply = refresh_for(&world, &first, &resources).await;
        reply.expect_error(400, "invalid_target");
        if reason != "malformed_target_or_exceeded" {
            refused(&reply, 400, "invalid_target", reason);
        }
    }
    assert_eq!(world.row(&first).await, before);
    let _ = next(refresh_for(&world, &first, &[API]).await);
}

/// A code's redemption narrows its first access token in the same way.
#[tokio::test]
async fn a_redemption_narrows_the_audience() {
    let world = world().await;
    let code = world.code("web").await;
    let form = |resource| {
        [
            ("grant_type", "authorization_code"),
            ("code", code.as_str()),
            ("redirect_uri", sim::wire::CALLBACK),
            ("code_verifier", sim::wire::VERIFIER),
            ("resource", resource),
        ]
    };
    refused(&world.token("web", &form("https://evil.example/")).await, 400, "invalid_target", "target_exceeded");
    let answer = world.token("web", &form(FILES)).await.expect_status(200).json();
    assert_eq!(audience(&text(&answer, "access_token")), [FILES]);
    let answer = refresh_for(&world, &text(&answer, "refresh_token"), &[]).await.expect_status(200).json();
    assert_eq!(audience(&text(&answer, "access_token")), [API, FILES]);
}

/// A resource that the client has lost since is left out; when none is left, the refresh is refused and nothing is consumed.
#[tokio::test]
async fn a_resource_that_the_client_lost_is_left_out() {
    let world = world().await;
    let first = world.first("web").await;
    let both = "resources = [\"https://api.example/\", \"https://files.example/\"]";
    let world = world.restart_with(Some(&with_client("web", both, "resources = [\"https://files.example/\"]"))).await;
    let answer = refresh_for(&world, &first, &[]).await.expect_status(200).json();
    assert_eq!(audience(&text(&answer, "access_token")), [FILES]);
    refused(&refresh_for(&world, &first, &[API]).await, 400, "invalid_target", "target_not_allowed");
    let world = world.restart_with(Some(&with_client("web", both, ""))).await;
    world.advance(secs(1));
    let before = world.row(&first).await;
    refused(&refresh_for(&world, &first, &[]).await, 400, "invalid_target", "target_not_allowed");
    assert_eq!(world.row(&first).await, before);
}
