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

fn metadata() -> Value {
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
            if kinds.iter().any(|kind| kind["kind"] != "dev") && is_built(metadata, nodes[id.as_str()], dependency) {
                waiting.push(dependency["pkg"].as_str().expect("pkg").to_owned());
            }
        }
    }
    found
}

/// Whether an enabled feature wants a dependency. `cargo metadata` also lists optional ones of which a feature says only what they
/// should be able to do if somebody else wants them (`ring?/alloc`), and which are not built.
fn is_built(metadata: &Value, node: &Value, dependency: &Value) -> bool {
    let find = |id: &Value| {
        let all = metadata["packages"].as_array().expect("packages");
        all.iter().find(|package| package["id"] == *id).expect("a package")
    };
    let (package, name) = (find(&node["id"]), &find(&dependency["pkg"])["name"]);
    let declared = package["dependencies"].as_array().expect("dependencies");
    if declared.iter().any(|declared| declared["name"] == *name && declared["optional"] == false) {
        return true;
    }
    // Where it goes by another name, its own is not what the features say.
    let local = declared.iter().find(|declared| declared["name"] == *name);
    let local = local.and_then(|declared| declared["rename"].as_str()).or(name.as_str()).expect("a name");
    let enabled = node["features"].as_array().expect("features");
    enabled.iter().filter_map(Value::as_str).any(|feature| {
        let wants = package["features"][feature].as_array().into_iter().flatten().filter_map(Value::as_str);
        feature == local
            || wants
                .into_iter()
                .any(|wanted| wanted == format!("dep:{local}") || wanted.starts_with(&format!("{local}/")))
    })
}

fn packages<'a>(metadata: &'a Value, ids: &BTreeSet<String>) -> Vec<&'a Value> {
    let all = metadata["packages"].as_array().expect("packages");
    all.iter().filter(|package| ids.contains(package["id"].as_str().expect("id"))).collect()
}

#[test]
fn the_binary_has_permissive_licences_only() {
    let metadata = metadata();
    for package in packages(&metadata, &closure(&metadata, "regrant")) {
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
    let metadata = metadata();
    let mut versions: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    let closure = closure(&metadata, "regrant");
    for package in packages(&metadata, &closure) {
        let name = package["name"].as_str().expect("name");
        assert!(!BANNED.contains(&name), "{name} is in the tree");
        versions.entry(name).or_default().push(package["version"].as_str().expect("version"));
    }
    let twice: Vec<_> = versions.iter().filter(|(_, versions)| versions.len() > 1).collect();
    assert!(twice.len() <= 4, "more and more duplicates: {twice:?}");
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
