//! TLS as RFC 9325 wants it, and certificates that change while the server runs.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use regrant_server::serve::{Certificates, Options};
use regrant_server::{App, Clock};
use rustls::ProtocolVersion;
use rustls::version::{TLS12, TLS13};
use sim::process::{Home, Refused, Scratch, Server};
use sim::wire::{CONFIG, ROOT, config};
use tokio::io::AsyncWriteExt as _;

use crate::edge::support::{
    HEALTH, client, connect, handshake, mode, one, rest, shown, status, tls_top, write_pair, write_pair_until,
};

/// A server in this process that looks at its certificate all the time.
pub(crate) struct Running {
    base: String,
    app: Arc<App>,
    certificates: Option<Arc<Certificates>>,
    serving: tokio::task::JoinHandle<std::io::Result<()>>,
}

impl Running {
    pub(crate) fn base(&self) -> &str {
        &self.base
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

/// Serves this configuration.
pub(crate) async fn plain_server(text: &str) -> Running {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let base = format!("http://{}", listener.local_addr().expect("bound"));
    let (store, root) = (Box::new(regrant_store::Memory::new()), regrant_core::keys::RootKey::new(ROOT));
    let app = App::open_with(config(text), store, root, Clock::system()).expect("opens");
    let certificates = Certificates::for_app(&app, None).unwrap_or_else(|error| panic!("{error}"));
    let options = Options {
        certificates: certificates.clone(),
        certificate_check: Duration::from_millis(20),
        ..Options::new(vec![listener])
    };
    let serving = tokio::spawn(regrant_server::serve_with(Arc::clone(&app), options, std::future::pending()));
    Running { base, app, certificates, serving }
}

struct Files {
    certificate: PathBuf,
    key: PathBuf,
    scratch: Scratch,
}

fn files(name: &str) -> Files {
    let scratch = Scratch::new(name);
    let [certificate, key] = ["c.pem", "k.pem"].map(|name| scratch.path().join(name));
    Files { certificate, key, scratch }
}

impl Files {
    fn config(&self) -> String {
        format!("{}{CONFIG}", tls_top(&self.certificate, &self.key))
    }
}

/// RFC 9325 sections 3.1.1 and 4.2: TLS 1.3 and 1.2, with ephemeral keys and authenticated encryption; HTTP/2 for who offers it.
#[tokio::test]
async fn tls_is_1_3_or_the_safe_part_of_1_2() {
    let files = files("versions");
    let shown = write_pair(&files.certificate, &files.key);
    let server = plain_server(&files.config()).await;
    let (h2, h1): (&[u8], &[u8]) = (b"h2", b"http/1.1");
    for (version, expected) in [(&TLS13, ProtocolVersion::TLSv1_3), (&TLS12, ProtocolVersion::TLSv1_2)] {
        for (alpn, agreed) in [(vec![h2, h1], Some(h2)), (vec![h1], Some(h1)), (vec![], None)] {
            let mut stream = handshake(server.base(), client(&[version], &alpn)).await.expect("TLS");
            let session = stream.get_ref().1;
            assert_eq!(session.protocol_version(), Some(expected));
            assert_eq!(session.alpn_protocol(), agreed);
            assert_eq!(session.peer_certificates().expect("a certificate")[0], shown);
            let suite = format!("{:?}", session.negotiated_cipher_suite().expect("a suite").suite());
            assert!(suite.starts_with("TLS13_") || suite.starts_with("TLS_ECDHE_"), "{suite}");
            assert!(suite.contains("_GCM_") || suite.contains("_POLY1305"), "{suite}");
            if agreed != Some(h2) {
                stream.write_all(HEALTH.as_bytes()).await.expect("sent");
                assert_eq!(status(&one(&mut stream).await.expect("an answer")), 200);
            }
        }
    }
    assert!(handshake(server.base(), client(&[&TLS13], &[b"gopher"])).await.is_err(), "no protocol in common");
    assert!(handshake(server.base(), client(&[&TLS13], &[b"acme-tls/1"])).await.is_err(), "nobody proves names here");
}

/// RFC 6797 section 7.1: who has seen a page comes by TLS alone from then on. Not said of `localhost`, of which a browser would believe it
/// for every port, nor to programs.
#[tokio::test]
async fn a_page_asks_browsers_for_tls_from_then_on() {
    let files = files("strict");
    write_pair(&files.certificate, &files.key);
    let text = files.config();
    for (text, path, expected) in [
        (text.replace("https://localhost", "https://id.example"), "/oauth2/authorize", true),
        (text.replace("https://localhost", "https://id.example"), "/healthz", false),
        (text, "/oauth2/authorize", false),
    ] {
        let server = plain_server(&text).await;
        let mut stream = handshake(server.base(), client(&[&TLS13], &[])).await.expect("TLS");
        let request = format!("GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.expect("sent");
        let answer = rest(&mut stream).await;
        assert_eq!(answer.contains("text/html"), path == "/oauth2/authorize", "{answer}");
        assert_eq!(answer.contains("\r\nstrict-transport-security: max-age=31536000\r\n"), expected, "{answer}");
    }
}

/// What the server says to a ClientHello that offers these versions and suites and nothing newer: the first record.
async fn answer_to_hello(base: &str, version: u16, suites: &[u16]) -> Vec<u8> {
    let suites: Vec<u8> = suites.iter().flat_map(|suite| suite.to_be_bytes()).collect();
    // Groups x25519 and P-256; ECDSA and RSA signatures with SHA-256.
    let extensions: &[u8] = &[0, 10, 0, 6, 0, 4, 0, 29, 0, 23, 0, 13, 0, 8, 0, 6, 4, 3, 8, 4, 4, 1, 0, 23, 0, 0];
    let mut hello = version.to_be_bytes().to_vec();
    hello.extend([7; 32]);
    hello.push(0);
    hello.extend(u16::try_from(suites.len()).expect("short").to_be_bytes());
    hello.extend(suites);
    hello.extend([1, 0]);
    hello.extend(u16::try_from(extensions.len()).expect("short").to_be_bytes());
    hello.extend(extensions);
    let length = u32::try_from(hello.len()).expect("short").to_be_bytes();
    let mut message = vec![1, length[1], length[2], length[3]];
    message.extend(hello);
    let mut record = vec![0x16, 3, 1];
    record.extend(u16::try_from(message.len()).expect("short").to_be_bytes());
    record.extend(message);
    let mut stream = connect(base).await;
    stream.write_all(&record).await.expect("sent");
    let mut first = [0; 6];
    tokio::io::AsyncReadExt::read_exact(&mut stream, &mut first).await.expect("an answer");
    first.to_vec()
}

/// RFC 9325 sections 3.1.1 and 4.1: no older version, no suite without forward secrecy, no CBC, no export, no NULL.
#[tokio::test]
async fn what_is_unsafe_is_refused() {
    let files = files("unsafe");
    write_pair(&files.certificate, &files.key);
    let server = plain_server(&files.config()).await;
    const ALERT: u8 = 0x15;
    const HANDSHAKE: u8 = 0x16;
    let good = [0xC02B, 0xC02C, 0xCCA9];
    // The certificate is ECDSA: with these the same hello is answered, or the refusals below would say nothing.
    assert_eq!(answer_to_hello(server.base(), 0x0303, &good).await[0], HANDSHAKE);
    for version in [0x0300, 0x0301, 0x0302] {
        assert_eq!(answer_to_hello(server.base(), version, &good).await[0], ALERT, "{version:x}");
    }
    // NULL, RC4, 3DES, AES-CBC with RSA and with ECDHE, AES-GCM with RSA and with DHE, anonymous, CCM_8.
    for suite in [0x0002, 0x0005, 0x000A, 0x002F, 0xC013, 0xC009, 0xC023, 0x009C, 0x009E, 0x0018, 0xC0AE] {
        assert_eq!(answer_to_hello(server.base(), 0x0303, &[suite]).await[0], ALERT, "{suite:x}");
    }
}

/// A new pair is taken up without a restart, connections that are open go on, and a pair that is no good changes nothing.
#[tokio::test]
async fn a_renewed_certificate_is_taken_up_and_a_bad_one_is_not() {
    let files = files("renewed");
    let first = write_pair(&files.certificate, &files.key);
    let server = plain_server(&files.config()).await;
    let mut open = handshake(server.base(), client(&[&TLS13], &[])).await.expect("TLS");
    assert_eq!(shown(server.base()).await, first);
    let certificates = server.certificates.as_ref().expect("TLS");
    // A key that does not fit, a certificate that is none, nothing at all, a key that everybody reads.
    write_pair(&files.scratch.path().join("other.pem"), &files.key);
    let said = certificates.reload(&server.app).expect_err("no pair").to_string();
    assert!(said.contains("cannot be used with its key") && said.contains("remedy"), "{said}");
    std::fs::write(&files.certificate, "x").expect("written");
    assert!(certificates.reload(&server.app).expect_err("no PEM").to_string().contains("no certificate in PEM"));
    std::fs::remove_file(&files.certificate).expect("removed");
    assert!(certificates.reload(&server.app).expect_err("nothing").to_string().contains("cannot be read"));
    write_pair(&files.certificate, &files.key);
    mode(&files.key, 0o644);
    let said = certificates.reload(&server.app).expect_err("open").to_string();
    assert!(said.contains("can be read by every user") && said.contains("chmod 0600"), "{said}");
    assert_eq!(shown(server.base()).await, first, "the old one goes on");
    // By itself, without being asked.
    let second = write_pair(&files.certificate, &files.key);
    for _ in 0..500 {
        if shown(server.base()).await == second {
            break;
        }
    }
    assert_eq!(shown(server.base()).await, second);
    let third = write_pair(&files.certificate, &files.key);
    certificates.reload(&server.app).expect("a good pair");
    assert_eq!(shown(server.base()).await, third, "at once, when asked");
    open.write_all(HEALTH.as_bytes()).await.expect("still open");
    assert_eq!(status(&one(&mut open).await.expect("an answer")), 200);
}

/// A reload may name other files.
#[tokio::test]
async fn a_reload_may_name_other_files() {
    let files = files("elsewhere");
    write_pair(&files.certificate, &files.key);
    let server = plain_server(&files.config()).await;
    let [certificate, key] = ["c2.pem", "k2.pem"].map(|name| files.scratch.path().join(name));
    let second = write_pair(&certificate, &key);
    let next = config(&format!("{}{CONFIG}", tls_top(&certificate, &key)));
    assert!(
        server.app.replace_config(next).await.expect("it fits").needs_restart.is_empty(),
        "nothing waits for a restart"
    );
    assert_eq!(shown(server.base()).await, second, "at once");
}

/// A reload that names a pair which cannot be used changes nothing, neither the certificate nor the clients.
#[tokio::test]
async fn a_reload_with_a_bad_certificate_changes_nothing() {
    let files = files("bad-reload");
    let first = write_pair(&files.certificate, &files.key);
    let server = plain_server(&files.config()).await;
    let [certificate, key] = ["c2.pem", "k2.pem"].map(|name| files.scratch.path().join(name));
    write_pair(&certificate, &key);
    let without_clients = tls_top(&certificate, &files.key);
    let said = server.app.replace_config(config(&without_clients)).await.expect_err("no pair").to_string();
    assert!(said.contains("key"), "{said}");
    assert_eq!(shown(server.base()).await, first);
    assert!(server.app.client("phone").is_some());
}

fn home(name: &str, files: &Files) -> Home {
    let home = Home::make_with(&files.scratch.path().join(name), CONFIG);
    let text = std::fs::read_to_string(home.config_file()).expect("a configuration");
    let (top, rest) = text.split_once("[http]").expect("[http]");
    let tls = tls_top(&files.certificate, &files.key);
    std::fs::write(home.config_file(), format!("{top}{tls}[http]{rest}")).expect("written");
    home
}

/// The real server refuses to start with a key that others can read or that does not fit, with what to do, and warns of a
/// certificate that has expired or is for somebody else.
#[tokio::test(flavor = "multi_thread")]
async fn the_binary_speaks_tls_and_refuses_what_is_no_pair() {
    let files = files("binary");
    let shown_first = write_pair(&files.certificate, &files.key);
    let home = home("home", &files);
    let refused = || Server::try_start(home.command(&["serve"]), &home.log()).expect_err("it must not start");
    mode(&files.key, 0o604);
    let Refused { code, said } = refused();
    assert!(code == Some(78) && said.contains("can be read by every user") && said.contains("remedy"), "{said}");
    mode(&files.key, 0o640);
    let server = Server::start(&home);
    assert_eq!(shown(server.base()).await, shown_first);
    let log = server.stop();
    assert!(log.contains("2099-12-31") && !log.contains("expired"), "{log}");
    write_pair(&files.scratch.path().join("other.pem"), &files.key);
    let Refused { code, said } = refused();
    assert!(code == Some(78) && said.contains("cannot be used with its key"), "{said}");
    write_pair_until(&files.certificate, &files.key, 2019);
    let text = std::fs::read_to_string(home.config_file()).expect("a configuration");
    std::fs::write(home.config_file(), text.replace("https://localhost", "https://id.example")).expect("written");
    let server = Server::start(&home);
    let log = server.stop();
    assert!(log.contains("has expired") && log.contains("not for the issuer's host"), "{log}");
}

/// A key may come as a systemd credential, and is missed by its name.
#[tokio::test(flavor = "multi_thread")]
async fn a_key_may_be_a_systemd_credential() {
    let files = files("credential");
    let certificate = write_pair(&files.certificate, &files.key);
    let home = home("home", &files);
    let text = std::fs::read_to_string(home.config_file()).expect("a configuration");
    let path = format!("{:?}", files.key.display().to_string());
    std::fs::write(home.config_file(), text.replace(&path, "\"credential:k.pem\"")).expect("written");
    let refused = Server::try_start(home.command(&["serve"]), &home.log()).expect_err("it must not start");
    assert!(refused.code == Some(78) && refused.said.contains("LoadCredential=k.pem"), "{refused:?}");
    let mut command = home.command(&["serve"]);
    command.env("CREDENTIALS_DIRECTORY", files.scratch.path());
    let server = Server::try_start(command, &home.log()).expect("it starts");
    assert_eq!(shown(server.base()).await, certificate);
    server.stop();
}

/// Plain HTTP on a TLS port is not answered in plain.
#[tokio::test]
async fn plain_http_is_not_answered_on_a_tls_port() {
    let files = files("plain");
    write_pair(&files.certificate, &files.key);
    let server = plain_server(&files.config()).await;
    let mut stream = connect(server.base()).await;
    stream.write_all(HEALTH.as_bytes()).await.expect("sent");
    assert!(!rest(&mut stream).await.contains("HTTP/1.1"));
}

/// `regrant doctor` looks at the certificate as the server does: fine, no pair, read by everybody, expired, for somebody else.
#[test]
fn the_doctor_looks_at_the_certificate() {
    let files = files("doctor");
    write_pair(&files.certificate, &files.key);
    let home = home("home", &files);
    let found = || {
        let ended = home.command(&["doctor", "--json"]).output().expect("regrant runs");
        let told: serde_json::Value = serde_json::from_slice(&ended.stdout).expect("JSON");
        let all = told["findings"].as_array().expect("findings").clone();
        let of_it = all.iter().filter(|finding| finding["check"] == "certificate");
        of_it.map(|finding| format!("{} {}", finding["state"], finding["says"])).collect::<Vec<_>>().join("; ")
    };
    assert!(found().contains("fine") && found().contains("2099"), "{}", found());
    mode(&files.key, 0o604);
    assert!(found().contains("problem") && found().contains("can be read by every user"), "{}", found());
    mode(&files.key, 0o600);
    let other = files.scratch.path().join("other.pem");
    write_pair(&other, &files.scratch.path().join("other.key"));
    std::fs::copy(&other, &files.certificate).expect("copied");
    assert!(found().contains("problem"), "no pair: {}", found());
    write_pair_until(&files.certificate, &files.key, 2001);
    assert!(found().contains("problem") && found().contains("expired"), "{}", found());
    let text = std::fs::read_to_string(home.config_file()).expect("a configuration");
    write_pair(&files.certificate, &files.key);
    std::fs::write(home.config_file(), text.replace("https://localhost", "https://elsewhere.example"))
        .expect("written");
    assert!(found().contains("not for the host"), "{}", found());
}
