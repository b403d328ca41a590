//! WebSocket, plain and encrypted. Reading order: `handshake` and `http_rejection`, `byte_stream`,
//! `message_socket`, `encoding` and `json` (what messages are made of), `received`, `close`,
//! `send_queue`, `liveness`, `connection_task`, then `carrier`.

pub(crate) mod byte_stream;
pub(crate) mod carrier;
pub(crate) mod close;
pub(crate) mod connection_task;
pub(crate) mod encoding;
pub(crate) mod handshake;
pub(crate) mod http_rejection;
pub(crate) mod json;
pub(crate) mod liveness;
pub(crate) mod message_socket;
pub(crate) mod received;
pub(crate) mod send_queue;
