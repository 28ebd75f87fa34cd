//! HTTP/1.1 answers, parsed by hand: what a load generator needs of them and nothing else, so that it takes little of the
//! machine that it measures. It speaks to servers that we started ourselves.

use std::borrow::Cow;

/// A whole answer.
#[derive(Debug)]
pub struct Answer<'a> {
    /// The status.
    pub status: u16,
    /// The status line and the headers.
    pub head: &'a [u8],
    /// The body.
    pub body: Cow<'a, [u8]>,
}

/// What is wrong with an answer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Malformed;

impl<'a> Answer<'a> {
    /// Reads one from the beginning of what was received: the answer and its length in bytes, or nothing if it is not whole yet.
    ///
    /// # Errors
    /// [`Malformed`] if it is none.
    pub fn read(bytes: &'a [u8]) -> Result<Option<(Self, usize)>, Malformed> {
        let mut rest = bytes;
        let (mut status, mut length, mut is_chunked) = (None, 0, false);
        while let Some(end) = rest.iter().position(|byte| *byte == b'\n') {
            let (line, after) = (&rest[..end], &rest[end + 1..]);
            let line = line.strip_suffix(b"\r").unwrap_or(line);
            rest = after;
            if line.is_empty() {
                let (head, tail) = bytes.split_at(bytes.len() - rest.len());
                let status = status.ok_or(Malformed)?;
                let body = if is_chunked { chunks(tail)? } else { whole(tail, length) };
                return Ok(body.map(|(body, length)| (Self { status, head, body }, head.len() + length)));
            }
            if status.is_none() {
                status = Some(number(line.get(9..12).ok_or(Malformed)?)?);
            } else if let Some(value) = header(line, b"content-length") {
                length = usize::from(number(value)?);
            } else if let Some(value) = header(line, b"transfer-encoding") {
                is_chunked = value.eq_ignore_ascii_case(b"chunked");
            }
        }
        Ok(None)
    }
}

/// The value of a header, if it is this one.
#[must_use]
pub fn header<'a>(line: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    let (start, rest) = line.split_at_checked(name.len())?;
    let value = rest.strip_prefix(b":")?;
    start.eq_ignore_ascii_case(name).then(|| value.trim_ascii())
}

/// The value of a member of a flat JSON object that is a string without escapes, as tokens are.
#[must_use]
pub fn member<'a>(json: &'a [u8], name: &str) -> Option<&'a [u8]> {
    let mut rest = json;
    while let Some(quote) = rest.iter().position(|byte| *byte == b'"') {
        rest = &rest[quote + 1..];
        let Some(found) = rest.strip_prefix(name.as_bytes()).and_then(|rest| rest.strip_prefix(b"\"")) else {
            // Over the end of this string, whatever it is.
            rest = &rest[rest.iter().position(|byte| *byte == b'"')? + 1..];
            continue;
        };
        let value = found.trim_ascii_start().strip_prefix(b":")?.trim_ascii_start().strip_prefix(b"\"")?;
        return value.split(|byte| *byte == b'"').next();
    }
    None
}

fn number(digits: &[u8]) -> Result<u16, Malformed> {
    std::str::from_utf8(digits).ok().and_then(|digits| digits.parse().ok()).ok_or(Malformed)
}

fn whole(tail: &[u8], length: usize) -> Option<Body<'_>> {
    tail.get(..length).map(|body| (Cow::Borrowed(body), length))
}

/// A body, and how many bytes it took.
type Body<'a> = (Cow<'a, [u8]>, usize);

/// RFC 9112 section 7.1, without extensions and trailers.
fn chunks(tail: &[u8]) -> Result<Option<Body<'_>>, Malformed> {
    let (mut body, mut at) = (Vec::new(), 0);
    loop {
        let rest = &tail[at..];
        let Some(end) = rest.windows(2).position(|pair| pair == b"\r\n") else { return Ok(None) };
        let size = std::str::from_utf8(&rest[..end]).ok().and_then(|size| usize::from_str_radix(size, 16).ok());
        let size = size.ok_or(Malformed)?;
        let Some(chunk) = rest.get(end + 2..).and_then(|rest| rest.get(..size.checked_add(2)?)) else {
            return Ok(None);
        };
        body.extend_from_slice(&chunk[..size]);
        at += end + 2 + size + 2;
        if size == 0 {
            return Ok(Some((Cow::Owned(body), at)));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLAIN: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Type: x\r\nContent-Length: 4\r\n\r\n{\"\"}HTTP/1.1 400";
    const CHUNKED: &[u8] =
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\na\r\n0123456789\r\n0\r\n\r\n";

    #[test]
    fn an_answer_is_read_when_it_is_whole_and_not_before() {
        let whole = PLAIN.len() - "HTTP/1.1 400".len();
        for end in 0..whole {
            assert!(Answer::read(&PLAIN[..end]).expect("well-formed").is_none(), "{end}");
        }
        let (answer, length) = Answer::read(PLAIN).expect("well-formed").expect("whole");
        assert_eq!((answer.status, &*answer.body, length), (200, &b"{\"\"}"[..], whole));
    }

    #[test]
    fn chunks_are_joined_when_the_last_one_is_there() {
        for end in 0..CHUNKED.len() {
            assert!(Answer::read(&CHUNKED[..end]).expect("well-formed").is_none(), "{end}");
        }
        let (answer, length) = Answer::read(CHUNKED).expect("well-formed").expect("whole");
        assert_eq!((&*answer.body, length), (&b"abc0123456789"[..], CHUNKED.len()));
    }

    #[test]
    fn a_member_is_found_by_its_name_and_not_by_a_value() {
        let json = br#"{"a":"refresh_token","n": 7, "refresh_token" : "rgr_1","scope":""}"#;
        assert_eq!(member(json, "refresh_token"), Some(&b"rgr_1"[..]));
        assert_eq!(member(json, "scope"), Some(&b""[..]));
        assert_eq!(member(json, "rgr_1"), None);
        assert_eq!(member(json, "n"), None);
    }
}
