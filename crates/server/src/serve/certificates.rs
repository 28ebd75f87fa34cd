//! The certificate that TLS is spoken with: read, checked, and read again when its files change. A new pair that is no good
//! changes nothing: the old one goes on, and the log says why.

use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

use jiff::Timestamp;
use rustls::crypto::aws_lc_rs as provider;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls::{CipherSuite, ServerConfig};
use tokio_rustls::TlsAcceptor;
use zeroize::Zeroizing;

use super::validity::validity;
use crate::app::App;
use crate::config::tls::{CertificateFiles, KeyPlace, TlsSettings};

/// RFC 8737 section 3: the protocol that a certificate authority speaks to see who holds a name.
pub(super) const ACME_ALPN: &[u8] = b"acme-tls/1";
/// RFC 9325 section 4.2: of TLS 1.2 the suites with ephemeral key exchange and authenticated encryption; all of TLS 1.3.
const SUITES: [CipherSuite; 9] = [
    CipherSuite::TLS13_AES_256_GCM_SHA384,
    CipherSuite::TLS13_AES_128_GCM_SHA256,
    CipherSuite::TLS13_CHACHA20_POLY1305_SHA256,
    CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,
    CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,
    CipherSuite::TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256,
    CipherSuite::TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
    CipherSuite::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
    CipherSuite::TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
];
/// The largest file of certificates or keys.
const MAX_FILE: u64 = 1024 * 1024;
/// The longest chain.
const MAX_CHAIN: usize = 16;

/// Why a certificate cannot be used. Each message says what to do.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file cannot be read.
    #[error(
        "{path} cannot be read: {error}\n  remedy: name the right file in [tls], readable for the user that Regrant runs as"
    )]
    Unreadable {
        /// Which.
        path: String,
        /// Why.
        error: std::io::Error,
    },
    /// A key that others can read.
    #[error(
        "the private key {0} can be read by every user of this machine\n  remedy: chmod 0600 {0}; if others may have read it, get a new certificate"
    )]
    Open(String),
    /// A credential that systemd has not passed on.
    #[error("there is no credential {0:?}\n  remedy: pass it on in the unit, LoadCredential={0}:/path/of/the/key")]
    NoCredential(String),
    /// Not PEM, or nothing in it.
    #[error("{path} holds no {what} in PEM\n  remedy: name the right file in [tls]")]
    NotPem {
        /// Which.
        path: String,
        /// What was wanted.
        what: &'static str,
    },
    /// A pair that does not belong together, or a key of a kind that cannot be used.
    #[error(
        "the certificate {path} cannot be used with its key: {error}\n  remedy: name the certificate and the key that were made for each other; the server's own certificate is the first of its file"
    )]
    Pair {
        /// The certificate.
        path: String,
        /// Why.
        error: rustls::Error,
    },
    /// TLS itself cannot be set up.
    #[error("TLS cannot be set up: {0}")]
    Setup(#[from] rustls::Error),
}

/// What TLS is spoken with at this moment, and where it came from.
pub struct Certificates {
    acceptor: TlsAcceptor,
    pub(super) current: Arc<Current>,
    /// Where systemd puts credentials.
    credentials: Option<PathBuf>,
    /// The files as they were when they were last read, good or bad.
    seen: Mutex<Option<(CertificateFiles, Stamps)>>,
}

/// What tells a changed file: inode, time of change and size of the certificate and the key.
type Stamps = [Option<(u64, i64, i64, u64, i64, i64)>; 2];

/// The pair of this moment.
#[derive(Default)]
pub(super) struct Current {
    pair: RwLock<Option<Arc<CertifiedKey>>>,
    /// What an authority is shown that wants to see who holds a name (RFC 8737).
    #[cfg(feature = "acme")]
    pub(super) proofs: RwLock<std::collections::HashMap<String, Arc<CertifiedKey>>>,
}

impl std::fmt::Debug for Certificates {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Certificates").finish_non_exhaustive()
    }
}

impl std::fmt::Debug for Current {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Current").finish_non_exhaustive()
    }
}

impl ResolvesServerCert for Current {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        if hello.alpn().is_some_and(|mut offered| offered.any(|protocol| protocol == ACME_ALPN)) {
            return self.proof_for(hello.server_name());
        }
        self.pair.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Current {
    pub(super) fn put(&self, pair: Arc<CertifiedKey>) {
        *self.pair.write().unwrap_or_else(PoisonError::into_inner) = Some(pair);
    }

    #[cfg(feature = "acme")]
    fn proof_for(&self, name: Option<&str>) -> Option<Arc<CertifiedKey>> {
        let proofs = self.proofs.read().unwrap_or_else(PoisonError::into_inner);
        proofs.get(name?).cloned()
    }

    #[cfg(not(feature = "acme"))]
    #[expect(clippy::unused_self, reason = "the same call with and without ACME")]
    const fn proof_for(&self, _: Option<&str>) -> Option<Arc<CertifiedKey>> {
        None
    }
}

/// What a look at a certificate shows.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Looked {
    /// Until when clients take it, in milliseconds since the epoch, if that can be read.
    pub expires_at: Option<i64>,
    /// Whether it is for the issuer's host.
    pub is_for_the_issuer: bool,
}

/// A pair that was read and is not in use yet.
pub(crate) struct Prepared {
    pair: CertifiedKey,
    files: CertificateFiles,
    stamps: Stamps,
}

impl Certificates {
    /// What the configuration of this app wants; nothing if it wants no TLS.
    ///
    /// # Errors
    /// [`TlsError`].
    pub fn for_app(app: &App, credentials: Option<&Path>) -> Result<Option<Arc<Self>>, TlsError> {
        let certificates = Self::open(app, credentials)?;
        if let Some(certificates) = &certificates {
            // From now on a reload looks at them, too.
            app.holds(certificates);
        }
        Ok(certificates)
    }

    fn open(app: &App, credentials: Option<&Path>) -> Result<Option<Arc<Self>>, TlsError> {
        let settings = app.settings();
        let Some(tls) = &settings.config.tls else { return Ok(None) };
        let current = Arc::new(Current::default());
        let acceptor = TlsAcceptor::from(Arc::new(server_config(&current, tls)?));
        let credentials = credentials.map(Path::to_owned);
        let certificates = Arc::new(Self { acceptor, current, credentials, seen: Mutex::default() });
        match tls {
            TlsSettings::Files(_) => certificates.reload(app)?,
            #[cfg(feature = "acme")]
            TlsSettings::Acme(acme) => super::acme::restore(&certificates.current, acme, app),
            #[cfg(not(feature = "acme"))]
            TlsSettings::Acme(_) => {}
        }
        Ok(Some(certificates))
    }

    /// Reads the files that the configuration names now, whether they have changed or not. For a reload.
    ///
    /// # Errors
    /// [`TlsError`]; the pair that was there goes on.
    pub fn reload(&self, app: &App) -> Result<(), TlsError> {
        let settings = app.settings();
        let Some(TlsSettings::Files(files)) = &settings.config.tls else { return Ok(()) };
        // Before they are read: what changes meanwhile is seen the next time.
        let stamps = self.stamps(files);
        *self.seen.lock().unwrap_or_else(PoisonError::into_inner) = Some((files.clone(), stamps));
        let pair = self.read(files)?;
        tell(&pair, &files.certificate.display().to_string(), app);
        self.current.put(Arc::new(pair));
        Ok(())
    }

    /// The pair that another configuration names, read and judged before anything is changed; nothing if it names no files.
    pub(crate) fn prepare(&self, config: &crate::Config) -> Result<Option<Prepared>, TlsError> {
        let Some(TlsSettings::Files(files)) = &config.tls else { return Ok(None) };
        let stamps = self.stamps(files);
        Ok(Some(Prepared { pair: self.read(files)?, files: files.clone(), stamps }))
    }

    /// Puts a prepared pair into use.
    pub(crate) fn take(&self, prepared: Prepared, app: &App) {
        let Prepared { pair, files, stamps } = prepared;
        tell(&pair, &files.certificate.display().to_string(), app);
        *self.seen.lock().unwrap_or_else(PoisonError::into_inner) = Some((files, stamps));
        self.current.put(Arc::new(pair));
    }

    /// Looks at the files again and again, and takes up what has changed.
    pub(super) async fn keep_fresh(self: Arc<Self>, app: Arc<App>, period: Duration) {
        #[cfg(feature = "acme")]
        if let Some(TlsSettings::Acme(acme)) = &app.settings().config.tls {
            return super::acme::keep_fresh(Arc::clone(&self.current), acme.clone(), app).await;
        }
        loop {
            tokio::time::sleep(period).await;
            let settings = app.settings();
            let Some(TlsSettings::Files(files)) = &settings.config.tls else { continue };
            let now = (files.clone(), self.stamps(files));
            let is_seen = *self.seen.lock().unwrap_or_else(PoisonError::into_inner) == Some(now);
            if !is_seen && let Err(error) = self.reload(&app) {
                tracing::error!(%error, "the new certificate is not taken; the old one goes on");
            }
        }
    }

    pub(super) fn acceptor(&self) -> &TlsAcceptor {
        &self.acceptor
    }

    /// Looks at the files that a configuration names, and changes nothing; `None` if it names none.
    ///
    /// # Errors
    /// [`TlsError`].
    pub fn look(config: &crate::Config, credentials: Option<&Path>) -> Result<Option<Looked>, TlsError> {
        let Some(TlsSettings::Files(files)) = &config.tls else { return Ok(None) };
        let pair = read_pair(files, credentials)?;
        let Some(certificate) = pair.cert.first() else { return Ok(None) };
        let expires_at = validity(certificate).map(|(_, until)| until.as_millisecond());
        let is_for_the_issuer = config.issuer.as_deref().is_none_or(|issuer| is_for(certificate, issuer));
        Ok(Some(Looked { expires_at, is_for_the_issuer }))
    }

    fn key_path(&self, place: &KeyPlace) -> Option<PathBuf> {
        key_path(place, self.credentials.as_deref())
    }

    fn stamps(&self, files: &CertificateFiles) -> Stamps {
        [Some(files.certificate.clone()), self.key_path(&files.key)].map(|path| {
            let file = std::fs::metadata(path?).ok()?;
            // What a chmod or chown changes counts, too: it is what the error asks for.
            Some((file.ino(), file.mtime(), file.mtime_nsec(), file.size(), file.ctime(), file.ctime_nsec()))
        })
    }

    fn read(&self, files: &CertificateFiles) -> Result<CertifiedKey, TlsError> {
        read_pair(files, self.credentials.as_deref())
    }
}

fn key_path(place: &KeyPlace, credentials: Option<&Path>) -> Option<PathBuf> {
    match place {
        KeyPlace::File(path) => Some(path.clone()),
        KeyPlace::Credential(name) => credentials.map(|directory| directory.join(name)),
    }
}

fn read_pair(files: &CertificateFiles, credentials: Option<&Path>) -> Result<CertifiedKey, TlsError> {
    let path = match (&files.key, key_path(&files.key, credentials)) {
        (_, Some(path)) if path.exists() || matches!(files.key, KeyPlace::File(_)) => path,
        (KeyPlace::Credential(name), _) => return Err(TlsError::NoCredential(name.clone())),
        (KeyPlace::File(path), _) => path.clone(),
    };
    let shown = path.display().to_string();
    let file = std::fs::metadata(&path).map_err(|error| TlsError::Unreadable { path: shown.clone(), error })?;
    // A group may share it, as distributions do for services; everybody may not.
    if file.mode() & 0o007 != 0 {
        return Err(TlsError::Open(shown));
    }
    let key = read_file(&path)?;
    let key = PrivateKeyDer::from_pem_slice(&key).map_err(|_| TlsError::NotPem { path: shown, what: "private key" })?;
    pair(&read_file(&files.certificate)?, key, &files.certificate.display().to_string())
}

/// A chain and its key, which must belong together.
pub(super) fn pair(chain: &[u8], key: PrivateKeyDer<'static>, path: &str) -> Result<CertifiedKey, TlsError> {
    let chain: Vec<_> =
        CertificateDer::pem_slice_iter(chain).take(MAX_CHAIN).collect::<Result<_, _>>().unwrap_or_default();
    if chain.is_empty() {
        return Err(TlsError::NotPem { path: path.to_owned(), what: "certificate" });
    }
    CertifiedKey::from_der(chain, key, &provider::default_provider())
        .map_err(|error| TlsError::Pair { path: path.to_owned(), error })
}

/// Says which certificate it is and how long it lasts; and aloud, if clients will not take it.
pub(super) fn tell(pair: &CertifiedKey, path: &str, app: &App) {
    let Some(certificate) = pair.cert.first() else { return };
    if let Some((from, until)) = validity(certificate) {
        let now = Timestamp::from_millisecond(app.engine.now().millis()).unwrap_or_default();
        if until <= now {
            tracing::warn!(path, expires_at = %until, "the certificate has expired: clients refuse it. Renew it; it is taken up by itself");
        } else if now < from {
            tracing::warn!(path, valid_from = %from, "the certificate is not valid yet: clients refuse it. Is the clock right?");
        } else {
            tracing::info!(path, expires_at = %until, "serving with this certificate");
        }
    }
    if !is_for(certificate, app.issuer()) {
        tracing::warn!(path, issuer = app.issuer(), "the certificate is not for the issuer's host: clients refuse it");
    }
}

/// Whether clients of this issuer take it for its host.
fn is_for(certificate: &CertificateDer<'_>, issuer: &str) -> bool {
    let host = issuer.split("://").nth(1).and_then(|rest| rest.split(['/', ':']).next()).unwrap_or_default();
    let parsed = rustls::server::ParsedCertificate::try_from(certificate);
    match (parsed, ServerName::try_from(host)) {
        (Ok(parsed), Ok(name)) => rustls::client::verify_server_name(&parsed, &name).is_ok(),
        _ => true,
    }
}

fn server_config(current: &Arc<Current>, tls: &TlsSettings) -> Result<ServerConfig, TlsError> {
    let mut provider = provider::default_provider();
    provider.cipher_suites.retain(|suite| SUITES.contains(&suite.suite()));
    let mut config = ServerConfig::builder_with_provider(Arc::new(provider))
        // RFC 9325 section 3.1.1: not before 1.2.
        .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])?
        .with_no_client_auth()
        .with_cert_resolver(Arc::clone(current) as Arc<dyn ResolvesServerCert>);
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    if matches!(tls, TlsSettings::Acme(_)) {
        config.alpn_protocols.push(ACME_ALPN.to_vec());
    }
    // Stateless resumption: the keys change every few hours, and a restart forgets them.
    config.ticketer = provider::Ticketer::new()?;
    Ok(config)
}

fn read_file(path: &Path) -> Result<Zeroizing<Vec<u8>>, TlsError> {
    let unreadable = |error| TlsError::Unreadable { path: path.display().to_string(), error };
    if std::fs::metadata(path).map_err(unreadable)?.len() > MAX_FILE {
        return Err(unreadable(std::io::Error::other("it is larger than 1 MiB")));
    }
    std::fs::read(path).map(Zeroizing::new).map_err(unreadable)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 9325 section 4.2: nothing of TLS 1.2 without ephemeral keys and authenticated encryption, and nothing of ours missing.
    #[test]
    fn every_suite_that_is_named_is_there_and_no_other() {
        let known: Vec<_> = provider::default_provider().cipher_suites.iter().map(|suite| suite.suite()).collect();
        assert!(SUITES.iter().all(|suite| known.contains(suite)), "{known:?}");
    }
}
