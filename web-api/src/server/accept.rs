//! The HTTP accept loop. `axum::serve` sets no timer, so that a client may take for ever to send
//! its header or to read an answer; here every connection has deadlines and maxima, and no error of
//! one connection (or of `accept`) ends the loop.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::http::{Response, Version};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower::ServiceExt as _;

use crate::config::Limits;
use crate::kit::http::context::PeerAddress;
use crate::kit::http::framing::ReceivedHead;
use crate::server::addresses::Addresses;
use crate::server::body::MeasuredBody;
use crate::server::meter::{IsHttp2, Meter, Meters, Verdict};
use crate::server::stream::MeasuredStream;
use crate::telemetry;

/// Silence after which a connection is asked whether it lives.
const KEEP_ALIVE_INTERVAL: Duration = Duration::from_secs(20);
/// Time for the answer to that.
const KEEP_ALIVE_TIMEOUT: Duration = Duration::from_secs(10);
/// Pause after `accept` failed, mostly because files ran out: trying at once would only spin.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// Largest header of an HTTP/2 request, and the buffer for an HTTP/1 one.
const HEADER_BYTES_MAX: u32 = 16 * 1024;
/// Headers of one HTTP/1 request.
const HEADERS_MAX: usize = 64;
/// Bytes of an answer that wait within HTTP/2 for a socket that takes no more.
const HTTP2_SEND_BUFFER: usize = 64 * 1024;

/// Serves until the token is cancelled; then lets open requests finish within the grace.
pub async fn serve(listener: TcpListener, router: Router, limits: Limits, stop: CancellationToken) {
    let places = Arc::new(Semaphore::new(limits.connections_max));
    let addresses = Addresses::new(limits.connections_per_address_max);
    let meters = Meters::new(limits);
    let builder = Arc::new(builder(&limits));
    let running = TaskTracker::new();
    loop {
        let accepted = tokio::select! {
            () = stop.cancelled() => break,
            accepted = accept(&listener, &places) => accepted,
        };
        let Some((stream, peer, place)) = accepted else {
            continue;
        };
        let Some(permit) = addresses.admit(peer.ip()) else {
            telemetry::count_closed_connection("address");
            continue;
        };
        let connection = Connection {
            builder: Arc::clone(&builder),
            router: router.clone(),
            meter: meters.add(),
            stop: stop.clone(),
        };
        running.spawn(async move {
            connection.serve(stream, peer).await;
            drop((place, permit));
        });
    }
    drop(listener);
    running.close();
    if tokio::time::timeout(limits.shutdown_grace, running.wait())
        .await
        .is_err()
    {
        tracing::warn!("some HTTP connections were cut off at shutdown");
    }
}

/// Takes the next connection once there is room for one more.
async fn accept(
    listener: &TcpListener,
    places: &Arc<Semaphore>,
) -> Option<(TcpStream, SocketAddr, OwnedSemaphorePermit)> {
    let place = Arc::clone(places).acquire_owned().await.ok()?;
    match listener.accept().await {
        Ok((stream, peer)) => Some((stream, peer, place)),
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
        // It runs while a connection is idle, too. The meter tells the two apart.
        .header_read_timeout(limits.idle_timeout + limits.header_read_timeout)
        .max_headers(HEADERS_MAX)
        .max_buf_size(HEADER_BYTES_MAX as usize);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(limits.http2_streams_max)
        .max_header_list_size(HEADER_BYTES_MAX)
        .max_send_buf_size(HTTP2_SEND_BUFFER)
        .keep_alive_interval(KEEP_ALIVE_INTERVAL)
        .keep_alive_timeout(KEEP_ALIVE_TIMEOUT);
    builder
}

/// What one connection is served with.
struct Connection {
    builder: Arc<Builder<TokioExecutor>>,
    router: Router,
    meter: Arc<Meter>,
    stop: CancellationToken,
}

impl Connection {
    async fn serve(self, stream: TcpStream, peer: SocketAddr) {
        let io = TokioIo::new(MeasuredStream::new(stream, Arc::clone(&self.meter)));
        let (router, meter) = (self.router, Arc::clone(&self.meter));
        let service = service_fn(move |request: hyper::Request<Incoming>| {
            answer(router.clone(), request, peer, Arc::clone(&meter))
        });
        let mut connection = pin!(self.builder.serve_connection(io, service));
        let mut is_leaving = false;
        loop {
            tokio::select! {
                result = connection.as_mut() => return log_end(result),
                () = self.stop.cancelled(), if !is_leaving => {}
                verdict = self.meter.watch() => match verdict {
                    Verdict::Idle if !is_leaving => {}
                    Verdict::Idle => return,
                    Verdict::Cut(reason) => {
                        telemetry::count_closed_connection(reason.as_str());
                        tracing::debug!(reason = reason.as_str(), "a connection was closed");
                        self.meter.cut();
                        return;
                    }
                },
            }
            is_leaving = true;
            connection.as_mut().graceful_shutdown();
        }
    }
}

async fn answer(
    router: Router,
    request: hyper::Request<Incoming>,
    peer: SocketAddr,
    meter: Arc<Meter>,
) -> Result<Response<MeasuredBody>, Infallible> {
    let head = ReceivedHead {
        has_bare_line_feed: meter.take_bare_line_feed(),
    };
    let delivery = meter.begin(IsHttp2(request.version() == Version::HTTP_2));
    meter.room().await;
    let mut request: Request = request.map(Body::new);
    request.extensions_mut().insert(PeerAddress(peer));
    request.extensions_mut().insert(head);
    let response = router.oneshot(request).await?;
    Ok(response.map(|body| MeasuredBody::new(body, delivery)))
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
