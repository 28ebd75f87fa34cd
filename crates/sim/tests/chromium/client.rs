//! A client on loopback: it takes what the browser brings, and shows a page. Only the requests of the test itself reach it.

use sim::wire::browser::parameter;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::sync::mpsc;

/// A client that listens.
pub(crate) struct Client {
    /// `http://127.0.0.1:PORT`.
    pub(crate) origin: String,
    requests: mpsc::UnboundedReceiver<String>,
}

impl Client {
    /// Answers every request with this page and these header lines.
    pub(crate) async fn showing(page: String, headers: &'static str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let origin = format!("http://{}", listener.local_addr().expect("bound"));
        let (send, requests) = mpsc::unbounded_channel();
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let (send, page) = (send.clone(), page.clone());
                tokio::spawn(async move {
                    let mut head = Vec::new();
                    while !head.ends_with(b"\r\n\r\n") && head.len() < 64 * 1024 {
                        let Ok(byte) = stream.read_u8().await else { return };
                        head.push(byte);
                    }
                    let head = String::from_utf8_lossy(&head).into_owned();
                    let length = head.lines().find_map(|line| {
                        let (name, value) = line.split_once(": ")?;
                        name.eq_ignore_ascii_case("content-length").then(|| value.parse::<usize>().ok())?
                    });
                    let mut body = vec![0; length.unwrap_or(0).min(64 * 1024)];
                    if stream.read_exact(&mut body).await.is_err() {
                        return;
                    }
                    // A form that is sent to `/go` is sent on to where its field `to` says.
                    let onward = head
                        .strip_prefix("GET ")
                        .and_then(|rest| rest.split(' ').next())
                        .filter(|target| target.starts_with("/go?"));
                    if let Some(to) = onward.and_then(|target| parameter(target, "to")) {
                        let answer = format!(
                            "HTTP/1.1 303 See Other\r\nlocation: {to}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
                        );
                        let _ = stream.write_all(answer.as_bytes()).await;
                        return;
                    }
                    let _ = send.send(head + &String::from_utf8_lossy(&body));
                    let length = page.len();
                    let answer = format!(
                        "HTTP/1.1 200 OK\r\ncontent-type: text/html; charset=utf-8\r\ncontent-length: {length}\r\nconnection: close\r\n{headers}\r\n{page}"
                    );
                    let _ = stream.write_all(answer.as_bytes()).await;
                });
            }
        });
        Self { origin, requests }
    }

    /// The usual one.
    pub(crate) async fn start() -> Self {
        let page =
            "<!doctype html><link rel=icon href='data:,'><title>Back at the application</title><h1>Welcome back</h1>";
        Self::showing(page.to_owned(), "").await
    }

    /// Where its answers go.
    pub(crate) fn redirect_uri(&self) -> String {
        format!("{}/cb", self.origin)
    }

    /// The next request for this path: its target, and its head with its body.
    pub(crate) async fn request(&mut self, path: &str) -> (String, String) {
        loop {
            let head = self.requests.recv().await.expect("the client lives");
            let target = head.split(' ').nth(1).unwrap_or_default().to_owned();
            if target.starts_with(path) {
                return (target, head);
            }
        }
    }
}
