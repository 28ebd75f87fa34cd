//! `regrant backup FILE`: a whole copy of the store as of one moment, while it is used or not.

use std::io::IsTerminal as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use regrant_server::admin::Command;
use regrant_server::config::StoreLocation;
use regrant_server::recover::Backup;
use regrant_store::{back_up, part};

use crate::context::{Context, Done, Failure, Hands};
use crate::output;

/// Between two looks at how far it is.
const LOOK: Duration = Duration::from_millis(500);

/// Where to.
#[derive(clap::Args, Debug)]
#[command(
    after_help = "The copy is whole, and holds the store as of one moment. Not in it are the root key, the\nseed keys, the configuration and the revocation journal: keep those as well, elsewhere.\nThe way back is `regrant restore`, and then `regrant recover`.\n\nThe unit of systemd gives the server a /tmp of its own and lets it write in its state directory\nalone: `ReadWritePaths=` in a drop-in opens another one (docs/operations.md).\n\nExamples:\n  regrant backup /mnt/backup/regrant.db\n  regrant backup /mnt/backup/$(date +%F).db --json"
)]
pub(crate) struct Args {
    /// A file that is not there yet, on another disk best. Where the server runs, the server writes it.
    file: PathBuf,
}

pub(crate) fn run(context: &Context, args: &Args) -> Done {
    context.say_defaults();
    let config = context.load()?;
    let StoreLocation::Sqlite(store) = &config.store else {
        return Err(Failure::new(
            69,
            "the store is no SQLite file: copy a PostgreSQL with its own tools (pg_basebackup and WAL archiving)",
        ));
    };
    let file = std::path::absolute(&args.file)?;
    let backup = with_progress(context, store, &file, || match Hands::of_server(&config) {
        Some(Ok(mut hands)) => hands.ask(Command::Backup { file: file.clone() }),
        // No server, or one that cannot be reached: SQLite's own locks keep the copy whole.
        Some(Err(_)) | None => {
            let copied = back_up(store, &file).map_err(|error| Failure::new(69, error))?;
            Ok(Backup::of(&file, &copied))
        }
    })?;
    seen(&file, backup.bytes)?;
    if context.json {
        output::json(&backup);
        return Ok(());
    }
    output::done(&format!("{} holds the store as of {}", backup.file, backup.at));
    output::pairs([
        ("commit", format!("{} (era {})", backup.commits, backup.era)),
        ("grants", backup.grants.to_string()),
        ("users", backup.users.to_string()),
        ("clients added", backup.clients.to_string()),
        ("size", format!("{} bytes", backup.bytes)),
        ("not in it", "the root key, seed keys, the configuration, the revocation journal".to_owned()),
    ]);
    Ok(())
}

/// What a server has written is where it was wanted: a server may have directories of its own under the same names.
fn seen(file: &Path, bytes: u64) -> Done {
    let found = match std::fs::metadata(file) {
        Ok(found) if found.len() == bytes => return Ok(()),
        Ok(found) => format!("a file of {} bytes is there", found.len()),
        Err(error) => format!("it is not there ({error})"),
    };
    let remedy = "the server has directories of its own (PrivateTmp= of its unit, or a container): name one that it shares with this command and may \
                  write, as with `ReadWritePaths=/backup` in a drop-in of the unit (docs/operations.md, Backup)";
    let shown = file.display();
    Err(Failure::new(
        1,
        format!("the server says that it wrote {shown} ({bytes} bytes), and here {found}\n  remedy: {remedy}"),
    ))
}

/// Shows on a terminal how far the copy has grown.
fn with_progress<T>(context: &Context, store: &Path, file: &Path, work: impl FnOnce() -> T) -> T {
    if context.json || !std::io::stderr().is_terminal() {
        return work();
    }
    let (done, part) = (AtomicBool::new(false), part(file));
    let size = |path: &Path| std::fs::metadata(path).map_or(0, |found| found.len());
    std::thread::scope(|scope| {
        let watcher = scope.spawn(|| {
            while !done.load(Ordering::Acquire) {
                std::thread::park_timeout(LOOK);
                if size(&part) > 0 {
                    output::error(&format!("{} of about {} MiB", size(&part) >> 20, size(store) >> 20));
                }
            }
        });
        let worked = work();
        done.store(true, Ordering::Release);
        watcher.thread().unpark();
        worked
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_copy_that_is_not_here_is_no_backup() {
        let directory = std::env::temp_dir().join(format!("regrant-seen-{}", std::process::id()));
        std::fs::create_dir_all(&directory).expect("a directory");
        let file = directory.join("copy.db");
        let refused = seen(&file, 3).expect_err("it is not there").to_string();
        assert!(refused.contains("PrivateTmp") && refused.contains("remedy"), "{refused}");
        std::fs::write(&file, "abc").expect("written");
        assert!(seen(&file, 3).is_ok());
        assert!(seen(&file, 4).is_err_and(|refused| refused.to_string().contains("3 bytes is there")));
        std::fs::remove_dir_all(directory).expect("gone");
    }
}
