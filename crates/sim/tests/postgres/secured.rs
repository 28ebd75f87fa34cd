//! TLS, SCRAM and the password's file, against a server that lets nobody in without them.

use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, SanType};
use regrant_core::Timestamp;
use regrant_store::{Answer, Cause, OpenError, Postgres, PostgresOptions, Question, Store as _};
use sim::pg::{self, Server};
use sim::process::Scratch;

use crate::contract::server;
use crate::races::{grant, write};

const PASSWORD: &str = "first / p%C3%A4ssword '\"";

/// Signs certificates.
struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pem: String,
}

impl Authority {
    fn new(name: &str) -> Self {
        let mut params = CertificateParams::new(Vec::new()).expect("no names");
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().expect("a key");
        let pem = params.self_signed(&key).expect("a certificate").pem();
        Self { issuer: Issuer::new(params, key), pem }
    }

    /// A certificate for `db.test` and 127.0.0.1, and its key.
    fn certificate(&self) -> (String, String) {
        let mut params = CertificateParams::new(vec!["db.test".to_owned()]).expect("a name");
        params.subject_alt_names.push(SanType::IpAddress(IpAddr::V4(Ipv4Addr::LOCALHOST)));
        let key = KeyPair::generate().expect("a key");
        (params.signed_by(&key, &self.issuer).expect("a certificate").pem(), key.serialize_pem())
    }
}

/// A server that takes SCRAM over TLS and nothing else, and what a node needs to reach it.
struct Guarded {
    server: Server,
    scratch: Scratch,
    database: String,
}

impl Guarded {
    fn start() -> Self {
        let scratch = Scratch::new("secured");
        let authority = Authority::new("the database's authority");
        let mut server = Server::make();
        let (certificate, key) = authority.certificate();
        let certificate = format!("ssl_cert_file={}", server.keep("server.crt", &certificate));
        let key = format!("ssl_key_file={}", server.keep("server.key", &key));
        server.let_in("hostssl all all 127.0.0.1/32 scram-sha-256");
        server.begin(&["ssl=on", &certificate, &key, "password_encryption=scram-sha-256"]);
        let database = server.database().name;
        let guarded = Self { server, scratch, database };
        guarded.change_password(PASSWORD);
        std::fs::write(guarded.file("ca.pem"), &authority.pem).expect("written");
        guarded.write_password(PASSWORD);
        guarded
    }

    fn file(&self, name: &str) -> String {
        self.scratch.path().join(name).display().to_string()
    }

    fn change_password(&self, password: &str) {
        let literal = password.replace('\'', "''");
        self.server.sql("postgres", &format!("ALTER ROLE regrant PASSWORD '{literal}'"));
    }

    fn write_password(&self, password: &str) {
        std::fs::write(self.file("password"), format!("{password}\n")).expect("written");
    }

    /// By this name, which is looked up at 127.0.0.1 whatever it is.
    fn options(&self, name: &str, rest: &str) -> PostgresOptions {
        let port = self.server.port;
        let address =
            format!("postgres://regrant@{name}:{port}/{}?hostaddr=127.0.0.1&sslmode=verify-full{rest}", self.database);
        let mut options = PostgresOptions::parse(&address).expect("an address");
        options.password_file = Some(self.file("password").into());
        options
    }

    fn trusted(&self) -> PostgresOptions {
        self.options("db.test", &format!("&sslrootcert={}", self.file("ca.pem")))
    }

    fn problem(&self, options: &PostgresOptions) -> String {
        match Postgres::open(options) {
            Err(OpenError::Server { problem, .. }) => {
                assert!(!problem.contains(PASSWORD), "{problem}");
                problem
            }
            other => panic!("{options}: {other:?}"),
        }
    }
}

/// One server for all of these: verified by name and by address, SCRAM, and nothing less.
#[test]
fn a_server_is_believed_by_its_name_and_authority_alone() {
    if !pg::is_there() {
        return;
    }
    let guarded = Guarded::start();
    let ca = format!("&sslrootcert={}", guarded.file("ca.pem"));
    for name in ["db.test", "127.0.0.1"] {
        let mut store = Postgres::open(&guarded.options(name, &ca)).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert!(matches!(store.ask(&Question::Deployment), Ok(Answer::Deployment(None))), "{name}");
        let spoken = "SELECT DISTINCT s.version FROM pg_stat_ssl s JOIN pg_stat_activity a USING (pid) \
            WHERE a.application_name = 'regrant'";
        assert_eq!(guarded.server.sql("postgres", spoken), "TLSv1.3", "{name}");
    }
    let kept = guarded.server.sql("postgres", "SELECT rolpassword FROM pg_authid WHERE rolname = 'regrant'");
    assert!(kept.starts_with("SCRAM-SHA-256$"), "{kept}");

    let other_name = guarded.problem(&guarded.options("elsewhere.test", &ca));
    assert!(other_name.contains("not valid for name"), "{other_name}");
    std::fs::write(guarded.file("other.pem"), Authority::new("another authority").pem).expect("written");
    let other_ca = format!("&sslrootcert={}", guarded.file("other.pem"));
    for unknown in [other_ca.as_str(), ""] {
        let problem = guarded.problem(&guarded.options("db.test", unknown));
        assert!(problem.contains("UnknownIssuer"), "{problem}");
    }
    // Without TLS the server lets nobody in; nor is a server without TLS spoken with in the clear instead.
    let plain = format!("postgres://regrant@127.0.0.1:{}/{}?sslmode=disable", guarded.server.port, guarded.database);
    let mut plain = PostgresOptions::parse(&plain).expect("an address");
    plain.password_file.clone_from(&guarded.trusted().password_file);
    assert!(guarded.problem(&plain).contains("no encryption"));
    let untrusting = server().database().options().address + "?sslmode=verify-full";
    let refused = Postgres::open(&PostgresOptions::parse(&untrusting).expect("an address"));
    assert!(matches!(&refused, Err(OpenError::Server { problem, .. }) if problem.contains("TLS")), "{refused:?}");
}

/// A socket has no name for a certificate to be for, and needs none; nor is this machine another one in capitals.
#[test]
fn a_socket_of_this_machine_is_an_address() {
    if !pg::is_there() {
        return;
    }
    let (name, port) = (server().database().name, server().port);
    let folder = server().home.display().to_string().replace('/', "%2F");
    for address in [
        format!("postgres://regrant@{folder}:{port}/{name}"),
        format!("postgres://regrant@/{name}?host={folder}&port={port}"),
        format!("postgres://regrant@LOCALHOST:{port}/{name}?hostaddr=127.0.0.1"),
    ] {
        let options = PostgresOptions::parse(&address).expect("an address");
        assert!(!options.is_encrypted(), "{address}");
        let mut store = Postgres::open(&options).unwrap_or_else(|error| panic!("{address}: {error}"));
        assert!(matches!(store.ask(&Question::Deployment), Ok(Answer::Deployment(None))), "{address}");
    }
}

/// What is wrong with a password is said, and not which one it is.
#[test]
fn a_password_that_is_wrong_or_missing_opens_nothing() {
    if !pg::is_there() {
        return;
    }
    let guarded = Guarded::start();
    guarded.write_password("another one");
    assert!(guarded.problem(&guarded.trusted()).contains("28P01"));
    std::fs::remove_file(guarded.file("password")).expect("removed");
    let missing = guarded.problem(&guarded.trusted());
    assert!(missing.contains(&guarded.file("password")), "{missing}");
    let mut none = guarded.trusted();
    none.password_file = None;
    assert!(guarded.problem(&none).contains("password"));
    assert!(!Path::new(&guarded.file("password")).exists());
}

/// A password that is changed while nodes run: they hear 503 until it is in the file, and need no restart.
#[test]
fn a_password_that_is_changed_is_read_anew() {
    if !pg::is_there() {
        return;
    }
    let guarded = Guarded::start();
    let mut store = Postgres::open(&guarded.trusted()).expect("opens");
    store.commit(&[write(None, &grant(1))], Timestamp::from_millis(1)).expect("written");
    guarded.change_password("second");
    // Whoever is connected stays; a new connection is turned away, and nothing is in doubt for good.
    store.load(&[grant(1).id]).expect("still connected");
    guarded.server.hang_up(&guarded.database);
    let refused = store.load(&[grant(1).id]).expect_err("the file holds the password of before");
    assert_eq!(refused.cause, Cause::Unreachable, "{refused}");
    assert_eq!(store.failure(), None);
    guarded.write_password("second");
    assert!(store.load(&[grant(1).id]).expect("read anew").remove(0).is_some());
}
