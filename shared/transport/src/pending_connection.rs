//! A client that has sent a readable Hello and waits for an answer. It decides nothing: the gateway
//! does.

use std::net::SocketAddr;
use std::sync::Arc;

use gameserver_contract::session::TransportKind;
use tokio::sync::OwnedSemaphorePermit;

use crate::address_limits::AddressSlot;
use crate::any_carrier::AnyCarrier;
use crate::carrier::{Carrier as _, LinkLife};
use crate::connection::Connection;
use crate::events::Events;
use crate::frame::{Answer, FrameError, Hello, Refused, Welcome};
use crate::link::{LinkConfig, LinkEnd};
use crate::listener_state::ListenerState;
use crate::sockets;

/// A client that waits for an answer. Nothing of it but the Hello was read. It counts as pending
/// until it is answered; dropping it closes the link without an answer.
#[derive(Debug)]
pub struct PendingConnection {
    pub(crate) hello: Hello,
    pub(crate) carrier: AnyCarrier,
    pub(crate) listener: Arc<ListenerState>,
    pub(crate) permit: ListenerPermit,
}

/// The right to be pending: it counts for all, and for its address.
#[derive(Debug)]
pub(crate) struct ListenerPermit {
    pub(crate) _pending: OwnedSemaphorePermit,
    /// None yet while the address is not proven, so that nobody uses up another's.
    pub(crate) of_address: Option<AddressSlots>,
}

/// What a pending connection takes of the limits of its address.
#[derive(Debug)]
pub(crate) struct AddressSlots {
    pub(crate) _pending: AddressSlot,
    pub(crate) connection: AddressSlot,
}

impl PendingConnection {
    /// What the client sent. Its version is ours: others are refused before they get here.
    #[must_use]
    pub fn hello(&self) -> &Hello {
        &self.hello
    }

    /// Where it comes from. Not for logs.
    #[must_use]
    pub fn peer(&self) -> SocketAddr {
        sockets::canonical(self.carrier.peer())
    }

    /// The transport it came by.
    #[must_use]
    pub fn kind(&self) -> TransportKind {
        self.carrier.kind()
    }

    /// Largest payload in bytes that its transport takes.
    #[must_use]
    pub fn datagram_size_max(&self) -> usize {
        self.carrier.datagram_size_max()
    }

    /// Admits the client. The answer is sent, and what is queued is moved, by a task of the
    /// listener; it does not wait. `datagram_size_max` is lowered to what the transport takes.
    ///
    /// # Errors
    ///
    /// The answer has a text over its limit; the connection is dropped then.
    pub fn welcome(self, mut welcome: Welcome) -> Result<Connection, FrameError> {
        let size_max = u16::try_from(self.datagram_size_max()).unwrap_or(u16::MAX);
        welcome.datagram_size_max = welcome.datagram_size_max.min(size_max);
        let datagram_size_max = usize::from(welcome.datagram_size_max);
        let answer = Answer::Welcome(welcome).encode()?;
        let listener = &self.listener;
        let config = LinkConfig {
            mode: self.hello.mode,
            end: LinkEnd::Server,
            peer: self.peer(),
            datagram_size_max,
            slow_consumer_after: listener.slow_consumer_after,
            unsent_max: listener.unsent_max,
            events: Arc::clone(&listener.events),
        };
        let life = LinkLife {
            first: Some(answer.into()),
            idle_timeout: listener.idle_timeout,
            stop: listener.stop.clone(),
        };
        let (link, task) = self.carrier.open(config, life);
        // It is pending no longer, and counts for its address until it has ended.
        let permit = self.permit.of_address.map(|permits| permits.connection);
        let task = async move {
            task.await;
            drop(permit);
        };
        listener.tasks.spawn_on(task, &listener.runtime);
        Ok(Connection::new(link))
    }

    /// Refuses the client: delivers the refusal, waits until the client has it, but only so long,
    /// and closes.
    pub async fn refuse(self, refused: Refused) {
        refuse(self.carrier, refused, &self.listener.events).await;
        drop(self.permit);
    }
}

/// Counts and delivers a refusal, then closes.
pub(crate) async fn refuse(carrier: AnyCarrier, refused: Refused, events: &Events) {
    events.count_refusal(refused.code);
    // Texts are cut again, because the fields of a refusal are open to everybody.
    let refused = Refused {
        retry_after_ms: refused.retry_after_ms,
        ..Refused::new(refused.code, &refused.text)
    };
    let Ok(answer) = Answer::Refused(refused.clone()).encode() else {
        return;
    };
    carrier.refuse(&refused, answer).await;
}
