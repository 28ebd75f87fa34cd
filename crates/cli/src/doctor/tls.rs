//! The certificate and its key: readable, a pair, for this host, and for how long.

use std::path::Path;

use regrant_server::config::tls::TlsSettings;
use regrant_server::serve::{Certificates, Looked};
use regrant_server::{Clock, Config};

use super::Finding;

const CHECK: &str = "certificate";
/// Whoever renews at a third of what is left has done so by then.
const SOON: i64 = 14 * 86_400_000;

/// Nothing where there is no TLS, or the server asks for its certificates itself.
pub(super) fn certificate(config: &Config) -> Vec<Finding> {
    let Some(TlsSettings::Files(files)) = &config.tls else { return Vec::new() };
    let shown = files.certificate.display();
    let credentials = std::env::var_os("CREDENTIALS_DIRECTORY");
    let looked = match Certificates::look(config, credentials.as_ref().map(Path::new)) {
        Ok(looked) => looked,
        Err(error) => {
            let text = error.to_string();
            let (says, remedy) = text.split_once("\n  remedy: ").unwrap_or((&text, "Put the right files there."));
            return vec![Finding::problem(CHECK, says, remedy)];
        }
    };
    let Some(Looked { expires_at, is_for_the_issuer }) = looked else { return Vec::new() };
    let left = expires_at.map(|at| at - Clock::system().now().millis());
    let until = expires_at.map_or_else(String::new, |at| {
        jiff::Timestamp::from_millisecond(at).map_or_else(|_| String::new(), |at| format!(" until {at}"))
    });
    let renew = "Renew it: the files are looked at once a minute and taken up by themselves.";
    let mut findings = vec![match left {
        Some(..=0) => Finding::problem(CHECK, format!("{shown} has expired: it was good{until}"), renew),
        Some(left) if left < SOON => Finding::note(CHECK, format!("{shown} is good{until}, and no longer"), renew),
        _ => Finding::fine(CHECK, format!("{shown} fits its key, and is good{until}")),
    }];
    if !is_for_the_issuer {
        let says = format!("{shown} is not for the host of the issuer: clients refuse it");
        findings.push(Finding::problem(CHECK, says, "Get one for that name."));
    }
    findings
}
