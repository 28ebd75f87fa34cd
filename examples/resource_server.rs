//! A resource server: notes that belong to users, behind the access tokens of a Regrant server.
//!
//! ```text
//! NOTES_API_SECRET=rgs_… cargo run --example resource_server -- https://id.example.com http://127.0.0.1:3000/
//! curl -H "Authorization: Bearer $TOKEN" http://127.0.0.1:3000/notes
//! ```
//! The client `notes-api` needs `may_introspect = true`; clients ask for tokens with `resource=http://127.0.0.1:3000/`.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use axum::extract::State;
use axum::routing::{get, post};
use axum::{Extension, Router};
use regrant_resource::{AccessToken, Credentials, ResourceServer, WhenOld};

/// The notes of each user, by `sub`.
type Notes = Arc<Mutex<HashMap<String, Vec<String>>>>;

/// Reading and writing are two scopes.
pub(crate) fn app(server: &ResourceServer) -> Router {
    let read = get(list).layer(server.require(["notes:read"]));
    let write = post(add).layer(server.require(["notes:read", "notes:write"]));
    Router::new().route("/notes", read.merge(write)).with_state(Notes::default())
}

async fn list(State(notes): State<Notes>, Extension(token): Extension<AccessToken>) -> String {
    let notes = notes.lock().unwrap_or_else(PoisonError::into_inner);
    notes.get(token.subject()).map(|mine| mine.join("\n")).unwrap_or_default()
}

async fn add(State(notes): State<Notes>, Extension(token): Extension<AccessToken>, note: String) -> String {
    let mut notes = notes.lock().unwrap_or_else(PoisonError::into_inner);
    let mine = notes.entry(token.subject().to_owned()).or_default();
    mine.push(note);
    format!("{} notes", mine.len())
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let (Some(issuer), Some(audience)) = (arguments.next(), arguments.next()) else {
        return Err("usage: resource_server ISSUER AUDIENCE".into());
    };
    let server = ResourceServer::builder(issuer, audience)
        .credentials(Credentials::new("notes-api", std::env::var("NOTES_API_SECRET")?))
        // A revoked token is refused some five seconds later; while the feed cannot be read, each token is asked about.
        .follow_revocations()
        .when_old(WhenOld::Introspect)
        .build()?;
    let listener = tokio::net::TcpListener::bind("127.0.0.1:3000").await?;
    axum::serve(listener, app(&server)).await?;
    Ok(())
}
