//! What the process holds, and does not come to hold.

use sim::process::{Home, Scratch, Server};
use sim::startup::resident;
use sim::wire::{PASSWORD, USER};
use tokio::task::JoinSet;

const LOG_INS: usize = 304;
/// Fewer than one network may have waiting.
const AT_ONCE: usize = 4;
/// Two blocks of 19 MiB, and everything else.
const MOST: u64 = 80 * 1024 * 1024;

/// Check X6: passwords are worked on in two blocks of memory that stay, however many log in.
#[tokio::test(flavor = "multi_thread")]
async fn hundreds_of_log_ins_leave_two_blocks_of_memory_behind_and_no_more() {
    let scratch = Scratch::new("log-ins");
    let home = Home::make(&scratch.path().join("home"));
    home.add_user();
    let server = Server::start(&home);
    for _ in 0..LOG_INS / AT_ONCE {
        let mut together = JoinSet::new();
        for _ in 0..AT_ONCE {
            let http = server.http();
            together.spawn(async move {
                let asked =
                    [("grant_type", "password"), ("username", USER), ("password", PASSWORD), ("client_id", "phone")];
                let _ = http.post("/oauth2/token", &asked, &[]).await.expect_status(200);
            });
        }
        let _ = together.join_all().await;
    }
    let held = resident(server.pid());
    assert!(held < MOST, "{held} bytes");
    server.stop();
}
