//! Sizes: nothing that is sent costs more than in proportion to its length, and every length has an end.

use axum::body::Body;
use axum::http::Method;
use sim::wire::{CALLBACK, CONFIG, authorization};

use super::support::{claims, is_active, refused, tokens, userinfo, world, world_with};

const FORM: &str = "application/x-www-form-urlencoded";

/// Check X3: names that would collide in a table of hashes are refused for their number, before anything is looked up; what is looked up by
/// a stranger's words is ordered or hashed with a key.
#[tokio::test]
async fn colliding_names_are_refused_for_their_number() {
    let world = world().await;
    // A family for the multiplicative hashes: all words of the same pairs.
    let names = (0..5000_u32)
        .map(|number| (0..13).map(|bit| if number >> bit & 1 == 1 { "Aa" } else { "BB" }).collect::<String>());
    let body = names.map(|name| format!("{name}=")).collect::<Vec<_>>().join("&");
    assert!(body.len() > 64 * 1024);
    let many = &body[..60_000];
    for path in ["/oauth2/token", "/oauth2/revoke", "/oauth2/introspect"] {
        refused(&world.http().post_raw(path, many, FORM, &[]).await, 400, "invalid_request", "malformed: TooMany");
        refused(&world.http().post_raw(path, &body, FORM, &[]).await, 413, "invalid_request", "malformed: TooLarge");
    }
    let reply = world.http().get(&format!("/oauth2/authorize?{}", &body[..8000]), &[]).await;
    assert_eq!((reply.status.as_u16(), reply.header("location")), (400, String::new()));
}

/// Check X4: half a million scopes end at the size of a body, and those that fit it at the number of scopes, resources and parameters; so
/// does a redirect URI of a whole request's length.
#[tokio::test]
async fn nothing_is_quadratic_in_what_is_sent() {
    let world = world().await;
    let first = world.first("phone").await;
    let form = |more: &str| format!("grant_type=refresh_token&client_id=phone&refresh_token={first}&{more}");
    let scopes = (0..500_000).map(|number| format!("s{number}")).collect::<Vec<_>>().join("+");
    let send = async |body: String| world.http().post_raw("/oauth2/token", &body, FORM, &[]).await;
    refused(&send(form(&format!("scope={scopes}"))).await, 413, "invalid_request", "malformed: TooLarge");
    refused(&send(form(&format!("scope={}", &scopes[..60_000]))).await, 400, "invalid_scope", "malformed_scope");
    refused(&send(form(&format!("scope={}", "a+".repeat(30_000)))).await, 400, "invalid_scope", "malformed_scope");
    let resources = (0..60).map(|number| format!("resource=urn:{number}")).collect::<Vec<_>>().join("&");
    refused(&send(form(&resources)).await, 400, "invalid_target", "malformed_target");
    let long = format!("resource=urn:{}", "a".repeat(60_000));
    refused(&send(form(&long)).await, 400, "invalid_target", "malformed_target");
    let _ = tokens(world.refresh("phone", &first).await);
    for uri in [format!("{CALLBACK}/{}", "a/../".repeat(1400)), format!("https://{}/", "a.".repeat(3000))] {
        let reply = world.http().get(&authorization("web", &[("redirect_uri", &uri)]), &[]).await;
        assert_eq!((reply.status.as_u16(), reply.header("location")), (400, String::new()));
    }
    let huge = format!("/oauth2/authorize?{}", "a".repeat(60_000));
    assert_eq!(world.http().get(&huge, &[]).await.status.as_u16() / 100, 4);
}

/// Check X5: no expression that backtracks is evaluated anywhere: no such engine is among what the binary is built of.
#[test]
fn no_regular_expression_backtracks() {
    let lock = std::fs::read_to_string(std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../Cargo.lock"));
    let lock = lock.expect("Cargo.lock");
    assert!(lock.contains("name = \"regrant-server\""));
    for engine in ["fancy-regex", "pcre2", "onig", "onig_sys", "regress"] {
        assert!(!lock.contains(&format!("name = \"{engine}\"")), "{engine}");
    }
}

fn jwt(header: &str, payload: &str) -> String {
    use base64::Engine as _;
    let encode = |text: &str| base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(text);
    format!("{}.{}.{}", encode(header), encode(payload), encode(&"x".repeat(64)))
}

/// Checks X10, I10: tokens that are huge, deep or name keys that are not ours are inactive before their signature is looked at.
#[tokio::test]
async fn hostile_tokens_are_inactive() {
    let world = world().await;
    let tokens = world.grant("phone").await;
    let access = tokens["access_token"].as_str().expect("a token");
    let kid = super::support::header(access)["kid"].as_str().expect("a key").to_owned();
    let ours = format!("{{\"alg\":\"ES256\",\"typ\":\"at+jwt\",\"kid\":\"{kid}\"}}");
    let deep = |levels: usize| format!("{}{}", "{\"a\":".repeat(levels), "1".to_owned() + &"}".repeat(levels));
    for token in [
        jwt(&ours, &deep(1500)),
        jwt(&deep(1500), "{}"),
        jwt(&ours, &"[".repeat(6000)),
        jwt(&ours, &format!("{{\"exp\":{}}}", "9".repeat(5000))),
        jwt("{\"alg\":\"ES256\",\"typ\":\"at+jwt\",\"kid\":\"other\"}", "{}"),
        jwt("{\"alg\":\"none\",\"typ\":\"at+jwt\"}", "{}"),
        format!("{access}{}", "A".repeat(20_000)),
        "a.".repeat(20_000),
        ".".repeat(60_000),
    ] {
        assert!(!is_active(&world, &token).await, "{token:.100}");
    }
    assert!(is_active(&world, access).await);
    assert_eq!(userinfo(&world, &jwt(&ours, &deep(100))).await.status, 401);
}

/// Check X4: at every endpoint, a body without end is cut off at its limit, a header or path without end refused.
#[tokio::test]
async fn headers_and_paths_have_an_end() {
    let world = world().await;
    let long = "x".repeat(100_000);
    for headers in
        [vec![("authorization", long.as_str())], vec![("cookie", long.as_str())], vec![("x-anything", long.as_str())]]
    {
        let reply = world.http().send(Method::POST, "/oauth2/token", &headers, Body::empty()).await;
        assert_eq!(reply.status.as_u16() / 100, 4);
    }
    let many: Vec<(String, &str)> = (0..90).map(|number| (format!("x-{number}"), "y")).collect();
    let many: Vec<(&str, &str)> = many.iter().map(|(name, value)| (name.as_str(), *value)).collect();
    assert_eq!(world.http().send(Method::POST, "/oauth2/token", &many, Body::empty()).await.status, 431);
}

/// Check I11: names that mean something elsewhere are names like others: of a client, a scope, a resource, a user. None becomes a claim, and
/// none replaces one.
#[tokio::test]
async fn reserved_words_are_names_like_others() {
    let words = ["id", "sub", "iss", "__proto__", "constructor", "null", "active", "jti"];
    for word in words {
        let config = format!(
            "{CONFIG}\n[[scope]]\nname = \"{word}\"\n[[resource]]\nuri = \"urn:{word}\"\nscopes = [\"{word}\"]\n\
             [[client]]\nid = \"{word}\"\nsecret_hash = \"HASH\"\ntoken_endpoint_auth_method = \"client_secret_post\"\n\
             grant_types = [\"password\", \"refresh_token\"]\nscopes = [\"{word}\", \"openid\"]\n\
             resources = [\"urn:{word}\"]\n"
        );
        let world = world_with(&config).await;
        world.add_user(word).await;
        let form = [("grant_type", "password"), ("username", word), ("password", sim::wire::PASSWORD)];
        let (access, refresh) = tokens(world.token(word, &form).await);
        let claims = claims(&access);
        assert_eq!((claims["client_id"].as_str(), claims["iss"].as_str()), (Some(word), Some(world.app.issuer())));
        assert!(claims["sub"].as_str().is_some_and(|subject| subject.starts_with("usr_")), "{claims}");
        assert!(claims["exp"].is_i64() && claims["scope"].as_str().is_some_and(|scope| scope.contains(word)));
        let _ = tokens(world.refresh(word, &refresh).await);
        assert_eq!(world.introspect(&access).await["active"], true);
    }
    // What would pass for a user is no name of a client.
    let client = format!("{CONFIG}\n[[client]]\nid = \"usr_1\"\nsecret_hash = \"HASH\"\ngrant_types = []\n");
    let parsed = regrant_server::Config::parse(&client, "test.toml", std::path::Path::new("."));
    assert!(parsed.is_err_and(|errors| errors.to_string().contains("client.id")));
}
