//! Users from another server: the real `regrant user import` and `export`, `set`, `show` and `remove`, on a real file.

use std::path::PathBuf;
use std::process::Output;

use rusqlite::Connection;
use serde_json::{Value, json};
use sim::process::{Home, Inside, Scratch};
use sim::wire::PASSWORD;

/// Hashes of [`PASSWORD`] that libcrypt and Python's hashlib made.
const BCRYPT: &str = "$2b$04$abcdefghijklmnopqrstuuqREtd3VJD2QVZbuFskFSLk6eRIrQoOS";
const DJANGO: &str = "pbkdf2_sha256$1000$saltsaltsalt$GacV8oEzUl3KM0Mwey9yrMcTPKpkL4jXrFpbKB8oOnI=";
const KEYCLOAK: &str = "$pbkdf2-sha512$i=1000,l=64$MDEyMzQ1Njc4OWFiY2RlZg$7F/Y1rnWXXurLCfFvAmyjyXtbABhgzBTBNcm//wlnvGBOz7OExlgRFs5qwaY5PzB3/WjR7P4yv/ACDQZpDXIfQ";
const SCRYPT: &str = "$scrypt$ln=10,r=8,p=1$MDEyMzQ1Njc4OWFiY2RlZg$xXt6EAFzAOlee5Hgl8R5+kLA6sDARjRcMGtm6fZJsa8";

struct Place {
    home: Home,
    scratch: Scratch,
}

impl Place {
    fn new(name: &str) -> Self {
        let scratch = Scratch::new(name);
        Self { home: Home::make(&scratch.path().join("home")), scratch }
    }

    fn file(&self, name: &str, text: &str) -> String {
        let path: PathBuf = self.scratch.path().join(name);
        std::fs::write(&path, text).expect("a file");
        path.display().to_string()
    }

    fn run(&self, arguments: &[&str]) -> Output {
        self.home.command(arguments).output().expect("regrant runs")
    }

    fn json(&self, arguments: &[&str]) -> Value {
        let output = self.run(&[arguments, &["--json"]].concat());
        serde_json::from_slice(&output.stdout)
            .unwrap_or_else(|_| panic!("{arguments:?}: {}", String::from_utf8_lossy(&output.stderr)))
    }

    fn counts(&self, arguments: &[&str]) -> [u64; 4] {
        let users = self.json(arguments)["users"].clone();
        ["added", "updated", "skipped", "refused"].map(|name| users[name].as_u64().expect("a count"))
    }

    fn hash_of(&self, name: &str) -> (String, u64) {
        let sql = Connection::open(self.home.store()).expect("the store");
        sql.query_row("SELECT password, version FROM users WHERE name = ?1", [name], |row| {
            Ok((row.get(0)?, row.get::<_, i64>(1)? as u64))
        })
        .expect("a user")
    }

    async fn logs_in(&self, names: &[&str], password: &str) -> Vec<u16> {
        let inside: Inside = self.home.open_inside();
        let mut statuses = Vec::new();
        for name in names {
            let asked = [("grant_type", "password"), ("username", *name), ("password", password)];
            statuses.push(inside.post("/oauth2/token", "phone", &asked).await.status.as_u16());
        }
        inside.app.engine.stop().await;
        statuses
    }
}

/// Hashes of four other servers let their users in, and are ours after the first login: one write, and no other one later.
#[tokio::test(flavor = "multi_thread")]
async fn an_imported_user_logs_in_and_has_our_hash_from_then_on() {
    let place = Place::new("import");
    let names = ["ann", "bob", "cyd", "dan"];
    let lines: String = names
        .iter()
        .zip([BCRYPT, DJANGO, KEYCLOAK, SCRYPT])
        .map(|(name, hash)| {
            json!({"username": name.to_uppercase(), "password_hash": hash, "email": format!("{name}@example.com"), "groups": ["staff"]})
                .to_string()
                + "\n"
        })
        .collect();
    let file = place.file("users.jsonl", &lines);
    assert_eq!(place.counts(&["user", "import", &file, "--dry-run"]), [4, 0, 0, 0]);
    assert_eq!(place.json(&["user", "list"]), json!([]), "a dry run changes nothing");
    assert_eq!(place.counts(&["user", "import", &file]), [4, 0, 0, 0]);
    assert_eq!(place.counts(&["user", "import", &file]), [0, 0, 4, 0], "again is harmless");
    assert_eq!(place.hash_of("ann"), (BCRYPT.to_owned(), 1));
    assert_eq!(place.logs_in(&names, "another password").await, [400; 4]);
    assert_eq!(place.hash_of("ann"), (BCRYPT.to_owned(), 1), "a wrong password renews nothing");
    assert_eq!(place.logs_in(&names, PASSWORD).await, [200; 4]);
    for name in names {
        let (hash, version) = place.hash_of(name);
        assert!(hash.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{name}: {hash}");
        assert_eq!(version, 2);
    }
    assert_eq!(place.logs_in(&names, PASSWORD).await, [200; 4]);
    assert_eq!(place.hash_of("ann").1, 2, "ours is left alone");
    let shown = place.json(&["user", "show", "ann"]);
    assert_eq!((&shown["password"], &shown["attributes"]["groups"]), (&json!("argon2id"), &json!(["staff"])));
    assert_eq!(shown["attributes"]["email_verified"], json!(false));
}

/// Check X6: a line that cannot be taken is named by its number and keeps nothing but itself out; its hash is never repeated.
#[test]
fn a_bad_line_is_named_and_keeps_only_itself_out() {
    let place = Place::new("import-bad");
    let costly = BCRYPT.replace("$04$", "$31$");
    let lines = [
        json!({"username": "ann", "password_hash": BCRYPT}).to_string(),
        "{\"username\":".to_owned(),
        json!({"username": "", "password_hash": BCRYPT}).to_string(),
        json!({"username": "eve", "password_hash": costly}).to_string(),
        json!({"username": "eve", "password_hash": "$scrypt$ln=30,r=8,p=1$MDEyMzQ1Njc4OWFiY2RlZg$MDEyMzQ1Njc4OWFiY2RlZg"}).to_string(),
        json!({"username": "eve", "password_hash": "hunter2hunter2"}).to_string(),
        json!({"username": "eve", "client_id": "x"}).to_string(),
        json!({"username": "eve", "sub": "alice"}).to_string(),
        json!({"username": "eve", "groups": "admin"}).to_string(),
        "{\"username\":\"eve\",\"username\":\"eve2\"}".to_owned(),
        json!({"username": "eve", "note": "x".repeat(70_000)}).to_string(),
        String::new(),
        json!({"username": "bob"}).to_string(),
        json!({"username": "BOB", "email": "b@example.com"}).to_string(),
    ];
    let file = place.file("users.jsonl", &lines.join("\n"));
    let output = place.run(&["user", "import", &file]);
    assert_eq!(output.status.code(), Some(65));
    let said = String::from_utf8_lossy(&output.stderr);
    for number in 2..=11 {
        assert!(said.contains(&format!("line {number}: ")), "line {number} is not named in {said}");
    }
    assert!(!said.contains("hunter2") && !said.contains(&costly), "a hash was repeated: {said}");
    // The same for a program: both outputs are JSON.
    let checked = place.run(&["user", "import", &file, "--dry-run", "--json"]);
    assert_eq!(checked.status.code(), Some(65));
    let told: Value = serde_json::from_slice(&checked.stdout).expect("JSON");
    let refused = told["refused"].as_array().expect("a list");
    assert!(refused.iter().map(|bad| &bad["line"]).eq((2..=11).map(Value::from).collect::<Vec<_>>().iter()), "{told}");
    assert!(refused.iter().all(|bad| bad["reason"].as_str().is_some_and(|reason| !reason.is_empty())), "{told}");
    assert!(!told.to_string().contains("hunter2"), "a hash was repeated: {told}");
    let failed: Value = serde_json::from_slice(&checked.stderr).expect("JSON");
    assert_eq!(failed["exit_code"], 65);
    assert!(String::from_utf8_lossy(&output.stdout).contains("2 added, 0 updated, 1 skipped, 10 refused"));
    let names: Vec<Value> =
        place.json(&["user", "list"]).as_array().expect("users").iter().map(|user| user["name"].clone()).collect();
    assert_eq!(names, [json!("ann"), json!("bob")]);
    assert_eq!(place.json(&["user", "show", "bob"])["password"], json!("none"));
}

/// CSV says the same: with a header, quotes, line breaks within them, and lists; and `--update` takes over what a line says.
#[test]
fn csv_is_read_and_existing_users_are_updated_only_when_asked() {
    let place = Place::new("import-csv");
    let file = place.file(
        "users.CSV",
        &format!(
            "username,password_hash,name,groups,disabled,email,email_verified,address.country\r\n\
             ann,{BCRYPT},\"Ann, the \"\"first\"\"\",admin; staff,,a@example.com,true,DE\r\n\
             bob,,\"Two\nLines\",,true,,,\r\n\
             cyd,too,few\r\n\
             dan,,Dan,,maybe,,,\r\n"
        ),
    );
    let output = place.run(&["user", "import", &file]);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("line 5: it has 3 fields, and the header has 8"), "{said}");
    assert!(said.contains("line 6: disabled: it must be true or false"), "{said}");
    let ann = place.json(&["user", "show", "ann"]);
    assert_eq!(
        ann["attributes"],
        json!({"name": "Ann, the \"first\"", "groups": ["admin", "staff"], "email": "a@example.com",
               "email_verified": true, "address": {"country": "DE"}})
    );
    assert_eq!(place.json(&["user", "show", "bob"])["enabled"], json!(false));
    let more = place.file("more.csv", "username,groups,disabled\nann,staff,\nbob,,false\nnew,,\n");
    assert_eq!(place.counts(&["user", "import", &more]), [1, 0, 2, 0]);
    assert_eq!(place.counts(&["user", "import", &more, "--update", "--dry-run"]), [0, 3, 0, 0]);
    assert_eq!(place.json(&["user", "show", "bob"])["enabled"], json!(false));
    assert_eq!(place.counts(&["user", "import", &more, "--update"]), [0, 3, 0, 0]);
    let after = place.json(&["user", "show", "ann"]);
    assert_eq!(after["attributes"]["groups"], json!(["staff"]));
    assert_eq!((&after["attributes"]["email"], &after["subject"]), (&ann["attributes"]["email"], &ann["subject"]));
    assert_eq!(place.hash_of("ann").0, BCRYPT, "what a line does not say stays");
    assert_eq!(place.json(&["user", "show", "bob"])["enabled"], json!(true));
}

/// What is exported can be imported elsewhere: the same subjects, hashes only when asked for, in a file that nobody else reads.
#[tokio::test(flavor = "multi_thread")]
async fn an_export_can_be_imported_elsewhere() {
    use std::os::unix::fs::PermissionsExt as _;
    let place = Place::new("export");
    let lines = format!(
        "{}\n{}\n",
        json!({"username": "ann", "password_hash": BCRYPT, "roles": ["x"], "address": {"country": "DE"}}),
        json!({"username": "bob", "disabled": true})
    );
    let file = place.file("users.jsonl", &lines);
    place.counts(&["user", "import", &file]);
    let plain = String::from_utf8(place.run(&["user", "export"]).stdout).expect("UTF-8");
    assert!(plain.lines().count() == 2 && !plain.contains("$2b$"), "{plain}");
    let target = place.scratch.path().join("out.jsonl");
    let shown = target.display().to_string();
    assert!(place.run(&["user", "export", "--with-password-hashes", &shown]).status.success());
    assert_eq!(std::fs::metadata(&target).expect("a file").permissions().mode() & 0o777, 0o600);
    assert!(!place.run(&["user", "export", &shown]).status.success(), "nothing is overwritten");
    let other = Place::new("export-to");
    assert_eq!(other.counts(&["user", "import", &shown]), [2, 0, 0, 0]);
    for name in ["ann", "bob"] {
        let [here, there] = [&place, &other].map(|place| place.json(&["user", "show", name]));
        for member in ["subject", "attributes", "enabled", "password"] {
            assert_eq!(here[member], there[member], "{name}: {member}");
        }
    }
    assert_eq!(other.logs_in(&["ann"], PASSWORD).await, [200]);
}

/// Many users, in bounded memory and few transactions.
#[test]
fn ten_thousand_users_are_imported_in_batches() {
    let place = Place::new("import-many");
    let lines: String = (0..10_000)
        .map(|number| {
            json!({"username": format!("user{number}"), "password_hash": BCRYPT, "groups": ["staff"]}).to_string()
                + "\n"
        })
        .collect();
    let file = place.file("users.jsonl", &lines);
    assert_eq!(place.counts(&["user", "import", &file]), [10_000, 0, 0, 0]);
    let sql = Connection::open(place.home.store()).expect("the store");
    let count = |sql_text: &str| sql.query_row(sql_text, [], |row| row.get::<_, i64>(0)).expect("a count");
    assert_eq!(count("SELECT count(*) FROM users"), 10_000);
    assert_eq!(count("SELECT count(*) FROM events"), 50, "one for each batch, and none for each user");
}

/// `user set`, `show` and `remove`, as people type them.
#[test]
fn attributes_are_set_and_shown_by_the_command() {
    let place = Place::new("user-set");
    place.home.add_user();
    let set = |arguments: &[&str]| place.run(&[&["user", "set", "alice"], arguments].concat());
    let done = set(&[
        "email=a@example.com",
        "address.country=DE",
        "nickname=al",
        "--add",
        "groups=admin",
        "--add",
        "groups=staff",
        "--json-value",
        "quota={\"gb\":5}",
    ]);
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    assert!(set(&["--remove", "groups=admin", "--unset", "nickname"]).status.success());
    assert_eq!(
        place.json(&["user", "show", "alice"])["attributes"],
        json!({"email": "a@example.com", "email_verified": false, "address": {"country": "DE"}, "groups": ["staff"], "quota": {"gb": 5}})
    );
    for (arguments, code, says) in [
        (&["sub=usr_x"][..], 65, "reserved"),
        (&["groups=admin"][..], 65, "--add"),
        (&["email_verified=perhaps"][..], 65, "true or false"),
        (&["--add", "friends=bob"][..], 65, "groups, roles and entitlements"),
        (&["--json-value", "updated_at=1"][..], 65, "the server says it"),
        (&["email"][..], 2, "KEY=VALUE"),
        (&[][..], 2, "nothing to set"),
    ] {
        let output = set(arguments);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {said}");
        assert!(said.contains(says), "{arguments:?}: {said}");
    }
    let text = String::from_utf8(place.run(&["user", "show", "alice"]).stdout).expect("UTF-8");
    assert!(text.contains("argon2id") && text.contains("staff") && !text.contains("$argon2id$"), "{text}");
    assert!(place.run(&["user", "remove", "alice"]).status.success());
    assert_eq!(place.run(&["user", "show", "alice"]).status.code(), Some(1));
}
