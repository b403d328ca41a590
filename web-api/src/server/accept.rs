//! The HTTP accept loop. `axum::serve` sets no timer, so that a client may take for ever to send
//! its header; here every connection has deadlines and a maximum of streams, and no error of one
//! connection (or of `accept`) ends the loop.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use hyper_util::server::graceful::{GracefulShutdown, Watcher};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;
use tower::ServiceExt as _;

use crate::config::Limits;
use crate::http::context::PeerAddress;

/// Silence after which a connection is asked whether it lives.
pub(super) const KEEP_ALIVE_INTERVAL: Duration = Duration::from_secs(20);
/// Time for the answer to that.
pub(super) const KEEP_ALIVE_TIMEOUT: Duration = Duration::from_secs(10);
/// Pause after `accept` failed, mostly because files ran out: trying at once would only spin.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// Largest header of an HTTP/2 request, and the buffer for an HTTP/1 one.
const HEADER_BYTES_MAX: u32 = 16 * 1024;
/// Headers of one HTTP/1 request.
const HEADERS_MAX: usize = 64;

/// Serves until the token is cancelled; then lets open requests finish within the grace.
pub async fn serve(listener: TcpListener, router: Router, limits: Limits, stop: CancellationToken) {
    let connections = Arc::new(Semaphore::new(limits.connections_max));
    let builder = Arc::new(builder(&limits));
    let graceful = GracefulShutdown::new();
    loop {
        let accepted = tokio::select! {
            () = stop.cancelled() => break,
            accepted = accept(&listener, &connections) => accepted,
        };
        let Some((stream, peer, permit)) = accepted else {
            continue;
        };
        let connection = Connection {
            builder: Arc::clone(&builder),
            router: router.clone(),
            watcher: graceful.watcher(),
            first_request_timeout: limits.header_read_timeout,
        };
        tokio::spawn(async move {
            connection.serve(stream, peer).await;
            drop(permit);
        });
    }
    drop(listener);
    if tokio::time::timeout(limits.shutdown_grace, graceful.shutdown())
        .await
        .is_err()
    {
        tracing::warn!("some HTTP connections were cut off at shutdown");
    }
}

/// Takes the next connection once there is room for one more.
async fn accept(
    listener: &TcpListener,
    connections: &Arc<Semaphore>,
) -> Option<(TcpStream, SocketAddr, OwnedSemaphorePermit)> {
    let permit = Arc::clone(connections).acquire_owned().await.ok()?;
    match listener.accept().await {
        Ok((stream, peer)) => Some((stream, peer, permit)),
        Err(error) => {
            tracing::warn!(error = &error as &dyn std::error::Error, "failed to accept");
            tokio::time::sleep(ACCEPT_PAUSE).await;
            None
        }
    }
}

fn builder(limits: &Limits) -> Builder<TokioExecutor> {
    let mut builder = Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.header_read_timeout)
        .max_headers(HEADERS_MAX)
        .max_buf_size(HEADER_BYTES_MAX as usize);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(limits.http2_streams_max)
        .max_header_list_size(HEADER_BYTES_MAX)
        .keep_alive_interval(KEEP_ALIVE_INTERVAL)
        .keep_alive_timeout(KEEP_ALIVE_TIMEOUT);
    builder
}

/// What one connection is served with.
struct Connection {
    builder: Arc<Builder<TokioExecutor>>,
    router: Router,
    watcher: Watcher,
    first_request_timeout: Duration,
}

impl Connection {
    async fn serve(self, stream: TcpStream, peer: SocketAddr) {
        // Small answers should not wait for the client's acknowledgement.
        let _ = stream.set_nodelay(true);
        let first_request = Arc::new(Notify::new());
        let seen = Arc::clone(&first_request);
        let router = self.router;
        let service = service_fn(move |request: hyper::Request<Incoming>| {
            seen.notify_one();
            answer(router.clone(), request, peer)
        });
        let connection = self
            .builder
            .serve_connection(TokioIo::new(stream), service)
            .into_owned();
        let mut served = pin!(self.watcher.watch(connection));
        // Which version of HTTP is spoken is read before any timer of hyper runs: a client that
        // sends nothing, or half of the HTTP/2 preface, is cut off here.
        tokio::select! {
            result = &mut served => return log_end(result),
            () = first_request.notified() => {}
            () = tokio::time::sleep(self.first_request_timeout) => {
                tracing::debug!("a connection brought no request in time");
                return;
            }
        }
        log_end(served.await);
    }
}

async fn answer(
    router: Router,
    request: hyper::Request<Incoming>,
    peer: SocketAddr,
) -> Result<axum::response::Response, Infallible> {
    let mut request: Request = request.map(Body::new);
    request.extensions_mut().insert(PeerAddress(peer));
    router.oneshot(request).await
}

/// Clients hang up all the time; that is worth a line only for whoever looks for it.
fn log_end(result: Result<(), Box<dyn std::error::Error + Send + Sync>>) {
    if let Err(error) = result {
        tracing::debug!(
            error = &*error as &dyn std::error::Error,
            "a connection ended early"
        );
    }
}
