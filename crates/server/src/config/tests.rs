//! Bad configurations, each with its line, its key and its reason; every default; the example.

mod keys;
mod openid;
mod serving;

use std::path::{Path, PathBuf};
use std::time::Duration;

use regrant_core::client::{AccessTokenFormat, AuthMethod, Class, ClientSecret, GrantType, OnReplay};
use regrant_core::grant::Rotation;
use regrant_core::one_time::client_secret_hash;

use super::*;

const HASH: &str = "sha256:0123456789abcdef0123456789abcdef0123456789ABCDEF0123456789abcdef";

fn parse(text: &str) -> Result<Config, ConfigErrors> {
    Config::parse(text, "regrant.toml", Path::new("/etc/regrant"))
}

fn good(text: &str) -> Config {
    parse(text).unwrap_or_else(|errors| panic!("{errors}\n{text}"))
}

/// A confidential client whose lines 1 to 4 are fine; `more` begins at line 5.
fn web(more: &str) -> String {
    format!("[[client]]\nid = \"web\"\nsecret_hash = \"{HASH}\"\nredirect_uris = [\"https://a.example/cb\"]\n{more}")
}

/// A public client whose lines 1 to 4 are fine; `more` begins at line 5.
fn app(more: &str) -> String {
    let method = "token_endpoint_auth_method = \"none\"";
    format!("[[client]]\nid = \"app\"\n{method}\nredirect_uris = [\"https://a.example/cb\"]\n{more}")
}

/// A confidential client without a redirect; `more` begins at line 4.
fn job(more: &str) -> String {
    format!("[[client]]\nid = \"job\"\nsecret_hash = \"{HASH}\"\n{more}")
}

/// Exactly one error: at this line, with this key, saying this.
fn refused(text: &str, line: usize, key: &str, says: &str) {
    let errors = parse(text).expect_err(&format!("this was taken:\n{text}"));
    let shown = errors.to_string();
    assert_eq!(errors.0.len(), 1, "one error and no other for\n{text}\n{shown}");
    assert_eq!((errors.0[0].line, errors.0[0].key.as_str()), (line, key), "{shown}\n{text}");
    assert!(shown.contains(says), "{says:?} is not in {shown:?}");
    assert!(shown.starts_with(&format!("regrant.toml:{line}: ")), "{shown}");
    assert!(errors.0[0].remedy.ends_with(['.', ')', '?']) && !errors.0[0].problem.ends_with('.'), "{shown}");
}

#[test]
fn a_bad_server_setting_is_refused_with_its_line_and_remedy() {
    for (text, line, key, says) in [
        ("issuer = \"https://a.example/\"", 1, "issuer", "ends with a slash"),
        ("\nissuer = \"http://a.example\"", 2, "issuer", "plain http is for loopback"),
        ("issuer = \"https://a.example?x=1\"", 1, "issuer", "query or fragment"),
        ("issuer = \"https://u@a.example\"", 1, "issuer", "user information"),
        ("issuer = 5", 1, "issuer", "this is a number. It must be a text in quotes."),
        ("issuer = true", 1, "issuer", "this is true or false"),
        ("isuer = \"https://a.example\"", 1, "isuer", "Did you mean \"issuer\"?"),
        ("colour = 1", 1, "colour", "Known here: issuer, listen, store"),
        ("# x\n# y\nlisten = \"localhost:1\"", 3, "listen", "no IP address with a port"),
        ("listen = \"127.0.0.1\"", 1, "listen", "no IP address with a port"),
        ("listen = \"0.0.0.0:8420\"", 1, "listen", "without an issuer"),
        ("store = \"regrant.db\"", 1, "store", "\"sqlite:PATH\""),
        ("store = \"postgres://x\"", 1, "store", "names no user"),
        ("store_writes = \"fast\"", 1, "store_writes", "neither"),
        ("root_key_file = \"\"", 1, "root_key_file", "no path"),
        ("root_key_file = \"rgroot_x\"", 1, "root_key_file", "a key and not a path"),
        ("token_endpoint_aliases = \"/a\"", 1, "token_endpoint_aliases", "It must be a list of texts"),
        ("token_endpoint_aliases = [\n\"/a\",\n\"b\"]", 3, "token_endpoint_aliases", "no absolute path"),
        ("token_endpoint_aliases = [\"/oauth2/x\"]", 1, "token_endpoint_aliases", "Regrant itself answers at /oauth2"),
        ("token_endpoint_aliases = [\"/a\", \"/a\"]", 1, "token_endpoint_aliases", "named twice"),
        ("listen = ", 1, "", "this is no TOML"),
        (
            "issuer = \"https://a.example\"\nissuer = \"https://b.example\"",
            2,
            "",
            "this is no TOML: duplicate key issuer",
        ),
        ("[client]\nid = \"a\"", 1, "client", "It must be written as [[client]]"),
        ("clients = []", 1, "clients", "Did you mean \"client\"?"),
    ] {
        refused(text, line, key, says);
    }
}

#[test]
fn a_bad_limit_is_refused_with_its_line_and_remedy() {
    for (text, line, key, says) in [
        ("[limits]\nlogin_failures = 5", 2, "limits.login_failures", "this is a number. It must be a text in quotes."),
        ("[limits]\n\nwrong_secrets = \"5\"", 3, "limits.wrong_secrets", "Write how many in how long, like \"600/m\""),
        ("[limits]\ncodes_per_user = \"0/m\"", 2, "limits.codes_per_user", "\"0/m\" is no rate"),
        ("[limits]\nlongest_login_wait = \"2d\"", 2, "limits.longest_login_wait", "not between 1s and 1d"),
        ("[limits]\nlongest_login_wait = \"0\"", 2, "limits.longest_login_wait", "not between 1s and 1d"),
        ("[limits]\nlogin_failure = \"5/h\"", 2, "limits.login_failure", "Did you mean \"login_failures\"?"),
        ("[limits]\nissuer = \"https://a.example\"", 2, "limits.issuer", "belongs to the top of the file"),
        ("[[limits]]\nwrong_secrets = \"5/m\"", 1, "limits", "It must be written as [limits]"),
        ("limits = 5", 1, "limits", "this is a number"),
    ] {
        refused(text, line, key, says);
    }
}

#[test]
fn limits_are_read_and_have_defaults() {
    assert_eq!(good("").limits, Limits::default());
    assert_eq!(good("[limits]").limits, Limits::default());
    let limits =
        good("[limits]\nlogin_failures = \"9/d\"\nrequests_per_grant = \"off\"\nlongest_login_wait = \"1h\"").limits;
    let nine = Rate { amount: 9, period: Duration::from_secs(86_400) };
    let expected = Limits {
        login_failures: nine,
        requests_per_grant: Rate::OFF,
        longest_login_wait: Duration::from_secs(3600),
        ..Limits::default()
    };
    assert_eq!(limits, expected);
}

#[test]
fn a_bad_scope_or_resource_is_refused_with_its_line_and_remedy() {
    for (text, line, key, says) in [
        ("[[scope]]\nname = \"a b\"", 2, "scope.name", "no scope name"),
        ("\n[[scope]]\ndescription = \"x\"", 2, "scope.name", "no scope name"),
        ("[[scope]]\nname = 1", 2, "scope.name", "this is a number"),
        ("[[scope]]\nname = \"a\"\n[[scope]]\nname = \"a\"", 4, "scope.name", "another [[scope]] has the same name"),
        ("[[scope]]\nname = \"a\"\ndescription = \"a\\u0007\"", 3, "scope.description", "control characters"),
        ("[[scope]]\nname = \"a\"\ndescription = \"a\\u202Eb\"", 3, "scope.description", "control characters"),
        ("[[scope]]\nname = \"a\"\ndescripton = \"x\"", 3, "scope.descripton", "Did you mean \"description\"?"),
        (
            "[[scope]]\nname = \"a\"\nissuer = \"https://a.example\"",
            3,
            "scope.issuer",
            "belongs to the top of the file",
        ),
        ("[[resource]]\nuri = \"api\"", 2, "resource.uri", "no absolute URI"),
        ("[[resource]]\nuri = \"https://a/#x\"", 2, "resource.uri", "without a fragment"),
        ("[[resource]]\nuri = \"a:b\"\n[[resource]]\nuri = \"a:b\"", 4, "resource.uri", "the same URI"),
        ("[[resource]]\nuri = \"a:b\"\nscopes = [\"nope\"]", 3, "resource.scopes", "\"nope\" is not declared"),
        ("[[resource]]\nuri = \"a:b\"\nscopes = [\"emial\"]", 3, "resource.scopes", "Did you mean \"email\"?"),
    ] {
        refused(text, line, key, says);
    }
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
fn all_errors_are_told_in_the_order_of_the_file() {
    let text = format!("issuer = 1\nlissten = \"x\"\n{}", web("rotation = \"no\"\nidle_lifetime = \"x\"\nwhat = 1"));
    let errors = parse(&text).expect_err("five mistakes");
    let found: Vec<_> = errors.0.iter().map(|error| (error.line, error.key.as_str())).collect();
    let expected =
        [(1, "issuer"), (2, "lissten"), (7, "client.rotation"), (8, "client.idle_lifetime"), (9, "client.what")];
    assert_eq!(found, expected, "{errors}");
    assert!(errors.to_string().contains("client.rotation of \"web\": "), "{errors}");
}

#[test]
fn what_was_written_as_a_secret_is_never_repeated() {
    for text in
        [web("").replace(HASH, "hunter2hunter2"), web("secret = \"hunter2hunter2\""), "x = \"hunter2hunter2".into()]
    {
        let errors = parse(&text).expect_err("bad");
        assert!(!errors.to_string().contains("hunter2"), "{errors}");
    }
}

#[test]
fn no_setting_of_the_file_is_forgotten_in_the_list_of_the_top() {
    for key in TOP {
        refused(&format!("[[scope]]\nname = \"a\"\n{key} = 1"), 3, &format!("scope.{key}"), "move it above the first");
    }
}

#[test]
fn an_empty_file_has_the_defaults() {
    let config = good("");
    assert_eq!(config, Config::safe_defaults(Path::new("/etc/regrant")));
    assert_eq!(config.issuer, None);
    assert_eq!(config.listen.to_string(), "127.0.0.1:8420");
    assert_eq!(config.store, StoreLocation::Sqlite(PathBuf::from("/etc/regrant/regrant.db")));
    assert_eq!(config.root_key_file, Path::new("/etc/regrant/root.key"));
    assert_eq!(config.token_endpoint_aliases, ["/oauth/v2/accessToken"]);
    assert!(config.scopes.is_empty() && config.resources.is_empty() && config.clients.is_empty());
    assert!(config.notices.is_empty());
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

#[test]
fn the_example_runs_as_it_is() {
    let config = good(&example(Path::new("/srv/regrant")));
    assert_eq!((config.scopes.len(), config.resources.len(), config.clients.len()), (2, 1, 0));
    assert_eq!(config.listen.to_string(), DEFAULT_LISTEN);
    assert!(config.notices.is_empty());
    assert!(example(Path::new("/srv/regrant")).contains("--config /srv/regrant/regrant.toml serve"));
    assert!(parse(&example(Path::new("/srv/a\nb = 1"))).is_ok());
}

/// What the example calls a default must be one, and what it shows must be taken.
#[test]
fn the_example_shows_every_setting_as_it_can_be_written() {
    let dir = std::env::temp_dir().join(format!("regrant-example-{}", std::process::id()));
    std::fs::create_dir_all(&dir).unwrap();
    for name in ["web", "nightly-job", "notes-api", "hook", "webhook"] {
        std::fs::write(dir.join(format!("{name}.secret")), &name.repeat(14)[..40]).unwrap();
    }
    let text = example::with_everything_set();
    let config = Config::parse(&text, "regrant.toml", &dir).unwrap_or_else(|errors| panic!("{errors}\n{text}"));
    assert_eq!(config.clients.len(), 4);
    assert_eq!(config.limits, Limits::default(), "what the example shows is the default");
    let defaults = regrant_core::Policy::of(Class::Secret);
    assert_eq!(config.clients[0].policy, defaults);
    assert_eq!(config.clients[1].policy, regrant_core::Policy::of(Class::Public));
    let hook = config.token_hook.as_ref().expect("a hook");
    assert_eq!((hook.timeout, hook.on_failure), (Duration::from_secs(2), OnFailure::Deny));
    assert_eq!(hook.grant_types, GrantType::ALL.into());
    let shown = EventsSetting { json_lines: None, ..config.events.clone() };
    assert_eq!(shown, EventsSetting::default());
    let webhook = config.webhooks.first().expect("a webhook");
    let times = [webhook.timeout, webhook.backoff, webhook.give_up_after].map(|time| time.as_secs());
    assert_eq!((webhook.name.as_str(), times, webhook.kinds.len()), ("alerts", [5, 1, 86_400], 3));
    let written = serde_json::to_value(&config.definitions).unwrap();
    for key in known_client_keys() {
        let is_written = written.as_array().unwrap().iter().any(|client| client.get(&key).is_some());
        let shown = is_written || text.contains(&format!("#{key} = "));
        // No file holds these: the server writes them, or a program sends them.
        let is_of_no_file = ["shared_secret", "sealed_secret", "registration"].contains(&key.as_str());
        assert!(shown || is_of_no_file || key == "allowed_origins", "{key} is not in the example");
    }
    std::fs::remove_dir_all(&dir).unwrap();
}

/// Check S5: plain http to another machine is refused, and each setting of the hook has its bounds.
#[test]
fn a_bad_token_hook_is_refused_with_its_line_and_remedy() {
    let dir = std::env::temp_dir().join(format!("regrant-hook-{}", std::process::id()));
    std::fs::create_dir_all(&dir).unwrap();
    std::fs::write(dir.join("good"), "0123456789abcdef01234567\n").unwrap();
    std::fs::write(dir.join("base64"), "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").unwrap();
    std::fs::write(dir.join("short"), "secret").unwrap();
    let read = |url: &str, file: &str, more: &str| {
        let text = format!("[token_hook]\nurl = \"{url}\"\nsecret_file = \"{file}\"\n{more}");
        Config::parse(&text, "regrant.toml", &dir)
    };
    for url in ["https://hooks.example.com/t?x=1", "https://10.0.0.7:8443/", "http://127.0.0.1:9/", "http://[::1]/"] {
        assert!(read(url, "good", "").is_ok(), "{url}");
    }
    let secret = read("https://a.example/", "base64", "").unwrap().token_hook.unwrap().secret;
    assert_eq!(secret.expose().len(), 24);
    assert_eq!(format!("{secret:?}"), "HookSecret(…)");
    for url in [
        "",
        "/token",
        "http://a.example/",
        "http://localhost/",
        "http://10.0.0.7/",
        "ftp://a.example/",
        "https://u:p@a.example/",
        "https://a.example/#x",
    ] {
        let errors = read(url, "good", "").expect_err(url);
        assert_eq!((errors.0.len(), errors.0[0].line, errors.0[0].key.as_str()), (1, 2, "token_hook.url"), "{errors}");
    }
    for file in ["short", "missing"] {
        let errors = read("https://a.example/", file, "").expect_err(file);
        assert_eq!((errors.0[0].line, errors.0[0].key.as_str()), (3, "token_hook.secret_file"), "{errors}");
    }
    for (more, key) in [
        ("timeout = \"31s\"", "token_hook.timeout"),
        ("timeout = \"0\"", "token_hook.timeout"),
        ("timeout = \"5ms\"", "token_hook.timeout"),
        ("timeout = 2", "token_hook.timeout"),
        ("on_failure = \"ignore\"", "token_hook.on_failure"),
        ("grant_types = []", "token_hook.grant_types"),
        ("grant_types = [\"code\"]", "token_hook.grant_types"),
        ("retries = 3", "token_hook.retries"),
    ] {
        let errors = read("https://a.example/", "good", more).expect_err(more);
        assert_eq!((errors.0.len(), errors.0[0].line, errors.0[0].key.as_str()), (1, 4, key), "{errors}");
    }
    let errors = parse("[token_hook]").unwrap_err();
    assert_eq!(errors.0.len(), 2, "url and secret_file: {errors}");
    refused("[[token_hook]]\nurl = \"x\"", 1, "token_hook", "with one bracket");
    std::fs::remove_dir_all(&dir).unwrap();
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

/// The names that [`ClientDefinition`] takes, out of serde's own mouth.
fn known_client_keys() -> Vec<String> {
    let error = serde_json::from_str::<ClientDefinition>("{\"?\":1}").unwrap_err().to_string();
    let names: Vec<String> = error.split('`').skip(3).step_by(2).map(str::to_owned).collect();
    assert!(names.len() >= 21, "{error}");
    names
}

fn with(variables: &[(&str, &str)], text: &str) -> Result<Config, ConfigErrors> {
    let variables = variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    Config::parse_with(text, "regrant.toml", Path::new("/etc/regrant"), &variables)
}

/// Every key of the example, written as its variable instead, means the same as in the file.
#[test]
fn every_setting_can_come_from_the_environment() {
    let text = example::with_everything_set().replace("sha256:…", HASH);
    let text: String =
        text.lines().filter(|line| !line.contains("secret_file")).map(|line| format!("{line}\n")).collect();
    let text = text.replace("#secret_hash", "secret_hash");
    let in_file = Config::parse(&text, "regrant.toml", Path::new("/etc/regrant"));
    let table: toml::Table = text.parse().expect("TOML");
    let mut variables = environment::Variables::new();
    for (key, value) in &table {
        match value {
            toml::Value::Table(section) => {
                for (inner, value) in section {
                    variables.insert(environment::Environment::name(key, inner), written(value));
                }
            }
            value => {
                variables.insert(environment::Environment::name("", key), written(value));
            }
        }
    }
    assert!(variables.len() >= 8 && variables.contains_key("REGRANT_CLIENT"), "{variables:?}");
    let outside = Config::parse_with("", "regrant.toml", Path::new("/etc/regrant"), &variables);
    match (in_file, outside) {
        (Ok(in_file), Ok(outside)) => assert_eq!(in_file, outside),
        (Err(in_file), Err(outside)) => {
            assert_eq!(in_file.0.len(), outside.0.len(), "{in_file}\n--\n{outside}");
        }
        (in_file, outside) => panic!("{in_file:?}\n--\n{outside:?}"),
    }
}

/// A text as it stands; anything else as TOML.
fn written(value: &toml::Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

#[test]
fn a_variable_wins_over_the_file_and_names_itself_when_it_is_wrong() {
    let config = with(
        &[
            ("REGRANT_ISSUER", "https://b.example"),
            ("REGRANT_TOKEN_ENDPOINT_ALIASES", "/a, /b"),
            ("REGRANT_LOG", "info"),
        ],
        "issuer = \"https://a.example\"",
    )
    .expect("valid");
    assert_eq!(config.issuer.as_deref(), Some("https://b.example"));
    assert_eq!(config.token_endpoint_aliases, ["/a", "/b"]);
    assert!(config.notices.is_empty(), "{:?}", config.notices);
    let errors =
        with(&[("REGRANT_ISSUER", "http://b.example")], "issuer = \"https://a.example\"").expect_err("refused");
    let shown = errors.to_string();
    assert!(shown.starts_with("environment variable REGRANT_ISSUER: issuer: plain http"), "{shown}");
    let errors = with(&[("REGRANT_CLIENT", "web")], "").expect_err("refused");
    assert!(errors.to_string().contains("environment variable REGRANT_CLIENT: client: it cannot be read"), "{errors}");
    let errors = with(&[("REGRANT_CLIENT", "[{id=\"web\", nmae=\"x\"}]")], "issuer = \"https://a.example\"")
        .expect_err("refused");
    let shown = errors.to_string();
    assert!(shown.contains("environment variable REGRANT_CLIENT: client.nmae of \"web\": there is no such"), "{shown}");
    assert!(shown.contains("environment variable REGRANT_CLIENT: client.redirect_uris of \"web\""), "{shown}");
}

#[test]
fn a_variable_that_names_no_setting_is_said_and_no_error() {
    let notices = |name: &str| with(&[(name, "x\n\"y")], "").expect("valid").notices;
    assert!(notices("REGRANT_ISUER")[0].contains("Did you mean REGRANT_ISSUER?"), "{:?}", notices("REGRANT_ISUER"));
    for quiet in [
        "REGRANT_LOG",
        "REGRANT_CONFIG",
        "REGRANT_SERVICE_HOST",
        "REGRANT_PORT_8420_TCP",
        "REGRANT_TLS_SERVICE_HOST",
        "REGRANT_TLS_PORT",
        "REGRANT_TOKEN_HOOK_PORT_80_TCP_ADDR",
    ] {
        assert!(notices(quiet).is_empty(), "{quiet}");
    }
}

#[test]
fn what_a_running_server_cannot_change_waits_for_a_restart() {
    let running = good("issuer = \"https://a.example\"\nlisten = \"127.0.0.1:1\"");
    let mut next = good(
        "issuer = \"https://b.example\"\nlisten = \"127.0.0.1:0\"\nadmin_socket = \"x.sock\"\n[[scope]]\nname = \"new\"",
    );
    assert_eq!(next.keep_what_needs_a_restart(&running), ["issuer", "admin_socket"]);
    assert_eq!((next.issuer.as_deref(), next.listen), (Some("https://a.example"), running.listen));
    assert_eq!(next.scopes.len(), 1, "the rest is taken");
}

/// Check O6: the admin API is nowhere unless it is said where, at one place, and unencrypted on this machine alone.
#[test]
fn the_admin_api_is_closed_unless_it_is_opened_at_one_place() {
    let own: SocketAddr = "127.0.0.1:8421".parse().expect("an address");
    let tls = "issuer = \"https://a.example\"\n[tls]\ncertificate_file = \"c\"\nkey_file = \"k\"\n";
    assert_eq!(good("").admin_api, AdminApi::Closed);
    assert_eq!(good("[admin_api]\nlisten = \"main\"").admin_api, AdminApi::Main);
    assert_eq!(good("[admin_api]\nlisten = \"127.0.0.1:8421\"").admin_api, AdminApi::At(own));
    assert!(matches!(good(&format!("{tls}[admin_api]\nlisten = \"0.0.0.0:1\"")).admin_api, AdminApi::At(_)));
    for (text, line, key, says) in [
        ("[admin_api]", 1, "admin_api.listen", "it is not said where"),
        ("[admin_api]\nlisten = \"0.0.0.0:8421\"", 2, "admin_api.listen", "would be unencrypted"),
        ("[admin_api]\nlisten = \"all\"", 2, "admin_api.listen", "\"main\" for the server's own listener"),
        ("[admin_api]\nlisten = [\"main\"]", 2, "admin_api.listen", "a text in quotes"),
        ("[admin_api]\nlisten = \"127.0.0.1:8420\"", 2, "admin_api.listen", "another listener of this server"),
        ("[admin_api]\nlisten = \"main\"\ntoken = \"x\"", 3, "admin_api.token", "no such setting"),
        ("[[scope]]\nname = \"regrant.admin\"", 2, "scope.name", "always there"),
        ("[[resource]]\nuri = \"urn:regrant:admin\"", 2, "resource.uri", "always there"),
    ] {
        refused(text, line, key, says);
    }
    let running = good("");
    let mut next = good("[admin_api]\nlisten = \"main\"");
    assert_eq!(next.keep_what_needs_a_restart(&running), ["admin_api"], "a reload opens nothing");
    assert_eq!(next.admin_api, AdminApi::Closed);
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

#[test]
fn the_admin_socket_is_beside_the_store_unless_set() {
    let path = |text: &str| good(text).admin_socket().map(|path| path.display().to_string());
    assert_eq!(path("").as_deref(), Some("/etc/regrant/regrant.db.sock"));
    assert_eq!(path("admin_socket = \"a.sock\"").as_deref(), Some("/etc/regrant/a.sock"));
    assert_eq!(path("admin_socket = \"off\""), None);
    refused(&format!("admin_socket = \"/{}\"", "x".repeat(107)), 1, "admin_socket", "more than 107 bytes");
}

#[test]
fn a_bad_log_or_metrics_setting_is_refused_with_its_line_and_remedy() {
    for (text, line, key, says) in [
        ("[log]\nformat = \"xml\"", 2, "log.format", "Choose \"auto\", \"text\" or \"json\""),
        ("[log]\nfilter = \"loud\"", 2, "log.filter", "\"loud\" is no directive"),
        ("[log]\nfilter = \"info,h2=\"", 2, "log.filter", "\"h2=\" is no directive"),
        ("[log]\nfilter = \"info,a[b]=trace\"", 2, "log.filter", "is no directive"),
        ("[log]\notlp_endpoint = \"127.0.0.1:4318\"", 2, "log.otlp_endpoint", "no http URL"),
        ("[log]\notlp_endpoint = \"http://\"", 2, "log.otlp_endpoint", "no http URL"),
        (
            "[log]\notlp_endpoint = \"http://me:secret@127.0.0.1:4318\"",
            2,
            "log.otlp_endpoint",
            "OTEL_EXPORTER_OTLP_HEADERS",
        ),
        ("[log]\notlp_endpoint = \"https://a.example/?key=1\"", 2, "log.otlp_endpoint", "no http URL"),
        ("[log]\nformt = \"json\"", 2, "log.formt", "Did you mean \"format\"?"),
        ("[[log]]\nformat = \"json\"", 1, "log", "It must be written as [log]"),
        ("log = \"info\"", 1, "log", "this is a text. It must be written as [log]"),
        ("[metrics]\nlisten = \"9464\"", 2, "metrics.listen", "no IP address with a port"),
        ("[metrics]\nlisten = \"0.0.0.0:9464\"", 2, "metrics.listen", "allow_remote = true"),
        (
            "[metrics]\nlisten = \"0.0.0.0:9464\"\nallow_remote = false",
            2,
            "metrics.listen",
            "can be reached from elsewhere",
        ),
        ("[metrics]\nlisten = \"127.0.0.1:8420\"", 2, "metrics.listen", "another listener of this server"),
        (
            "[metrics]\nlisten = \"127.0.0.1:8421\"\n[admin_api]\nlisten = \"127.0.0.1:8421\"",
            2,
            "metrics.listen",
            "Give each a port of its own",
        ),
        ("[metrics]\nclients = -1", 2, "metrics.clients", "a whole number from 0 to 10000"),
        ("[metrics]\nclients = \"100\"", 2, "metrics.clients", "this is a text"),
        ("[metrics]\nclients = 10001", 2, "metrics.clients", "a whole number from 0 to 10000"),
    ] {
        refused(text, line, key, says);
    }
}

#[test]
fn a_collector_that_this_build_cannot_reach_is_a_notice() {
    let config = good("[log]\notlp_endpoint = \"http://127.0.0.1:4318\"");
    assert_eq!(config.log.otlp_endpoint.as_deref(), Some("http://127.0.0.1:4318"));
    let said = if cfg!(feature = "otlp") { 0 } else { 1 };
    let told: Vec<_> = config.notices.iter().filter(|notice| notice.contains("--features otlp")).collect();
    assert_eq!((told.len(), config.notices.len()), (said, said), "{:?}", config.notices);
}

#[test]
fn nothing_is_told_to_prometheus_unless_asked_for() {
    let config = good("");
    assert_eq!((config.metrics.listen, config.metrics.clients), (None, 100));
    assert_eq!((config.log.format, config.log.filter.as_str()), (LogFormat::Auto, "info"));
    assert_eq!(config.log.otlp_endpoint, None);
    let config = good(
        "[metrics]\nlisten = \"10.0.0.1:9464\"\nallow_remote = true\n[log]\nfilter = \"warn, regrant_server=TRACE\"",
    );
    assert_eq!(config.metrics.listen.map(|listen| listen.port()), Some(9464));
    assert_eq!(config.log.filter, "warn, regrant_server=TRACE");
}
