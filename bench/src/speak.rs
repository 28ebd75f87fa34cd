//! What clients say to a token server, and how they judge its answers.

use std::sync::Arc;

use regrant_core::Keys;
use regrant_core::token::RefreshToken;

use crate::http::{Answer, header, member};
use crate::load::{Heard, Speaker};
use crate::pool::Pool;

/// One answer of this many is verified.
const SAMPLE: u64 = 997;
/// Access tokens that are kept to be verified later.
const KEPT: usize = 200;

/// A form that is the same but for one value at its end.
#[derive(Clone, Debug)]
pub struct Form {
    path: &'static str,
    /// After the path, up to the value of `Content-Length`.
    head: Vec<u8>,
    body: Vec<u8>,
}

impl Form {
    /// To this path, with these headers (each with its line end) and this body, to which the value will be added.
    #[must_use]
    pub fn new(path: &'static str, host: &str, headers: &str, body: &str) -> Self {
        let head = format!(
            " HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/x-www-form-urlencoded\r\n{headers}Content-Length: "
        );
        Self { path, head: head.into_bytes(), body: body.as_bytes().to_vec() }
    }

    /// The same to another path.
    #[must_use]
    pub fn at(&self, path: &'static str) -> Self {
        Self { path, ..self.clone() }
    }

    /// Appends the request with this value, which needs no encoding.
    pub fn write(&self, value: &[u8], request: &mut Vec<u8>) {
        request.extend_from_slice(b"POST ");
        request.extend_from_slice(self.path.as_bytes());
        request.extend_from_slice(&self.head);
        request.extend_from_slice((self.body.len() + value.len()).to_string().as_bytes());
        request.extend_from_slice(b"\r\n\r\n");
        request.extend_from_slice(&self.body);
        request.extend_from_slice(value);
    }
}

/// What clients do with an answer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Expected {
    /// It holds the next refresh token of the grant, which the next request presents.
    Next,
    /// It holds the same refresh token again.
    Same,
    /// It holds an access token; what was presented is spent.
    First,
    /// It says `"active":true`.
    Active,
    /// 200.
    Anything,
}

/// Clients that present the texts of a pool.
#[derive(Debug)]
pub struct Clients<'a> {
    form: Form,
    pool: &'a mut Pool,
    expected: Expected,
    keys: Option<Arc<Keys>>,
    /// What each connection has presented, and whether it must do so again.
    under_way: Vec<(u32, bool)>,
    /// Where in a body the refresh token stood last: it is looked for there first.
    hint: usize,
    heard: u64,
    /// No more than these are asked.
    pub most: u64,
    /// Access tokens for later.
    pub access_tokens: Vec<String>,
    /// How many of those are wanted.
    pub keep: usize,
    /// How many answers were verified.
    pub verified: u64,
    /// Bytes of the last body.
    pub body_length: usize,
    /// The first answer that was wrong, for people.
    pub first_wrong: Option<String>,
}

impl<'a> Clients<'a> {
    /// They ask `form` with a text of `pool`; with `keys`, a sample of the refresh tokens is opened.
    #[must_use]
    pub fn new(form: Form, pool: &'a mut Pool, expected: Expected, keys: Option<Arc<Keys>>) -> Self {
        Self {
            form,
            pool,
            expected,
            keys,
            under_way: Vec::new(),
            hint: 0,
            heard: 0,
            most: u64::MAX,
            access_tokens: Vec::new(),
            keep: KEPT,
            verified: 0,
            body_length: 0,
            first_wrong: None,
        }
    }

    fn judge(&mut self, connection: usize, answer: &Answer<'_>) -> Heard {
        if matches!(answer.status, 429 | 503) && is_retry(answer.head) {
            self.under_way[connection].1 = true;
            return Heard::Retry;
        }
        let body = &*answer.body;
        self.body_length = body.len();
        self.heard += 1;
        let is_sample = self.heard % SAMPLE == 1;
        if answer.status != 200 {
            return Heard::Wrong;
        }
        if is_sample || self.keep > KEPT {
            self.keep_access_token(body);
        }
        let (number, _) = self.under_way[connection];
        let fits = match self.expected {
            Expected::Anything => true,
            Expected::Active => body.starts_with(b"{\"active\":true"),
            Expected::First => member(body, "access_token").is_some_and(|token| !token.is_empty()),
            Expected::Next | Expected::Same => {
                let Some((token, at)) = refresh_token(body, self.hint) else { return Heard::Wrong };
                self.hint = at;
                let is_next = self.expected == Expected::Next;
                let differs = token != self.pool.text(number);
                let verified = !is_sample || self.verify(number, token, u32::from(is_next));
                differs == is_next && verified && (!is_next || self.pool.replace(number, token))
            }
        };
        if fits { Heard::Answered } else { Heard::Wrong }
    }

    /// Whether a refresh token is genuine, of the same grant, and as many generations younger as it must be.
    fn verify(&mut self, number: u32, token: &[u8], younger: u32) -> bool {
        let Some(keys) = &self.keys else { return true };
        self.verified += 1;
        let open = |text: &[u8]| RefreshToken::open(std::str::from_utf8(text).ok()?, keys);
        let (Some(old), Some(new)) = (open(self.pool.text(number)), open(token)) else { return false };
        old.grant == new.grant && old.generation + younger == new.generation
    }

    fn keep_access_token(&mut self, body: &[u8]) {
        if self.access_tokens.len() < self.keep
            && let Some(token) = member(body, "access_token")
        {
            self.access_tokens.push(String::from_utf8_lossy(token).into_owned());
        }
    }
}

impl Speaker for Clients<'_> {
    fn ask(&mut self, connection: usize, request: &mut Vec<u8>) -> bool {
        if self.under_way.len() <= connection {
            self.under_way.resize(connection + 1, (0, false));
        }
        let (number, again) = self.under_way[connection];
        let is_spent = self.expected == Expected::First && self.pool.left() == 0;
        let number = if again {
            number
        } else if self.most == 0 || is_spent {
            return false;
        } else {
            self.most -= 1;
            self.pool.take()
        };
        self.under_way[connection] = (number, false);
        self.form.write(self.pool.text(number), request);
        true
    }

    fn hear(&mut self, connection: usize, answer: &Answer<'_>) -> Heard {
        let heard = self.judge(connection, answer);
        if heard == Heard::Wrong && self.first_wrong.is_none() {
            let body = String::from_utf8_lossy(&answer.body).chars().take(300).collect::<String>();
            self.first_wrong = Some(format!("{} {body}", answer.status));
        }
        heard
    }
}

/// The value of `refresh_token` and where it begins: looked for where the last one was, for answers are alike.
fn refresh_token(body: &[u8], hint: usize) -> Option<(&[u8], usize)> {
    const NAME: &[u8] = b"\"refresh_token\":\"";
    if let Some(rest) = body.get(hint..)
        && let Some(before) = hint.checked_sub(NAME.len())
        && body[before..].starts_with(NAME)
    {
        return rest.split(|byte| *byte == b'"').next().map(|token| (token, hint));
    }
    let token = member(body, "refresh_token")?;
    let at = token.as_ptr().addr() - body.as_ptr().addr();
    Some((token, at))
}

fn is_retry(head: &[u8]) -> bool {
    head.split(|byte| *byte == b'\n').any(|line| header(line, b"retry-after").is_some())
}
