//! Hands an answer's body out in pieces, and follows each until it is written.
//!
//! Whole bodies would be handed out at once, even to a client that lets one byte through.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use axum::body::{Body, Bytes, HttpBody};
use hyper::body::{Frame, SizeHint};

use crate::server::meter::{Charge, Delivery};

/// Largest piece: a frame of HTTP/2, and the progress that a client has to make within the write
/// timeout.
const PIECE_BYTES_MAX: usize = 16 * 1024;

/// A body that is measured.
#[derive(Debug)]
pub(super) struct MeasuredBody {
    body: Body,
    delivery: Arc<Delivery>,
    /// For a body that is in memory as a whole.
    whole: Option<Arc<Charge>>,
    /// What is left of the body's last chunk.
    rest: Bytes,
    rest_charge: Option<Arc<Charge>>,
}

impl MeasuredBody {
    pub(super) fn new(body: Body, delivery: Arc<Delivery>) -> Self {
        let length = HttpBody::size_hint(&body).exact().unwrap_or(0);
        let length = usize::try_from(length).unwrap_or(usize::MAX);
        let whole = (length > 0).then(|| Arc::new(delivery.meter().charge(length)));
        if !body.is_end_stream() {
            delivery.awaits_client();
        }
        Self {
            body,
            delivery,
            whole,
            rest: Bytes::new(),
            rest_charge: None,
        }
    }

    fn take_piece(&mut self) -> Bytes {
        let length = self.rest.len().min(PIECE_BYTES_MAX);
        let bytes = self.rest.split_to(length);
        self.delivery.take_piece();
        let piece = Piece {
            bytes,
            delivery: Arc::clone(&self.delivery),
            _charge: self.rest_charge.clone(),
        };
        if self.rest.is_empty() {
            self.rest_charge = None;
        }
        Bytes::from_owner(piece)
    }

    fn keep(&mut self, chunk: Bytes) {
        let charge = || Arc::new(self.delivery.meter().charge(chunk.len()));
        self.rest_charge = Some(self.whole.clone().unwrap_or_else(charge));
        self.rest = chunk;
    }
}

impl HttpBody for MeasuredBody {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        while self.rest.is_empty() {
            let frame = match Pin::new(&mut self.body).poll_frame(context) {
                Poll::Ready(Some(Ok(frame))) => frame,
                Poll::Pending => {
                    self.delivery.awaits_source();
                    return Poll::Pending;
                }
                end @ Poll::Ready(None | Some(Err(_))) => {
                    self.delivery.awaits_source();
                    return end;
                }
            };
            match frame.into_data() {
                Ok(chunk) => self.keep(chunk),
                Err(trailers) => return Poll::Ready(Some(Ok(trailers))),
            }
        }
        let piece = self.take_piece();
        if self.is_end_stream() {
            self.delivery.awaits_source();
        } else {
            self.delivery.awaits_client();
        }
        Poll::Ready(Some(Ok(Frame::data(piece))))
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty() && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let mut hint = HttpBody::size_hint(&self.body);
        let rest = self.rest.len() as u64;
        let (lower, upper) = (hint.lower(), hint.upper());
        if let Some(upper) = upper {
            hint.set_upper(upper.saturating_add(rest));
        }
        hint.set_lower(lower.saturating_add(rest));
        hint
    }
}

/// Some bytes on their way to the socket.
struct Piece {
    bytes: Bytes,
    delivery: Arc<Delivery>,
    _charge: Option<Arc<Charge>>,
}

impl AsRef<[u8]> for Piece {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl Drop for Piece {
    fn drop(&mut self) {
        self.delivery.finish_piece();
    }
}
