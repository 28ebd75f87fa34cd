//! Marked secrets, and everything that the real server leaves behind at its most talkative (check K4, law L6).

use std::path::Path;
use std::time::Duration;

use axum::body::Body;
use axum::http::Method;
use rusqlite::Connection;
use sim::canary::{Canary, Finding, search};
use sim::exploit::{Loot, format};
use sim::process::{Home, Scratch, Server, pause};
use sim::wire::browser::parameter;
use sim::wire::{Browser, CONFIG, Http, PASSWORD, Reply, SECRET, USER, authorization, http, text};

/// A password that is no user's.
const WRONG_PASSWORD: &str = "canary: wrong password 4711";
/// A client secret that is no client's.
const WRONG_SECRET: &str = "rgs_canaryCanaryCanaryCanaryCanaryCanaryCanary00wrong";
const IDEMPOTENCY_KEY: &str = "canary-idempotency-key-1302";
const VERIFIER: &str = sim::wire::VERIFIER;
const FORM: &str = "application/x-www-form-urlencoded";

/// Path, body, media type, headers.
type Post<'a> = (&'a str, String, &'a str, Vec<(&'a str, &'a str)>);

/// All flows against one server, what was secret in them, and what the world saw.
struct Run {
    server: Server,
    canaries: Vec<Canary>,
    /// Bodies and headers in which no secret belongs, with the name of what was asked.
    seen: Vec<(String, Vec<u8>)>,
}

impl Run {
    fn start(home: &Home) -> Self {
        let mut command = home.command(&["serve"]);
        command.env("REGRANT_LOG", "trace");
        let server = Server::try_start(command, &home.log()).unwrap_or_else(|refused| panic!("{refused:?}"));
        let canaries = vec![
            Canary::text("password", PASSWORD),
            Canary::text("wrong password", WRONG_PASSWORD),
            Canary::text("client secret", SECRET),
            Canary::text("wrong client secret", WRONG_SECRET),
            Canary::text("idempotency key", IDEMPOTENCY_KEY),
            Canary::text("PKCE verifier", VERIFIER),
        ];
        Self { server, canaries, seen: Vec::new() }
    }

    /// Keeps an answer in which no secret belongs: all of it.
    fn see(&mut self, what: &str, reply: &Reply) {
        self.see_but(what, reply, &[], &[]);
    }

    /// The same, but for headers and members of the body that are there to carry one.
    fn see_but(&mut self, what: &str, reply: &Reply, headers: &[&str], members: &[&str]) {
        let mut all = Vec::new();
        for (name, value) in reply.headers.iter().filter(|(name, _)| !headers.contains(&name.as_str())) {
            all.extend([name.as_str().as_bytes(), b": ", value.as_bytes(), b"\n"].concat());
        }
        match serde_json::from_slice::<serde_json::Value>(&reply.body) {
            Ok(serde_json::Value::Object(mut body)) => {
                body.retain(|name, _| !members.contains(&name.as_str()));
                all.extend(serde_json::Value::Object(body).to_string().into_bytes());
            }
            Ok(_) | Err(_) => all.extend(&reply.body),
        }
        self.seen.push((format!("answer to {what}"), all));
    }

    /// A token request; its tokens become canaries.
    async fn token(&mut self, client: &str, parameters: &[(&str, &str)], headers: &[(&str, &str)]) -> Reply {
        let mut parameters = parameters.to_vec();
        let mut headers = headers.to_vec();
        let basic = http::basic(client, SECRET);
        match client {
            "web" | "opaque" => parameters.extend([("client_id", client), ("client_secret", SECRET)]),
            "web-single" | "daemon" | "api" => headers.push(("authorization", &basic)),
            _ => parameters.push(("client_id", client)),
        }
        let reply = self.server.http().post("/oauth2/token", &parameters, &headers).await;
        let what = format!("{} of {client}", parameters.first().map_or("", |(_, value)| value));
        if reply.status.as_u16() == 200 {
            let body = reply.json();
            if let Some(token) = body["refresh_token"].as_str() {
                self.canaries.push(Canary::token(format!("refresh token of {what}"), token));
            }
            self.access_token(&what, &text(&body, "access_token"));
            self.see_but(&what, &reply, &[], &["access_token", "refresh_token"]);
        } else {
            self.see(&what, &reply);
        }
        reply
    }

    /// The signature of a JWT is what makes it a secret; an opaque one is all of it.
    fn access_token(&mut self, what: &str, token: &str) {
        let secret = token.rsplit('.').next().expect("a token");
        self.canaries.push(Canary::text(format!("access token of {what}"), secret));
    }

    async fn refresh(&mut self, client: &str, token: &str, headers: &[(&str, &str)]) -> Reply {
        self.token(client, &[("grant_type", "refresh_token"), ("refresh_token", token)], headers).await
    }

    /// Password grant, rotation, retry, straggler, replay, narrowing and widening, of each kind of client.
    async fn back_channel(&mut self) -> String {
        for client in ["phone", "web", "web-single", "opaque"] {
            let parameters = [("grant_type", "password"), ("username", USER), ("password", PASSWORD)];
            let first = text(&self.token(client, &parameters, &[]).await.expect_status(200).json(), "refresh_token");
            let headers = [("idempotency-key", IDEMPOTENCY_KEY)];
            let mut token = first.clone();
            for _ in 0..3 {
                let answered = self.refresh(client, &token, &headers).await.expect_status(200);
                // The answer was lost, and is asked for again.
                let _ = self.refresh(client, &token, &headers).await.expect_status(200);
                token = text(&answered.json(), "refresh_token");
            }
            let wider = [("grant_type", "refresh_token"), ("refresh_token", token.as_str()), ("scope", "read admin")];
            self.token(client, &wider, &[]).await.expect_error(400, "invalid_scope");
            // Late, of another client, mistyped.
            self.refresh(client, &first, &[]).await;
            self.refresh("once", &token, &[]).await.expect_error(400, "invalid_grant");
            let other = if token.ends_with('0') { "1" } else { "0" };
            let mistyped = format!("{}{other}", &token[..token.len() - 1]);
            self.refresh(client, &mistyped, &[]).await.expect_error(400, "invalid_grant");
        }
        let wrong = [("grant_type", "password"), ("username", USER), ("password", WRONG_PASSWORD)];
        self.token("phone", &wrong, &[]).await.expect_error(400, "invalid_grant");
        let nobody = [("grant_type", "password"), ("username", "nobody"), ("password", PASSWORD)];
        self.token("phone", &nobody, &[]).await.expect_error(400, "invalid_grant");
        let _ = self.token("daemon", &[("grant_type", "client_credentials")], &[]).await.expect_status(200);
        let parameters = [("grant_type", "password"), ("username", USER), ("password", PASSWORD)];
        text(&self.token("phone", &parameters, &[]).await.json(), "refresh_token")
    }

    /// Login, consent, code, its redemption and replay, logout.
    async fn pages(&mut self) {
        let mut browser = Browser::new(self.server.base());
        let page = browser.get(&authorization("phone", &[])).await;
        self.see_but("the login page", &page, &["set-cookie"], &[]);
        let wrong = browser.submit(&page, &[("username", USER), ("password", WRONG_PASSWORD)]).await;
        self.see_but("a wrong password", &wrong, &["set-cookie"], &[]);
        let reply = browser.submit(&page, &[("username", USER), ("password", PASSWORD)]).await;
        self.see_but("a login", &reply, &["set-cookie"], &[]);
        for (name, value) in browser.cookies().clone() {
            self.canaries.push(Canary::text(format!("cookie {name}"), &value));
        }
        let consent = browser.follow(reply).await;
        self.see("the consent page", &consent);
        let reply = browser.submit(&consent, &[("decision", "allow")]).await;
        let location = reply.header("location");
        let code = parameter(&location, "code").unwrap_or_else(|| panic!("no code: {location} {}", reply.text()));
        self.canaries.push(Canary::token("code", &code));
        self.see_but("consent", &reply, &["location"], &[]);
        let redeem = |code, verifier| {
            let callback = ("redirect_uri", sim::wire::CALLBACK);
            [("grant_type", "authorization_code"), ("code", code), callback, ("code_verifier", verifier)]
        };
        let other = "canary-another-verifier-which-is-long-enough-000";
        self.canaries.push(Canary::text("wrong verifier", other));
        self.token("phone", &redeem(&code, other), &[]).await.expect_error(400, "invalid_grant");
        let _ = self.token("phone", &redeem(&code, VERIFIER), &[]).await.expect_status(200);
        // Behind the half second in which a second click is not a replay.
        pause(Duration::from_millis(600)).await;
        self.token("phone", &redeem(&code, VERIFIER), &[]).await.expect_error(400, "invalid_grant");
        // Implicit: the token goes out in the fragment, and nowhere else.
        let asked = authorization(
            "spa-old",
            &[("response_type", "token"), ("code_challenge", ""), ("code_challenge_method", "")],
        );
        let location = browser.authorize_as(&asked, USER).await;
        let token = parameter(&location, "access_token").unwrap_or_else(|| panic!("no token: {location}"));
        self.access_token("implicit", &token);
        let page = browser.get("/logout").await;
        self.see("the logout page", &page);
        let reply = browser.submit(&page, &[]).await;
        self.see("logout", &reply);
    }

    /// Secrets where they do not belong: clients make every mistake.
    async fn mistakes(&mut self, token: &str) {
        let http = self.server.http();
        let query = format!("refresh_token={token}&client_secret={SECRET}&grant_type=refresh_token&client_id=web");
        let json = format!("{{\"refresh_token\":\"{token}\",\"client_secret\":\"{SECRET}\"}}");
        let basic = http::basic("web-single", WRONG_SECRET);
        let long = format!("{query}&padding={}", "x".repeat(70_000));
        let bearer = format!("Bearer {token}");
        let broken = format!("Basic {token}");
        let crossed = http::basic("web", SECRET);
        let swapped = http::basic(SECRET, "web-single");
        let as_name = format!("grant_type=password&client_id=phone&password=x&username={}", form_of(WRONG_PASSWORD));
        let typed = http::basic("web", WRONG_PASSWORD);
        let as_id = format!("grant_type=refresh_token&refresh_token=x&client_id={}", form_of(WRONG_PASSWORD));
        let posts: [Post<'_>; 18] = [
            // The secret or the token in place of the name, and the password in place of the user's.
            ("/oauth2/token", format!("grant_type=refresh_token&refresh_token=x&client_id={SECRET}"), FORM, vec![]),
            ("/oauth2/token", format!("grant_type=refresh_token&refresh_token=x&client_id={token}"), FORM, vec![]),
            ("/oauth2/revoke", format!("token={token}"), FORM, vec![("authorization", &swapped)]),
            ("/oauth2/token", as_name, FORM, vec![]),
            // A person's password in place of the client's name, and of its secret.
            ("/oauth2/token", as_id, FORM, vec![]),
            ("/oauth2/introspect", "token=x".to_owned(), FORM, vec![("authorization", &typed)]),
            ("/oauth2/token?", query.clone(), FORM, vec![]),
            (&format!("/oauth2/token?{query}"), String::new(), FORM, vec![]),
            ("/oauth2/token", json, "application/json", vec![]),
            ("/oauth2/token", query.clone(), "text/plain", vec![]),
            ("/oauth2/token", long, FORM, vec![]),
            ("/oauth2/token", format!("{query}&refresh_token={token}"), FORM, vec![]),
            ("/oauth2/token", query.clone(), FORM, vec![("authorization", &crossed)]),
            ("/oauth2/token", query.replace("client_secret", "other"), FORM, vec![("authorization", &basic)]),
            ("/oauth2/token", query.clone(), FORM, vec![("authorization", &bearer)]),
            ("/oauth2/token", query.clone(), FORM, vec![("authorization", &broken)]),
            ("/oauth2/introspect", format!("token={token}"), FORM, vec![("authorization", &basic)]),
            (
                "/oauth2/revoke",
                format!("token={token}&token_type_hint={SECRET}"),
                FORM,
                vec![("authorization", &basic)],
            ),
        ];
        for (path, body, media_type, headers) in posts {
            let reply = http.post_raw(path, &body, media_type, &headers).await;
            // The first is a whole and right request, but for a token of another client.
            assert!(reply.status.as_u16() >= 400, "{path}: {}", reply.text());
            self.see(&format!("{media_type} to {}", path.split('?').next().unwrap_or(path)), &reply);
        }
        let gets = [
            format!("/oauth2/token?{query}"),
            format!("/{token}"),
            format!("/oauth2/userinfo?access_token={token}"),
            format!("/oauth2/authorize?client_id=phone&code_verifier={VERIFIER}&password={WRONG_SECRET}"),
            format!("/oauth2/authorize?response_type=code&client_id={}", form_of(WRONG_PASSWORD)),
        ];
        for path in gets {
            let cookie = format!("__Host-something={token}; x={SECRET}");
            let headers = [("authorization", bearer.as_str()), ("cookie", cookie.as_str())];
            let reply = http.send(Method::GET, &path, &headers, Body::empty()).await;
            self.see(&format!("GET {}", path.split(['?', '_']).next().unwrap_or_default()), &reply);
        }
        // Introspection and revocation as they should be.
        let api = http::basic("api", SECRET);
        let reply = http.post("/oauth2/introspect", &[("token", token)], &[("authorization", &api)]).await;
        self.see("introspection", &reply);
        let reply = http.post("/oauth2/revoke", &[("token", token), ("client_id", "phone")], &[]).await;
        self.see("revocation", &reply.expect_status(200));
    }

    /// The same secrets over HTTP/2, whose frames and header tables have a log of their own.
    async fn over_h2(&mut self, token: &str) {
        let http = Http::h2(self.server.base());
        let basic = http::basic("web-single", SECRET);
        let bearer = format!("Bearer {token}");
        let cookie = format!("__Host-something={token}");
        let headers = [("authorization", bearer.as_str()), ("cookie", cookie.as_str()), ("x-secret", SECRET)];
        let reply = http.get(&format!("/oauth2/userinfo?access_token={token}"), &headers).await;
        self.see("userinfo over h2", &reply);
        for (name, value) in [("token", token), ("token", SECRET)] {
            let headers = [("authorization", basic.as_str()), ("idempotency-key", IDEMPOTENCY_KEY)];
            let reply = http.post("/oauth2/introspect", &[(name, value)], &headers).await.expect_status(200);
            self.see("introspection over h2", &reply);
        }
        let parameters =
            [("grant_type", "password"), ("username", USER), ("password", PASSWORD), ("client_id", "phone")];
        let reply = http.post("/oauth2/token", &parameters, &[]).await.expect_status(200);
        let body = reply.json();
        self.canaries.push(Canary::token("refresh token over h2", &text(&body, "refresh_token")));
        self.access_token("h2", &text(&body, "access_token"));
        self.see_but("a login over h2", &reply, &[], &["access_token", "refresh_token"]);
    }

    /// What Prometheus is told.
    async fn metrics(&mut self) {
        let reply = self.server.metrics().expect("switched on").get("/metrics", &[]).await.expect_status(200);
        assert!(reply.text().contains("regrant_refreshes_total{client=\"phone\",how=\"retried\"}"), "{}", reply.text());
        self.see("metrics", &reply);
    }

    /// The keys themselves, as who has the root key knows them.
    fn keys(&mut self, home: &Home) {
        let scratch = Scratch::new("canary-keys");
        let copy = home.copy_to(scratch.path());
        let loot = Loot::take(&copy.store(), &copy.root_key_file()).expect("the keys open");
        let file = std::fs::read_to_string(home.root_key_file()).expect("the root key");
        self.canaries.push(Canary::text("root key", file.trim()));
        self.canaries.push(Canary::bytes("root key", &loot.root));
        self.canaries.extend(loot.seed_keys.iter().map(|(id, key)| Canary::bytes(format!("seed key {id}"), key)));
        self.canaries.extend(loot.signing_keys.iter().map(|key| Canary::bytes("signing key", &key[key.len() - 64..])));
        self.canaries.extend(loot.derived().iter().map(|key| Canary::bytes("derived key", key)));
    }

    fn everywhere(&self, home: &Home) -> Vec<Finding> {
        let mut found = Vec::new();
        for (place, bytes) in &self.seen {
            found.extend(search(place, bytes, &self.canaries));
        }
        for place in ["cmdline", "environ"] {
            let path = format!("/proc/{}/{place}", self.server.pid());
            let bytes = std::fs::read(&path).expect("a process of ours");
            assert!(!bytes.is_empty());
            found.extend(search(&path, &bytes, &self.canaries));
        }
        found.extend(self.files(home));
        found
    }

    /// Every file that the server wrote, and its configuration.
    fn files(&self, home: &Home) -> Vec<Finding> {
        let mut paths = vec![home.log(), home.config_file()];
        let data = std::fs::read_dir(home.data()).expect("the data").flatten();
        // The admin socket is no file.
        let data = data.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_file()));
        paths.extend(data.map(|entry| entry.path()));
        let read = |path: &Path| std::fs::read(path).expect("a file");
        paths.iter().flat_map(|path| search(&path.to_string_lossy(), &read(path), &self.canaries)).collect()
    }
}

/// Check K4: at trace level, over all flows and every mistake, on HTTP/1 and HTTP/2, no secret stands in the log, the metrics, the
/// database, its write-ahead log, an error, a header where it does not belong, the command line or the environment.
/// Law L6: a copy of the database holds no secret, and logs never do.
#[tokio::test(flavor = "multi_thread")]
async fn no_secret_is_left_behind_anywhere() {
    let scratch = Scratch::new("canary");
    let home = Home::make_with(scratch.path(), &format!("[metrics]\nlisten = \"127.0.0.1:0\"\n{CONFIG}"));
    home.add_user();
    let mut run = Run::start(&home);
    let token = run.back_channel().await;
    run.pages().await;
    run.mistakes(&token).await;
    run.over_h2(&token).await;
    run.metrics().await;
    run.keys(&home);
    assert!(run.canaries.len() > 60, "{}", run.canaries.len());
    assert!(run.seen.len() > 50, "{}", run.seen.len());
    let wal = std::fs::metadata(format!("{}-wal", home.store().display())).expect("a write-ahead log");
    let log = std::fs::metadata(home.log()).expect("a log");
    assert!(wal.len() > 100_000 && log.len() > 10_000, "there is something to look through: {wal:?} {log:?}");
    println!(
        "{} secrets, {} answers, {} bytes of log, {} of WAL",
        run.canaries.len(),
        run.seen.len(),
        log.len(),
        wal.len()
    );
    assert_eq!(run.everywhere(&home), []);
    // The log is one that would have told: it names what happened.
    let log = std::fs::read_to_string(home.log()).expect("a log");
    for word in ["rotated", "retried", "wrong_client_secret", "wrong_password", "straggler", "code_replayed"] {
        assert!(log.contains(word), "the log does not tell of {word}");
    }
    plant(&mut run, &home).await;
}

/// A leak in each place is found by the same search.
async fn plant(run: &mut Run, home: &Home) {
    let leaked = "canary: planted secret 90125";
    run.canaries.push(Canary::text("planted", leaked));
    assert_eq!(run.everywhere(home), [], "not there yet");
    let places = |found: Vec<Finding>| found.into_iter().map(|finding| finding.place).collect::<Vec<_>>();
    // The name of an unknown client may be anything, and is not logged.
    let asked = [("grant_type", "refresh_token"), ("refresh_token", "x"), ("client_id", leaked)];
    let reply = run.server.http().post("/oauth2/token", &asked, &[]).await;
    run.see("a secret sent as a name", &reply);
    assert_eq!(run.everywhere(home), [], "sent as a name");
    // The log, by another hand.
    let mut file = std::fs::OpenOptions::new().append(true).open(home.log()).expect("a log");
    std::io::Write::write_all(&mut file, format!("{{\"client\":\"{leaked}\"}}\n").as_bytes()).expect("a line");
    let log = home.log().to_string_lossy().into_owned();
    assert!(places(run.everywhere(home)).contains(&log), "the log's leak is not found");
    // A row, in the write-ahead log first and then in the database.
    let wal = format!("{}-wal", home.store().display());
    let connection = Connection::open(home.store()).expect("the store");
    let sql = "INSERT INTO events (at, kind, detail, correlation) VALUES (1, 'planted', ?1, '')";
    connection.execute(sql, [leaked]).expect("a row");
    assert!(places(run.everywhere(home)).contains(&wal), "the write-ahead log's leak is not found");
    connection.query_row("PRAGMA wal_checkpoint(FULL)", [], |_| Ok(())).expect("a checkpoint");
    let store = home.store().to_string_lossy().into_owned();
    assert!(places(run.everywhere(home)).contains(&store), "the row's leak is not found");
    // The body of an error, and a header.
    let mut body = reply.clone();
    body.body.extend(format!("{{\"detail\":\"{leaked}\"}}").bytes());
    run.see("planted body", &body);
    let mut header = reply;
    let encoded = base64_of(leaked);
    header.headers.insert("x-planted", encoded.parse().expect("a header"));
    run.see("planted header", &header);
    let found = places(run.everywhere(home));
    for place in ["answer to planted body", "answer to planted header"] {
        assert!(found.iter().any(|found| found == place), "{place} is not found");
    }
    // The hash of a seed is what the database may hold, and what the search must not take for a secret.
    assert_ne!(format::sha256(leaked.as_bytes())[..8], leaked.as_bytes()[..8]);
}

fn form_of(text: &str) -> String {
    regrant_server::form::encode(text)
}

fn base64_of(text: &str) -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::STANDARD.encode(format!("id:{text}"))
}
