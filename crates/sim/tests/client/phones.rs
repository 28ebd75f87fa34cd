//! Phones in tunnels: every twentieth answer is lost on its way. At this server nobody is logged out by that.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use regrant_client::{Answered, Call, Clock, Error, Http, MemoryStore, NoAnswer, Session, Settings, Transport};
use sim::process::Dice;
use sim::wire::World;

use super::support::{PATIENCE, REPEAT_AFTER, Strict, profile, tokens};

/// How many phones: REGRANT_PHONES says otherwise.
const FEW: usize = 40;
/// For so many days, in each of which a phone is taken out so often.
const DAYS: u32 = 30;
const TIMES: u32 = 4;

/// A network that loses every twentieth answer, once the server has heard the question.
#[derive(Debug)]
struct Tunnel {
    http: Http,
    dice: Mutex<Dice>,
    lost: AtomicU64,
}

impl Tunnel {
    fn new(seed: u64) -> Arc<Self> {
        let http = Http::new().expect("certificates");
        Arc::new(Self { http, dice: Mutex::new(Dice::new(seed)), lost: AtomicU64::new(0) })
    }

    fn settings(self: &Arc<Self>, clock: &Clock) -> Settings {
        Settings { transport: self.clone(), clock: clock.clone(), patience: PATIENCE, repeat_after: REPEAT_AFTER }
    }
}

impl Transport for Tunnel {
    fn send<'a>(&'a self, call: &'a Call) -> Answered<'a> {
        Box::pin(async move {
            let answer = self.http.send(call).await?;
            let is_lost = self.dice.lock().unwrap_or_else(PoisonError::into_inner).one_in(20);
            if is_lost && call.form.is_some() {
                self.lost.fetch_add(1, Ordering::SeqCst);
                return Err(NoAnswer("a tunnel".to_owned()));
            }
            Ok(answer)
        })
    }
}

/// Takes every phone out until the month is over: how many of them must log in again.
async fn a_month(phones: Vec<Session>, advance: impl Fn(Duration)) -> usize {
    let mut phones = phones;
    let mut logged_out = 0;
    for _ in 0..DAYS * TIMES {
        advance(Duration::from_secs(86_400 / u64::from(TIMES)));
        let asked: Vec<_> = phones
            .drain(..)
            .map(|phone| {
                tokio::spawn(async move {
                    let token = phone.token().await;
                    (phone, token)
                })
            })
            .collect();
        for asked in asked {
            match asked.await.expect("it ends") {
                (_, Err(Error::Terminal(_))) => logged_out += 1,
                // No network just now is no logout: the next time there is one.
                (phone, _) => phones.push(phone),
            }
        }
    }
    logged_out
}

fn many() -> usize {
    std::env::var("REGRANT_PHONES").ok().and_then(|text| text.parse().ok()).unwrap_or(FEW)
}

#[tokio::test(flavor = "multi_thread")]
async fn lost_answers_log_nobody_out_of_this_server() {
    let (world, clock, tunnel) = (World::new().await, Clock::manual(), Tunnel::new(9));
    let mut phones = Vec::new();
    for _ in 0..many() {
        let first = tokens(&world.grant("phone").await);
        let store = Arc::new(MemoryStore::new());
        let phone = Session::adopt(store, profile(&world, "s", "phone"), first, tunnel.settings(&clock)).await;
        phones.push(phone.expect("a session"));
    }
    let logged_out = a_month(phones, |time| super::support::pass(&world, &clock, time)).await;
    let lost = tunnel.lost.load(Ordering::SeqCst);
    println!("{} phones, {DAYS} days, {lost} lost answers: {logged_out} logged out", many());
    assert!(lost > 0);
    assert_eq!(logged_out, 0);
}

/// The same phones at a server without a second chance: what the client's own care cannot mend.
#[tokio::test(flavor = "multi_thread")]
async fn lost_answers_log_many_out_of_a_server_without_tolerance() {
    let (server, clock, tunnel) = (Strict::start(3600).await, Clock::manual(), Tunnel::new(9));
    let mut phones = Vec::new();
    for _ in 0..many() {
        let store = Arc::new(MemoryStore::new());
        let phone = Session::adopt(store, server.profile("s"), server.first(), tunnel.settings(&clock)).await;
        phones.push(phone.expect("a session"));
    }
    let logged_out = a_month(phones, |time| clock.advance(time)).await;
    println!("{} phones, {DAYS} days, at a server without tolerance: {logged_out} logged out", many());
    assert!(logged_out > many() / 2);
}
