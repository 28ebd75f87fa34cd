//! Settings that come from the environment.

use super::*;

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
