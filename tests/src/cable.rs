//! Cables between clients and an instance: one for TCP that a spec can pull, because only there a
//! broken link is noticed at once, and one for UDP that it can cut and mend.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use gameserver_contract::session::{JoinResponse, TransportKind};
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::task::{AbortHandle, JoinSet};

/// Clients that one UDP path carries: more than any spec has. Further ones are not carried.
const UDP_CLIENTS_MAX: usize = 64;
/// Larger than any packet of QUIC here.
const PACKET_BYTES_MAX: usize = 2_048;

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
    pub async fn plug_in(answer: &mut JoinResponse) -> Self {
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

/// The way of QUIC's packets. Dropping it cuts it for good.
#[derive(Debug)]
pub struct UdpPath {
    address: SocketAddr,
    is_cut: Arc<AtomicBool>,
    relay: AbortHandle,
}

impl UdpPath {
    /// Opens a path to an instance's UDP port.
    ///
    /// # Panics
    ///
    /// When there is no free port.
    pub async fn open(instance: SocketAddr) -> Self {
        let near = UdpSocket::bind("127.0.0.1:0").await.expect("a free port");
        let address = near.local_addr().expect("a bound socket has an address");
        let is_cut = Arc::new(AtomicBool::new(false));
        let relay = tokio::spawn(carry(Arc::new(near), instance, is_cut.clone()));
        Self {
            address,
            is_cut,
            relay: relay.abort_handle(),
        }
    }

    /// Leads the QUIC offer of a join answer through this path.
    ///
    /// # Panics
    ///
    /// When there is no such offer.
    pub fn lead(&self, answer: &mut JoinResponse) {
        let offer = answer
            .transports
            .iter_mut()
            .find(|offer| offer.kind == TransportKind::Quic)
            .expect("instances offer QUIC");
        offer.url = format!("quic://{}", self.address);
    }

    /// From now on every packet is lost, in both directions and without a word.
    pub fn cut(&self) {
        self.is_cut.store(true, Ordering::Relaxed);
    }

    /// From now on packets arrive again.
    pub fn mend(&self) {
        self.is_cut.store(false, Ordering::Relaxed);
    }
}

impl Drop for UdpPath {
    fn drop(&mut self) {
        self.relay.abort();
    }
}

/// Every client has a socket of its own towards the instance, as behind a NAT.
async fn carry(
    near: Arc<UdpSocket>,
    instance: SocketAddr,
    is_cut: Arc<AtomicBool>,
) -> std::io::Result<()> {
    let mut clients = BTreeMap::new();
    let mut answers = JoinSet::new();
    let mut packet = [0; PACKET_BYTES_MAX];
    loop {
        let (size, client) = near.recv_from(&mut packet).await?;
        if is_cut.load(Ordering::Relaxed) {
            continue;
        }
        if !clients.contains_key(&client) && clients.len() < UDP_CLIENTS_MAX {
            let far = UdpSocket::bind("127.0.0.1:0").await?;
            far.connect(instance).await?;
            let far = Arc::new(far);
            clients.insert(client, far.clone());
            answers.spawn(carry_back(far, near.clone(), client, is_cut.clone()));
        }
        if let Some(far) = clients.get(&client) {
            far.send(&packet[..size]).await?;
        }
    }
}

async fn carry_back(
    far: Arc<UdpSocket>,
    near: Arc<UdpSocket>,
    client: SocketAddr,
    is_cut: Arc<AtomicBool>,
) -> std::io::Result<()> {
    let mut packet = [0; PACKET_BYTES_MAX];
    loop {
        let size = far.recv(&mut packet).await?;
        if !is_cut.load(Ordering::Relaxed) {
            near.send_to(&packet[..size], client).await?;
        }
    }
}
