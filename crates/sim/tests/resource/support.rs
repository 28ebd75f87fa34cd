//! A resource server that reads what is told of tokens.

use std::time::Duration;

use serde_json::{Map, Value};
use sim::wire::{Reply, SECRET, World, http};

pub(crate) use sim::wire::story::{claims, refused, secs, with_setting, world, world_with};

/// The header by which the resource server of every world proves itself.
pub(crate) fn api() -> String {
    http::basic("api", SECRET)
}

/// What is signed for it: the claims, after the signature, the type and the issuer were looked at.
pub(crate) async fn verified(world: &World, token: &str, typ: &str) -> Map<String, Value> {
    let keys = world.http().get("/oauth2/jwks", &[]).await.expect_status(200);
    let set: regrant_jose::JwkSet = serde_json::from_slice(&keys.body).expect("a key set");
    let keys: Vec<_> = set.keys.iter().filter_map(|key| regrant_jose::VerifyingKey::from_jwk(key).ok()).collect();
    let claims = regrant_jose::verify(token, typ, &keys).expect("a good signature").claims;
    assert_eq!(claims["iss"].as_str(), Some(world.base.as_str()));
    claims
}

/// Asks for the feed. A second goes by before, so that the server looks again.
pub(crate) async fn feed(world: &World, since: &str, headers: &[(&str, &str)]) -> Reply {
    world.advance(Duration::from_secs(1));
    let path = if since.is_empty() { String::new() } else { format!("?since={since}") };
    let own = api();
    let headers = [headers, &[("authorization", own.as_str())]].concat();
    world.http().get(&format!("/oauth2/revocations{path}"), &headers).await
}

/// All lines behind a cursor, over as many pages as there are, and the cursor behind them.
pub(crate) async fn lines(world: &World, since: &str) -> (Vec<Value>, String) {
    let (mut lines, mut cursor) = (Vec::new(), since.to_owned());
    loop {
        let reply = feed(world, &cursor, &[]).await.expect_status(200);
        assert_eq!(reply.header("content-type"), "application/revocations+jwt");
        let page = verified(world, &reply.text(), "revocations+jwt").await;
        lines.extend(page["revocations"].as_array().expect("lines").clone());
        page["cursor"].as_str().expect("a cursor").clone_into(&mut cursor);
        if page["more"] == false {
            return (lines, cursor);
        }
    }
}

/// The bit that a token names: list and index.
pub(crate) fn place(token: &str) -> (String, u64) {
    let claims = claims(token);
    let named = &claims["status"]["status_list"];
    (named["uri"].as_str().expect("a uri").to_owned(), named["idx"].as_u64().expect("an index"))
}

/// Whether a line is about the grant of this token.
pub(crate) fn is_about(line: &Value, token: &str) -> bool {
    let (uri, index) = place(token);
    line["idx"].as_u64() == Some(index) && line["list"].as_str().is_some_and(|list| uri.ends_with(&format!("/{list}")))
}
