//! The examples in Python, Node and Go, which use the agent: each gets the resource with a token that is fresh.

use std::path::PathBuf;
use std::process::Command;

use sim::process::skip;
use sim::wire::text;

use super::support::{Desk, ran};

fn example(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../examples/agent").join(name)
}

#[tokio::test(flavor = "multi_thread")]
async fn programs_in_other_languages_use_the_agent() {
    let desk = Desk::new();
    desk.log_in("work").await;
    let (_agent, told) = desk.start(&["agent"]);
    let url = format!("{}/oauth2/userinfo", desk.server.base());
    for (program, arguments, file) in
        [("python3", &[][..], "client.py"), ("node", &[], "client.mjs"), ("go", &["run"], "client.go")]
    {
        if Command::new(program).arg(if program == "go" { "version" } else { "--version" }).output().is_err() {
            skip(file, &format!("{program} is not installed"));
            continue;
        }
        let mut command = Command::new(program);
        command.args(arguments).arg(example(file)).args(["work", &url]);
        desk.at_home(&mut command);
        command.env("REGRANT_AGENT", text(&told, "socket"));
        let output = ran(command).await;
        let (said, failed) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert!(output.status.success() && said.contains("\"sub\""), "{file}: {said} {failed}");
    }
}
