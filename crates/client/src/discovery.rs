//! What a server says of itself (RFC 8414 section 3, OpenID Connect Discovery 1.0 section 4).

use serde::{Deserialize, Serialize};

use crate::error::Error;
use crate::server::Server;
use crate::transport::Call;

/// The part of the metadata that is used here.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Metadata {
    /// Exactly the issuer that was asked.
    pub issuer: String,
    /// Where tokens come from.
    pub token_endpoint: String,
    /// Where users log in.
    #[serde(default)]
    pub authorization_endpoint: Option<String>,
    /// Where tokens are given back (RFC 7009).
    #[serde(default)]
    pub revocation_endpoint: Option<String>,
    /// Where devices ask for codes (RFC 8628 section 4).
    #[serde(default)]
    pub device_authorization_endpoint: Option<String>,
    /// The keys that ID tokens are signed with.
    #[serde(default)]
    pub jwks_uri: Option<String>,
    /// Whether authorization answers name their issuer (RFC 9207 section 3).
    #[serde(default)]
    pub authorization_response_iss_parameter_supported: bool,
}

impl Metadata {
    /// The metadata of a server that publishes none: a token endpoint, and whatever you set besides.
    #[must_use]
    pub fn of(issuer: impl Into<String>, token_endpoint: impl Into<String>) -> Self {
        Self {
            issuer: issuer.into(),
            token_endpoint: token_endpoint.into(),
            authorization_endpoint: None,
            revocation_endpoint: None,
            device_authorization_endpoint: None,
            jwks_uri: None,
            authorization_response_iss_parameter_supported: false,
        }
    }
}

/// Where the metadata of an issuer may be, the likeliest first.
#[must_use]
pub fn addresses(issuer: &str) -> Vec<String> {
    let issuer = issuer.trim_end_matches('/');
    // RFC 8414 section 3: the well-known part stands between the host and the path.
    let start = issuer.find("://").map_or(0, |at| at + 3);
    let (host, path) = issuer.split_at(issuer[start..].find('/').map_or(issuer.len(), |at| start + at));
    let mut addresses = vec![
        format!("{host}/.well-known/oauth-authorization-server{path}"),
        format!("{issuer}/.well-known/openid-configuration"),
    ];
    if !path.is_empty() {
        addresses.push(format!("{host}/.well-known/openid-configuration{path}"));
    }
    addresses
}

/// Asks a server for its metadata.
///
/// # Errors
/// [`Error::Misconfigured`] if another issuer answers or none does; [`Error::Retry`] if nobody can be reached.
pub(crate) async fn discover(server: &Server, issuer: &str) -> Result<Metadata, Error> {
    let mut unreachable = None;
    let mut others = None;
    for url in addresses(issuer) {
        match server.send(&Call { url, ..Call::default() }).await {
            Ok(answer) if answer.status == 200 => match serde_json::from_slice::<Metadata>(&answer.body) {
                // RFC 8414 section 3.3: "The "issuer" value returned MUST be identical to the authorization server's issuer
                // identifier value into which the well-known URI string was inserted to create the URL used to retrieve the
                // metadata. If these values are not identical, the data contained in the response MUST NOT be used."
                Ok(metadata) if metadata.issuer == issuer => return fitting(metadata),
                Ok(metadata) => others = Some(metadata.issuer),
                Err(_) => unreachable = Some("a page in place of metadata: a portal, or not the issuer".to_owned()),
            },
            Ok(answer) if answer.status >= 500 || answer.status == 429 => {
                unreachable = Some(format!("status {}", answer.status));
            }
            // A server that has none says 404. Whoever shows a page or leads to one is not it: a portal that wants a log-in first.
            Ok(answer) if (300..400).contains(&answer.status) => {
                unreachable =
                    Some(format!("status {} in place of metadata: a portal, or not the issuer", answer.status));
            }
            Ok(_) => {}
            Err(no_answer) => unreachable = Some(no_answer.to_string()),
        }
    }
    match (others, unreachable) {
        (Some(other), _) => {
            Err(Error::Misconfigured(format!("the metadata of {issuer} is that of another issuer: {other}")))
        }
        (None, Some(cause)) => Err(Error::Retry { after: crate::answer::PAUSE, cause }),
        (None, None) => Err(Error::Misconfigured(format!("{issuer} has no metadata: is this the issuer?"))),
    }
}

/// Metadata whose endpoints can be trusted as far as the issuer can. RFC 8414 section 2: the issuer's URL "uses the "https" scheme", and a
/// plain `http` endpoint beside it would be sent codes and tokens in clear.
fn fitting(metadata: Metadata) -> Result<Metadata, Error> {
    let is_clear = metadata.issuer.starts_with("http://");
    let optional = [
        &metadata.authorization_endpoint,
        &metadata.revocation_endpoint,
        &metadata.device_authorization_endpoint,
        &metadata.jwks_uri,
    ];
    let all = optional.into_iter().flatten().chain([&metadata.token_endpoint]);
    let unfit = all.into_iter().find(|url| !(url.starts_with("https://") || is_clear && url.starts_with("http://")));
    match unfit.cloned() {
        None => Ok(metadata),
        Some(url) => Err(Error::Misconfigured(format!("the server names an endpoint that is not https: {url}"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_endpoint_is_less_safe_than_its_issuer() {
        for (issuer, token_endpoint, authorization_endpoint, fits) in [
            ("https://as.example", "https://as.example/token", "https://login.example/", true),
            ("https://as.example", "http://as.example/token", "https://login.example/", false),
            ("https://as.example", "https://as.example/token", "http://login.example/", false),
            ("https://as.example", "https://as.example/token", "javascript:alert(1)", false),
            ("http://127.0.0.1:8420", "http://127.0.0.1:8420/token", "http://127.0.0.1:8420/authorize", true),
            ("http://127.0.0.1:8420", "http://127.0.0.1:8420/token", "file:///etc/passwd", false),
        ] {
            let authorization_endpoint = Some(authorization_endpoint.to_owned());
            let metadata = Metadata { authorization_endpoint, ..Metadata::of(issuer, token_endpoint) };
            assert_eq!(fitting(metadata).is_ok(), fits, "{issuer} {token_endpoint}");
        }
    }

    #[test]
    fn metadata_is_looked_for_where_both_standards_put_it() {
        assert_eq!(
            addresses("https://as.example"),
            [
                "https://as.example/.well-known/oauth-authorization-server",
                "https://as.example/.well-known/openid-configuration",
            ]
        );
        assert_eq!(
            addresses("https://as.example/realms/a"),
            [
                "https://as.example/.well-known/oauth-authorization-server/realms/a",
                "https://as.example/realms/a/.well-known/openid-configuration",
                "https://as.example/.well-known/openid-configuration/realms/a",
            ]
        );
    }
}
