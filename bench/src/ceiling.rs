//! What the machine allows: a bare axum server that answers a POST with the same bytes every time, and the same one that first
//! waits for one fdatasync per batch of waiting requests. Nothing that does more can be faster here.

use std::fs::File;
use std::io::Write as _;
use std::os::unix::fs::FileExt as _;
use std::path::PathBuf;
use std::sync::mpsc;

use axum::Router;
use axum::body::Bytes;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::response::IntoResponse as _;
use axum::routing::post;
use axum::serve::ListenerExt as _;
use tokio::sync::oneshot;

/// What a batch writes: a page, within a file of this many, as a write-ahead log is written again and again from its beginning.
const PAGE: [u8; 4096] = [b'r'; 4096];
const PAGES: u64 = 1024;

/// Answers `POST /oauth2/token` with a body of `length` bytes on a port of its own, which its first line tells.
///
/// # Errors
/// If it cannot listen, or the file cannot be written.
pub async fn serve(length: usize, durable: Option<PathBuf>) -> std::io::Result<()> {
    let body = Bytes::from(format!("{{\"padding\":\"{}\"}}", "x".repeat(length.saturating_sub(14))));
    let device = durable.map(File::create_new).transpose()?.map(device);
    let endpoint = move |_form: Bytes| async move {
        if let Some(device) = device {
            let (reply, is_durable) = oneshot::channel();
            let _ = device.send(reply);
            let _ = is_durable.await;
        }
        ([(CONTENT_TYPE, "application/json"), (CACHE_CONTROL, "no-store")], body).into_response()
    };
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    println!("{}", serde_json::json!({"listen": listener.local_addr()?.to_string()}));
    std::io::stdout().flush()?;
    let listener = listener.tap_io(|stream| _ = stream.set_nodelay(true));
    axum::serve(listener, Router::new().route("/oauth2/token", post(endpoint))).await
}

/// A thread that answers whatever waits with one fdatasync. It ends with the process, which the failure of a device ends too.
fn device(file: File) -> mpsc::Sender<oneshot::Sender<()>> {
    let (jobs, queue) = mpsc::channel::<oneshot::Sender<()>>();
    let preallocated =
        (0..PAGES).try_for_each(|page| file.write_all_at(&PAGE, page * 4096)).and_then(|()| file.sync_all());
    std::thread::spawn(move || {
        preallocated.expect("a writable device");
        for (page, first) in (0..PAGES).cycle().zip(queue.iter()) {
            let batch: Vec<_> = std::iter::once(first).chain(queue.try_iter()).collect();
            file.write_all_at(&PAGE, page * 4096).and_then(|()| file.sync_data()).expect("a writable device");
            batch.into_iter().for_each(|reply| _ = reply.send(()));
        }
    });
    jobs
}
