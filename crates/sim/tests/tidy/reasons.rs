//! `docs/reasons.md` is written from the list of reasons, and the list holds every refusal.

use std::collections::BTreeSet;

use regrant_core::Refusal;

use crate::{read, root};

#[test]
fn the_document_of_reasons_is_the_list() {
    let (path, document) = (root().join("docs/reasons.md"), regrant_server::reasons::document());
    if std::env::var_os("REGRANT_BLESS").is_some() {
        std::fs::write(&path, &document).expect("the document is written");
    }
    assert!(
        read(&path) == document,
        "docs/reasons.md is stale: REGRANT_BLESS=1 cargo test --profile proof -p sim --test tidy"
    );
}

/// Law L12: a refusal that is added to the enum is in the list of all of them.
#[test]
fn every_refusal_is_listed() {
    let source = read(&root().join("crates/core/src/refusal.rs"));
    let (_, rest) = source.split_once("pub enum Refusal {").expect("the enum");
    let (body, _) = rest.split_once("\n}").expect("its end");
    let variants: BTreeSet<String> = body
        .lines()
        .filter_map(|line| line.strip_prefix("    "))
        .filter(|line| line.starts_with(|c: char| c.is_ascii_uppercase()))
        .map(|line| line.split(|c: char| !c.is_ascii_alphanumeric()).next().unwrap_or_default().to_owned())
        .collect();
    let name = |refusal: Refusal| format!("{refusal:?}").split([' ', '(']).next().unwrap_or_default().to_owned();
    assert_eq!(Refusal::all().map(name).collect::<BTreeSet<_>>(), variants);
}
