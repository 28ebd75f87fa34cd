//! Bad configurations, each with its line, its key and its reason; every default; the example.

mod clients;
mod files;
mod keys;
mod openid;
mod serving;
mod variables;

use std::path::{Path, PathBuf};
use std::time::Duration;

use regrant_core::client::{Class, GrantType};

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
        let is_of_no_file = ["shared_secret", "sealed_secret", "registration", "added_at"].contains(&key.as_str());
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

/// The names that [`ClientDefinition`] takes, out of serde's own mouth.
fn known_client_keys() -> Vec<String> {
    let error = serde_json::from_str::<ClientDefinition>("{\"?\":1}").unwrap_err().to_string();
    let names: Vec<String> = error.split('`').skip(3).step_by(2).map(str::to_owned).collect();
    assert!(names.len() >= 21, "{error}");
    names
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
