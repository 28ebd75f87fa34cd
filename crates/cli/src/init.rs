//! `regrant init DIR`: a commented configuration and a root key, never over what is there.

use std::fs::OpenOptions;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use regrant_server::config::example;

use crate::context::{Context, Done, Failure, write_root_key};
use crate::output;

/// What to write where.
#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    /// The directory; made if it is not there.
    dir: PathBuf,
}

/// Keeps secrets and data out of a repository.
const GITIGNORE: &str = "root.key\n*.secret\nregrant.db*\n";

pub(crate) fn run(context: &Context, args: &Args) -> Done {
    let dir = &args.dir;
    std::fs::create_dir_all(dir)
        .map_err(|error| Failure::new(1, format!("{} cannot be made: {error}", dir.display())))?;
    let (file, key) = (dir.join("regrant.toml"), dir.join("root.key"));
    for path in [&file, &key] {
        if path.exists() {
            let shown = path.display();
            return Err(Failure::new(
                1,
                format!("{shown} is there already, and nothing was written\n  remedy: name another directory"),
            ));
        }
    }
    let store = dir.join("regrant.db");
    if store.exists() {
        let shown = store.display();
        return Err(Failure::new(
            1,
            format!(
                "{shown} is there, and a new root key would not fit it; nothing was written\n  remedy: put its own root.key back, or name another directory"
            ),
        ));
    }
    write_root_key(&key).map_err(|error| cannot(&key, &error))?;
    if let Err(error) = write_new(&file, &example(dir)) {
        // A key alone would be in the way of the next attempt, and nothing was made with it yet.
        let _ = std::fs::remove_file(&key);
        return Err(cannot(&file, &error));
    }
    let ignore = dir.join(".gitignore");
    let ignored = write_new(&ignore, GITIGNORE).is_ok();
    if context.json {
        output::json(&serde_json::json!({"config": file, "root_key": key}));
        return Ok(());
    }
    output::done(&format!("{}  the configuration, every setting explained", file.display()));
    output::done(&format!(
        "{}  the root key (mode 0400): keep a copy apart from the database's backups",
        key.display()
    ));
    if ignored {
        output::done(&format!("{}  keeps the key and the data out of a repository", ignore.display()));
    }
    output::line("");
    output::line(&format!("Then:  regrant --config {} user add NAME", file.display()));
    output::line(&format!("       regrant --config {} client add ID --redirect-uri URI", file.display()));
    output::line(&format!("       regrant --config {} serve", file.display()));
    Ok(())
}

fn write_new(path: &Path, text: &str) -> std::io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).open(path)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()
}

fn cannot(path: &Path, error: &std::io::Error) -> Failure {
    Failure::new(1, format!("{} cannot be written: {error}", path.display()))
}
