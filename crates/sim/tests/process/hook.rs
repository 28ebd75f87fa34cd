//! The token hook over TLS, asked by the real binary, whose environment an operator sets.

use std::path::Path;

use sim::process::{Home, Scratch, Server};
use sim::wire::{Act, CONFIG, Hook, PASSWORD, Reply, USER, text};

async fn asked(home: &Home, authority: &Path, proxy: &str) -> Reply {
    let mut serve = home.command(&["serve"]);
    serve.env("SSL_CERT_FILE", authority).env_remove("SSL_CERT_DIR");
    for name in ["http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"] {
        serve.env(name, proxy);
    }
    let server = Server::try_start(serve, &home.log()).unwrap_or_else(|refused| panic!("{refused:?}"));
    let grant = [("grant_type", "password"), ("username", USER), ("password", PASSWORD), ("client_id", "phone")];
    let reply = server.http().post("/oauth2/token", &grant, &[]).await;
    server.stop();
    reply
}

/// Checks S1, S5, S9: https to a server whose certificate the machine trusts, and to no other; a proxy of the environment hears
/// nothing.
#[tokio::test(flavor = "multi_thread")]
async fn the_hook_is_asked_over_tls_that_is_checked() {
    let scratch = Scratch::new("hook-tls");
    let (hook, authority) = Hook::start_tls(scratch.path()).await;
    let (other, stranger) = {
        let directory = scratch.path().join("other");
        std::fs::create_dir(&directory).expect("a directory");
        Hook::start_tls(&directory).await
    };
    let proxy = Hook::start().await;
    let home = Home::make(&scratch.path().join("home"));
    let secret = scratch.path().join("hook.secret");
    std::fs::write(&secret, "0123456789abcdef0123456789abcdef").expect("a secret");
    let config = std::fs::read_to_string(home.config_file()).expect("the configuration");
    let hooked = format!(
        "[token_hook]\nurl = \"{}\"\nsecret_file = \"{}\"\ntimeout = \"20s\"\n\n[[scope]]",
        hook.url(),
        secret.display()
    );
    std::fs::write(home.config_file(), config.replacen("[[scope]]", &hooked, 1)).expect("the configuration");
    assert!(CONFIG.contains("[[scope]]"));
    home.add_user();
    hook.does(Act::says(r#"{"allow":true,"claims":{"plan":"gold"}}"#));

    let refused = asked(&home, &stranger, proxy.url()).await.expect_status(503);
    assert_eq!(text(&refused.json(), "error"), "temporarily_unavailable");
    assert!(hook.connections() == 1 && hook.heard().is_empty(), "not a word to whom we do not trust");

    let reply = asked(&home, &authority, proxy.url()).await.expect_status(200);
    let token = text(&reply.json(), "access_token");
    let payload = token.split('.').nth(1).expect("a JWT");
    let claims = base64::Engine::decode(&base64::engine::general_purpose::URL_SAFE_NO_PAD, payload).expect("base64url");
    assert!(String::from_utf8_lossy(&claims).contains(r#""plan":"gold""#));
    assert_eq!((hook.heard().len(), proxy.connections(), other.connections()), (1, 0, 0));
}
