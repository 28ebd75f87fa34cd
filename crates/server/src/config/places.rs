//! Names of places: the issuer (RFC 8414 section 2), origins (RFC 6454), paths, the store.

use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};

use regrant_store::PostgresOptions;

use super::problem::Problem;
use super::{Config, StoreLocation};

/// The longest path of a Unix socket, in bytes (`sun_path` of unix(7), with its end).
const MAX_SOCKET_PATH: usize = 107;
/// The longest issuer, in bytes.
const MAX_ISSUER: usize = 512;
/// Where the server itself answers; nothing else may be mounted there.
const BUILT_IN: [&str; 9] =
    ["/admin", "/oauth2", "/login", "/consent", "/logout", "/.well-known", "/healthz", "/readyz", "/assets"];

/// Why an issuer cannot be one. RFC 8414 section 2: "a URL that uses the "https" scheme and has no query or fragment
/// components"; plain http is taken for the loopback interface only.
pub(super) fn check_issuer(issuer: &str) -> Result<(), Problem> {
    let refuse = |what: &str, remedy: &str| Err(Problem::new("issuer", what, remedy));
    if issuer.len() > MAX_ISSUER {
        return refuse("it is longer than 512 characters", "Use a shorter host or path.");
    }
    let Some((scheme, rest)) = issuer.split_once("://") else {
        return refuse("it is no absolute URL", "Write it like \"https://auth.example.com\".");
    };
    if issuer.contains('#') || issuer.contains('?') {
        return refuse("it has a query or fragment (RFC 8414 section 2)", "Leave out everything from ? or # on.");
    }
    if rest.contains('@') {
        return refuse("it has user information before the host", "Leave out everything up to the @.");
    }
    let (authority, path) = rest.find('/').map_or((rest, ""), |slash| rest.split_at(slash));
    if let Err(what) = check_authority(scheme, authority) {
        return refuse(
            &what,
            "Write it like \"https://auth.example.com\", in lower case, with a port only if it is not the usual one.",
        );
    }
    if path.ends_with('/') {
        return refuse("it ends with a slash", "Leave the slash out: clients compare the issuer byte by byte.");
    }
    if !is_plain_path(path) {
        return refuse(
            "its path is not made of plain, non-empty segments",
            "Use letters, digits and - . _ ~ between slashes.",
        );
    }
    match scheme {
        "https" => Ok(()),
        "http" if is_loopback_authority(authority) => Ok(()),
        "http" => refuse(
            "plain http is for loopback addresses only",
            "Use https; a proxy in front of Regrant can hold the certificate.",
        ),
        _ => refuse("its scheme is not https", "Write it like \"https://auth.example.com\"."),
    }
}

/// Why a text is no exact origin.
pub(super) fn check_origin(origin: &str) -> Result<(), String> {
    if origin == "*" || origin == "null" {
        return Err(format!("\"{origin}\" would let any page call as this client"));
    }
    let Some((scheme, authority)) = origin.split_once("://") else {
        return Err("it is no origin".to_owned());
    };
    if authority.contains(['/', '?', '#', '@']) {
        return Err("an origin has no path, query, fragment or user".to_owned());
    }
    check_authority(scheme, authority)?;
    match scheme {
        "https" => Ok(()),
        "http" if is_loopback_authority(authority) => Ok(()),
        "http" => Err("plain http is for loopback addresses only".to_owned()),
        _ => Err("its scheme is not https".to_owned()),
    }
}

/// Why a path cannot be another name of the token endpoint.
pub(super) fn check_alias(path: &str) -> Result<(), String> {
    if path.len() > 256 {
        return Err("it is longer than 256 characters".to_owned());
    }
    if path.len() < 2 || !is_plain_path(path) {
        return Err("it is no absolute path of plain segments".to_owned());
    }
    let below = |base: &str| path == base || path.strip_prefix(base).is_some_and(|rest| rest.starts_with('/'));
    match BUILT_IN.into_iter().find(|base| below(base)) {
        Some(base) => Err(format!("Regrant itself answers at {base}")),
        None => Ok(()),
    }
}

impl Config {
    /// Where the revocation journal is; `None` for a store that is not kept.
    #[must_use]
    pub fn revocations_file(&self) -> Option<PathBuf> {
        match (&self.revocations_file, &self.store) {
            (_, StoreLocation::Memory) => None,
            (Some(path), StoreLocation::Sqlite(_) | StoreLocation::Postgres(_)) => Some(path.clone()),
            // Nodes come and go: a journal of one of them is kept where somebody says so.
            (None, StoreLocation::Postgres(_)) => None,
            (None, StoreLocation::Sqlite(store)) => Some(crate::revocations::beside(store)),
        }
    }

    /// Where the commands reach the running server; `None` if they cannot.
    #[must_use]
    pub fn admin_socket(&self) -> Option<PathBuf> {
        match (&self.admin_socket, &self.store) {
            (Some(path), _) => (!path.as_os_str().is_empty()).then(|| path.clone()),
            (None, StoreLocation::Sqlite(store)) => {
                let mut path = store.clone().into_os_string();
                path.push(".sock");
                Some(path.into())
            }
            (None, StoreLocation::Postgres(_) | StoreLocation::Memory) => None,
        }
    }
}

/// Reads `sqlite:PATH`, relative to `base`, or the address of a PostgreSQL.
pub(super) fn store(text: &str, base: &Path) -> Result<StoreLocation, Problem> {
    match text.split_once(':') {
        Some(("sqlite", path)) if !path.is_empty() && !path.contains(['\0', '?']) => {
            Ok(StoreLocation::Sqlite(under(base, path)))
        }
        Some((scheme @ ("postgres" | "postgresql"), _)) if !text.starts_with(&format!("{scheme}://")) => {
            Err(no_address("it is no address", text))
        }
        Some(("postgres" | "postgresql", _)) => PostgresOptions::parse(text).map(StoreLocation::Postgres).map_err(|what| {
            let remedy = "Write it like \"postgres://regrant@db1.example,db2.example/regrant\", and name the password's file in `store_password_file`.";
            Problem::new("store", what, remedy)
        }),
        Some((scheme, _)) if ["postgres", "postgresql"].iter().any(|known| scheme.eq_ignore_ascii_case(known)) => {
            Err(no_address("its first word is not in small letters", text))
        }
        _ if text.split_whitespace().any(|word| ["host=", "dbname=", "user="].iter().any(|key| word.starts_with(key))) => {
            Err(no_address("it is a list of parameters", text))
        }
        _ => Err(Problem::new(
            "store",
            "it is neither \"sqlite:PATH\" nor \"postgres://USER@HOST/DATABASE\"",
            "Write \"sqlite:regrant.db\".",
        )),
    }
}

/// Something that means a PostgreSQL, and is written otherwise. A password that may be in it is not shown.
fn no_address(what: &str, text: &str) -> Problem {
    let words = || text.split([' ', ':']).filter_map(|word| word.split_once('='));
    let of = |key: &str, unless: &'static str| {
        words().find(|(known, _)| *known == key).map_or_else(|| unless.to_owned(), |(_, value)| value.to_owned())
    };
    let address = match text.split_once("://") {
        Some((scheme, rest)) if !rest.contains('@') || !rest.split('@').next().is_some_and(|who| who.contains(':')) => {
            format!("{}://{rest}", scheme.to_ascii_lowercase())
        }
        _ => {
            let port = words().find(|(key, _)| *key == "port").map(|(_, port)| format!(":{port}")).unwrap_or_default();
            format!(
                "postgres://{}@{}{port}/{}",
                of("user", "regrant"),
                of("host", "localhost"),
                of("dbname", "regrant")
            )
        }
    };
    Problem::new("store", what, format!("Write {address:?}; a password has its own file, `store_password_file`."))
}

/// What a path begins with that names a systemd credential (`LoadCredential=`, `LoadCredentialEncrypted=`).
pub(super) const CREDENTIAL: &str = "credential:";

/// The name of a credential that the service manager did not hand to us: what [`under`] leaves of it.
#[must_use]
pub fn missing_credential(path: &Path) -> Option<&str> {
    path.to_str()?.strip_prefix(CREDENTIAL)
}

/// A path of the file, relative to the file's own directory; or `credential:NAME`, a file that the service manager put where
/// `CREDENTIALS_DIRECTORY` says. Where there is no such directory the path keeps its name, and cannot be read under it.
pub(super) fn under(base: &Path, path: &str) -> PathBuf {
    let Some(name) = path.strip_prefix(CREDENTIAL) else { return base.join(path) };
    let is_plain = !name.is_empty() && !name.contains('/') && name != "..";
    match std::env::var_os("CREDENTIALS_DIRECTORY").filter(|_| is_plain) {
        Some(directory) => PathBuf::from(directory).join(name),
        None => PathBuf::from(path),
    }
}

/// Reads the path of a Unix socket.
pub(super) fn socket(base: &Path, path: &str) -> Result<PathBuf, Problem> {
    let refuse = |what: String| {
        let remedy =
            "Write a short path in a directory of the server's own, like \"/run/regrant/admin.sock\", or \"off\".";
        Err(Problem::new("admin_socket", what, remedy))
    };
    let found = under(base, path);
    if path.is_empty() || path.contains('\0') {
        return refuse("it is no path".to_owned());
    }
    if found.as_os_str().len() > MAX_SOCKET_PATH {
        return refuse(format!("it has more than {MAX_SOCKET_PATH} bytes, which no Unix socket may have"));
    }
    Ok(found)
}

/// Reads an address and port.
pub(super) fn listen(text: &str) -> Result<SocketAddr, Problem> {
    text.parse().map_err(|_| {
        let what = "it is no IP address with a port";
        Problem::new("listen", what, "Write \"127.0.0.1:8420\" or \"[::1]:8420\"; port 0 takes a free one.")
    })
}

/// Whether two listeners of one server want the same address. Port 0 takes any that is free.
pub(super) fn is_taken(listen: SocketAddr, others: &[SocketAddr]) -> bool {
    listen.port() != 0 && others.contains(&listen)
}

/// What is said of it.
pub(super) fn taken(listen: SocketAddr) -> Problem {
    let what = format!("another listener of this server is at {listen} already");
    Problem::new("listen", what, "Give each a port of its own.")
}

/// Whether an address reaches this machine only.
pub(super) fn is_loopback(address: IpAddr) -> bool {
    address.to_canonical().is_loopback()
}

/// Host and port, in the one spelling in which browsers and clients compare them.
fn check_authority(scheme: &str, authority: &str) -> Result<(), String> {
    let (host, port) = match authority.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => (host, Some(port)),
        _ => (authority, None),
    };
    if let Some(port) = port {
        let number: Option<u16> = port.parse().ok().filter(|number| *number != 0 && !port.starts_with(['0', '+']));
        match number {
            None => return Err("its port is no port".to_owned()),
            Some(443) if scheme == "https" => return Err("443 is the port of https anyway".to_owned()),
            Some(80) if scheme == "http" => return Err("80 is the port of http anyway".to_owned()),
            Some(_) => {}
        }
    }
    if let Some(v6) = host.strip_prefix('[') {
        let address = v6.strip_suffix(']').and_then(|inner| inner.parse::<std::net::Ipv6Addr>().ok());
        let canonical = address.is_some_and(|address| format!("[{address}]") == host);
        return if canonical { Ok(()) } else { Err("its host is no IPv6 address in its usual spelling".to_owned()) };
    }
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    if host.is_empty() {
        return Err("it has no host".to_owned());
    }
    if host.bytes().any(|byte| byte.is_ascii_uppercase()) {
        return Err("its host has upper-case letters".to_owned());
    }
    if host.len() > 253 || !host.split('.').all(label) {
        return Err("its host is no host name".to_owned());
    }
    Ok(())
}

/// Whether `authority`, already checked, names this machine.
fn is_loopback_authority(authority: &str) -> bool {
    let host = match authority.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => host,
        _ => authority,
    };
    host == "localhost" || host.trim_matches(['[', ']']).parse::<IpAddr>().is_ok_and(is_loopback)
}

/// Empty, or `/segment` again and again, of unreserved characters, none of them `.` or `..`.
fn is_plain_path(path: &str) -> bool {
    let unreserved = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    path.is_empty()
        || path.strip_prefix('/').is_some_and(|rest| {
            rest.split('/')
                .all(|segment| !segment.is_empty() && segment.bytes().all(unreserved) && !matches!(segment, "." | ".."))
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_can_be_an_issuer() {
        for good in [
            "https://auth.example.com",
            "https://auth.example.com:8443/tenant/a",
            "http://127.0.0.1:8420",
            "http://[::1]:8420",
            "http://localhost:8420/x",
        ] {
            assert_eq!(check_issuer(good), Ok(()), "{good}");
        }
        for bad in [
            "",
            "auth.example.com",
            "https://",
            "https:///x",
            "https://auth.example.com/",
            "https://auth.example.com/a/",
            "https://auth.example.com/a//b",
            "https://auth.example.com/../b",
            "https://auth.example.com/a b",
            "https://auth.example.com?x",
            "https://auth.example.com#x",
            "https://u@auth.example.com",
            "https://auth.example.com:443",
            "https://auth.example.com:0",
            "https://auth.example.com:+1",
            "https://Auth.example.com",
            "https://auth_example.com",
            "https://-a.example",
            "https://[::01]",
            "http://auth.example.com",
            "http://localhost.example.com",
            "ftp://127.0.0.1",
        ] {
            assert!(check_issuer(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn what_can_be_an_origin() {
        for good in ["https://app.example", "http://localhost:3000", "http://127.0.0.1:5173"] {
            assert_eq!(check_origin(good), Ok(()), "{good}");
        }
        for bad in
            ["*", "null", "https://app.example/", "https://*.example", "http://app.example", "app.example", "file://x"]
        {
            assert!(check_origin(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn what_can_be_an_alias() {
        for good in ["/oauth/v2/accessToken", "/token", "/oauth2x/token", "/loginx"] {
            assert_eq!(check_alias(good), Ok(()), "{good}");
        }
        for bad in
            ["", "/", "token", "/a/", "//a", "/a b", "/{x}", "/a?b", "/oauth2/x", "/oauth2", "/.well-known/a", "/login"]
        {
            assert!(check_alias(bad).is_err(), "{bad}");
        }
    }
}
