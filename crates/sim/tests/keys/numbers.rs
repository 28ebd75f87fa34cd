//! Tag and sealing keys have 255 numbers, and none is used twice: who rotates too often is told long before they are used up.

use super::support::{GRACE, is_active, keys, secs, statuses, tend, told, world, world_with_keys};
use regrant_server::admin::KeyTurn::AtOnce;
use sim::wire::text;

/// The last number is kept for an emergency; after that one an emergency, too, is refused, and the current key stays.
#[tokio::test]
async fn the_last_number_is_for_an_emergency() {
    let world = world().await;
    let admin = world.app.admin();
    for (kind, first) in [("tag", world.first("phone").await), ("sealing", world.first("opaque").await)] {
        for number in 2..=254 {
            let done = admin.rotate_key(kind, None, AtOnce).await.expect("a free number");
            assert_eq!(done.done, format!("{kind} key {number} made; it is in use at once"));
            // At most one alarm a minute is kept.
            world.advance(secs(60));
        }
        let about = format!(" {kind} key ids are used");
        let alarms = told(&world, "alarm").await.into_iter().filter(|detail| detail.contains(&about)).count();
        assert_eq!(alarms, 254 - 200 + 1, "told with every rotation from the 200th on");
        let refusal = admin.rotate_key(kind, None, AtOnce).await.expect_err("the last one is kept").to_string();
        assert!(refusal.contains("used up") && refusal.contains(&format!("keys.{kind}_rotation")), "{refusal}");
        let done = admin.compromise_key(kind, "254").await.expect("the last one");
        assert!(done.done.contains(&format!("{kind} key 255 is in use at once")), "{done:?}");
        let refusal = admin.compromise_key(kind, "255").await.expect_err("there is none left").to_string();
        assert!(refusal.contains("new store"), "{refusal}");
        assert_eq!(statuses(&world, kind).await.last().map(String::as_str), Some("current"));
        let client = if kind == "tag" { "phone" } else { "opaque" };
        let answer = world.refresh(client, &first).await.expect_status(200).json();
        assert!(is_active(&world, &text(&answer, "access_token")).await);
    }
    let world = world.restart().await;
    assert_eq!((keys(&world, "tag").await.len(), keys(&world, "sealing").await.len()), (255, 255));
}

/// The schedule stops there too, tells it once a day, and everything goes on with the current key.
#[tokio::test]
async fn the_schedule_stops_before_the_last_number() {
    let world =
        world_with_keys("sealing_rotation = \"7d\"\nsigning_rotation = \"never\"\ntag_rotation = \"never\"").await;
    for _ in 2..=254 {
        let _ = world.app.admin().rotate_key("sealing", None, AtOnce).await.expect("a free number");
    }
    world.advance(secs(3600 + GRACE));
    let _ = tend(&world).await;
    assert_eq!(statuses(&world, "sealing").await.iter().filter(|status| *status != "gone").count(), 1);
    world.advance(secs(7 * 86_400));
    let before = told(&world, "alarm").await.len();
    for hour in 0..48 {
        let _ = tend(&world).await;
        assert_eq!(keys(&world, "sealing").await.len(), 254);
        let expected = if hour < 24 { 1 } else { 2 };
        assert_eq!(told(&world, "alarm").await.len(), before + expected, "in hour {hour}");
        world.advance(secs(3600));
    }
    let access = text(&world.grant("opaque").await, "access_token");
    assert!(is_active(&world, &access).await);
}
