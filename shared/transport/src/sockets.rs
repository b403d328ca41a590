//! Sockets with the sizes that a game server needs, and one port number for UDP and TCP.

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};

use socket2::{Domain, Protocol, SockRef, Socket, Type};
use tokio::net::{TcpListener, TcpStream};

use crate::limits::{PORT_ATTEMPTS_MAX, TCP_BACKLOG, TCP_SEND_BUFFER, UDP_SOCKET_BUFFER};

/// Binds UDP and TCP to the same port. Port 0 means any port that is free for both.
pub(crate) fn bind_pair(address: SocketAddr) -> io::Result<(UdpSocket, TcpListener)> {
    let mut last = io::Error::from(io::ErrorKind::AddrInUse);
    let attempts = if address.port() == 0 {
        PORT_ATTEMPTS_MAX
    } else {
        1
    };
    for _ in 0..attempts {
        let udp = bind_udp(address)?;
        match bind_tcp(udp.local_addr()?) {
            Ok(tcp) => return Ok((udp, tcp)),
            Err(error) => last = error,
        }
    }
    Err(last)
}

/// Binds a client's UDP socket: for both address families where the system has both.
pub(crate) fn bind_client() -> io::Result<UdpSocket> {
    bind_udp((Ipv6Addr::UNSPECIFIED, 0).into())
        .or_else(|_| bind_udp((Ipv4Addr::UNSPECIFIED, 0).into()))
}

fn bind_udp(address: SocketAddr) -> io::Result<UdpSocket> {
    let socket = open(address, Type::DGRAM, Protocol::UDP)?;
    // The system grants what its administrator allows; less is no reason to fail.
    let _ = socket.set_recv_buffer_size(UDP_SOCKET_BUFFER);
    let _ = socket.set_send_buffer_size(UDP_SOCKET_BUFFER);
    socket.bind(&address.into())?;
    Ok(socket.into())
}

fn bind_tcp(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = open(address, Type::STREAM, Protocol::TCP)?;
    // A restarted instance takes its port back although old connections linger in TIME_WAIT.
    #[cfg(unix)]
    socket.set_reuse_address(true)?;
    socket.bind(&address.into())?;
    socket.listen(TCP_BACKLOG)?;
    TcpListener::from_std(socket.into())
}

fn open(address: SocketAddr, kind: Type, protocol: Protocol) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(address), kind, Some(protocol))?;
    if address.is_ipv6() {
        // Not every system has both families; one is enough then.
        let _ = socket.set_only_v6(false);
    }
    socket.set_nonblocking(true)?;
    Ok(socket)
}

/// Shows an IPv4 address as such, also when it came through a socket for both families: one
/// address, one form.
pub(crate) fn canonical(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip().to_canonical(), address.port())
}

/// Small messages leave at once, and a slow reader leaves little stale state behind.
pub(crate) fn tune(stream: &TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    SockRef::from(stream).set_send_buffer_size(TCP_SEND_BUFFER)
}
