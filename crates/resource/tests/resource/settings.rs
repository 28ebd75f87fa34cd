//! Settings that cannot be meant are refused when the server is built.

use std::time::Duration;

use regrant_resource::{BadSetting, Credentials, ResourceServer, WhenOld};

#[test]
fn what_cannot_be_meant_is_refused() {
    let build = |issuer: &str, audience: &str| ResourceServer::builder(issuer, audience).build().map(|_| ());
    for issuer in [
        "",
        "id.example",
        "http://id.example",
        "https://id.example?x",
        "https://id.example#x",
        "https://",
        "ftp://127.0.0.1",
        "http://localhost",
    ] {
        assert_eq!(build(issuer, "https://api.example/"), Err(BadSetting::Issuer), "{issuer}");
    }
    for issuer in ["https://id.example", "https://id.example/a", "http://127.0.0.1:8420", "http://[::1]:1"] {
        assert_eq!(build(issuer, "https://api.example/"), Ok(()), "{issuer}");
    }
    for audience in ["", "a b", "a\"b", "a\\b", "ä", &"a".repeat(2049)] {
        assert_eq!(build("https://id.example", audience), Err(BadSetting::Audience), "{audience}");
    }
    let builder = || ResourceServer::builder("https://id.example", "a");
    let day = Duration::from_secs(86_401);
    let refused = |built: Result<ResourceServer, BadSetting>| built.map(|_| ()).expect_err("a bad setting");
    assert_eq!(refused(builder().when_old(WhenOld::Introspect).build()), BadSetting::NoCredentials);
    assert_eq!(refused(builder().when_old(WhenOld::AcceptUntil(day)).build()), BadSetting::TooLong);
    assert_eq!(refused(builder().feed_max_age(day).build()), BadSetting::TooLong);
    assert_eq!(refused(builder().leeway(Duration::from_secs(301)).build()), BadSetting::TooLong);
    let shown = format!("{:?}", builder().credentials(Credentials::new("api", "hidden")));
    assert!(!shown.contains("hidden") && !format!("{:?}", Credentials::new("api", "hidden")).contains("hidden"));
}
