//! Logins, refresh tokens, access tokens.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::http::Method;
use gameserver_contract::account::LoginResponse;
use serde_json::json;
use uuid::Uuid;

use crate::config::{RateLimits, WebApiConfig};
use crate::tests::world::{Answer, World, config};

async fn refresh(world: &World, token: &str) -> Answer {
    let body = json!({ "refresh_token": token });
    world
        .call(Method::POST, "auth/refresh")
        .json(&body)
        .send()
        .await
}

#[tokio::test]
async fn a_new_guest_gets_a_device_and_is_logged_in() {
    let world = World::new().await;
    let guest = world.guest().await;
    assert!(guest.device.is_some());
    assert_eq!(guest.expires_in_s, 900);
    let me = world.get("me", &guest).await;
    assert_eq!(me.json()["id"], guest.player.id.to_string());
}

#[tokio::test]
async fn a_device_logs_the_same_guest_in_again_and_its_secret_is_shown_once() {
    let world = World::new().await;
    let first = world.guest().await;
    let device = first.device.unwrap();
    let body = json!({"device_id": device.id, "device_secret": device.secret});
    let answer = world
        .call(Method::POST, "auth/guest")
        .json(&body)
        .send()
        .await;
    let again: LoginResponse = answer.expect(200);
    assert_eq!(again.player, first.player);
    assert!(again.device.is_none());
}

#[tokio::test]
async fn a_wrong_secret_and_an_unknown_device_are_answered_alike() {
    let world = World::new().await;
    let device = world.guest().await.device.unwrap();
    let try_login = async |peer: &str, id: Uuid, secret: &str| {
        let body = json!({"device_id": id, "device_secret": secret});
        let call = world
            .call(Method::POST, "auth/guest")
            .header("x-request-id", "same");
        call.from(peer).json(&body).send().await
    };
    let wrong = try_login("192.0.2.3", device.id.0, "wrong").await;
    let unknown = try_login("192.0.2.4", Uuid::from_u128(1), &device.secret).await;
    wrong.refused(401, "auth.invalid_credentials");
    assert_eq!(wrong.bytes, unknown.bytes);
    assert_eq!(wrong.headers, unknown.headers);
}

#[tokio::test]
async fn half_of_a_device_is_refused_with_the_missing_field() {
    let world = World::new().await;
    let body = json!({"device_secret": "x"});
    let answer = world
        .call(Method::POST, "auth/guest")
        .json(&body)
        .send()
        .await;
    assert_eq!(
        answer.refused(422, "request.invalid")["errors"][0]["pointer"],
        "/device_id"
    );
}

#[tokio::test]
async fn a_refresh_token_is_good_for_one_successor() {
    let world = World::new().await;
    let first = world.guest().await;
    let second: LoginResponse = refresh(&world, &first.refresh_token).await.expect(200);
    assert_ne!(second.refresh_token, first.refresh_token);
    assert_eq!(second.player, first.player);
    let third: LoginResponse = refresh(&world, &second.refresh_token).await.expect(200);
    world
        .get("me", &third)
        .await
        .expect::<serde_json::Value>(200);
}

#[tokio::test]
async fn a_refresh_repeated_within_the_grace_returns_the_same_successor() {
    let world = World::new().await;
    let first = world.guest().await;
    let second: LoginResponse = refresh(&world, &first.refresh_token).await.expect(200);
    world.clock.advance(Duration::from_secs(9));
    let repeated: LoginResponse = refresh(&world, &first.refresh_token).await.expect(200);
    assert_eq!(repeated.refresh_token, second.refresh_token);
}

#[tokio::test]
async fn a_refresh_token_used_after_the_grace_closes_the_whole_login() {
    let world = World::new().await;
    let first = world.guest().await;
    let second: LoginResponse = refresh(&world, &first.refresh_token).await.expect(200);
    world.clock.advance(Duration::from_secs(11));
    refresh(&world, &first.refresh_token)
        .await
        .refused(401, "auth.refresh_token_reused");
    refresh(&world, &second.refresh_token)
        .await
        .refused(401, "auth.invalid_refresh_token");
}

#[tokio::test]
async fn an_invented_or_old_refresh_token_is_refused() {
    let world = World::new().await;
    let guest = world.guest().await;
    for text in ["", "nonsense", &"A".repeat(43)] {
        refresh(&world, text)
            .await
            .refused(401, "auth.invalid_refresh_token");
    }
    world.clock.advance(Duration::from_hours(31 * 24));
    refresh(&world, &guest.refresh_token)
        .await
        .refused(401, "auth.invalid_refresh_token");
}

#[tokio::test]
async fn logging_out_ends_the_refresh_token_and_may_be_repeated() {
    let world = World::new().await;
    let guest = world.guest().await;
    let body = json!({ "refresh_token": guest.refresh_token });
    for _ in 0..2 {
        let answer = world
            .call(Method::POST, "auth/logout")
            .json(&body)
            .send()
            .await;
        assert_eq!(answer.status, 204);
    }
    refresh(&world, &guest.refresh_token)
        .await
        .refused(401, "auth.invalid_refresh_token");
}

#[tokio::test]
async fn a_logout_ends_the_access_tokens_of_its_login_and_of_no_other() {
    let world = World::new().await;
    let guest = world.guest().await;
    let device = guest.device.clone().unwrap();
    let body = json!({"device_id": device.id, "device_secret": device.secret});
    let call = world.call(Method::POST, "auth/guest").json(&body);
    let elsewhere: LoginResponse = call.send().await.expect(200);
    let renewed: LoginResponse = refresh(&world, &guest.refresh_token).await.expect(200);
    let body = json!({ "refresh_token": renewed.refresh_token });
    let call = world.call(Method::POST, "auth/logout").json(&body);
    assert_eq!(call.send().await.status, 204);
    for ended in [&guest, &renewed] {
        let answer = world.get("me", ended).await;
        answer.refused(401, "auth.invalid_token");
    }
    assert_eq!(world.get("me", &elsewhere).await.status, 200);
}

#[tokio::test]
async fn the_end_of_a_login_is_remembered_as_long_as_its_access_tokens_last() {
    let world = World::new().await;
    let guest = world.guest().await;
    let body = json!({ "refresh_token": guest.refresh_token });
    let call = world.call(Method::POST, "auth/logout").json(&body);
    assert_eq!(call.send().await.status, 204);
    // The last moment at which the token itself would still be good.
    world
        .clock
        .advance(Duration::from_mins(15) + Duration::from_secs(29));
    let answer = world.get("me", &guest).await;
    answer.refused(401, "auth.invalid_token");
}

#[tokio::test]
async fn an_access_token_ends_when_its_refresh_token_is_used_by_two() {
    let world = World::new().await;
    let guest = world.guest().await;
    let thief: LoginResponse = refresh(&world, &guest.refresh_token).await.expect(200);
    world.clock.advance(Duration::from_secs(11));
    let answer = refresh(&world, &guest.refresh_token).await;
    answer.refused(401, "auth.refresh_token_reused");
    for ended in [&guest, &thief] {
        let answer = world.get("me", ended).await;
        answer.refused(401, "auth.invalid_token");
    }
}

#[tokio::test]
async fn an_access_token_ends_after_fifteen_minutes() {
    let world = World::new().await;
    let guest = world.guest().await;
    world
        .clock
        .advance(Duration::from_mins(15) + Duration::from_secs(30));
    let answer = world.get("me", &guest).await;
    answer.refused(401, "auth.token_expired");
    assert_eq!(answer.header("www-authenticate"), "Bearer");
}

#[tokio::test]
async fn a_changed_access_token_is_refused() {
    let world = World::new().await;
    let mut guest = world.guest().await;
    guest.access_token.replace_range(60..61, "_");
    world
        .get("me", &guest)
        .await
        .refused(401, "auth.invalid_token");
}

#[tokio::test]
async fn the_public_keys_stand_where_other_services_look_for_them() {
    let world = World::new().await;
    let answer = world
        .call(Method::GET, "/.well-known/jwks.json")
        .send()
        .await;
    let key = &answer.json()["keys"][0];
    assert_eq!(key["kty"], "OKP");
    assert_eq!(key["use"], "sig");
    assert!(key["kid"].is_string());
}

#[tokio::test]
async fn logins_from_one_address_are_limited_and_others_are_not_disturbed() {
    let limits = RateLimits {
        auth_per_address: Some(2),
        ..RateLimits::default()
    };
    let world = World::without_instance(WebApiConfig {
        rate_limits: limits,
        ..config()
    })
    .await;
    let log_in = async |peer: &str| {
        world
            .call(Method::POST, "auth/guest")
            .from(peer)
            .json(&json!({}))
            .send()
            .await
    };
    assert_eq!(log_in("192.0.2.7").await.header("ratelimit-remaining"), "1");
    assert_eq!(log_in("192.0.2.7").await.header("ratelimit-remaining"), "0");
    let refused = log_in("192.0.2.7").await;
    refused.refused(429, "rate.limited");
    assert_eq!(refused.header("ratelimit-limit"), "2");
    assert!(refused.header("retry-after").parse::<u64>().unwrap() <= 60);
    log_in("192.0.2.8").await.expect::<LoginResponse>(200);
    world.clock.advance(Duration::from_mins(1));
    log_in("192.0.2.7").await.expect::<LoginResponse>(200);
}

#[tokio::test]
async fn guesses_at_one_device_are_limited_from_all_addresses_together() {
    let world = World::new().await;
    let body = json!({"device_id": Uuid::from_u128(5), "device_secret": "guess"});
    for number in 1..=5 {
        let call = world
            .call(Method::POST, "auth/guest")
            .from(&format!("192.0.2.{number}"));
        call.json(&body)
            .send()
            .await
            .refused(401, "auth.invalid_credentials");
    }
    let call = world.call(Method::POST, "auth/guest").from("192.0.2.6");
    call.json(&body).send().await.refused(429, "rate.limited");
}

#[tokio::test]
async fn a_player_who_calls_too_often_is_slowed_down() {
    let limits = RateLimits {
        requests_per_player: Some(1),
        ..RateLimits::default()
    };
    let world = World::without_instance(WebApiConfig {
        rate_limits: limits,
        ..config()
    })
    .await;
    let guest = world.guest().await;
    let answer = world.get("me", &guest).await;
    assert_eq!(answer.header("ratelimit-remaining"), "0");
    world.get("me", &guest).await.refused(429, "rate.limited");
}

async fn behind_one_proxy() -> World {
    World::without_instance(WebApiConfig {
        rate_limits: RateLimits {
            auth_per_address: Some(1),
            ..RateLimits::default()
        },
        trusted_proxy_hops: 1,
        ..config()
    })
    .await
}

async fn log_in_through_proxy(world: &World, forwarded: &str) -> Answer {
    let call = world
        .call(Method::POST, "auth/guest")
        .from("192.0.2.1")
        .header("x-forwarded-for", forwarded);
    call.json(&json!({})).send().await
}

#[tokio::test]
async fn clients_behind_a_proxy_that_writes_ports_have_limits_of_their_own() {
    let world = behind_one_proxy().await;
    for number in 1..=22 {
        let forwarded = format!("203.0.113.{number}:5{number:03}");
        let answer = log_in_through_proxy(&world, &forwarded).await;
        answer.expect::<LoginResponse>(200);
    }
    let again = log_in_through_proxy(&world, "203.0.113.7:6000").await;
    again.refused(429, "rate.limited");
    let forwarded = "\"[2001:db8::1]:7\"";
    let answer = log_in_through_proxy(&world, forwarded).await;
    answer.expect::<LoginResponse>(200);
}

/// A log that a test reads.
#[derive(Debug, Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl std::io::Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn a_header_of_a_trusted_proxy_that_cannot_be_read_is_logged_once() {
    let writer = Lines::default();
    let shared = Arc::clone(&writer.0);
    let subscriber = tracing_subscriber::fmt()
        .with_writer(move || writer.clone())
        .finish();
    let _guard = tracing::subscriber::set_default(subscriber);
    let world = behind_one_proxy().await;
    for text in ["203.0.113.1:5", "unknown", "203.0.113.1.2", ""] {
        log_in_through_proxy(&world, text).await;
    }
    let text = String::from_utf8(shared.lock().unwrap().clone()).unwrap();
    let warnings: Vec<_> = text.lines().filter(|line| line.contains("WARN")).collect();
    assert_eq!(warnings.len(), 1, "{text}");
    assert!(warnings[0].contains("x-forwarded-for"), "{text}");
    assert!(!text.contains("203.0.113"), "{text}");
}
