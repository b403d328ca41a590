//! A connection between the service and a server, which the test may cut, and whose bytes it reads.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::{CancellationToken, DropGuard};

/// What was sent to the server, for each connection.
type Sent = Arc<Mutex<Vec<Vec<u8>>>>;

pub(crate) struct Cable {
    pub(crate) address: SocketAddr,
    server: Arc<Mutex<String>>,
    sent: Sent,
    whole: DropGuard,
}

impl Cable {
    pub(crate) async fn to(server: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (cut, sent) = (CancellationToken::new(), Sent::default());
        let server = Arc::new(Mutex::new(server.to_owned()));
        let cable = Self {
            address: listener.local_addr().unwrap(),
            server: Arc::clone(&server),
            sent: Arc::clone(&sent),
            whole: cut.clone().drop_guard(),
        };
        tokio::spawn(cut.clone().run_until_cancelled_owned(async move {
            while let Ok((near, _)) = listener.accept().await {
                let address = server.lock().unwrap().clone();
                let far = TcpStream::connect(address).await.unwrap();
                let carried = carry(near, far, Arc::clone(&sent));
                tokio::spawn(cut.clone().run_until_cancelled_owned(carried));
            }
        }));
        cable
    }

    /// New connections lead to this server; those that are open stay where they are.
    pub(crate) fn lead_to(&self, server: &str) {
        server.clone_into(&mut self.server.lock().unwrap());
    }

    /// Ends every connection; there will be no other.
    pub(crate) fn cut(self) {
        drop(self.whole);
    }

    /// What PostgreSQL was asked.
    pub(crate) fn asked_of_postgres(&self) -> Asked {
        let sent = self.sent.lock().unwrap();
        sent.iter()
            .fold(Asked::default(), |asked, bytes| asked.and(bytes))
    }

    /// How many commands Redis was sent.
    pub(crate) fn commands_to_redis(&self) -> usize {
        let sent = self.sent.lock().unwrap();
        sent.iter().map(|bytes| redis_commands(bytes)).sum()
    }
}

async fn carry(near: TcpStream, far: TcpStream, sent: Sent) {
    let (mut from_client, mut to_client) = near.into_split();
    let (mut from_server, mut to_server) = far.into_split();
    let index = {
        let mut sent = sent.lock().unwrap();
        sent.push(Vec::new());
        sent.len() - 1
    };
    let there = async {
        let mut piece = [0; 8 * 1024];
        while let Ok(length @ 1..) = from_client.read(&mut piece).await {
            sent.lock().unwrap()[index].extend(&piece[..length]);
            if to_server.write_all(&piece[..length]).await.is_err() {
                return;
            }
        }
    };
    tokio::select! {
        () = there => {}
        _ = tokio::io::copy(&mut from_server, &mut to_client) => {}
    }
}

/// How often a client of PostgreSQL has waited for an answer.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Asked {
    /// Statements, those that begin and end transactions included.
    pub(crate) statements: usize,
    /// Questions whether the connection lives.
    pub(crate) tests: usize,
}

impl Asked {
    /// Adds what was sent on one connection. Before its first message with a kind a client sends
    /// messages without one: perhaps the question for TLS, of 8 bytes, and the start-up message.
    fn and(mut self, mut bytes: &[u8]) -> Self {
        let length_at = |bytes: &[u8], index: usize| {
            let length = bytes.get(index..index + 4)?.try_into().ok()?;
            usize::try_from(u32::from_be_bytes(length)).ok()
        };
        if length_at(bytes, 0) == Some(8) {
            bytes = &bytes[8..];
        }
        let start_up = length_at(bytes, 0).unwrap_or(0);
        bytes = bytes.get(start_up..).unwrap_or_default();
        let mut has_work = false;
        while let Some(length) = length_at(bytes, 1) {
            match bytes[0] {
                b'Q' => self.statements += 1,
                b'S' if has_work => self.statements += 1,
                b'S' => self.tests += 1,
                _ => {}
            }
            has_work = !matches!(bytes[0], b'Q' | b'S');
            bytes = bytes.get(1 + length..).unwrap_or_default();
        }
        self
    }
}

/// A command is an array of strings: `*2`, then `$3`, three bytes, …
fn redis_commands(mut bytes: &[u8]) -> usize {
    let mut commands = 0;
    while let Some(end) = bytes.windows(2).position(|pair| pair == b"\r\n") {
        let number = std::str::from_utf8(&bytes[1..end])
            .unwrap()
            .parse::<usize>()
            .unwrap();
        let skipped = match bytes[0] {
            b'*' => 0,
            _ => number + 2,
        };
        commands += usize::from(bytes[0] == b'*');
        bytes = bytes.get(end + 2 + skipped..).unwrap_or_default();
    }
    commands
}
