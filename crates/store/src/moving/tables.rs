//! What is moved: every table, under the same name and with the same columns on both sides.

/// How a column is kept on either side.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Kind {
    /// A number.
    Number,
    /// A text.
    Text,
    /// Bytes.
    Bytes,
}

/// A table of the same name on both sides.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Table {
    pub(crate) name: &'static str,
    pub(crate) columns: &'static [(&'static str, Kind)],
    /// How many of the first columns are the key.
    pub(crate) keys: usize,
    /// Whether the first column is a number that orders it: then it goes on behind the last that is there.
    pub(crate) is_ordered: bool,
}

impl Table {
    /// Its columns, as a statement lists them.
    pub(crate) fn names(&self) -> String {
        let names: Vec<&str> = self.columns.iter().map(|(name, _)| *name).collect();
        names.join(", ")
    }
}

/// All of them, as a statement lists them.
pub(crate) fn table_names() -> String {
    let names: Vec<&str> = TABLES.iter().map(|table| table.name).collect();
    names.join(", ")
}

/// A value on its way.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Value {
    Number(Option<i64>),
    Text(Option<String>),
    Bytes(Option<Vec<u8>>),
}

const N: Kind = Kind::Number;
const T: Kind = Kind::Text;
const B: Kind = Kind::Bytes;

/// All tables, but for the deployment's one row.
pub(super) const TABLES: &[Table] = &[
    Table {
        name: "grant_terms",
        columns: &[("number", N), ("client", T), ("subject", T), ("terms", B)],
        keys: 1,
        is_ordered: true,
    },
    Table {
        name: "grants",
        columns: &[("number", N), ("random", N), ("version", N), ("hot", B)],
        keys: 1,
        is_ordered: true,
    },
    Table {
        name: "grant_places",
        columns: &[
            ("number", N),
            ("first_at", N),
            ("first_network", T),
            ("first_agent", T),
            ("last_at", N),
            ("last_network", T),
            ("last_agent", T),
        ],
        keys: 1,
        is_ordered: true,
    },
    Table { name: "clients", columns: &[("id", T), ("definition", T)], keys: 1, is_ordered: false },
    Table {
        name: "users",
        columns: &[
            ("subject", T),
            ("name", T),
            ("password", T),
            ("disabled_at", N),
            ("created_at", N),
            ("updated_at", N),
            ("version", N),
            ("attributes", T),
        ],
        keys: 1,
        is_ordered: false,
    },
    Table {
        name: "sessions",
        columns: &[
            ("id", B),
            ("root", B),
            ("subject", T),
            ("authenticated_at", N),
            ("expires_at", N),
            ("acr", T),
            ("amr", T),
            ("claims", T),
        ],
        keys: 1,
        is_ordered: false,
    },
    Table { name: "logins", columns: &[("session", B), ("client", T), ("expires_at", N)], keys: 2, is_ordered: false },
    Table {
        name: "logout_notices",
        columns: &[("id", N), ("client", T), ("subject", T), ("session", B), ("at", N)],
        keys: 1,
        is_ordered: true,
    },
    Table {
        name: "device_requests",
        columns: &[
            ("number", N),
            ("random", N),
            ("secret", B),
            ("user_code", B),
            ("client", T),
            ("scope", T),
            ("resources", T),
            ("asked_at", N),
            ("expires_at", N),
            ("network", T),
            ("agent", T),
        ],
        keys: 1,
        is_ordered: true,
    },
    Table {
        name: "consents",
        columns: &[
            ("subject", T),
            ("client", T),
            ("scope", T),
            ("resources", T),
            ("at", N),
            ("paused_at", N),
            ("ends_at", N),
        ],
        keys: 2,
        is_ordered: false,
    },
    Table { name: "denied_access", columns: &[("jti", B), ("expires_at", N)], keys: 1, is_ordered: false },
    Table { name: "used_once", columns: &[("key", B), ("expires_at", N)], keys: 1, is_ordered: false },
    Table {
        name: "registration_tokens",
        columns: &[("hash", B), ("label", T), ("uses", N), ("created_at", N), ("expires_at", N)],
        keys: 1,
        is_ordered: false,
    },
    Table {
        name: "login_failures",
        columns: &[("key", B), ("last_at", N), ("forgotten_at", N)],
        keys: 1,
        is_ordered: false,
    },
    Table {
        name: "events",
        columns: &[
            ("id", N),
            ("at", N),
            ("kind", T),
            ("reason", T),
            ("grant_number", N),
            ("client", T),
            ("subject", T),
            ("detail", T),
            ("correlation", T),
            ("minute", N),
            ("link", B),
        ],
        keys: 1,
        is_ordered: true,
    },
    Table { name: "deliveries", columns: &[("recipient", T), ("position", N)], keys: 1, is_ordered: false },
    Table {
        name: "dead_letters",
        columns: &[("recipient", T), ("event", N), ("at", N), ("failure", T)],
        keys: 2,
        is_ordered: false,
    },
    Table {
        name: "keys",
        columns: &[
            ("kind", T),
            ("id", N),
            ("status", T),
            ("algorithm", T),
            ("wrapped", B),
            ("outlived_by", N),
            ("created_at", N),
            ("current_at", N),
            ("verify_at", N),
            ("gone_at", N),
        ],
        keys: 2,
        is_ordered: false,
    },
    Table { name: "seed_keys", columns: &[("id", N), ("wrapped", B)], keys: 1, is_ordered: true },
    Table {
        name: "epochs",
        columns: &[
            ("number", N),
            ("at", N),
            ("subject", T),
            ("client", T),
            ("session", B),
            ("tag_key", N),
            ("scope", T),
            ("resource", T),
            ("issued_before", N),
            ("online_only", N),
            ("reason", N),
            ("detail", T),
            ("undo_until", N),
            ("undone_at", N),
            ("but_session", B),
            ("among", T),
        ],
        keys: 1,
        is_ordered: true,
    },
    Table {
        name: "revocations",
        columns: &[
            ("position", N),
            ("about", B),
            ("at", N),
            ("expires_at", N),
            ("grant_number", N),
            ("jti", B),
            ("client", T),
            ("subject", T),
            ("scope", T),
            ("resource", T),
            ("session", B),
            ("tag_key", N),
            ("online_only", N),
            ("issued_before", N),
            ("bulk", N),
            ("taken_back", N),
            ("but_session", B),
            ("among", T),
        ],
        keys: 1,
        is_ordered: true,
    },
];

/// What the deployment's one row says here, and that and the ledger there.
pub(super) const DEPLOYMENT: &str = "SELECT m.deployment, m.root_check, m.era, m.next_grant, m.high_water, m.lost_from, m.lost_until, m.unproven, \
    c.removed, c.removed_link, c.newest, c.newest_link, \
    coalesce((SELECT seq FROM sqlite_sequence WHERE name = 'revocations'), 0), \
    coalesce((SELECT seq FROM sqlite_sequence WHERE name = 'logout_notices'), 0), m.epoch, m.seals, m.seal FROM meta m, event_chain c";
pub(super) const DEPLOYMENT_KINDS: [Kind; 17] = [B, B, N, N, N, N, N, T, N, B, N, B, N, N, N, N, B];
/// So many of them are the deployment's; the others are the ledger's.
pub(super) const IDENTITY: usize = 8;
