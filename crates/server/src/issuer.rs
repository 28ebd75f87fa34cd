//! The issuer identifier (RFC 8414 section 2) and what follows from it: the path under which everything lives, the names of
//! cookies, whether the browser speaks https.

use regrant_core::secret::Hash;

/// The issuer, taken apart once.
#[derive(Clone, Debug)]
pub struct Issuer {
    text: String,
    path: String,
    is_https: bool,
    tag: String,
}

impl Issuer {
    /// Takes the URL of an issuer: a scheme and a host, perhaps a path, no trailing slash.
    #[must_use]
    pub fn new(url: &str) -> Self {
        let text = url.trim_end_matches('/').to_owned();
        let rest = text.split_once("://").map_or(text.as_str(), |(_, rest)| rest);
        let path = rest.find('/').map_or(String::new(), |slash| rest[slash..].to_owned());
        let is_https = text.starts_with("https://");
        let tag = Hash::of(text.as_bytes()).0.iter().take(4).map(|byte| format!("{byte:02x}")).collect();
        Self { text, path, is_https, tag }
    }

    /// The identifier itself.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The path of the issuer: empty, or beginning with a slash and not ending with one.
    #[must_use]
    pub fn path(&self) -> &str {
        &self.path
    }

    /// Whether cookies can be `Secure`.
    #[must_use]
    pub const fn is_https(&self) -> bool {
        self.is_https
    }

    /// The name of a cookie: `__Host-` over https; browsers refuse that prefix on plain-http loopback. A hash of the issuer
    /// keeps two servers on one host apart.
    #[must_use]
    pub fn cookie(&self, kind: &str) -> String {
        let prefix = if self.is_https { "__Host-" } else { "" };
        format!("{prefix}regrant-{kind}-{}", self.tag)
    }

    /// The URL of an endpoint.
    #[must_use]
    pub fn url(&self, endpoint: &str) -> String {
        format!("{}{endpoint}", self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_issuer_may_have_a_path() {
        let issuer = Issuer::new("https://id.example/tenants/a");
        assert_eq!(issuer.path(), "/tenants/a");
        assert_eq!(issuer.url("/oauth2/token"), "https://id.example/tenants/a/oauth2/token");
        assert!(issuer.cookie("session").starts_with("__Host-regrant-session-"));
        assert_eq!(Issuer::new("http://127.0.0.1:8420").path(), "");
        assert!(!Issuer::new("http://127.0.0.1:8420").cookie("session").starts_with("__Host-"));
    }
}
