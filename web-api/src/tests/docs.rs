//! The page that tries the API, and the service below a path prefix.

use axum::http::Method;
use serde_json::{Value, json};

use crate::config::WebApiConfig;
use crate::tests::world::{World, config};

async fn text(world: &World, path: &str) -> String {
    let answer = world.call(Method::GET, path).send().await;
    assert_eq!(answer.status, 200, "{path}");
    String::from_utf8(answer.bytes).unwrap()
}

#[tokio::test]
async fn the_page_fits_a_phone_and_has_a_way_back() {
    let world = World::new().await;
    let page = text(&world, "/docs/").await;
    assert!(page.contains("name=\"viewport\""), "{page}");
    assert!(page.contains("href=\"../\""), "{page}");
    let config = WebApiConfig {
        console: false,
        ..config()
    };
    let page = text(&World::without_instance(config).await, "/docs/").await;
    assert!(!page.contains("href=\"../\""), "{page}");
}

#[tokio::test]
async fn every_file_of_the_page_is_there_and_no_link_of_it_leaves_its_path() {
    let world = World::new().await;
    let page = text(&world, "/docs/").await;
    let links = page.split(['"']).filter(|text| {
        [".js", ".css", ".png"]
            .iter()
            .any(|end| text.ends_with(end))
    });
    let links: Vec<_> = links.collect();
    assert!(links.len() >= 5, "{links:?}");
    for link in links {
        assert!(!link.starts_with('/'), "{link}");
        let path = format!("/docs/{link}");
        let answer = world.call(Method::GET, &path).send().await;
        assert_eq!(answer.status, 200, "{path}");
    }
    let script = text(&world, "/docs/swagger-initializer.js").await;
    assert!(script.contains("\"../api/v1/openapi.json\""), "{script}");
    let answer = world.call(Method::GET, "/docs").send().await;
    assert_eq!(
        (answer.status.as_u16(), answer.header("location")),
        (303, "docs/")
    );
}

#[tokio::test]
async fn links_have_the_path_prefix_of_the_public_url() {
    for (public_url, prefix) in [
        ("https://example.com/play/", "/play"),
        ("https://example.com/a/b", "/a/b"),
        ("https://example.com", ""),
        ("https://example.com/", ""),
    ] {
        let world = World::without_instance(WebApiConfig {
            public_url: public_url.to_owned(),
            ..config()
        })
        .await;
        world.register().await;
        let guest = world.guest().await;
        let answer = world
            .post("sessions", &guest, json!({"game": "arena"}))
            .await;
        let id = &answer.json()["id"];
        let location = format!("{prefix}/api/v1/sessions/{}", id.as_str().unwrap());
        assert_eq!(answer.header("location"), location);
        let document: Value =
            serde_json::from_str(&text(&world, "/api/v1/openapi.json").await).unwrap();
        let server = document["servers"][0]["url"].as_str().unwrap_or_default();
        assert_eq!(server, prefix);
    }
}

#[tokio::test]
async fn the_examples_of_the_document_work_as_they_stand() {
    let world = World::new().await;
    let document: Value =
        serde_json::from_str(&text(&world, "/api/v1/openapi.json").await).unwrap();
    let example = |name: &str| document["components"]["schemas"][name]["example"].clone();
    let call = world.call(Method::POST, "auth/guest");
    let guest = call.json(&example("GuestLogin")).send().await.expect(200);
    let answer = world
        .post("sessions", &guest, example("CreateSession"))
        .await;
    let session = answer.expect(201);
    let answer = world
        .try_join(&session, &guest, example("JoinSession"))
        .await;
    assert_eq!(answer.status, 200);
    let parameters = &document["paths"]["/api/v1/me"]["patch"]["parameters"];
    let if_match = &parameters[0];
    assert_eq!(if_match["name"], "If-Match");
    let call = world.call(Method::PATCH, "me").of(&guest);
    let call = call.header("if-match", if_match["example"].as_str().unwrap());
    let answer = call.json(&example("UpdateMe")).send().await;
    assert_eq!(answer.status, 200);
}
