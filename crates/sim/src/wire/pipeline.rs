//! One connection with many requests on their way: as fast as one thread can be, and any bytes that one likes.

use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// A server that does not answer within this has not answered.
const PATIENCE: Duration = Duration::from_secs(60);

/// A connection, made anew after the server has closed it.
#[derive(Debug)]
pub struct Pipeline {
    address: String,
    stream: Option<TcpStream>,
}

/// An answer.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Answer {
    /// The status.
    pub status: u16,
    /// The head, with its status line.
    pub head: String,
    /// The body.
    pub body: Vec<u8>,
}

/// What a pipeline came to.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Answers {
    /// In the order of the requests. Fewer than those if the server closed the connection.
    pub answers: Vec<Answer>,
    /// The server neither answered nor closed.
    pub hangs: bool,
}

impl Pipeline {
    /// To `http://HOST:PORT`. The connection is made when it is needed.
    #[must_use]
    pub fn to(base: &str) -> Self {
        Self { address: base.trim_start_matches("http://").to_owned(), stream: None }
    }

    /// Host and port.
    #[must_use]
    pub fn address(&self) -> &str {
        &self.address
    }

    /// Sends all of them at once. Those that begin with `HEAD` are answered without a body.
    ///
    /// # Panics
    /// If nobody listens.
    pub async fn ask(&mut self, requests: &[Vec<u8>]) -> Answers {
        let mut stream = match self.stream.take() {
            Some(stream) => stream,
            None => TcpStream::connect(&self.address).await.expect("the server listens"),
        };
        let (mut reader, mut writer) = stream.split();
        let together = requests.concat();
        let mut came = Answers::default();
        let mut is_open = true;
        // A server that closes does not read to the end.
        let write = async { drop(writer.write_all(&together).await) };
        let read = async {
            let mut unread = Vec::new();
            let mut chunk = vec![0; 64 * 1024];
            while let Some(request) = requests.get(came.answers.len()) {
                if let Some((answer, used)) = next(&unread, request.starts_with(b"HEAD ")) {
                    unread.drain(..used);
                    // What only says that the answer will come is none.
                    if answer.status >= 200 {
                        came.answers.push(answer);
                    }
                    continue;
                }
                match tokio::time::timeout(PATIENCE, reader.read(&mut chunk)).await {
                    Ok(Ok(length)) if length > 0 => unread.extend_from_slice(&chunk[..length]),
                    Ok(_) => is_open = false,
                    Err(_) => (is_open, came.hangs) = (false, true),
                }
                if !is_open {
                    break;
                }
            }
        };
        tokio::join!(write, read);
        if is_open {
            self.stream = Some(stream);
        }
        came
    }
}

/// The first answer, if it is there as a whole, and how many bytes it takes.
fn next(bytes: &[u8], is_head: bool) -> Option<(Answer, usize)> {
    let end = bytes.windows(4).position(|window| window == b"\r\n\r\n")? + 4;
    let head = String::from_utf8_lossy(&bytes[..end]).into_owned();
    let status = head.split(' ').nth(1).and_then(|status| status.get(..3)?.parse().ok()).unwrap_or(0);
    let header = |name: &str| {
        let lines = head.lines().filter_map(|line| line.split_once(':'));
        lines.filter(|(found, _)| found.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim()).next()
    };
    if is_head || status < 200 || status == 204 || status == 304 {
        return Some((Answer { status, head, body: Vec::new() }, end));
    }
    assert!(header("transfer-encoding").is_none(), "an answer of unknown length: {head}");
    let length: usize = header("content-length").and_then(|length| length.parse().ok()).unwrap_or(0);
    let body = bytes.get(end..end + length)?.to_vec();
    Some((Answer { status, head, body }, end + length))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_told_apart() {
        let two = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokHTTP/1.1 204 No Content\r\n\r\nHTTP";
        let (first, used) = next(two, false).expect("the first");
        assert_eq!((first.status, first.body.as_slice()), (200, b"ok".as_slice()));
        let (second, also) = next(&two[used..], false).expect("the second");
        assert_eq!((second.status, second.body.len()), (204, 0));
        assert!(next(&two[used + also..], false).is_none(), "the rest is no answer yet");
        assert_eq!(next(two, true).expect("a head").1, used - 2);
    }
}
