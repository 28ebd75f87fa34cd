//! `regrant man`: the manual pages, made from the commands themselves, and one for the configuration file.

use std::path::{Path, PathBuf};

use clap::CommandFactory as _;
use regrant_server::config::example;

use crate::context::{Context, Done, Failure};
use crate::{help, output};

/// Where to write.
#[derive(clap::Args, Debug)]
#[command(after_help = "Examples:\n  regrant man | man -l -\n  regrant man /usr/local/share/man")]
pub(crate) struct Args {
    /// A directory of manual pages: man1 and man5 are made under it. Without it the first page is printed.
    dir: Option<PathBuf>,
}

pub(crate) fn run(context: &Context, args: &Args) -> Done {
    let Some(dir) = &args.dir else {
        output::raw(&first()?);
        return Ok(());
    };
    let mut pages = Vec::new();
    collect(&command(), &mut pages)?;
    // Below it come all others; it has more to say.
    pages.pop();
    pages.push(("man1/regrant.1".to_owned(), first()?));
    pages.push(("man5/regrant.toml.5".to_owned(), settings().into_bytes()));
    for (name, text) in &pages {
        write(&dir.join(name), text)?;
    }
    if context.json {
        let names: Vec<_> = pages.iter().map(|(name, _)| dir.join(name)).collect();
        output::json(&serde_json::json!({"pages": names}));
    } else {
        output::done(&format!("{} manual pages written to {}", pages.len(), dir.display()));
    }
    Ok(())
}

/// The command, with its options spread to those below it.
fn command() -> clap::Command {
    let mut command = crate::Arguments::command();
    command.build();
    command
}

/// A command's page, and those of the commands below it: `regrant-user-add.1`.
fn collect(command: &clap::Command, pages: &mut Vec<(String, Vec<u8>)>) -> Done {
    for below in command.get_subcommands().filter(|below| below.get_name() != "help") {
        collect(below, pages)?;
    }
    let name = command.get_display_name().unwrap_or(command.get_name());
    pages.push((format!("man1/{name}.1"), page(command.clone())?));
    Ok(())
}

fn page(command: clap::Command) -> Result<Vec<u8>, Failure> {
    let mut text = Vec::new();
    clap_mangen::Man::new(command.version(env!("CARGO_PKG_VERSION"))).render(&mut text)?;
    Ok(text)
}

/// The page of the program itself, with what holds for all commands.
fn first() -> Result<Vec<u8>, Failure> {
    let mut text = page(command())?;
    let codes = help::EXIT_CODES.map(|(code, says)| format!(".TP\n{code}\n{says}\n")).concat();
    let variables = help::VARIABLES.map(|(name, says)| format!(".TP\n{name}\n{says}\n")).concat();
    let more = format!(
        ".SH EXIT STATUS\n{codes}.SH ENVIRONMENT\nEach setting has a variable of its own, as regrant.toml(5) says. Commands read:\n{variables}\
         .SH SEE ALSO\n.BR regrant.toml (5)\n"
    );
    text.extend_from_slice(more.replace('-', "\\-").as_bytes());
    Ok(text)
}

fn write(path: &Path, text: &[u8]) -> Done {
    let cannot = |error| Failure::new(1, format!("{} cannot be written: {error}", path.display()));
    if let Some(dir) = path.parent() {
        std::fs::create_dir_all(dir).map_err(cannot)?;
    }
    std::fs::write(path, text).map_err(cannot)
}

/// regrant.toml(5): the commented configuration as it is, for it explains itself.
fn settings() -> String {
    let mut text = format!(
        ".TH regrant.toml 5 \"\" \"regrant {}\"\n.SH NAME\nregrant.toml \\- the configuration of regrant\n.SH DESCRIPTION\n\
         Every setting with its default and its reason, as\n.BR regrant-init (1)\nwrites it.\n.PP\n.nf\n",
        env!("CARGO_PKG_VERSION")
    );
    for line in example(Path::new("")).lines() {
        // A line that begins with a dot or a quote would be a request; a hyphen is to stay one.
        let line = line.replace('\\', "\\e").replace('-', "\\-");
        text.push_str(if line.starts_with(['.', '\'']) { "\\&" } else { "" });
        text.push_str(&line);
        text.push('\n');
    }
    text.push_str(".fi\n.SH SEE ALSO\n.BR regrant (1)\n");
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_command_has_its_page() {
        let mut pages = Vec::new();
        collect(&command(), &mut pages).expect("pages");
        let names: Vec<&str> = pages.iter().map(|(name, _)| name.as_str()).collect();
        for name in
            ["", "-serve", "-user-add", "-grants-revoke", "-revoke-list", "-explain", "-webhooks-retry", "-backup"]
        {
            let name = format!("man1/regrant{name}.1");
            assert!(names.contains(&name.as_str()), "{name}: {names:?}");
        }
        assert!(pages.iter().all(|(_, text)| text.starts_with(b".ie") && text.len() > 200));
        let first = String::from_utf8(first().expect("a page")).expect("text");
        for part in [".SH EXIT STATUS", "a running server has the store", ".SH ENVIRONMENT", "REGRANT_HOME"] {
            assert!(first.contains(part), "{part}");
        }
        assert!(settings().contains("REGRANT_ISSUER"), "the settings explain themselves");
    }
}
