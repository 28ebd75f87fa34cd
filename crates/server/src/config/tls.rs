//! `[tls]`: where the certificate and its key come from. The files themselves are read at the start and again when they
//! change (`serve/certificates.rs`); which files they are is read here, and may change in a reload.

use std::path::{Path, PathBuf};

use super::document::Section;
use super::places;
use super::problem::Problem;

/// The most names in one certificate that is asked for.
const MAX_DOMAINS: usize = 100;
/// Where certificates are asked for unless set: Let's Encrypt.
pub const DEFAULT_ACME_DIRECTORY: &str = "https://acme-v02.api.letsencrypt.org/directory";

/// How TLS is spoken.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum TlsSettings {
    /// With a certificate of the operator.
    Files(CertificateFiles),
    /// With one that the server asks for itself (RFC 8555).
    Acme(AcmeSettings),
}

/// A certificate of the operator.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CertificateFiles {
    /// The chain in PEM, the server's own certificate first.
    pub certificate: PathBuf,
    /// Its private key in PEM.
    pub key: KeyPlace,
}

/// Where a private key is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum KeyPlace {
    /// In a file.
    File(PathBuf),
    /// In a systemd credential of this name, which nobody else can read.
    Credential(String),
}

/// A certificate that the server asks for itself.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct AcmeSettings {
    /// The names that it is for.
    pub domains: Vec<String>,
    /// Whom the authority may write to.
    pub contact: Vec<String>,
    /// The authority.
    pub directory: String,
    /// The account and the certificates.
    pub cache_dir: PathBuf,
    /// What signs the authority's own TLS certificate, where the system does not know it.
    pub root_file: Option<PathBuf>,
}

/// Reads the section. Nothing if there is too little of it to go on, which has then been reported.
pub(super) fn read(section: &Section<'_>, base: &Path) -> Option<TlsSettings> {
    let certificate = section.string("certificate_file");
    let key = section.string("key_file");
    let acme = read_acme(section, base);
    section.finish(&super::TOP);
    match (certificate, key, acme) {
        (Some(certificate), Some(key), None) => {
            let key = match key.strip_prefix(places::CREDENTIAL) {
                Some(name) if is_plain_name(name) => KeyPlace::Credential(name.to_owned()),
                Some(_) => {
                    section.problem(Problem::new(
                        "key_file",
                        "it names no credential",
                        "Write \"credential:\" and the name that LoadCredential= gives it.",
                    ));
                    return None;
                }
                None => KeyPlace::File(places::under(base, &key)),
            };
            Some(TlsSettings::Files(CertificateFiles { certificate: places::under(base, &certificate), key }))
        }
        (None, None, Some(acme)) => Some(TlsSettings::Acme(acme)),
        (Some(_), None, None) => {
            refuse(section, "certificate_file", "there is no key_file", "Name the file of its private key, too.")
        }
        (None, Some(_), None) => {
            refuse(section, "key_file", "there is no certificate_file", "Name the file of the certificate, too.")
        }
        (None, None, None) => {
            let remedy = "Set certificate_file and key_file, or remove the section.";
            refuse(section, "certificate_file", "[tls] has no certificate", remedy)
        }
        (_, _, Some(_)) => {
            let remedy = "Keep either certificate_file and key_file, or the acme_ settings.";
            refuse(section, "acme_domains", "there are certificate files as well", remedy)
        }
    }
}

fn refuse(section: &Section<'_>, key: &'static str, what: &str, remedy: &str) -> Option<TlsSettings> {
    section.problem(Problem::new(key, what, remedy));
    None
}

/// The `acme_` settings, if any of them is there.
fn read_acme(section: &Section<'_>, base: &Path) -> Option<AcmeSettings> {
    let domains = section.strings("acme_domains");
    let contact = section.strings("acme_contact").unwrap_or_default();
    let directory = section.string("acme_directory");
    let cache_dir = section.string("acme_cache_dir");
    let root_file = section.string("acme_root_file");
    let agreed = section.flag("acme_terms_agreed");
    let domains = domains?;
    let problem = |key, what: &str, remedy: &str| section.problem(Problem::new(key, what, remedy));
    if !cfg!(feature = "acme") {
        let remedy = "Build regrant with `--features acme`, or set certificate_file and key_file.";
        problem("acme_domains", "this program was built without ACME", remedy);
    }
    if domains.is_empty() || domains.len() > MAX_DOMAINS || !domains.iter().all(|name| is_domain(name)) {
        problem("acme_domains", "it is no list of 1 to 100 domain names", "Write [\"auth.example.com\"].");
    }
    if contact.iter().any(|contact| !contact.starts_with("mailto:")) {
        problem("acme_contact", "it is no list of mail addresses", "Write [\"mailto:you@example.com\"].");
    }
    if agreed != Some(true) {
        let remedy = "Read the authority's terms of service, and set acme_terms_agreed = true if you agree.";
        problem("acme_terms_agreed", "nobody has agreed to the authority's terms", remedy);
    }
    let directory = directory.unwrap_or_else(|| DEFAULT_ACME_DIRECTORY.to_owned());
    if !directory.starts_with("https://") {
        problem("acme_directory", "it is no https URL", "Write the URL of the authority's directory.");
    }
    Some(AcmeSettings {
        domains,
        contact,
        directory,
        cache_dir: places::under(base, &cache_dir.unwrap_or_else(|| "acme".to_owned())),
        root_file: root_file.map(|file| places::under(base, &file)),
    })
}

/// A file name without a way out of its directory.
fn is_plain_name(name: &str) -> bool {
    !name.is_empty()
        && name.len() <= 255
        && !name.starts_with('.')
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte))
}

/// Letters, digits and hyphens between dots; no wildcard, for which another kind of proof would be needed.
fn is_domain(name: &str) -> bool {
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    name.len() <= 253 && name.split('.').all(label)
}
