//! What all of these tests use: raw connections, certificates, a TLS client that shows everything.

use std::io;
use std::path::Path;
use std::sync::Arc;

use rcgen::{CertificateParams, KeyPair};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, SignatureScheme, SupportedProtocolVersion};
use sim::wire::{CONFIG, World};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;

/// A world whose configuration begins with these lines.
pub(crate) async fn world(top: &str) -> World {
    World::with(&format!("{top}\n{CONFIG}")).await
}

/// `127.0.0.1:PORT`.
pub(crate) fn address(base: &str) -> &str {
    base.trim_start_matches("http://")
}

pub(crate) async fn connect(base: &str) -> TcpStream {
    TcpStream::connect(address(base)).await.expect("the server listens")
}

/// What comes until the server closes; what came before it was cut off counts.
pub(crate) async fn rest(stream: &mut (impl AsyncRead + Unpin)) -> String {
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer).await;
    String::from_utf8_lossy(&answer).into_owned()
}

/// Sends bytes as they are, and reads until the server closes.
pub(crate) async fn raw(base: &str, request: &str) -> String {
    let mut stream = connect(base).await;
    // The server may answer and close before it has read everything.
    let _ = stream.write_all(request.as_bytes()).await;
    rest(&mut stream).await
}

/// One answer with a `content-length`, from a connection that stays open.
pub(crate) async fn one(stream: &mut (impl AsyncRead + Unpin)) -> io::Result<String> {
    let mut answer = Vec::new();
    let mut byte = [0];
    while !answer.ends_with(b"\r\n\r\n") {
        if stream.read(&mut byte).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        answer.push(byte[0]);
    }
    let head = String::from_utf8_lossy(&answer).into_owned();
    let length = head
        .lines()
        .find_map(|line| line.strip_prefix("content-length: "))
        .map_or(0, |length| length.trim().parse().expect("a length"));
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await?;
    Ok(head + &String::from_utf8_lossy(&body))
}

/// The status of a raw answer.
pub(crate) fn status(answer: &str) -> u16 {
    let status = answer.strip_prefix("HTTP/1.1 ").and_then(|rest| rest.get(..3)).and_then(|status| status.parse().ok());
    status.unwrap_or_else(|| panic!("no answer: {answer:?}"))
}

/// A `GET /healthz` that keeps its connection.
pub(crate) const HEALTH: &str = "GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n";

/// A self-signed certificate for `localhost` and its key, in PEM, in these files; the key for the owner alone.
pub(crate) fn write_pair(certificate: &Path, key: &Path) -> CertificateDer<'static> {
    write_pair_until(certificate, key, 2099)
}

/// The same, valid until the end of a year.
pub(crate) fn write_pair_until(certificate: &Path, key: &Path, year: i32) -> CertificateDer<'static> {
    let mut params = CertificateParams::new(vec!["localhost".to_owned()]).expect("a name");
    params.not_before = rcgen::date_time_ymd(2000, 1, 1);
    params.not_after = rcgen::date_time_ymd(year, 12, 31);
    let pair = KeyPair::generate().expect("a key");
    let signed = params.self_signed(&pair).expect("a certificate");
    std::fs::write(certificate, signed.pem()).expect("written");
    let _ = std::fs::remove_file(key);
    std::fs::write(key, pair.serialize_pem()).expect("written");
    mode(key, 0o600);
    signed.der().clone()
}

/// Sets who may read a file.
pub(crate) fn mode(path: &Path, mode: u32) {
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).expect("permissions");
}

/// The top of a configuration that speaks TLS with these files.
pub(crate) fn tls_top(certificate: &Path, key: &Path) -> String {
    let (certificate, key) = (certificate.display(), key.display());
    format!(
        "issuer = \"https://localhost\"\n[tls]\ncertificate_file = {:?}\nkey_file = {:?}\n",
        certificate.to_string(),
        key.to_string()
    )
}

/// A TLS client that takes any certificate, and offers these versions and protocols.
pub(crate) fn client(versions: &[&'static SupportedProtocolVersion], alpn: &[&[u8]]) -> ClientConfig {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(versions)
        .expect("versions")
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Anyone))
        .with_no_client_auth();
    config.alpn_protocols = alpn.iter().map(|protocol| protocol.to_vec()).collect();
    config
}

/// A TLS connection with this client.
pub(crate) async fn handshake(base: &str, config: ClientConfig) -> io::Result<TlsStream<TcpStream>> {
    let name = ServerName::try_from("localhost").expect("a name");
    tokio_rustls::TlsConnector::from(Arc::new(config)).connect(name, connect(base).await).await
}

/// The certificate that the server shows.
pub(crate) async fn shown(base: &str) -> CertificateDer<'static> {
    let stream = handshake(base, client(&[&rustls::version::TLS13], &[])).await.expect("TLS");
    stream.get_ref().1.peer_certificates().expect("a certificate")[0].clone().into_owned()
}

#[derive(Debug)]
struct Anyone;

impl rustls::client::danger::ServerCertVerifier for Anyone {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<rustls::client::danger::ServerCertVerified, rustls::Error> {
        Ok(rustls::client::danger::ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<rustls::client::danger::HandshakeSignatureValid, rustls::Error> {
        Ok(rustls::client::danger::HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<rustls::client::danger::HandshakeSignatureValid, rustls::Error> {
        Ok(rustls::client::danger::HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        rustls::crypto::aws_lc_rs::default_provider().signature_verification_algorithms.supported_schemes()
    }
}
