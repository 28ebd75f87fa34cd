//! The same server within this process: its real router on its real file, at a time of our own.

use std::path::Path;
use std::sync::Arc;

use axum::body::Body;
use axum::http::Request;
use http_body_util::BodyExt as _;
use regrant_core::client::AuthMethod;
use regrant_server::{App, Clock, Config, StartError};
use regrant_store::{Sqlite, SqliteOptions};
use tower::ServiceExt as _;

use super::Home;
use crate::wire::{PASSWORD, Reply, SECRET, USER, http, text};

/// An opened server without a socket.
#[derive(Debug)]
pub struct Inside {
    /// The server.
    pub app: Arc<App>,
    /// Its time.
    pub clock: Clock,
}

impl Inside {
    /// Opens what the configuration names.
    ///
    /// # Errors
    /// As [`App::open`].
    pub fn open(config: Config, clock: Clock) -> Result<Self, StartError> {
        Ok(Self { app: App::open(config, clock.clone())?, clock })
    }

    /// A form to an endpoint as this client, authenticated as it is registered.
    ///
    /// # Panics
    /// If there is no answer.
    pub async fn post(&self, path: &str, client: &str, parameters: &[(&str, &str)]) -> Reply {
        let mut parameters = parameters.to_vec();
        let mut request = Request::post(path).header("content-type", "application/x-www-form-urlencoded");
        match self.app.client(client).map(|client| client.auth) {
            Some(AuthMethod::ClientSecretBasic) => {
                request = request.header("authorization", http::basic(client, SECRET));
            }
            Some(AuthMethod::ClientSecretPost) => {
                parameters.extend([("client_id", client), ("client_secret", SECRET)]);
            }
            Some(AuthMethod::None | AuthMethod::PrivateKeyJwt | AuthMethod::ClientSecretJwt) | None => {
                parameters.push(("client_id", client));
            }
        }
        let body = Body::from(regrant_server::form::write(&parameters));
        self.send(request.body(body).expect("a request")).await
    }

    /// `GET`.
    ///
    /// # Panics
    /// If there is no answer.
    pub async fn get(&self, path: &str) -> Reply {
        self.send(Request::get(path).body(Body::empty()).expect("a request")).await
    }

    async fn send(&self, request: Request<Body>) -> Reply {
        let response = regrant_server::router(Arc::clone(&self.app)).oneshot(request).await.expect("an answer");
        let (parts, body) = response.into_parts();
        let body = body.collect().await.expect("a whole answer").to_bytes().to_vec();
        Reply { status: parts.status, headers: parts.headers, body }
    }

    /// Refreshes.
    pub async fn refresh(&self, client: &str, token: &str) -> Reply {
        self.post("/oauth2/token", client, &[("grant_type", "refresh_token"), ("refresh_token", token)]).await
    }

    /// The next refresh token.
    ///
    /// # Panics
    /// If there is none.
    pub async fn next(&self, client: &str, token: &str) -> String {
        text(&self.refresh(client, token).await.expect_status(200).json(), "refresh_token")
    }

    /// The first refresh token of a new grant, by the password grant.
    ///
    /// # Panics
    /// If there is none.
    pub async fn first(&self, client: &str) -> String {
        let parameters = [("grant_type", "password"), ("username", USER), ("password", PASSWORD)];
        text(&self.post("/oauth2/token", client, &parameters).await.expect_status(200).json(), "refresh_token")
    }

    /// Adds the user of all worlds.
    ///
    /// # Panics
    /// If it fails.
    pub async fn add_user(&self) {
        self.app.admin().add_user(USER, PASSWORD.to_owned().into()).await.expect("a new user");
    }

    /// Closes it: as [`close`](Self::close) where the store is a file, and at once where it is a database that others may hold.
    ///
    /// # Panics
    /// If the file is never free.
    pub async fn close_in(self, home: &Home) {
        if home.store().exists() {
            self.close(&home.store()).await;
        }
    }

    /// Closes it, and waits until the file is free and whole: the write-ahead log is empty then.
    ///
    /// # Panics
    /// If it is never free.
    pub async fn close(self, store: &Path) {
        drop(self);
        let store = store.to_owned();
        tokio::task::spawn_blocking(move || {
            for _ in 0..1_000_000 {
                if let Ok(mut store) = Sqlite::open(&store, &SqliteOptions::default()) {
                    store.checkpoint().expect("a checkpoint");
                    return;
                }
                std::thread::yield_now();
            }
            panic!("{} is never free", store.display());
        })
        .await
        .expect("the store is free");
    }
}
