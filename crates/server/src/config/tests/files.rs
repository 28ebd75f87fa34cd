//! Files that two settings name, and files to which lines of JSON cannot be added.

use std::fs;
use std::os::unix::fs::symlink;

use super::*;

/// A directory of its own with a configuration in it.
struct Place(PathBuf);

impl Place {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("regrant-files-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&path);
        fs::create_dir_all(path.join("below")).expect("a directory");
        Self(path)
    }

    fn check(&self, text: &str) -> Result<Config, ConfigErrors> {
        fs::write(self.0.join("regrant.toml"), text).expect("writable");
        Config::load(&self.0.join("regrant.toml"))
    }

    /// Exactly one error, at this line and key, that names all of these.
    fn refused(&self, text: &str, line: usize, key: &str, says: &[&str]) {
        let errors = self.check(text).expect_err(&format!("this was taken:\n{text}")).0;
        let [error] = errors.as_slice() else { panic!("one error for\n{text}\n{errors:?}") };
        assert_eq!((error.line, error.key.as_str()), (line, key), "{error}\n{text}");
        let shown = error.to_string();
        assert!(says.iter().all(|says| shown.contains(says)), "{says:?} in {shown}");
        assert!(error.remedy.ends_with('.') && !error.remedy.is_empty(), "{shown}");
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

#[test]
fn two_settings_that_name_one_file_are_refused_where_it_is_written() {
    let place = Place::new("same");
    let root = ["root_key_file", "a file of its own"];
    for (text, line, key, says) in [
        ("anchor_file = \"root.key\"", 1, "anchor_file", &root[..]),
        ("anchor_file = \"./below/../root.key\"", 1, "anchor_file", &root),
        ("anchor_file = \"regrant.db\"", 1, "anchor_file", &["the file of store (as it is unless set)"]),
        ("anchor_file = \"regrant.db-wal\"", 1, "anchor_file", &["beside store"]),
        ("anchor_file = \"regrant.db.lock\"", 1, "anchor_file", &["beside store"]),
        ("revocations_file = \"regrant.db.anchor\"", 1, "revocations_file", &["beside store"]),
        ("admin_socket = \"regrant.db-shm\"", 1, "admin_socket", &["beside store"]),
        ("\nroot_key_file = \"regrant.db.revocations\"", 2, "root_key_file", &["beside store"]),
        ("store = \"sqlite:root.key\"", 1, "store", &["root_key_file"]),
        ("anchor_file = \"x\"\n\nrevocations_file = \"x\"", 3, "revocations_file", &["anchor_file", "regrant.toml:1)"]),
        (
            "revocations_file = \"x\"\nanchor_file = \"x.new\"",
            2,
            "anchor_file",
            &["beside revocations_file", "toml:1)"],
        ),
        ("root_key_file = \"regrant.toml\"", 1, "root_key_file", &["the configuration itself"]),
        ("[events]\njson_lines = \"root.key\"", 2, "events.json_lines", &root),
        ("[events]\njson_lines = \"regrant.db\"", 2, "events.json_lines", &["store"]),
    ] {
        place.refused(text, line, key, says);
    }
    let said = Config::parse_with(
        "",
        "regrant.toml",
        &place.0,
        &[("REGRANT_ANCHOR_FILE".to_owned(), "root.key".to_owned())].into_iter().collect(),
    );
    let said = said.expect_err("one file").to_string();
    assert!(said.contains("REGRANT_ANCHOR_FILE") && said.contains("root_key_file"), "{said}");
}

/// What leads to one file is one file, also while it is not there; and so is what has two names.
#[test]
fn links_to_one_file_are_one_file() {
    let place = Place::new("links");
    symlink("root.key", place.0.join("link")).expect("a link to nothing yet");
    symlink(place.0.join("below"), place.0.join("elsewhere")).expect("a link to a directory");
    place.refused("anchor_file = \"link\"", 1, "anchor_file", &["root_key_file"]);
    place.refused(
        "anchor_file = \"below/x\"\nrevocations_file = \"elsewhere/x\"",
        2,
        "revocations_file",
        &["anchor_file"],
    );
    fs::write(place.0.join("root.key"), "rgroot_x").expect("writable");
    place.refused("anchor_file = \"link\"", 1, "anchor_file", &["root_key_file"]);
    fs::hard_link(place.0.join("root.key"), place.0.join("name")).expect("a second name");
    place.refused("anchor_file = \"name\"", 1, "anchor_file", &["root_key_file"]);
    symlink("round", place.0.join("round")).expect("a link to itself");
    assert!(place.check("anchor_file = \"round\"").is_ok(), "the start says what it is");
}

/// What is only read may be one file, and no written one.
#[test]
fn secrets_and_certificates_share_a_file_with_each_other_alone() {
    let place = Place::new("secrets");
    fs::write(place.0.join("s"), "a secret that is long enough for everybody, 0123456789\n").expect("writable");
    let client = |id: &str| {
        format!("[[client]]\nid = \"{id}\"\nsecret_file = \"s\"\nredirect_uris = [\"https://a.example/cb\"]\n")
    };
    let tls = "issuer = \"https://a.example\"\n[tls]\ncertificate_file = \"c.pem\"\nkey_file = \"c.pem\"\n";
    let all = format!("{tls}{}{}", client("one"), client("two"));
    place.check(&all).unwrap_or_else(|errors| panic!("{errors}"));
    let other_key = tls.replace("key_file = \"c", "key_file = \"k");
    place.refused(&format!("anchor_file = \"c.pem\"\n{other_key}"), 4, "tls.certificate_file", &["anchor_file"]);
    place.refused(&format!("root_key_file = \"s\"\n{}", client("one")), 4, "client.secret_file", &["root_key_file"]);
}

#[test]
fn lines_are_added_only_to_lines_and_a_missing_directory_is_told() {
    let place = Place::new("lines");
    let lines = |file: &str| format!("[events]\njson_lines = \"{file}\"");
    let told = place.check(&lines("nowhere/events.jsonl")).expect("it may be there where the server runs").notices;
    assert!(told.iter().any(|told| told.contains("json_lines") && told.contains("nowhere, for the user")), "{told:?}");
    place.refused(&lines("below"), 2, "events.json_lines", &["is a directory"]);
    for other in ["rgroot_x\n", "SQLite format 3\0", "RGANCHR2", "# a note\n{}\n", "\0\0RGANCHR2"] {
        fs::write(place.0.join("other"), other).expect("writable");
        place.refused(&lines("other"), 2, "events.json_lines", &["other", "lines of JSON"]);
        assert_eq!(fs::read_to_string(place.0.join("other")).expect("readable"), other, "as it was");
    }
    for ours in ["", "{\"id\":1}\n", "\0\0\0", "\n{\"id\":1}\n"] {
        fs::write(place.0.join("ours"), ours).expect("writable");
        place.check(&lines("ours")).unwrap_or_else(|errors| panic!("{errors}"));
    }
    for other in ["events.jsonl", "below/events.jsonl", "/dev/null", "stdout"] {
        let taken = place.check(&lines(other)).unwrap_or_else(|errors| panic!("{errors}"));
        assert_eq!(taken.notices, [] as [String; 0], "{other}");
    }
}
