//! Requests to URLs that a client named: `jwks_uri`, `request_uri`, `sector_identifier_uri`, `backchannel_logout_uri`. Whoever
//! may register a client may name any URL, so that this server would be his hand in its own network, were it not for this.
//!
//! | rule                                                                                              | check  |
//! |---------------------------------------------------------------------------------------------------|--------|
//! | names are resolved here, and the address that is connected to is the one that was checked           | S2, S3 |
//! | https alone                                                                                       | S5     |
//! | port 443 and the `ports` of the configuration; an address of `allow` at any port                    | S6     |
//! | three seconds for all of it                                                                       | S7     |
//! | each request has a connection of its own: nothing is shared between two clients                   | S9     |

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::Bytes;
use http::Uri;
use http_body_util::Full;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use rustls::{ClientConfig, RootCertStore};
use tokio::net::TcpStream;
use tower::Service;

use super::NoAnswer;
use super::address::is_public;
use crate::config::OutboundSetting;

/// From the first packet to the last byte.
pub(super) const DEADLINE: Duration = Duration::from_secs(3);
/// The longest URL.
const MAX_URL: usize = 2048;
/// The most that is held of the head of an answer.
const MAX_HEAD: usize = 16 * 1024;
/// The most addresses of one name that are tried.
const MAX_ADDRESSES: usize = 8;

/// What a client's URL must be before anything is asked of it: https, a host, no user information.
pub(crate) fn check_url(text: &str) -> Option<Uri> {
    let url: Uri = text.parse().ok().filter(|_| text.len() <= MAX_URL)?;
    let authority = url.authority()?;
    let is_sound = url.scheme_str() == Some("https")
        && !authority.host().is_empty()
        && !authority.as_str().contains('@')
        && text.bytes().all(|byte| byte.is_ascii_graphic() && !matches!(byte, b'\\' | b'"' | b'<' | b'>' | b'`'));
    is_sound.then_some(url)
}

/// What a link must be that people are shown, and whose host may stand in a header: no character of it ends a directive of a
/// Content-Security-Policy or means every host, and its port is one.
pub(crate) fn check_link(text: &str) -> Option<Uri> {
    let url = check_url(text)?;
    let authority = url.authority()?.as_str();
    let is_plain = authority.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._~:[]".contains(&byte));
    let has_port = authority.len() > url.host()?.len();
    (is_plain && (!has_port || url.port_u16().is_some())).then_some(url)
}

type Https = Client<HttpsConnector<Checked>, Full<Bytes>>;

/// The client for them. It is made anew when its settings are others.
pub(super) struct Strangers(Mutex<Option<(OutboundSetting, Https)>>);

impl Strangers {
    pub(super) const fn new() -> Self {
        Self(Mutex::new(None))
    }

    /// The client under these settings.
    pub(super) fn client(&self, setting: &OutboundSetting) -> Result<Https, NoAnswer> {
        let mut held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((known, client)) = held.as_ref()
            && known == setting
        {
            return Ok(client.clone());
        }
        let client = client(setting).map_err(NoAnswer::Roots)?;
        *held = Some((setting.clone(), client.clone()));
        Ok(client)
    }
}

fn client(setting: &OutboundSetting) -> Result<Https, String> {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    for root in &setting.roots {
        roots.add(root.clone()).map_err(|error| error.to_string())?;
    }
    if roots.is_empty() {
        return Err("there are none".to_owned());
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let tls = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?
        .with_root_certificates(roots)
        .with_no_client_auth();
    let checked = Checked(Arc::new(setting.clone()));
    let connector =
        HttpsConnectorBuilder::new().with_tls_config(tls).https_only().enable_http1().wrap_connector(checked);
    let mut builder = Client::builder(TokioExecutor::new());
    builder.pool_timer(TokioTimer::new()).pool_max_idle_per_host(0).http1_max_buf_size(MAX_HEAD);
    Ok(builder.build(connector))
}

/// Connects to what it has checked.
#[derive(Clone)]
pub(super) struct Checked(Arc<OutboundSetting>);

impl Service<Uri> for Checked {
    type Response = TokioIo<TcpStream>;
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = io::Result<Self::Response>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, url: Uri) -> Self::Future {
        let setting = Arc::clone(&self.0);
        Box::pin(async move { connect(&setting, &url).await.map(TokioIo::new) })
    }
}

async fn connect(setting: &OutboundSetting, url: &Uri) -> io::Result<TcpStream> {
    let host = url.host().unwrap_or_default().trim_matches(['[', ']']);
    let port = url.port_u16().unwrap_or(443);
    let found: Vec<SocketAddr> = match host.parse::<IpAddr>() {
        Ok(address) => vec![SocketAddr::new(address, port)],
        Err(_) => tokio::net::lookup_host((host, port)).await?.take(MAX_ADDRESSES).collect(),
    };
    // What is refused and what is not there are one error to everybody but the log.
    let mut last = io::Error::new(io::ErrorKind::PermissionDenied, "no address that may be asked");
    for address in found {
        if !may_reach(setting, address) {
            tracing::warn!(%host, address = %address, "a client's URL leads where [outbound] does not allow it");
            continue;
        }
        match TcpStream::connect(address).await {
            Ok(stream) => return stream.set_nodelay(true).map(|()| stream),
            Err(error) => last = error,
        }
    }
    Err(last)
}

fn may_reach(setting: &OutboundSetting, address: SocketAddr) -> bool {
    if setting.allow.iter().any(|network| network.contains(address.ip())) {
        return true;
    }
    is_public(address.ip()) && (address.port() == 443 || setting.ports.contains(&address.port()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::proxies::Network;

    /// Check S5, and what a parser could read in two ways.
    #[test]
    fn a_url_of_a_client_is_https_and_plain() {
        for url in ["https://app.example/jwks.json", "https://app.example:8443/a?b=c#d", "https://[2606:4700::1111]/"] {
            assert!(check_url(url).is_some(), "{url}");
        }
        for url in [
            "http://app.example/",
            "HTTP://app.example/",
            "ftp://app.example/",
            "file:///etc/passwd",
            "https:///path",
            "https://user@app.example/",
            "https://app.example@127.0.0.1/",
            "https://app.example\\@127.0.0.1/",
            "/jwks",
            "",
            "https://app.example/ä",
            "https://app.example/ a",
            "app.example",
            "gopher://127.0.0.1:6379/_",
        ] {
            assert!(check_url(url).is_none(), "{url}");
        }
        assert!(check_url(&format!("https://app.example/{}", "a".repeat(2048))).is_none());
    }

    #[test]
    fn a_link_names_one_host_and_nothing_besides() {
        for url in ["https://app.example/a;b?c,d", "https://app.example:8443/", "https://[2606:4700::1111]:443/"] {
            assert!(check_link(url).is_some(), "{url}");
        }
        for url in [
            "https://x.example;script-src/",
            "https://x.example,y.example/",
            "https://*/x",
            "https://*.example/",
            "https://x.example:99999/",
            "https://x.example:/",
            "https://x.example:*/",
            "https://x'self'/",
            "http://x.example/",
        ] {
            assert!(check_link(url).is_none(), "{url}");
        }
    }

    /// Checks S2 and S6.
    #[test]
    fn an_address_is_public_at_a_known_port_or_allowed_at_any() {
        let allow = vec![Network::parse("10.1.0.0/16").expect("a network")];
        let setting = OutboundSetting { allow, ports: vec![8443], roots: Vec::new() };
        let may = |address: &str| may_reach(&setting, address.parse().expect("an address"));
        assert!(may("8.8.8.8:443") && may("8.8.8.8:8443") && may("10.1.2.3:9000") && may("[2606:4700::1111]:443"));
        assert!(!may("8.8.8.8:80") && !may("8.8.8.8:6379") && !may("10.2.0.1:443") && !may("127.0.0.1:443"));
        assert!(!may("[::1]:443") && !may("[::ffff:127.0.0.1]:443") && !may("169.254.169.254:443"));
        assert!(may("[::ffff:10.1.2.3]:80"), "however a socket spells it");
    }
}
