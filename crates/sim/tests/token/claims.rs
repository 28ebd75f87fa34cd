//! RFC 9068 section 2.2.3, what an access token says of its user:
//!
//! - 2.2.3.1: "If the authorization server wants to include such attributes in a JWT access token, it SHOULD use the "groups",
//!   "roles", and "entitlements" attributes of the "User" resource schema defined by Section 4.1.2 of [RFC7643] as claim types."
//!
//! The rest is ours: from where a claim comes, that it is read at each minting, that it never takes another one's name, and
//! that what is too large costs nobody a session.

use regrant_server::claims::attributes::UserChange;
use serde_json::{Value, json};
use sim::wire::log::reason;
use sim::wire::{CONFIG, USER, World, text};

use super::support::{claims, userinfo, world_with};

/// The usual clients, with claims for the API, for the client `web`, and for the daemon.
fn config() -> String {
    let for_api =
        "uri = \"https://api.example/\"\nclaims = [\"groups\", \"department as dept\"]\nstatic_claims = { tier = 1 }";
    let for_web = "id = \"web\"\naccess_token_claims = [\"email\", \"roles\"]\nstatic_claims = { tenant = \"acme\" }";
    let for_opaque =
        "id = \"opaque\"\naccess_token_claims = [\"groups\", \"email\"]\nstatic_claims = { tenant = \"acme\" }";
    CONFIG
        .replace("uri = \"https://api.example/\"", for_api)
        .replace("id = \"web\"  ", &format!("{for_web}  "))
        .replace("id = \"opaque\"  ", &format!("{for_opaque}  "))
}

fn pair(name: &str, value: &str) -> (String, String) {
    (name.to_owned(), value.to_owned())
}

/// Someone with groups, roles, an address and an attribute of the operator's own.
fn known() -> UserChange {
    UserChange {
        texts: vec![pair("email", "alice@example.com"), pair("department", "research"), pair("address.country", "DE")],
        add: vec![pair("groups", "admin"), pair("groups", "staff"), pair("roles", "editor")],
        ..UserChange::default()
    }
}

async fn change(world: &World, change: &UserChange) {
    world.app.admin().set_user(USER, change).await.expect("a change");
}

async fn known_world() -> World {
    let world = world_with(&config()).await;
    change(&world, &known()).await;
    world
}

fn minted(answer: &Value) -> Value {
    claims(&text(answer, "access_token"))
}

/// Groups, roles and what else is named, under the names of the RFC or the operator's, and nothing that is not named.
#[tokio::test]
async fn a_token_carries_what_its_client_and_its_audience_want() {
    let world = known_world().await;
    let all = minted(&world.grant("web").await);
    assert_eq!(all["groups"], json!(["admin", "staff"]));
    assert_eq!(all["roles"], json!(["editor"]));
    assert_eq!((&all["dept"], &all["email"]), (&json!("research"), &json!("alice@example.com")));
    assert_eq!((&all["tier"], &all["tenant"]), (&json!(1), &json!("acme")));
    for absent in ["department", "address", "email_verified"] {
        assert_eq!(all.get(absent), None, "{absent} was not asked for");
    }
    let phone = minted(&world.grant("phone").await);
    assert!(["groups", "roles", "email", "tier", "tenant"].iter().all(|name| phone.get(name).is_none()), "{phone}");
}

/// What the API wants is for the API: a token for another resource does not carry it.
#[tokio::test]
async fn the_claims_of_a_resource_are_only_for_its_audience() {
    let world = known_world().await;
    let refresh = world.first("web").await;
    let narrowed =
        [("grant_type", "refresh_token"), ("refresh_token", &refresh), ("resource", "https://files.example/")];
    let files = minted(&world.token("web", &narrowed).await.expect_status(200).json());
    assert_eq!((files.get("groups"), files.get("dept"), files.get("tier")), (None, None, None), "{files}");
    assert_eq!(files["tenant"], json!("acme"), "what the client wants is for all of its tokens");
}

/// A client that acts for itself has no attributes, and the static claims of its audience.
#[tokio::test]
async fn a_clients_own_token_carries_static_claims_only() {
    let world = known_world().await;
    let token = minted(&world.token("daemon", &[("grant_type", "client_credentials")]).await.expect_status(200).json());
    assert_eq!((&token["tier"], token.get("groups"), token.get("dept")), (&json!(1), None, None));
}

/// A role that was taken away is gone from the next access token, also for whoever only repeats a refresh.
#[tokio::test]
async fn values_are_read_at_each_minting() {
    let world = known_world().await;
    let first = world.first("web").await;
    let less =
        UserChange { remove: vec![pair("groups", "admin")], unset: vec!["email".to_owned()], ..Default::default() };
    change(&world, &less).await;
    let next = minted(&world.refresh("web", &first).await.expect_status(200).json());
    assert_eq!((&next["groups"], next.get("email")), (&json!(["staff"]), None));
    let gone = UserChange { unset: vec!["groups".to_owned(), "roles".to_owned()], ..Default::default() };
    change(&world, &gone).await;
    let next = minted(&world.refresh("web", &first).await.expect_status(200).json());
    assert_eq!((next.get("groups"), next.get("roles")), (None, None), "an empty list is not said at all");
}

/// Introspection tells the same: of a JWT what it says, of an opaque token what holds now.
#[tokio::test]
async fn introspection_tells_the_claims() {
    let world = known_world().await;
    let jwt = text(&world.grant("web").await, "access_token");
    let opaque = text(&world.grant("opaque").await, "access_token");
    let told = world.introspect(&opaque).await;
    assert_eq!((&told["groups"], &told["email"]), (&json!(["admin", "staff"]), &json!("alice@example.com")), "{told}");
    assert_eq!((&told["tenant"], told.get("tier")), (&json!("acme"), None));
    assert!(opaque.len() < 500, "claims do not stand in the opaque token: {} characters", opaque.len());
    change(&world, &UserChange { remove: vec![pair("groups", "admin")], ..Default::default() }).await;
    assert_eq!(world.introspect(&opaque).await["groups"], json!(["staff"]), "now");
    let told = world.introspect(&jwt).await;
    let said = claims(&jwt);
    for name in ["groups", "roles", "dept", "email", "tier", "tenant"] {
        assert_eq!(told[name], said[name], "{name}: what it said when it was made");
    }
}

/// Check I11: none of the names that mean something can be set, configured or renamed to, and a record that holds one gives it
/// to nobody.
#[tokio::test]
async fn a_name_that_means_something_is_nobodys_to_give() {
    let world = known_world().await;
    for name in ["sub", "client_id", "scope", "cnf", "act", "active", "Aud"] {
        let forged = UserChange { texts: vec![pair(name, "x")], ..Default::default() };
        let refused = world.app.admin().set_user(USER, &forged).await.expect_err(name).to_string();
        assert!(refused.contains("reserved"), "{refused}");
        for setting in [
            format!("access_token_claims = [\"{name}\"]"),
            format!("access_token_claims = [\"email as {name}\"]"),
            format!("static_claims = {{ {name} = \"x\" }}"),
        ] {
            let text = CONFIG.replace("id = \"phone\"  ", &format!("id = \"phone\"\n{setting}\n")).replace("HASH", "");
            let errors = regrant_server::Config::parse(&text, "x", std::path::Path::new(".")).expect_err(&setting);
            assert!(errors.to_string().contains("reserved"), "{errors}");
        }
    }
    // A record that another program wrote into the store.
    let mut user = stored(&world).await;
    let expected = user.version;
    user.version += 1;
    user.attributes = r#"{"sub":"usr_evil","groups":["admin"]}"#.to_owned();
    world.app.engine.commit(vec![regrant_store::Record::PutUser { expected, user }]).await.expect("a write");
    let token = minted(&world.grant("web").await);
    assert_eq!((token["sub"] == json!("usr_evil"), &token["groups"]), (false, &json!(["admin"])));
}

async fn stored(world: &World) -> regrant_store::User {
    let question = regrant_store::Question::UserByName(USER.to_owned());
    match world.app.engine.ask(question).await.expect("an answer") {
        regrant_store::Answer::User(Some(user)) => user,
        other => panic!("{other:?}"),
    }
}

/// Check X4, law L1: more than 4 KiB of claims is refused and not cut, says so to the operator, and consumes nothing: neither the
/// code nor the refresh token. Once it fits again they work.
#[tokio::test]
async fn what_is_too_large_costs_nobody_a_session() {
    let world = known_world().await;
    let (refresh, code) = (world.first("web-single").await, world.code("web").await);
    let reusable = world.first("web").await;
    let (row, coded) = (world.row(&reusable).await, world.row(&code).await);
    let many = (0..30).map(|number| pair("groups", &format!("{number:0200}"))).collect();
    change(&world, &UserChange { add: many, ..Default::default() }).await;
    for reply in [world.refresh("web", &reusable).await, world.redeem("web", &code).await] {
        let reply = reply.expect_status(503);
        assert_eq!(reply.json()["error"], json!("temporarily_unavailable"));
        assert!(!reply.header("retry-after").is_empty());
        assert!(reason(&reply).starts_with("claims_too_large: "), "{}", reason(&reply));
    }
    assert_eq!((world.row(&reusable).await, world.row(&code).await), (row, coded), "nothing was consumed");
    let _ = world.refresh("web-single", &refresh).await.expect_status(200);
    change(&world, &UserChange { unset: vec!["groups".to_owned()], ..Default::default() }).await;
    let _ = world.refresh("web", &reusable).await.expect_status(200);
    let _ = world.redeem("web", &code).await.expect_status(200);
}

/// Law L11: for a token that is not the caller's own no user is looked up, and the answer is what it is without claims.
#[tokio::test]
async fn a_strangers_token_is_refused_as_ever() {
    let world = known_world().await;
    let theirs = world.first("web-single").await;
    let row = world.row(&theirs).await;
    let reply = world.refresh("web", &theirs).await.expect_status(400);
    assert_eq!((reply.json()["error"].as_str(), reason(&reply).as_str()), (Some("invalid_grant"), "other_client"));
    assert_eq!(world.row(&theirs).await, row);
}

/// Where nothing is configured, a refresh reads what it always read.
#[tokio::test]
async fn without_claims_a_refresh_costs_no_read_more() {
    let world = known_world().await;
    let token = world.first("phone").await;
    let before = world.watch.grant_reads();
    let _ = world.refresh("phone", &token).await.expect_status(200);
    assert_eq!(world.watch.grant_reads() - before, 1);
}

/// OpenID Connect Core section 5.4: the userinfo endpoint tells what the scope asks for, and nothing else.
#[tokio::test]
async fn userinfo_tells_what_the_scope_asks_for() {
    let scopes =
        "scopes = [\"openid\", \"profile\", \"email\", \"address\", \"phone\", \"read\", \"write\", \"files\"]";
    let world = world_with(&CONFIG.replacen("scopes = [\"openid\", \"read\", \"write\", \"files\"]", scopes, 1)).await;
    change(&world, &known()).await;
    let mut asked = Vec::new();
    for scope in ["openid", "openid email", "openid profile", "openid address phone"] {
        let refresh = world.first("web").await;
        let parameters = [("grant_type", "refresh_token"), ("refresh_token", refresh.as_str()), ("scope", scope)];
        let token = text(&world.token("web", &parameters).await.expect_status(200).json(), "access_token");
        let told = userinfo(&world, &token).await.expect_status(200).json();
        let mut names: Vec<String> = told.as_object().expect("an object").keys().cloned().collect();
        names.sort();
        asked.push((names.join(" "), told));
    }
    let names: Vec<&str> = asked.iter().map(|(names, _)| names.as_str()).collect();
    assert_eq!(names, ["sub", "email email_verified sub", "preferred_username sub updated_at", "address sub"]);
    assert_eq!(asked[1].1["email_verified"], json!(false), "nobody has said that it is");
    assert_eq!(asked[2].1["preferred_username"], json!(USER));
    assert_eq!(asked[2].1["updated_at"], json!(sim::wire::START / 1000), "seconds, of the last change");
    assert_eq!(asked[3].1["address"], json!({"country": "DE"}));
}

/// Disabling, enabling and a new password leave the attributes as they are, and step the time of the change.
#[tokio::test]
async fn attributes_outlive_everything_else_that_happens_to_a_user() {
    let world = known_world().await;
    let admin = world.app.admin();
    let before = admin.user_detail(USER).await.expect("the user");
    world.advance(super::support::secs(5));
    admin.set_user_disabled(USER, true).await.expect("disabled");
    admin.set_user_disabled(USER, false).await.expect("enabled");
    admin.set_password(USER, "another good password".to_owned().into()).await.expect("a password");
    let after = admin.user_detail(USER).await.expect("the user");
    assert_eq!((&after.attributes, &after.created_at), (&before.attributes, &before.created_at));
    assert!(after.updated_at > before.updated_at);
    admin.remove_user(USER).await.expect("removed");
    assert!(admin.user_detail(USER).await.is_err());
}
