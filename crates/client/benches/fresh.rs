//! What a request with a fresh token waits for it: `cargo bench -p regrant-client`. No network, no refresh, one thread.
//!
//! | what                | is                                                                                            |
//! |---------------------|-----------------------------------------------------------------------------------------------|
//! | `token`             | [`Session::token`]: the token alone, a copy of it                                             |
//! | `header`            | the same, and the `Authorization` that `tokens.client()` puts into a request                  |

use std::future::Future as _;
use std::hint::black_box;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use criterion::{Criterion, criterion_group, criterion_main};
use regrant_client::answer::{Answer, TokenAnswer, Verdict, judge};
use regrant_client::{MemoryStore, Profile, Secret, Session, Settings};

/// Tokens as long as signed ones are.
fn tokens() -> TokenAnswer {
    let body = format!(r#"{{"access_token":"{}","expires_in":3600,"refresh_token":"r"}}"#, "a".repeat(800));
    let Verdict::Success(tokens) = judge(&Answer { status: 200, body: body.into_bytes(), ..Answer::default() }) else {
        panic!("no tokens")
    };
    *tokens
}

/// Nothing is waited for: a future that is not ready at once would be a refresh.
fn at_once(session: &Session) -> Secret {
    let mut context = Context::from_waker(Waker::noop());
    match pin!(session.token()).poll(&mut context) {
        Poll::Ready(token) => token.expect("a token"),
        Poll::Pending => panic!("it waits"),
    }
}

fn fresh(criterion: &mut Criterion) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let profile = Profile::new("bench", "https://as.example", "app");
    let settings = Settings::usual().expect("certificates");
    let session = runtime.block_on(Session::adopt(Arc::new(MemoryStore::new()), profile, tokens(), settings));
    let session = session.expect("a session");
    let mut group = criterion.benchmark_group("fresh");
    group.bench_function("token", |bencher| bencher.iter(|| black_box(at_once(&session))));
    group.bench_function("header", |bencher| {
        bencher.iter(|| {
            let mut headers = http::HeaderMap::new();
            let presented = session.present(&at_once(&session), "GET", "https://api.example/thing", &mut headers);
            presented.expect("a header");
            black_box(headers)
        });
    });
    group.finish();
}

criterion_group!(benches, fresh);
criterion_main!(benches);
