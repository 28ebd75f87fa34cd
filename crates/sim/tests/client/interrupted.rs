//! `regrant token` as a user runs it, killed at each system call by which a refresh is kept and sent, and with a disk that is full at each of
//! them: the next call has a token, and nobody is asked to log in.

use std::os::unix::process::ExitStatusExt as _;
use std::process::{Command, Output};

use sim::process::{regrant, skip};
use sim::syscalls::can_record;

use super::support::{Desk, ran};

/// By these a session is kept.
const KEEPS: [&str; 4] = ["flock", "fsync", "rename", "write"];
/// By these it is sent, and its answer heard.
const SENDS: [&str; 3] = ["sendto", "writev", "recvfrom"];
/// No refresh has more of one kind in one thread.
const MOST: u32 = 40;

/// `regrant token work --refused TOKEN` under strace, which does `what` at the call of that kind and number.
async fn refreshed(desk: &Desk, token: &str, call: &str, what: &str, number: u32) -> Output {
    let mut command = Command::new("strace");
    let inject = format!("inject={call}:{what}:when={number}");
    command.args(["-f", "-qq", "-o", "/dev/null", "-e", &format!("trace={call}"), "-e", &inject]).arg(regrant());
    command.args(["token", "work", "--refused", token]);
    desk.at_home(&mut command);
    ran(command).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kill_at_each_system_call_of_a_refresh_loses_no_session() {
    let Some(desk) = desk().await else { return };
    let mut killed = 0;
    for call in KEEPS.into_iter().chain(SENDS) {
        for number in 1..=MOST {
            let token = desk.says(&["token", "work"]).await;
            let output = refreshed(&desk, token.trim(), call, "signal=SIGKILL", number).await;
            if output.status.signal().is_none() && output.status.code() != Some(128 + 9) {
                assert!(output.status.success(), "{call} {number}: {}", String::from_utf8_lossy(&output.stderr));
                break;
            }
            killed += 1;
            works(&desk, &format!("killed at {call} {number}")).await;
        }
    }
    println!("killed at {killed} system calls");
    assert!(killed >= 8, "{killed}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_at_each_system_call_of_a_refresh_loses_no_session() {
    let Some(desk) = desk().await else { return };
    let mut failed = 0;
    for call in ["fsync", "rename"] {
        for number in 1..=MOST {
            let token = desk.says(&["token", "work"]).await;
            let output = refreshed(&desk, token.trim(), call, "error=ENOSPC", number).await;
            let says = String::from_utf8_lossy(&output.stderr).into_owned();
            // Before the request: it is not sent, and said (74). After it: the token is there, and asked for again by the next one.
            match output.status.code() {
                Some(74) => failed += 1,
                Some(0) => {}
                other => panic!("{call} {number}: {other:?} {says}"),
            }
            works(&desk, &format!("{call} {number}: {says}")).await;
            if number > 6 && output.status.success() {
                break;
            }
        }
    }
    assert!(failed >= 2, "{failed}");
}

async fn desk() -> Option<Desk> {
    if let Err(why) = can_record() {
        skip("a refresh that is interrupted at each system call", &why);
        return None;
    }
    let desk = Desk::new();
    desk.log_in("work").await;
    Some(desk)
}

/// The session has a token, and the server takes it.
async fn works(desk: &Desk, when: &str) {
    let output = ran(desk.regrant(&["token", "work"])).await;
    assert!(output.status.success(), "{when}: {}", String::from_utf8_lossy(&output.stderr));
    let token = String::from_utf8(output.stdout).expect("text");
    let authorization = format!("Bearer {}", token.trim());
    let http = sim::wire::Http::new(desk.server.base());
    let told = http.get("/oauth2/userinfo", &[("authorization", &authorization)]).await;
    assert_eq!(told.status, 200, "{when}");
}
