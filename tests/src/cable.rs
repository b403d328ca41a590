//! A cable between a client and an instance that a spec can pull: a relay for TCP, because only
//! there a broken link is noticed at once.

use gameserver_contract::session::{JoinAnswer, TransportKind};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::AbortHandle;

/// A cable that is plugged in. Dropping it pulls it.
#[derive(Debug)]
pub struct Cable {
    relay: AbortHandle,
}

impl Cable {
    /// Leads the WebSocket offer of a join answer through a new cable.
    ///
    /// # Panics
    ///
    /// When there is no free port, or no such offer.
    pub async fn plug_in(answer: &mut JoinAnswer) -> Self {
        let offer = answer
            .transports
            .iter_mut()
            .find(|offer| offer.kind == TransportKind::WebSocket)
            .expect("instances offer WebSocket");
        let instance = offer.url.trim_start_matches("ws://").to_owned();
        let near = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = near.local_addr().expect("a bound socket has an address");
        offer.url = format!("ws://{address}");
        let relay = tokio::spawn(relay(near, instance));
        Self {
            relay: relay.abort_handle(),
        }
    }

    /// Both ends lose each other without a word.
    pub fn pull(self) {
        drop(self);
    }
}

impl Drop for Cable {
    fn drop(&mut self) {
        self.relay.abort();
    }
}

async fn relay(near: TcpListener, instance: String) -> std::io::Result<()> {
    let (mut client, _) = near.accept().await?;
    let mut server = TcpStream::connect(instance).await?;
    tokio::io::copy_bidirectional(&mut client, &mut server).await?;
    Ok(())
}
