//! A token hook: a real HTTP server of the operator's on loopback, which does what a test tells it, and remembers what it heard.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use serde_json::Value;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio_rustls::TlsAcceptor;

/// What it does with a question.
#[derive(Clone, Debug)]
pub enum Act {
    /// Answers with this status, these headers and this body.
    Answer(u16, Vec<(String, String)>, String),
    /// 200 in this media type alone, and 406 to whom it does not suit: a framework that negotiates.
    Offers(&'static str),
    /// Waits until the next [`Hook::release`], and then answers so.
    Hold(String),
    /// Never answers.
    Silence,
    /// Announces a body and closes the connection in the middle of it.
    BreakOff,
    /// A body without an end, as fast as it is read.
    Endless,
}

impl Act {
    /// 200 with this body.
    #[must_use]
    pub fn says(body: &str) -> Self {
        Self::Answer(200, Vec::new(), body.to_owned())
    }

    /// 200, and yes.
    #[must_use]
    pub fn allows() -> Self {
        Self::says(r#"{"allow":true}"#)
    }

    /// 200, and no.
    #[must_use]
    pub fn denies() -> Self {
        Self::says(r#"{"allow":false,"reason":"not on Sundays"}"#)
    }
}

/// A question as it came.
#[derive(Clone, Debug)]
pub struct Heard {
    /// The request line and the headers, in lower case.
    pub head: String,
    /// The body.
    pub body: Vec<u8>,
}

impl Heard {
    /// The value of a header; empty if it is not there.
    #[must_use]
    pub fn header(&self, name: &str) -> String {
        let found = self.head.lines().filter_map(|line| line.split_once(": ")).find(|(known, _)| *known == name);
        found.map(|(_, value)| value.trim().to_owned()).unwrap_or_default()
    }

    /// The body, which must be JSON.
    #[must_use]
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).expect("a question in JSON")
    }
}

/// A running hook.
#[derive(Clone, Debug)]
pub struct Hook(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    url: String,
    act: Mutex<Act>,
    heard: Mutex<Vec<Heard>>,
    released: watch::Sender<bool>,
    open: AtomicUsize,
    most: AtomicUsize,
    connections: AtomicUsize,
}

impl Hook {
    /// Starts it; it allows everything until it is told otherwise.
    ///
    /// # Panics
    /// If no port is free.
    pub async fn start() -> Self {
        Self::listen("http", None).await
    }

    /// The same over TLS. Its certificate is good for whoever trusts the authority in the file that is returned.
    ///
    /// # Panics
    /// If no certificate can be made or written.
    pub async fn start_tls(directory: &Path) -> (Self, PathBuf) {
        let authority = directory.join("authority.pem");
        let acceptor = certified(&authority);
        (Self::listen("https", Some(acceptor)).await, authority)
    }

    async fn listen(scheme: &str, tls: Option<TlsAcceptor>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let url = format!("{scheme}://{}/token", listener.local_addr().expect("bound"));
        let hook = Self(Arc::new(Inner {
            url,
            act: Mutex::new(Act::allows()),
            heard: Mutex::default(),
            released: watch::Sender::new(false),
            open: AtomicUsize::new(0),
            most: AtomicUsize::new(0),
            connections: AtomicUsize::new(0),
        }));
        let serving = hook.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                serving.0.connections.fetch_add(1, Ordering::SeqCst);
                let (serving, tls) = (serving.clone(), tls.clone());
                tokio::spawn(async move {
                    match tls {
                        None => serving.serve(stream).await,
                        Some(tls) => {
                            // Whoever does not trust us goes away in the middle of the handshake.
                            if let Ok(stream) = tls.accept(stream).await {
                                serving.serve(stream).await;
                            }
                        }
                    }
                });
            }
        });
        hook
    }

    /// Where it is.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.0.url
    }

    /// What it does from now on.
    pub fn does(&self, act: Act) {
        self.0.released.send_replace(false);
        *self.0.act.lock().unwrap_or_else(PoisonError::into_inner) = act;
    }

    /// Lets go what is held, and all that comes.
    pub fn release(&self) {
        self.0.released.send_replace(true);
    }

    /// All questions so far.
    #[must_use]
    pub fn heard(&self) -> Vec<Heard> {
        self.0.heard.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The most questions that were open at one time.
    #[must_use]
    pub fn most_at_once(&self) -> usize {
        self.0.most.load(Ordering::SeqCst)
    }

    /// How many connections were made.
    #[must_use]
    pub fn connections(&self) -> usize {
        self.0.connections.load(Ordering::SeqCst)
    }

    /// Waits until so many questions came.
    pub async fn has_heard(&self, questions: usize) {
        while self.heard().len() < questions {
            tokio::task::yield_now().await;
        }
    }

    async fn serve(&self, mut stream: impl AsyncRead + AsyncWrite + Unpin) {
        while let Some(heard) = read(&mut stream).await {
            let open = self.0.open.fetch_add(1, Ordering::SeqCst) + 1;
            self.0.most.fetch_max(open, Ordering::SeqCst);
            let accepts = heard.header("accept");
            self.0.heard.lock().unwrap_or_else(PoisonError::into_inner).push(heard);
            let act = self.0.act.lock().unwrap_or_else(PoisonError::into_inner).clone();
            let act = match act {
                Act::Offers(offered) if accepts.contains(offered) || accepts.contains("*/*") => Act::says(""),
                Act::Offers(_) => Act::Answer(406, Vec::new(), String::new()),
                act => act,
            };
            let goes_on = self.carry_out(&act, &mut stream).await;
            self.0.open.fetch_sub(1, Ordering::SeqCst);
            if !goes_on {
                return;
            }
        }
    }

    /// Whether the connection is still good.
    async fn carry_out(&self, act: &Act, stream: &mut (impl AsyncRead + AsyncWrite + Unpin)) -> bool {
        match act {
            Act::Answer(status, headers, body) => answer(stream, *status, headers, body).await,
            Act::Offers(_) => true,
            Act::Hold(body) => {
                let mut released = self.0.released.subscribe();
                let _ = released.wait_for(|released| *released).await;
                answer(stream, 200, &[], body).await
            }
            Act::Silence => {
                // Until the other side goes away.
                let _ = stream.read(&mut [0; 1]).await;
                false
            }
            Act::BreakOff => {
                let begun = b"HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n{\"allow\":true";
                let _ = stream.write_all(begun).await;
                false
            }
            Act::Endless => {
                let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n").await;
                while stream.write_all(b"8\r\n        \r\n").await.is_ok() {}
                false
            }
        }
    }
}

async fn read(stream: &mut (impl AsyncRead + Unpin)) -> Option<Heard> {
    let mut bytes = Vec::new();
    let mut buffer = [0; 4096];
    loop {
        if let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") {
            let head = String::from_utf8_lossy(&bytes[..end]).to_lowercase();
            let announced = head.lines().find_map(|line| line.strip_prefix("content-length: "));
            let length = announced.map_or(Some(0), |length| length.trim().parse().ok())?;
            let mut body = bytes.split_off(end + 4);
            let begun = body.len();
            body.resize(length, 0);
            stream.read_exact(body.get_mut(begun..)?).await.ok()?;
            return Some(Heard { head, body });
        }
        match stream.read(&mut buffer).await.ok()? {
            0 => return None,
            read => bytes.extend_from_slice(&buffer[..read]),
        }
    }
}

/// An authority, written to a file, and a certificate of it for 127.0.0.1.
fn certified(authority: &Path) -> TlsAcceptor {
    let mut ca = rcgen::CertificateParams::default();
    ca.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let ca_key = rcgen::KeyPair::generate().expect("a key");
    let issuer = ca.self_signed(&ca_key).expect("a certificate");
    std::fs::write(authority, issuer.pem()).expect("a file");
    let key = rcgen::KeyPair::generate().expect("a key");
    let leaf = rcgen::CertificateParams::new(vec!["127.0.0.1".to_owned()]).expect("a name");
    let leaf = leaf.signed_by(&key, &rcgen::Issuer::from_params(&ca, &ca_key)).expect("a certificate");
    let private = rustls::pki_types::PrivateKeyDer::try_from(key.serialize_der()).expect("a key");
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("protocols")
        .with_no_client_auth()
        .with_single_cert(vec![leaf.der().clone()], private)
        .expect("a certificate that fits its key");
    TlsAcceptor::from(Arc::new(config))
}

async fn answer(stream: &mut (impl AsyncWrite + Unpin), status: u16, headers: &[(String, String)], body: &str) -> bool {
    let mut text = format!("HTTP/1.1 {status} X\r\ncontent-length: {}\r\n", body.len());
    for (name, value) in headers {
        text.push_str(&format!("{name}: {value}\r\n"));
    }
    text.push_str("\r\n");
    text.push_str(body);
    stream.write_all(text.as_bytes()).await.is_ok()
}
