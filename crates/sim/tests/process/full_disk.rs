//! A disk that takes no writes, full or read-only: the running server answers 503, consumes nothing, and goes on when it can (law L1).

use std::fs::File;
use std::io::Write as _;
use std::path::Path;
use std::process::Command;

use regrant_core::token::RefreshToken;
use regrant_store::Writes;
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

/// A loop device with a file system that becomes read-only after an error, as most do.
struct Fragile<'a> {
    small: Small<'a>,
    image: std::path::PathBuf,
}

impl<'a> Fragile<'a> {
    fn mount(directory: &'a Path, image: &Path) -> Result<Self, String> {
        let run = |program: &str, arguments: &[&str]| {
            let done = Command::new(program).args(arguments).output().map_err(|error| format!("{program}: {error}"))?;
            let said = String::from_utf8_lossy(&done.stderr).into_owned();
            if done.status.success() { Ok(()) } else { Err(format!("{program}: {said}")) }
        };
        std::fs::create_dir_all(directory).map_err(|error| error.to_string())?;
        File::create(image).and_then(|file| file.set_len(24 << 20)).map_err(|error| error.to_string())?;
        let (shown, place) = (image.display().to_string(), directory.display().to_string());
        run("mkfs.ext4", &["-q", "-F", "-O", "^has_journal", "-e", "remount-ro", &shown])?;
        run("mount", &["-o", "loop,errors=remount-ro", &shown, &place])?;
        let fragile = Self { small: Small(directory), image: image.to_owned() };
        if fragile.switch().exists() { Ok(fragile) } else { Err("the kernel has no switch for it".to_owned()) }
    }

    /// Where the kernel lets root say that an error was met.
    fn switch(&self) -> std::path::PathBuf {
        let listed = Command::new("losetup").arg("-j").arg(&self.image).output().expect("losetup");
        let listed = String::from_utf8_lossy(&listed.stdout).into_owned();
        let device = listed.split(':').next().and_then(|path| path.rsplit('/').next()).unwrap_or_default();
        Path::new("/sys/fs/ext4").join(device).join("trigger_fs_error")
    }

    fn fail(&self) {
        std::fs::write(self.switch(), "1").expect("an error of the file system");
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
    for writes in [Writes::Journal, Writes::Rows] {
        full_disk(writes).await;
    }
}

async fn full_disk(writes: Writes) {
    let scratch = Scratch::new("full");
    let home = Home::make(scratch.path());
    home.write_by(writes);
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

/// Check Z16: a file system that becomes read-only under a running server, after an error of its device. What only reads goes on,
/// writes are answered 503 with `Retry-After` and consume nothing, and when it can be written again everything is there.
#[tokio::test(flavor = "multi_thread")]
async fn a_file_system_that_becomes_read_only_stops_writing_and_nothing_else() {
    for writes in [Writes::Journal, Writes::Rows] {
        becomes_read_only(writes).await;
    }
}

async fn becomes_read_only(writes: Writes) {
    let scratch = Scratch::new("becomes-read-only");
    let home = Home::make(scratch.path());
    home.write_by(writes);
    let (data, image) = (home.data(), scratch.path().join("image"));
    let fragile = match Fragile::mount(&data, &image) {
        Ok(fragile) => fragile,
        Err(why) => return skip("the file system that becomes read-only", &why),
    };
    home.add_user();
    let server = Server::start(&home);
    let asked = [("grant_type", "password"), ("username", USER), ("password", PASSWORD), ("client_id", "phone")];
    let reply = server.http().post("/oauth2/token", &asked, &[]).await.expect_status(200);
    let (token, access) = (text(&reply.json(), "refresh_token"), text(&reply.json(), "access_token"));
    fragile.fail();
    for _ in 0..3 {
        refresh(&server, &token).await.expect_error(503, "temporarily_unavailable");
    }
    let basic = http::basic("api", SECRET);
    let shown = server.http().post("/oauth2/introspect", &[("token", &access)], &[("authorization", &basic)]).await;
    assert_eq!(shown.expect_status(200).json()["active"], true, "introspection goes on");
    for path in ["/oauth2/jwks", "/healthz", "/readyz"] {
        assert_eq!(server.http().get(path, &[]).await.status.as_u16(), 200, "{path}");
    }
    // Such a file system is repaired by mounting it anew, and the files that a process has open are of the old one.
    server.stop();
    drop(fragile);
    let fragile = Fragile { small: Small(&data), image };
    let shown = (fragile.image.display().to_string(), data.display().to_string());
    let done = Command::new("mount").args(["-o", "loop", &shown.0, &shown.1]).output().expect("mount");
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    let server = Server::start(&home);
    let next = text(&refresh(&server, &token).await.expect_status(200).json(), "refresh_token");
    server.stop();
    assert_eq!(generation(&home, &next).await, (2, 2), "nothing was consumed meanwhile");
    drop(fragile.small);
}

/// Check Z16: the same, and the running server recovers alone. Every write on the store is refused with `EROFS` for a while: a file
/// system of today's kernel that became read-only stays so until it is mounted anew.
#[tokio::test(flavor = "multi_thread")]
async fn the_server_goes_on_by_itself_when_the_file_system_can_be_written_again() {
    for writes in [Writes::Journal, Writes::Rows] {
        writable_again(writes).await;
    }
}

async fn writable_again(writes: Writes) {
    let scratch = Scratch::new("writable-again");
    let home = Home::make(scratch.path());
    home.write_by(writes);
    home.add_user();
    let server = Server::start(&home);
    let asked = [("grant_type", "password"), ("username", USER), ("password", PASSWORD), ("client_id", "phone")];
    let reply = server.http().post("/oauth2/token", &asked, &[]).await.expect_status(200);
    let (token, access) = (text(&reply.json(), "refresh_token"), text(&reply.json(), "access_token"));
    let mut strace = Command::new("strace");
    strace.args(["-f", "-o"]).arg(scratch.path().join("trace")).args(["-e", "inject=pwrite64:error=EROFS"]);
    for name in ["regrant.db", "regrant.db-wal", "regrant.db.lock", "regrant.db.anchor"] {
        strace.arg("-P").arg(home.data().join(name));
    }
    let started = strace.args(["-p", &server.pid().to_string()]).stderr(std::process::Stdio::null()).spawn();
    let mut tracer = match started {
        Ok(tracer) => tracer,
        Err(error) => return skip("the read-only file system", &error.to_string()),
    };
    let mut refused = refresh(&server, &token).await;
    let mut answered = 0;
    let mut token = token;
    // The first ones may come before strace holds all threads.
    while refused.status.as_u16() == 200 {
        token = text(&refused.json(), "refresh_token");
        answered += 1;
        assert!(answered < 1_000, "writes are never refused");
        pause(std::time::Duration::from_millis(10)).await;
        refused = refresh(&server, &token).await;
    }
    for reply in [refused, refresh(&server, &token).await, refresh(&server, &token).await] {
        reply.expect_error(503, "temporarily_unavailable");
    }
    let basic = http::basic("api", SECRET);
    let shown = server.http().post("/oauth2/introspect", &[("token", &access)], &[("authorization", &basic)]).await;
    assert_eq!(shown.expect_status(200).json()["active"], true, "introspection goes on");
    let _ = Command::new("kill").args(["-INT", &tracer.id().to_string()]).status();
    tracer.wait().expect("strace lets go");
    let next = text(&refresh(&server, &token).await.expect_status(200).json(), "refresh_token");
    let log = server.stop();
    assert!(log.contains("the database is read-only"), "{log}");
    assert_eq!(generation(&home, &next).await, (answered + 2, answered + 2), "one step, not one for each refusal");
}

/// Check Z5: only the log cannot grow: the database file itself has its place, and a checkpoint that finds room in it helps itself.
/// Check Z5: and the sweep meets the full disk, which ends nothing.
#[tokio::test(flavor = "multi_thread")]
async fn a_log_that_cannot_grow_and_a_sweep_on_a_full_disk_end_nothing() {
    let scratch = Scratch::new("full-log");
    let home = Home::make(scratch.path());
    let data = home.data();
    let small = match Small::mount(&data) {
        Ok(small) => small,
        Err(why) => return skip("the full disk", &why),
    };
    home.add_user();
    let inside = home.open_inside();
    let first = inside.first("phone").await;
    let (second, idle) = (inside.next("phone", &first).await, inside.first("phone").await);
    let log = data.join("regrant.db-wal");
    let before = std::fs::metadata(&log).expect("a log").len();
    small.fill();
    let mut token = second;
    let refused = loop {
        let reply = inside.refresh("phone", &token).await;
        if reply.status.as_u16() != 200 {
            break reply;
        }
        token = text(&reply.json(), "refresh_token");
    };
    refused.expect_error(503, "temporarily_unavailable");
    let grown = std::fs::metadata(&log).expect("a log").len();
    assert!(grown < before + (1 << 16), "the log had no room to grow, and went from {before} to {grown}");
    for _ in 0..3 {
        let swept = regrant_server::sweep::pass(&inside.app, std::time::Duration::ZERO).await;
        assert!(swept.is_err(), "the sweep writes at its end: {swept:?}");
        assert!(inside.app.engine.failure().is_none(), "nothing is in doubt");
    }
    inside.refresh("phone", &token).await.expect_error(503, "temporarily_unavailable");
    small.empty();
    regrant_server::sweep::pass(&inside.app, std::time::Duration::ZERO).await.expect("there is room");
    let next = inside.next("phone", &token).await;
    let _ = inside.next("phone", &idle).await;
    let _ = inside.next("phone", &next).await;
    inside.close(&home.store()).await;
}
