//! A machine that misbehaves, with the real binary: faults at single system calls, a log that is gone or foreign, a process that stands still.

use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use regrant_store::Writes;
use sim::process::{Home, Refused, Scratch, Server, pause, skip};
use sim::syscalls::can_record;
use sim::syscalls::inject::{Case, Template};
use sim::wire::{PASSWORD, Reply, USER, text};

/// Beside them, where each row is written in its place: what the two ways of writing do not share is within a transaction.
const SAMPLE_OF_ROWS: [&str; 8] = [
    "rotation:fdatasync:eio:1",
    "rotation:fdatasync:kill:1",
    "rotation:pwrite64:enospc:1",
    "rotation:pwrite64:kill:5",
    "redemption:pwrite64:kill:2",
    "revocation:fdatasync:kill:1",
    "start:pwrite64:kill:3",
    "stop:pwrite64:kill:1",
];

/// Faults that each have a row of their own in the table of `engine.rs`, and a few of every kind.
const SAMPLE: [&str; 30] = [
    "rotation:fdatasync:eio:1",
    "rotation:fdatasync:eio:2",
    "rotation:fdatasync:kill:1",
    "rotation:fdatasync:kill:2",
    "rotation:pwrite64:eio:1",
    "rotation:pwrite64:eio:3",
    "rotation:pwrite64:enospc:1",
    "rotation:pwrite64:enospc:4",
    "rotation:pwrite64:kill:1",
    "rotation:pwrite64:kill:5",
    "rotation:write:enospc:1",
    "rotation:write:eio:1",
    "rotation:writev:eio:1",
    "rotation:sendto:kill:1",
    "redemption:fdatasync:eio:1",
    "redemption:fdatasync:kill:1",
    "redemption:pwrite64:enospc:1",
    "redemption:pwrite64:kill:2",
    "redemption:writev:kill:1",
    "revocation:fdatasync:eio:1",
    "revocation:fdatasync:kill:1",
    "revocation:pwrite64:enospc:2",
    "start:fdatasync:eio:1",
    "start:fdatasync:kill:2",
    "start:pwrite64:enospc:1",
    "start:pwrite64:kill:3",
    "stop:fdatasync:eio:1",
    "stop:pwrite64:kill:1",
    "stop:fdatasync:kill:2",
    "stop:unlink:kill:1",
];

/// Checks Z2, Z4, Z5, T6: EIO, ENOSPC and SIGKILL at single system calls of a rotation, a redemption, a revocation, a start and a stop: what
/// was answered is there, what failed consumed nothing, a server that ends says why, and no device is asked to confirm twice.
/// Check Z16: killed while the log is moved into the file.
#[tokio::test(flavor = "multi_thread")]
async fn a_fault_at_a_single_system_call_loses_nothing_and_forks_nothing() {
    if let Err(why) = can_record() {
        return skip("faults at single system calls", &why);
    }
    for (writes, sample) in [(Writes::Journal, &SAMPLE[..]), (Writes::Rows, &SAMPLE_OF_ROWS)] {
        let scratch = Scratch::new("inject");
        let template = Template::make(&scratch.path().join("template"), writes).await;
        let mut fired = 0;
        for text in sample {
            let case: Case = text.parse().expect("a case");
            let outcome = template.run(&case, &scratch.path().join("case")).await;
            let way = format!("{writes:?}").to_lowercase();
            let replay = format!("replay: cargo run --release -p sim -- syscalls --writes {way} --only {case}");
            assert_eq!(outcome.violations, [""; 0], "{replay}");
            fired += usize::from(outcome.fired);
        }
        assert!(fired * 3 > sample.len() * 2, "only {fired} of {} faults came ({writes:?})", sample.len());
    }
}

fn beside(home: &Home, ending: &str) -> PathBuf {
    PathBuf::from(format!("{}{ending}", home.store().display()))
}

async fn refresh(server: &Server, token: &str) -> Reply {
    let asked = [("grant_type", "refresh_token"), ("refresh_token", token), ("client_id", "phone")];
    server.http().post("/oauth2/token", &asked, &[]).await
}

/// A deployment that was killed with a full log, and its last token.
async fn killed(scratch: &Scratch) -> (Home, String) {
    let home = Home::make(scratch.path());
    home.add_user();
    let server = Server::start(&home);
    let asked = [("grant_type", "password"), ("username", USER), ("password", PASSWORD), ("client_id", "phone")];
    let mut token =
        text(&server.http().post("/oauth2/token", &asked, &[]).await.expect_status(200).json(), "refresh_token");
    for _ in 0..3 {
        token = text(&refresh(&server, &token).await.expect_status(200).json(), "refresh_token");
    }
    server.kill();
    (home, token)
}

/// Check Z16: the index of the log is gone, or is nonsense: it is made anew, and everything that was answered is there.
#[tokio::test(flavor = "multi_thread")]
async fn a_missing_or_senseless_index_of_the_log_loses_nothing() {
    for senseless in [false, true] {
        let scratch = Scratch::new("shm");
        let (home, token) = killed(&scratch).await;
        if senseless {
            std::fs::write(beside(&home, "-shm"), vec![0xa5; 32 << 10]).expect("nonsense");
        } else {
            std::fs::remove_file(beside(&home, "-shm")).expect("the index goes");
        }
        let server = Server::start(&home);
        let _ = refresh(&server, &token).await.expect_status(200);
        server.stop();
    }
}

/// Check Z16: pages of the file that were flipped or cut off: the start is refused, or requests hear 503 or a refusal; nothing panics, and no token
/// is given for what cannot be read.
#[tokio::test(flavor = "multi_thread")]
async fn a_file_with_damaged_pages_is_refused_or_answers_no_token() {
    let scratch = Scratch::new("damage");
    let (home, token) = killed(&scratch).await;
    // Into the file, and the log away: what is damaged is all there is.
    Server::start(&home).stop();
    let whole = std::fs::read(home.store()).expect("the store");
    let anchor = std::fs::read(beside(&home, ".anchor")).expect("its anchor");
    for page in 0..whole.len() / 4096 {
        let mut bytes = whole.clone();
        bytes[page * 4096..(page + 1) * 4096].fill(0x5a);
        std::fs::write(home.store(), bytes).expect("damaged");
        match Server::try_start(home.command(&["serve"]), &home.log()) {
            Err(Refused { code, said }) => {
                assert!(
                    [Some(69), Some(78)].contains(&code) && said.contains("remedy"),
                    "page {page}: {code:?} {said}"
                );
            }
            Ok(server) => {
                let reply = refresh(&server, &token).await;
                assert!([200, 400, 503].contains(&reply.status.as_u16()), "page {page}: {}", reply.text());
                server.kill();
            }
        }
        for ending in ["-wal", "-shm"] {
            let _ = std::fs::remove_file(beside(&home, ending));
        }
        // What a damaged file answered counts, too: the next one is not behind it.
        std::fs::write(beside(&home, ".anchor"), &anchor).expect("as it was");
    }
    let log = std::fs::read_to_string(home.log()).expect("the log");
    assert!(!log.contains("panicked"), "{log}");
    std::fs::write(home.store(), whole).expect("restored");
    let server = Server::start(&home);
    let _ = refresh(&server, &token).await.expect_status(200);
    server.stop();
}

/// Check N4: a process that stands still in the middle of requests, as under a hypervisor: each is answered when it goes on, one step each.
#[tokio::test(flavor = "multi_thread")]
async fn a_process_that_stands_still_answers_when_it_goes_on() {
    let scratch = Scratch::new("still");
    let (home, mut token) = killed(&scratch).await;
    let server = Server::start(&home);
    let signal = |name: &str| {
        let sent = Command::new("kill").args([name, &server.pid().to_string()]).status().expect("kill");
        assert!(sent.success());
    };
    for _ in 0..3 {
        signal("-STOP");
        let asked = refresh(&server, &token);
        let goes_on = async {
            pause(Duration::from_millis(500)).await;
            signal("-CONT");
        };
        let (reply, ()) = tokio::join!(asked, goes_on);
        token = text(&reply.expect_status(200).json(), "refresh_token");
    }
    server.stop();
}
