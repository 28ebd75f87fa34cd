//! RFC 6749 sections 10.4, 10.5 and 10.10, tokens that are not what they seem:
//!
//! - "The authorization server MUST maintain the binding between a refresh token and the client to whom it was issued."
//! - "The authorization server MUST verify the binding between the refresh token and client identity whenever the client identity can
//!   be authenticated."
//! - "The authorization server MUST ensure that refresh tokens cannot be generated, modified, or guessed to produce valid refresh tokens
//!   by unauthorized parties."
//! - 10.10: "The probability of an attacker guessing generated tokens […] MUST be less than or equal to 2^(-128)".

use regrant_core::codec;
use regrant_core::secret::Seed;
use regrant_core::token::RefreshToken;
use sim::process::Dice;
use sim::wire::World;

use super::support::{basic, chain, next, refused, secs, world};

/// Check T15: every character of a live and of an old token, with every single bit flipped: not ours, the grant untouched, no grant
/// read.
#[tokio::test]
async fn no_single_bit_can_be_changed() {
    let world = world().await;
    let tokens = chain(&world, "phone", 2).await;
    let (before, reads) = (world.row(&tokens[2]).await, world.watch.grant_reads());
    for token in [&tokens[0], &tokens[2]] {
        for position in 0..token.len() {
            for bit in 0..7 {
                let mut bytes = token.clone().into_bytes();
                bytes[position] ^= 1 << bit;
                let changed = String::from_utf8(bytes).expect("still ASCII");
                refused(&world.refresh("phone", &changed).await, 400, "invalid_grant", "not_ours");
            }
        }
    }
    assert_eq!(world.watch.grant_reads(), reads, "a bad tag reads no grant");
    assert_eq!(world.row(&tokens[2]).await, before);
    let _ = next(world.refresh("phone", &tokens[2]).await);
}

/// Checks T15, K1: behind the checksum stands the tag: half a million mutations of the bytes themselves, each with its checksum made
/// right, and none opens.
#[tokio::test]
async fn half_a_million_mutations_with_good_checksums_open_nothing() {
    let world = world().await;
    let token = world.first("phone").await;
    let bytes: [u8; 76] = codec::decode("rgr_", &token).expect("a token");
    assert_eq!(codec::encode("rgr_", &bytes), token, "the mutations are made of a token that opens");
    let keys = world.app.engine.keys();
    let mut seeded = Dice::new(15);
    for round in 0..500_000_usize {
        let mut bytes = bytes;
        if round < 608 {
            bytes[round / 8] ^= 1 << (round % 8);
        } else {
            for _ in 0..=seeded.below(4) {
                bytes[seeded.below(76)] ^= 1 + seeded.below(255) as u8;
            }
        }
        let opened = RefreshToken::open(&codec::encode("rgr_", &bytes), &keys);
        assert!(opened.is_none() || codec::encode("rgr_", &bytes) == token, "round {round} opens");
    }
}

/// Check T15: mutations at random, over the wire.
#[tokio::test]
async fn random_mutations_are_refused_over_the_wire() {
    let world = world().await;
    let token = world.first("web").await;
    let before = world.row(&token).await;
    let mut seeded = Dice::new(16);
    let alphabet = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    for _ in 0..2_000 {
        let mut bytes = token.clone().into_bytes();
        for _ in 0..=seeded.below(8) {
            let position = seeded.below(bytes.len());
            match seeded.below(3) {
                0 => bytes[position] = alphabet[seeded.below(62)],
                1 => drop(bytes.remove(position)),
                _ => bytes.insert(position, alphabet[seeded.below(62)]),
            }
        }
        let changed = String::from_utf8(bytes).expect("ASCII");
        if changed != token {
            refused(&world.refresh("web", &changed).await, 400, "invalid_grant", "not_ours");
        }
    }
    assert_eq!(world.row(&token).await, before);
}

/// Check T16: one token has one text: truncated, extended, doubled, padded, re-encoded, look-alike and NUL are nobody's.
#[tokio::test]
async fn a_token_has_one_text() {
    let world = world().await;
    let token = world.first("web").await;
    let before = world.row(&token).await;
    let mut others = vec![
        format!("{token}{token}"),
        format!(" {token}"),
        format!("{token} "),
        format!("{token}\n"),
        format!("{token}\u{0}"),
        format!("\u{feff}{token}"),
        format!("{token}="),
        format!("\"{token}\""),
        format!("Bearer {token}"),
        token.replace("rgr_", "RGR_"),
        token.replace("rgr_", "rgk_"),
        token.replace("rgr_", ""),
        token.replace("rgr_", "rg\u{433}_"),
        token.replace('_', "%5F"),
        token.to_uppercase(),
        token.to_lowercase(),
        token.chars().rev().collect(),
        "rgr_".to_owned(),
        format!("rgr_{}", "0".repeat(109)),
        format!("rgr_{}", "z".repeat(109)),
        "A".repeat(60_000),
    ];
    // Full-width digits and Cyrillic letters look the same.
    others.extend((4..token.len()).step_by(9).map(|at| {
        let wide = char::from_u32(u32::from(token.as_bytes()[at]) + 0xFEE0).expect("a full-width character");
        format!("{}{wide}{}", &token[..at], &token[at + 1..])
    }));
    for length in 1..token.len() {
        others.push(token[..length].to_owned());
    }
    for extension in ["0", "z", "A", ".", "~"] {
        others.push(format!("{token}{extension}"));
    }
    for other in &others {
        assert_ne!(other, &token);
        refused(&world.refresh("web", other).await, 400, "invalid_grant", "not_ours");
    }
    assert_eq!(world.row(&token).await, before);
    // Percent-encoding is the form's, not the token's: the same text.
    let encoded: String = token.bytes().map(|byte| format!("%{byte:02x}")).collect();
    let body =
        format!("grant_type=refresh_token&client_id=web&client_secret={}&refresh_token={encoded}", sim::wire::SECRET);
    let reply = world.http().post_raw("/oauth2/token", &body, "application/x-www-form-urlencoded", &[]).await;
    assert_eq!(next(reply), token);
}

/// Check T13: a token of another deployment is unknown here, even under the same root key.
#[tokio::test]
async fn a_token_of_another_deployment_is_not_ours() {
    let (here, there) = (world().await, world().await);
    for client in ["web", "phone"] {
        let (own, foreign) = (here.first(client).await, there.first(client).await);
        let reads = here.watch.grant_reads();
        refused(&here.refresh(client, &foreign).await, 400, "invalid_grant", "not_ours");
        assert_eq!(here.watch.grant_reads(), reads);
        let _ = next(here.refresh(client, &own).await);
        let _ = next(there.refresh(client, &foreign).await);
    }
    let code = there.code("phone").await;
    refused(&here.redeem("phone", &code).await, 400, "invalid_grant", "not_ours");
}

/// Check T17, law L11: an old genuine token in the hands of a stranger ends nothing: not with a wrong secret, not with none, not as
/// another client.
#[tokio::test]
async fn an_old_token_in_a_strangers_hands_ends_nothing() {
    let world = world().await;
    let tokens = chain(&world, "web-single", 4).await;
    let before = world.row(&tokens[4]).await;
    let wrong = basic("web-single", "wrong");
    for token in &tokens {
        let form = [("grant_type", "refresh_token"), ("refresh_token", token.as_str())];
        let reply = world.http().post("/oauth2/token", &form, &[("authorization", &wrong)]).await;
        refused(&reply, 401, "invalid_client", "wrong_client_secret");
        refused(&world.http().post("/oauth2/token", &form, &[]).await, 401, "invalid_client", "no_client");
        for stranger in ["web", "opaque", "phone"] {
            refused(&world.refresh(stranger, token).await, 400, "invalid_grant", "other_client");
        }
    }
    assert_eq!(world.row(&tokens[4]).await, before);
    assert_eq!(world.events(&tokens[4], "grant_ended").await, 0);
    let _ = next(world.refresh("web-single", &tokens[4]).await);
}

/// Law L6: whoever could mint good tags still holds no live seed: such a token is a spent one, and of another number it is nobody's.
#[tokio::test]
async fn a_good_tag_is_not_a_good_token() {
    let world = world().await;
    let live = chain(&world, "web-single", 1).await.remove(1);
    let other = world.first("web-single").await;
    let before = world.row(&other).await;
    for forged in [
        world.forge(&live, |token| token.grant.number += 1_000_000),
        world.forge(&live, |token| token.grant.number = 0),
        world.forge(&live, |token| token.grant.number = u64::MAX),
        world.forge(&live, |token| token.grant.random ^= 1),
    ] {
        refused(&world.refresh("web-single", &forged).await, 400, "invalid_grant", "unknown_grant");
    }
    assert_eq!(world.row(&other).await, before);
    world.advance(secs(60));
    let forged = world.forge(&live, |token| token.seed = Seed::new([9; 32]));
    refused(&world.refresh("web-single", &forged).await, 400, "invalid_grant", "replayed");
    assert_eq!(world.seen(&live).await.0.reason.as_deref(), Some("refresh_replayed"));
}

/// Check K8: a row that was changed behind the server's back, in any column, is refused, raises an alarm, and is vouched for nowhere.
#[tokio::test]
async fn a_tampered_row_is_refused_and_told() {
    use regrant_core::Grant;
    use std::sync::Arc;
    type Change = fn(&mut Grant);
    let changes: [(&str, Change); 23] = [
        ("write_id", |grant| grant.write_id ^= 1),
        ("generation", |grant| grant.generation -= 1),
        ("current", |grant| grant.current = Some(Seed::new([1; 32]).hash())),
        ("no current", |grant| grant.current = None),
        ("ratchet", |grant| grant.ratchet = Some([1; 32])),
        ("no ratchet", |grant| grant.ratchet = None),
        ("tag_key", |grant| grant.tag_key ^= 1),
        ("era", |grant| grant.era ^= 1),
        ("seed_key", |grant| grant.seed_key ^= 1),
        ("rotated_at", |grant| grant.rotated_at = grant.rotated_at.plus(secs(1))),
        ("previously_rotated_at", |grant| grant.previously_rotated_at = grant.previously_rotated_at.plus(secs(1))),
        ("answered_at", |grant| grant.answered_at = grant.answered_at.plus(secs(1))),
        ("retries", |grant| grant.retries += 1),
        ("retry_proof", |grant| grant.retry_proof = Some(Seed::new([1; 32]).hash())),
        ("idle_at", |grant| grant.idle_at = grant.idle_at.plus(secs(1))),
        ("absolute_at", |grant| grant.absolute_at = grant.absolute_at.plus(secs(1))),
        ("redeemed_at", |grant| grant.redeemed_at = grant.redeemed_at.map(|at| at.plus(secs(1)))),
        ("client", |grant| {
            Arc::make_mut(&mut grant.terms).client = regrant_core::ClientId::parse("web").expect("an id");
        }),
        ("subject", |grant| Arc::make_mut(&mut grant.terms).subject.push('x')),
        ("scope", |grant| {
            Arc::make_mut(&mut grant.terms).scope = regrant_core::Scope::parse("admin").expect("a scope");
        }),
        ("resources", |grant| {
            Arc::make_mut(&mut grant.terms).resources = regrant_core::Resources::new(["a:b"]).expect("a URI");
        }),
        ("rotation", |grant| Arc::make_mut(&mut grant.terms).rotation = regrant_core::grant::Rotation::Reusable),
        ("refreshable", |grant| Arc::make_mut(&mut grant.terms).refreshable = false),
    ];
    let world = world().await;
    for (column, change) in changes {
        let first = world.first("phone").await;
        let (access, live) = super::support::tokens(world.refresh("phone", &first).await);
        let id = world.grant_of(&live);
        let mut found = world.app.engine.load(id).await.expect("the store answers").expect("the row");
        let expected = Some(found.grant.version);
        change(&mut found.grant);
        found.grant.version += 1;
        tamper(&world, expected, found).await;
        refused(&world.refresh("phone", &live).await, 400, "invalid_grant", "tampered_row");
        assert!(!super::support::is_active(&world, &access).await, "{column}: its access token is vouched for");
        let question = regrant_store::Question::Events { grant: Some(id.number), limit: 10 };
        let regrant_store::Answer::Events(events) = world.app.engine.ask(question).await.expect("the store answers")
        else {
            panic!("another answer");
        };
        assert_eq!(events.iter().filter(|event| event.kind == "alarm").count(), 1, "{column}: nobody is told");
    }
}

async fn tamper(world: &World, expected: Option<u64>, found: regrant_store::Loaded) {
    let record = regrant_store::Record::Grant { expected, grant: found.grant, mac: found.mac, events: Vec::new() };
    world.app.engine.commit(vec![record]).await.expect("the store takes anything");
}
