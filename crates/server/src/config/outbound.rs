//! `[outbound]`: where this server may fetch what clients name by URL: keys, request objects, sector identifiers.

use std::io::Read as _;
use std::path::Path;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;

use super::document::Section;
use super::problem::Problem;
use super::proxies::Network;
use super::{TOP, places};

const MAX_NETWORKS: usize = 64;
const MAX_PORTS: usize = 16;
const MAX_ROOTS: usize = 64;
const MAX_ROOTS_FILE: u64 = 1024 * 1024;

/// Where clients' URLs may lead. Unless set, to the public Internet at port 443.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct OutboundSetting {
    /// Networks that may be reached although they are not public, at any port.
    pub allow: Vec<Network>,
    /// Ports beside 443.
    pub ports: Vec<u16>,
    /// Certificates that are trusted beside the machine's own.
    pub roots: Vec<CertificateDer<'static>>,
}

/// Reads the section.
pub(super) fn read(section: &Section<'_>, base: &Path) -> OutboundSetting {
    let mut setting = OutboundSetting::default();
    let names = section.strings("allow").unwrap_or_default();
    if names.len() > MAX_NETWORKS {
        let what = format!("there are {}, and {MAX_NETWORKS} are the limit", names.len());
        section.problem(Problem::new("allow", what, "Name the networks and not each address."));
    }
    for (index, name) in names.iter().take(MAX_NETWORKS).enumerate() {
        match Network::parse(name) {
            Ok(network) => setting.allow.push(network),
            Err(what) => {
                let remedy = "Name networks of your own that clients live in, like \"10.0.3.0/24\".";
                section.problem(Problem::new("allow", what, remedy).at(index));
            }
        }
    }
    for (index, port) in section.strings("ports").unwrap_or_default().iter().take(MAX_PORTS + 1).enumerate() {
        match port.parse::<u16>().ok().filter(|number| *number > 0 && index < MAX_PORTS) {
            Some(port) => setting.ports.push(port),
            None => {
                let remedy = "Name at most 16 ports beside 443, like [\"8443\"].";
                section.problem(Problem::new("ports", "it is no port, or there are too many", remedy).at(index));
            }
        }
    }
    if let Some(path) = section.string("roots") {
        match roots(&places::under(base, &path)) {
            Ok(roots) => setting.roots = roots,
            Err(what) => {
                section.problem(Problem::new("roots", what, "Name a PEM file with the certificates to trust."));
            }
        }
    }
    section.finish(&TOP);
    setting
}

fn roots(path: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    let shown = path.display();
    let mut pem = Vec::new();
    let file = std::fs::File::open(path).map_err(|error| format!("{shown} cannot be read: {error}"))?;
    file.take(MAX_ROOTS_FILE).read_to_end(&mut pem).map_err(|error| format!("{shown} cannot be read: {error}"))?;
    let found: Vec<_> = CertificateDer::pem_slice_iter(&pem)
        .take(MAX_ROOTS)
        .collect::<Result<_, _>>()
        .map_err(|error| format!("{shown} is no PEM: {error}"))?;
    let mut store = rustls::RootCertStore::empty();
    let are_usable = found.iter().all(|root: &CertificateDer<'static>| store.add(root.clone()).is_ok());
    if found.is_empty() || !are_usable {
        return Err(format!("{shown} holds no certificates that can be trusted as roots"));
    }
    Ok(found)
}
