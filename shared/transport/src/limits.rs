//! Every number of the transport, with its unit and where it comes from.

use std::time::Duration;

/// ALPN protocol of native QUIC.
pub const ALPN: &[u8] = b"gs/1";
/// ALPN protocol of WebTransport: HTTP/3.
pub const ALPN_WEB: &[u8] = b"h3";
/// WebSocket sub-protocol, echoed to clients that ask for it.
pub const WEBSOCKET_SUBPROTOCOL: &str = "gs.v1.msgpack";
/// The same with JSON in text messages.
pub const WEBSOCKET_SUBPROTOCOL_JSON: &str = "gs.v1.json";

// --- Before the Welcome

/// A TLS or HTTP handshake has to be over in 5 s: five round trips of the worst link we serve.
pub const HANDSHAKE_DEADLINE: Duration = Duration::from_secs(5);
/// The whole Hello has to be there 5 s after the handshake.
pub const HELLO_DEADLINE: Duration = Duration::from_secs(5);
/// An answer has to be delivered in 5 s.
pub const ANSWER_DEADLINE: Duration = Duration::from_secs(5);
/// Largest Hello and largest answer in bytes: the longest credential and 512 bytes for the rest.
pub const FRAME_BYTES_MAX: usize = 1024;
/// Longest ticket in bytes; the ticket's own limit.
pub const TICKET_LENGTH_MAX: usize = gameserver_contract::ticket::TEXT_LENGTH_MAX;
/// Longest resume token in bytes: it may be a ticket's equal.
pub const RESUME_TOKEN_LENGTH_MAX: usize = TICKET_LENGTH_MAX;
/// Longest name of a build in bytes.
pub const BUILD_LENGTH_MAX: usize = 64;
/// Longest text of a refusal in bytes: one sentence.
pub const REFUSAL_TEXT_LENGTH_MAX: usize = 256;
/// Longest text of a close in bytes: what a WebSocket close frame holds.
pub const CLOSE_TEXT_LENGTH_MAX: usize = 123;
/// Handshakes and unanswered Hellos at once. At 16 KiB each they hold 16 MiB at most; one more
/// is refused and counted.
pub const PENDING_MAX: usize = 1024;
/// The same of one address. 16 such addresses are needed to keep everybody else out.
pub const PENDING_PER_ADDRESS_MAX: usize = 64;
/// Connections of one address, pending ones included, unless an instance is configured otherwise: a
/// school or a tournament behind one address has room, and nobody alone takes a large share of an
/// instance's 2,000 seats. An address is an IPv4 address or an IPv6 network of 64 bits.
pub const CONNECTIONS_PER_ADDRESS_MAX: usize = 256;
/// QUIC handshakes at once whose address is not proven. Further ones have to come back with a
/// Retry token first, so that a sender with a false address gets nothing.
pub const UNVALIDATED_MAX: usize = 64;
/// QUIC handshakes in a second whose address is not proven, before Retry is demanded.
pub const UNVALIDATED_PER_SECOND_MAX: u32 = 200;
/// How many times the bytes that came from an address are sent there before it is proven: RFC
/// 9000, section 8.1.
pub const AMPLIFICATION_MAX: usize = 3;
/// Room that is left for what a server sends under a connection's own keys before that: about 140
/// bytes, which cannot be counted.
pub const UNCOUNTED_BYTES: usize = 256;
/// Addresses for which that is counted. For those beyond, QUIC counts alone, which is a packet
/// less exact.
pub const UNPROVEN_COUNTED_MAX: usize = 1024;
/// Hellos that wait for the gateway. When full, the next one is refused as `busy`.
pub const ARRIVALS_QUEUED_MAX: usize = 256;
/// Time after which somebody may come back for whom there was no room: the instance's next
/// heartbeat has reported to the lobby by then.
pub const RETRY_AFTER: Duration = Duration::from_secs(1);
/// Pause of the accept loop after the operating system had no descriptor left. Well below the
/// second in which a listener has to come back by itself.
pub const ACCEPT_BACKOFF: Duration = Duration::from_millis(100);
/// Attempts to find a port that is free for UDP and for TCP.
pub const PORT_ATTEMPTS_MAX: usize = 32;

// --- Life of a connection

/// A connection that receives nothing for 10 s is over.
pub const IDLE_TIMEOUT: Duration = Duration::from_secs(10);
/// An idle end sends a ping every 3 s: three chances before the idle timeout.
pub const KEEP_ALIVE: Duration = Duration::from_secs(3);
/// A peer whose outgoing queue has been overflowing this long without once becoming empty is
/// closed. Longer than the 3 s of a lost network that a player has to survive.
pub const SLOW_CONSUMER_AFTER: Duration = Duration::from_secs(5);
/// Time that a close may take to reach the peer before the socket is dropped.
pub const CLOSE_DEADLINE: Duration = Duration::from_secs(2);

/// A peer that is sent something has to take [`WRITE_BYTES_MIN`] in this time, or all there is:
/// three times the 3 s of a lost network that a player has to survive.
pub const WRITE_DEADLINE: Duration = Duration::from_secs(10);
/// What a peer has to take in each [`WRITE_DEADLINE`]: a fifteenth of what a player is sent.
pub const WRITE_BYTES_MIN: usize = 16 * 1024;
/// Bytes that wait to be sent on all connections of a listener: a quarter of what an instance may
/// have besides its players. Beyond it those with more than [`UNSENT_SHARE`] are closed.
pub const UNSENT_BYTES_MAX: usize = 64 * 1024 * 1024;
/// Bytes that may wait on a connection whatever the others do: more than a second of what a
/// player is sent.
pub const UNSENT_SHARE: usize = 32 * 1024;

/// Messages of a client in a second, on average: four times a packet for each of 240 ticks. Pings
/// and what is dropped count.
pub const INCOMING_PER_S_MAX: u32 = 1_000;
/// Messages of a client at once: more than a lost network of 3 s brings when it is back.
pub const INCOMING_BURST_MAX: u32 = 4_000;
/// Bytes for which a message counts once more.
pub const INCOMING_UNIT_BYTES: usize = 1024;

// --- Datagrams

/// Largest payload in bytes. QUIC allows less on most paths (about 1160), so ask the connection.
pub const DATAGRAM_SIZE_MAX: usize = 1200;
/// Payload that every path and both carriers allow, in bytes: QUIC's smallest packet of 1200 less
/// its headers, rounded down.
pub const DATAGRAM_SIZE_GUARANTEED: usize = 1100;
/// Outgoing datagrams of one connection.
pub const OUTGOING_DATAGRAMS_MAX: usize = 1024;
/// Outgoing bytes of one connection: 96 KiB, with QUIC's own 32 KiB the 128 KiB that one client
/// may cost. It is most of two seconds at the hard cap of 64 KiB/s; older state is worthless.
pub const OUTGOING_BYTES_MAX: usize = 96 * 1024;
/// Age up to which a snapshot that waits is kept when the next one is there: who is busy for two
/// ticks then loses none, and nobody is shown what is much older than the snapshots of the slowest
/// game. The newest replaces older ones. So it is the interval of the snapshots that decides how
/// many wait: three at 60 a second, two at 30, one at 20 and below. It is 5 ms less than three
/// ticks of 60 Hz, so that a tick which comes a little early does not change that.
pub const LATEST_AGE_MAX: Duration = Duration::from_millis(45);
/// The same on QUIC and WebTransport: two at 60 a second, one at 30 and below. Less than for
/// WebSocket, because QUIC's own buffer holds some more, and pays for each one with a packet: with
/// three, what was sent came later.
pub const LATEST_AGE_MAX_QUIC: Duration = Duration::from_millis(25);
/// Snapshots that wait whatever their age: one more than three, for ticks that are made up for.
pub const LATEST_WAITING_MAX: usize = 4;
/// Incoming datagrams of one connection: four seconds of inputs at 60 Hz.
pub const INCOMING_DATAGRAMS_MAX: usize = 256;
/// Incoming bytes of one connection.
pub const INCOMING_BYTES_MAX: usize = 64 * 1024;

// --- Reliable frames (thin mode)

/// Largest reliable frame in bytes: the most that the length before it can hold.
pub const RELIABLE_FRAME_BYTES_MAX: usize = 65_535;
/// Largest reliable frame from a client, in bytes: twenty times the longest chat.
pub const CLIENT_FRAME_BYTES_MAX: usize = 4 * 1024;
/// Outgoing reliable frames of one connection. One more closes it as a slow consumer, because
/// none may be left out.
pub const RELIABLE_FRAMES_MAX: usize = 512;
/// Outgoing reliable bytes of one connection: four of the largest frames, or four seconds at the
/// hard cap of 64 KiB/s.
pub const RELIABLE_BYTES_MAX: usize = 256 * 1024;
/// Reliable frames handed to a stream at once.
pub const RELIABLE_BATCH_FRAMES: usize = 32;

// --- QUIC (quinn's defaults allow about 250 MB for each connection)

/// Streams of each kind that a peer may have open: one for the Hello, and room for HTTP/3.
pub const QUIC_STREAMS_MAX: u32 = 4;
/// UDP packets of a client in a second, whatever is in them: four times its messages.
pub const QUIC_PACKETS_PER_S_MAX: u64 = 4_000;
/// Unread bytes of one stream.
pub const QUIC_STREAM_WINDOW: u32 = 64 * 1024;
/// Unread bytes of all streams of one connection.
pub const QUIC_CONNECTION_WINDOW: u32 = 256 * 1024;
/// Unacknowledged stream bytes that we send: 320 KB/s at a round trip of 100 ms. What waits behind
/// them can still be counted and left out by who sends.
pub const QUIC_SEND_WINDOW: u64 = 32 * 1024;
/// Datagram bytes that quinn holds until they are taken, each time its driver has run.
pub const QUIC_DATAGRAM_RECEIVE_BUFFER: usize = 64 * 1024;
/// Datagram bytes that quinn holds until the path takes them. Small, so that a congested path
/// drops the oldest state in our queue instead of sending stale state.
pub const QUIC_DATAGRAM_SEND_BUFFER: usize = 16 * 1024;
/// Out-of-order handshake bytes that quinn holds for one connection.
pub const QUIC_CRYPTO_BUFFER: usize = 16 * 1024;
/// First packets that wait for the accept loop.
pub const QUIC_INCOMING_MAX: usize = 1024;
/// Early bytes that quinn holds for one of them.
pub const QUIC_INCOMING_BUFFER: u64 = 16 * 1024;
/// Early bytes that quinn holds for all of them.
pub const QUIC_INCOMING_BUFFER_TOTAL: u64 = 8 * 1024 * 1024;
/// Socket buffer asked from the operating system, each way: 4 MiB take a tick's packets of 1,000
/// players while every core is busy. The system may grant less.
pub const UDP_SOCKET_BUFFER: usize = 4 * 1024 * 1024;

/// Packets after which the peer is asked to acknowledge at the latest.
pub const ACK_AFTER_PACKETS: u32 = 16;
/// Time after which either side acknowledges at the latest, as it declares and is asked: longer
/// than two snapshots are apart at 20 a second, so that they carry the acknowledgements.
pub const ACK_DELAY_MAX: Duration = Duration::from_millis(60);
/// Bytes that may be in flight however many were lost: a second of what a client is sent.
pub const CONGESTION_WINDOW_MIN: u64 = 32 * 1024;

// --- WebSocket

/// Largest message in bytes that a server takes.
pub const WEBSOCKET_MESSAGE_MAX: usize = 16 * 1024;
/// Largest write buffer in bytes: as JSON the largest reliable frame grows sixfold at most.
pub const WEBSOCKET_WRITE_BUFFER_MAX: usize = 512 * 1024;
/// How many times the largest message is read before one has to be complete: frames without a byte
/// in them make a message that never ends.
pub const WEBSOCKET_UNFINISHED_MAX: usize = 4;
/// Bytes collected before a write.
pub const WEBSOCKET_BUFFER: usize = 8 * 1024;
/// Bytes read at once: tungstenite clears so many before each read, and most messages have less.
pub const WEBSOCKET_READ: usize = 1024;
/// Send buffer asked from the operating system. Small, so that a slow reader finds fresh state
/// after at most this much of the old.
pub const TCP_SEND_BUFFER: usize = 64 * 1024;
/// TCP connections that wait for the accept loop.
pub const TCP_BACKLOG: i32 = 1024;

// --- Client

/// Head start of a better transport before the next one is tried as well.
pub const STAGGER: Duration = Duration::from_millis(250);
/// A client gives up after 10 s: the handshake's deadline and the Hello's.
pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
