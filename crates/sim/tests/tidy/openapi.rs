//! `docs/openapi.json` is the document that the server makes of its table, so that it cannot part from the code.

use crate::{read, root};

#[test]
fn the_openapi_document_is_the_servers() {
    let path = root().join("docs/openapi.json");
    let mut document = serde_json::to_string_pretty(regrant_server::admin::api::document()).expect("JSON");
    document.push('\n');
    if std::env::var_os("REGRANT_BLESS").is_some() {
        std::fs::write(&path, &document).expect("the document is written");
    }
    assert!(
        read(&path) == document,
        "docs/openapi.json is stale: REGRANT_BLESS=1 cargo test --profile proof -p sim --test tidy openapi"
    );
}
