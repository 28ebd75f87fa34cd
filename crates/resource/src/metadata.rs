//! Where the authorization server's endpoints are: RFC 8414.

use std::time::Duration;

use bytes::Bytes;
use http::header::ACCEPT;
use http::{Request, StatusCode, Uri};
use serde_json::Value;

use crate::builder::is_safe;
use crate::judge::Parts;

/// How long it is believed.
const GOOD_FOR: Duration = Duration::from_secs(3600);
/// After a failure nobody is asked for this long, and what is held goes on.
const REST: Duration = Duration::from_secs(5);
/// The most that is read of metadata, key sets and introspection answers, in bytes.
pub(crate) const MAX_DOCUMENT: usize = 256 * 1024;

/// What is known of the authorization server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Endpoints {
    pub(crate) jwks: String,
    pub(crate) introspection: Option<String>,
    pub(crate) feed: Option<String>,
}

/// The copy, fetched by one at a time.
#[derive(Debug, Default)]
pub(crate) struct Metadata(tokio::sync::Mutex<Held>);

#[derive(Debug, Default)]
struct Held {
    endpoints: Option<(Endpoints, Duration)>,
    failed: Option<(String, Duration)>,
}

impl Metadata {
    /// The endpoints, as they are now or were a while ago.
    pub(crate) async fn endpoints(&self, parts: &Parts) -> Result<Endpoints, String> {
        let mut held = self.0.lock().await;
        let now = parts.clock.elapsed();
        let is_new = |at: Duration, age: Duration| now.saturating_sub(at) < age;
        if let Some((endpoints, at)) = &held.endpoints
            && is_new(*at, GOOD_FOR)
        {
            return Ok(endpoints.clone());
        }
        if let Some((cause, at)) = &held.failed
            && is_new(*at, REST)
        {
            return held.endpoints.as_ref().map(|(endpoints, _)| endpoints.clone()).ok_or_else(|| cause.clone());
        }
        match fetch(parts).await {
            Ok(endpoints) => {
                *held = Held { endpoints: Some((endpoints.clone(), now)), failed: None };
                Ok(endpoints)
            }
            Err(cause) => {
                // From its end on: whoever waited for it does not wait once more.
                held.failed = Some((cause.clone(), parts.clock.elapsed()));
                held.endpoints.as_ref().map(|(endpoints, _)| endpoints.clone()).ok_or(cause)
            }
        }
    }
}

async fn fetch(parts: &Parts) -> Result<Endpoints, String> {
    let url = well_known(&parts.issuer);
    let document = document(parts, &url).await?;
    // RFC 8414 section 3.3: "The "issuer" value returned MUST be identical to the authorization server's issuer identifier".
    if document.get("issuer").and_then(Value::as_str) != Some(&parts.issuer) {
        return Err("the metadata are those of another issuer".to_owned());
    }
    let endpoint = |name: &str| -> Result<Option<String>, String> {
        let Some(found) = document.get(name) else { return Ok(None) };
        let url = found.as_str().filter(|url| url.parse::<Uri>().is_ok_and(|uri| is_safe(&uri)));
        url.map(|url| Some(url.to_owned())).ok_or_else(|| format!("the metadata's {name} is no https URL"))
    };
    Ok(Endpoints {
        jwks: endpoint("jwks_uri")?.ok_or("the metadata name no jwks_uri")?,
        introspection: endpoint("introspection_endpoint")?,
        feed: endpoint("revocation_feed_endpoint")?,
    })
}

/// RFC 8414 section 3.1: the well-known string is inserted "between the host component and the path component, if any".
fn well_known(issuer: &str) -> String {
    let path = issuer.find("://").and_then(|scheme| issuer[scheme + 3..].find('/').map(|slash| scheme + 3 + slash));
    let (host, path) = path.map_or((issuer, ""), |at| issuer.split_at(at));
    format!("{host}/.well-known/oauth-authorization-server{}", path.trim_end_matches('/'))
}

/// `GET`s a JSON object without duplicate members.
pub(crate) async fn document(parts: &Parts, url: &str) -> Result<serde_json::Map<String, Value>, String> {
    let request = Request::get(url).header(ACCEPT, "application/json").body(Bytes::new());
    let request = request.map_err(|error| error.to_string())?;
    let response = parts.client.send(request, MAX_DOCUMENT).await.map_err(|error| format!("{url}: {error}"))?;
    if response.status() != StatusCode::OK {
        return Err(format!("{url} answers {}", response.status()));
    }
    regrant_jose::read_object(response.body()).map_err(|fault| format!("what {url} answers {fault}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_well_known_string_stands_between_host_and_path() {
        for (issuer, expected) in [
            ("https://id.example", "https://id.example/.well-known/oauth-authorization-server"),
            ("https://id.example/", "https://id.example/.well-known/oauth-authorization-server"),
            ("https://id.example/a/b", "https://id.example/.well-known/oauth-authorization-server/a/b"),
        ] {
            assert_eq!(well_known(issuer), expected);
        }
    }
}
