//! Certificates that the server asks for itself (RFC 8555), with proof by TLS-ALPN-01 (RFC 8737): on the port that clients use
//! anyway, so that no second listener and no privileged port 80 is needed.
//!
//! | the certificate in the cache      | what is done                                        |
//! |-----------------------------------|-----------------------------------------------------|
//! | none, or for other names          | asked for at once; until it is there, no TLS        |
//! | more than a third of its life left | used, and asked for again then                     |
//! | less                              | used, and asked for at once                         |
//!
//! After a failure it is tried again in a minute, and twice as long after each further one, up to six hours: authorities
//! count failures.

use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::Path;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use instant_acme::{
    Account, AuthorizationStatus, ChallengeType, Identifier, NewAccount, NewOrder, Order, OrderStatus, RetryPolicy,
};
use jiff::Timestamp;
use rcgen::{CertificateParams, CustomExtension, DistinguishedName, KeyPair};
use rustls::pki_types::PrivateKeyDer;
use rustls::pki_types::pem::PemObject as _;
use rustls::sign::CertifiedKey;
use zeroize::Zeroizing;

use super::certificates::{Current, pair, tell};
use super::validity::validity;
use crate::app::App;
use crate::config::tls::AcmeSettings;

const ACCOUNT: &str = "account.json";
const CERTIFICATE: &str = "certificate.pem";
const KEY: &str = "key.pem";
const FIRST_PAUSE: Duration = Duration::from_secs(60);
const LONGEST_PAUSE: Duration = Duration::from_secs(6 * 3600);
/// The least time between a certificate and the next.
const REST: Duration = Duration::from_secs(3600);

/// Why there is no new certificate.
#[derive(Debug, thiserror::Error)]
enum Trouble {
    #[error("the authority: {0}")]
    Authority(#[from] instant_acme::Error),
    #[error("the cache directory: {0}")]
    Cache(#[from] io::Error),
    #[error("making a request or a proof: {0}")]
    Making(#[from] rcgen::Error),
    #[error("the account in the cache cannot be read: {0}")]
    Account(#[from] serde_json::Error),
    #[error("the authority offers no proof by TLS-ALPN-01 for {0}")]
    NoProof(String),
    #[error("the authority ended the order as {0:?}: does port 443 of every name lead here?")]
    Refused(OrderStatus),
    #[error("the key of a proof: {0}")]
    Proof(#[from] rustls::Error),
    #[error("what the authority gave cannot be used: {0}")]
    Unusable(#[from] super::TlsError),
}

/// Takes up what the cache holds.
pub(super) fn restore(current: &Current, acme: &AcmeSettings, app: &App) {
    match read(&acme.cache_dir) {
        Ok(found) => {
            tell(&found, &acme.cache_dir.display().to_string(), app);
            current.put(Arc::new(found));
        }
        Err(error) => tracing::info!(%error, "no certificate is in the cache; one will be asked for"),
    }
}

/// Asks for certificates for as long as the server runs.
pub(super) async fn keep_fresh(current: Arc<Current>, acme: AcmeSettings, app: Arc<App>) {
    let mut pause = FIRST_PAUSE;
    let mut wait = read(&acme.cache_dir).map_or(Duration::ZERO, |found| due_in(&found, &acme, &app));
    loop {
        tokio::time::sleep(wait).await;
        let obtained = Box::pin(obtain(&current, &acme)).await;
        current.proofs.write().unwrap_or_else(PoisonError::into_inner).clear();
        wait = match obtained {
            Ok(new) => {
                tell(&new, &acme.cache_dir.display().to_string(), &app);
                let next = due_in(&new, &acme, &app).max(REST);
                current.put(Arc::new(new));
                pause = FIRST_PAUSE;
                next
            }
            Err(error) => {
                tracing::error!(%error, again_in_seconds = pause.as_secs(), "no certificate was given; what there is goes on");
                let wait = pause;
                pause = LONGEST_PAUSE.min(pause * 2);
                wait
            }
        };
    }
}

/// How long until a new one should be asked for: when a third of its life is left.
fn due_in(pair: &CertifiedKey, acme: &AcmeSettings, app: &App) -> Duration {
    let Some((from, until)) = pair.cert.first().and_then(|certificate| validity(certificate)) else {
        return Duration::ZERO;
    };
    let parsed = pair.cert.first().map(rustls::server::ParsedCertificate::try_from);
    let fits = |name: &String| {
        let name = rustls::pki_types::ServerName::try_from(name.as_str());
        matches!((&parsed, name), (Some(Ok(parsed)), Ok(name)) if rustls::client::verify_server_name(parsed, &name).is_ok())
    };
    if !acme.domains.iter().all(fits) {
        return Duration::ZERO;
    }
    let now = Timestamp::from_millisecond(app.engine.now().millis()).unwrap_or_default();
    let seconds = until.as_second() - (until.as_second() - from.as_second()) / 3 - now.as_second();
    // Timers have an end, too.
    Duration::from_secs(u64::try_from(seconds).unwrap_or(0).min(30 * 86_400))
}

/// One certificate: account, order, proofs, request, answer. Written to the cache before it is used.
async fn obtain(current: &Current, acme: &AcmeSettings) -> Result<CertifiedKey, Trouble> {
    let account = account(acme).await?;
    let names: Vec<_> = acme.domains.iter().map(|name| Identifier::Dns(name.clone())).collect();
    let mut order = account.new_order(&NewOrder::new(&names)).await?;
    prove(current, &mut order).await?;
    let status = order.poll_ready(&RetryPolicy::default()).await?;
    if status != OrderStatus::Ready {
        return Err(Trouble::Refused(status));
    }
    let key = KeyPair::generate()?;
    let mut params = CertificateParams::new(acme.domains.clone())?;
    params.distinguished_name = DistinguishedName::new();
    order.finalize_csr(params.serialize_request(&key)?.der()).await?;
    let chain = order.poll_certificate(&RetryPolicy::default()).await?;
    let key = Zeroizing::new(key.serialize_pem());
    let new = certified(chain.as_bytes(), key.as_bytes(), &acme.directory)?;
    // The key first: a crash between the two leaves a pair that does not fit, and is asked for again.
    write(&acme.cache_dir.join(KEY), key.as_bytes())?;
    write(&acme.cache_dir.join(CERTIFICATE), chain.as_bytes())?;
    Ok(new)
}

/// The account of the cache, or a new one.
async fn account(acme: &AcmeSettings) -> Result<Account, Trouble> {
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(&acme.cache_dir)?;
    let builder = match &acme.root_file {
        Some(file) => Account::builder_with_root(file)?,
        None => Account::builder()?,
    };
    let path = acme.cache_dir.join(ACCOUNT);
    if path.exists() {
        let text = Zeroizing::new(std::fs::read(&path)?);
        return Ok(builder.from_credentials(serde_json::from_slice(&text)?).await?);
    }
    let contact: Vec<&str> = acme.contact.iter().map(String::as_str).collect();
    // The configuration cannot be read without acme_terms_agreed.
    let new = NewAccount { contact: &contact, terms_of_service_agreed: true, only_return_existing: false };
    let (account, credentials) = builder.create(&new, acme.directory.clone(), None).await?;
    write(&path, &Zeroizing::new(serde_json::to_vec(&credentials)?))?;
    Ok(account)
}

/// RFC 8737 section 3: "a self-signed certificate … containing the domain name being validated … and a critical acmeIdentifier
/// extension", which is shown to whoever asks by the protocol "acme-tls/1".
async fn prove(current: &Current, order: &mut Order) -> Result<(), Trouble> {
    let mut authorizations = order.authorizations();
    while let Some(authorization) = authorizations.next().await {
        let mut authorization = authorization?;
        if authorization.status == AuthorizationStatus::Valid {
            continue;
        }
        let name = authorization.identifier().to_string();
        let Some(mut challenge) = authorization.challenge(ChallengeType::TlsAlpn01) else {
            return Err(Trouble::NoProof(name));
        };
        let mut params = CertificateParams::new(vec![name.clone()])?;
        let digest = challenge.key_authorization().digest();
        params.custom_extensions = vec![CustomExtension::new_acme_identifier(digest.as_ref())];
        let key = KeyPair::generate()?;
        let shown = params.self_signed(&key)?;
        // Put together without the usual look at it: what checks certificates refuses the critical extension that it must have.
        let signer = rustls::crypto::aws_lc_rs::sign::any_supported_type(&PrivateKeyDer::from(key))?;
        let proof = CertifiedKey::new(vec![shown.der().clone()], signer);
        current.proofs.write().unwrap_or_else(PoisonError::into_inner).insert(name, Arc::new(proof));
        challenge.set_ready().await?;
    }
    Ok(())
}

fn read(cache: &Path) -> Result<CertifiedKey, Trouble> {
    let key = Zeroizing::new(std::fs::read(cache.join(KEY))?);
    let path = cache.join(CERTIFICATE);
    Ok(certified(&std::fs::read(&path)?, &key, &path.display().to_string())?)
}

fn certified(chain: &[u8], key: &[u8], path: &str) -> Result<CertifiedKey, super::TlsError> {
    let not_pem = || super::TlsError::NotPem { path: path.to_owned(), what: "private key" };
    pair(chain, PrivateKeyDer::from_pem_slice(key).map_err(|_| not_pem())?, path)
}

/// Writes a file that its owner alone can read, whole or not at all.
fn write(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let new = path.with_extension("new");
    let _ = std::fs::remove_file(&new);
    let mut file = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&new)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    std::fs::rename(&new, path)
}
