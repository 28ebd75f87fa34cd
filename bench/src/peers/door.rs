//! What all the servers have in common: a token endpoint, a client that proves itself by HTTP Basic, and a way to make sessions.

use std::io::{self, ErrorKind, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use base64::prelude::{BASE64_STANDARD, Engine as _};

use crate::http::{Answer, member};
use crate::load::Heard;

/// The client of all servers.
pub const CLIENT: &str = "bench";
/// Its secret.
pub const SECRET: &str = "rgs_0000000000000000000000000000000000000000000003DX";

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(60);
/// Sessions asked for at once, where a server makes them by the number.
const BATCH: usize = 200;

/// The token endpoint of a running server.
#[derive(Clone, Debug)]
pub struct Door {
    /// Where it listens.
    pub address: SocketAddr,
    /// The path of the token endpoint.
    pub path: &'static str,
    /// A page that anybody may read: it opens a connection without touching a session.
    pub metadata: &'static str,
    /// How a session begins.
    pub minting: Minting,
}

/// How a session begins without a browser.
#[derive(Clone, Copy, Debug)]
pub enum Minting {
    /// RFC 6749 section 4.3: with this name and password.
    Password(&'static str, &'static str),
    /// `GET` of this path and a count answers a JSON array of refresh tokens.
    Page(&'static str),
    /// It has no sessions.
    None,
}

/// What a server said to a refresh.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Said {
    /// 200 with this refresh token.
    Token(String),
    /// 503 or 429: the same request may come again.
    Later,
    /// Anything else.
    No,
}

impl Door {
    /// A whole refresh request.
    #[must_use]
    pub fn refresh_request(&self, token: &[u8]) -> Vec<u8> {
        self.request(&[b"grant_type=refresh_token&refresh_token=", token].concat())
    }

    /// What an answer to it means. RFC 6749 section 6: "The authorization server MAY issue a new refresh token"; one that does
    /// not lets the old one stand, and none of ours is set up so.
    #[must_use]
    pub fn said(answer: &Answer<'_>) -> Said {
        match (answer.status, member(&answer.body, "refresh_token")) {
            (200, Some(token)) => Said::Token(String::from_utf8_lossy(token).into_owned()),
            (429 | 503, _) => Said::Later,
            _ => Said::No,
        }
    }

    /// Opens a connection that the server has taken and answered on.
    ///
    /// # Errors
    /// If it cannot.
    pub fn line(&self) -> io::Result<Line> {
        let stream = TcpStream::connect_timeout(&self.address, PATIENCE)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        let mut line = Line { stream, received: Vec::new() };
        line.send(format!("GET {} HTTP/1.1\r\nHost: {}\r\n\r\n", self.metadata, self.address).as_bytes())?;
        line.hear(|_| ())?;
        Ok(line)
    }

    /// Begins this many sessions: the first refresh token of each.
    ///
    /// # Errors
    /// If the server does not answer, or with something else.
    pub fn mint(&self, count: usize) -> io::Result<Vec<String>> {
        let mut line = self.line()?;
        let mut tokens = Vec::with_capacity(count);
        while tokens.len() < count {
            let made = match self.minting {
                Minting::None => return Ok(tokens),
                Minting::Password(user, password) => {
                    let form = regrant_server::form::write(&[
                        ("grant_type", "password"),
                        ("username", user),
                        ("password", password),
                    ]);
                    line.send(&self.request(form.as_bytes()))?;
                    line.hear(|answer| match Self::said(answer) {
                        Said::Token(token) => Ok(vec![token]),
                        Said::Later | Said::No => Err(unexpected(answer)),
                    })??
                }
                Minting::Page(path) => {
                    let count = BATCH.min(count - tokens.len());
                    let request = format!("GET {path}{count} HTTP/1.1\r\nHost: {}\r\n\r\n", self.address);
                    line.send(request.as_bytes())?;
                    line.hear(|answer| {
                        serde_json::from_slice::<Vec<String>>(&answer.body).map_err(|_| unexpected(answer))
                    })??
                }
            };
            if made.is_empty() {
                return Err(ErrorKind::InvalidData.into());
            }
            tokens.extend(made);
        }
        Ok(tokens)
    }

    fn request(&self, form: &[u8]) -> Vec<u8> {
        let proof = BASE64_STANDARD.encode(format!("{CLIENT}:{SECRET}"));
        let mut request = format!(
            "POST {} HTTP/1.1\r\nHost: {}\r\nAuthorization: Basic {proof}\r\n\
            Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {}\r\n\r\n",
            self.path,
            self.address,
            form.len()
        )
        .into_bytes();
        request.extend_from_slice(form);
        request
    }
}

impl From<&Said> for Heard {
    fn from(said: &Said) -> Self {
        match said {
            Said::Token(_) => Self::Answered,
            Said::Later => Self::Retry,
            Said::No => Self::Wrong,
        }
    }
}

fn unexpected(answer: &Answer<'_>) -> io::Error {
    io::Error::other(format!("{}: {}", answer.status, String::from_utf8_lossy(&answer.body)))
}

/// A connection, one request at a time.
#[derive(Debug)]
pub struct Line {
    stream: TcpStream,
    received: Vec<u8>,
}

impl Line {
    /// Sends a whole request.
    ///
    /// # Errors
    /// If it cannot be sent.
    pub fn send(&mut self, request: &[u8]) -> io::Result<()> {
        self.stream.write_all(request)
    }

    /// Waits for the whole answer.
    ///
    /// # Errors
    /// If it does not come, or is no HTTP.
    pub fn hear<T>(&mut self, judge: impl FnOnce(&Answer<'_>) -> T) -> io::Result<T> {
        self.received.clear();
        let mut chunk = [0; 16 * 1024];
        loop {
            match Answer::read(&self.received) {
                Ok(Some((answer, _))) => return Ok(judge(&answer)),
                Ok(None) => {}
                Err(_) => return Err(ErrorKind::InvalidData.into()),
            }
            match self.stream.read(&mut chunk)? {
                0 => return Err(ErrorKind::UnexpectedEof.into()),
                read => self.received.extend_from_slice(&chunk[..read]),
            }
        }
    }

    /// Refreshes.
    ///
    /// # Errors
    /// If there is no answer.
    pub fn refresh(&mut self, door: &Door, token: &str) -> io::Result<Said> {
        self.send(&door.refresh_request(token.as_bytes()))?;
        self.hear(Door::said)
    }
}
