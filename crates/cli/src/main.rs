//! The `regrant` command: one binary for operators and learners.
//!
//! Exit codes, as in sysexits.h where it has them: 0 done, 1 not done, 2 wrong usage, 65 bad input, 69 the store is not available,
//! 74 the device failed under a running server, which must be started again, or under standard output, 75 the store is in use by a running server, 78 the configuration does not fit.

mod backup;
mod client;
mod config;
mod context;
mod control;
mod copy;
mod demo;
mod doctor;
mod events;
mod explain;
mod fetch;
mod grants;
mod hardening;
mod help;
mod init;
mod keys;
mod log;
mod man;
mod migrate;
mod output;
mod pages;
mod progress;
mod ready;
mod recover;
mod registration;
mod reload;
mod remote;
mod restore;
mod revoke;
mod serve;
mod service;
mod tokens;
mod user;
mod webhooks;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{CommandFactory as _, Parser, Subcommand};

use context::{Context, Failure};

/// An OAuth 2.0 and OpenID Connect authorization server whose sessions live when they should, and die when they should.
#[derive(Parser, Debug)]
#[command(
    name = "regrant",
    version,
    arg_required_else_help = true,
    styles = help::STYLES,
    help_template = help::TEMPLATE
)]
struct Arguments {
    /// The configuration file; else REGRANT_CONFIG. Without either: safe defaults on 127.0.0.1, data in ./regrant-data.
    #[arg(short, long, global = true, value_name = "FILE", display_order = 900)]
    config: Option<PathBuf>,
    /// Print JSON for programs instead of text for people.
    #[arg(long, global = true, display_order = 901)]
    json: bool,
    #[command(flatten)]
    remote: remote::Args,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand, Debug)]
enum Command {
    /// Play the refresh token grant on real HTTP, and explain each exchange.
    Demo(demo::Args),
    /// Write a commented regrant.toml and a root key into a directory.
    Init(init::Args),
    /// Run the server. The first line on standard output is JSON with `issuer` and `listen`.
    Serve(serve::Args),
    /// Make the running server read its configuration again; what is wrong with it changes nothing.
    Reload,
    /// Copy the store to a file, while the server runs or not.
    Backup(backup::Args),
    /// Put a backup in the place of the store, which is kept aside. `regrant recover` comes next.
    Restore(restore::Args),
    /// Make a store that went back fit to be served from: replay the revocations, and open a new era.
    Recover(recover::Args),
    /// Say what the schema of a PostgreSQL lacks, and apply it.
    #[command(subcommand)]
    Migrate(migrate::Command),
    /// Move a deployment from a SQLite file to a PostgreSQL. Nobody is logged out.
    Copy(copy::Args),
    /// Ask a server whether it takes requests: 0 if it does, 1 if it says no, 69 if it says nothing.
    Ready(ready::Args),
    /// Look at the deployment from outside, and say what to do about what is wrong.
    Doctor,
    /// Add, list, show and remove clients.
    #[command(subcommand)]
    Client(client::Command),
    /// Let clients register themselves: the tokens for it.
    #[command(subcommand)]
    Registration(registration::Command),
    /// Add, import, list and disable users; set their passwords, groups and attributes.
    #[command(subcommand)]
    User(user::Command),
    /// List, show and revoke grants: who is connected where.
    #[command(subcommand)]
    Grants(grants::Command),
    /// Blacklist: a token, a list of leaked ones, or everything of a user, a client, a session, a scope, a time …
    Revoke(Box<revoke::Args>),
    /// List, rotate, retire keys, and say that one is known to others.
    #[command(subcommand)]
    Keys(keys::Command),
    /// List what happened: logins, grants that were made and ended, replays, alarms.
    Events(events::Args),
    /// Tell the life of a grant by a token, its id or a correlation id: why was I logged out?
    Explain(explain::Args),
    /// List, retry and drop what could not be delivered to webhooks.
    #[command(subcommand)]
    Webhooks(webhooks::Command),
    /// Check the configuration.
    #[command(subcommand)]
    Config(config::Command),
    /// Write the built-in pages into a directory, to begin a theme with.
    #[command(subcommand)]
    Pages(pages::Command),
    /// Log in at any OAuth server, and keep the session under a name.
    Login(Box<tokens::login::Args>),
    /// Print a fresh access token: for scripts, git, Docker, Kubernetes and GitHub.
    Token(tokens::TokenArgs),
    /// Tell who is logged in, and for how long.
    Whoami(tokens::Named),
    /// Give the refresh token back to the server, and forget the session.
    Logout(tokens::Named),
    /// List the sessions that are kept here, or remove one.
    Profiles(tokens::profiles::Args),
    /// Run a program with a token.
    Exec(tokens::exec::Args),
    /// Serve tokens to the programs of this machine, over a Unix socket.
    Agent(tokens::agent::Args),
    /// Pass requests on to an API, each with a fresh token.
    Proxy(tokens::proxy::Args),
    /// Write the manual pages, or print the first.
    Man(man::Args),
    /// Draw a QR code of a text: for a device that shows where its user can go on (`verification_uri_complete`).
    Qr {
        /// What it says: a URL, as a rule.
        text: String,
    },
    /// Print a completion script for a shell.
    Completions {
        /// Which shell.
        shell: clap_complete::Shell,
    },
}

/// What a server elsewhere is to a command.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Reach {
    /// It works there as it works here.
    Elsewhere,
    /// It works on the deployment of this machine.
    Here,
    /// It works on no deployment.
    Nowhere,
}

impl Command {
    const fn reach(&self) -> Reach {
        match self {
            Self::Reload
            | Self::Client(_)
            | Self::Registration(_)
            | Self::User(_)
            | Self::Grants(_)
            | Self::Revoke(_)
            | Self::Keys(_)
            | Self::Events(_)
            | Self::Explain(_)
            | Self::Webhooks(_) => Reach::Elsewhere,
            Self::Serve(_)
            | Self::Ready(_)
            | Self::Doctor
            | Self::Backup(_)
            | Self::Restore(_)
            | Self::Recover(_)
            | Self::Migrate(_)
            | Self::Copy(_)
            | Self::Config(_) => Reach::Here,
            Self::Demo(_)
            | Self::Init(_)
            | Self::Login(_)
            | Self::Token(_)
            | Self::Whoami(_)
            | Self::Logout(_)
            | Self::Profiles(_)
            | Self::Exec(_)
            | Self::Agent(_)
            | Self::Proxy(_)
            | Self::Man(_)
            | Self::Pages(_)
            | Self::Qr { .. }
            | Self::Completions { .. } => Reach::Nowhere,
        }
    }
}

fn main() -> ExitCode {
    let Arguments { config, json, remote, command } = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) if error.use_stderr() && std::env::args_os().any(|word| word == "--json") => {
            let text = error.render().to_string();
            return Failure::new(2, text.trim_start_matches("error: ").trim_end()).report(true);
        }
        Err(error) => error.exit(),
    };
    let reach = command.reach();
    if remote.server.is_some() && reach != Reach::Elsewhere {
        return Failure::new(2, "this command works on the machine it runs on\n  remedy: leave --server out")
            .report(json);
    }
    let (remote, left_aside) = remote.or_environment(reach, config.is_some());
    if let Some(left_aside) = left_aside.filter(|_| !json) {
        output::note(left_aside);
    }
    let config = config.or_else(|| std::env::var_os("REGRANT_CONFIG").map(PathBuf::from));
    let context = Context { config, json, remote };
    let done = match command {
        Command::Demo(args) => demo::run(&context, &args),
        Command::Init(args) => init::run(&context, &args),
        Command::Serve(args) => serve::run(&context, &args),
        Command::Reload => reload::run(&context),
        Command::Backup(args) => backup::run(&context, &args),
        Command::Restore(args) => restore::run(&context, &args),
        Command::Recover(args) => recover::run(&context, &args),
        Command::Migrate(command) => migrate::run(&context, command),
        Command::Copy(args) => copy::run(&context, args),
        Command::Ready(args) => ready::run(&context, &args),
        Command::Doctor => doctor::run(&context),
        Command::Client(command) => client::run(&context, command),
        Command::Registration(command) => registration::run(&context, command),
        Command::User(command) => user::run(&context, command),
        Command::Grants(command) => grants::run(&context, command),
        Command::Revoke(args) => revoke::run(&context, *args),
        Command::Keys(command) => keys::run(&context, command),
        Command::Events(args) => events::run(&context, args),
        Command::Explain(args) => explain::run(&context, args),
        Command::Webhooks(command) => webhooks::run(&context, command),
        Command::Config(command) => config::run(&context, &command),
        Command::Login(args) => tokens::login::run(&context, &args),
        Command::Token(args) => tokens::token(&context, &args),
        Command::Whoami(args) => tokens::whoami(&context, &args),
        Command::Logout(args) => tokens::logout(&context, &args),
        Command::Profiles(args) => tokens::profiles::run(&context, args),
        Command::Exec(args) => return tokens::exec::run(&args, json),
        Command::Agent(args) => tokens::agent::run(&context, &args),
        Command::Proxy(args) => tokens::proxy::run(&context, &args),
        Command::Pages(command) => pages::run(&context, &command),
        Command::Man(args) => man::run(&context, &args),
        Command::Qr { text } => match regrant_server::pages::qr::terminal(&text) {
            Some(drawn) => {
                output::line(drawn.trim_end_matches('\n'));
                Ok(())
            }
            None => Err(Failure::new(65, "the text is longer than a QR code can say\n  remedy: use a shorter URL")),
        },
        Command::Completions { shell } => {
            let mut text = Vec::new();
            clap_complete::generate(shell, &mut Arguments::command(), "regrant", &mut text);
            output::raw(&text);
            Ok(())
        }
    };
    match done.and_then(|()| context::shown("the answer is not whole", "make room there; what was to be done is done"))
    {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.report(context.json),
    }
}
