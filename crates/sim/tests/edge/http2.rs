//! HTTP/2 in frames of our own making: what floods a connection ends that connection, and no other.

use std::time::Duration;

use regrant_server::serve::Options;
use sim::wire::World;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::edge::support::{connect, world};

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
const HEADERS: u8 = 1;
const RESET: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const GOAWAY: u8 = 7;
const CONTINUATION: u8 = 9;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;

/// RFC 9113 section 4.1.
fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).expect("a short frame").to_be_bytes();
    let mut frame = vec![length[1], length[2], length[3], kind, flags];
    frame.extend(stream.to_be_bytes());
    frame.extend(payload);
    frame
}

/// `GET /healthz` of `x`, by RFC 7541: three indexed fields or literals without names of their own.
fn get() -> Vec<u8> {
    let mut block = vec![0x82, 0x86, 0x04, 8];
    block.extend(b"/healthz");
    block.extend([0x41, 1, b'x']);
    block
}

/// A connection that has said hello.
async fn open(base: &str) -> TcpStream {
    let mut stream = connect(base).await;
    stream.write_all(&[PREFACE, &frame(SETTINGS, 0, 0, &[])].concat()).await.expect("sent");
    stream
}

/// Reads frames until one of this kind; its payload. Nothing if the server closes before.
async fn until(stream: &mut TcpStream, wanted: u8) -> Option<Vec<u8>> {
    loop {
        let mut head = [0; 9];
        stream.read_exact(&mut head).await.ok()?;
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize;
        let mut payload = vec![0; length];
        stream.read_exact(&mut payload).await.ok()?;
        if head[3] == wanted {
            return Some(payload);
        }
    }
}

/// Sends frames until the server has had enough. Fails if it takes all of them and stays.
async fn flood(base: &str, frames: impl Iterator<Item = Vec<u8>> + Send + 'static) -> Option<u32> {
    let mut stream = open(base).await;
    let (mut from, mut to) = stream.split();
    let sending = async {
        for frame in frames {
            if to.write_all(&frame).await.is_err() {
                break;
            }
        }
        // All were taken by the kernel; the server still has to say what it thinks of them.
        std::future::pending::<()>().await;
    };
    let reading = async {
        let mut all = Vec::new();
        let _ = from.read_to_end(&mut all).await;
        all
    };
    let all = tokio::select! {
        () = sending => unreachable!("it waits for ever"),
        all = reading => all,
    };
    reason(&all)
}

/// The error code of the GOAWAY frame.
fn reason(mut frames: &[u8]) -> Option<u32> {
    while let Some((head, rest)) = frames.split_at_checked(9) {
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize;
        let (payload, rest) = rest.split_at_checked(length)?;
        if head[3] == GOAWAY {
            return Some(u32::from_be_bytes(payload.get(4..8)?.try_into().ok()?));
        }
        frames = rest;
    }
    None
}

/// An honest connection, opened before a flood, goes on behind it.
async fn others_are_served(world: &World, honest: &mut TcpStream, stream: u32) {
    honest.write_all(&frame(HEADERS, END_HEADERS | END_STREAM, stream, &get())).await.expect("still open");
    let answer = until(honest, HEADERS).await.expect("an answer");
    // RFC 7541 appendix A: 8 is `:status: 200`.
    assert_eq!(answer[0], 0x88);
    let token = world.first("phone").await;
    let _ = world.refresh("phone", &token).await.expect_status(200);
}

/// Check X2: streams that are opened and reset again and again end their connection (CVE-2023-44487), whoever resets them.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rapid_resets_end_their_connection() {
    let world = World::new().await;
    let mut honest = open(&world.base).await;
    let opened = |number: u32| frame(HEADERS, END_HEADERS, number * 2 + 1, &get());
    let by_client =
        (0..20_000).map(move |number| [opened(number), frame(RESET, 0, number * 2 + 1, &[0, 0, 0, 8])].concat());
    // RFC 9113 section 7: ENHANCE_YOUR_CALM.
    assert_eq!(flood(&world.base, by_client).await, Some(11));
    // "Made you reset" (CVE-2025-8671): the client makes a mistake, and the server resets.
    let by_server =
        (0..20_000).map(move |number| [opened(number), frame(8, 0, number * 2 + 1, &[0, 0, 0, 0])].concat());
    assert!(flood(&world.base, by_server).await.is_some_and(|reason| reason != 0), "the server must say why");
    others_are_served(&world, &mut honest, 1).await;
}

/// Check X2: a head that never ends, frame after frame (CVE-2024-27316), ends its connection long before it is large.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flood_of_continuations_ends_its_connection() {
    let world = World::new().await;
    let mut honest = open(&world.base).await;
    // A literal that is not indexed: a name of one letter and a value of 100.
    let mut field = vec![0, 1, b'a', 100];
    field.extend([b'y'; 100]);
    let fields = field.repeat(100);
    let endless = std::iter::once(frame(HEADERS, 0, 1, &get()))
        .chain((0..5_000).map(move |_| frame(CONTINUATION, 0, 1, &fields)));
    assert!(flood(&world.base, endless).await.is_some(), "the server must say why");
    // Empty ones cost their sender nine bytes each.
    let empty =
        std::iter::once(frame(HEADERS, 0, 1, &get())).chain((0..200_000).map(|_| frame(CONTINUATION, 0, 1, &[])));
    assert!(flood(&world.base, empty).await.is_some(), "the server must say why");
    others_are_served(&world, &mut honest, 1).await;
}

/// Check X2: settings and pings that want answers nobody reads end with the connection, whose client hears nothing more.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn floods_of_settings_and_pings_are_bounded() {
    let world = world("[http]\nheader_timeout = \"1s\"").await;
    let mut honest = open(&world.base).await;
    others_are_served(&world, &mut honest, 1).await;
    for flood in [frame(SETTINGS, 0, 0, &[0, 1, 0, 0, 0, 0]), frame(PING, 0, 0, &[7; 8])] {
        let mut stream = open(&world.base).await;
        let flood = flood.repeat(1000);
        // It reads nothing: what the server wants to say piles up on its side, and stops its reading.
        let sent = async {
            let mut sent: usize = 0;
            while sent < 64 * 1024 * 1024 && stream.write_all(&flood).await.is_ok() {
                sent += flood.len();
            }
            sent
        };
        let sent = tokio::time::timeout(Duration::from_secs(20), sent).await.expect("the server closes");
        assert!(sent < 64 * 1024 * 1024, "all was taken");
    }
    others_are_served(&world, &mut honest, 3).await;
}

/// The server says how many streams it takes, and refuses the one above.
#[tokio::test]
async fn streams_have_a_limit() {
    let world = world("[http]\nmax_streams = 3").await;
    let mut stream = open(&world.base).await;
    let settings = until(&mut stream, SETTINGS).await.expect("settings");
    let limit = settings.chunks(6).find(|setting| setting[..2] == [0, 3]).expect("SETTINGS_MAX_CONCURRENT_STREAMS");
    assert_eq!(limit[2..], [0, 0, 0, 3]);
    // Requests whose bodies never come.
    let mut post = vec![0x83, 0x86, 0x04, 13];
    post.extend(b"/oauth2/token");
    post.extend([0x41, 1, b'x', 0x0f, 0x10, 33]);
    post.extend(b"application/x-www-form-urlencoded");
    for number in [1, 3, 5, 7] {
        stream.write_all(&frame(HEADERS, END_HEADERS, number, &post)).await.expect("sent");
    }
    // RFC 9113 section 5.1.2: REFUSED_STREAM, which says that it was not looked at.
    assert_eq!(until(&mut stream, RESET).await, Some(vec![0, 0, 0, 7]));
}

/// A head that is larger than the limit is refused with 431, and the connection goes on.
#[tokio::test]
async fn a_large_head_is_refused_on_http2_too() {
    let world = world("[http]\nmax_head_size = 8192\nmax_headers = 20").await;
    let mut stream = open(&world.base).await;
    let many: Vec<u8> = get().into_iter().chain([0, 1, b'a', 1, b'y'].repeat(30)).collect();
    stream.write_all(&frame(HEADERS, END_HEADERS | END_STREAM, 1, &many)).await.expect("sent");
    let answer = until(&mut stream, HEADERS).await.expect("an answer");
    // A literal `:status` (name index 8) of three digits, Huffman coded or not; never the indexed 200.
    assert_ne!(answer[0], 0x88);
    let mut large = get();
    let value = [b'y'; 126];
    for _ in 0..100 {
        large.extend([0, 1, b'a', 126]);
        large.extend(value);
    }
    stream.write_all(&frame(HEADERS, END_HEADERS | END_STREAM, 3, &large)).await.expect("sent");
    let answer = until(&mut stream, HEADERS).await.expect("an answer");
    assert_ne!(answer[0], 0x88);
    stream.write_all(&frame(HEADERS, END_HEADERS | END_STREAM, 5, &get())).await.expect("sent");
    assert_eq!(until(&mut stream, HEADERS).await.expect("an answer")[0], 0x88);
}

/// Check Z11: an HTTP/2 client is told to go as soon as the server is to stop, while its request under way is finished.
#[tokio::test]
async fn an_http2_client_is_told_to_go_at_once() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let base = format!("http://{}", listener.local_addr().expect("bound"));
    let (store, root) = (Box::new(regrant_store::Memory::new()), regrant_core::keys::RootKey::new(sim::wire::ROOT));
    let app = regrant_server::App::open_with(sim::wire::config(""), store, root, regrant_server::Clock::system());
    let options = Options { drain_delay: Some(Duration::from_secs(600)), ..Options::new(vec![listener]) };
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let serving = tokio::spawn(regrant_server::serve_with(app.expect("opens"), options, async move {
        let _ = stopped.await;
    }));
    let mut stream = open(&base).await;
    stream.write_all(&frame(HEADERS, END_HEADERS | END_STREAM, 1, &get())).await.expect("sent");
    assert_eq!(until(&mut stream, HEADERS).await.expect("an answer")[0], 0x88);
    // A request whose body has yet to come.
    let mut post = vec![0x83, 0x86, 0x04, 13];
    post.extend(b"/oauth2/token");
    post.extend([0x41, 1, b'x', 0x0f, 0x10, 33]);
    post.extend(b"application/x-www-form-urlencoded");
    stream.write_all(&frame(HEADERS, END_HEADERS, 3, &post)).await.expect("sent");
    stream.write_all(&frame(PING, 0, 0, &[1; 8])).await.expect("sent");
    assert!(until(&mut stream, PING).await.is_some(), "the server has read what came before");
    stop.send(()).expect("it serves");
    let goaway = until(&mut stream, GOAWAY).await.expect("GOAWAY");
    assert_eq!(goaway[4..8], [0; 4], "RFC 9113 section 7: NO_ERROR");
    stream.write_all(&frame(0, END_STREAM, 3, b"grant_type=x")).await.expect("still open");
    assert!(until(&mut stream, HEADERS).await.is_some(), "what was under way is answered");
    serving.abort();
}
