//! A full disk: the running server answers 503, consumes nothing, and goes on when there is room (law L1).

use std::fs::File;
use std::io::Write as _;
use std::path::Path;
use std::process::Command;

use regrant_core::token::RefreshToken;
use sim::process::{Home, Refused, Scratch, Server, pause, skip};
use sim::wire::{PASSWORD, Reply, SECRET, USER, http, text};

/// A file system of its own, of 12 MiB.
struct Small<'a>(&'a Path);

impl<'a> Small<'a> {
    fn mount(directory: &'a Path) -> Result<Self, String> {
        std::fs::create_dir_all(directory).map_err(|error| error.to_string())?;
        let mut command = Command::new("mount");
        command.args(["-t", "tmpfs", "-o", "size=12m,mode=0700", "tmpfs"]).arg(directory);
        let done = command.output().map_err(|error| error.to_string())?;
        if done.status.success() {
            Ok(Self(directory))
        } else {
            Err(String::from_utf8_lossy(&done.stderr).into_owned())
        }
    }

    /// Writes until nothing more fits.
    fn fill(&self) {
        let mut file = File::create(self.0.join("filler")).expect("a file");
        for size in [1 << 16, 1 << 12, 1] {
            while file.write_all(&vec![1; size]).is_ok() {}
        }
    }

    fn empty(&self) {
        std::fs::remove_file(self.0.join("filler")).expect("the filler goes");
    }
}

impl Drop for Small<'_> {
    fn drop(&mut self) {
        let _ = Command::new("umount").args(["--lazy"]).arg(self.0).status();
    }
}

async fn refresh(server: &Server, token: &str) -> Reply {
    let asked = [("grant_type", "refresh_token"), ("refresh_token", token), ("client_id", "phone")];
    server.http().post("/oauth2/token", &asked, &[]).await
}

async fn generation(home: &Home, token: &str) -> (u32, u32) {
    let inside = home.open_inside();
    let token = RefreshToken::open(token, &inside.app.engine.keys()).expect("a token of ours");
    let row = inside.app.engine.load(token.grant).await.expect("the store answers").expect("an intact row").grant;
    inside.close(&home.store()).await;
    (token.generation, row.generation)
}

/// Checks X12, Z5: reading and introspection go on, writes are answered 503, and it recovers by itself, without a restart.
/// Law L1: on a full disk a refresh is answered 503 with `Retry-After` and consumes nothing; with room again the same token works.
/// Check K6: a server that finds no room at start says so and changes nothing.
#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_is_answered_503_and_consumes_nothing() {
    let scratch = Scratch::new("full");
    let home = Home::make(scratch.path());
    let data = home.data();
    let small = match Small::mount(&data) {
        Ok(small) => small,
        Err(why) => return skip("the full disk", &why),
    };
    home.add_user();
    let server = Server::start(&home);
    let asked = [("grant_type", "password"), ("username", USER), ("password", PASSWORD), ("client_id", "phone")];
    let reply = server.http().post("/oauth2/token", &asked, &[]).await.expect_status(200);
    let mut token = text(&reply.json(), "refresh_token");
    let access = text(&reply.json(), "access_token");
    small.fill();
    // What the log has room for already still succeeds, and is true.
    let mut answered = 0;
    let refused = loop {
        let reply = refresh(&server, &token).await;
        if reply.status.as_u16() != 200 {
            break reply;
        }
        token = text(&reply.json(), "refresh_token");
        answered += 1;
        assert!(answered < 5_000, "the disk is never full");
    };
    for reply in [refused, refresh(&server, &token).await, refresh(&server, &token).await] {
        reply.expect_error(503, "temporarily_unavailable");
    }
    // Nothing that only reads is disturbed.
    let basic = http::basic("api", SECRET);
    let shown = server.http().post("/oauth2/introspect", &[("token", &access)], &[("authorization", &basic)]).await;
    assert_eq!(shown.expect_status(200).json()["active"], true, "introspection goes on");
    let bearer = format!("Bearer {access}");
    let _ = server.http().get("/oauth2/userinfo", &[("authorization", &bearer)]).await.expect_status(200);
    for path in ["/.well-known/oauth-authorization-server", "/healthz", "/readyz"] {
        let _ = server.http().get(path, &[]).await.expect_status(200);
    }
    assert_eq!(server.http().get("/oauth2/jwks", &[]).await.status.as_u16(), 200);
    small.empty();
    let mut recovered = refresh(&server, &token).await;
    for _ in 0..100 {
        if recovered.status.as_u16() == 200 {
            break;
        }
        recovered.expect_error(503, "temporarily_unavailable");
        pause(std::time::Duration::from_millis(50)).await;
        recovered = refresh(&server, &token).await;
    }
    let next = text(&recovered.expect_status(200).json(), "refresh_token");
    server.stop();
    // One step, and not one for each request that was refused.
    let (presented, row) = generation(&home, &next).await;
    assert_eq!((presented, row), (answered + 2, answered + 2));
    // Starting without room.
    small.fill();
    let before = std::fs::read(home.store()).expect("the store");
    let Refused { code, said } = Server::try_start(home.command(&["serve"]), &home.log()).expect_err("no room");
    assert_eq!(code, Some(69), "{said}");
    assert!(said.contains("no space") && said.contains("remedy"), "{said}");
    assert!(std::fs::read(home.store()).expect("the store") == before, "something was changed");
    small.empty();
    let server = Server::start(&home);
    let _ = refresh(&server, &next).await.expect_status(200);
    server.stop();
}

/// Check Z16: on a read-only file system a start is refused, with a remedy; when it can be written again, it starts.
#[tokio::test(flavor = "multi_thread")]
async fn a_read_only_file_system_is_refused_with_a_remedy() {
    let scratch = Scratch::new("read-only");
    let home = Home::make(scratch.path());
    let data = home.data();
    let small = match Small::mount(&data) {
        Ok(small) => small,
        Err(why) => return skip("the read-only file system", &why),
    };
    home.add_user();
    let remount = |how: &str| {
        let done = Command::new("mount").args(["-o", how]).arg(small.0).output().expect("mount");
        assert!(done.status.success(), "{how}: {}", String::from_utf8_lossy(&done.stderr));
    };
    remount("remount,ro");
    let Refused { code, said } = Server::try_start(home.command(&["serve"]), &home.log()).expect_err("read-only");
    assert_eq!(code, Some(69), "{said}");
    assert!(said.contains("read-only") && said.contains("remedy"), "{said}");
    remount("remount,rw");
    Server::start(&home).stop();
}
