//! Keychains: the kernel's keyring, which every Linux has, and the Secret Service of a desktop, where one is installed.

use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use regrant_client::store::contract;
use regrant_client::{Clock, FileStore, Keychain, KeychainStore, Sealing, Session, Store as _};
use sim::process::{Scratch, skip};

use super::support::{Desk, Strict, again, ran, settings, told};

/// The sessions that the contract knows, and ours.
const NAMES: [&str; 11] = [
    "contract-whole",
    "contract-revision",
    "contract-a",
    "contract-A",
    "contract-a.b",
    "contract-a b",
    "contract-\u{e9}",
    "contract-a%2f",
    "key",
    "s",
    "moved",
];

/// A part of the kernel's keyring that no other test sees, and that is empty when the test is over.
struct Kernel(Keychain);

impl Kernel {
    /// `None` where a container forbids the system calls of keyrings: no package mends that, so CI has no say.
    fn new(scratch: &Scratch) -> Option<Self> {
        let keychain = Keychain::kernel(format!("regrant test {}", scratch.path().display())).expect("a keyring");
        match keychain.delete("probe") {
            Ok(()) => Some(Self(keychain)),
            Err(why) => {
                println!("skipped: the kernel's keyring: {why}");
                None
            }
        }
    }
}

impl Drop for Kernel {
    fn drop(&mut self) {
        for name in NAMES {
            let _ = self.0.delete(name);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_kernels_keyring_keeps_the_contract_of_stores() {
    let scratch = Scratch::new("kernel");
    let Some(kernel) = Kernel::new(&scratch) else { return };
    assert!(!kernel.0.is_lasting(), "it forgets when the machine restarts, and says so");
    contract::holds(&KeychainStore::open(kernel.0.clone(), scratch.path().join("locks")).expect("a store")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_kernels_keyring_keeps_the_key_of_sealed_files() {
    let scratch = Scratch::new("kernel-key");
    let Some(kernel) = Kernel::new(&scratch) else { return };
    a_key_is_made_once_and_never_over_sessions(&kernel.0, scratch.path()).await;
    a_key_file_is_moved(&kernel.0, scratch.path()).await;
}

/// Two programs over one keychain: each expiry costs one request, and nothing newer is overwritten.
#[tokio::test(flavor = "multi_thread")]
async fn sessions_in_a_keychain_are_refreshed_once() {
    let scratch = Scratch::new("kernel-once");
    let Some(kernel) = Kernel::new(&scratch) else { return };
    let open = || KeychainStore::open(kernel.0.clone(), scratch.path().join("locks")).expect("a store");
    one_refresh(open).await;
}

async fn one_refresh(open: impl Fn() -> KeychainStore) {
    let (server, clock) = (Strict::start(60).await, Clock::manual());
    server.session(Arc::new(open()), &clock).await;
    let mut sessions = Vec::new();
    for _ in 0..8 {
        let opened = Session::open_with(Arc::new(open()), server.profile("s"), settings(&clock)).await;
        sessions.push(opened.expect("a session"));
    }
    clock.advance(Duration::from_secs(3600));
    let asking: Vec<_> =
        sessions.into_iter().map(|session| tokio::spawn(async move { session.token().await })).collect();
    let mut tokens = std::collections::BTreeSet::new();
    for asked in asking {
        tokens.insert(asked.await.expect("it ends").expect("a token").expose().to_owned());
    }
    assert_eq!((tokens.len(), server.asked(), server.refused()), (1, 1, 0));
}

async fn a_key_is_made_once_and_never_over_sessions(keychain: &Keychain, scratch: &Path) {
    let directory = scratch.join("sessions");
    let open = || FileStore::open(&directory, &Sealing::Keychain(keychain.clone(), "key".to_owned()));
    let server = Strict::start(60).await;
    server.session(Arc::new(open().expect("a store")), &Clock::manual()).await;
    let kept = open().expect("a store").load("s").await.expect("it opens");
    assert!(kept.is_some_and(|record| record.tokens.is_some()), "the key was not kept");
    let names = std::fs::read_dir(&directory).expect("a directory").map(|entry| entry.expect("an entry").file_name());
    let names: Vec<_> = names.map(|name| name.to_string_lossy().into_owned()).collect();
    assert!(!names.iter().any(|name| name == "salt" || name == "key"), "a key is on the disk: {names:?}");
    // A lost key is a lost session, and no reason to make another one that would not open it either.
    keychain.delete("key").expect("deleted");
    for _ in 0..2 {
        let lost = open().expect_err("there is no key for what is there");
        assert!(lost.0.contains("log in again") && lost.0.contains("key in "), "{lost}");
    }
}

async fn a_key_file_is_moved(keychain: &Keychain, scratch: &Path) {
    let (directory, file) = (scratch.join("moved"), scratch.join("a-key"));
    let server = Strict::start(60).await;
    let before = FileStore::open(&directory, &Sealing::KeyFile(file.clone())).expect("a store");
    server.session(Arc::new(before), &Clock::manual()).await;
    keychain.adopt_key("moved", &file).expect("it is moved");
    keychain.adopt_key("moved", &file).expect("the same again is no harm");
    std::fs::remove_file(&file).expect("removed");
    let open = |sealing| FileStore::open(&directory, &sealing);
    let now = open(Sealing::Keychain(keychain.clone(), "moved".to_owned())).expect("a store");
    assert!(now.load("s").await.expect("it opens").is_some());
    assert!(open(Sealing::KeyFile(file.clone())).is_err(), "another key is made over the sessions");
    assert!(!file.exists());
    std::fs::write(&file, [7; 32]).expect("a file");
    let permissions = std::os::unix::fs::PermissionsExt::from_mode(0o600);
    std::fs::set_permissions(&file, permissions).expect("a mode");
    assert!(keychain.adopt_key("moved", &file).is_err(), "a key that opens sessions is overwritten");
}

/// A bus and GNOME's keyring of their own, in a directory that goes away; and in it a program, as its arguments say.
fn on_a_desktop(scratch: &Scratch, mut program: Command) -> Option<Command> {
    let daemon = ["/usr/bin/gnome-keyring-daemon", "/usr/bin/dbus-run-session"];
    if let Some(missing) = daemon.iter().find(|path| !Path::new(path).exists()) {
        skip(
            "the Secret Service of a desktop",
            &format!("{missing} is not there (apt-get install gnome-keyring dbus)"),
        );
        return None;
    }
    // A copy has no file capabilities, which a container need not have either.
    let script = "cp /usr/bin/gnome-keyring-daemon \"$XDG_RUNTIME_DIR/keyring-daemon\"
        printf secret | \"$XDG_RUNTIME_DIR/keyring-daemon\" --unlock --components=secrets >/dev/null && exec \"$0\" \"$@\"";
    let mut command = Command::new("dbus-run-session");
    command.args(["--", "sh", "-c", script]).arg(program.get_program()).args(program.get_args());
    for (name, value) in program.get_envs() {
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
    program.env_clear();
    for name in ["HOME", "XDG_DATA_HOME", "XDG_CONFIG_HOME", "XDG_CACHE_HOME", "XDG_RUNTIME_DIR"] {
        let directory = scratch.path().join(name.to_ascii_lowercase());
        std::fs::create_dir_all(&directory).expect("a directory");
        let permissions = std::os::unix::fs::PermissionsExt::from_mode(0o700);
        std::fs::set_permissions(&directory, permissions).expect("a mode");
        command.env(name, directory);
    }
    command.env_remove("DISPLAY").env_remove("WAYLAND_DISPLAY").stdin(std::process::Stdio::null());
    Some(command)
}

#[tokio::test(flavor = "multi_thread")]
async fn the_secret_service_keeps_sessions_and_keys() {
    let scratch = Scratch::new("desktop");
    let environment = [("KEYCHAIN_SCRATCH", scratch.path().display().to_string())];
    let inner = again("client::keychains::on_that_desktop", &environment);
    let Some(command) = on_a_desktop(&scratch, inner) else { return };
    let output = ran(command).await;
    let says = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success() && says.contains("1 passed"), "{says}");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "run by the test above"]
async fn on_that_desktop() {
    let scratch = told("KEYCHAIN_SCRATCH");
    let scratch = Path::new(&scratch);
    let keychain = Keychain::desktop("regrant test").expect("a keychain");
    assert!(keychain.is_lasting());
    contract::holds(&KeychainStore::open(keychain.clone(), scratch.join("locks")).expect("a store")).await;
    a_key_is_made_once_and_never_over_sessions(&keychain, scratch).await;
    a_key_file_is_moved(&keychain, scratch).await;
    one_refresh(|| KeychainStore::open(keychain.clone(), scratch.join("once")).expect("a store")).await;
}

/// `regrant login --keychain`: the key is moved, no key is on the disk, and every command finds it.
#[tokio::test(flavor = "multi_thread")]
async fn the_commands_keep_their_key_in_the_keychain_of_a_desktop() {
    let (desk, scratch) = (Desk::new(), Scratch::new("desktop-commands"));
    let login = format!(
        "regrant login robot --issuer {} --client-id daemon --client-secret-file {} --client-credentials --scope read",
        desk.server.base(),
        desk.file("secret")
    );
    // A key in a file first; then in the keychain; then another program of the same desktop.
    let script = format!(
        "set -eu
        {login} && test -f \"$REGRANT_HOME/key\"
        before=$(regrant token robot)
        regrant login robot --keychain
        test ! -e \"$REGRANT_HOME/key\" && test -f \"$REGRANT_HOME/keychain\"
        token=$(regrant token robot) && test \"$token\" = \"$(regrant token robot)\" && test -n \"$before\"
        regrant profiles | grep -q live
        if regrant login robot --keychain kernel 2>&1; then exit 3; fi
        sed -i s/sessions-/another-/ \"$REGRANT_HOME/keychain\"
        if regrant token robot; then exit 4; fi
        echo all of it"
    );
    let mut shell = Command::new("sh");
    desk.at_home(&mut shell);
    shell.args(["-c", &script]);
    let Some(command) = on_a_desktop(&scratch, shell) else { return };
    let output = ran(command).await;
    let errors = String::from_utf8_lossy(&output.stderr);
    let says = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && says.contains("all of it"), "{says}{errors}");
    assert!(errors.contains("is not there: another-") && errors.contains("log in again"), "{errors}");
    assert!(says.contains("in another keychain already (desktop)"), "{says}");
}
