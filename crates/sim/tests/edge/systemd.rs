//! systemd's protocols, without systemd: a socket that is passed on, and a socket that is told.

use std::os::fd::AsRawFd as _;
use std::os::unix::net::UnixDatagram;
use std::process::Command;
use std::time::Duration;

use sim::process::{Home, Scratch, Server};
use sim::wire::Http;

/// `regrant serve` behind a shell that does what systemd does before it starts a service: sockets from descriptor 3 on, and
/// `LISTEN_PID`, which is the service's own.
fn activated(home: &Home, socket: &std::net::TcpListener, names: &str) -> Command {
    let inner = home.command(&["serve"]);
    let mut command = Command::new("sh");
    // The descriptor is opened anew by its name in /proc: Rust's own are closed on exec.
    let script = "export LISTEN_PID=$$ LISTEN_FDS=1; exec \"$0\" \"$@\"";
    command.arg("-c").arg(script).arg(inner.get_program()).args(inner.get_args());
    command.env("LISTEN_FDNAMES", names);
    pass(&command, socket)
}

/// Lets a child have a socket as its descriptor 3, without `unsafe`: standard input is the one that can be given, and the shell moves it.
fn pass(command: &Command, socket: &std::net::TcpListener) -> Command {
    let copy: std::os::fd::OwnedFd = socket.try_clone().expect("a copy").into();
    let mut outer = Command::new("sh");
    outer.arg("-c").arg("exec 3<&0 </dev/null; exec \"$0\" \"$@\"").arg(command.get_program()).args(command.get_args());
    for (name, value) in command.get_envs() {
        outer.env(name, value.unwrap_or_default());
    }
    outer.stdin(std::process::Stdio::from(copy));
    outer
}

/// A socket that was passed on is listened on, instead of where the configuration says; it was there before the server, so that
/// who came before it is served.
#[tokio::test(flavor = "multi_thread")]
async fn a_passed_socket_is_served() {
    let scratch = Scratch::new("activation");
    let home = Home::make(&scratch.path().join("home"));
    let socket = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    assert!(socket.as_raw_fd() > 0);
    let address = socket.local_addr().expect("bound");
    let early = Http::new(&format!("http://{address}"));
    let waiting = tokio::spawn(async move { early.get("/readyz", &[]).await.status });
    let server =
        Server::try_start_with_input(activated(&home, &socket, "regrant.socket"), &home.log()).expect("it starts");
    assert_eq!(server.base(), format!("http://{address}"));
    assert_eq!(waiting.await.expect("an answer"), 200);
    server.stop();
    // The socket is still there: nobody is refused between two lives of the service.
    let late = Http::new(&format!("http://{address}"));
    let waiting = tokio::spawn(async move { late.get("/readyz", &[]).await.status });
    let server =
        Server::try_start_with_input(activated(&home, &socket, "regrant.socket"), &home.log()).expect("it starts");
    assert_eq!(waiting.await.expect("an answer"), 200);
    server.stop();
}

/// A socket of another name is not for clients.
#[tokio::test(flavor = "multi_thread")]
async fn a_passed_socket_of_another_name_is_left_alone() {
    let scratch = Scratch::new("named");
    let home = Home::make(&scratch.path().join("home"));
    let socket = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = socket.local_addr().expect("bound");
    let server = Server::try_start_with_input(activated(&home, &socket, "metrics"), &home.log()).expect("it starts");
    assert_ne!(server.base(), format!("http://{address}"));
    server.stop();
}

/// The service manager hears when the server serves, that it lives, and that it stops; in this order.
#[tokio::test(flavor = "multi_thread")]
async fn the_service_manager_hears_of_our_state() {
    let scratch = Scratch::new("notify");
    let home = Home::make(&scratch.path().join("home"));
    let path = scratch.path().join("notify");
    let socket = UnixDatagram::bind(&path).expect("a socket");
    socket.set_read_timeout(Some(Duration::from_secs(20))).expect("a limit");
    let next = || {
        let mut text = [0; 1000];
        let length = socket.recv(&mut text).expect("a message");
        String::from_utf8_lossy(&text[..length]).into_owned()
    };
    let mut command = home.command(&["serve"]);
    command.env("NOTIFY_SOCKET", &path).env("WATCHDOG_USEC", "300000");
    let server = Server::try_start(command, &home.log()).expect("it starts");
    let mut heard = vec![next()];
    while heard.iter().filter(|message| message.contains("WATCHDOG=1\n")).count() < 3 {
        heard.push(next());
    }
    assert_eq!(heard.iter().filter(|message| message.starts_with("READY=1\n")).count(), 1, "{heard:?}");
    server.stop();
    loop {
        let message = next();
        if message.starts_with("STOPPING=1\n") {
            break;
        }
        assert_eq!(message, "WATCHDOG=1\n");
    }
    // Who is watched is named: another process's watchdog is none of ours.
    let mut command = home.command(&["serve"]);
    command.env("NOTIFY_SOCKET", &path).env("WATCHDOG_USEC", "1000").env("WATCHDOG_PID", "1");
    Server::try_start(command, &home.log()).expect("it starts").stop();
    let heard = [next(), next()];
    assert!(heard[0].starts_with("READY=1\n") && heard[1].starts_with("STOPPING=1\n"), "{heard:?}");
    socket.set_nonblocking(true).expect("a socket");
    assert!(socket.recv(&mut [0; 10]).is_err(), "nothing else was said");
}
