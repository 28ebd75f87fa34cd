//! Who can read the memory of the running server (a core dump, a hole in a library): what he finds, and what he does not.
//!
//! | in memory | is it found? |
//! |---|---|
//! | the keys from which seeds and tags are made | yes: without them nothing is answered |
//! | the root key's bytes | yes: the next key is wrapped under it |
//! | the text of its file | no: wiped when it was read |
//! | what this process has received or answered | for a while: buffers of the network and of HTTP are freed, not wiped |
//! | refresh tokens, codes, passwords, secrets, cookies that this process has not seen | no, although it has read the rows of their grants |
//!
//! So a reader gets the tokens that were on their way while he read, and the keys: with a copy of the database those are enough for the rest,
//! which `exploit.rs` shows. The last rows are what is tested, and the first two, as the control of the search.

use std::os::unix::fs::FileExt as _;

use sim::canary::{Canary, Finding, search};
use sim::exploit::Loot;
use sim::process::{Home, Scratch, Server, skip};
use sim::wire::browser::parameter;
use sim::wire::{Browser, CONFIG, PASSWORD, SECRET, USER, authorization, http, text};

/// A user whom the second process sees.
const OTHER: &str = "bob";
/// Another one than [`PASSWORD`], so that nobody shows that one to the second process.
const PASSWORD_OF_OTHER: &str = "quite another sentence 1789";
/// More than one batch, so that buffers are used again.
const ROUNDS: usize = 50;
/// Mappings beyond this are none of ours.
const LARGEST: u64 = 512 << 20;

/// What is writable in a process and not a file: heap, stacks, buffers. `None` if it may not be read.
fn memory(pid: u32) -> Option<Vec<u8>> {
    let maps = std::fs::read_to_string(format!("/proc/{pid}/maps")).ok()?;
    let file = std::fs::File::open(format!("/proc/{pid}/mem")).ok()?;
    let mut all = Vec::new();
    for line in maps.lines() {
        let words: Vec<&str> = line.split_whitespace().collect();
        let (Some((from, to)), true) = (words[0].split_once('-'), words[1].starts_with("rw")) else { continue };
        let number = |text| u64::from_str_radix(text, 16).expect("an address");
        let (from, to) = (number(from), number(to));
        let is_file = words.get(5).is_some_and(|name| name.starts_with('/'));
        if is_file || to - from > LARGEST {
            continue;
        }
        let mut block = vec![0; usize::try_from(to - from).expect("it fits")];
        // A mapping that went away meanwhile has nothing to tell.
        if file.read_exact_at(&mut block, from).is_ok() {
            all.extend(block);
        }
    }
    Some(all)
}

/// What the first process makes and receives: none of it is shown to the second.
async fn idle(server: &Server) -> Vec<Canary> {
    let mut canaries = vec![Canary::text("password", PASSWORD), Canary::text("client secret", SECRET)];
    for client in ["phone", "web-single"] {
        let basic = http::basic(client, SECRET);
        let headers: Vec<(&str, &str)> =
            if client == "phone" { Vec::new() } else { vec![("authorization", basic.as_str())] };
        let named = |mut form: Vec<(&'static str, String)>| {
            if client == "phone" {
                form.push(("client_id", client.to_owned()));
            }
            form
        };
        let mut form = named(vec![
            ("grant_type", "password".to_owned()),
            ("username", USER.to_owned()),
            ("password", PASSWORD.to_owned()),
        ]);
        for name in ["spent", "live"] {
            let pairs: Vec<(&str, &str)> = form.iter().map(|(name, value)| (*name, value.as_str())).collect();
            let body = server.http().post("/oauth2/token", &pairs, &headers).await.expect_status(200).json();
            let token = text(&body, "refresh_token");
            canaries.push(Canary::token(format!("{name} refresh token of {client}"), &token));
            let access = text(&body, "access_token");
            let signature = access.rsplit('.').next().expect("a token");
            canaries.push(Canary::text(format!("{name} access token of {client}"), signature));
            form = named(vec![("grant_type", "refresh_token".to_owned()), ("refresh_token", token)]);
        }
    }
    let mut browser = Browser::new(server.base());
    let location = browser.authorize_as(&authorization("phone", &[]), USER).await;
    let code = parameter(&location, "code").unwrap_or_else(|| panic!("no code: {location}"));
    canaries.push(Canary::token("code", &code));
    canaries.extend(browser.cookies().iter().map(|(name, value)| Canary::text(format!("cookie {name}"), value)));
    canaries
}

/// The second process at work for somebody else; it has read the first one's grants as well. The last token of it.
async fn at_work(server: &Server, home: &Home) -> String {
    let form =
        [("grant_type", "password"), ("username", OTHER), ("password", PASSWORD_OF_OTHER), ("client_id", "phone")];
    let body = server.http().post("/oauth2/token", &form, &[]).await.expect_status(200).json();
    let mut token = text(&body, "refresh_token");
    for _ in 0..ROUNDS {
        let form = [("grant_type", "refresh_token"), ("refresh_token", token.as_str()), ("client_id", "phone")];
        let body = server.http().post("/oauth2/token", &form, &[]).await.expect_status(200).json();
        token = text(&body, "refresh_token");
    }
    let list = home.command(&["grants", "list", "--user", USER, "--json"]).output().expect("it runs");
    let list: serde_json::Value = serde_json::from_slice(&list.stdout).expect("JSON");
    assert!(list.as_array().is_some_and(|grants| grants.len() >= 3), "{list}");
    token
}

fn of_each(found: &[Finding], name: &str) -> usize {
    found.iter().filter(|finding| finding.name.starts_with(name)).count()
}

/// Check K4: the memory of a server that runs holds no token, code, password, secret or cookie that it was not shown, nor the
/// text of the root key's file.
/// Law L6: idle tokens are nowhere, not in memory either.
#[tokio::test(flavor = "multi_thread")]
async fn memory_holds_no_secret_that_the_process_was_not_shown() {
    let scratch = Scratch::new("memory-read");
    let home = Home::make_with(scratch.path(), CONFIG);
    home.add_user();
    home.add_user_with(OTHER, PASSWORD_OF_OTHER);
    let first = Server::start(&home);
    let mut idle = idle(&first).await;
    let shown = first.pid();
    // The search sees what is there: this process has just had them all.
    let Some(bytes) = memory(shown) else {
        skip("the memory of the server", "it denies it to others, and only root reads it all the same");
        return;
    };
    let lingering = search("memory", &bytes, &idle);
    println!("of {} secrets that it was shown, a process still holds {}", idle.len(), lingering.len());
    first.stop();
    let second = Server::start(&home);
    let token = at_work(&second, &home).await;
    let copy = Scratch::new("memory-read-keys");
    let copied = home.copy_to(copy.path());
    let loot = Loot::take(&copied.store(), &copied.root_key_file()).expect("the keys open");
    let root = std::fs::read_to_string(home.root_key_file()).expect("the root key");
    idle.push(Canary::text("text of the root key's file", root.trim()));
    let bytes = memory(second.pid()).expect("as before");
    assert!(bytes.len() > 1 << 20, "{} bytes", bytes.len());
    assert_eq!(search("memory", &bytes, &idle), [], "of {} bytes", bytes.len());
    // What is there by design, and what was on its way.
    let mut by_design: Vec<Canary> =
        loot.seed_keys.iter().map(|(id, key)| Canary::bytes(format!("seed key {id}"), key)).collect();
    by_design.push(Canary::bytes("root key", &loot.root));
    by_design.push(Canary::token("the last token", &token));
    let found = search("memory", &bytes, &by_design);
    println!("{} bytes; the last token: {} found", bytes.len(), of_each(&found, "the last token"));
    for name in ["seed key", "root key"] {
        assert!(of_each(&found, name) > 0, "the search does not see the {name}, which must be there");
    }
    second.stop();
}
