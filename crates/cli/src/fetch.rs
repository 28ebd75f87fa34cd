//! One GET of a small JSON document, as any client of the server would ask: TLS by the machine's certificates, within a time and a size.

use std::time::Duration;

use axum::body::Body;
use http::{HeaderMap, StatusCode, Uri};
use http_body_util::{BodyExt as _, Limited};
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use serde_json::Value;

use crate::remote::chain;

/// An answer.
pub(crate) struct Fetched {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    /// Null where the body is no JSON.
    pub(crate) document: Value,
}

/// Asks once; why there is no answer, where there is none within `patience`, or one of more than `most` bytes.
pub(crate) async fn fetch(url: &str, patience: Duration, most: usize) -> Result<Fetched, String> {
    let silent = |_| Err(format!("there was no answer for {} s", patience.as_secs()));
    tokio::time::timeout(patience, get(url, most)).await.unwrap_or_else(silent)
}

async fn get(url: &str, most: usize) -> Result<Fetched, String> {
    let connector = hyper_rustls::HttpsConnectorBuilder::new()
        .with_native_roots()
        .map_err(|error| format!("the machine's certificates cannot be read: {error}"))?
        .https_or_http()
        .enable_http1()
        .build();
    let client: Client<_, Body> = Client::builder(TokioExecutor::new()).build(connector);
    let uri: Uri = url.parse().map_err(|error| format!("it is no URL: {error}"))?;
    let response = client.get(uri).await.map_err(|error| chain(&error))?;
    let (parts, body) = response.into_parts();
    let body = Limited::new(body, most).collect().await.map_err(|error| error.to_string())?;
    let document = serde_json::from_slice(&body.to_bytes()).unwrap_or_default();
    Ok(Fetched { status: parts.status, headers: parts.headers, document })
}
