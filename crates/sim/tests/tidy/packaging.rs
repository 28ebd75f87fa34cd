//! What people deploy from agrees with the program: versions, settings, ports, paths and times. `packaging/lint` asks the tools that each
//! kind of file has; here is what needs none.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use regrant_server::Config;
use regrant_server::config::{Source, StoreLocation, example};

use crate::{files, read, root, shown};

/// Where a node answers in a container, and where it is scraped.
const PORTS: [&str; 2] = ["8420", "9464"];

fn text(path: &str) -> String {
    read(&root().join(path))
}

/// The configuration of a file, with what containers are told by the environment.
fn config(path: &Path) -> Config {
    let variables = BTreeMap::from([("REGRANT_ISSUER".to_owned(), "https://auth.example.com".to_owned())]);
    let source = Source { file: Some(path.to_owned()), variables, ..Source::default() };
    Config::from_source(&source).unwrap_or_else(|errors| panic!("{}: {errors}", shown(path)))
}

/// The value of `key` where it stands for the first time, up to the end of the line.
fn value<'a>(text: &'a str, key: &str) -> &'a str {
    let found = text.lines().find_map(|line| line.trim().strip_prefix(key)?.strip_prefix([':', '=', ' ']));
    found.unwrap_or_else(|| panic!("no line says {key}")).trim().trim_matches('"')
}

fn seconds(text: &str) -> Duration {
    let number = text.trim_end_matches('s').parse().unwrap_or_else(|_| panic!("{text} is no number of seconds"));
    Duration::from_secs(number)
}

#[test]
fn every_version_is_that_of_the_program() {
    let version = env!("CARGO_PKG_VERSION");
    let chart = text("packaging/helm/regrant/Chart.yaml");
    assert_eq!((value(&chart, "version"), value(&chart, "appVersion")), (version, version));
    for path in ["packaging/compose/compose.yaml", "packaging/compose/prepare"] {
        let image = format!("regrant:${{REGRANT_VERSION:-{version}}}");
        assert!(text(path).contains(&image), "{path} does not name {image}");
    }
}

/// No setting of them is unknown, and none costs what an operator has to be told.
#[test]
fn every_packaged_configuration_is_valid() {
    let packaged = files("packaging", ".toml");
    assert!(packaged.len() >= 3, "{packaged:?}");
    for path in packaged {
        let notices = config(&path).notices;
        let expected = usize::from(shown(&path) == "packaging/oci/regrant.toml");
        assert_eq!(notices.len(), expected, "{}: {notices:?}", shown(&path));
    }
}

/// The chart writes its configuration by a template: each setting that it names is one.
#[test]
fn every_setting_that_the_chart_writes_is_one() {
    let helpers = text("packaging/helm/regrant/templates/_helpers.tpl");
    let (_, rest) = helpers.split_once("{{- define \"regrant.toml\" -}}").expect("the template");
    let (template, _) = rest.split_once("{{ end -}}").expect("its end");
    let known = example(Path::new(""));
    let is_known = |key: &str| known.lines().any(|line| line.trim_start_matches('#').starts_with(&format!("{key} = ")));
    let keys: Vec<&str> = template.lines().filter_map(|line| Some(line.split_once(" = ")?.0)).collect();
    assert!(keys.len() >= 10, "{keys:?}");
    for key in keys.iter().filter(|key| !key.starts_with(['{', '#'])) {
        assert!(is_known(key), "{key} is no setting");
    }
    for section in template.lines().filter(|line| line.starts_with('[')) {
        assert!(known.lines().any(|line| line.trim_start_matches('#') == section), "{section} is no section");
    }
}

#[test]
fn every_port_and_path_is_that_of_the_server() {
    let default: std::net::SocketAddr = regrant_server::config::DEFAULT_LISTEN.parse().expect("an address");
    assert_eq!(default.port().to_string(), PORTS[0]);
    for path in ["packaging/oci/regrant.toml", "packaging/compose/regrant.toml", "packaging/systemd/node.toml"] {
        let config = config(&root().join(path));
        assert_eq!(config.listen.port().to_string(), PORTS[0], "{path}");
        assert!(config.metrics.listen.is_none_or(|listen| listen.port().to_string() == PORTS[1]), "{path}");
    }
    let deployment = text("packaging/helm/regrant/templates/deployment.yaml");
    let helpers = text("packaging/helm/regrant/templates/_helpers.tpl");
    for port in PORTS {
        assert!(deployment.contains(&format!("containerPort: {port}")), "{port}");
        assert!(helpers.contains(&format!("listen = \"0.0.0.0:{port}\"")), "{port}");
    }
    assert!(text("packaging/oci/build").contains("\"8420/tcp\""));
    let balancer = text("packaging/compose/haproxy.cfg");
    for node in ["node1", "node2", "node3"] {
        assert!(balancer.contains(&format!("server {node} {node}:{}", PORTS[0])), "{node}");
        assert!(text("packaging/compose/prometheus.yml").contains(&format!("{node}:{}", PORTS[1])), "{node}");
    }
    let router = text("crates/server/src/router.rs");
    for (file, text) in [("deployment.yaml", &deployment), ("haproxy.cfg", &balancer)] {
        let asked: Vec<&str> =
            text.split([' ', ',']).filter(|word| word.starts_with('/') && word.ends_with('z')).collect();
        assert!(!asked.is_empty(), "{file} asks nothing");
        for path in asked {
            assert!(router.contains(&format!(".route(\"{path}\"")), "{file} asks {path}");
        }
    }
}

/// A node that stops says no for longer than the balancer needs to believe it, and is ended after it had its time.
#[test]
fn nobody_ends_a_node_before_it_has_drained() {
    let nodes = config(&root().join("packaging/compose/regrant.toml"));
    let balancer = text("packaging/compose/haproxy.cfg");
    let words: Vec<&str> = balancer.split_whitespace().collect();
    let after = |word: &str| words.iter().skip_while(|found| **found != word).nth(1).copied().expect("a value");
    let noticed = seconds(after("inter")) * after("fall").parse().expect("a number");
    assert!(noticed < nodes.http.drain_delay, "{noticed:?}");
    let grace = |config: &Config| config.http.drain_delay + config.http.drain_timeout + Duration::from_secs(10);
    let compose = text("packaging/compose/compose.yaml");
    assert!(seconds(value(&compose, "stop_grace_period")) >= grace(&nodes));
    let unit = text("packaging/systemd/regrant.service");
    let node = config(&root().join("packaging/systemd/node.toml"));
    assert!(seconds(value(&unit, "TimeoutStopSec")) >= grace(&node));
    let values = text("packaging/helm/regrant/values.yaml");
    let (_, drain) = values.split_once("\ndrain:\n").expect("drain");
    let time = |key| seconds(value(drain, key));
    assert!(time("gracePeriodSeconds") > time("delay") + time("timeout"));
    // HAProxy waits longer than a request may take, so that the server is the one to give up.
    let (_, waits) = balancer.split_once("timeout server").expect("a time");
    assert!(seconds(waits.split_whitespace().next().expect("a time")) > nodes.http.request_timeout);
}

/// The chart takes the times that the program takes, and no others.
#[test]
fn the_chart_takes_the_times_of_the_program() {
    let schema: serde_json::Value =
        serde_json::from_str(&text("packaging/helm/regrant/values.schema.json")).expect("JSON");
    for key in ["delay", "timeout"] {
        assert_eq!(schema["properties"]["drain"]["properties"][key]["pattern"], "^(0|([0-9]+(w|d|h|m|s))+)$", "{key}");
    }
    for (taken, unit) in [(true, "w"), (true, "d"), (true, "h"), (true, "m"), (true, "s"), (false, "ms"), (false, "")] {
        let read = regrant_server::config::duration::parse(&format!("5{unit}"));
        assert_eq!(read.is_some(), taken, "5{unit}");
    }
}

/// The one proxy that nodes believe is the one in front of them, and what they share is a database.
#[test]
fn the_nodes_of_compose_believe_their_balancer_alone() {
    let (compose, nodes) =
        (text("packaging/compose/compose.yaml"), config(&root().join("packaging/compose/regrant.toml")));
    let balancer: std::net::IpAddr = value(&compose, "ipv4_address").parse().expect("an address");
    assert!(nodes.trusted_proxies.trusts(balancer));
    assert!(!nodes.trusted_proxies.trusts("10.84.20.3".parse().expect("an address")));
    assert!(matches!(nodes.store, StoreLocation::Postgres(_)));
}

/// The alerts and the dashboard of the chart are those of the documents.
#[test]
fn the_chart_has_the_alerts_and_the_dashboard_of_the_documents() {
    for name in ["alerts.yml", "dashboard.json"] {
        let chart = text(&format!("packaging/helm/regrant/files/{name}"));
        assert!(chart == text(&format!("docs/monitoring/{name}")), "{name}");
    }
    let rules = text("docs/monitoring/alerts.yml");
    let tests = text("docs/monitoring/alerts.test.yml");
    let alerts: Vec<&str> = rules.lines().filter_map(|line| line.trim().strip_prefix("- alert: ")).collect();
    assert!(alerts.len() >= 18, "{alerts:?}");
    for alert in alerts {
        assert!(tests.contains(&format!("alertname: {alert} ")), "no test asks for {alert}");
    }
}

/// The unit's programs and directories are those that the package and the documents make.
#[test]
fn the_units_run_the_program_that_the_documents_install() {
    for path in files("packaging/systemd", ".service") {
        let unit = read(&path);
        let starts = value(&unit, "ExecStart");
        assert!(starts.starts_with("/usr/local/bin/regrant "), "{}: {starts}", shown(&path));
    }
    let unit = text("packaging/systemd/regrant.service");
    assert!(unit.contains("--config /etc/regrant/regrant.toml") && unit.contains("StateDirectory=regrant\n"));
}
