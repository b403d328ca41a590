//! Typed keys: what a kind of value is called in the cache, and how long it lives.

use std::fmt::Display;
use std::time::Duration;

use crate::kit::cache::{Cache, CacheError};

/// A key of one kind. Prefix, text and lifetime of the kind stand in its implementation only.
pub(crate) trait Key {
    /// The first part of the text, which no other kind has.
    const PREFIX: &'static str;
    /// How long a value lives.
    const LIFETIME: Duration;

    /// The rest of the text.
    fn id(&self) -> impl Display;

    /// The whole text.
    fn text(&self) -> String {
        format!("{}:{}", Self::PREFIX, self.id())
    }
}

impl Cache {
    /// Sets the value of a typed key.
    pub(crate) async fn remember(&self, key: &impl Key, value: &[u8]) -> Result<(), CacheError> {
        self.put(&key.text(), value, lifetime(key)).await
    }

    /// The value of a typed key, unless it has ended.
    pub(crate) async fn recall(&self, key: &impl Key) -> Result<Option<Vec<u8>>, CacheError> {
        self.get(&key.text()).await
    }
}

fn lifetime<K: Key>(_: &K) -> Duration {
    K::LIFETIME
}
