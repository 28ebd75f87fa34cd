//! `regrant copy --from sqlite:FILE --to postgres://…`: moves a deployment from one machine's file to a database that many nodes share.

use std::io::IsTerminal as _;
use std::path::PathBuf;

use regrant_store::{MoveError, PostgresOptions, move_store};

use crate::context::{Context, Done, Failure};
use crate::output;

/// From where to where.
#[derive(clap::Args, Debug)]
#[command(
    after_help = "Stop the server first: the file is held while it is copied. Broken off, it goes on where it was.\nNobody is logged out: every token works on the new store, under the same root key. Serve\nfrom one of the two only: what the other one does not hear of, it does not know.\n\nExample:\n  regrant copy --from sqlite:regrant.db --to postgres://regrant@db1,db2/regrant \\\n      --password-file /run/secrets/regrant-db"
)]
pub(crate) struct Args {
    /// The file, as in `store`.
    #[arg(long, value_name = "sqlite:FILE")]
    from: String,
    /// The address of an empty database, as in `store`.
    #[arg(long, value_name = "postgres://…")]
    to: String,
    /// The file that holds the database's password.
    #[arg(long, value_name = "FILE")]
    password_file: Option<PathBuf>,
}

pub(crate) fn run(context: &Context, args: Args) -> Done {
    let usage = |problem: String| Failure::new(2, problem);
    let Some(from) = args.from.strip_prefix("sqlite:").filter(|path| !path.is_empty()).map(PathBuf::from) else {
        return Err(usage(format!("--from {} is not of the form sqlite:FILE", args.from)));
    };
    let mut to = PostgresOptions::parse(&args.to).map_err(|problem| usage(format!("--to: {problem}")))?;
    to.password_file = args.password_file;
    let shows = !context.json && std::io::stderr().is_terminal();
    let mut table = "";
    let moved = move_store(&from, &to, |now, done, all| {
        if shows && (table != now || done == all || done % 50_000 == 0) {
            output::error(&format!("{now}: {done} of {all}"));
        }
        table = now;
    });
    let moved = moved.map_err(|error| {
        let code = match &error {
            MoveError::Empty(_) | MoveError::Unsealed(_) | MoveError::InUse(_) => 1,
            MoveError::Differs(_) | MoveError::Read(_) => 65,
            MoveError::Open(_) | MoveError::Write(_) => 69,
        };
        Failure::new(code, error)
    })?;
    if context.json {
        let rows: serde_json::Map<String, serde_json::Value> =
            moved.rows.iter().map(|(name, rows)| ((*name).to_owned(), (*rows).into())).collect();
        output::json(&serde_json::json!({ "rows": rows, "compared": moved.compared }));
        return Ok(());
    }
    output::done(&format!("{} holds everything that {} holds", to.address, from.display()));
    output::pairs(moved.rows.iter().filter(|(_, rows)| *rows > 0).map(|(name, rows)| (*name, rows.to_string())));
    output::pairs([("compared", format!("{} grants, on both sides alike", moved.compared))]);
    output::note("set `store` to the new address, keep the root key, and do not serve from the file again");
    Ok(())
}
