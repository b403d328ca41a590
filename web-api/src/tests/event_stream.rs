//! Reads server-sent events as a page would.

use std::time::Duration;

use axum::body::BodyDataStream;
use axum::response::Response;
use futures_util::StreamExt as _;
use serde_json::Value;

/// No event takes so long.
const PATIENCE: Duration = Duration::from_secs(10);

/// A stream of events that is being read.
#[derive(Debug)]
pub(crate) struct EventStream {
    body: BodyDataStream,
    /// What has arrived of the next event.
    text: String,
    last_id: u64,
}

impl EventStream {
    pub(crate) fn of(response: Response) -> Self {
        Self {
            body: response.into_body().into_data_stream(),
            text: String::new(),
            last_id: 0,
        }
    }

    /// The data of the next event, which must have this name.
    pub(crate) async fn expect(&mut self, name: &str) -> Value {
        let block = self.next_block().await.expect("the stream has ended");
        let field = |wanted: &str| {
            let mut lines = block.lines().filter_map(|line| line.split_once(": "));
            lines
                .find(|(name, _)| *name == wanted)
                .map(|(_, value)| value)
        };
        assert_eq!(field("event"), Some(name), "{block}");
        self.last_id = field("id").unwrap().parse().unwrap();
        serde_json::from_str(field("data").unwrap()).unwrap()
    }

    /// The number of the event read last.
    pub(crate) fn last_id(&self) -> u64 {
        self.last_id
    }

    pub(crate) async fn expect_end(&mut self) {
        assert_eq!(self.next_block().await, None);
    }

    /// The next event, without comments.
    async fn next_block(&mut self) -> Option<String> {
        loop {
            let mut events = std::iter::from_fn(|| self.take_block());
            if let Some(event) = events.find(|block| !block.starts_with(':')) {
                return Some(event);
            }
            let piece = tokio::time::timeout(PATIENCE, self.body.next()).await;
            let piece = piece.expect("no event has come")?.unwrap();
            self.text.push_str(std::str::from_utf8(&piece).unwrap());
        }
    }

    /// The next event or comment that has arrived whole.
    fn take_block(&mut self) -> Option<String> {
        let (block, rest) = self.text.split_once("\n\n")?;
        let (block, rest) = (block.to_owned(), rest.to_owned());
        self.text = rest;
        Some(block)
    }
}
