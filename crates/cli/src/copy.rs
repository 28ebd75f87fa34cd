//! `regrant copy --from sqlite:FILE --to postgres://…`: moves a deployment from one machine's file to a database that many nodes share.

use std::io::IsTerminal as _;
use std::path::PathBuf;

use regrant_server::Clock;
use regrant_server::app::open_to_move;
use regrant_server::recover::AnchorNeed;
use regrant_store::{MoveError, PostgresOptions, move_store};

use crate::context::{Context, Done, Failure};
use crate::output;

/// From where to where.
#[derive(clap::Args, Debug)]
#[command(
    after_help = "Stop the server first: the file is held while it is copied. Broken off, it goes on where it was; if\nthe file was served meanwhile, it begins anew. At the end everything is read on both sides and\ncompared. Nobody is logged out: every token works on the new store, under the same root key. A note\nbeside the file (FILE.moved) keeps servers from opening it again: what the other one does not hear\nof, it does not know.\n\nThe file is judged as at a start: one that went back is refused. With the configuration of that\nstore its `anchor_file` and `revocations_file` are asked, and its root key must be readable; of\nanother file the anchor beside it.\n\nExample:\n  regrant -c regrant.toml copy --from sqlite:regrant.db \\\n      --to postgres://regrant@db1,db2/regrant --password-file /run/secrets/regrant-db"
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
    /// Move a store that has no anchor: if an older copy was put back, spent refresh tokens work again and revocations are undone.
    #[arg(long)]
    without_anchor: bool,
}

pub(crate) fn run(context: &Context, args: Args) -> Done {
    let usage = |problem: String| Failure::new(2, problem);
    let Some(from) = args.from.strip_prefix("sqlite:").filter(|path| !path.is_empty()).map(PathBuf::from) else {
        return Err(usage(format!("--from {} is not of the form sqlite:FILE", args.from)));
    };
    let mut to = PostgresOptions::parse(&args.to).map_err(|problem| usage(format!("--to: {problem}")))?;
    to.password_file = args.password_file;
    let anchor = if args.without_anchor { AnchorNeed::Waived } else { AnchorNeed::Needed };
    let mut source = open_to_move(&context.load()?, &from, anchor, &Clock::system())?;
    let shows = !context.json && std::io::stderr().is_terminal();
    let mut table = "";
    let moved = move_store(&mut source, &to, |now, done, all| {
        if shows && (table != now || done == all || done % 50_000 == 0) {
            output::error(&format!("{now}: {done} of {all}"));
        }
        table = now;
    });
    let moved = moved.map_err(|error| {
        let code = match &error {
            MoveError::Empty(_) | MoveError::Unsealed(_) | MoveError::InUse(_) | MoveError::Finished(_) => 1,
            MoveError::Differs(_) | MoveError::Read(_) => 65,
            MoveError::Open(_) | MoveError::Write(_) => 69,
        };
        Failure::new(code, error)
    })?;
    if context.json {
        let rows: serde_json::Map<String, serde_json::Value> =
            moved.rows.iter().map(|(name, rows)| ((*name).to_owned(), (*rows).into())).collect();
        output::json(&serde_json::json!({
            "rows": rows,
            "compared": moved.compared,
            "began_anew": moved.began_anew,
            "unnoted": moved.unnoted,
        }));
        return Ok(());
    }
    output::done(&format!("{} holds everything that {} holds", to.address, from.display()));
    output::pairs(moved.rows.iter().filter(|(_, rows)| *rows > 0).map(|(name, rows)| (*name, rows.to_string())));
    output::pairs([(
        "compared",
        format!("every row, and {} grants as they are read, on both sides alike", moved.compared),
    )]);
    if moved.began_anew {
        output::note(
            "the file was not as it was when a move was begun before: the database was emptied, and everything copied anew",
        );
    }
    if let Some(why) = moved.unnoted {
        output::note(&format!("nothing keeps a server from opening the file: its note could not be written ({why})"));
    }
    output::note("set `store` to the new address, keep the root key, and do not serve from the file again");
    Ok(())
}
