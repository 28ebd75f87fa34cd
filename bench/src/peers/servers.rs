//! Each server as it is measured: started on loopback with a fresh store in a directory of its own.

use std::net::SocketAddr;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use regrant_core::one_time::client_secret_hash;
use rustix::process::Signal;
use serde_json::json;
use sim::process::Home;
use sim::wire::{PASSWORD, USER};

use super::door::{CLIENT, Door, Minting, SECRET};
use super::install::{self, finish, is_root, user};
use super::process::{Running, free_port, output};
use super::store::{Books, CLUSTER_OWNER};

/// Our own scripts for them.
const SCRIPTS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/peers");
/// How long a server may take to start.
const PATIENCE: Duration = Duration::from_secs(30);
/// How long Keycloak may take, which makes its tables first.
const KEYCLOAK_PATIENCE: Duration = Duration::from_secs(600);
/// The bytes of an answer of Regrant with an opaque token, which the ceiling's are to equal.
const ANSWER: usize = 267;

/// A running server.
#[derive(Debug)]
pub struct Server {
    /// Which version of what.
    pub version: String,
    /// Where it is asked.
    pub door: Door,
    /// Where its store is looked at.
    pub books: Books,
    /// What runs. Stopped in this order: a server before its database.
    pub processes: Vec<Running>,
}

/// Ceiling 1: bare axum in a process of its own.
///
/// # Errors
/// If it does not start.
pub fn ceiling(directory: &Path) -> Result<Server, String> {
    let program = std::env::current_exe().map_err(|error| error.to_string())?;
    let mut command = Command::new(program);
    command.args(["ceiling", "--length", &ANSWER.to_string()]);
    let mut running = Running::start("ceiling", command, directory, Signal::TERM)?;
    let door =
        Door { address: running.listens(PATIENCE)?, path: "/oauth2/token", metadata: "/", minting: Minting::None };
    Ok(Server { version: "axum".to_owned(), door, books: Books::None, processes: vec![running] })
}

/// Regrant, with SQLite.
///
/// # Errors
/// If it does not start.
pub fn regrant(directory: &Path) -> Result<Server, String> {
    let hash = regrant_server::config::hash_text(&client_secret_hash(SECRET));
    let clients = format!(
        r#"
[[scope]]
name = "api"
description = "Use the API"
[[client]]
id = "{CLIENT}"
secret_hash = "{hash}"
redirect_uris = ["https://app.example/cb"]
grant_types = ["authorization_code", "refresh_token", "password"]
scopes = ["api"]
rotation = "single_use"
access_token_format = "opaque"
# The others write no line for each request either.
[log]
filter = "warn"
"#
    );
    let home = Home::make_with(&directory.join("home"), &clients);
    home.add_user();
    let mut running = Running::start("regrant", home.command(&["serve"]), directory, Signal::TERM)?;
    let door = Door {
        address: running.listens(PATIENCE)?,
        path: "/oauth2/token",
        metadata: "/.well-known/openid-configuration",
        minting: Minting::Password(USER, PASSWORD),
    };
    let version = format!("{}, SQLite", env!("CARGO_PKG_VERSION"));
    Ok(Server { version, door, books: Books::Sqlite(home.store()), processes: vec![running] })
}

/// node-oidc-provider with Redis, which syncs each write to the disk before it answers.
///
/// # Errors
/// If one of the two does not start.
pub fn oidc_provider(found: &install::OidcProvider, processes: u32, directory: &Path) -> Result<Server, String> {
    let (port, redis_port) = (free_port()?, free_port()?);
    let mut command = Command::new(&found.redis);
    command.args(["--bind", "127.0.0.1", "--port", &redis_port.to_string(), "--dir"]).arg(directory);
    command.args(["--save", "", "--appendonly", "yes", "--appendfsync", "always"]);
    let mut redis = Running::start("redis", command, directory, Signal::TERM)?;
    let books = Books::Redis(redis_port);
    redis.ready(PATIENCE, |_| books.read().ok())?;
    let mut command = Command::new(&found.node);
    let setup =
        json!({"port": port, "redis_port": redis_port, "processes": processes, "client": CLIENT, "secret": SECRET});
    command.arg(Path::new(SCRIPTS).join("server.mjs")).arg(setup.to_string()).current_dir(&found.directory);
    command.env("NODE_ENV", "production");
    let mut node = Running::start("oidc-provider", command, directory, Signal::TERM)?;
    let door = Door {
        address: node.listens(PATIENCE)?,
        path: "/token",
        metadata: "/.well-known/openid-configuration",
        minting: Minting::Page("/mint?count="),
    };
    Ok(Server { version: found.version.clone(), door, books, processes: vec![node, redis] })
}

/// Keycloak with PostgreSQL.
///
/// # Errors
/// If one of the two does not start.
pub fn keycloak(found: &install::Keycloak, directory: &Path) -> Result<Server, String> {
    let (port, database_port) = (free_port()?, free_port()?);
    let database = postgres(&found.postgres, database_port, directory)?;
    // Without the one that another run may have left for another address.
    let realms = found.directory.join("data/import");
    std::fs::create_dir_all(&realms)
        .and_then(|()| std::fs::copy(Path::new(SCRIPTS).join("realm.json"), realms.join("realm.json")))
        .map_err(|error| format!("{}: {error}", realms.display()))?;
    let mut command = Command::new(found.directory.join("bin/kc.sh"));
    command
        .args(["start", "--optimized", "--import-realm", "--cache=local", "--db-username", CLUSTER_OWNER])
        .arg(format!("--db-url=jdbc:postgresql://127.0.0.1:{database_port}/{DATABASE}"))
        .args(["--db-pool-max-size=50", "--http-enabled=true", "--http-host=127.0.0.1", "--hostname-strict=false"])
        .arg(format!("--http-port={port}"))
        .env("JAVA_OPTS_KC_HEAP", "-Xms256m -Xmx1g");
    let mut keycloak = Running::start("keycloak", command, directory, Signal::TERM)?;
    let door = Door {
        address: SocketAddr::from(([127, 0, 0, 1], port)),
        path: "/realms/bench/protocol/openid-connect/token",
        metadata: "/realms/bench/.well-known/openid-configuration",
        minting: Minting::Password(USER, PASSWORD),
    };
    // It listens when the realm is there.
    keycloak.ready(KEYCLOAK_PATIENCE, |_| door.line().ok())?;
    let books = Books::Postgres(found.postgres.join("psql"), database_port, DATABASE);
    Ok(Server { version: found.version.clone(), door, books, processes: vec![keycloak, database] })
}

const DATABASE: &str = "keycloak";

/// A PostgreSQL server with one empty database, with its own defaults but for the memory.
fn postgres(programs: &Path, port: u16, directory: &Path) -> Result<Running, String> {
    let data = directory.join("postgres");
    std::fs::create_dir_all(&data).map_err(|error| format!("{}: {error}", data.display()))?;
    // It refuses to be root.
    let owner = if is_root() { Some(user("postgres")?) } else { None };
    if let Some(owner) = owner {
        std::os::unix::fs::chown(&data, Some(owner), None).map_err(|error| error.to_string())?;
    }
    let command = |program: &str| {
        let mut command = Command::new(programs.join(program));
        command.arg("-D").arg(&data).current_dir(&data);
        if let Some(owner) = owner {
            command.uid(owner);
        }
        command
    };
    let mut init = command("initdb");
    init.args(["-U", CLUSTER_OWNER, "--auth=trust", "--encoding=UTF8", "--locale=C"]);
    finish("initdb", init, directory)?;
    let mut serve = command("postgres");
    serve.args(["-p", &port.to_string(), "-c", "listen_addresses=127.0.0.1", "-c", "unix_socket_directories="]);
    serve.args(["-c", "shared_buffers=256MB"]);
    // PostgreSQL's "fast shutdown".
    let mut running = Running::start("postgres", serve, directory, Signal::INT)?;
    let create = format!("CREATE DATABASE {DATABASE}");
    running.ready(PATIENCE, |_| {
        let psql = programs.join("psql");
        let port = port.to_string();
        output(Command::new(psql).args([
            "-h",
            "127.0.0.1",
            "-p",
            &port,
            "-U",
            CLUSTER_OWNER,
            "-c",
            &create,
            "postgres",
        ]))
        .ok()
    })?;
    Ok(running)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_realm_knows_our_client_and_our_user() {
        let realm = std::fs::read(Path::new(SCRIPTS).join("realm.json")).expect("the file");
        let realm: serde_json::Value = serde_json::from_slice(&realm).expect("JSON");
        let (client, user) = (&realm["clients"][0], &realm["users"][0]);
        assert_eq!((&client["clientId"], &client["secret"]), (&json!(CLIENT), &json!(SECRET)));
        assert_eq!((&user["username"], &user["credentials"][0]["value"]), (&json!(USER), &json!(PASSWORD)));
        assert_eq!((&realm["revokeRefreshToken"], &realm["refreshTokenMaxReuse"]), (&json!(true), &json!(0)));
    }
}
