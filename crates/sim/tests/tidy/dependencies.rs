//! The dependency tree: short lists, permissive licences, one of each, no OpenSSL.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

use serde_json::Value;

use crate::root;

/// What a licence expression may be made of.
const LICENCES: [&str; 11] = [
    "MIT",
    "Apache-2.0",
    "Apache-2.0 WITH LLVM-exception",
    "ISC",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "Zlib",
    "0BSD",
    "Unlicense",
    "Unicode-3.0",
    "CC0-1.0",
];
/// Never in the binary.
const BANNED: [&str; 6] = ["openssl", "openssl-sys", "native-tls", "ring", "rsa", "chrono"];

/// The binary as it is built by default, and with everything that can be switched on.
const BUILDS: [&[&str]; 3] = [&[], &["--features", "regrant/otlp"], &["--features", "regrant/keychain"]];

fn metadata() -> Value {
    metadata_of(&[])
}

fn metadata_of(features: &[&str]) -> Value {
    let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned());
    let output = Command::new(cargo)
        .args([
            "metadata",
            "--format-version",
            "1",
            "--offline",
            "--locked",
            "--filter-platform",
            "x86_64-unknown-linux-gnu",
        ])
        .args(features)
        .current_dir(root())
        .output()
        .expect("cargo metadata runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).expect("JSON")
}

/// Everything that a package of the workspace is built from: normal and build dependencies, no development ones.
fn closure(metadata: &Value, name: &str) -> BTreeSet<String> {
    let nodes: BTreeMap<&str, &Value> = metadata["resolve"]["nodes"]
        .as_array()
        .expect("nodes")
        .iter()
        .map(|node| (node["id"].as_str().expect("id"), node))
        .collect();
    let start = metadata["packages"]
        .as_array()
        .expect("packages")
        .iter()
        .find(|package| package["name"] == name && package["source"].is_null())
        .unwrap_or_else(|| panic!("no package {name}"));
    let mut found = BTreeSet::new();
    let mut waiting = vec![start["id"].as_str().expect("id").to_owned()];
    while let Some(id) = waiting.pop() {
        if !found.insert(id.clone()) {
            continue;
        }
        for dependency in nodes[id.as_str()]["deps"].as_array().expect("deps") {
            let kinds = dependency["dep_kinds"].as_array().expect("kinds");
            if kinds.iter().any(|kind| kind["kind"] != "dev") {
                waiting.push(dependency["pkg"].as_str().expect("pkg").to_owned());
            }
        }
    }
    found
}

/// What is compiled for a package, as `name vVERSION`. The metadata also lists what is only mentioned: an optional dependency
/// behind a weak feature, such as the other provider of cryptography of a TLS library, which nothing switches on.
fn built(package: &str, features: &[&str]) -> BTreeSet<String> {
    let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned());
    let target = "x86_64-unknown-linux-gnu";
    let output = Command::new(cargo)
        .args(["tree", "--package", package, "--edges", "normal,build", "--prefix", "none", "--offline", "--locked"])
        .args(["--target", target])
        .args(features)
        .current_dir(root())
        .output()
        .expect("cargo tree runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let words = |line: &str| line.split(' ').take(2).collect::<Vec<_>>().join(" ");
    String::from_utf8_lossy(&output.stdout).lines().map(words).collect()
}

fn packages<'a>(metadata: &'a Value, ids: &BTreeSet<String>) -> Vec<&'a Value> {
    let all = metadata["packages"].as_array().expect("packages");
    all.iter().filter(|package| ids.contains(package["id"].as_str().expect("id"))).collect()
}

#[test]
fn the_binary_has_permissive_licences_only() {
    for features in BUILDS {
        permissive(&metadata_of(features));
    }
}

fn permissive(metadata: &Value) {
    for package in packages(metadata, &closure(metadata, "regrant")) {
        let licence = package["license"].as_str().unwrap_or("none stated");
        // One side of an OR is enough.
        let fits = licence
            .replace(['(', ')'], "")
            .replace('/', " OR ")
            .split(" OR ")
            .any(|side| side.split(" AND ").all(|part| LICENCES.contains(&part.trim())));
        assert!(fits, "{}: {licence}", package["name"]);
    }
}

#[test]
fn the_binary_has_one_of_each_and_nothing_banned() {
    for features in BUILDS {
        one_of_each(&metadata_of(features), &built("regrant", features));
    }
}

fn one_of_each(metadata: &Value, built: &BTreeSet<String>) {
    let mut versions: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for package in packages(metadata, &closure(metadata, "regrant")) {
        let (name, version) = (package["name"].as_str().expect("name"), package["version"].as_str().expect("version"));
        if built.contains(&format!("{name} v{version}")) {
            assert!(!BANNED.contains(&name), "{name} is in the tree");
            versions.entry(name).or_default().push(version);
        }
    }
    assert!(versions.len() > 100, "cargo tree and cargo metadata do not speak of the same packages");
    let twice: Vec<_> = versions.iter().filter(|(_, versions)| versions.len() > 1).collect();
    // Two of them are of the driver of PostgreSQL (decision 51).
    assert!(twice.len() <= 6, "more and more duplicates: {twice:?}");
    assert!(versions.len() <= 280, "{} crates", versions.len());
}

#[test]
fn the_core_depends_on_little() {
    let metadata = metadata();
    let core = closure(&metadata, "regrant-core");
    assert!(core.len() < 40, "{} crates under regrant-core", core.len());
    let names: BTreeSet<&str> = metadata["packages"]
        .as_array()
        .expect("packages")
        .iter()
        .find(|package| package["name"] == "regrant-core")
        .expect("the core")["dependencies"]
        .as_array()
        .expect("dependencies")
        .iter()
        .filter(|dependency| dependency["kind"].is_null())
        .filter_map(|dependency| dependency["name"].as_str())
        .collect();
    assert_eq!(names, BTreeSet::from(["aws-lc-rs", "base64", "crc32fast", "zeroize"]));
}

#[test]
fn dependencies_point_inward() {
    let metadata = metadata();
    for (outer, never) in [
        ("regrant-core", ["regrant-store", "regrant-server", "regrant-jose"]),
        ("regrant-jose", ["regrant-store", "regrant-server", "regrant-core"]),
        ("regrant-store", ["regrant-server", "regrant-jose", "regrant"]),
        // An API needs nothing of the server to judge tokens.
        ("regrant-resource", ["regrant-core", "regrant-store", "regrant-server"]),
        // Nor does an app to have them.
        ("regrant-client", ["regrant-core", "regrant-store", "regrant-server"]),
    ] {
        for package in packages(&metadata, &closure(&metadata, outer)) {
            assert!(
                !never.contains(&package["name"].as_str().expect("name")),
                "{outer} depends on {}",
                package["name"]
            );
        }
    }
}

/// What proves and measures is never a part of what ships.
#[test]
fn nothing_that_ships_depends_on_what_proves_and_measures_it() {
    let metadata = metadata();
    for package in packages(&metadata, &closure(&metadata, "regrant")) {
        assert!(!["sim", "bench"].iter().any(|name| package["name"] == *name), "{} ships", package["name"]);
    }
}

/// The client library and what it stands on are packed as a registry takes them: each a crate of its own, with nothing of the workspace left in
/// its manifest. `cargo publish` does the same, and builds it.
#[test]
fn the_client_library_can_be_published() {
    let scratch = sim::process::Scratch::new("packages");
    let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned());
    let output = Command::new(cargo)
        .args(["package", "--package", "regrant-jose", "--package", "regrant-client"])
        .args(["--no-verify", "--offline", "--allow-dirty"])
        .env("CARGO_TARGET_DIR", scratch.path())
        .current_dir(root())
        .output()
        .expect("cargo package runs");
    let says = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && !says.contains("warning: manifest has no"), "{says}");
    for name in ["regrant-jose", "regrant-client"] {
        let packed = scratch.path().join(format!("package/{name}-{}.crate", env!("CARGO_PKG_VERSION")));
        let manifest = Command::new("tar")
            .arg("-xOzf")
            .arg(&packed)
            .arg(format!("{name}-{}/Cargo.toml", env!("CARGO_PKG_VERSION")))
            .output()
            .expect("tar runs");
        let manifest = String::from_utf8_lossy(&manifest.stdout).into_owned();
        for wanted in ["rust-version = \"1.95\"", "license = ", "readme = \"README.md\"", "description = "] {
            assert!(manifest.contains(wanted), "{name} does not say {wanted}: {manifest}");
        }
        assert!(!manifest.contains("workspace") && !manifest.contains("path = \"../"), "{name}: {manifest}");
    }
}
