//! A Redis of one test's own, which the test may starve, demote, stop and start again.

use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use redis::aio::MultiplexedConnection;

use crate::kit::cache::Cache;

/// How long a Redis may take until it answers.
const START_DEADLINE: Duration = Duration::from_secs(10);

pub(crate) struct RedisProcess {
    port: u16,
    folder: tempfile::TempDir,
    process: Option<Child>,
}

impl RedisProcess {
    /// None on a machine without Redis; there the test says that it did not run.
    pub(crate) async fn start() -> Option<Self> {
        crate::test_servers::url("GAMESERVER_TEST_REDIS_URL")?;
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        drop(listener);
        let mut redis = Self {
            port,
            folder: tempfile::tempdir().unwrap(),
            process: None,
        };
        redis.run().await;
        Some(redis)
    }

    /// Starts it, empty, on its port.
    pub(crate) async fn run(&mut self) {
        let port = self.port.to_string();
        let options = ["--bind", "127.0.0.1", "--save", "", "--appendonly", "no"];
        let process = Command::new("redis-server")
            .args(options)
            .args(["--port", &port, "--dir"])
            .arg(self.folder.path())
            .stdout(Stdio::null())
            .spawn()
            .expect("redis-server is where the tests' own Redis came from");
        self.process = Some(process);
        let deadline = Instant::now() + START_DEADLINE;
        while self.connect().await.is_err() {
            assert!(Instant::now() < deadline, "Redis does not start");
            tokio::task::yield_now().await;
        }
    }

    /// Ends it without a farewell.
    pub(crate) fn kill(&mut self) {
        if let Some(mut process) = self.process.take() {
            process.kill().unwrap();
            process.wait().unwrap();
        }
    }

    pub(crate) fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    pub(crate) async fn cache(&self) -> Cache {
        let url = format!("redis://{}", self.address());
        Cache::redis(&url, "test").await.unwrap()
    }

    /// Sends a command and expects that it is done.
    pub(crate) async fn command(&self, words: &[&str]) {
        let mut command = redis::Cmd::new();
        for word in words {
            command.arg(*word);
        }
        let mut connection = self.connect().await.unwrap();
        let _: redis::Value = command.query_async(&mut connection).await.unwrap();
    }

    async fn connect(&self) -> redis::RedisResult<MultiplexedConnection> {
        let client = redis::Client::open(format!("redis://{}", self.address()))?;
        let mut connection = client.get_multiplexed_async_connection().await?;
        let _: String = redis::cmd("PING").query_async(&mut connection).await?;
        Ok(connection)
    }
}

impl Drop for RedisProcess {
    fn drop(&mut self) {
        self.kill();
    }
}
