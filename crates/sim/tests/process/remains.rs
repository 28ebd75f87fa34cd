//! What a memory dump of the running server holds, once it is idle again: what gcore would write. And who may make one.

use std::fs::File;
use std::io::{ErrorKind, Read as _, Seek as _, SeekFrom};

use sim::process::{Holder, Home, Scratch, Server, skip};
use sim::wire::{PASSWORD, USER, text};

const IDEMPOTENCY_KEY: &str = "canary-idempotency-key-1302";
/// A mapping that is read in pieces of this size.
const PIECE: usize = 1 << 20;

/// Check K4, law L6: of a password, an idempotency key and what else was read out of requests nothing is left in memory once they are
/// answered; no core is ever written; and to other processes of its user the memory is closed. What is left, and not ours to erase, are the
/// bytes as they came and went: buffers of connections, until they are used again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_read_out_of_requests_is_not_left_in_memory() {
    let scratch = Scratch::new("remains");
    let home = Home::make(scratch.path());
    home.add_user();
    let server = Server::start(&home);
    let http = server.http();
    let holder = Holder::Keyed;
    let (form, _) = holder.request(&[("grant_type", "password"), ("username", USER), ("password", PASSWORD)], "");
    let first = text(&http.post("/oauth2/token", &form, &[]).await.expect_status(200).json(), "refresh_token");
    let (form, headers) =
        holder.request(&[("grant_type", "refresh_token"), ("refresh_token", &first)], IDEMPOTENCY_KEY);
    let headers: Vec<(&str, &str)> = headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let _ = http.post("/oauth2/token", &form, &headers).await.expect_status(200);
    for _ in 0..50 {
        let _ = http.get("/oauth2/jwks", &[]).await.expect_status(200);
    }
    let mut lock = home.store().into_os_string();
    lock.push(".lock");
    let pid = std::fs::read_to_string(lock).expect("a lock file").trim().to_owned();
    let limits = std::fs::read_to_string(format!("/proc/{pid}/limits")).expect("limits");
    let cores = limits.lines().find(|line| line.starts_with("Max core file size")).expect("a limit of cores");
    assert_eq!(cores.split_whitespace().filter(|word| *word == "0").count(), 2, "{cores}");
    let canaries = [("password", PASSWORD), ("idempotency key", IDEMPOTENCY_KEY)];
    match remains(&pid, &canaries) {
        Ok(found) => assert_eq!(found, [""; 0], "left in memory"),
        // Whoever is not root is refused, though it is his own process: that is the other half.
        Err(error) if error.kind() == ErrorKind::PermissionDenied => {}
        Err(error) => skip("a look into the memory of another process", &error.to_string()),
    }
    server.stop();
}

/// Which of these are in what the process may write to.
fn remains(pid: &str, canaries: &[(&'static str, &str)]) -> std::io::Result<Vec<&'static str>> {
    let mut memory = File::open(format!("/proc/{pid}/mem"))?;
    let maps = std::fs::read_to_string(format!("/proc/{pid}/maps"))?;
    let mut found = Vec::new();
    for line in maps.lines().filter(|line| line.contains(" rw")) {
        let range = line.split_whitespace().next().unwrap_or_default();
        let Some((from, until)) = range.split_once('-') else { continue };
        let number = |text: &str| u64::from_str_radix(text, 16).unwrap_or(0);
        let (mut at, until) = (number(from), number(until));
        let mut before: Vec<u8> = Vec::new();
        while at < until {
            let length = PIECE.min(usize::try_from(until - at).unwrap_or(PIECE));
            let mut piece = vec![0; length];
            memory.seek(SeekFrom::Start(at))?;
            if memory.read_exact(&mut piece).is_err() {
                break;
            }
            at += length as u64;
            if piece.iter().all(|byte| *byte == 0) {
                before.clear();
                continue;
            }
            before.extend_from_slice(&piece);
            for (name, canary) in canaries {
                if !found.contains(name) && before.windows(canary.len()).any(|window| window == canary.as_bytes()) {
                    found.push(*name);
                }
            }
            before.drain(..before.len().saturating_sub(64));
        }
    }
    Ok(found)
}
