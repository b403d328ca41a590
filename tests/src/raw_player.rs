//! A player without a game: joins like any client, then sends whatever bytes a spec wants.

use std::time::Duration;

use bytes::Bytes;
use gameserver_contract::session::{JoinResponse, TransportKind, TransportOffer};
use gameserver_transport::close::{CloseReason, RefusalCode};
use gameserver_transport::connect::{ConnectError, ConnectOptions, Connected, connect};
use gameserver_transport::connection::Connection;
use gameserver_transport::frame::{Credential, Hello, Welcome};

use crate::patience::{eventually, within};
use crate::stage::Stage;

/// Packets sent at once before the carrier is waited for: fewer than its queue holds, so that
/// they are lost in the instance if at all.
const BURST: usize = 32;
/// Packets that a match takes in a frame, with room for frames that come late: half of the
/// instance's limit.
const PACKETS_PER_FRAME: usize = 8;

/// A welcomed connection in the hands of a spec.
#[derive(Debug)]
pub struct RawPlayer {
    /// The link.
    pub connection: Connection,
    /// What the instance said.
    pub welcome: Welcome,
}

impl RawPlayer {
    /// Joins.
    ///
    /// # Panics
    ///
    /// When the instance does not let them in.
    pub async fn join(stage: &Stage, answer: &JoinResponse, kind: TransportKind) -> Self {
        let hello = stage.hello(Credential::Ticket(answer.ticket.clone()));
        let joined = Self::say_hello(&answer.transports, hello, kind).await;
        joined.expect("the instance lets them in")
    }

    /// Takes a seat again, or says why not.
    ///
    /// # Errors
    ///
    /// Why not.
    pub async fn resume(
        stage: &Stage,
        offers: &[TransportOffer],
        token: &str,
        kind: TransportKind,
    ) -> Result<Self, ConnectError> {
        let hello = stage.hello(Credential::Resume(token.to_owned()));
        Self::say_hello(offers, hello, kind).await
    }

    /// Connects with any Hello.
    ///
    /// # Errors
    ///
    /// Why not.
    pub async fn say_hello(
        offers: &[TransportOffer],
        hello: Hello,
        kind: TransportKind,
    ) -> Result<Self, ConnectError> {
        let options = ConnectOptions {
            only: Some(kind),
            ..ConnectOptions::default()
        };
        let Connected {
            connection,
            welcome,
        } = within(connect(offers, hello, options)).await?;
        Ok(Self {
            connection,
            welcome,
        })
    }

    /// Sends packets and waits until the carrier has them.
    pub async fn send(&self, packets: &[Vec<u8>]) {
        for burst in packets.chunks(BURST) {
            let before = self.connection.stats();
            for packet in burst {
                // An end is what most of these packets ask for.
                let _ = self.connection.send(Bytes::copy_from_slice(packet));
            }
            eventually("the carrier takes the packets", || {
                let now = self.connection.stats();
                let gone = now.datagrams_out + now.dropped_out;
                gone - before.datagrams_out - before.dropped_out >= burst.len() as u64
                    || self.connection.closed().is_some()
            })
            .await;
        }
    }

    /// Sends packets so slowly that the match takes all of them.
    pub async fn trickle(&self, packets: &[Vec<u8>]) {
        let mut frames = packets.chunks(PACKETS_PER_FRAME);
        eventually("the packets trickle in", || {
            let Some(frame) = frames.next() else {
                return true;
            };
            for packet in frame {
                let _ = self.connection.send(Bytes::copy_from_slice(packet));
            }
            false
        })
        .await;
    }

    /// Sends packets again and again until the instance has had enough.
    pub async fn send_until_closed(&self, packets: &[Vec<u8>]) -> CloseReason {
        let insist = async {
            while self.connection.closed().is_none() {
                self.send(packets).await;
            }
        };
        within(insist).await;
        self.closed().await
    }

    /// Waits for the next packet.
    ///
    /// # Panics
    ///
    /// When the connection ends instead.
    pub async fn receive(&self) -> Bytes {
        let packet = within(self.connection.receive()).await;
        packet.expect("the connection lives")
    }

    /// Waits for a packet that comes from now on.
    pub async fn receive_next(&self) -> Bytes {
        while self.connection.try_recv().is_some() {}
        self.receive().await
    }

    /// Waits for the end.
    pub async fn closed(&self) -> CloseReason {
        within(self.connection.wait_closed()).await
    }

    /// True while the instance goes on sending for that long.
    pub async fn hears_for(&self, duration: Duration) -> bool {
        let listen = async { while self.connection.receive().await.is_some() {} };
        tokio::time::timeout(duration, listen).await.is_err()
    }
}

/// The typed reason of a refused join.
///
/// # Panics
///
/// When it was not refused.
#[must_use]
pub fn refusal(joined: Result<RawPlayer, ConnectError>) -> RefusalCode {
    let error = joined.expect_err("the instance refuses");
    let ConnectError::Refused(refused) = error else {
        unreachable!("no typed refusal: {error}")
    };
    refused.code
}
