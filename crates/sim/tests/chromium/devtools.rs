//! The DevTools protocol over `--remote-debugging-pipe`: JSON messages, each ended by a zero byte, on the descriptors 3 and 4. A shell
//! lays the standard input and output onto them, so that no socket and no library is needed.

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::sync::mpsc;

const CHROMIUM: &str = "/usr/bin/chromium";
/// Only for a browser that hangs: nothing is measured by it.
const PATIENCE: Duration = Duration::from_secs(60);

/// A browser of its own, with an empty profile.
pub(crate) struct Chromium {
    child: Child,
    input: ChildStdin,
    output: mpsc::UnboundedReceiver<Value>,
    profile: PathBuf,
    next: u64,
    /// What came in between, in order.
    events: Vec<Value>,
}

impl Chromium {
    /// Starts it. `None` if there is none on this machine, which is said aloud.
    ///
    /// # Panics
    /// With `CI=true`, if there is none.
    pub(crate) fn start(name: &str) -> Option<Self> {
        if !Path::new(CHROMIUM).exists() {
            assert!(std::env::var("CI").as_deref() != Ok("true"), "{CHROMIUM} is missing");
            println!("skipped: {CHROMIUM} is not installed");
            return None;
        }
        let profile = std::env::temp_dir().join(format!("regrant-chromium-{}-{name}", std::process::id()));
        let mut child = Command::new("/bin/sh")
            .args(["-c", "exec \"$@\" 3<&0 4>&1 </dev/null >/dev/null 2>&1", "sh", CHROMIUM])
            .args([
                "--headless",
                "--no-sandbox",
                "--disable-gpu",
                "--disable-quic",
                "--no-first-run",
                "--hide-scrollbars",
            ])
            .args([
                "--disable-background-networking",
                "--disable-component-update",
                "--disable-sync",
                "--disable-dev-shm-usage",
            ])
            .args(["--disable-crash-reporter", "--remote-debugging-pipe", "about:blank"])
            .arg(format!("--user-data-dir={}", profile.display()))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("a shell");
        let input = child.stdin.take().expect("piped");
        let mut reader = BufReader::new(child.stdout.take().expect("piped"));
        let (send, output) = mpsc::unbounded_channel();
        std::thread::spawn(move || {
            let mut message = Vec::new();
            while reader.read_until(0, &mut message).is_ok_and(|read| read > 0) {
                message.pop();
                let Ok(value) = serde_json::from_slice(&message) else { return };
                if send.send(value).is_err() {
                    return;
                }
                message.clear();
            }
        });
        Some(Self { child, input, output, profile, next: 0, events: Vec::new() })
    }

    /// Calls a method and waits for its result.
    pub(crate) async fn call(&mut self, session: Option<&str>, method: &str, parameters: Value) -> Value {
        self.next += 1;
        let id = self.next;
        let mut message = json!({"id": id, "method": method, "params": parameters});
        if let Some(session) = session {
            message["sessionId"] = session.into();
        }
        let mut bytes = serde_json::to_vec(&message).expect("JSON");
        bytes.push(0);
        self.input.write_all(&bytes).and_then(|()| self.input.flush()).expect("the browser listens");
        loop {
            let message = self.receive().await;
            if message["id"] == id {
                assert!(message["error"].is_null(), "{method}: {}", message["error"]);
                return message["result"].clone();
            }
        }
    }

    /// Waits for an event that has not been [seen](Self::take_events) yet.
    pub(crate) async fn event(&mut self, session: &str, method: &str) -> Value {
        let fits = |event: &Value| event["method"] == method && event["sessionId"] == session;
        loop {
            if let Some(at) = self.events.iter().position(fits) {
                return self.events.remove(at)["params"].clone();
            }
            self.receive().await;
        }
    }

    /// All events of a kind that have come in so far.
    pub(crate) fn take_events(&mut self, method: &str) -> Vec<Value> {
        let (taken, left) = self.events.drain(..).partition(|event| event["method"] == method);
        self.events = left;
        taken
    }

    async fn receive(&mut self) -> Value {
        let message = tokio::time::timeout(PATIENCE, self.output.recv()).await.expect("the browser answers");
        let message = message.expect("the browser lives");
        if message["method"].is_string() {
            self.events.push(message.clone());
        }
        message
    }
}

impl Drop for Chromium {
    fn drop(&mut self) {
        // Closed in good order, it leaves nothing running that would write into the profile once more.
        let asked =
            self.input.write_all(b"{\"id\":0,\"method\":\"Browser.close\"}\0").and_then(|()| self.input.flush());
        if asked.is_err() || std::thread::panicking() {
            let _ = self.child.kill();
        }
        let _ = self.child.wait();
        let _ = std::fs::remove_dir_all(&self.profile);
    }
}
