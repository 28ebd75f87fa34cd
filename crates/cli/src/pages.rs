//! `regrant pages`: the built-in pages as files, to begin a theme with.

use std::fs::OpenOptions;
use std::io::Write as _;
use std::path::PathBuf;

use regrant_server::pages::built_in_files;

use crate::context::{Context, Done, Failure};
use crate::output;

/// What to do with the pages.
#[derive(clap::Subcommand, Debug)]
pub(crate) enum Command {
    /// Write the templates, the style sheet and the icon into a directory: copies to begin a theme with.
    #[command(
        after_help = "Keep the files that you change and remove the others: what is not in the directory is the built-in\none, also of a later version. `theme_dir` of [pages] names the directory (docs/pages.md).\n\nExamples:\n  regrant pages export theme"
    )]
    Export {
        /// The directory; made if it is not there. No file that is there is written over.
        dir: PathBuf,
    },
}

pub(crate) fn run(context: &Context, command: &Command) -> Done {
    let Command::Export { dir } = command;
    let files: Vec<(PathBuf, &str)> = built_in_files().map(|(name, text)| (dir.join(name), text)).collect();
    if let Some((there, _)) = files.iter().find(|(file, _)| file.exists()) {
        let shown = there.display();
        return Err(Failure::new(
            1,
            format!("{shown} is there already, and nothing was written\n  remedy: name another directory"),
        ));
    }
    std::fs::create_dir_all(dir)
        .map_err(|error| Failure::new(1, format!("{} cannot be made: {error}", dir.display())))?;
    for (file, text) in &files {
        let made = OpenOptions::new().write(true).create_new(true).open(file);
        made.and_then(|mut made| made.write_all(text.as_bytes()))
            .map_err(|error| Failure::new(1, format!("{} cannot be written: {error}", file.display())))?;
    }
    if context.json {
        let names: Vec<&PathBuf> = files.iter().map(|(file, _)| file).collect();
        output::json(&serde_json::json!({"files": names}));
    } else {
        output::done(&format!("{} written to {}", output::count(files.len(), "file"), dir.display()));
        output::note("keep those that you change: what is not there is the built-in one, also of a later version");
    }
    Ok(())
}
