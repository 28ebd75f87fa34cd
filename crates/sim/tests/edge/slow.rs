//! Many connections that do nothing: they cost a seat each, for a while, and nobody else anything.

use std::net::SocketAddr;

use regrant_server::{App, Clock};
use sim::wire::{ROOT, World, config};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpSocket, TcpStream};
use tokio::task::JoinSet;

use crate::edge::support::{HEALTH, address, connect, one, rest, status, world};

/// A connection from this address of the loopback network.
async fn from(source: [u8; 4], base: &str) -> TcpStream {
    let socket = TcpSocket::new_v4().expect("a socket");
    socket.bind(SocketAddr::from((source, 0))).expect("an address");
    socket.connect(address(base).parse().expect("an address")).await.expect("the server listens")
}

/// Check X1: a thousand connections that drip their heads and bodies: honest requests are answered meanwhile, and every one of them is
/// closed when its time is over.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_dripping_connections_disturb_nobody() {
    let world = world("[http]\nheader_timeout = \"3s\"\nbody_timeout = \"3s\"").await;
    let mut token = world.first("phone").await;
    let mut slow = JoinSet::new();
    for number in 0..1000_u16 {
        let mut stream = from([127, 0, 1, (number % 250) as u8 + 1], &world.base).await;
        let start = if number % 2 == 0 {
            "POST /oauth2/token HTTP/1.1\r\nhost: x\r\ncontent-type: application/x-www-form-urlencoded\r\n\
                content-length: 1000\r\n\r\ngrant_type="
        } else {
            "GET /healthz HTTP/1.1\r\nhost: x\r\nx: "
        };
        stream.write_all(start.as_bytes()).await.expect("sent");
        slow.spawn(async move { (number, rest(&mut stream).await) });
    }
    let honest = async {
        for _ in 0..50 {
            let reply = world.refresh("phone", &token).await.expect_status(200);
            token = sim::wire::text(&reply.json(), "refresh_token");
        }
    };
    honest.await;
    let mut closed = 0;
    while let Some(done) = slow.join_next().await {
        let (number, said) = done.expect("closed");
        assert_eq!(said.starts_with("HTTP/1.1 408 "), number % 2 == 0, "{number}: {said}");
        closed += 1;
    }
    assert_eq!(closed, 1000);
    let _ = world.refresh("phone", &token).await.expect_status(200);
}

/// One address cannot take every seat; another is served beside it, and it is served itself again when it has let go.
#[tokio::test]
async fn one_address_has_its_share_and_no_more() {
    let world = world("[http]\nmax_connections_per_address = 5").await;
    let mut taken = Vec::new();
    for _ in 0..5 {
        let mut stream = from([127, 0, 0, 9], &world.base).await;
        stream.write_all(HEALTH.as_bytes()).await.expect("sent");
        assert_eq!(status(&one(&mut stream).await.expect("an answer")), 200);
        taken.push(stream);
    }
    // Whoever comes behind the same address is served all the same: the one that has waited longest makes room.
    for _ in 0..20 {
        let mut again = from([127, 0, 0, 9], &world.base).await;
        again.write_all(HEALTH.as_bytes()).await.expect("sent");
        assert_eq!(status(&one(&mut again).await.expect("an answer")), 200, "a stranger cannot shut the address out");
    }
    assert_eq!(rest(&mut taken.remove(0)).await, "", "the first has left");
    assert_eq!(world.http().get("/healthz", &[]).await.status, 200);
}

/// A trusted proxy comes for many: it has no share.
#[tokio::test]
async fn a_trusted_proxy_is_not_counted() {
    let world = world("trusted_proxies = [\"127.0.0.9\"]\n[http]\nmax_connections_per_address = 2").await;
    let mut open = Vec::new();
    for _ in 0..10 {
        let mut stream = from([127, 0, 0, 9], &world.base).await;
        stream.write_all(HEALTH.as_bytes()).await.expect("sent");
        assert_eq!(status(&one(&mut stream).await.expect("an answer")), 200);
        open.push(stream);
    }
}

/// A server with few seats, until it is aborted, and where it listens.
async fn few_seats(seats: usize) -> (String, tokio::task::JoinHandle<std::io::Result<()>>) {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let base = format!("http://{}", listener.local_addr().expect("bound"));
    let config = config(&format!("[http]\nmax_connections = {seats}"));
    let store = Box::new(regrant_store::Memory::new());
    let root = regrant_core::keys::RootKey::new(ROOT);
    let app = App::open_with(config, store, root, Clock::system()).expect("opens");
    (base, tokio::spawn(regrant_server::serve(app, listener, std::future::pending())))
}

/// Asks whether the server is well, on a connection that stays.
async fn ask(stream: &mut TcpStream) {
    stream.write_all(HEALTH.as_bytes()).await.expect("open");
    assert_eq!(status(&one(stream).await.expect("an answer")), 200);
}

/// Begins a request whose body has not come yet, and waits until the server reads it.
async fn begin(stream: &mut TcpStream) {
    let head = "POST /oauth2/token HTTP/1.1\r\nhost: x\r\ncontent-type: application/x-www-form-urlencoded\r\n\
        expect: 100-continue\r\ncontent-length: 20\r\n\r\n";
    stream.write_all(head.as_bytes()).await.expect("open");
    assert_eq!(status(&one(stream).await.expect("it is awaited")), 100);
}

/// Sends the body, and reads the answer: that this is no request.
async fn finish(stream: &mut TcpStream) {
    stream.write_all(b"grant_type=password&").await.expect("open");
    assert_eq!(status(&one(stream).await.expect("an answer")), 400);
}

/// When all seats are taken, whoever has waited longest without a request makes room, and not whoever has been there longest.
#[tokio::test]
async fn the_longest_idle_makes_room() {
    let (base, serving) = few_seats(8).await;
    let mut idle = Vec::new();
    for _ in 0..6 {
        let mut stream = connect(&base).await;
        ask(&mut stream).await;
        idle.push(stream);
    }
    // The two that came first were the last to ask.
    ask(&mut idle[1]).await;
    ask(&mut idle[0]).await;
    for number in 2..7 {
        while idle.len() < number + 6 {
            let mut stream = connect(&base).await;
            ask(&mut stream).await;
            idle.push(stream);
        }
        let mut byte = [0];
        assert_eq!(idle[number].read(&mut byte).await.unwrap_or(0), 0, "{number} makes room");
        ask(&mut idle[1]).await;
        ask(&mut idle[0]).await;
    }
    serving.abort();
}

/// Who has a request under way keeps its seat, however many come, and keeps nobody out who could have an idle one's.
#[tokio::test]
async fn a_request_under_way_is_not_cut_for_a_seat() {
    let world = world("[http]\nmax_connections_per_address = 5").await;
    let (base, serving) = few_seats(6).await;
    for base in [&world.base, &base] {
        let mut first = connect(base).await;
        ask(&mut first).await;
        let mut idle = Vec::new();
        for _ in 0..3 {
            let mut stream = connect(base).await;
            ask(&mut stream).await;
            idle.push(stream);
        }
        // It has waited longest when it begins.
        begin(&mut first).await;
        for _ in 0..30 {
            let mut stranger = connect(base).await;
            ask(&mut stranger).await;
            idle.push(stranger);
        }
        finish(&mut first).await;
    }
    serving.abort();
}

/// Where every seat is at work, the first that is done makes room.
#[tokio::test]
async fn where_all_are_at_work_the_first_to_end_makes_room() {
    let (base, serving) = few_seats(3).await;
    let mut at_work = Vec::new();
    for _ in 0..3 {
        let mut stream = connect(&base).await;
        begin(&mut stream).await;
        at_work.push(stream);
    }
    let mut waits = connect(&base).await;
    waits.write_all(HEALTH.as_bytes()).await.expect("the kernel takes it");
    finish(&mut at_work[1]).await;
    assert_eq!(status(&one(&mut waits).await.expect("an answer")), 200);
    assert_eq!(rest(&mut at_work[1]).await, "", "it has left");
    finish(&mut at_work[0]).await;
    serving.abort();
}

/// A burst of clients is not refused while the server is busy with others: so many wait in the kernel as it allows.
#[tokio::test]
async fn a_burst_of_connections_waits_in_the_kernel() {
    let listener = regrant_server::serve::listen("127.0.0.1:0".parse().expect("an address")).expect("a port");
    let base = format!("http://{}", listener.local_addr().expect("bound"));
    let burst = async {
        let mut open = Vec::new();
        for _ in 0..1500 {
            open.push(connect(&base).await);
        }
        open.len()
    };
    // The kernel would try again after a second.
    let open = tokio::time::timeout(std::time::Duration::from_secs(20), burst).await;
    assert_eq!(open.ok(), Some(1500), "the queue is too short");
}

/// Check X1: idle and dripping connections beside the real server, as many as there is time for here (`sim connections` opens 10,000):
/// each honest refresh is answered, and the connections are really there.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn honest_clients_are_served_beside_idle_and_slow_ones() {
    let scratch = sim::process::Scratch::new("beside");
    let report = sim::connections::run(&sim::process::Home::make(scratch.path()), 500, 20).await;
    assert_eq!((report.alone.count, report.beside.count), (160, 160));
    assert!(report.open >= 250, "{report}");
}

/// A world is a server like any other: what it was told to allow, it allows.
#[tokio::test]
async fn many_requests_on_one_connection_are_one_seat() {
    let world: World = world("[http]\nmax_connections_per_address = 1").await;
    let mut stream = from([127, 0, 0, 9], &world.base).await;
    for _ in 0..20 {
        stream.write_all(HEALTH.as_bytes()).await.expect("open");
        assert_eq!(status(&one(&mut stream).await.expect("an answer")), 200);
    }
}
