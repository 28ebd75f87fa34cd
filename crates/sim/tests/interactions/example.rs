//! `examples/login_app.rs`, as it stands there, against the real server and with a browser that keeps the server's cookies.

use std::sync::Arc;

use sim::wire::browser::parameter;
use sim::wire::{Browser, Http, Reply, SECRET, USER, World, authorization};

use super::support::{id_token, settings};

#[expect(dead_code, reason = "its main is for the command line")]
#[path = "../../../../examples/login_app.rs"]
mod login_app;

struct Street {
    world: World,
    application: Http,
    browser: Browser,
}

impl Street {
    async fn new() -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let at = format!("http://{}", listener.local_addr().expect("bound"));
        let world = World::with(&settings(&at).replace("urn:example:acr:strong", "urn:example:acr:number")).await;
        let server = login_app::Regrant::new(&world.base, SECRET, &[(USER, "271828")]);
        tokio::spawn(async move { axum::serve(listener, login_app::app(Arc::new(server))).await });
        let (application, browser) = (Http::new(&at), world.browser());
        Self { world, application, browser }
    }

    /// Goes to the server, and on to wherever it sends the browser.
    async fn go(&mut self, path: &str) -> Reply {
        let reply = self.browser.get(path).await;
        self.browser.follow(reply).await
    }

    /// The page of the application that the server sends to, and its challenge.
    async fn page(&self, reply: &Reply) -> (String, String) {
        let location = reply.header("location");
        let page = self.application.get(&location, &[]).await.expect_status(200).text();
        (page, parameter(&location, "challenge").expect("a challenge"))
    }

    /// Presses a button of the application, and follows it back to the server.
    async fn press(&mut self, path: &str, fields: &[(&str, &str)]) -> Reply {
        let back = self.application.post(path, fields, &[]).await.expect_status(303).header("location");
        assert!(back.starts_with(&self.world.base), "{back}");
        self.go(&back).await
    }
}

#[tokio::test]
async fn users_log_in_consent_and_leave_by_pages_of_the_operators_own() {
    let mut street = Street::new().await;
    let request = authorization("web", &[("scope", "openid read write"), ("nonce", "n"), ("login_hint", "alice")]);
    let reply = street.go(&request).await;
    let (page, challenge) = street.page(&reply).await;
    assert!(page.contains("Web App asks you to log in") && page.contains("value=\"alice\""), "{page}");
    let wrong = [("challenge", challenge.as_str()), ("user", USER), ("number", "1"), ("answer", "yes")];
    let wrong = street.application.post("/login", &wrong, &[]).await;
    assert_eq!(wrong.status, 401);
    let right = [("challenge", challenge.as_str()), ("user", USER), ("number", "271828"), ("answer", "yes")];
    let reply = street.press("/login", &right).await;
    let (page, challenge) = street.page(&reply).await;
    assert!(page.contains("Is Web App welcome, alice?") && page.contains("Change your things"), "{page}");
    let some = [("challenge", challenge.as_str()), ("scope", "openid"), ("scope", "read"), ("answer", "yes")];
    let answered = street.press("/consent", &some).await.header("location");
    let claims = id_token(&street.world, &answered).await;
    assert_eq!(
        (&claims["acr"], &claims["amr"][0], &claims["desk"], &claims["nonce"]),
        (&"urn:example:acr:number".into(), &"otp".into(), &"north".into(), &"n".into())
    );
    // Whoever is logged in, and has allowed this, is asked nothing.
    let request = authorization("web", &[("scope", "openid read"), ("prompt", "none")]);
    let again = street.go(&request).await.header("location");
    assert!(parameter(&again, "code").is_some(), "{again}");
    // More than was allowed is asked for again; "no" is told to the client.
    let reply = street.go(&authorization("web", &[("scope", "openid write")])).await;
    let (_, challenge) = street.page(&reply).await;
    let denied = street.press("/consent", &[("challenge", &challenge), ("answer", "no")]).await.header("location");
    assert_eq!(parameter(&denied, "error").as_deref(), Some("access_denied"), "{denied}");
    let reply = street.go("/logout").await;
    let (page, challenge) = street.page(&reply).await;
    assert!(page.contains("Leave, alice?"), "{page}");
    let out = street.press("/logout", &[("challenge", &challenge), ("answer", "yes")]).await;
    assert!(out.text().contains("You are logged out"), "{}", out.text());
    let none = street.go(&request).await.header("location");
    assert_eq!(parameter(&none, "error").as_deref(), Some("login_required"), "{none}");
}

#[tokio::test]
async fn an_account_is_chosen_and_an_error_is_told_by_the_application() {
    let mut street = Street::new().await;
    let reply = street.go(&authorization("opaque", &[])).await;
    let (_, challenge) = street.page(&reply).await;
    let right = [("challenge", challenge.as_str()), ("user", USER), ("number", "271828"), ("answer", "yes")];
    let answered = street.press("/login", &right).await.header("location");
    assert!(parameter(&answered, "code").is_some(), "no consent is asked for: {answered}");
    let choose = authorization("opaque", &[("prompt", "select_account")]);
    let reply = street.go(&choose).await;
    let (page, challenge) = street.page(&reply).await;
    assert!(page.contains("Go on as alice?"), "{page}");
    let other = street.press("/login", &[("challenge", &challenge), ("answer", "other")]).await;
    let (page, _) = street.page(&other).await;
    assert!(page.contains("Your number"), "{page}");
    let reply = street.go(&choose).await;
    let (_, challenge) = street.page(&reply).await;
    let this = street.press("/login", &[("challenge", &challenge), ("answer", "this")]).await.header("location");
    assert!(parameter(&this, "code").is_some(), "{this}");
    let reply = street.go("/oauth2/authorize?client_id=nobody&ui_locales=fr").await;
    let told = street.application.get(&reply.header("location"), &[]).await.expect_status(200).text();
    assert!(told.contains("Ce serveur ne connaît pas l’application"), "{told}");
}
