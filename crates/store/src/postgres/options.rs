//! Where a server is, and how it is spoken with.

use std::fmt;
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use tokio_postgres::Config;
use tokio_postgres::config::{Host, SslMode, TargetSessionAttrs};

use super::line::REACH;

/// An address of the form `postgres://user@host,host/database?…`, and what goes with it.
///
/// | parameter                     | what                                                                                   |
/// |-------------------------------|----------------------------------------------------------------------------------------|
/// | `sslmode=verify-full`         | TLS, verified; so unless every host is a socket or this machine                         |
/// | `sslmode=disable`             | no TLS                                                                                 |
/// | `sslrootcert=FILE`            | the authorities that are trusted; the system's unless set                               |
/// | `prepared_statements=false`   | for poolers that hand out another connection with each transaction and forget statements |
///
/// It holds no password: that is in a file.
#[derive(Clone, PartialEq, Eq)]
pub struct PostgresOptions {
    /// The address, as it was written.
    pub address: String,
    /// The file that holds the password.
    pub password_file: Option<PathBuf>,
    plain: String,
    tls: bool,
    pub(super) authorities: Option<PathBuf>,
    pub(super) prepares: bool,
}

impl fmt::Debug for PostgresOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PostgresOptions").field("address", &self.address).finish_non_exhaustive()
    }
}

impl fmt::Display for PostgresOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.address)
    }
}

impl PostgresOptions {
    /// Reads an address.
    ///
    /// # Errors
    /// What is wrong with it, in one line.
    pub fn parse(address: &str) -> Result<Self, String> {
        let (base, query) = address.split_once('?').unwrap_or((address, ""));
        let (mut mode, mut authorities, mut prepares, mut others) = (None, None, true, Vec::new());
        for parameter in query.split('&').filter(|parameter| !parameter.is_empty()) {
            match parameter.split_once('=') {
                Some(("sslmode", "verify-full")) => mode = Some(true),
                Some(("sslmode", "disable")) => mode = Some(false),
                Some(("sslmode", other)) => {
                    return Err(format!("sslmode is \"{other}\": TLS is verified (verify-full) or not used (disable)"));
                }
                Some(("sslrootcert", file)) if !file.is_empty() => authorities = Some(PathBuf::from(file)),
                Some(("prepared_statements", "true")) => prepares = true,
                Some(("prepared_statements", "false")) => prepares = false,
                Some(("prepared_statements", _)) => {
                    return Err("prepared_statements is neither true nor false".to_owned());
                }
                _ => others.push(parameter),
            }
        }
        let plain = if others.is_empty() { base.to_owned() } else { format!("{base}?{}", others.join("&")) };
        let config: Config = plain.parse().map_err(|error| format!("it cannot be read: {}", deepest(&error)))?;
        if config.get_password().is_some() {
            return Err("it holds a password, which would be shown wherever it is; write it into a file and name that in `store_password_file`".to_owned());
        }
        if config.get_hosts().is_empty() {
            return Err("it names no host".to_owned());
        }
        if config.get_user().is_none() {
            return Err("it names no user".to_owned());
        }
        if config.get_dbname().is_none() {
            return Err("it names no database".to_owned());
        }
        let tls = mode.unwrap_or_else(|| !config.get_hosts().iter().all(is_here));
        let address = address.to_owned();
        Ok(Self { address, password_file: None, plain, tls, authorities, prepares })
    }

    /// Whether TLS is spoken.
    #[must_use]
    pub const fn is_encrypted(&self) -> bool {
        self.tls
    }

    pub(super) fn config(&self) -> Result<Config, String> {
        let mut config: Config = self.plain.parse().map_err(|error| deepest(&error))?;
        if let Some(path) = &self.password_file {
            let text = std::fs::read_to_string(path)
                .map_err(|error| format!("the password file {} cannot be read: {error}", path.display()))?;
            config.password(text.trim_end_matches(['\n', '\r']));
        }
        config
            .application_name("regrant")
            .connect_timeout(REACH)
            .keepalives_idle(Duration::from_secs(10))
            .keepalives_interval(Duration::from_secs(5))
            .keepalives_retries(3)
            .tcp_user_timeout(Duration::from_secs(15))
            .ssl_mode(if self.tls { SslMode::Require } else { SslMode::Disable })
            // Of several hosts the one that is no standby.
            .target_session_attrs(TargetSessionAttrs::ReadWrite);
        Ok(config)
    }
}

fn is_here(host: &Host) -> bool {
    match host {
        Host::Tcp(name) => {
            name.eq_ignore_ascii_case("localhost") || name.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
        }
        Host::Unix(_) => true,
    }
}

fn deepest(error: &dyn std::error::Error) -> String {
    let mut deepest = error;
    while let Some(source) = deepest.source() {
        deepest = source;
    }
    deepest.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_can_be_an_address() {
        for (good, tls) in [
            ("postgres://regrant@db.example/regrant", true),
            ("postgresql://regrant@a.example:5432,b.example:5433/regrant?sslrootcert=/etc/ca.pem", true),
            ("postgres://regrant@127.0.0.1:5433/regrant", false),
            ("postgres://regrant@127.0.0.1/regrant?sslmode=verify-full", true),
            ("postgres://regrant@db.example/regrant?sslmode=disable&prepared_statements=false", false),
            ("postgres://regrant@%2Frun%2Fpostgresql/regrant", false),
        ] {
            let read = PostgresOptions::parse(good);
            assert_eq!(read.as_ref().map(PostgresOptions::is_encrypted), Ok(tls), "{good}");
            assert!(read.is_ok_and(|read| read.config().is_ok()));
        }
        for bad in [
            "postgres://",
            "postgres://db.example/regrant",
            "postgres://regrant@db.example",
            "postgres://regrant:secret@db.example/regrant",
            "postgres://regrant@db.example/regrant?sslmode=require",
            "postgres://regrant@db.example/regrant?prepared_statements=maybe",
            "postgres://regrant@db.example/regrant?colour=blue",
        ] {
            let refused = PostgresOptions::parse(bad);
            assert!(refused.as_ref().is_err_and(|problem| !problem.contains("secret")), "{bad}: {refused:?}");
        }
    }
}
