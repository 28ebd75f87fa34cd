//! The first page of help: the commands in the order in which an operator meets them, not in the order of the code.

use clap::builder::styling::{AnsiColor, Styles};

/// Headings stand out; names are what one types.
pub(crate) const STYLES: Styles = Styles::styled()
    .header(AnsiColor::Green.on_default().bold())
    .usage(AnsiColor::Green.on_default().bold())
    .literal(AnsiColor::Cyan.on_default().bold())
    .placeholder(AnsiColor::Cyan.on_default());

/// Lines of at most 80 characters; clap takes the colours out where there is no terminal.
pub(crate) const TEMPLATE: &str = "\
regrant {version}: an OAuth 2.0 and OpenID Connect authorization server whose
sessions live when they should, and die when they should.

\x1b[1;32mUsage:\x1b[0m \x1b[1;36mregrant\x1b[0m [OPTIONS] <COMMAND>

\x1b[1;32mSee it\x1b[0m
  \x1b[1;36mdemo\x1b[0m         play the whole refresh token grant on real HTTP, explained

\x1b[1;32mRun it\x1b[0m
  \x1b[1;36minit\x1b[0m         write a commented configuration and a root key into a directory
  \x1b[1;36mconfig\x1b[0m       check the configuration, and hear what its choices cost
  \x1b[1;36mserve\x1b[0m        run the server
  \x1b[1;36mreload\x1b[0m       make it read its configuration again
  \x1b[1;36mready\x1b[0m        ask a server whether it takes requests, by exit code
  \x1b[1;36mdoctor\x1b[0m       look for what is wrong, and say what to do about it

\x1b[1;32mLook after it\x1b[0m
  \x1b[1;36mclient\x1b[0m       applications: add, set, list, show, disable, remove …, and secrets
  \x1b[1;36mregistration\x1b[0m who may register applications: make, list, remove tokens
  \x1b[1;36muser\x1b[0m         people: add, show, set, import, export, disable, remove …
  \x1b[1;36mgrants\x1b[0m       who is connected where: list, show, revoke
  \x1b[1;36mrevoke\x1b[0m       the blacklist: tokens, users, clients, sessions …, and undo
  \x1b[1;36mevents\x1b[0m       what happened: logins, replays, alarms, what operators did
  \x1b[1;36mexplain\x1b[0m      why was I logged out? the life of a grant, by any token of it
  \x1b[1;36mwebhooks\x1b[0m     who is told of events: list; retry or drop what did not arrive
  \x1b[1;36mkeys\x1b[0m         what tokens are made with: list, rotate, retire, compromise

\x1b[1;32mMany nodes\x1b[0m
  \x1b[1;36mcopy\x1b[0m         move a deployment from SQLite to PostgreSQL; nobody is logged out
  \x1b[1;36mmigrate\x1b[0m      the schema of a PostgreSQL: plan, apply

\x1b[1;32mBe a client\x1b[0m (of any OAuth server)
  \x1b[1;36mlogin\x1b[0m        log in, and keep the session under a name
  \x1b[1;36mtoken\x1b[0m        print a fresh access token: for scripts, git, Docker …
  \x1b[1;36mwhoami\x1b[0m       who is logged in, and for how long
  \x1b[1;36mlogout\x1b[0m       give the tokens back, and forget them
  \x1b[1;36mprofiles\x1b[0m     the sessions that are kept here: list, remove
  \x1b[1;36mexec\x1b[0m         run a program with a token
  \x1b[1;36magent\x1b[0m        serve tokens to the programs of this machine
  \x1b[1;36mproxy\x1b[0m        pass requests on to an API, each with a fresh token

\x1b[1;32mOn bad days\x1b[0m
  \x1b[1;36mbackup\x1b[0m       copy the store to a file, while the server runs or not
  \x1b[1;36mrestore\x1b[0m      put a backup in the place of the store, which is kept aside
  \x1b[1;36mrecover\x1b[0m      make a store that went back fit to be served from

\x1b[1;32mAlso\x1b[0m
  \x1b[1;36mqr\x1b[0m           draw a QR code of a URL, for a device to show
  \x1b[1;36mpages\x1b[0m        write the built-in pages into a directory, to begin a theme with
  \x1b[1;36mman\x1b[0m          write the manual pages
  \x1b[1;36mcompletions\x1b[0m  print a completion script for your shell
  \x1b[1;36mhelp\x1b[0m         print this, or the help of a command

\x1b[1;32mOptions:\x1b[0m
{options}

\x1b[1;32mExamples:\x1b[0m
  regrant demo
  regrant init auth && regrant -c auth/regrant.toml serve
  regrant -c auth/regrant.toml user add alice
  regrant -c auth/regrant.toml client add phone --public \\
      --redirect-uri com.example.app:/callback --scope notes:read
  regrant -c auth/regrant.toml grants list --user alice --json
  regrant exec work -- ./import.sh

\x1b[1;32mExit codes:\x1b[0m
   0  done                                 74  the device failed: disk or output
   1  not done: it is not there, say       75  a running server has the store
   2  wrong usage                          77  not yours: another user's server
  65  bad input                            78  the configuration does not fit
  69  the store is not available
";

/// What the process ends with, as the first page has it.
pub(crate) const EXIT_CODES: [(u8, &str); 9] = [
    (0, "done"),
    (1, "not done: it is not there, say"),
    (2, "wrong usage"),
    (65, "bad input"),
    (69, "the store is not available"),
    (74, "the device failed: disk or output"),
    (75, "a running server has the store"),
    (77, "not yours: another user's server"),
    (78, "the configuration does not fit"),
];

/// What commands read of the environment, beside the settings.
pub(crate) const VARIABLES: [(&str, &str); 11] = [
    ("REGRANT_CONFIG", "the configuration file, unless --config names one"),
    ("REGRANT_SERVER", "a server elsewhere, unless --server or --config is given"),
    ("REGRANT_TOKEN", "the access token for its admin API"),
    ("REGRANT_CLIENT_ID", "the client that asks for one, unless --client-id names it"),
    ("REGRANT_CLIENT_SECRET_FILE", "its secret, unless --client-secret-file names it"),
    ("REGRANT_TOKEN_ISSUER", "who gives that token, unless --token-issuer names it"),
    ("REGRANT_LOG", "what the server logs, like info or regrant_server=debug"),
    ("REGRANT_HOME", "where profiles and sessions of clients are; else ~/.config/regrant"),
    ("REGRANT_PASSPHRASE_COMMAND", "prints the passphrase that sessions of clients are sealed with"),
    ("CREDENTIALS_DIRECTORY", "where systemd put what the configuration calls credential:NAME"),
    ("NO_COLOR", "no colours, also on a terminal"),
];

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use crate::Arguments;

    #[test]
    fn the_command_line_is_well_formed() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn every_command_is_on_the_first_page() {
        let help = Arguments::command().render_help().to_string();
        for command in Arguments::command().get_subcommands() {
            assert!(help.contains(&format!("\n  {:<13}", command.get_name())), "{}:\n{help}", command.get_name());
        }
        for (code, says) in super::EXIT_CODES {
            assert!(help.contains(&format!("{code:>4}  {says}")), "{code}:\n{help}");
        }
        assert!(help.contains("--config <FILE>") && !help.contains('\x1b'), "{help}");
        assert!(help.lines().all(|line| line.chars().count() <= 100), "{help}");
    }
}
