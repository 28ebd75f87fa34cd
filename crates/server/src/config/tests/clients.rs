//! Clients: what is refused, their defaults, and what each choice means.

use regrant_core::client::{AccessTokenFormat, AuthMethod, ClientSecret, OnReplay};
use regrant_core::grant::Rotation;
use regrant_core::one_time::client_secret_hash;

use super::*;

/// A token that is too large to be signed would be found out when the code is redeemed, and the code would be lost (law L1).
#[test]
fn scopes_that_no_token_could_hold_are_refused() {
    let names = |count: usize| (0..count).map(|number| format!("{number:0>99}")).collect::<Vec<_>>();
    let text = |count: usize| {
        let declared: String = names(count).iter().map(|name| format!("\n[[scope]]\nname = \"{name}\"")).collect();
        web(&format!("scopes = {:?}{declared}", names(count)))
    };
    let _ = good(&text(70));
    refused(&text(71), 5, "client.scopes", "no token holds more than 7000");
}

#[test]
fn a_bad_client_is_refused_with_its_line_and_remedy() {
    let none = "token_endpoint_auth_method = \"none\"\ngrant_types = []\nmay_introspect = true";
    for (text, line, key, says) in [
        (web("nmae = \"x\""), 5, "client.nmae", "Did you mean \"name\"?"),
        (web("redirect_uri = \"x\""), 5, "client.redirect_uri", "Did you mean \"redirect_uris\"?"),
        (web("secret = \"x\""), 5, "client.secret", "Secrets stay out of this file"),
        (web("listen = \"127.0.0.1:1\""), 5, "client.listen", "belongs to the top of the file"),
        (web("name = \"\""), 5, "client.name", "empty"),
        (web(&format!("name = \"{}\"", "x".repeat(201))), 5, "client.name", "Use at most 200"),
        (
            web("token_endpoint_auth_method = \"basic\""),
            5,
            "client.token_endpoint_auth_method",
            "Choose \"client_secret_basic\", ",
        ),
        (web("token_endpoint_auth_method = \"none\""), 3, "client.secret_hash", "has no secret"),
        (web("secret_file = \"x\""), 3, "client.secret_hash", "there is a secret_file as well"),
        (
            web("grant_types = [\"code\"]\nresponse_types = []"),
            5,
            "client.grant_types",
            "Choose \"authorization_code\"",
        ),
        (
            web("grant_types = [\n\"authorization_code\",\n\"refresh_tokn\"]"),
            7,
            "client.grant_types",
            "Did you mean \"refresh_token\"?",
        ),
        (job("grant_types = [\"refresh_token\"]"), 4, "client.grant_types", "a flow that yields refresh tokens"),
        (
            job("grant_types = [\"client_credentials\", \"refresh_token\"]"),
            4,
            "client.grant_types",
            "a flow that yields",
        ),
        (job("grant_types = []"), 4, "client.grant_types", "the client can do nothing"),
        (job("grant_types = [\"password\", \"password\"]"), 4, "client.grant_types", "named twice"),
        (job(""), 1, "client.redirect_uris", "none is given"),
        (job("grant_types = [\"implicit\"]"), 1, "client.redirect_uris", "none is given"),
        (web("grant_types = [\"client_credentials\"]"), 4, "client.redirect_uris", "no flow of this client redirects"),
        (
            web("response_types = [\"token\", \"code\"]"),
            5,
            "client.response_types",
            "\"token\" goes with the grant type \"implicit\"",
        ),
        (web("response_types = []"), 5, "client.response_types", "none of them goes with the grant type \"auth"),
        (web("response_types = [\"id_tokens\"]"), 5, "client.response_types", "none of the choices"),
        (web("scopes = [\n\"openid\",\n\"nope\",\n]"), 7, "client.scopes", "\"nope\" is not declared"),
        (web("scopes = [\"openid\", \"openid\"]"), 5, "client.scopes", "named twice"),
        (web("resources = [\"https://a/\"]"), 5, "client.resources", "is not declared"),
        (web("require_pkce = \"no\""), 5, "client.require_pkce", "true or false, without quotes"),
        (web("allowed_origins = [\"*\"]"), 5, "client.allowed_origins", "would let any page"),
        (web("allowed_origins = [\"https://a.example/\"]"), 5, "client.allowed_origins", "an origin has no path"),
        (web("rotation = \"none\""), 5, "client.rotation", "Choose \"auto\", \"single_use\" or \"reusable\""),
        (web("retry_window = \"60s\""), 5, "client.retry_window", "for public clients only"),
        (web("idle_lifetime = 30"), 5, "client.idle_lifetime", "this is a number"),
        (web("idle_lifetime = \"30\""), 5, "client.idle_lifetime", "is no duration"),
        (web("idle_lifetime = \"20y\""), 5, "client.idle_lifetime", "is no duration"),
        (web("absolute_lifetime = \"5000d\""), 5, "client.absolute_lifetime", "Use 1s to 3650d"),
        (web("absolute_lifetime = \"0\""), 5, "client.absolute_lifetime", "Use 1s to 3650d"),
        (web("access_token_lifetime = \"0\""), 5, "client.access_token_lifetime", "Use 1s to 365d"),
        (
            web("idle_lifetime = \"2d\"\nabsolute_lifetime = \"1d\""),
            5,
            "client.idle_lifetime",
            "2d is longer than absolute_lifetime (1d)",
        ),
        (
            web("idle_lifetime = \"5m\"\n\naccess_token_lifetime = \"6m\""),
            7,
            "client.access_token_lifetime",
            "longer than idle_lifetime",
        ),
        (web("access_token_format = \"JWT\""), 5, "client.access_token_format", "Did you mean \"jwt\"?"),
        (web("on_replay = \"ignore\""), 5, "client.on_replay", "Choose \"revoke\" or \"refuse\""),
        (app("rotation = \"reusable\""), 5, "client.rotation", "RFC 9700 section 4.14.2"),
        (app("on_replay = \"refuse\""), 5, "client.on_replay", "RFC 9700 section 4.14.2"),
        (app("require_pkce = false"), 5, "client.require_pkce", "RFC 9700 section 2.1.1"),
        (app("may_introspect = true"), 5, "client.may_introspect", "RFC 7662"),
        (
            app("grant_types = [\"authorization_code\", \"client_credentials\"]"),
            5,
            "client.grant_types",
            "confidential clients only",
        ),
        (app("retry_window = \"5s\""), 5, "client.retry_window", "too short"),
        (app("retry_window = \"2h\""), 5, "client.retry_window", "Use 0 to 1h"),
        (format!("{}\n{}", app(""), app("")), 7, "client.id", "the same id"),
        (web("").replace("\"web\"", "\"usr_web\""), 2, "client.id", "not beginning with \"usr_\""),
        (web("").replace("\"web\"", "\"a b\""), 2, "client.id", "it is no client id"),
        (web("").replace("id = \"web\"", ""), 1, "client.id", "it is no client id"),
        (web("").replace("\"web\"", "7"), 2, "client.id", "this is a number"),
        (web("").replace("abcdef\"", "abcdeg\""), 3, "client.secret_hash", "64 hexadecimal digits"),
        (web("").replace("sha256:", "md5:"), 3, "client.secret_hash", "64 hexadecimal digits"),
        (web("").replace("sha256:0", "sha256:+"), 3, "client.secret_hash", "64 hexadecimal digits"),
        (web("").replace("https:", "http:"), 4, "client.redirect_uris", "plain http is for"),
        (web("").replace("/cb", "/*"), 4, "client.redirect_uris", "no wildcards"),
        (web("").replace("/cb", "/cb#x"), 4, "client.redirect_uris", "fragment"),
        (web("").replace("https://a.example/cb", "myapp:/cb"), 4, "client.redirect_uris", "RFC 8252 section 7.1"),
        (
            "[[client]]\nid = \"a\"\nredirect_uris = [\"https://a/\"]".to_owned(),
            1,
            "client.token_endpoint_auth_method",
            "RFC 7591 section 2",
        ),
        (format!("[[client]]\nid = \"a\"\n{none}"), 5, "client.may_introspect", "cannot prove"),
    ] {
        refused(&text, line, key, says);
    }
}

#[test]
fn a_client_has_the_defaults_of_its_class() {
    let config = good(&format!("{}\n{}", web(""), app("")));
    let [web, app] = config.clients.as_slice() else { panic!("two clients") };
    assert_eq!((web.name.as_str(), web.auth, web.policy.class), ("web", AuthMethod::ClientSecretBasic, Class::Secret));
    assert_eq!((app.auth, app.policy.class, app.secrets.len()), (AuthMethod::None, Class::Public, 0));
    assert_eq!((web.policy.rotation, app.policy.rotation), (Rotation::Reusable, Rotation::SingleUse));
    for client in &config.clients {
        assert_eq!(
            client.grant_types.iter().copied().collect::<Vec<_>>(),
            [GrantType::AuthorizationCode, GrantType::RefreshToken]
        );
        assert_eq!(client.response_types.iter().collect::<Vec<_>>(), ["code"]);
        assert!(client.scopes.is_empty() && client.resources.is_empty() && client.allowed_origins.is_empty());
        assert!(client.require_pkce && !client.may_introspect && !client.skip_consent && !client.disabled);
        let policy = &client.policy;
        assert_eq!(policy.on_replay, OnReplay::Revoke);
        assert_eq!(policy.retry_window, Duration::from_secs(60));
        assert_eq!(policy.idle_lifetime, Duration::from_secs(30 * 86_400));
        assert_eq!(policy.absolute_lifetime, Duration::from_secs(365 * 86_400));
        assert_eq!(policy.access_token_lifetime, Duration::from_secs(3600));
        assert_eq!(policy.access_token_format, AccessTokenFormat::Jwt);
    }
    assert!(config.notices.is_empty(), "defaults cost nothing worth a notice: {:?}", config.notices);
}

#[test]
fn lifetimes_that_are_not_set_follow_the_one_that_is() {
    let lifetimes = |more: &str| {
        let policy = good(&web(more)).clients.remove(0).policy;
        [policy.access_token_lifetime, policy.idle_lifetime, policy.absolute_lifetime].map(duration::write)
    };
    assert_eq!(lifetimes("absolute_lifetime = \"30m\""), ["30m", "30m", "30m"]);
    assert_eq!(lifetimes("idle_lifetime = \"400d\""), ["1h", "400d", "400d"]);
    assert_eq!(lifetimes("idle_lifetime = \"10m\""), ["10m", "10m", "365d"]);
}

#[test]
fn every_choice_can_be_made() {
    let text = "issuer = \"https://a.example/t\"\nlisten = \"[::1]:0\"\nstore = \"sqlite:/var/x.db\"\nroot_key_file = \"../k\"\n\
        token_endpoint_aliases = []\n[[scope]]\nname = \"s\"\ndescription = \"S\"\n[[resource]]\nuri = \"a:b\"\nscopes = [\"s\"]\n";
    let more = "name = \"W\"\ntoken_endpoint_auth_method = \"client_secret_post\"\ngrant_types = [\"implicit\", \"password\", \
        \"authorization_code\", \"client_credentials\", \"refresh_token\"]\nresponse_types = [\"code\", \"token\"]\nscopes = [\"s\", \
        \"offline_access\"]\nresources = [\"a:b\"]\nrequire_pkce = false\nmay_introspect = true\nallowed_origins = [\"https://a.example\"]\n\
        skip_consent = true\nrotation = \"single_use\"\non_replay = \"refuse\"\nidle_lifetime = \"2d\"\nabsolute_lifetime = \"3d\"\n\
        access_token_lifetime = \"1d1h\"\naccess_token_format = \"opaque\"\n";
    let config = good(&format!("{text}{}{}", web(more), app("retry_window = \"0\"")));
    assert_eq!(config.store, StoreLocation::Sqlite(PathBuf::from("/var/x.db")));
    assert!(config.token_endpoint_aliases.is_empty());
    let web = &config.clients[0];
    assert_eq!((web.grant_types.len(), web.response_types.len()), (5, 2));
    assert!(!web.require_pkce && web.may_introspect && web.skip_consent);
    assert_eq!((web.policy.rotation, web.policy.on_replay), (Rotation::SingleUse, OnReplay::Refuse));
    assert_eq!(web.policy.access_token_format, AccessTokenFormat::Opaque);
    assert_eq!(config.clients[1].policy.retry_window, Duration::ZERO);
}

#[test]
fn what_a_choice_costs_is_said() {
    let said = |text: &str, says: &str| {
        let notices = good(text).notices;
        assert!(notices.len() == 1 && notices[0].contains(says), "{notices:?} do not say {says:?}");
    };
    said(&job("grant_types = [\"password\", \"refresh_token\"]"), "RFC 9700 section 2.4");
    said(&web("grant_types = [\"implicit\"]"), "RFC 9700 section 2.1.2");
    said(&web("require_pkce = false"), "injected");
    said(&web("on_replay = \"refuse\""), "watch the events");
    said(&web("access_token_lifetime = \"7d\""), "goes on taking a revoked grant's tokens");
    said(&app("retry_window = \"0\""), "one session lost per 1000 refreshes");
    said(&app("retry_window = \"10m\""), "about 83 %");
    said(&app("access_token_lifetime = \"5m\""), "about 100 %");
    said(&app("skip_consent = true"), "RFC 6749 section 10.2");
    said("issuer = \"https://a.example\"\nlisten = \"0.0.0.0:80\"", "without [tls]");
    said(
        "issuer = \"http://localhost:80\"\nlisten = \"0.0.0.0:80\"".replace(":80\"\n", ":81\"\n").as_str(),
        "unencrypted",
    );
}

#[test]
fn a_secret_is_read_from_its_file_and_judged() {
    let dir = std::env::temp_dir().join(format!("regrant-config-{}", std::process::id()));
    std::fs::create_dir_all(&dir).unwrap();
    let secret = "s".repeat(32);
    let read = |content: &str, mode: u32| {
        let path = dir.join("web.secret");
        std::fs::write(&path, content).unwrap();
        #[cfg(unix)]
        std::fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(mode)).unwrap();
        let text = web("").replace(&format!("secret_hash = \"{HASH}\""), "secret_file = \"web.secret\"");
        Config::parse(&text, "regrant.toml", &dir)
    };
    let config = read(&format!("{secret}\n"), 0o600).unwrap();
    assert_eq!(config.clients[0].secrets, [ClientSecret { hash: client_secret_hash(&secret), expires_at: None }]);
    assert!(config.notices.is_empty());
    #[cfg(unix)]
    assert!(read(&secret, 0o644).unwrap().notices[0].contains("chmod 600"));
    for (content, says) in [
        ("short", "has 5 characters, not 32 to 256"),
        (&"s".repeat(257), "has 257 characters"),
        (&format!("{secret}\n{secret}"), "more than one line"),
        (&format!("{secret}é"), "visible ASCII"),
        ("", "has 0 characters"),
    ] {
        let errors = read(content, 0o600).unwrap_err();
        assert!(errors.0.len() == 1 && errors.0[0].line == 3 && errors.to_string().contains(says), "{errors}");
    }
    std::fs::remove_dir_all(&dir).unwrap();
    let errors = Config::load(&dir.join("regrant.toml")).unwrap_err();
    assert!(errors.to_string().contains("regrant init"), "{errors}");
}

#[test]
fn a_definition_survives_its_json_and_may_not_name_files_there() {
    let config = good(&app("retry_window = \"2m\"\nscopes = [\"openid\"]"));
    let json = serde_json::to_string(&config.definitions[0]).unwrap();
    let again: ClientDefinition = serde_json::from_str(&json).unwrap();
    assert_eq!(again, config.definitions[0]);
    assert_eq!(again.resolve(&config.client_context()).unwrap().0, config.clients[0]);
    assert!(serde_json::from_str::<ClientDefinition>("{\"id\":\"a\",\"secret\":\"x\"}").is_err());
    let with_file = ClientDefinition { id: "a".into(), secret_file: Some("/etc/passwd".into()), ..again };
    let with_file = ClientDefinition { token_endpoint_auth_method: None, retry_window: None, ..with_file };
    let problems = with_file.resolve(&config.client_context()).unwrap_err();
    assert!(problems.len() == 1 && problems[0].key == "secret_file", "{problems:?}");
}

/// Checks I11, X4: what tokens may carry is judged where it is written.
#[test]
fn a_claim_that_cannot_be_is_refused_with_its_line() {
    let resource = |more: &str| format!("[[resource]]\nuri = \"https://a.example/\"\n{more}");
    for (text, line, key, says) in [
        (resource("claims = [\"groups\",\n\"sub\"]"), 4, "resource.claims", "reserved"),
        (resource("claims = [\"email as Client_ID\"]"), 3, "resource.claims", "reserved"),
        (resource("claims = [\"a b\"]"), 3, "resource.claims", "visible ASCII"),
        (resource("claims = [\"a\", \"b as a\"]"), 3, "resource.claims", "another entry gives"),
        (resource("claims = \"groups\""), 3, "resource.claims", "list of texts"),
        (resource("static_claims = { exp = 1 }"), 3, "resource.static_claims", "reserved"),
        (resource("static_claims = { a = 1979-05-27 }"), 3, "resource.static_claims", "without dates"),
        (resource("static_claims = { a = inf }"), 3, "resource.static_claims", "without dates"),
        (resource("static_claims = { a = 9007199254740993 }"), 3, "resource.static_claims", "2^53"),
        (resource("static_claims = { a = [[[[[[1]]]]]] }"), 3, "resource.static_claims", "deeper"),
        (web("access_token_claims = [\"iss\"]"), 5, "client.access_token_claims", "reserved"),
        (web("static_claims = { act = \"x\" }"), 5, "client.static_claims", "reserved"),
        (
            web(&format!("static_claims = {{ a = \"{0}\", b = \"{0}\", c = \"{0}\" }}", "x".repeat(1900))),
            5,
            "client.static_claims",
            "4096",
        ),
    ] {
        refused(&text, line, key, says);
    }
    let config = good(&resource(
        "claims = [\"department as dept\"]\n[resource.static_claims]\nn = 0x10\nf = 1.5\nl = [true, { a = \"x\" }]",
    ));
    let rules = &config.resources[0].claims;
    assert_eq!((rules.takes[0].attribute.as_str(), rules.takes[0].claim.as_str()), ("department", "dept"));
    assert_eq!(serde_json::json!(rules.fixed), serde_json::json!({"n": 16, "f": 1.5, "l": [true, {"a": "x"}]}));
}

/// Check O6: what opens the admin API is for programs with a secret of their own alone.
#[test]
fn no_client_of_users_can_have_the_admin_scope() {
    let client = |more: &str| format!("[[client]]\nid = \"ops\"\n{more}\nscopes = [\"regrant.admin\"]\n");
    let secret = format!("secret_hash = \"{HASH}\"");
    let machine = format!("{secret}\ngrant_types = [\"client_credentials\"]");
    let resource = "resources = [\"urn:regrant:admin\"]";
    assert_eq!(good(&client(&format!("{machine}\n{resource}"))).clients.len(), 1);
    refused(&client(&machine), 1, "client.resources", "means nothing without the resource");
    let both =
        "grant_types = [\"client_credentials\", \"authorization_code\"]\nredirect_uris = [\"https://a.example/cb\"]";
    refused(&client(&format!("{secret}\n{both}\n{resource}")), 7, "client.scopes", "\"client_credentials\" alone");
    let public = "token_endpoint_auth_method = \"none\"\nredirect_uris = [\"https://a.example/cb\"]";
    refused(&client(&format!("{public}\n{resource}")), 6, "client.scopes", "\"client_credentials\" alone");
}

/// Whose key it is, is told; the key is not. What an operator wrote into the configuration is to be taken out of it, not passed over.
#[test]
fn a_private_key_is_named_and_never_repeated() {
    let public = "kty = \"EC\", crv = \"P-256\", x = \"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU\", \
                  y = \"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0\"";
    let robot = |keys: &str| {
        let method = "token_endpoint_auth_method = \"private_key_jwt\"\ngrant_types = [\"client_credentials\"]";
        format!("[[client]]\nid = \"robot\"\n{method}\njwks = {{ keys = [{keys}] }}\n")
    };
    assert_eq!(good(&robot(&format!("{{ {public} }}"))).clients.len(), 1);
    let private = "jpsQnnGQmL-YBIffH1136cspYG6-0iY7X1fCE9-E9LI";
    let text = robot(&format!("{{ {public} }}, {{ {public}, kid = \"b\", d = \"{private}\" }}"));
    refused(&text, 5, "client.jwks", "key 2 (\"b\") has a private part, the member \"d\"");
    assert!(!parse(&text).expect_err("refused").to_string().contains(private));
}
