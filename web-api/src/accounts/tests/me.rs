//! The own profile and those of others.

use axum::http::Method;
use gameserver_contract::account::{LoginResponse, Player};
use serde_json::{Value, json};

use crate::tests::world::{Answer, World};

async fn rename(world: &World, who: &LoginResponse, tag: &str, name: &str) -> Answer {
    let call = world
        .call(Method::PATCH, "me")
        .of(who)
        .header("if-match", tag);
    call.json(&json!({ "display_name": name })).send().await
}

#[tokio::test]
async fn a_profile_changes_from_the_version_that_was_read() {
    let world = World::new().await;
    let guest = world.guest().await;
    let before = world.get("me", &guest).await;
    let answer = rename(&world, &guest, before.header("etag"), "  Zoe\u{308}  ").await;
    assert_eq!(answer.expect::<Player>(200).display_name, "Zoë");
    assert_ne!(answer.header("etag"), before.header("etag"));
    let after = world.get("me", &guest).await;
    assert_eq!(after.header("etag"), answer.header("etag"));
    rename(&world, &guest, before.header("etag"), "x")
        .await
        .refused(412, "precondition.failed");
}

#[tokio::test]
async fn a_version_is_known_in_every_form_that_proxies_make_of_it() {
    let world = World::new().await;
    let guest = world.guest().await;
    for form in ["W/TAG", "\"v0\", W/TAG", "TAG,", "*"] {
        let tag = world.get("me", &guest).await.header("etag").to_owned();
        let tag = form.replace("TAG", &tag);
        let answer = rename(&world, &guest, &tag, "Zoe").await;
        assert_eq!(answer.status, 200, "{tag}");
    }
    for other in ["W/\"v1\"", "\"v0\", \"v999\""] {
        rename(&world, &guest, other, "x")
            .await
            .refused(412, "precondition.failed");
    }
}

#[tokio::test]
async fn a_change_without_a_version_is_refused() {
    let world = World::new().await;
    let guest = world.guest().await;
    let call = world
        .call(Method::PATCH, "me")
        .of(&guest)
        .json(&json!({"display_name": "x"}));
    call.send().await.refused(428, "precondition.required");
    rename(&world, &guest, "garbage", "x")
        .await
        .refused(412, "precondition.failed");
}

#[tokio::test]
async fn an_unacceptable_name_is_refused_with_its_field() {
    let world = World::new().await;
    let guest = world.guest().await;
    let tag = world.get("me", &guest).await.header("etag").to_owned();
    let long = "x".repeat(33);
    for name in [
        "",
        "   ",
        &long,
        "a\u{7}b",
        "a\u{202e}b",
        "\u{3164}",
        "a\u{200e}b",
        "SYSTEM",
    ] {
        let problem = rename(&world, &guest, &tag, name)
            .await
            .refused(422, "request.invalid");
        assert_eq!(problem["errors"][0]["pointer"], "/display_name");
    }
}

#[tokio::test]
async fn a_change_of_nothing_changes_nothing() {
    let world = World::new().await;
    let guest = world.guest().await;
    let tag = world.get("me", &guest).await.header("etag").to_owned();
    let call = world
        .call(Method::PATCH, "me")
        .of(&guest)
        .header("if-match", &tag);
    let answer = call.json(&json!({})).send().await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.header("etag"), tag);
}

#[tokio::test]
async fn a_profile_that_is_known_already_is_not_sent_again() {
    let world = World::new().await;
    let guest = world.guest().await;
    let tag = world.get("me", &guest).await.header("etag").to_owned();
    let answer = world
        .call(Method::GET, "me")
        .of(&guest)
        .header("if-none-match", &tag)
        .send()
        .await;
    assert_eq!(answer.status, 304);
    assert!(answer.bytes.is_empty());
}

#[tokio::test]
async fn players_see_each_others_profiles_and_empty_histories() {
    let world = World::new().await;
    let (ann, ben) = (world.guest().await, world.guest().await);
    let path = format!("players/{}", ann.player.id);
    assert_eq!(
        world.get(&path, &ben).await.expect::<Player>(200),
        ann.player
    );
    let stats = world.get(&format!("{path}/stats"), &ben).await.json();
    assert_eq!(stats, json!({ "items": [] }));
    let matches = world.get(&format!("{path}/matches"), &ben).await.json();
    assert_eq!(matches, json!({ "items": [], "next_cursor": null }));
}

#[tokio::test]
async fn an_unknown_player_is_not_found() {
    let world = World::new().await;
    let guest = world.guest().await;
    for id in ["00000000-0000-0000-0000-000000000001", "not-an-id"] {
        for rest in ["", "/stats", "/matches"] {
            let answer = world.get(&format!("players/{id}{rest}"), &guest).await;
            answer.refused(404, "player.not_found");
        }
    }
}

#[tokio::test]
async fn a_page_is_neither_empty_nor_endless() {
    let world = World::new().await;
    let guest = world.guest().await;
    for limit in ["0", "101", "-1", "many"] {
        let path = format!("players/{}/matches?limit={limit}", guest.player.id);
        let problem: Value = world
            .get(&path, &guest)
            .await
            .refused(422, "request.invalid");
        assert_eq!(problem["errors"][0]["pointer"], "/limit", "{limit}");
    }
}
