//! `regrant ready`: what a container engine hears of a server is what `/readyz` says.

use std::process::Stdio;

use sim::process::{Home, Scratch, Server};
use sim::wire::CONFIG;

/// The exit code, and what was said.
fn ready(home: &Home, arguments: &[&str]) -> (Option<i32>, String) {
    let ended = home.command(&["ready"]).args(arguments).stdin(Stdio::null()).output().expect("regrant runs");
    (ended.status.code(), String::from_utf8_lossy(&[ended.stdout, ended.stderr].concat()).into_owned())
}

/// It says yes, no while it drains, and nothing when it is gone: another exit code each time.
#[test]
fn the_exit_code_says_whether_a_server_takes_requests() {
    let scratch = Scratch::new("ready");
    let home = Home::make_with(&scratch.path().join("home"), CONFIG);
    let text = std::fs::read_to_string(home.config_file()).expect("a configuration");
    std::fs::write(home.config_file(), text.replace("drain_delay = \"0\"", "drain_delay = \"3s\"")).expect("written");
    let server = Server::start(&home);
    let base = server.base().to_owned();
    let url = ["--url", base.as_str()];
    assert_eq!(ready(&home, &url), (Some(0), "ready\n".to_owned()));
    let (code, told) = ready(&home, &["--url", &base, "--json"]);
    let told: serde_json::Value = serde_json::from_str(&told).expect("JSON");
    assert_eq!((code, &told["ready"], &told["status"]), (Some(0), &true.into(), &"ready".into()));

    let pid = i32::try_from(server.pid()).ok().and_then(rustix::process::Pid::from_raw).expect("a process");
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).expect("it is asked to stop");
    let mut heard = ready(&home, &url);
    while heard.0 == Some(0) {
        heard = ready(&home, &url);
    }
    assert!(heard.0 == Some(1) && heard.1.contains("stopping"), "{heard:?}");
    server.stopped();
    let (code, said) = ready(&home, &url);
    assert!(code == Some(69) && said.contains("is not ready"), "{code:?} {said}");
}

/// Without a URL it is the server of the configuration, where it listens.
#[test]
fn without_a_url_the_configuration_says_where_it_is() {
    let scratch = Scratch::new("ready-here");
    let home = Home::make(&scratch.path().join("home"));
    let server = Server::start(&home);
    let port = server.base().rsplit(':').next().expect("a port").to_owned();
    let ended = home
        .command(&["ready"])
        .env("REGRANT_LISTEN", format!("0.0.0.0:{port}"))
        .env("REGRANT_ISSUER", "https://auth.example.com")
        .output()
        .expect("regrant runs");
    assert_eq!(ended.status.code(), Some(0), "{ended:?}");
    let ended = home.command(&["ready", "--url", "auth.example.com"]).output().expect("regrant runs");
    assert_eq!(ended.status.code(), Some(2), "{ended:?}");
    server.stop();
}
