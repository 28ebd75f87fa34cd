//! What a fresh token costs: `cargo run --release -p regrant-client --example cost`. No network, no refresh, one task.

use std::sync::Arc;

use regrant_client::answer::{Answer, Verdict, judge};
use regrant_client::{Clock, MemoryStore, Profile, Session, Settings};

const ROUNDS: u32 = 2_000_000;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    // As long as a signed token is.
    let body = format!(r#"{{"access_token":"{}","expires_in":3600,"refresh_token":"r"}}"#, "a".repeat(800));
    let Verdict::Success(tokens) = judge(&Answer { status: 200, body: body.into_bytes(), ..Answer::default() }) else {
        return Err("no tokens".into());
    };
    let profile = Profile::new("cost", "https://as.example", "app");
    let session = Session::adopt(Arc::new(MemoryStore::new()), profile, *tokens, Settings::usual()?).await?;
    let clock = Clock::default();
    let begun = clock.ran();
    for _ in 0..ROUNDS {
        std::hint::black_box(session.token().await?);
    }
    let nanos = (clock.ran() - begun) as f64 * 1e6 / f64::from(ROUNDS);
    println!("{nanos:.0} ns for a fresh token");
    Ok(())
}
