//! The claims, each with the command that shows it and with what it does not show.

use serde_json::{Value, json};

/// A claim.
#[derive(Clone, Copy, Debug)]
pub struct Claim {
    /// Names it in the file.
    pub name: &'static str,
    /// What is claimed.
    pub says: &'static str,
    /// What `sim` is told, if it is `sim`.
    pub sim: Option<&'static str>,
    /// Otherwise the command.
    pub command: &'static str,
    /// What `./test` runs of it.
    pub short: &'static str,
    /// What it does not show.
    pub beyond: &'static str,
    /// The counts of what the command has printed.
    pub read: fn(&str) -> Vec<(&'static str, Value)>,
}

impl Claim {
    /// The command, as one types it.
    #[must_use]
    pub fn typed(&self) -> String {
        self.sim.map_or_else(
            || self.command.to_owned(),
            |arguments| format!("cargo run --profile proof -p sim -- {arguments}"),
        )
    }
}

/// All of them, in the order of the page.
pub const CLAIMS: [Claim; 20] = [
    Claim {
        name: "model",
        says: "The states of the rotation protocol, on the core's own functions, break no law: small worlds to their end (the tests), and the nearest states of large ones, with two workers, a thief who comes twice, four requests at once, losses, doubles, crashes, a revocation and a restore; planted faults are found.",
        sim: Some("model --world large --states 30000000"),
        command: "",
        short: "`crates/model/tests/model.rs`",
        beyond: "What lies further from the beginning of a large world than that; the engine and the store are those of the model, the decisions are the server's. A state whose 64-bit fingerprint is another's is not looked at: with the chance that is told.",
        read: |text| {
            let report: Value = serde_json::from_str(text.trim()).unwrap_or_default();
            let worlds = report["worlds"].as_array().cloned().unwrap_or_default();
            let sum = |name: &str| worlds.iter().filter_map(|one| one.get(name)?.as_u64()).sum::<u64>();
            let missed: f64 = worlds.iter().filter_map(|one| one.get("missed")?.as_f64()).sum();
            vec![
                ("states", json!(sum("states"))),
                ("transitions", json!(sum("transitions"))),
                ("chance that one was missed", json!(format!("below {missed:.0e}"))),
            ]
        },
    },
    Claim {
        name: "simulate",
        says: "Whole deployments (router, engine, core, store; one node or two) with honest clients, a thief and an operator, under lost, doubled and overtaking messages, jumping clocks, crashes and failing commits keep Hist1 to Hist10 after every step.",
        sim: Some("simulate --from 300000 --seeds 300000"),
        command: "",
        short: "5,000 seeds of 1,000 steps: `crates/sim/tests/simulate.rs`",
        beyond: "Logins, consent and passwords (a code is made where the authorization endpoint makes it), wide revocations, the sweep, restores; two nodes share the store in memory, not PostgreSQL; signing keys do not rotate. What an answer means, the client library says; when to ask is the simulator's choice. The whole library: `phones`. Ten million histories are some fifteen hours of two cores: `--checkpoint FILE` puts them aside after each thousand, and the same command goes on.",
        read: simulated,
    },
    Claim {
        name: "phones",
        says: "Phones with the client library that refresh for a month of virtual time, while every twentieth answer is lost: nobody is logged out, and at a server that forgives nothing nearly all are.",
        sim: Some("phones --phones 2000 --days 30"),
        command: "",
        short: "`crates/sim/tests/client/phones.rs`",
        beyond: "Faults of the server: those are the simulator's and the kills'.",
        read: |text| {
            let told: Value = serde_json::from_str(text.trim()).unwrap_or_default();
            let of = |server: &str, name: &str| told[server].get(name).cloned().unwrap_or_default();
            vec![
                ("phones", told["phones"].clone()),
                ("requests", of("regrant", "asked")),
                ("answers lost", of("regrant", "lost")),
                ("logged out", of("regrant", "logged_out")),
                ("logged out at the other server", of("strict", "logged_out")),
                ("seed", told["seed"].clone()),
            ]
        },
    },
    Claim {
        name: "torn",
        says: "The same on SQLite on a file whose power fails under commits: of what was not waited for, any sector may be there.",
        sim: Some("simulate --from 1000000 --seeds 500 --file-every 1"),
        command: "",
        short: "250 seeds: `a_file_whose_power_fails_breaks_no_law`",
        beyond: "A device that loses what it has confirmed. Files are torn in copies, by sectors of 512 bytes; the real process on a file system that also forgets names is `power` below.",
        read: simulated,
    },
    Claim {
        name: "mutants",
        says: "The simulator bites: each of ten planted faults (naive read-then-write, an answer before the device, half a commit, a lagging replica, an old row, a false refusal, lost and doubled events, repeated answers, an open door) breaks a law within 1,000 seeds.",
        sim: Some("mutants"),
        command: "",
        short: "the same: `every_planted_fault_is_found`",
        beyond: "Faults that nobody thought of.",
        read: |text| {
            fields(text, &[("planted", "planted"), ("found", "found"), ("seeds needed at most", "most_seeds")])
        },
    },
    Claim {
        name: "failpoints",
        says: "At each point of rotate, retry, replay, redeem, revoke, disable, register and key rotation the process may end, the store fail or three seconds pass (in which the same comes to another node): nothing is lost, forked or revived.",
        sim: Some("failpoints"),
        command: "",
        short: "the same: `every_failpoint_is_survived`",
        beyond: "Points within one call of the store: those are the system calls below. The making of signing keys, which has a thread of its own.",
        read: |text| fields(text, &[("operations", "operations"), ("points", "points"), ("cases", "cases")]),
    },
    Claim {
        name: "orders",
        says: "Commit queue, swap of keys and memory of assertions come to one end in every order of their touches.",
        sim: Some("orders"),
        command: "",
        short: "the same: `every_order_of_touches_comes_to_one_end`",
        beyond: "Orders within one touch: those are the interleavings below.",
        read: |text| fields(text, &[("orders", "orders")]),
    },
    Claim {
        name: "interleavings",
        says: "The server's own hand-over to its writer and its own swap of keys, under a scheduler that chooses who runs at each touch of a lock, a counter or a queue: every job that was taken in is heard, shares are kept, keys never go back, one assertion is good once at two nodes; torn counters and lagging readers are found.",
        sim: None,
        command: "REGRANT_SCHEDULES=100000 cargo test --profile proof --workspace --all-features --test interleavings -- --nocapture --test-threads 1",
        short: "20,000 schedules of each law: `crates/sim/tests/interleavings.rs`",
        beyond: "Orders that only a weak memory has: all atomics count as sequentially consistent. What is shared elsewhere is behind locks and channels of the standard library and tokio; nothing shipped is `unsafe`.",
        read: |text| {
            let told = text
                .lines()
                .filter_map(|line| line.strip_suffix(" schedules")?.rsplit(' ').next()?.parse::<u64>().ok());
            vec![("schedules", json!(told.sum::<u64>()))]
        },
    },
    Claim {
        name: "memory",
        says: "The memory of the running process, read as root, and its logs, files, answers, command line and environment hold no token, code, password, secret or cookie but what that process was shown a moment ago in memory.",
        sim: None,
        command: "cargo test --profile proof --workspace --all-features --test process -- --nocapture no_secret_is_left memory_holds",
        short: "the same: `crates/sim/tests/process/canary.rs`, `memory_read.rs`",
        beyond: "Buffers of the network and of HTTP, which are freed and not wiped: what was on its way is found for a while. Swap, and the kernel.",
        read: |text| {
            let before = |mark: &str| {
                let (before, _) = text.split_once(mark)?;
                before.split_whitespace().last()?.parse::<u64>().ok()
            };
            vec![
                ("secrets looked for", json!(before(" secrets, "))),
                ("bytes of memory", json!(before(" bytes; the last"))),
            ]
        },
    },
    Claim {
        name: "kill",
        says: "The real process, killed under load: no acknowledged rotation is lost, nothing forks, nobody is logged out.",
        sim: Some("kill --cycles 10000 --writes turns"),
        command: "",
        short: "60 cycles: `crates/sim/tests/process/kill.rs`",
        beyond: "The page cache survives a kill; see the power cuts, the system calls and the torn file.",
        read: |text| {
            fields(
                text,
                &[
                    ("kills", "cycles"),
                    ("acknowledged", "acknowledged_rotations"),
                    ("lost", "lost"),
                    ("forks", "forks"),
                ],
            )
        },
    },
    Claim {
        name: "power",
        says: "The real process on a file system (FUSE) that forgets what nobody waited for: at a cut under load, at a start, while a store or a user is made, any sectors of unsynced writes and any unsynced names may be there or not. A server starts, no acknowledged rotation is lost, nothing forks, nobody is logged out.",
        sim: Some("power --cycles 200 --births 60 --writes turns"),
        command: "",
        short: "36 cuts under load, 12 of the making: `crates/sim/tests/process/power.rs`; a store that does not wait (`synchronous=off`) is found",
        beyond: "A device that loses what it has confirmed; directories other than the store's; PostgreSQL, which has its own.",
        read: |text| {
            let told: Value = text.lines().rev().find_map(|line| serde_json::from_str(line).ok()).unwrap_or_default();
            let of = |part: &str, name: &str| told[part].get(name).cloned().unwrap_or_default();
            vec![
                ("seed", told["seed"].clone()),
                ("cuts", of("cuts", "all")),
                ("under load", of("cuts", "under_load")),
                ("acknowledged", told["acknowledged_rotations"].clone()),
                ("writes lost", of("disk", "lost_writes")),
                ("writes torn", of("disk", "torn_writes")),
                ("names lost", of("disk", "names")),
                ("lost", told["lost"].clone()),
                ("forks", told["forks"].clone()),
            ]
        },
    },
    Claim {
        name: "syscalls",
        says: "Every 200 is written to its socket after the device has confirmed its very batch; EIO, ENOSPC and SIGKILL at each system call of one rotation, redemption and revocation.",
        sim: Some("syscalls --writes turns"),
        command: "",
        short: "the recording and the first of them: `crates/sim/tests/process/syscalls.rs`",
        beyond: "What the device does with what it has confirmed.",
        read: |text| {
            let cases: u64 =
                text.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok()?.get("cases")?.as_u64()).sum();
            vec![("cases", json!(cases))]
        },
    },
    Claim {
        name: "races",
        says: "Refresh and revocation at the same time: nothing works after the revocation was answered.",
        sim: Some("races --races 5000"),
        command: "",
        short: "`crates/sim/tests/revocation/races.rs`",
        beyond: "One node.",
        read: |text| fields(text, &[("races", "races")]),
    },
    Claim {
        name: "flood",
        says: "Forged tokens as fast as the machine can send them do not make one honest client wait for ever, nor reach the store.",
        sim: Some("flood --seconds 20"),
        command: "",
        short: "`crates/sim/tests/process/flood.rs`",
        beyond: "A network: client and server are one machine.",
        read: |text| fields(text, &[("forged a second", "rate"), ("honest", "honest"), ("refused of them", "refused")]),
    },
    Claim {
        name: "abuse",
        says: "Malformed requests at every endpoint, and keys that nobody has used before: no answer is 5xx (503 but with Retry-After), nothing panics, no token comes of it, the server's memory does not grow with strangers' keys, every honest refresh beside it is answered, and where a few do it the slowest hundredth of them takes less than twice as long.",
        sim: Some("abuse --each 1000000 --distinct 10000000"),
        command: "",
        short: "5,000 at each endpoint, 20,000 keys: `crates/sim/tests/process/abuse.rs`",
        beyond: "What breaks only after millions of them: by `--each` and `--distinct` as many as one has time for. Floods of HTTP/2 frames, compressed and huge bodies, colliding names and slow connections are tests of their own, in `crates/sim/tests/edge/` and `token/sizes.rs`.",
        read: |text| {
            fields(
                text,
                &[
                    ("requests", "requests"),
                    ("distinct keys", "distinct_keys"),
                    ("answers that must not be", "broken"),
                    ("panics", "panics"),
                    ("honest refreshes", "honest"),
                    ("their p99 in µs, alone and beside", "p99_us"),
                    ("resident KiB, after a tenth of the keys and after all", "resident_kib"),
                    ("seed", "seed"),
                ],
            )
        },
    },
    Claim {
        name: "connections",
        says: "Ten thousand idle and dripping connections do not make honest clients wait: the slowest hundredth of their refreshes takes less than twice as long.",
        sim: Some("connections"),
        command: "",
        short: "500 of them, without the time: `crates/sim/tests/edge/slow.rs`",
        beyond: "A network: client and server are one machine.",
        read: |text| {
            let told: Value = serde_json::from_str(text.trim()).unwrap_or_default();
            let p99 = |when: &str| told[when].get("p99_us").cloned().unwrap_or_default();
            let memory = told.get("resident_kib").cloned().unwrap_or_default();
            vec![
                ("connections", told.get("connections").cloned().unwrap_or_default()),
                ("p99 in µs, alone and beside", json!([p99("alone"), p99("beside")])),
                ("resident KiB, before and beside", memory),
            ]
        },
    },
    Claim {
        name: "timing",
        says: "The time of an answer does not tell how much of a tag or a secret was right, nor which user is there: |t| < 4.5, and a control that must be above.",
        sim: Some("timing --samples 1000000 --logins 1000"),
        command: "",
        short: "nothing: a machine that does something else would say anything",
        beyond: "That a right secret takes as long as a wrong one, which its answer tells anyway; caches that others share; what more samples would show.",
        read: |text| {
            let told: Value = serde_json::from_str(text.trim()).unwrap_or_default();
            let pairs = told.get("pairs").and_then(Value::as_array).cloned().unwrap_or_default();
            let most = pairs.iter().filter(|pair| !pair["name"].as_str().unwrap_or_default().starts_with("control"));
            let most = most.filter_map(|pair| pair["t"].as_f64()).fold(0.0_f64, |most, t| most.max(t.abs()));
            vec![("comparisons", json!(pairs.len())), ("greatest |t|", json!((most * 100.0).round() / 100.0))]
        },
    },
    Claim {
        name: "fuzz",
        says: "Every parser that meets outside bytes, and every endpoint whole, under a coverage-guided fuzzer: no panic, no 5xx but 503, and where there is a second implementation both say the same.",
        sim: None,
        command: "fuzz/run 60",
        short: "the corpora, and thousands of inputs like them: `crates/sim/tests/fuzz.rs`",
        beyond: "DPoP proofs, which are not read yet; the sanitizers of memory (nothing of ours is `unsafe`; C is in SQLite and aws-lc).",
        read: |text| {
            let lines: Vec<Vec<&str>> = text.lines().map(|line| line.split_whitespace().collect()).collect();
            let runs: u64 = lines.iter().filter_map(|words| words.get(2)?.parse::<u64>().ok()).sum();
            let fine = lines.iter().filter(|words| words.get(1) == Some(&"fine")).count();
            vec![("targets", json!(lines.len())), ("fine", json!(fine)), ("executions", json!(runs))]
        },
    },
    Claim {
        name: "corpora",
        says: "The corpora of all targets, and thousands of inputs like each from a seed.",
        sim: None,
        command: "cargo test --profile proof --workspace --all-features --test fuzz -- --nocapture",
        short: "the same",
        beyond: "What a guided fuzzer finds.",
        read: |text| {
            let counts = text.lines().find_map(|line| line.strip_prefix("replayed "));
            vec![("replayed", json!(counts.unwrap_or_default()))]
        },
    },
    Claim {
        name: "mutation",
        says: "How many changes to the core the core's own tests do not notice: one build for all of them, each behind a switch.",
        sim: None,
        command: "mutants/run",
        short: "nothing",
        beyond: "The authentication of clients, which is in the server: the same command with `--package regrant-server --tests client_auth:: crates/server/src/client_auth.rs`. Survivors, and what is left out: `docs/mutants.md`.",
        read: |text| {
            let line = text.lines().find(|line| line.starts_with("| all |")).unwrap_or_default();
            let counts: Vec<u64> = line.split('|').filter_map(|cell| cell.trim().parse().ok()).collect();
            let count = |place: usize| counts.get(place).map_or(Value::Null, |count| json!(count));
            vec![("changes", count(0)), ("left out", count(1)), ("noticed", count(2)), ("survivors", count(3))]
        },
    },
];

fn fields(text: &str, names: &[(&'static str, &str)]) -> Vec<(&'static str, Value)> {
    let told: Value = text.lines().rev().find_map(|line| serde_json::from_str(line).ok()).unwrap_or_default();
    names.iter().map(|(name, field)| (*name, told.get(*field).cloned().unwrap_or_default())).collect()
}

fn simulated(text: &str) -> Vec<(&'static str, Value)> {
    let told: Value = serde_json::from_str(text.trim()).unwrap_or_default();
    let of = |name: &str| told["coverage"].get(name).cloned().unwrap_or(json!(0));
    vec![
        ("seeds", told["seeds"].clone()),
        ("from seed", told["from"].clone()),
        ("steps", of("steps")),
        (
            "refreshes answered",
            json!(
                ["said: rotated", "said: retried", "said: reused"]
                    .iter()
                    .filter_map(|name| of(name).as_u64())
                    .sum::<u64>()
            ),
        ),
        (
            "crashes",
            json!(
                ["crash: between commits", "crash: before a commit", "crash: after a commit"]
                    .iter()
                    .filter_map(|name| of(name).as_u64())
                    .sum::<u64>()
            ),
        ),
        ("torn files", of("crash: file torn")),
        ("faults that never came", told["missing"].clone()),
    ]
}

/// What the harness has found in ourselves: what, how it is replayed, and the test that holds it since.
pub const FOUND: [(&str, &str, &str); 28] = [
    (
        "Of nodes that started together in an empty database, one that was second often enough ended: what it wanted to make was there (42710, 42P07).",
        "cargo run --release -p sim -- cluster",
        "`nodes_that_start_together_in_an_empty_database_all_start`",
    ),
    (
        "A request for `openid` without a `redirect_uri` was answered at the registered one.",
        "python3 crates/sim/clients/foundation/modules.py target/release/regrant",
        "`a_request_without_a_redirect_uri_is_refused_on_a_page`",
    ),
    (
        "An unsigned request object was taken from a client that had registered itself and had not asked for that.",
        "python3 crates/sim/clients/foundation/modules.py target/release/regrant",
        "`an_unsigned_object_is_for_who_is_registered_so`",
    ),
    (
        "What a client, an operator or a user revoked while a bulk revocation was in force came back when that was taken back (an attack by hand: it saw an end, and wrote none).",
        "cargo test --profile proof --workspace --all-features --test revocation beneath",
        "`what_is_revoked_beneath_a_bulk_revocation_is_final`",
    ),
    (
        "A grant's end that a crash or a full disk had kept from the revocation journal was confirmed when it was asked for again, and was not there after a restore (kills by hand, 20 of 1,000 revocations).",
        "cargo test --profile proof -p regrant-server --lib asked_for_again",
        "`an_end_that_is_not_here_is_kept_when_it_is_asked_for_again`",
    ),
    (
        "A reload that met the configuration file while it was being written, and empty, ended every session of its clients (by hand, 13 of 200).",
        "cargo test --profile proof --workspace --all-features --test process without_clients",
        "`a_reload_that_meets_a_file_without_clients_is_refused`",
    ),
    (
        "A registration access token that was no longer the newest changed the registration, and threw out the newest (by hand).",
        "cargo test --profile proof --workspace --all-features --test clients the_newest",
        "`the_token_before_the_newest_is_nobodys_once_that_was_used`",
    ),
    (
        "`restore` left an anchor that was of an older copy, or of another store, on a machine that had one: the server started from the copy without a recovery, and spent tokens and revoked grants of the lost span lived (by hand).",
        "cargo test --profile proof --workspace --all-features --test process drill",
        "`an_anchor_that_is_not_ahead_does_not_let_a_copy_start`",
    ),
    (
        "A restore undid that keys were compromised: the copy signed and believed with them, and made the same tag and sealing keys again under numbers that had been used (by hand).",
        "cargo test --profile proof --workspace --all-features --test process drill",
        "`after_a_restore_a_compromised_key_is_compromised_again`",
    ),
    (
        "A refresh with a scope that meant nothing to its grant's resources was refused for a live token and ended the grant for a spent one: whoever held an old token could ask which state it was in (by hand).",
        "cargo test --profile proof --workspace --all-features --test token rfc8707",
        "`a_scope_that_means_nothing_sounds_the_same_in_every_state`",
    ),
    (
        "The second of two bulk revocations by scope told resource servers of the grants that the first had ended; taken back, the first one's stayed refused there (by hand).",
        "cargo test --profile proof --workspace --all-features --test resource bulk",
        "`what_another_revocation_ended_is_not_told_twice`",
    ),
    (
        "A `Date` of a server that cannot be stopped the client library with an overflow (by hand).",
        "cargo test --profile proof -p regrant-client --all-features --lib date",
        "`a_date_that_cannot_be_is_none`",
    ),
    (
        "Whoever had a user's browser disconnected all others 256 times, and there was no room for what should have shut him out: a new password, a switched-off user, a bulk revocation ended nothing (by hand).",
        "cargo test --profile proof --workspace --all-features --test browser a_thief_in_the_browser",
        "`a_thief_in_the_browser_cannot_take_the_room_of_his_own_end`",
    ),
    (
        "Behind a clock that had been ahead, by days or hours, time stood until it had caught up: a replay was taken for a straggler, codes did not end, clients that sign were refused (by hand).",
        "cargo test --profile proof --workspace --all-features --test token behind_a_clock",
        "`behind_a_clock_that_was_ahead_everything_still_ends`",
    ),
    (
        "A client that was added under the name of a removed one got codes without a page: what users had allowed the first was still there (by hand).",
        "cargo test --profile proof --workspace --all-features --test browser another_client_of_the_name",
        "`another_client_of_the_name_asks_for_itself`",
    ),
    (
        "A database that was put back while all nodes were stopped was served without a word, and what had been revoked since lived (by hand).",
        "cargo test --profile proof --workspace --all-features --test postgres put_back",
        "`a_copy_that_was_put_back_under_stopped_nodes_is_refused`",
    ),
    (
        "Nodes that answered 503 to every refresh, for their database had gone back, still said of revoked access tokens that they were active (by hand).",
        "cargo test --profile proof --workspace --all-features --test postgres in_doubt",
        "`nothing_is_vouched_for_while_the_database_is_in_doubt`",
    ),
    (
        "Of two operators who changed a client on two nodes at once the second undid the first: a secret that was replaced came back with a change of the name (by reading).",
        "cargo test --profile proof --workspace --all-features --test adminapi nodes",
        "`what_another_node_has_changed_is_not_undone`",
    ),
    (
        "A `copy` that was broken off, and gone on with after the file was served again, brought back old passwords and removed users, and said that it held everything (an attack by hand).",
        "cargo test --profile proof --workspace --all-features --test postgres moving",
        "`a_file_that_was_served_since_the_move_was_broken_off_is_copied_anew`",
    ),
    (
        "Two settings with one file: `anchor_file` overwrote the root key, the database or the revocation journal (an attack by hand).",
        "cargo test --profile proof --workspace --all-features --test process refusals",
        "`two_settings_with_one_file_are_refused_and_change_nothing`",
    ),
    (
        "A store of schema 1 to 9 with a revoked access token could not be upgraded, and was called damaged.",
        "cargo test --profile proof -p regrant-store --test migration",
        "`a_store_of_each_version_with_a_row_in_every_table_opens`",
    ),
    (
        "Whoever hung up while a client's `jwks_uri` was asked for him kept it from being asked for a minute: a withdrawn key lived on, a client that signs stayed out (an attack by hand).",
        "cargo test --profile proof -p regrant-server --lib fetched",
        "`who_hangs_up_ends_no_question`",
    ),
    (
        "A registration that was removed or changed, with a hang-up at that moment, was gone from the store and served all the same (by hand, 80 of 100).",
        "cargo test --profile proof --workspace --all-features --test clients rfc7592",
        "`a_hang_up_leaves_no_registration_half_done`",
    ),
    (
        "Where a seat was wanted, a connection with a request under way was cut, while a thousand idle ones stayed (an attack by hand).",
        "cargo test --profile proof --workspace --all-features --test edge slow",
        "`a_request_under_way_is_not_cut_for_a_seat`",
    ),
    (
        "Clients that negotiate the type of answers never heard of logouts: they were told with `Accept: application/x-www-form-urlencoded`, and given up after twelve seconds.",
        "cargo test --profile proof --workspace --all-features --test sessions negotiates",
        "`a_client_that_negotiates_hears_of_a_logout_the_first_time`",
    ),
    (
        "Keys of a client that could not be read for a moment were 401 for a minute.",
        "cargo test --profile proof --workspace --all-features --test clients jwks_uri",
        "`keys_that_cannot_be_read_for_a_moment_end_nothing`",
    ),
    (
        "What a crash kept from the revocation journal came back with a restore: a removed user, a removed client.",
        "cargo test --profile proof --workspace --all-features --test process missed",
        "`what_a_crash_kept_from_the_journal_is_kept_by_the_next_start`",
    ),
    (
        "A second recovery, from a newer backup than the first, removed a user whom the first backup did not have (by hand).",
        "cargo test --profile proof -p regrant-server --lib missed",
        "`what_a_recovery_has_decided_about_is_no_word`",
    ),
];
