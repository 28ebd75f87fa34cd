//! What clients that register themselves say of logouts:
//!
//! - OpenID Connect RP-Initiated Logout 1.0 section 3.1, `post_logout_redirect_uris`.
//! - Back-Channel Logout 1.0 section 2.2: `backchannel_logout_uri`, `backchannel_logout_session_required`.
//! - Front-Channel Logout 1.0 section 2: "The domain, port, and scheme of this URL MUST be the same as that of a registered Redirection
//!   URI value."

use regrant_server::form::{Form, write};
use serde_json::{Value, json};
use sim::wire::browser::parameter;
use sim::wire::{Act, Browser, Hook, USER, World, authorization};

use super::support::{but, directory, member, open, register, site, web};

const BYE: &str = "https://app.example/bye";

/// A world in which anybody may register, and a place on the web that it may ask.
async fn world_and_site() -> (World, Hook) {
    let (site, setting) = site().await;
    site.does(Act::Answer(200, Vec::new(), String::new()));
    (World::with(&format!("{setting}{}", open("scopes = [\"openid\"]"))).await, site)
}

/// Logs in to a registered client: its consent page is allowed.
async fn log_in_to(world: &World, client: &Value) -> Browser {
    let mut browser = world.browser();
    let path = authorization(&member(client, "client_id"), &[("scope", "openid")]);
    let location = browser.authorize_as(&path, USER).await;
    assert!(parameter(&location, "code").is_some(), "{location}");
    browser
}

async fn log_out(browser: &mut Browser, parameters: &[(&str, &str)]) -> sim::wire::Reply {
    let page = browser.get(&format!("/oauth2/logout?{}", write(parameters))).await;
    browser.submit(&page, &[]).await
}

/// All of it is told again (RFC 7591 section 3.2.1), also when it is read and replaced.
#[tokio::test]
async fn what_is_said_of_logouts_is_told_again() {
    let world = World::with(&open("")).await;
    let said = json!({
        "post_logout_redirect_uris": [BYE],
        "backchannel_logout_uri": "https://app.example/back",
        "backchannel_logout_session_required": true,
        "frontchannel_logout_uri": "https://app.example/front?a=b",
        "frontchannel_logout_session_required": true,
        "initiate_login_uri": "https://app.example/start",
        "default_max_age": 3600,
        "require_auth_time": true,
    });
    let client = register(&world, &but(&web(), said.clone()), &[]).await.expect_status(201).json();
    let bearer = format!("Bearer {}", member(&client, "registration_access_token"));
    let path = format!("/oauth2/register/{}", member(&client, "client_id"));
    let read = world.http().get(&path, &[("authorization", &bearer)]).await.expect_status(200).json();
    for (name, value) in said.as_object().expect("an object") {
        assert_eq!((&client[name], &read[name]), (value, value), "{name}");
    }
}

/// `false` is what is meant by nothing at all: it needs no URI.
#[tokio::test]
async fn no_session_is_required_by_default() {
    let world = World::with(&open("")).await;
    for name in ["backchannel_logout_session_required", "frontchannel_logout_session_required"] {
        let client = register(&world, &but(&web(), json!({name: false})), &[]).await.expect_status(201).json();
        assert_eq!(client[name], json!(false));
    }
}

/// Each of them by its own rule, and by those of the configuration.
#[tokio::test]
async fn a_logout_leads_nowhere_that_it_may_not() {
    let world = World::with(&open("")).await;
    for bad in [
        json!({"post_logout_redirect_uris": ["http://app.example/bye"]}),
        json!({"post_logout_redirect_uris": ["javascript:alert(1)"]}),
        json!({"post_logout_redirect_uris": ["com.example.app:/bye"]}),
        json!({"post_logout_redirect_uris": ["https://app.example/bye#f"]}),
        json!({"post_logout_redirect_uris": [BYE, BYE]}),
        json!({"post_logout_redirect_uris": BYE}),
        json!({"post_logout_redirect_uris": (0..65).map(|n| format!("{BYE}?{n}")).collect::<Vec<_>>()}),
        json!({"backchannel_logout_uri": "http://app.example/back"}),
        json!({"backchannel_logout_uri": "http://127.0.0.1/back"}),
        json!({"backchannel_logout_uri": "https://a@app.example/back"}),
        json!({"backchannel_logout_uri": "https://app.example/back#f"}),
        json!({"backchannel_logout_uri": ["https://app.example/back"]}),
        json!({"backchannel_logout_session_required": true}),
        json!({"backchannel_logout_uri": "https://app.example/back", "backchannel_logout_session_required": "yes"}),
        json!({"frontchannel_logout_uri": "https://other.example/front"}),
        json!({"frontchannel_logout_uri": "https://app.example:8443/front"}),
        json!({"frontchannel_logout_uri": "http://app.example/front"}),
        json!({"frontchannel_logout_session_required": true}),
    ] {
        let reply = register(&world, &but(&web(), bad.clone()), &[]).await;
        assert_eq!(reply.status, 400, "{bad}");
        let told = reply.json();
        assert_eq!(told["error"], "invalid_client_metadata", "{bad}");
        let name = bad.as_object().and_then(|members| members.keys().next_back()).expect("a name");
        let description = told["error_description"].as_str().unwrap_or_default().to_owned();
        assert!(
            bad.as_object().is_some_and(|all| all.keys().any(|key| description.contains(key.as_str()))),
            "{name}: {told}"
        );
    }
    let native = json!({
        "application_type": "native", "token_endpoint_auth_method": "none",
        "redirect_uris": ["com.example.app:/cb"], "post_logout_redirect_uris": ["com.example.app:/bye"],
    });
    let _ = register(&world, &but(&web(), native), &[]).await.expect_status(201);
}

/// RP-Initiated Logout section 3: the user comes back, and nowhere else.
#[tokio::test]
async fn its_users_come_back_to_a_registered_client() {
    let world = World::with(&open("scopes = [\"openid\"]")).await;
    let said = but(&web(), json!({"post_logout_redirect_uris": [BYE]}));
    let client = register(&world, &said, &[]).await.expect_status(201).json();
    let id = member(&client, "client_id");
    let mut browser = log_in_to(&world, &client).await;
    let elsewhere = [("client_id", id.as_str()), ("post_logout_redirect_uri", "https://app.example/other")];
    assert_eq!(browser.get(&format!("/oauth2/logout?{}", write(&elsewhere))).await.status, 400);
    let parameters = [("client_id", id.as_str()), ("post_logout_redirect_uri", BYE), ("state", "s")];
    assert_eq!(log_out(&mut browser, &parameters).await.header("location"), format!("{BYE}?state=s"));
}

/// Front-Channel Logout section 2: with `iss` and `sid`.
#[tokio::test]
async fn a_registered_client_is_framed() {
    let world = World::with(&open("scopes = [\"openid\"]")).await;
    let front =
        json!({"frontchannel_logout_uri": "https://app.example/front", "frontchannel_logout_session_required": true});
    let client = register(&world, &but(&web(), front), &[]).await.expect_status(201).json();
    let mut browser = log_in_to(&world, &client).await;
    let html = log_out(&mut browser, &[]).await.expect_status(200).text().replace("&#x2f;", "/");
    assert!(html.contains("src=\"https://app.example/front?iss="), "{html}");
}

/// Back-Channel Logout section 2.5, at a place that the configuration lets a client's URL lead to.
#[tokio::test]
async fn a_registered_client_is_sent_a_logout_token() {
    let (world, site) = world_and_site().await;
    let back = json!({"backchannel_logout_uri": site.url(), "backchannel_logout_session_required": true});
    let client = register(&world, &but(&web(), back), &[]).await.expect_status(201).json();
    let mut browser = log_in_to(&world, &client).await;
    let _ = log_out(&mut browser, &[]).await.expect_status(200);
    site.has_heard(1).await;
    let heard = site.heard();
    let form = Form::parse(&heard[0].body).expect("a form");
    let token = form.credential("logout_token").expect("a logout token");
    let verified = regrant_jose::verify(token, "logout+jwt", &world.app.signing().verifying).expect("a good signature");
    assert_eq!(verified.claims["aud"], client["client_id"]);
    assert!(verified.claims["sid"].is_string() && heard[0].head.starts_with("post "), "{}", heard[0].head);
}

/// Checks S1, S2: a client that nobody vouches for has no logout token sent into the server's own network; the operator's clients may
/// be there.
#[tokio::test]
async fn no_logout_token_goes_into_the_servers_own_network() {
    let (inside, authority) = Hook::start_tls(&directory()).await;
    let own = Hook::start().await;
    let declared = format!(
        "[[client]]\nid = \"own\"\ntoken_endpoint_auth_method = \"none\"\nredirect_uris = [\"https://app.example/cb\"]\n\
         scopes = [\"openid\"]\nskip_consent = true\nbackchannel_logout_uri = {:?}\n",
        own.url()
    );
    let roots = format!("[outbound]\nroots = {:?}\n", authority.display().to_string());
    let world = World::with(&format!("{roots}{}{declared}", open("scopes = [\"openid\"]"))).await;
    let client = register(&world, &but(&web(), json!({"backchannel_logout_uri": inside.url()})), &[]).await;
    let mut browser = log_in_to(&world, &client.expect_status(201).json()).await;
    let location = browser.authorize_as(&authorization("own", &[("scope", "openid")]), USER).await;
    assert!(parameter(&location, "code").is_some(), "{location}");
    let _ = log_out(&mut browser, &[]).await.expect_status(200);
    own.has_heard(1).await;
    // It is tried, in vain, and given up in the end.
    world.advance(std::time::Duration::from_secs(24 * 3600));
    loop {
        let question = regrant_store::Question::LogoutClients { after: String::new(), limit: 10 };
        match world.app.engine.ask(question).await.expect("an answer") {
            regrant_store::Answer::LogoutClients(clients) if clients.is_empty() => break,
            _ => tokio::task::yield_now().await,
        }
    }
    assert_eq!((inside.connections(), own.heard().len()), (0, 1), "not even a connection was made");
}
