//! A key is known to others (security section 4.6, design section 4.1): what dies, what lives on, and who is told. All of it at once, in a
//! running server, and after a restart too.

use sim::wire::text;

use super::support::{
    GRACE, is_active, kid, machine_token, next, published, refused, secs, statuses, sweep, tokens, told, world,
};

/// Check K3: a tag key. Live tokens work on and get a successor under the new key; a spent one is refused and ends nothing; one from the
/// future never rolls forward; a reusable one is re-tagged; a code works, and presented again ends nothing.
#[tokio::test]
async fn a_compromised_tag_key_logs_nobody_out_and_ends_no_grant() {
    let world = world().await;
    let first = world.first("phone").await;
    let second = next(world.refresh("phone", &first).await);
    world.advance(secs(3600));
    let third = next(world.refresh("phone", &second).await);
    let reusable = world.first("web").await;
    let (code, spent_code) = (world.code("phone").await, world.code("phone").await);
    let of_code = next(world.redeem("phone", &spent_code).await);
    world.advance(secs(30));
    let done = world.app.admin().compromise_key("tag", "1").await.expect("compromised");
    assert!(done.done.contains("tag key 2 is in use at once") && done.notes.len() == 2, "{done:?}");
    let world = world.restart().await;
    assert_eq!(statuses(&world, "tag").await, ["compromised", "current"]);

    world.advance(secs(60));
    let _ = sweep(&world).await;
    let before = world.row(&third).await;
    refused(&world.refresh("phone", &first).await, 400, "invalid_grant", "spent_under_compromised_key");
    let minted = world.forge(&third, |token| token.generation = 2);
    refused(&world.refresh("phone", &minted).await, 400, "invalid_grant", "spent_under_compromised_key");
    let future = world.forge(&third, |token| token.generation = 9);
    refused(&world.refresh("phone", &future).await, 400, "invalid_grant", "unissued");
    assert_eq!(world.row(&third).await, before, "nothing of it changed the grant");
    assert_eq!(world.events(&third, "refused").await, 1, "an operator hears of it");

    let fourth = next(world.refresh("phone", &third).await);
    assert_eq!(world.open(&fourth).tag_key, 2);
    let retagged = next(world.refresh("web", &reusable).await);
    assert_eq!((world.open(&retagged).tag_key, world.open(&retagged).generation), (2, 1));
    // Revocation proves nothing by such a key either, unless the token is the live one.
    let _ = world.post("/oauth2/revoke", "phone", &[("token", &first), ("client_id", "phone")], &[]).await;
    let fifth = next(world.refresh("phone", &fourth).await);

    refused(&world.redeem("phone", &spent_code).await, 400, "invalid_grant", "spent_under_compromised_key");
    let _ = next(world.refresh("phone", &of_code).await);
    refused(&world.redeem("phone", &code).await, 400, "invalid_grant", "code_expired");
    // The new key's own spent tokens end their grant as ever.
    world.advance(secs(3600));
    let _ = next(world.refresh("phone", &fifth).await);
    world.advance(secs(3600));
    refused(&world.refresh("phone", &fourth).await, 400, "invalid_grant", "replayed");
}

/// Check K3: a code on its way to its client is redeemed under the compromised key too: it works by its secret.
#[tokio::test]
async fn a_code_of_a_compromised_key_is_redeemed() {
    let world = world().await;
    let code = world.code("phone").await;
    let _ = world.app.admin().compromise_key("tag", "1").await.expect("compromised");
    let token = next(world.redeem("phone", &code).await);
    assert_eq!(world.open(&token).tag_key, 2);
}

/// Check K3: a signing key leaves the key set at once, nothing that it signed is vouched for, and another one signs. Clients refresh, and
/// go on.
#[tokio::test]
async fn a_compromised_signing_key_leaves_the_key_set_at_once() {
    let world = world().await;
    let (access, refresh) = tokens(world.refresh("phone", &world.first("phone").await).await);
    let of_machine = machine_token(&world).await;
    let old = kid(&access);
    let done = world.app.admin().compromise_key("signing", &old).await.expect("by its kid");
    assert!(done.done.contains("signing key 1 is compromised; signing key 3 is in use at once"), "{done:?}");
    for world in [world.restart().await] {
        let (kids, _) = published(&world).await;
        assert!(kids.len() == 1 && kids[0] != old);
        for token in [&access, &of_machine] {
            assert!(!is_active(&world, token).await);
            let bearer = format!("Bearer {token}");
            assert_eq!(world.http().get("/oauth2/userinfo", &[("authorization", &bearer)]).await.status, 401);
        }
        let (fresh, _) = tokens(world.refresh("phone", &refresh).await);
        assert_eq!(kid(&fresh), kids[0]);
        assert!(is_active(&world, &fresh).await && is_active(&world, &machine_token(&world).await).await);
        assert_eq!(statuses(&world, "signing").await, ["compromised", "current"]);
        let again = world.app.admin().compromise_key("signing", "1").await.expect_err("it is already").to_string();
        assert!(again.contains("compromised already"), "{again}");
    }
}

/// Check K3: the successor that is published lay beside it: it is left, and named; it can be compromised, too.
#[tokio::test]
async fn a_published_successor_is_named_in_an_emergency() {
    let world = world().await;
    let admin = world.app.admin();
    let _ = admin.rotate_key("signing", None, regrant_server::admin::KeyTurn::Announced).await.expect("published");
    let done = admin.compromise_key("signing", "1").await.expect("compromised");
    assert!(done.notes.iter().any(|note| note.contains("regrant keys compromise signing 3")), "{done:?}");
    assert_eq!(statuses(&world, "signing").await, ["compromised", "next", "current"]);
    let _ = admin.compromise_key("signing", "3").await.expect("compromised");
    assert_eq!(statuses(&world, "signing").await, ["compromised", "compromised", "current"]);
    assert_eq!(published(&world).await.0, [kid(&machine_token(&world).await)]);
}

/// Check K3: opaque access tokens under a compromised sealing key are dead at once.
#[tokio::test]
async fn what_a_compromised_sealing_key_sealed_is_dead() {
    let world = world().await;
    let grant = world.grant("opaque").await;
    let (access, refresh) = (text(&grant, "access_token"), text(&grant, "refresh_token"));
    assert!(is_active(&world, &access).await);
    let _ = world.app.admin().compromise_key("sealing", "1").await.expect("compromised");
    assert!(!is_active(&world, &access).await);
    let world = world.restart().await;
    assert!(!is_active(&world, &access).await);
    let (fresh, _) = tokens(world.refresh("opaque", &refresh).await);
    assert!(is_active(&world, &fresh).await);
    assert_eq!(statuses(&world, "sealing").await, ["compromised", "current"]);
}

/// Check K3, law L6: a seed key is destroyed: a pending retry of it is `invalid_grant` and no replay; the live token works.
#[tokio::test]
async fn a_compromised_seed_key_is_destroyed() {
    let world = world().await;
    let first = world.first("web-single").await;
    let second = next(world.refresh("web-single", &first).await);
    let _ = world.app.admin().compromise_key("seed", "1").await.expect("compromised");
    for world in [world.restart().await] {
        let before = world.row(&second).await;
        refused(&world.refresh("web-single", &first).await, 400, "invalid_grant", "seed_key_gone");
        assert_eq!(world.row(&second).await, before, "no replay, and nothing else");
        let third = next(world.refresh("web-single", &second).await);
        assert_eq!(world.row(&third).await.seed_key, 2);
        assert_eq!(next(world.refresh("web-single", &second).await), third, "retries of the new one work");
        assert_eq!(statuses(&world, "seed").await, ["compromised", "current"]);
    }
}

/// A compromised tag key goes like any other: when nothing hangs on it.
#[tokio::test]
async fn a_compromised_tag_key_goes_when_its_grants_have_ended() {
    let world = world().await;
    let token = world.first("web").await;
    let _ = world.app.admin().compromise_key("tag", "1").await.expect("compromised");
    assert_eq!(sweep(&world).await.tag_keys, 0);
    world.advance(secs(GRACE));
    let _ = world.post("/oauth2/revoke", "web", &[("token", &token)], &[]).await.expect_status(200);
    assert_eq!(sweep(&world).await.tag_keys, 1);
    assert_eq!(statuses(&world, "tag").await, ["gone", "current"]);
}

/// Each command leaves an event.
#[tokio::test]
async fn every_command_leaves_an_event() {
    use regrant_server::admin::KeyTurn::{Announced, AtOnce};
    let world = world().await;
    let admin = world.app.admin();
    let _ = admin.rotate_key("tag", None, AtOnce).await.expect("rotated");
    let _ = admin.rotate_key("signing", None, Announced).await.expect("published");
    let _ = admin.compromise_key("sealing", "1").await.expect("compromised");
    let _ = admin.compromise_key("seed", "1").await.expect("compromised");
    let _ = admin.rotate_key("seed", None, AtOnce).await.expect("rotated");
    let _ = admin.retire_key("tag", "1").await.expect("nothing hangs on it");
    let told = told(&world, "admin").await;
    for words in [
        "tag key 2 made",
        "signing key 3 (ES256) made and published",
        "sealing key 1 is compromised",
        "seed key 1 is compromised",
        "seed key 3 made",
        "tag key 1 is gone",
    ] {
        assert!(told.iter().any(|detail| detail.starts_with(words)), "no {words:?} in {told:?}");
    }
}
