//! The settings at the top of the file, above its first section: where the server is, and where its files are.

use std::path::{Path, PathBuf};

use regrant_store::Writes;

use super::document::Section;
use super::{Config, DEFAULT_LISTEN, DEFAULT_ROOT_KEY_FILE, DEFAULT_STORE, Problem, StoreLocation, places, proxies};

/// The keys at the top of the file, for whoever writes one of them further down.
pub(super) const TOP: [&str; 12] = [
    "issuer",
    "listen",
    "store",
    "store_writes",
    "store_password_file",
    "anchor_file",
    "revocations_file",
    "root_key_file",
    "admin_socket",
    "token_endpoint_aliases",
    "trusted_proxies",
    "forwarded_header",
];
const MAX_ALIASES: usize = 16;

pub(super) fn read(top: &Section<'_>, base: &Path, config: &mut Config) {
    config.issuer = top.string("issuer");
    if let Some(Err(problem)) = config.issuer.as_deref().map(places::check_issuer) {
        top.problem(problem);
    }
    match places::listen(&top.string("listen").unwrap_or_else(|| DEFAULT_LISTEN.to_owned())) {
        Ok(listen) => config.listen = listen,
        Err(problem) => top.problem(problem),
    }
    match places::store(&top.string("store").unwrap_or_else(|| DEFAULT_STORE.to_owned()), base) {
        Ok(store) => config.store = store,
        Err(problem) => top.problem(problem),
    }
    config.store_place = top.place("store");
    config.store_password_file = read_path(top, "store_password_file", base);
    if let StoreLocation::Postgres(options) = &mut config.store {
        options.password_file.clone_from(&config.store_password_file);
        if config.issuer.is_none() {
            let notice = "nodes that share a store need one name: without `issuer` each of them calls itself by its own address, and takes no other one's tokens for its own";
            config.notices.push(notice.to_owned());
        }
    }
    config.anchor_file = read_path(top, "anchor_file", base);
    config.revocations_file = read_path(top, "revocations_file", base);
    match top.string("store_writes").as_deref() {
        None | Some("journal") => config.store_writes = Writes::Journal,
        Some("rows") => config.store_writes = Writes::Rows,
        Some(_) => top.problem(Problem::new(
            "store_writes",
            "it is neither \"journal\" nor \"rows\"",
            "Write \"journal\", or leave it out.",
        )),
    }
    let root_key_file = top.string("root_key_file").unwrap_or_else(|| DEFAULT_ROOT_KEY_FILE.to_owned());
    if root_key_file.is_empty() || root_key_file.contains('\0') {
        top.problem(Problem::new("root_key_file", "it is no path", "Write \"root.key\"."));
    }
    if root_key_file.starts_with(regrant_core::keys::ROOT_KEY_PREFIX) {
        let remedy =
            "Write the key into a file of mode 0400, and the file's path here. This key was seen: make another.";
        top.problem(Problem::new("root_key_file", "this is a key and not a path", remedy));
    }
    config.root_key_file = places::under(base, &root_key_file);
    match top.string("admin_socket").as_deref() {
        None => {}
        Some("off") => config.admin_socket = Some(PathBuf::new()),
        Some(path) => match places::socket(base, path) {
            Ok(path) => config.admin_socket = Some(path),
            Err(problem) => top.problem(problem),
        },
    }
    if let Some(aliases) = top.strings("token_endpoint_aliases") {
        read_aliases(top, &aliases);
        config.token_endpoint_aliases = aliases;
    }
    config.trusted_proxies = proxies::read(top);
}

fn read_path(top: &Section<'_>, key: &'static str, base: &Path) -> Option<PathBuf> {
    let path = top.string(key)?;
    if path.is_empty() || path.contains('\0') {
        top.problem(Problem::new(key, "it is no path", "Write one like \"/var/lib/elsewhere/regrant\"."));
        return None;
    }
    Some(places::under(base, &path))
}

/// Who speaks TLS is known by an https name (RFC 8414 section 2).
pub(super) fn check_tls_issuer(top: &Section<'_>, config: &Config) {
    let what = match &config.issuer {
        Some(issuer) if issuer.starts_with("http:") => "it is an http URL, and [tls] is there",
        Some(_) => return,
        None => "[tls] is there, and there is no issuer",
    };
    top.problem(Problem::new("issuer", what, "Set issuer to the https URL that clients use."));
}

fn read_aliases(top: &Section<'_>, aliases: &[String]) {
    let key = "token_endpoint_aliases";
    if aliases.len() > MAX_ALIASES {
        let what = format!("there are {}, and {MAX_ALIASES} are the limit", aliases.len());
        top.problem(Problem::new(key, what, "Keep those in use."));
    }
    for (index, alias) in aliases.iter().enumerate() {
        if let Err(what) = places::check_alias(alias) {
            let remedy = "Write a path like \"/oauth/v2/accessToken\".";
            top.problem(Problem::new(key, what, remedy).at(index));
        } else if aliases[..index].contains(alias) {
            top.problem(Problem::new(key, "it is named twice", "Remove one of them.").at(index));
        }
    }
}
