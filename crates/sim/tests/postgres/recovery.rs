//! A standby that COMMIT did not wait for takes over, and has lost something: what `regrant recover` makes of it (security section 4.4).

use std::process::{Output, Stdio};

use regrant_core::Timestamp;
use serde_json::Value;
use sim::pg::{self, Server as Database};
use sim::process::{Holder, Home, Refused, Scratch, Server, pause};
use sim::wire::{CONFIG, Http, PASSWORD, Reply, USER, assertion, text};

const ISSUER: &str = "https://auth.example";

/// Who a session belongs to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Who {
    Of(Holder),
    /// `private_key_jwt`, single use.
    Signer,
}

#[derive(Debug)]
struct Session {
    who: Who,
    token: String,
}

impl Session {
    async fn begin(http: &Http, who: Who) -> Self {
        let asked = [("grant_type", "password"), ("username", USER), ("password", PASSWORD)];
        let token = text(&post(http, who, "/oauth2/token", &asked).await.expect_status(200).json(), "refresh_token");
        Self { who, token }
    }

    async fn present(&self, http: &Http) -> Reply {
        let asked = [("grant_type", "refresh_token"), ("refresh_token", self.token.as_str())];
        post(http, self.who, "/oauth2/token", &asked).await
    }

    /// What it hears when the node has taken over what was decided.
    async fn hear(&self, http: &Http) -> Reply {
        let mut reply = self.present(http).await;
        for _ in 0..200 {
            if reply.status.as_u16() != 503 {
                break;
            }
            pause(std::time::Duration::from_millis(20)).await;
            reply = self.present(http).await;
        }
        reply
    }

    async fn refresh(&mut self, http: &Http) {
        self.token = text(&self.hear(http).await.expect_status(200).json(), "refresh_token");
    }
}

async fn post(http: &Http, who: Who, path: &str, parameters: &[(&str, &str)]) -> Reply {
    match who {
        Who::Of(holder) => {
            let (parameters, headers) = holder.request(parameters, "");
            let headers: Vec<_> = headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
            http.post(path, &parameters, &headers).await
        }
        Who::Signer => {
            let now = regrant_server::Clock::system().now().millis() / 1000;
            let proof = assertion::sign(assertion::key(), &assertion::claims("signer", ISSUER, now));
            let mut parameters = parameters.to_vec();
            parameters.extend([("client_assertion_type", assertion::TYPE), ("client_assertion", proof.as_str())]);
            http.post(path, &parameters, &[]).await
        }
    }
}

/// A primary, a standby that nobody waits for, and the homes of nodes that know both.
struct Deployment {
    primary: Database,
    standby: Database,
    name: String,
    homes: Vec<Home>,
    _scratch: Scratch,
}

impl Deployment {
    fn start(nodes: usize) -> Self {
        let scratch = Scratch::new("recovery");
        let primary = Database::start(&[]);
        let standby = primary.standby("second");
        let database = primary.database();
        let keys = assertion::toml(&assertion::set(&[assertion::key()]));
        let signer = format!(
            "[[client]]\nid = \"signer\"\ntoken_endpoint_auth_method = \"private_key_jwt\"\njwks = {keys}\n\
             grant_types = [\"password\", \"refresh_token\"]\nscopes = [\"read\"]\nrotation = \"single_use\"\n"
        );
        let mut homes: Vec<Home> = Vec::new();
        for number in 0..nodes {
            let home = Home::make_with(&scratch.path().join(format!("node{number}")), &format!("{CONFIG}\n{signer}"));
            home.store_at(&database.at(&[primary.port, standby.port]).address);
            let written = std::fs::read_to_string(home.config_file()).expect("a configuration");
            let top = format!("issuer = \"{ISSUER}\"\nrevocations_file = \"revocations\"\n");
            let config = top + &written;
            std::fs::write(home.config_file(), config).expect("written");
            if let Some(first) = homes.first() {
                std::fs::copy(first.root_key_file(), home.root_key_file()).expect("one root key for all");
            } else {
                home.add_user();
            }
            homes.push(home);
        }
        Self { primary, standby, name: database.name, homes, _scratch: scratch }
    }

    /// The primary is gone for good, with what only it had.
    fn fail_over(&mut self) {
        self.primary.kill();
        self.standby.promote();
    }

    fn run(&self, arguments: &[&str]) -> Output {
        self.homes[0].command(arguments).stdin(Stdio::null()).output().expect("regrant runs")
    }

    fn done(&self, arguments: &[&str]) -> Value {
        let output = self.run(arguments);
        assert!(output.status.success(), "{arguments:?}: {output:?}");
        serde_json::from_slice(&output.stdout).unwrap_or_default()
    }
}

async fn until_ready(node: &Server, status: u16) {
    for _ in 0..1_000 {
        if node.http().get("/readyz", &[]).await.status.as_u16() == status {
            return;
        }
        pause(std::time::Duration::from_millis(20)).await;
    }
    panic!("/readyz never said {status}: {}", node.log_text());
}

fn millis(report: &Value, name: &str) -> i64 {
    let text = text(report, name);
    text.parse::<jiff::Timestamp>().unwrap_or_else(|error| panic!("{text}: {error}")).as_millisecond()
}

/// Checks Z7, T36: nodes that were told of what is lost refuse all with 503 until an operator has decided; then holders of a key go on also
/// with tokens of the lost span, and whoever proves nothing logs in again. No node is restarted.
#[tokio::test(flavor = "multi_thread")]
async fn after_a_failover_that_lost_something_an_operator_decides_and_nodes_go_on() {
    if !pg::is_there() {
        return;
    }
    let mut deployment = Deployment::start(2);
    let nodes: Vec<Server> = deployment.homes.iter().map(Server::start).collect();
    // A new connection each time: one that rested may be closed by now.
    let https = |node: usize| nodes[node].http();
    let kinds = [Who::Of(Holder::Plain), Who::Of(Holder::SingleUse), Who::Signer];
    let (mut lost, mut resting) = (Vec::new(), Vec::new());
    for who in kinds {
        lost.push(Session::begin(&https(0), who).await);
        resting.push(Session::begin(&https(1), who).await);
    }
    let revoked = [Session::begin(&https(0), Who::Signer).await, Session::begin(&https(1), Who::Signer).await];
    deployment.primary.cut_off(&deployment.standby);
    let cut_at = regrant_server::Clock::system().now();
    for session in &mut lost {
        session.refresh(&https(0)).await;
        session.refresh(&https(1)).await;
    }
    let begun = Session::begin(&https(1), Who::Signer).await;
    // Each node keeps what was revoked with it.
    for (node, revoked) in revoked.iter().enumerate() {
        let asked = [("token", revoked.token.as_str())];
        let _ = post(&https(node), Who::Signer, "/oauth2/revoke", &asked).await.expect_status(200);
    }
    let lost_at = regrant_server::Clock::system().now();
    deployment.fail_over();

    for node in &nodes {
        until_ready(node, 503).await;
        for session in lost.iter().chain(&resting) {
            let reply = session.present(&node.http()).await;
            reply.expect_error(503, "temporarily_unavailable");
            assert!(reply.headers.contains_key("retry-after"), "{session:?}");
        }
    }
    let noted = deployment.standby.sql(&deployment.name, "SELECT count(*), bool_and(known < told) FROM lost_commits");
    assert_eq!(noted, "2|t", "each of them was told of something that is gone");
    let Refused { said, .. } = Server::try_start(deployment.homes[1].command(&["serve"]), &deployment.homes[1].log())
        .expect_err("nor does another one start");
    assert!(said.contains("went back") && said.contains("regrant recover"), "{said}");

    let rehearsed = deployment.done(&["recover", "--dry-run", "--json"]);
    assert_eq!(rehearsed["revocations"]["grants"], 1, "what the other node has revoked is not here: {rehearsed}");
    let journals = deployment.homes.iter().map(|home| home.config_file().with_file_name("revocations"));
    let journals: Vec<String> = journals.map(|path| path.display().to_string()).collect();
    let nowhere = format!("{}.not", journals[1]);
    let refused = deployment.run(&["recover", "--yes", "--revocations", &nowhere]);
    assert_eq!(refused.status.code(), Some(69), "{refused:?}");
    let both = ["recover", "--dry-run", "--json", "--revocations", &journals[1]];
    let rehearsed = deployment.done(&both);
    assert_eq!(deployment.run(&["recover"]).status.code(), Some(2), "nobody is there to be asked");
    let (from, until) = (millis(&rehearsed, "lost_from"), millis(&rehearsed, "lost_until"));
    let (cut_at, lost_at): (i64, i64) = (Timestamp::millis(cut_at), lost_at.millis());
    assert!(from <= cut_at && cut_at <= until && until <= lost_at, "{rehearsed}: cut at {cut_at}, lost at {lost_at}");
    assert!(cut_at - from < 30_000, "the span is known, and not guessed: {rehearsed}");
    assert_eq!((rehearsed["grants"]["of_keys"].as_u64(), rehearsed["era"].as_u64()), (Some(2), Some(1)), "{rehearsed}");
    assert_eq!(rehearsed["revocations"]["grants"], 2, "{rehearsed}");
    let report = deployment.done(&["recover", "--yes", "--json", "--revocations", &journals[1]]);
    assert_eq!((&report["grants"], &report["revocations"]), (&rehearsed["grants"], &rehearsed["revocations"]));
    assert_eq!(deployment.run(&["recover", "--yes"]).status.code(), Some(78), "there is nothing more to recover");

    for node in &nodes {
        until_ready(node, 200).await;
    }
    let [plain, secret, signer] = &mut lost[..] else { panic!("three kinds") };
    signer.refresh(&https(0)).await;
    signer.refresh(&https(1)).await;
    secret.hear(&https(0)).await.expect_error(400, "invalid_grant");
    plain.hear(&https(1)).await.expect_error(400, "invalid_grant");
    let [plain, secret, signer] = &mut resting[..] else { panic!("three kinds") };
    signer.refresh(&https(1)).await;
    secret.refresh(&https(1)).await;
    plain.hear(&https(0)).await.expect_error(400, "invalid_grant");
    for revoked in &revoked {
        revoked.hear(&https(1)).await.expect_error(400, "invalid_grant");
    }
    begun.hear(&https(1)).await.expect_error(400, "invalid_grant");
    // And life goes on.
    let mut fresh = Session::begin(&https(0), Who::Of(Holder::Plain)).await;
    fresh.refresh(&https(1)).await;
    for node in nodes {
        node.stop();
    }
}

/// Where no node was left that was told of anything, the first token from the future tells (check T36); and the operator says that
/// everything until now is in doubt. The other choice of the setting: nobody logs in again.
#[tokio::test(flavor = "multi_thread")]
async fn a_token_from_the_future_tells_where_no_node_was_left() {
    if !pg::is_there() {
        return;
    }
    let mut deployment = Deployment::start(1);
    let node = Server::start(&deployment.homes[0]);
    let http = node.http();
    let mut sessions = Vec::new();
    for who in [Who::Of(Holder::Plain), Who::Of(Holder::SingleUse), Who::Signer] {
        sessions.push(Session::begin(&http, who).await);
    }
    deployment.primary.cut_off(&deployment.standby);
    for session in &mut sessions {
        session.refresh(&http).await;
    }
    node.kill();
    deployment.fail_over();

    let node = Server::start(&deployment.homes[0]);
    for session in &sessions {
        session.present(&node.http()).await.expect_error(400, "invalid_grant");
    }
    let alarms = deployment.done(&["events", "--kind", "alarm", "--json"]);
    let alarms = alarms.as_array().map_or(0, Vec::len);
    assert_eq!(alarms, sessions.len(), "each of them is an alarm");
    assert_eq!(deployment.run(&["recover", "--yes"]).status.code(), Some(78), "no node has noticed it");
    let accepted = ["recover", "--yes", "--json", "--without-anchor", "--unproven", "accept"];
    assert_eq!(deployment.done(&accepted)["era"], 1);
    until_ready(&node, 200).await;
    for session in &mut sessions {
        session.refresh(&node.http()).await;
        session.refresh(&node.http()).await;
    }
    node.stop();
}
