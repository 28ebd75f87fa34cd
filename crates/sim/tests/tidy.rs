//! Keeps the repository tidy: what style.md and the documents promise is checked here, after the manner of a unit test.
//!
//! Set `REGRANT_BLESS=1` to write the generated documents anew.

mod tidy {
    pub(crate) mod checks;
    pub(crate) mod conformance;
    pub(crate) mod dependencies;
    pub(crate) mod openapi;
    pub(crate) mod packaging;
    pub(crate) mod reasons;
    pub(crate) mod sources;
}

use std::path::{Path, PathBuf};

/// The root of the repository.
fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// All files below a folder of the repository whose names end so, in order.
fn files(folder: &str, ending: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut waiting = vec![root().join(folder)];
    while let Some(folder) = waiting.pop() {
        for entry in std::fs::read_dir(&folder).into_iter().flatten().flatten() {
            let path = entry.path();
            let name = entry.file_name();
            if path.is_dir() {
                if !["target", "node_modules", ".git", "regrant-demo"].iter().any(|skipped| name == *skipped) {
                    waiting.push(path);
                }
            } else if name.to_string_lossy().ends_with(ending) {
                found.push(path);
            }
        }
    }
    found.sort();
    found
}

/// All sources: what ships, what proves it, and what measures it.
fn rust_files() -> Vec<PathBuf> {
    let mut found = files("crates", ".rs");
    found.extend(files("bench", ".rs"));
    found
}

/// The path as it is written in documents.
fn shown(path: &Path) -> String {
    let text = path.to_string_lossy().replace('\\', "/");
    text.rsplit_once("/../../").map_or(text.clone(), |(_, rest)| rest.to_owned())
}

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}
