//! draft-ietf-oauth-status-list, the Token Status List:
//!
//! - 4.1, 4.2: one bit a token, "from the least significant bit"; `lst` is the list "compressed using DEFLATE with the ZLIB data format".
//! - 5.1: `typ` is `statuslist+jwt`; `sub` is the list's own URI; `iat` REQUIRED, `exp` and `ttl` RECOMMENDED.
//! - 6.1, 6.2: `status.status_list` of the token has `idx` and `uri`.

use std::collections::BTreeSet;

use miniz_oxide::inflate::decompress_to_vec_zlib_with_limit;
use sim::wire::{USER, World, text};

use super::support::{api, place, secs, verified, world};

/// The bits of the list at this address, read as the draft has it.
async fn bits(world: &World, uri: &str) -> Vec<u8> {
    world.advance(secs(1));
    let reply = world.http().get(uri, &[("authorization", &api())]).await.expect_status(200);
    assert_eq!(reply.header("content-type"), "application/statuslist+jwt");
    let claims = verified(world, &reply.text(), "statuslist+jwt").await;
    assert_eq!((claims["sub"].as_str(), claims["ttl"].as_u64()), (Some(uri), Some(5)));
    assert!(claims["exp"].as_i64() > claims["iat"].as_i64() && claims["status_list"]["bits"] == 1);
    let packed = claims["status_list"]["lst"].as_str().expect("a list");
    let packed = regrant_jose::base64url::decode(packed).expect("base64url");
    let list = decompress_to_vec_zlib_with_limit(&packed, 8192).expect("zlib");
    assert_eq!(list.len(), 8192);
    list
}

pub(crate) async fn is_revoked(world: &World, token: &str) -> bool {
    let (uri, index) = place(token);
    let index = usize::try_from(index).expect("small");
    bits(world, &uri).await[index / 8] >> (index % 8) & 1 == 1
}

/// The bit of a grant is set when it ends, for every token of it and for no other.
#[tokio::test]
async fn the_bit_of_a_grant_is_set_when_it_ends() {
    let world = world().await;
    let (ended, other) = (world.grant("phone").await, world.grant("phone").await);
    let first = text(&ended, "access_token");
    world.advance(secs(60));
    let refreshed = world.refresh("phone", &text(&ended, "refresh_token")).await.expect_status(200).json();
    let (second, other) = (text(&refreshed, "access_token"), text(&other, "access_token"));
    assert_eq!(place(&first), place(&second), "tokens of one grant share a place");
    assert_ne!(place(&first), place(&other));
    for token in [&first, &second, &other] {
        assert!(!is_revoked(&world, token).await);
    }
    let refresh = text(&refreshed, "refresh_token");
    let _ = world.post("/oauth2/revoke", "phone", &[("token", &refresh)], &[]).await.expect_status(200);
    assert_eq!(
        (is_revoked(&world, &first).await, is_revoked(&world, &second).await, is_revoked(&world, &other).await),
        (true, true, false)
    );
    let (uri, _) = place(&first);
    assert_eq!(bits(&world, &uri).await.iter().map(|byte| byte.count_ones()).sum::<u32>(), 1);
}

/// A user who is switched off: the bits of his grants, and of nobody else's.
#[tokio::test]
async fn a_users_end_sets_the_bits_of_his_grants() {
    let world = world().await;
    world.add_user("bob").await;
    let alices = [text(&world.grant("phone").await, "access_token"), text(&world.grant("web").await, "access_token")];
    let form = [("grant_type", "password"), ("username", "bob"), ("password", sim::wire::PASSWORD)];
    let bobs = text(&world.token("phone", &form).await.expect_status(200).json(), "access_token");
    world.app.admin().set_user_disabled(USER, true).await.expect("the user is there");
    assert!(is_revoked(&world, &alices[0]).await && is_revoked(&world, &alices[1]).await);
    assert!(!is_revoked(&world, &bobs).await);
}

/// Neither the list nor the place tells the order of grants, and a name that we did not give is none.
#[tokio::test]
async fn places_tell_no_order_and_names_cannot_be_made_up() {
    let world = world().await;
    let mut places = BTreeSet::new();
    let mut last = None;
    let mut rises = 0;
    for _ in 0..24 {
        let (uri, index) = place(&text(&world.grant("phone").await, "access_token"));
        rises += u32::from(last.is_some_and(|last| last < index));
        last = Some(index);
        places.insert((uri, index));
    }
    assert_eq!(places.len(), 24);
    assert!((1..23).contains(&rises), "places rise with the grants");
    for name in ["0", "0000000000000000000000", "1", "..%2Frevocations", &"a".repeat(22)] {
        let path = format!("/oauth2/status-lists/{name}");
        let _ = world.http().get(&path, &[("authorization", &api())]).await.expect_status(404);
    }
}
