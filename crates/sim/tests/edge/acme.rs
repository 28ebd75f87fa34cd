//! Certificates that the server asks for itself, from an authority of our own on loopback: it keeps no law but those that the
//! flow needs (RFC 8555 section 7), and looks at the proof (RFC 8737) as a real one does.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{any, get, post};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hyper_util::rt::{TokioExecutor, TokioIo};
use rcgen::{BasicConstraints, CertificateParams, CertificateSigningRequestParams, IsCa, Issuer, KeyPair};
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use serde_json::{Value, json};
use sim::exploit::format::sha256;
use sim::process::Scratch;
use sim::wire::CONFIG;

use crate::edge::support::{client, handshake, write_pair};
use crate::edge::tls::plain_server;

/// What the authority knows.
struct Authority {
    base: String,
    /// The thumbprint of the account's key.
    thumbprint: Mutex<String>,
    /// Where `localhost` leads.
    subject: Mutex<String>,
    proven: Mutex<bool>,
    issued: Mutex<Vec<CertificateDer<'static>>>,
    chain: Mutex<String>,
    /// The last year of the next certificate.
    year: Mutex<i32>,
}

/// The protected header and the payload of a JWS.
fn jws(body: &[u8]) -> (Value, Value) {
    let outer: Value = serde_json::from_slice(body).expect("JSON");
    let part = |name: &str| {
        let text = URL_SAFE_NO_PAD.decode(outer[name].as_str().expect("a text")).expect("base64url");
        serde_json::from_slice(&text).unwrap_or(Value::Null)
    };
    (part("protected"), part("payload"))
}

fn answer(status: StatusCode, location: &str, value: &Value) -> Response {
    let mut headers = HeaderMap::new();
    headers.insert("replay-nonce", "bm9uY2U".parse().expect("a header"));
    headers.insert("location", location.parse().expect("a header"));
    headers.insert("content-type", "application/json".parse().expect("a header"));
    (status, headers, value.to_string()).into_response()
}

impl Authority {
    fn order(&self) -> Value {
        let at = |path: &str| format!("{}{path}", self.base);
        let issued = !self.chain.lock().expect("a lock").is_empty();
        let proven = *self.proven.lock().expect("a lock");
        let status = if issued {
            "valid"
        } else if proven {
            "ready"
        } else {
            "pending"
        };
        let mut order = json!({"status": status, "identifiers": [{"type": "dns", "value": "localhost"}],
            "authorizations": [at("/authorization")], "finalize": at("/finalize")});
        if issued {
            order["certificate"] = json!(at("/certificate"));
        }
        order
    }

    /// RFC 8737 section 3: connects by "acme-tls/1", and compares what it is shown.
    async fn look(&self) -> bool {
        while self.subject.lock().expect("a lock").is_empty() {
            sim::process::pause(std::time::Duration::from_millis(5)).await;
        }
        let subject = self.subject.lock().expect("a lock").clone();
        let versions = [&rustls::version::TLS12, &rustls::version::TLS13];
        let Ok(stream) = handshake(&subject, client(&versions, &[b"acme-tls/1"])).await else { return false };
        let session = stream.get_ref().1;
        let digest = sha256(format!("token.{}", self.thumbprint.lock().expect("a lock")).as_bytes());
        let wanted = [&[4, 32], digest.as_slice()].concat();
        let shown = session.peer_certificates().expect("a certificate")[0].clone();
        session.alpn_protocol() == Some(b"acme-tls/1") && shown.windows(wanted.len()).any(|bytes| bytes == wanted)
    }

    fn sign(&self, request: &str) {
        let der = URL_SAFE_NO_PAD.decode(request).expect("base64url");
        let mut request = CertificateSigningRequestParams::from_der(&der.into()).expect("a request");
        request.params.not_before = rcgen::date_time_ymd(2024, 1, 1);
        request.params.not_after = rcgen::date_time_ymd(*self.year.lock().expect("a lock"), 12, 31);
        let mut ca = CertificateParams::new(Vec::new()).expect("no names");
        ca.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let issuer = Issuer::new(ca, KeyPair::generate().expect("a key"));
        let signed = request.signed_by(&issuer).expect("a certificate");
        self.issued.lock().expect("a lock").push(signed.der().clone());
        *self.chain.lock().expect("a lock") = signed.pem();
    }
}

fn router(authority: Arc<Authority>) -> Router {
    type Known = State<Arc<Authority>>;
    let directory = async |State(known): Known| {
        let at = |path: &str| format!("{}{path}", known.base);
        let urls = json!({"newNonce": at("/nonce"), "newAccount": at("/account"), "newOrder": at("/order"),
            "revokeCert": at("/revoke"), "keyChange": at("/key")});
        answer(StatusCode::OK, "/", &urls)
    };
    let account = async |State(known): Known, body: Bytes| {
        let (protected, payload) = jws(&body);
        assert_eq!(payload["termsOfServiceAgreed"], true);
        let key = &protected["jwk"];
        let text = format!("{{\"crv\":{},\"kty\":{},\"x\":{},\"y\":{}}}", key["crv"], key["kty"], key["x"], key["y"]);
        *known.thumbprint.lock().expect("a lock") = URL_SAFE_NO_PAD.encode(sha256(text.as_bytes()));
        answer(StatusCode::CREATED, &format!("{}/account/1", known.base), &json!({"status": "valid"}))
    };
    let order = async |State(known): Known| {
        *known.proven.lock().expect("a lock") = false;
        known.chain.lock().expect("a lock").clear();
        answer(StatusCode::CREATED, &format!("{}/order/1", known.base), &known.order())
    };
    let state = async |State(known): Known| answer(StatusCode::OK, "/", &known.order());
    let authorization = async |State(known): Known| {
        let status = if *known.proven.lock().expect("a lock") { "valid" } else { "pending" };
        let challenge = json!({"type": "tls-alpn-01", "url": format!("{}/challenge", known.base), "token": "token",
            "status": "pending"});
        let value =
            json!({"identifier": {"type": "dns", "value": "localhost"}, "status": status, "challenges": [challenge]});
        answer(StatusCode::OK, "/", &value)
    };
    let challenge = async |State(known): Known| {
        let proven = known.look().await;
        *known.proven.lock().expect("a lock") = proven;
        let status = if proven { "valid" } else { "invalid" };
        let value = json!({"type": "tls-alpn-01", "url": format!("{}/challenge", known.base), "token": "token", "status": status});
        answer(StatusCode::OK, "/", &value)
    };
    let finalize = async |State(known): Known, body: Bytes| {
        let (_, payload) = jws(&body);
        assert!(*known.proven.lock().expect("a lock"), "nobody gets a certificate without a proof");
        known.sign(payload["csr"].as_str().expect("a request"));
        answer(StatusCode::OK, "/", &known.order())
    };
    let certificate = async |State(known): Known| {
        let mut response = answer(StatusCode::OK, "/", &Value::Null);
        *response.body_mut() = known.chain.lock().expect("a lock").clone().into();
        response
    };
    Router::new()
        .route("/directory", get(directory))
        .route("/nonce", any(async || answer(StatusCode::OK, "/", &Value::Null)))
        .route("/account", post(account))
        .route("/order", post(order))
        .route("/order/1", post(state))
        .route("/authorization", post(authorization))
        .route("/challenge", post(challenge))
        .route("/finalize", post(finalize))
        .route("/certificate", post(certificate))
        .with_state(authority)
}

/// Starts an authority, whose own certificate is in this file.
async fn authority(root: &Path) -> Arc<Authority> {
    let key = root.with_extension("key");
    let certificate = write_pair(root, &key);
    let key = PrivateKeyDer::from_pem_slice(&std::fs::read(&key).expect("a key")).expect("a key");
    let config = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key)
        .expect("a pair");
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let base = format!("https://localhost:{}", listener.local_addr().expect("bound").port());
    let known = Arc::new(Authority {
        base,
        thumbprint: Mutex::default(),
        subject: Mutex::default(),
        proven: Mutex::default(),
        issued: Mutex::default(),
        chain: Mutex::default(),
        year: Mutex::new(2026),
    });
    let (router, acceptor) = (router(Arc::clone(&known)), tokio_rustls::TlsAcceptor::from(Arc::new(config)));
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let (router, acceptor) = (router.clone(), acceptor.clone());
            tokio::spawn(async move {
                let Ok(stream) = acceptor.accept(stream).await else { return };
                let service = hyper_util::service::TowerToHyperService::new(router);
                let builder = hyper_util::server::conn::auto::Builder::new(TokioExecutor::new());
                let _ = builder.serve_connection(TokioIo::new(stream), service).await;
            });
        }
    });
    known
}

/// The certificate that the server shows, if it has one.
async fn shown(base: &str) -> Option<CertificateDer<'static>> {
    let stream = handshake(base, client(&[&rustls::version::TLS13], &[b"h2"])).await.ok()?;
    Some(stream.get_ref().1.peer_certificates()?[0].clone().into_owned())
}

/// Waits until the server shows the certificate that was issued as this one.
async fn wait_for(known: &Authority, base: &str, number: usize) {
    for _ in 0..2000 {
        let issued = known.issued.lock().expect("a lock").get(number).cloned();
        if issued.is_some() && shown(base).await == issued {
            return;
        }
        sim::process::pause(std::time::Duration::from_millis(10)).await;
    }
    panic!("the certificate {number} is not shown");
}

/// The first start without a certificate proves its name and gets one; what it keeps is for itself alone; the next start uses that, and
/// asks for another where less than a third of its life is left.
#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_is_asked_for_kept_and_renewed() {
    let scratch = Scratch::new("acme");
    let [root, cache] = ["root.pem", "cache"].map(|name| scratch.path().join(name));
    let known = authority(&root).await;
    let text = format!(
        "issuer = \"https://localhost\"\n[tls]\nacme_domains = [\"localhost\"]\nacme_terms_agreed = true\nacme_directory = \"{}/directory\"\n\
         acme_root_file = {:?}\nacme_cache_dir = {:?}\n{CONFIG}",
        known.base,
        root.display().to_string(),
        cache.display().to_string()
    );
    // Its life is from 2024 to the end of this year or of one far away; the first is nearly over.
    *known.year.lock().expect("a lock") = 2026;
    let server = plain_server(&text).await;
    *known.subject.lock().expect("a lock") = server.base().to_owned();
    wait_for(&known, server.base(), 0).await;
    let mode = |path: &Path| std::fs::metadata(path).expect("it is there").permissions().mode() & 0o777;
    assert_eq!(mode(&cache), 0o700);
    for name in ["account.json", "certificate.pem", "key.pem"] {
        assert_eq!(mode(&cache.join(name)), 0o600, "{name}");
    }
    assert!(
        handshake(server.base(), client(&[&rustls::version::TLS13], &[b"acme-tls/1"])).await.is_err(),
        "the proof is over"
    );
    drop(server);
    known.subject.lock().expect("a lock").clear();
    *known.year.lock().expect("a lock") = 2099;
    let server = plain_server(&text).await;
    *known.subject.lock().expect("a lock") = server.base().to_owned();
    wait_for(&known, server.base(), 1).await;
    drop(server);
    let server = plain_server(&text).await;
    wait_for(&known, server.base(), 1).await;
    assert_eq!(known.issued.lock().expect("a lock").len(), 2, "there is enough of its life left");
}
