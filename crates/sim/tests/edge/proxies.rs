//! Whose address a request came from, as the log of the real server shows it.

use sim::process::{Home, Scratch, Server};
use sim::wire::CONFIG;

use crate::edge::support::{raw, status};

/// The addresses that the server saw behind these header lines, in their order.
async fn seen(name: &str, top: &str, requests: &[&str]) -> Vec<String> {
    let scratch = Scratch::new(name);
    let home = Home::make_with(&scratch.path().join("home"), CONFIG);
    let text = std::fs::read_to_string(home.config_file()).expect("a configuration");
    std::fs::write(home.config_file(), format!("{top}\n{text}")).expect("written");
    let mut command = home.command(&["serve", "--log-format", "json"]);
    command.env("REGRANT_LOG", "regrant_server=debug");
    let server = Server::try_start(command, &home.log()).expect("the server starts");
    for lines in requests {
        // What the gate refuses is logged with the address.
        let answer =
            raw(server.base(), &format!("GET / HTTP/1.1\r\nhost: x\r\ncontent-encoding: gzip\r\n{lines}\r\n")).await;
        assert_eq!(status(&answer), 415);
    }
    let log = server.stop();
    let lines = log.lines().filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok());
    let gate = lines.filter(|line| line["refusal"] == "Encoding");
    gate.map(|line| line["address"].as_str().expect("an address").to_owned()).collect()
}

const CORPUS: [&str; 5] = [
    "",
    "x-forwarded-for: 6.6.6.6, 203.0.113.9\r\nx-real-ip: 6.6.6.7\r\n",
    "x-forwarded-for: 6.6.6.6\r\nx-forwarded-for: 203.0.113.9, 10.1.1.1\r\n",
    "forwarded: for=6.6.6.6, for=\"[2001:db8::9]:80\";host=evil\r\n",
    "x-forwarded-for: nonsense\r\n",
];

/// Check H1: a stranger's word about where it comes from is not heard, however it is said.
#[tokio::test(flavor = "multi_thread")]
async fn without_trusted_proxies_no_header_changes_the_address() {
    let own = "127.0.0.1";
    assert_eq!(seen("strangers", "", &CORPUS).await, [own; 5]);
    assert_eq!(seen("others", "trusted_proxies = [\"10.0.0.0/8\"]", &CORPUS).await, [own; 5]);
}

/// Check H1: a trusted proxy's word is heard, in the one header that it writes and no further than the last hop that is trusted.
#[tokio::test(flavor = "multi_thread")]
async fn a_trusted_proxys_word_is_heard() {
    let top = "trusted_proxies = [\"127.0.0.1\", \"10.0.0.0/8\"]";
    let own = "127.0.0.1";
    assert_eq!(seen("xff", top, &CORPUS).await, [own, "203.0.113.9", "203.0.113.9", own, own]);
    let top = format!("{top}\nforwarded_header = \"forwarded\"");
    assert_eq!(seen("forwarded", &top, &CORPUS).await, [own, own, own, "2001:db8::9", own]);
}
