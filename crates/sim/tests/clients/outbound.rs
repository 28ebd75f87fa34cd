//! Where a client's URL may lead: checks S2, S3, S5, S6, S10, S12.

use regrant_jose::{Algorithm, SigningKey};
use sim::wire::assertion::{self, sign};
use sim::wire::{Act, Hook, World};

use super::support::{ask, claims, directory, publishes, remote};

/// Unless the configuration says so, nothing that is not the public Internet is asked, by whatever name: there is a key to be
/// had at each of these, if it were asked for.
#[tokio::test]
async fn a_url_does_not_lead_into_the_servers_own_network() {
    let (site, authority) = Hook::start_tls(&directory()).await;
    let key = SigningKey::generate(Algorithm::Es256).expect("a key");
    publishes(&site, &assertion::set(&[&key]));
    let trusted = format!("[outbound]\nroots = {:?}\nports = [\"PORT\"]\n", authority.display().to_string());
    let port = site.url().rsplit(':').next().and_then(|rest| rest.split('/').next()).expect("a port").to_owned();
    for host in [
        "127.0.0.1",
        "127.0.0.2",
        "localhost",
        "[::1]",
        "[::ffff:127.0.0.1]",
        "[::ffff:7f00:1]",
        "[::127.0.0.1]",
        "[64:ff9b::7f00:1]",
        "[2002:7f00:1::]",
        "0.0.0.0",
        "[::]",
        // Spellings of 127.0.0.1 that resolvers take and parsers of addresses do not.
        "127.1",
        "2130706433",
        "0x7f.1",
        "0177.0.0.1",
    ] {
        let url = format!("https://{host}:{port}/token");
        let world = World::with(&format!("{}{}", trusted.replace("PORT", &port), remote(&url))).await;
        let reply = ask(&world.http(), &sign(&key, &claims(&world, "remote")), &[]).await;
        reply.expect_error(503, "temporarily_unavailable");
    }
    assert_eq!(site.connections(), 0, "not even a connection was made");
    // The same place, allowed.
    let allowed = format!("{}allow = [\"127.0.0.0/8\"]\n", trusted.replace("PORT", &port));
    let world = World::with(&format!("{allowed}{}", remote(site.url()))).await;
    let _ = ask(&world.http(), &sign(&key, &claims(&world, "remote")), &[]).await.expect_status(200);
}

/// Check S3: a name that leads to a private address is refused when it is resolved, whatever it led to before: what is connected to
/// is what was checked. `localhost` is the one name that every machine resolves so.
#[tokio::test]
async fn a_name_is_judged_by_its_address() {
    let (site, authority) = Hook::start_tls(&directory()).await;
    let url = site.url().replace("127.0.0.1", "localhost");
    let config = format!("[outbound]\nroots = {:?}\n{}", authority.display().to_string(), remote(&url));
    let world = World::with(&config).await;
    let key = SigningKey::generate(Algorithm::Es256).expect("a key");
    ask(&world.http(), &sign(&key, &claims(&world, "remote")), &[]).await.expect_error(503, "temporarily_unavailable");
    assert_eq!(site.connections(), 0);
}

/// Check S10: a port that is closed, one that is open, one that is not allowed, a name that is not there, nonsense and silence: one answer.
#[tokio::test]
async fn an_answer_does_not_tell_open_from_closed() {
    let (site, _) = Hook::start_tls(&directory()).await;
    let closed = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port").local_addr().expect("bound");
    let (nonsense, authority) = Hook::start_tls(&directory()).await;
    let (silent, other) = Hook::start_tls(&directory()).await;
    nonsense.does(Act::says("x"));
    silent.does(Act::Silence);
    let both = directory().join("both.pem");
    let read = |path: &std::path::Path| std::fs::read_to_string(path).expect("an authority");
    std::fs::write(&both, read(&authority) + &read(&other)).expect("a file");
    let setting = format!("[outbound]\nallow = [\"127.0.0.1\"]\nroots = {:?}\n", both.display().to_string());
    let mut answers = Vec::new();
    for url in [
        site.url().to_owned(),
        format!("https://{closed}/"),
        "https://10.255.255.1/".to_owned(),
        "https://name.invalid/".to_owned(),
        nonsense.url().to_owned(),
        silent.url().to_owned(),
    ] {
        let world = World::with(&format!("{setting}{}", remote(&url))).await;
        let key = SigningKey::generate(Algorithm::Es256).expect("a key");
        let reply = ask(&world.http(), &sign(&key, &claims(&world, "remote")), &[]).await;
        let (after, reply) = (reply.header("retry-after"), reply.expect_status(503));
        let mut told = reply.json();
        told["correlation_id"] = "".into();
        answers.push((after, told));
    }
    assert!(answers.windows(2).all(|pair| pair[0] == pair[1]), "{answers:?}");
}

/// Check S12: there is one client for requests of our own, and whatever a client names goes through the part of it that looks where
/// it leads. The library for ACME brings its own, for the one authority that the operator names.
#[test]
fn there_is_one_way_out() {
    let source = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../server/src");
    let mut found = Vec::new();
    let mut places = vec![source];
    while let Some(place) = places.pop() {
        for entry in std::fs::read_dir(&place).expect("a directory").map(|entry| entry.expect("an entry").path()) {
            if entry.is_dir() {
                places.push(entry);
            } else if entry.extension().is_some_and(|extension| extension == "rs") {
                let text = std::fs::read_to_string(&entry).expect("a source");
                let asks = ["legacy::Client", "TcpStream::connect", "lookup_host", "HttpConnector"];
                if asks.iter().any(|word| text.contains(word)) {
                    found.push(entry.file_name().expect("a name").to_string_lossy().into_owned());
                }
            }
        }
    }
    found.sort();
    assert_eq!(found, ["outbound.rs", "strangers.rs"]);
}
