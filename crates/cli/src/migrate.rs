//! `regrant migrate plan|apply`: the schema of a PostgreSQL, at the time that an operator chooses. A SQLite file is brought up to date by
//! the server that opens it.

use regrant_server::config::StoreLocation;
use regrant_store::{Migration, Postgres, PostgresOptions, SchemaState, known_schema};
use serde::Serialize;

use crate::context::{Context, Done, Failure};
use crate::output;

#[derive(clap::Subcommand, Clone, Copy, Debug)]
pub(crate) enum Command {
    /// Say what is missing, and whether nodes of the version before can go on meanwhile.
    Plan,
    /// Apply it. Safe while nodes run, where the plan says so; broken off, it goes on where it was.
    Apply,
}

/// One step, for programs.
#[derive(Serialize)]
struct Step {
    version: u32,
    title: &'static str,
    /// Whether programs of the schema before work with it.
    works_beside_the_one_before: bool,
    sql: &'static str,
}

#[derive(Serialize)]
struct Plan {
    found: u32,
    known: u32,
    pending: Vec<Step>,
}

pub(crate) fn run(context: &Context, command: Command) -> Done {
    context.say_defaults();
    let config = context.load()?;
    let StoreLocation::Postgres(options) = &config.store else {
        return Err(Failure::new(
            1,
            "the store is a SQLite file: the server that opens it brings its schema up to date\n  remedy: nothing is to be done",
        ));
    };
    match command {
        Command::Plan => plan(context, options),
        Command::Apply => apply(context, options),
    }
}

fn plan(context: &Context, options: &PostgresOptions) -> Done {
    let state = Postgres::schema(options).map_err(|error| Failure::new(69, error))?;
    let pending: Vec<Step> = state.pending().map(|migration| step(state, migration)).collect();
    if context.json {
        output::json(&Plan { found: state.version, known: known_schema(), pending });
        return Ok(());
    }
    output::pairs([
        ("schema", state.version.to_string()),
        ("this program", known_schema().to_string()),
        ("pending", pending.len().to_string()),
    ]);
    for step in pending {
        let meanwhile = match (state.version, step.works_beside_the_one_before) {
            (0, _) => "the database is empty",
            (_, true) => "nodes of the version before go on",
            (_, false) => "stop the nodes of the version before",
        };
        output::line(&format!("{:>4}  {} ({meanwhile})", step.version, step.title));
    }
    Ok(())
}

const fn step(state: SchemaState, migration: &'static Migration) -> Step {
    Step {
        version: migration.version,
        title: migration.title,
        works_beside_the_one_before: migration.works_with <= state.version,
        sql: migration.sql,
    }
}

fn apply(context: &Context, options: &PostgresOptions) -> Done {
    let mut applied = Vec::new();
    let migrated = Postgres::migrate(options, |migration| {
        applied.push(migration.version);
        if !context.json {
            output::done(&format!("{} {}", migration.version, migration.title));
        }
    });
    migrated.map_err(|error| Failure::new(69, error))?;
    if context.json {
        output::json(&serde_json::json!({ "applied": applied }));
    } else if applied.is_empty() {
        output::done("nothing was missing");
    }
    Ok(())
}
