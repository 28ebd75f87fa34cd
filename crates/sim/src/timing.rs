//! Timing: whether the time of an answer tells a guesser how near he was (dudect; check B2).
//!
//! Two classes of input, mixed by dice, each timed by itself; Welch's t between them, after the slowest tenth is cut off, for what is slow
//! there is the machine. Below 4.5 nothing is told that so many samples could show. It shows a difference where there is one: the pair
//! `control` compares a comparison that stops at the first difference, and must be above.

use std::fmt;
use std::hint::black_box;

use regrant_core::keys::{DeploymentId, Purpose, RootKey};
use regrant_core::token::RefreshToken;
use regrant_core::{Keys, one_time};
use regrant_server::Clock;
use serde_json::{Value, json};

use crate::exploit::format;
use crate::process::Dice;
use crate::wire::{SECRET, USER, World};

/// What is told by whom.
pub const LIMIT: f64 = 4.5;

/// One comparison.
#[derive(Clone, Debug)]
pub struct Pair {
    /// What is compared.
    pub name: &'static str,
    /// Welch's t.
    pub t: f64,
    /// The mean of each class, in nanoseconds.
    pub means: [f64; 2],
    /// Samples of both.
    pub samples: u64,
    /// Whether a difference is wanted.
    pub is_control: bool,
}

impl Pair {
    /// Whether it is as it should be.
    #[must_use]
    pub fn holds(&self) -> bool {
        (self.t.abs() < LIMIT) != self.is_control
    }
}

/// All comparisons.
#[derive(Clone, Debug, Default)]
pub struct Report(pub Vec<Pair>);

impl Report {
    /// Whether all are as they should be.
    #[must_use]
    pub fn holds(&self) -> bool {
        self.0.iter().all(Pair::holds)
    }

    /// For programs.
    #[must_use]
    pub fn json(&self) -> Value {
        let pair = |pair: &Pair| json!({"name": pair.name, "t": pair.t, "means_ns": pair.means, "samples": pair.samples, "holds": pair.holds()});
        json!({"pairs": self.0.iter().map(pair).collect::<Vec<_>>(), "holds": self.holds()})
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for pair in &self.0 {
            let [a, b] = pair.means;
            let word = if pair.holds() { "" } else { "  WRONG" };
            writeln!(f, "{:<44}t = {:>7.2}   {a:.0} ns, {b:.0} ns, {} samples{word}", pair.name, pair.t, pair.samples)?;
        }
        Ok(())
    }
}

/// A user who is there, with a wrong password, and one who is not, over HTTP.
pub async fn users(samples: u64) -> Pair {
    let world = World::new().await;
    let (http, clock, mut dice) = (world.http(), Clock::system(), Dice::new(0x71de));
    let mut times: [Vec<f64>; 2] = [Vec::new(), Vec::new()];
    for number in 0..samples {
        let class = dice.below(2);
        let name = [USER, "clara"][class];
        let form = [("grant_type", "password"), ("client_id", "phone"), ("username", name), ("password", "wrong")];
        let began = clock.ran();
        http.post("/oauth2/token", &form, &[]).await.expect_error(400, "invalid_grant");
        if number > samples / 20 {
            times[class].push(clock.ran().saturating_sub(began).as_nanos() as f64);
        }
    }
    told("password: a user who is there, one who is not", samples, times)
}

fn compare(name: &'static str, samples: u64, inputs: [&str; 2], mut run: impl FnMut(&str)) -> Pair {
    let (clock, mut dice) = (Clock::system(), Dice::new(0x71de));
    let mut times: [Vec<f64>; 2] = [Vec::new(), Vec::new()];
    for number in 0..samples {
        let class = dice.below(2);
        // Of its own, so that both come from the same place in memory.
        let input = inputs[class].to_owned();
        let began = clock.ran();
        run(black_box(&input));
        let took = clock.ran().saturating_sub(began).as_nanos() as f64;
        if number > samples / 20 {
            times[class].push(took);
        }
    }
    told(name, samples, times)
}

fn told(name: &'static str, samples: u64, times: [Vec<f64>; 2]) -> Pair {
    let mut all: Vec<f64> = times.iter().flatten().copied().collect();
    all.sort_by(f64::total_cmp);
    let cut = all.get(all.len() * 9 / 10).copied().unwrap_or(f64::MAX);
    let [a, b] = times.map(|times| moments(times.into_iter().filter(|time| *time <= cut)));
    let t = (a.0 - b.0) / (a.1 / a.2 + b.1 / b.2).sqrt();
    Pair { name, t, means: [a.0, b.0], samples, is_control: false }
}

/// Mean, variance, count.
fn moments(times: impl Iterator<Item = f64>) -> (f64, f64, f64) {
    let (mut count, mut mean, mut squares) = (0.0, 0.0, 0.0);
    for time in times {
        count += 1.0;
        let off = time - mean;
        mean += off / count;
        squares += off * (time - mean);
    }
    (mean, squares / (count - 1.0_f64).max(1.0), count.max(1.0))
}

/// Runs them all.
///
/// # Panics
/// If no keys can be made.
#[must_use]
pub fn run(samples: u64) -> Report {
    let (root, deployment) = ([7; 32], [3; 16]);
    let key = RootKey::new(root);
    let seed_keys = [(1, key.derive(Purpose::Wrap, DeploymentId(deployment), 1))];
    let keys = Keys::new(&key, DeploymentId(deployment), 0, &seed_keys).expect("keys");
    let token = format::Token { tag_key: 1, era: 0, wire_id: [9; 16], generation: 7, seed: [5; 32] };
    let right = token.write(format::REFRESH, &root, &deployment);
    let first = format::with_tag_bit(&right, 0);
    let last = format::with_tag_bit(&right, 159);
    let tag = |name, inputs| compare(name, samples, inputs, |text| drop(black_box(RefreshToken::open(text, &keys))));
    let held = one_time::client_secret_hash(SECRET);
    let near = format!("{}Y", &SECRET[..SECRET.len() - 1]);
    let far = format!("rgt_{}", &SECRET[4..]);
    let secret = |name, inputs| {
        compare(name, samples, inputs, |text| {
            black_box(one_time::client_secret_hash(text) == held);
        })
    };
    let control = compare("control: a comparison that stops early", samples, [&near, &far], |text| {
        black_box(text.bytes().zip(SECRET.bytes()).take_while(|(a, b)| black_box(a) == black_box(b)).count());
    });
    Report(vec![
        tag("refresh token: wrong in the tag's first bit, its last", [&first, &last]),
        secret("client secret: wrong in its last character, its first", [&near, &far]),
        Pair { is_control: true, ..control },
    ])
}
