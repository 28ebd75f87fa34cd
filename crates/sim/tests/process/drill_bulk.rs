//! The worst day with bulk revocations in the span that is lost: each bites again after `regrant recover`, and nothing beyond it.

use std::path::Path;

use regrant_server::admin::rfc3339;
use regrant_server::clock::Clock;
use serde_json::Value;
use sim::process::{Holder, Home, Scratch, Server};
use sim::wire::{Http, PASSWORD, USER, http, text};

use super::drill::{done, post};

/// A session that rests: whose, at which client, with which scope.
struct Resting {
    holder: Holder,
    token: String,
    access: String,
}

impl Resting {
    async fn begin(http: &Http, user: &str, holder: Holder, scope: &str) -> Self {
        let asked = [("grant_type", "password"), ("username", user), ("password", PASSWORD), ("scope", scope)];
        let told = post(http, holder, "/oauth2/token", &asked).await.expect_status(200).json();
        Self { holder, token: text(&told, "refresh_token"), access: text(&told, "access_token") }
    }

    async fn status(&self, http: &Http) -> u16 {
        let asked = [("grant_type", "refresh_token"), ("refresh_token", self.token.as_str())];
        post(http, self.holder, "/oauth2/token", &asked).await.status.as_u16()
    }

    async fn is_active(&self, http: &Http) -> bool {
        let basic = http::basic("api", sim::wire::SECRET);
        let asked = [("token", self.access.as_str())];
        let told = http.post("/oauth2/introspect", &asked, &[("authorization", &basic)]).await.expect_status(200);
        told.json()["active"] == true
    }
}

fn revoke(home: &Home, which: &[&str]) -> u64 {
    let told = done(home, &[&["revoke", "--yes", "--json"], which].concat());
    told["id"].as_u64().expect("its number")
}

fn restored(home: &Home, backup: &Path) {
    done(home, &["restore", "--json", &backup.display().to_string()]);
}

/// Checks T33, T36: by user, by client and scope, by scope, and issued before a time, all in the lost span; one more that was taken back there.
/// Who logs in after the recovery is not touched, and a second restore of the same copy ends as the first did.
#[tokio::test(flavor = "multi_thread")]
async fn after_a_restore_every_bulk_revocation_of_the_lost_span_bites() {
    let scratch = Scratch::new("drill-bulk");
    let home = Home::make(&scratch.path().join("home"));
    home.add_user();
    home.add_user_named("bob");
    let server = Server::start(&home);
    let http = server.http();
    // One that was counted, and is in the copy: it must not be done twice.
    let before = Resting::begin(&http, USER, Holder::Plain, "openid").await;
    assert_eq!(revoke(&home, &["--client", "phone"]), 1);
    let of_user = Resting::begin(&http, "bob", Holder::Reusable, "read").await;
    let of_client = Resting::begin(&http, USER, Holder::SingleUse, "read").await;
    let of_scope = Resting::begin(&http, USER, Holder::Reusable, "read files").await;
    let early = Resting::begin(&http, USER, Holder::Plain, "read").await;
    sim::process::pause(std::time::Duration::from_millis(20)).await;
    let time = rfc3339(Clock::system().now());
    sim::process::pause(std::time::Duration::from_millis(20)).await;
    let late = Resting::begin(&http, USER, Holder::Plain, "read").await;
    let taken_back = Resting::begin(&http, USER, Holder::Reusable, "write").await;
    let untouched = Resting::begin(&http, USER, Holder::Reusable, "read").await;
    let backup = scratch.path().join("backup.db");
    done(&home, &["backup", "--json", &backup.display().to_string()]);

    revoke(&home, &["--user", "bob"]);
    revoke(&home, &["--client", "web-single"]);
    revoke(&home, &["--scope", "files"]);
    revoke(&home, &["--client", "phone", "--issued-before", &time]);
    let number = revoke(&home, &["--scope", "write"]);
    done(&home, &["revoke", "--undo", &number.to_string(), "--json"]);
    let ended = [&before, &of_user, &of_client, &of_scope, &early];
    for session in ended {
        assert_eq!(session.status(&http).await, 400, "before the loss");
    }
    server.kill();

    for round in 0..2 {
        restored(&home, &backup);
        let rehearsed = done(&home, &["recover", "--dry-run", "--json"]);
        // `accept`: what is refused then was refused by a revocation, and not by the new era.
        let report = done(&home, &["recover", "--yes", "--unproven", "accept", "--json"]);
        assert_eq!((&report["revocations"], &report["grants"]), (&rehearsed["revocations"], &rehearsed["grants"]));
        let counted = |name: &str| report["revocations"][name].as_u64();
        assert_eq!((counted("bulk"), counted("bulk_taken_back")), (Some(4), Some(1)), "{report}");
        assert_eq!((counted("bulk_ended_already"), counted("unknown")), (Some(1), Some(0)), "{report}");
        let server = Server::start(&home);
        let http = server.http();
        for session in ended {
            assert_eq!(session.status(&http).await, 400, "round {round}");
            assert!(!session.is_active(&http).await, "round {round}");
        }
        let fresh = [
            Resting::begin(&http, "bob", Holder::Reusable, "read").await,
            Resting::begin(&http, USER, Holder::SingleUse, "read").await,
            Resting::begin(&http, USER, Holder::Reusable, "read files").await,
            Resting::begin(&http, USER, Holder::Plain, "read").await,
        ];
        for session in fresh.iter().chain([&untouched, &taken_back]) {
            assert_eq!(session.status(&http).await, 200, "round {round}: {:?}", session.holder);
        }
        // Its token is spent by it, and the copy that is restored next has it unspent.
        assert_eq!(late.status(&http).await, 200, "round {round}");
        let listed = done(&home, &["revoke", "list", "--json"]);
        let listed: Vec<&Value> = listed.as_array().expect("rows").iter().collect();
        assert_eq!(listed.len(), 5, "each once: {listed:?}");
        server.kill();
    }
}
