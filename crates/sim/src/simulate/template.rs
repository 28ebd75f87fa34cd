//! What every history begins with: a deployment with its keys, clients and users, in memory and on a file.

use std::future::Future as _;

use regrant_core::Timestamp;
use regrant_core::keys::RootKey;
use regrant_server::{App, Clock, Config};
use regrant_store::{Memory, Record, Sqlite, SqliteOptions, Store, User};

use crate::process::Scratch;
use crate::wire::{ROOT, START};

/// The clients.
const CONFIG: &str = r#"
[[scope]]
name = "read"
description = "Read"
[[scope]]
name = "write"
description = "Write"
[[client]]
id = "phone"
name = "Phone"
token_endpoint_auth_method = "none"
redirect_uris = ["https://app.example/cb"]
grant_types = ["authorization_code", "refresh_token"]
scopes = ["read", "write"]
access_token_format = "opaque"
idle_lifetime = "10d"
[[client]]
id = "web"
name = "Web"
secret_hash = "HASH"
token_endpoint_auth_method = "client_secret_post"
redirect_uris = ["https://app.example/cb"]
grant_types = ["authorization_code", "refresh_token"]
scopes = ["read", "write"]
rotation = "single_use"
access_token_format = "opaque"
idle_lifetime = "10d"
[[client]]
id = "steady"
name = "Steady"
secret_hash = "HASH"
token_endpoint_auth_method = "client_secret_basic"
redirect_uris = ["https://app.example/cb"]
grant_types = ["authorization_code", "refresh_token"]
scopes = ["read", "write"]
idle_lifetime = "10d"
[[client]]
id = "api"
secret_hash = "HASH"
token_endpoint_auth_method = "client_secret_basic"
grant_types = ["client_credentials"]
may_introspect = true
"#;

const REGISTRATION: &str = r#"
[registration]
mode = "open"
grant_types = ["authorization_code", "refresh_token"]
"#;

const TELLY: &str = r#"
[[client]]
id = "tv"
token_endpoint_auth_method = "none"
grant_types = ["urn:ietf:params:oauth:grant-type:device_code", "refresh_token"]
scopes = ["read", "write"]
idle_lifetime = "10d"
"#;

const ROBOT: &str = r#"
[[client]]
id = "robot"
token_endpoint_auth_method = "private_key_jwt"
jwks = KEYS
grant_types = ["client_credentials"]
scopes = ["read"]
"#;

/// How many users there are: as many as sessions in one history, so that each is switched off alone.
pub(super) const USERS: usize = 16;

pub(super) fn subject(user: usize) -> String {
    format!("usr_simulated{user:02}")
}

/// A deployment to copy.
pub(super) struct Template {
    pub(super) config: Config,
    pub(super) memory: Memory,
    pub(super) file: Scratch,
}

impl Template {
    pub(super) fn make() -> Self {
        Self::of(CONFIG)
    }

    /// With an open door for clients that register themselves, and a device.
    pub(super) fn with_doors() -> Self {
        Self::of(&format!("{CONFIG}{TELLY}{REGISTRATION}"))
    }

    /// With a client that proves itself with a key, and a device.
    pub(super) fn with_robot() -> Self {
        Self::of(&format!("{CONFIG}{TELLY}{ROBOT}"))
    }

    /// A store of one's own.
    pub(super) fn memory(&self) -> Memory {
        self.memory.copy()
    }

    fn of(text: &str) -> Self {
        let mut config = crate::wire::config(text);
        config.issuer = Some("http://127.0.0.1:8080".to_owned());
        let (memory, file) = (Memory::new(), Scratch::in_memory("template"));
        let path = file.path().join("regrant.db");
        let sqlite = Sqlite::open(&path, &SqliteOptions::default()).expect("a new store");
        for store in [Box::new(memory.clone()) as Box<dyn Store>, Box::new(sqlite)] {
            let clock = Clock::manual(Timestamp::from_millis(START));
            let (app, mut writer) =
                App::open_stepped(config.clone(), store, RootKey::new(ROOT), clock).expect("a deployment");
            let mut adding = Box::pin(app.engine.commit((0..USERS).map(user).collect()));
            let mut context = std::task::Context::from_waker(std::task::Waker::noop());
            let _ = adding.as_mut().poll(&mut context);
            while writer.step(usize::MAX) {}
            assert!(adding.as_mut().poll(&mut context).is_ready(), "the users are added");
        }
        Self { config, memory, file }
    }
}

fn user(number: usize) -> Record {
    let at = Timestamp::from_millis(START);
    Record::AddUser(User {
        subject: subject(number),
        name: format!("user{number}"),
        password: String::new(),
        disabled_at: None,
        created_at: at,
        updated_at: at,
        version: 1,
        attributes: "{}".to_owned(),
    })
}
