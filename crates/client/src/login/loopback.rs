//! A program on its user's machine: a listener on a free port of 127.0.0.1 hears the answer (RFC 8252 section 7.3).

use std::time::Duration;

use aws_lc_rs::digest;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use super::{LoggedIn, Login, Pending};
use crate::error::Error;

/// The longest request line and headers that are read.
const LARGEST: usize = 16 * 1024;
/// How long somebody who has connected may take to say what he wants.
const PATIENCE: Duration = Duration::from_secs(10);
/// How many who want something else are answered.
const STRANGERS: u32 = 1000;
/// How many are listened to at once.
const AT_ONCE: usize = 64;

/// A login whose answer comes to this machine.
#[derive(Debug)]
pub struct Loopback {
    login: Login,
    listener: TcpListener,
    pending: Pending,
    path: String,
    /// Where the user logs in: open it in his browser.
    pub url: String,
}

impl Login {
    /// Listens on a free port of 127.0.0.1, and begins a login whose answer comes there: to `http://127.0.0.1:PORT/PATH`. The server
    /// must know the client with `http://127.0.0.1/PATH`; the port may be any (RFC 8252 section 7.3). Open the URL, then [`Loopback::wait`].
    ///
    /// # Errors
    /// As [`Login::begin`]; [`Error::Misconfigured`] if nothing can listen.
    pub async fn loopback(&self, path: &str) -> Result<Loopback, Error> {
        // RFC 8252 section 8.3: "the use of localhost is NOT RECOMMENDED", for it may be another interface.
        let listener = TcpListener::bind("127.0.0.1:0").await;
        let failed = |error: std::io::Error| Error::Misconfigured(format!("nothing can listen on 127.0.0.1: {error}"));
        let listener = listener.map_err(failed)?;
        let port = listener.local_addr().map_err(failed)?.port();
        let path = format!("/{}", path.trim_start_matches('/'));
        let begun = self.begin(format!("http://127.0.0.1:{port}{path}")).await?;
        Ok(Loopback { login: self.clone(), listener, pending: begun.pending, path, url: begun.url })
    }
}

impl Loopback {
    /// Waits for the answer, and finishes the login. Requests that are no answer to it are turned away: any page may send some. And
    /// browsers connect in advance, to say nothing for a while: nobody waits for those.
    ///
    /// # Errors
    /// As [`Login::finish`].
    pub async fn wait(self) -> Result<LoggedIn, Error> {
        let mut heard = JoinSet::new();
        let mut strangers = 0;
        while strangers < STRANGERS {
            let asked = tokio::select! {
                Ok((mut stream, _)) = self.listener.accept(), if heard.len() < AT_ONCE => {
                    heard.spawn(async move {
                        let target = tokio::time::timeout(PATIENCE, target(&mut stream)).await.ok().flatten();
                        target.map(|target| (stream, target))
                    });
                    continue;
                }
                Some(asked) = heard.join_next() => asked,
            };
            let Ok(Some((mut stream, target))) = asked else { continue };
            let is_ours = target.split(['?', '#']).next() == Some(&self.path) && self.has_our_state(&target);
            if !is_ours {
                strangers += 1;
                answer(&mut stream, "404 Not Found", "This is not the answer that is waited for.").await;
                continue;
            }
            let done = self.login.finish(&self.pending, &target).await;
            let says = match &done {
                Ok(_) => ("200 OK", "You are logged in. You can close this window."),
                Err(_) => ("400 Bad Request", "The login did not work: the program that began it says why."),
            };
            answer(&mut stream, says.0, says.1).await;
            return done;
        }
        Err(Error::Refused("too many requests that were no answer".to_owned()))
    }

    fn has_our_state(&self, target: &str) -> bool {
        let query = target.split_once('?').map_or("", |(_, query)| query);
        url::form_urlencoded::parse(query.as_bytes())
            .any(|(name, value)| name == "state" && value == self.pending.state.expose())
    }
}

/// The target of a GET request.
async fn target(stream: &mut TcpStream) -> Option<String> {
    let mut head = Vec::new();
    let mut part = [0; 1024];
    while !head.windows(4).any(|end| end == b"\r\n\r\n") {
        let read = stream.read(&mut part).await.ok().filter(|read| *read > 0 && head.len() + read <= LARGEST)?;
        head.extend_from_slice(part.get(..read)?);
    }
    let head = String::from_utf8(head).ok()?;
    let mut line = head.lines().next()?.split(' ');
    (line.next() == Some("GET")).then(|| line.next().map(str::to_owned)).flatten()
}

/// The colours and the shape of the server's own pages, by day and by night.
const STYLE: &str = "\
    body{margin:0;padding:clamp(1.25rem,6vh,5rem) 1rem;background:#f3f6f5;color:#16211f;\
    font:1rem/1.55 system-ui,-apple-system,\"Segoe UI\",Roboto,\"Noto Sans\",sans-serif}\
    main{max-width:29rem;margin:auto;padding:2rem 2.25rem;box-sizing:border-box;background:#fff;border:1px solid #dce4e1;border-radius:1rem}\
    h1{margin:0;font-size:1.375rem;line-height:1.3}\
    @media(prefers-color-scheme:dark){body{background:#111716;color:#e8efed}main{background:#1a2220;border-color:#2e3a37}}";

/// What a browser is allowed: this style and nothing else: its source is a hash.
fn policy() -> String {
    let hash = STANDARD.encode(digest::digest(&digest::SHA256, STYLE.as_bytes()));
    format!("default-src 'none'; style-src 'sha256-{hash}'")
}

fn page(says: &str) -> String {
    format!(
        "<!doctype html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta name=\"color-scheme\" content=\"light dark\">\n<title>{says}</title>\n<style>{STYLE}</style>\n\
         <main><h1>{says}</h1></main>\n</html>\n"
    )
}

async fn answer(stream: &mut TcpStream, status: &str, says: &str) {
    let (page, policy) = (page(says), policy());
    let head = format!(
        "HTTP/1.1 {status}\r\nContent-Type: text/html; charset=utf-8\r\nContent-Length: {}\r\nCache-Control: no-store\r\n\
         Content-Security-Policy: {policy}\r\nReferrer-Policy: no-referrer\r\nConnection: close\r\n\r\n",
        page.len()
    );
    // A browser that is gone needs no page.
    let _ = stream.write_all(format!("{head}{page}").as_bytes()).await;
    let _ = stream.shutdown().await;
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The hash is of what stands between the tags, to the byte: a browser would leave the style aside without a word.
    #[test]
    fn the_last_page_has_its_style_and_nothing_that_its_policy_stops() {
        let page = page("You are logged in.");
        let (_, rest) = page.split_once("<style>").expect("a style");
        let (style, rest) = rest.split_once("</style>").expect("its end");
        let hash = STANDARD.encode(digest::digest(&digest::SHA256, style.as_bytes()));
        assert!(policy().ends_with(&format!("style-src 'sha256-{hash}'")), "{}", policy());
        assert!(style.contains("prefers-color-scheme:dark") && !style.contains("url("), "{style}");
        assert!(!page.contains("<script") && !page.contains(" style=") && !rest.contains("<style"), "{page}");
    }
}
