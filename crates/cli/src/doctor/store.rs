//! The root key, the store's files, and whether the two belong together.

use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::Path;

use regrant_core::Timestamp;
use regrant_server::admin::{Command, Status, rfc3339};
use regrant_server::app::{Examined, examine};
use regrant_server::config::{StoreLocation, missing_credential};
use regrant_server::{Clock, Config, keyring};
use regrant_store::{Postgres, PostgresOptions, known_schema};

use super::Finding;
use crate::context::{Failure, Hands, in_use};
use crate::output;

/// Less than this is little: a WAL, a checkpoint and a backup want room.
const LITTLE_SPACE: u64 = 512 * 1024 * 1024;
/// Less than this is none.
const NO_SPACE: u64 = 32 * 1024 * 1024;
/// File systems over a network (linux/magic.h): their locks and syncs are not what SQLite needs.
const NETWORK_FILE_SYSTEMS: [(i64, &str); 4] =
    [(0x6969, "NFS"), (0xFF53_4D42, "CIFS"), (0xFE53_4D42, "SMB2"), (0x0102_1997, "9P")];

/// Readable, ours alone, and not where the backups of the store go.
pub(super) fn root_key(config: &Config) -> Vec<Finding> {
    const CHECK: &str = "root key";
    let path = &config.root_key_file;
    let shown = path.display();
    if missing_credential(path).is_some() {
        let says = format!("it is the {shown}, which only the server is given");
        return vec![Finding::note(CHECK, says, "Nothing can be said of it from here; a server that runs has it.")];
    }
    if let Err(error) = keyring::read_root_key(path) {
        let text = error.to_string();
        let (says, remedy) = text.split_once("\n  remedy: ").unwrap_or((&text, "Put the right file back."));
        return vec![Finding::problem(CHECK, says, remedy)];
    }
    let mut findings = vec![Finding::fine(CHECK, format!("{shown} holds a root key"))];
    let mode = std::fs::metadata(path).map(|found| found.permissions().mode() & 0o777).unwrap_or_default();
    if mode & 0o077 != 0 {
        let says = format!("other users of this machine can read {shown} (mode {mode:03o})");
        findings.push(Finding::problem(CHECK, says, format!("Close it: chmod 400 {shown}")));
    }
    if let StoreLocation::Sqlite(store) = &config.store
        && store.parent() == path.parent()
    {
        let says = format!("{shown} is in the directory of the store");
        let remedy = "Keep it elsewhere (root_key_file, or a systemd credential): who copies that directory has both.";
        findings.push(Finding::note(CHECK, says, remedy));
    }
    findings
}

/// The store's directory and files: whose they are, who can write them, and how much room there is.
pub(super) fn files(config: &Config) -> Vec<Finding> {
    const CHECK: &str = "store";
    if let StoreLocation::Postgres(options) = &config.store {
        let tls = if options.is_encrypted() { "with TLS" } else { "without TLS" };
        return vec![match Postgres::schema(options) {
            Ok(state) if state.is_newer() => {
                Finding::problem(CHECK, format!("{options} needs a newer program"), "Run the newer version.")
            }
            Ok(state) if state.pending().next().is_some() => Finding::note(
                CHECK,
                format!("{options}, {tls}: schema {} of {}", state.version, known_schema()),
                "See `regrant migrate plan`.",
            ),
            Ok(state) => Finding::fine(CHECK, format!("{options}, {tls}: schema {}", state.version)),
            Err(error) => {
                let text = error.to_string();
                let (says, remedy) = text.split_once("\n  remedy: ").unwrap_or((&text, ""));
                Finding::problem(CHECK, says, remedy)
            }
        }];
    }
    let StoreLocation::Sqlite(store) = &config.store else {
        return vec![Finding::note(CHECK, "it is in memory: nothing remains", "")];
    };
    let directory = store.parent().filter(|path| !path.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut findings = Vec::new();
    match std::fs::metadata(directory) {
        Err(error) => {
            let says = format!("its directory {} cannot be read: {error}", directory.display());
            return vec![Finding::problem(CHECK, says, "Make it, and give it to the user that runs the server.")];
        }
        Ok(found) if found.permissions().mode() & 0o002 != 0 && found.permissions().mode() & 0o1000 == 0 => {
            let says = format!("every user of this machine can write the directory {}", directory.display());
            findings.push(Finding::problem(CHECK, says, format!("Close it: chmod 700 {}", directory.display())));
        }
        Ok(_) => {}
    }
    match std::fs::metadata(store) {
        Err(_) => findings.push(Finding::note(
            CHECK,
            format!("{} is not there yet", store.display()),
            "The first start makes it.",
        )),
        Ok(found) => {
            findings.push(Finding::fine(CHECK, format!("{}, {}", store.display(), in_words(found.len()))));
            if found.permissions().mode() & 0o077 != 0 {
                let says = format!("other users of this machine can read {}", store.display());
                findings.push(Finding::problem(CHECK, says, format!("Close it: chmod 600 {}*", store.display())));
            }
            let us = rustix::process::geteuid().as_raw();
            if us != 0 && found.uid() != us {
                let says = format!("{} belongs to user {}, and you are user {us}", store.display(), found.uid());
                findings.push(Finding::note(CHECK, says, "Run the commands as the user that runs the server."));
            }
        }
    }
    findings.extend(space(directory));
    findings
}

fn space(directory: &Path) -> Vec<Finding> {
    const CHECK: &str = "disk";
    let Ok(found) = rustix::fs::statfs(directory) else { return Vec::new() };
    let kind = NETWORK_FILE_SYSTEMS.iter().find(|(magic, _)| *magic == found.f_type);
    if let Some((_, name)) = kind {
        let says = format!("{} is on {name}", directory.display());
        return vec![Finding::problem(
            CHECK,
            says,
            "Keep the store on a local disk: what a network file system confirms may be lost.",
        )];
    }
    let free = found.f_bavail.saturating_mul(u64::try_from(found.f_bsize).unwrap_or(0));
    let says = format!("{} free at {}", in_words(free), directory.display());
    vec![match free {
        ..NO_SPACE => Finding::problem(CHECK, says, "Free some space: without it every refresh is answered with 503."),
        NO_SPACE..LITTLE_SPACE => Finding::note(CHECK, says, "Free some space before it is urgent."),
        _ => Finding::fine(CHECK, says),
    }]
}

/// The server if it runs; else a look at the store, for nothing of it may be changed: whether a server could open it, and its keys.
pub(super) fn server(config: &Config) -> (Vec<Finding>, Option<Status>) {
    const CHECK: &str = "server";
    match &config.store {
        StoreLocation::Sqlite(store) if store.exists() => {}
        StoreLocation::Postgres(options) => return of_database(config, options),
        StoreLocation::Sqlite(_) | StoreLocation::Memory => return (Vec::new(), None),
    }
    let refused = |failure: &Failure| (vec![problem(CHECK, failure)], None);
    let (socket, unreachable) = match Hands::of_server(config) {
        Some(Ok(mut hands)) => {
            return match hands.ask::<Status>(Command::Status) {
                Ok(status) => (running(&status), Some(status)),
                Err(failure) => refused(&failure),
            };
        }
        Some(Err(error)) => (config.admin_socket(), Some(error)),
        None => (None, None),
    };
    let clock = Clock::system();
    match examine(config, &clock) {
        Err(error) if error.exit_code() == 75 => {
            refused(&Failure::new(75, in_use(&error, socket.as_deref(), unreachable)))
        }
        Err(error) => refused(&error.into()),
        Ok(Examined { clients, misfits, newest, versions: (version, known), .. }) => {
            let mut findings = misfits.into_iter().map(misfit).collect::<Vec<_>>();
            if version == known || version == 0 {
                findings.push(Finding::fine(CHECK, "none runs; the root key fits the store, and its keys open"));
            } else {
                let says = format!(
                    "none runs; the store has schema version {version}, and the next start brings it to {known}"
                );
                findings.push(Finding::note(CHECK, says, "Make a backup before the first start of a newer program."));
            }
            (findings, Some(stopped(config, &clock, clients, newest)))
        }
    }
}

/// The server if it runs here, and the database, which nodes elsewhere may serve from: what keeps all of them from it, and the keys.
fn of_database(config: &Config, options: &PostgresOptions) -> (Vec<Finding>, Option<Status>) {
    let (mut findings, mut status) = (Vec::new(), None);
    if let Some(Ok(mut hands)) = Hands::of_server(config) {
        match hands.ask::<Status>(Command::Status) {
            Ok(found) => {
                findings = running(&found);
                status = Some(found);
            }
            Err(failure) => findings.push(problem("server", &failure)),
        }
    }
    // What keeps anybody from looking at it is said already.
    if !Postgres::schema(options).is_ok_and(|state| state.version == known_schema()) {
        return (findings, status);
    }
    let clock = Clock::system();
    match examine(config, &clock) {
        Err(error) => findings.push(problem("database", &error.into())),
        Ok(Examined { clients, misfits, newest, ahead, .. }) => {
            findings.extend(misfits.into_iter().map(misfit));
            findings.push(Finding::fine("database", "the root key fits it, its keys open, and nothing is in doubt"));
            if let Some(ahead) = ahead {
                let says = format!("this machine's is {} s ahead of the database's", ahead.as_secs());
                let remedy = "Let all machines keep their time by NTP: what one node commits is the time of all.";
                findings.push(Finding::note("clock", says, remedy));
            }
            status.get_or_insert_with(|| stopped(config, &clock, clients, newest));
        }
    }
    (findings, status)
}

/// A client of the store that is served with less, or not at all.
fn misfit(text: String) -> Finding {
    match text.split_once("\n  remedy: ") {
        Some((says, remedy)) => Finding::problem("clients", says, remedy),
        None => Finding::note(
            "clients",
            text,
            "Declare it in a [[scope]] or [[resource]], or take it from the client with `regrant client set`.",
        ),
    }
}

fn problem(check: &'static str, failure: &Failure) -> Finding {
    let text = failure.to_string();
    let (says, remedy) = text.split_once("\n  remedy: ").unwrap_or((&text, "See the server's log."));
    Finding::problem(check, says, remedy)
}

/// What a server would say of itself that does not run.
fn stopped(config: &Config, clock: &Clock, clients: usize, newest: Timestamp) -> Status {
    let now = clock.now();
    Status {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        pid: std::process::id(),
        issuer: config.issuer.clone().unwrap_or_else(|| format!("http://{}", config.listen)),
        config: config.source.file.as_ref().map(|file| file.display().to_string()),
        now: rfc3339(now.max(newest)),
        clock: rfc3339(now),
        trouble: None,
        clients,
    }
}

fn running(status: &Status) -> Vec<Finding> {
    const CHECK: &str = "server";
    let mut findings = vec![Finding::fine(
        CHECK,
        format!(
            "version {} runs as process {}, with {}",
            status.version,
            status.pid,
            output::count(status.clients, "client")
        ),
    )];
    if let Some(trouble) = &status.trouble {
        let says = format!("it answers everybody with 503: {trouble}");
        let remedy = "Set the clock right, or look into its log: it says what to do.";
        findings.push(Finding::problem(CHECK, says, remedy));
    }
    if status.version != env!("CARGO_PKG_VERSION") {
        let says = format!("it is of version {}, and this command of {}", status.version, env!("CARGO_PKG_VERSION"));
        findings.push(Finding::note(CHECK, says, "Restart the server after an upgrade."));
    }
    findings
}

fn in_words(bytes: u64) -> String {
    match bytes {
        0..10_240 => format!("{bytes} bytes"),
        10_240..10_485_760 => format!("{} KiB", bytes / 1024),
        10_485_760..10_737_418_240 => format!("{} MiB", bytes / 1_048_576),
        _ => format!("{} GiB", bytes / 1_073_741_824),
    }
}
