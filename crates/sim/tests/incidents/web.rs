//! Redirects, pages, headers, operations.

use regrant_store::Cause;
use sim::wire::story::{next, world, world_with};
use sim::wire::{CALLBACK, CONFIG, PASSWORD, USER, World, authorization};

async fn is_an_error_page(world: &World, redirect_uri: &str) {
    let path = authorization("phone", &[("redirect_uri", redirect_uri)]);
    let reply = world.browser().get(&path).await;
    assert_eq!((reply.status.as_u16(), reply.header("location")), (400, String::new()), "{redirect_uri}");
}

/// Incident CVE-2024-8883, CVE-2026-7504, CVE-2026-3872, #48430 and CVE-2026-9086 (Keycloak), CVE-2020-15233 (Fosite), CVE-2024-52289 (authentik): a parser, a
/// pattern or a prefix stood between what was registered and what came. Five thousand mutations are in `browser/redirects.rs`.
#[tokio::test]
async fn cve_2024_8883_a_redirect_uri_is_the_same_bytes() {
    let world = world().await;
    for uri in [
        "http://localhost/cb",
        "https://app.example@evil.example/cb",
        "https://app.example:443@evil.example/cb",
        "https://a@b@app.example/cb",
        "https://app.example/..;/cb",
        "https://app.example/cb/../cb",
        "https://app.example.evil.example/cb",
        "https://appXexample/cb",
        "https://APP.example/cb",
        "JavaScript:alert(1)",
        "http://127.0.0.1.evil.example/cb",
        "https://app.example/cb%2f",
        "https://app.example\\@evil.example/cb",
    ] {
        is_an_error_page(&world, uri).await;
    }
}

/// Incident CVE-2024-39694 (Duende), the open redirects of mod_auth_openidc: where one goes after a logout was led astray.
#[tokio::test]
async fn cve_2024_39694_a_logout_leads_nowhere_else() {
    let world = world().await;
    for to in
        ["https://evil.example/", "//evil.example", "/\\evil.example", "https:evil.example", "\thttps://evil.example"]
    {
        let path = format!("/oauth2/logout?{}", regrant_server::form::write(&[("post_logout_redirect_uri", to)]));
        let reply = world.browser().get(&path).await;
        assert!(!reply.header("location").contains("evil"), "{to}: {}", reply.header("location"));
    }
}

/// Incident CVE-2018-14655 (Keycloak), GO-2026-4861 (Hydra), pyoidc #151: scripts in `state`, in an error or in a hint.
#[tokio::test]
async fn cve_2018_14655_nothing_that_was_sent_becomes_a_script() {
    let world = world().await;
    let script = "\"><script>alert(1)</script>";
    for name in ["state", "login_hint", "ui_locales", "redirect_uri", "client_id", "scope", "prompt"] {
        let reply = world.browser().get(&authorization("phone", &[(name, script)])).await;
        let reply = world.browser().follow(reply).await;
        assert!(!reply.text().contains("<script>alert"), "{name}");
    }
}

/// Incident CVE-2025-12390, CVE-2026-7507 (Keycloak): a session id was used on, and one user had another's tokens. At length in `browser/two_users.rs`.
#[tokio::test]
async fn cve_2025_12390_another_login_is_another_session() {
    let world = world().await;
    world.add_user("bob").await;
    let mut browser = world.browser();
    let page = browser.get(&authorization("web", &[])).await;
    let _ = browser.log_in(&page, USER).await;
    let before = browser.cookies().clone();
    let page = browser.get(&authorization("web", &[("prompt", "login")])).await;
    let _ = browser.log_in(&page, "bob").await;
    let changed = browser.cookies().iter().filter(|(name, value)| before.get(*name) != Some(value)).count();
    assert!(changed > 0, "the session has the cookie of the user before");
}

/// Incident Hydra PR #770 (2018): whoever knew the name of a login could go on with it in a browser of his own.
#[tokio::test]
async fn hydra_770_a_page_is_its_own_browsers() {
    let world = world().await;
    let mut victim = world.browser();
    let page = victim.get(&authorization("web", &[])).await;
    let consent = victim.log_in(&page, USER).await;
    let stolen = world.browser().submit(&consent, &[("decision", "allow")]).await;
    assert!(!stolen.header("location").contains("code="), "{}", stolen.header("location"));
}

/// Incident CVE-2026-47203 (Authelia): one letter in another case was another count of failures.
#[tokio::test]
async fn cve_2026_47203_all_spellings_of_a_name_are_counted_together() {
    let world = world_with(&format!("{CONFIG}\n[limits]\n")).await;
    let mut statuses = Vec::new();
    for name in
        ["alice", "ALICE", "Alice", "aLiCe", " alice", "alice ", "ALIce", "alicE", "AlIcE", "alICE", "ALICe", "alIce"]
    {
        let form = [("grant_type", "password"), ("username", name), ("password", "wrong")];
        statuses.push(world.token("phone", &form).await.status.as_u16());
    }
    assert!(statuses.contains(&429), "{statuses:?}");
}

/// Incident CVE-2024-47070 and CVE-2023-36456 (authentik), CVE-2026-40575 and CVE-2026-76835 (oauth2-proxy): a stranger's `X-Forwarded-For` was believed.
#[tokio::test]
async fn cve_2024_47070_a_strangers_word_about_his_address_is_not_heard() {
    let world = world_with(&format!("{CONFIG}\n[limits]\n")).await;
    let mut last = 0;
    for number in 0..40 {
        let from = format!("10.0.{number}.1");
        let form = [("grant_type", "password"), ("client_id", "phone"), ("username", "alice"), ("password", "wrong")];
        let headers = [("x-forwarded-for", from.as_str()), ("forwarded", "for=10.9.9.9"), ("x-real-ip", from.as_str())];
        last = world.http().post("/oauth2/token", &form, &headers).await.status.as_u16();
    }
    assert_eq!(last, 429, "another header was another guesser");
}

/// Incident CVE-2026-37979 and CVE-2026-18208 (Keycloak): introspection by whom a token does not concern; repaired in JSON, left in JWT.
#[tokio::test]
async fn cve_2026_37979_no_form_of_introspection_tells_a_stranger() {
    let world = world().await;
    let token = world.first("phone").await;
    for accept in ["application/json", "application/token-introspection+jwt"] {
        let reply = world.post("/oauth2/introspect", "api", &[("token", &token)], &[("accept", accept)]).await;
        let text = reply.expect_status(200).text();
        let told = if accept.ends_with("jwt") {
            sim::wire::story::claims(&text)["token_introspection"].to_string()
        } else {
            text
        };
        assert_eq!(told, r#"{"active":false}"#);
    }
}

/// Incident CVE-2020-15223 (Fosite): a revocation was answered 200 though the store had failed.
#[tokio::test]
async fn cve_2020_15223_a_revocation_that_failed_says_so() {
    let world = world().await;
    let token = world.first("phone").await;
    world.watch.refuse(Cause::Io, u64::MAX);
    let reply = world.post("/oauth2/revoke", "phone", &[("token", &token)], &[]).await;
    reply.expect_error(503, "temporarily_unavailable");
    world.watch.heal();
    let _ = next(world.refresh("phone", &token).await);
}

/// Incident CVE-2026-4634 (Keycloak), attesto #18: half a million scopes took seconds.
#[tokio::test]
async fn cve_2026_4634_a_scope_of_any_length_costs_nothing() {
    let world = world().await;
    let scope = "a ".repeat(25_000);
    let form = [("grant_type", "client_credentials"), ("scope", scope.as_str())];
    let status = world.token("daemon", &form).await.status.as_u16();
    assert!(matches!(status, 400 | 413), "{status}");
    let path = authorization("phone", &[("scope", "s s ".repeat(2_000).as_str())]);
    let reply = world.browser().get(&path).await;
    assert!(reply.status.as_u16() < 500, "{}", reply.status);
}

/// Incident GHSA-r9w3-57w2-gch2 (Hydra), CVE-2026-33505 (Keto): SQL in page tokens under a key with a default. At length in `adminapi/cursors.rs`.
#[tokio::test]
async fn ghsa_r9w3_a_root_key_has_no_default() {
    let world = world().await;
    let form = [("grant_type", "password"), ("username", "' OR 1=1 --"), ("password", PASSWORD)];
    world.token("phone", &form).await.expect_error(400, "invalid_grant");
    assert!(
        regrant_core::keys::RootKey::parse("").is_none() && regrant_core::keys::RootKey::parse("changeme").is_none()
    );
    assert!(!CALLBACK.is_empty());
}
