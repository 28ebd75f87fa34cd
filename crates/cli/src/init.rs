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
    write_root_key(&key).map_err(|error| cannot(&key, &error))?;
    let mut config =
        OpenOptions::new().write(true).create_new(true).open(&file).map_err(|error| cannot(&file, &error))?;
    config.write_all(example(dir).as_bytes()).map_err(|error| cannot(&file, &error))?;
    if context.json {
        output::json(&serde_json::json!({"config": file, "root_key": key}));
        return Ok(());
    }
    output::done(&format!("{}  the configuration, every setting explained", file.display()));
    output::done(&format!(
        "{}  the root key (mode 0400): keep a copy apart from the database's backups",
        key.display()
    ));
    output::line("");
    output::line(&format!("Next:  regrant --config {} serve", file.display()));
    Ok(())
}

fn cannot(path: &Path, error: &std::io::Error) -> Failure {
    Failure::new(1, format!("{} cannot be written: {error}", path.display()))
}
