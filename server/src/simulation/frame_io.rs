//! Reads and writes the frames that thin players and spectators have in common. It does not decide
//! what a client may send.

use bytes::Bytes;
use gameserver_shared::stream::frame::{put_bye, put_pong};
use gameserver_transport::close::CloseCode;
use gameserver_transport::connection::Connection;

/// The next frame of a client, reliable ones first.
pub(crate) fn next_frame(connection: &Connection) -> Option<Bytes> {
    let reliable = connection.try_recv_reliable();
    reliable.or_else(|| connection.try_recv())
}

/// Answers a ping: it is so many microseconds since this tick began.
pub(crate) fn send_pong(connection: &Connection, stamp: u64, tick: u32, tick_us: u32) {
    let mut pong = Vec::with_capacity(24);
    put_pong(&mut pong, stamp, tick, tick_us);
    // A connection that is closed needs no answer.
    let _ = connection.send(pong.into());
}

/// Ends a connection after a last frame that gives the reason.
pub(crate) fn send_bye(connection: &Connection, code: CloseCode, text: &str) {
    let mut bye = Vec::new();
    put_bye(&mut bye, code.number().into(), text);
    // It fails when the connection has ended already.
    let _ = connection.send_reliable(bye.into());
    connection.finish(code, text);
}
