//! Where tests find a PostgreSQL and a Redis, and what happens when there is none.

/// The URL in that environment variable. Without it the test says that it did not run; where the
/// servers are a must (`CI=true` or `GAMESERVER_TEST_REQUIRE_SERVERS=1`) it fails.
pub(crate) fn url(variable: &str) -> Option<String> {
    let set = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
    let url = set(variable);
    if url.is_none() {
        let must = set("CI").as_deref() == Some("true")
            || set("GAMESERVER_TEST_REQUIRE_SERVERS").as_deref() == Some("1");
        assert!(!must, "set {variable}: this test must run here");
        println!("did not run: {variable} is not set");
    }
    url
}
