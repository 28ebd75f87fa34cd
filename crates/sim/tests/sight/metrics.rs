//! The numbers, over real HTTP: each story is told by the series that stand for it.

use std::collections::BTreeMap;
use std::time::Duration;

use axum::body::Body;
use axum::http::Method;
use sim::wire::{CONFIG, Http, USER, World, authorization, text};

/// The value of one series.
fn value(told: &str, series: &str) -> f64 {
    let found = told.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
    found.map_or(0.0, |number| number.parse().expect("a number"))
}

#[track_caller]
fn expect(world: &World, expected: &[(&str, f64)]) {
    let told = world.app.metrics_text();
    let shown: Vec<_> = expected.iter().map(|(series, _)| (*series, value(&told, series))).collect();
    assert_eq!(shown, expected, "{told}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_that_the_retry_rule_saves_is_counted_once() {
    let world = World::new().await;
    let first = world.first("phone").await;
    world.advance(Duration::from_secs(3600));
    let second = text(&world.refresh("phone", &first).await.expect_status(200).json(), "refresh_token");
    for _ in 0..3 {
        let _ = world.refresh("phone", &first).await.expect_status(200);
    }
    expect(
        &world,
        &[
            ("regrant_refreshes_total{client=\"phone\",how=\"rotated\"}", 1.0),
            ("regrant_refreshes_total{client=\"phone\",how=\"retried\"}", 3.0),
            ("regrant_sessions_saved_total", 1.0),
            ("regrant_requests_total{endpoint=\"token\",outcome=\"retried\"}", 3.0),
        ],
    );
    // Later the same is a straggler's, and then a replay.
    world.advance(Duration::from_secs(3600));
    let third = text(&world.refresh("phone", &second).await.expect_status(200).json(), "refresh_token");
    let _ = world.refresh("phone", &first).await.expect_status(503);
    world.advance(Duration::from_secs(3600));
    let _ = world.refresh("phone", &third).await.expect_status(200);
    world.advance(Duration::from_secs(3600));
    world.refresh("phone", &first).await.expect_error(400, "invalid_grant");
    expect(
        &world,
        &[
            ("regrant_stragglers_total", 1.0),
            ("regrant_replays_total{action=\"revoked\"}", 1.0),
            ("regrant_replays_total{action=\"refused\"}", 0.0),
            ("regrant_grants_created_total", 1.0),
            ("regrant_grants_ended_total{reason=\"refresh_replayed\"}", 1.0),
            ("regrant_client_requests_total{client=\"phone\",result=\"unavailable\"}", 1.0),
            ("regrant_sessions_saved_total", 1.0),
            ("regrant_refreshes_total{client=\"phone\",how=\"rotated\"}", 3.0),
            ("regrant_uptime_seconds", 14_400.0),
        ],
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn logins_consents_and_codes_are_counted() {
    let world = World::new().await;
    let mut browser = world.browser();
    let page = browser.get(&authorization("phone", &[])).await;
    let _ = browser.submit(&page, &[("username", USER), ("password", "not it at all")]).await;
    let code = world.code("phone").await;
    let _ = world.redeem("phone", &code).await.expect_status(200);
    world.advance(Duration::from_secs(2));
    world.redeem("phone", &code).await.expect_error(400, "invalid_grant");
    expect(
        &world,
        &[
            ("regrant_logins_total{result=\"failed\"}", 1.0),
            ("regrant_logins_total{result=\"ok\"}", 1.0),
            ("regrant_consents_total{decision=\"allowed\"}", 1.0),
            ("regrant_codes_total{outcome=\"redeemed\"}", 1.0),
            ("regrant_codes_total{outcome=\"replayed\"}", 1.0),
            ("regrant_password_queue_jobs", 0.0),
            ("regrant_writer_queue_jobs", 0.0),
            ("regrant_key_age_seconds{kind=\"signing\",status=\"current\"}", 2.0),
        ],
    );
    let told = world.app.metrics_text();
    assert!(value(&told, "regrant_commit_duration_seconds_count") >= 5.0, "{told}");
    assert!(value(&told, "regrant_batch_jobs_count") > value(&told, "regrant_commit_duration_seconds_count"), "{told}");
    assert!(value(&told, "process_resident_memory_bytes") > 1_000_000.0, "{told}");
}

/// Check X7: 100,000 different names of clients, paths and methods leave the series as they were.
#[tokio::test(flavor = "multi_thread")]
async fn names_that_strangers_choose_make_no_series() {
    let world = World::new().await;
    let http = world.http();
    // In an order of ours: that of the series of a family is not promised.
    let names = |told: &str| {
        let mut names: Vec<_> = told
            .lines()
            .filter(|line| !line.starts_with('#'))
            .filter_map(|line| Some(line.split_once(' ')?.0.to_owned()))
            .collect();
        names.sort_unstable();
        names
    };
    let ask = async |number: usize| {
        let id = format!("stranger-{number}");
        let form = [("grant_type", "refresh_token"), ("refresh_token", "x"), ("client_id", &id)];
        http.post("/oauth2/token", &form, &[]).await.expect_error(401, "invalid_client");
    };
    ask(0).await;
    let odd = |number: usize| {
        http.send(Method::from_bytes(format!("M{number}").as_bytes()).expect("a method"), "/", &[], Body::empty())
    };
    let path = |number: usize| format!("/path-{number}?client_id=stranger-{number}");
    let _ = (odd(0).await, http.get(&path(0), &[]).await);
    let before = names(&world.app.metrics_text());
    for number in 1..300 {
        ask(number).await;
        let _ = (odd(number).await, http.get(&path(number), &[]).await);
    }
    // The rest by the router itself, without a connection for each.
    let router = regrant_server::router(std::sync::Arc::clone(&world.app));
    for number in 0..100_000_usize {
        let form = format!("grant_type=refresh_token&refresh_token=x&client_id=other-{number}");
        let request = axum::http::Request::post("/oauth2/token")
            .header("content-type", "application/x-www-form-urlencoded")
            .body(Body::from(form))
            .expect("a request");
        let response = tower::ServiceExt::oneshot(router.clone(), request).await.expect("an answer");
        assert_eq!(response.status(), 401);
    }
    let told = world.app.metrics_text();
    assert_eq!(names(&told), before);
    assert!(!told.contains("stranger") && !told.contains("path-") && !told.contains("M7"), "{told}");
    expect(&world, &[("regrant_requests_total{endpoint=\"token\",outcome=\"unknown_client\"}", 100_300.0)]);
}

#[tokio::test(flavor = "multi_thread")]
async fn clients_beyond_the_configured_number_are_other() {
    let world = World::with(&format!("[metrics]\nclients = 1\n{CONFIG}")).await;
    for client in ["phone", "web", "web-single", "phone"] {
        let _ = world.grant(client).await;
    }
    expect(
        &world,
        &[
            ("regrant_client_requests_total{client=\"phone\",result=\"ok\"}", 2.0),
            ("regrant_client_requests_total{client=\"web\",result=\"ok\"}", 0.0),
            ("regrant_client_requests_total{client=\"other\",result=\"ok\"}", 2.0),
        ],
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn metrics_are_told_on_a_listener_of_their_own_in_both_formats() {
    let world = World::with(&format!("[metrics]\nlisten = \"127.0.0.1:0\"\n{CONFIG}")).await;
    let _ = world.grant("phone").await;
    let listening = regrant_server::metrics::listen(&world.app).await.expect("a free port").expect("it is switched on");
    let http = Http::new(&format!("http://{}", listening.address));
    let older = http.get("/metrics", &[]).await.expect_status(200);
    assert_eq!(older.header("content-type"), "text/plain; version=0.0.4; charset=utf-8");
    well_formed(&older.text(), "_total counter");
    let accept = "application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5";
    let newer = http.get("/metrics", &[("accept", accept)]).await.expect_status(200);
    assert_eq!(newer.header("content-type"), "application/openmetrics-text; version=1.0.0; charset=utf-8");
    assert!(newer.text().ends_with("# EOF\n"));
    // Nothing else is there, and nothing of it on the server's own listener.
    assert_eq!(http.get("/oauth2/jwks", &[]).await.status, 404);
    assert_eq!(world.http().get("/metrics", &[]).await.status, 404);
    let quiet = World::new().await;
    assert!(regrant_server::metrics::listen(&quiet.app).await.expect("nothing to do").is_none());
}

/// Whoever reaches the metrics takes neither all open files nor the place of the one who scrapes.
#[tokio::test(flavor = "multi_thread")]
async fn many_connections_to_the_metrics_cost_neither_files_nor_a_scrape() {
    use regrant_server::metrics::MAX_CONNECTIONS;
    use tokio::io::AsyncReadExt as _;
    let world = World::with(&format!("[metrics]\nlisten = \"127.0.0.1:0\"\n{CONFIG}")).await;
    let listening = regrant_server::metrics::listen(&world.app).await.expect("a free port").expect("it is switched on");
    let mut idle = Vec::new();
    for _ in 0..MAX_CONNECTIONS * 4 {
        idle.push(tokio::net::TcpStream::connect(listening.address).await.expect("a connection"));
    }
    let http = Http::new(&format!("http://{}", listening.address));
    let _ = http.get("/metrics", &[]).await.expect_status(200);
    // The scrape took one seat, and came last: of the others only so many still sit, and those who came first are gone.
    let gone = idle.len() + 1 - MAX_CONNECTIONS;
    for stream in &mut idle[..gone] {
        let ended = stream.read(&mut [0; 1]).await;
        assert!(matches!(ended, Ok(0)) || ended.is_err(), "{ended:?}");
    }
    let head = format!("GET /metrics HTTP/1.1\r\nhost: x\r\nx: {}\r\n\r\n", "a".repeat(32 * 1024));
    let mut stream = tokio::net::TcpStream::connect(listening.address).await.expect("a connection");
    let _ = tokio::io::AsyncWriteExt::write_all(&mut stream, head.as_bytes()).await;
    let mut answer = [0; 64];
    let read = stream.read(&mut answer).await.unwrap_or(0);
    assert!(!answer[..read].starts_with(b"HTTP/1.1 200"), "a head of 32 KiB is too large");
}

/// Every sample has a type, every histogram is cumulative and ends with all of it.
fn well_formed(told: &str, counter: &str) {
    let mut types = BTreeMap::new();
    let mut buckets: BTreeMap<String, Vec<f64>> = BTreeMap::new();
    for line in told.lines() {
        if let Some(rest) = line.strip_prefix("# TYPE ") {
            let (name, kind) = rest.split_once(' ').expect("a name and a type");
            assert!(types.insert(name.to_owned(), kind.to_owned()).is_none(), "{name} twice");
        } else if !line.starts_with('#') {
            let (series, number) = line.rsplit_once(' ').expect("a sample");
            let number: f64 = number.parse().expect("a number");
            let name = series.split('{').next().expect("a name");
            let family = ["_bucket", "_sum", "_count"]
                .iter()
                .find_map(|end| types.get(name.strip_suffix(end)?))
                .or(types.get(name));
            assert!(family.is_some(), "{name} has no type: {told}");
            if let Some((head, rest)) = series.split_once("le=\"") {
                let labels = rest.split_once('"').map_or("", |(_, rest)| rest);
                buckets.entry(format!("{head}{labels}")).or_default().push(number);
            }
        }
    }
    assert!(told.contains(counter));
    assert!(buckets.len() >= 3, "{told}");
    for (series, counts) in buckets {
        assert!(counts.is_sorted(), "{series}: {counts:?}");
    }
    assert!(told.contains("le=\"+Inf\""));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_fails_is_told_by_its_cause() {
    let world = World::new().await;
    let first = world.first("phone").await;
    world.watch.refuse(regrant_store::Cause::Full, 1);
    let _ = world.refresh("phone", &first).await.expect_status(503);
    expect(
        &world,
        &[
            ("regrant_store_errors_total{cause=\"full\"}", 1.0),
            ("regrant_store_errors_total{cause=\"io\"}", 0.0),
            ("regrant_requests_total{endpoint=\"token\",outcome=\"store_unavailable\"}", 1.0),
        ],
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sweep_tells_what_it_removed() {
    let world = World::new().await;
    let first = world.first("phone").await;
    let _ = world.refresh("phone", &first).await.expect_status(200);
    world.advance(Duration::from_secs(3600));
    regrant_server::sweep::pass(&world.app, Duration::ZERO).await.expect("a pass");
    // The background's own pass may have been first with it; together they removed one.
    expect(&world, &[("regrant_sweep_removed_total{what=\"ratchet\"}", 1.0), ("regrant_sweep_failures_total", 0.0)]);
    assert!(value(&world.app.metrics_text(), "regrant_sweep_passes_total") >= 1.0);
}
