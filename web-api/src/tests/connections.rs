//! Connections whose clients do not read, do not ask, or are too many: real sockets, and a real
//! HTTP/2 client.

use std::net::SocketAddr;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::http::Request;
use axum::response::sse::{Event, Sse};
use axum::routing::get;
use futures_util::{StreamExt as _, stream};
use h2::client::{Connection, SendRequest};
use metrics_exporter_prometheus::PrometheusHandle;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::task::JoinHandle;
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::config::Limits;
use crate::server::serve_http;
use crate::tests::running::METRICS;

/// Longest wait for what has to happen.
const PATIENCE: Duration = Duration::from_secs(20);
/// Length of the answer at `/large`.
const LARGE: usize = 300 * 1024;
/// Length of the answer at `/huge`: more than the buffers of two sockets.
const HUGE: usize = 32 * 1024 * 1024;
const SHORT: Duration = Duration::from_millis(400);

struct Server {
    address: SocketAddr,
    _stop: DropGuard,
}

async fn serve(limits: Limits) -> Server {
    let whole = |length: usize| move || async move { Bytes::from(vec![b'x'; length]) };
    let endless = || async {
        let first = stream::iter([Ok::<_, axum::Error>(Event::default().data("first"))]);
        Sse::new(first.chain(stream::pending()))
    };
    let in_chunks = || async {
        let chunk = || Ok::<_, axum::Error>(Bytes::from(vec![b'x'; LARGE]));
        Body::from_stream(stream::repeat_with(chunk).take(HUGE / LARGE))
    };
    let router = Router::new()
        .route("/small", get(|| async { "small" }))
        .route("/large", get(whole(LARGE)))
        .route("/huge", get(whole(HUGE)))
        .route("/chunks", get(in_chunks))
        .route("/events", get(endless));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let stop = CancellationToken::new();
    tokio::spawn(serve_http(listener, router, limits, stop.clone()));
    Server {
        address,
        _stop: stop.drop_guard(),
    }
}

/// A client whose windows stay at `window` bytes. It answers pings like any other.
async fn http2(
    address: SocketAddr,
    window: u32,
) -> (SendRequest<Bytes>, JoinHandle<Result<(), h2::Error>>) {
    let stream = TcpStream::connect(address).await.unwrap();
    let mut builder = h2::client::Builder::new();
    let (client, connection): (_, Connection<TcpStream, Bytes>) = builder
        .initial_window_size(window)
        .handshake(stream)
        .await
        .unwrap();
    (client.ready().await.unwrap(), tokio::spawn(connection))
}

fn request(path: &str) -> Request<()> {
    let address = format!("http://test{path}");
    Request::get(address).body(()).unwrap()
}

fn closed(metrics: &PrometheusHandle, reason: &str) -> u64 {
    let name = format!("gs_http_connections_closed_total{{reason=\"{reason}\"}} ");
    let text = metrics.render();
    let line = text.lines().find_map(|line| line.strip_prefix(&name));
    line.map_or(0, |count| count.parse().unwrap())
}

async fn soon<T>(what: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, what)
        .await
        .expect("it did not happen")
}

async fn get_http1(stream: &mut TcpStream, path: &str) {
    let request = format!("GET {path} HTTP/1.1\r\nhost: test\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
}

async fn read_until(stream: &mut TcpStream, end: &str) {
    let mut text = Vec::new();
    while !text.ends_with(end.as_bytes()) {
        text.push(soon(stream.read_u8()).await.unwrap());
    }
}

/// Reads until the other end closes; a reset says the same as an end.
async fn read_to_end(stream: &mut TcpStream) {
    let mut rest = Vec::new();
    let _ = soon(stream.read_to_end(&mut rest)).await;
}

#[tokio::test]
async fn a_client_whose_http_2_window_stays_shut_is_closed_although_it_answers_pings() {
    let before = closed(&METRICS, "write_timeout");
    for path in ["/large", "/small", "/chunks", "/events"] {
        let server = serve(Limits {
            write_timeout: SHORT,
            ..Limits::default()
        })
        .await;
        let (mut client, connection) = http2(server.address, 0).await;
        let (response, _) = client.send_request(request(path), true).unwrap();
        // The header comes, because windows are for bodies.
        let response = soon(response).await.unwrap();
        assert_eq!(response.status(), 200, "{path}");
        assert!(soon(connection).await.unwrap().is_err(), "{path}");
    }
    assert!(closed(&METRICS, "write_timeout") >= before + 4);
}

#[tokio::test]
async fn a_window_of_one_byte_is_not_enough() {
    let server = serve(Limits {
        write_timeout: SHORT,
        ..Limits::default()
    })
    .await;
    let (mut client, connection) = http2(server.address, 1).await;
    let (response, _) = client.send_request(request("/small"), true).unwrap();
    let _response = soon(response).await.unwrap();
    assert!(soon(connection).await.unwrap().is_err());
}

/// What its own kernel holds already it still reads after that, which takes two seconds.
#[tokio::test]
async fn an_http_1_client_that_reads_16_bytes_now_and_then_is_closed() {
    for path in ["/huge", "/chunks"] {
        let server = serve(Limits {
            write_timeout: SHORT,
            ..Limits::default()
        })
        .await;
        let socket = TcpSocket::new_v4().unwrap();
        socket.set_recv_buffer_size(8 * 1024).unwrap();
        let mut stream = socket.connect(server.address).await.unwrap();
        get_http1(&mut stream, path).await;
        soon(read_slowly(stream)).await;
    }
}

#[tokio::test]
async fn clients_that_do_not_read_are_closed_before_they_use_up_the_memory() {
    let before = closed(&METRICS, "unsent_bytes");
    let server = serve(Limits {
        unsent_bytes_max: 4 * LARGE,
        ..Limits::default()
    })
    .await;
    let mut silent = Vec::new();
    for _ in 0..8 {
        let (mut client, connection) = http2(server.address, 0).await;
        let (response, _) = client.send_request(request("/large"), true).unwrap();
        let response = soon(response).await;
        silent.push((client, response, connection));
    }
    soon(async {
        while closed(&METRICS, "unsent_bytes") < before + 4 {
            tokio::task::yield_now().await;
        }
    })
    .await;
    // Whoever reads is served beside them.
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    get_http1(&mut stream, "/large").await;
    read_until(&mut stream, "\r\n\r\n").await;
    let mut body = vec![0; LARGE];
    soon(stream.read_exact(&mut body)).await.unwrap();
    assert!(
        silent
            .iter()
            .any(|(_, _, connection)| connection.is_finished())
    );
}

#[tokio::test]
async fn what_a_client_has_not_taken_keeps_its_next_request_waiting() {
    let server = serve(Limits {
        unsent_bytes_per_connection_max: LARGE,
        ..Limits::default()
    })
    .await;
    let (mut client, _connection) = http2(server.address, 0).await;
    let (first, _) = client.send_request(request("/large"), true).unwrap();
    let first = soon(first).await.unwrap();
    let (second, _) = client.send_request(request("/small"), true).unwrap();
    let mut second = std::pin::pin!(second);
    assert!(
        tokio::time::timeout(SHORT, second.as_mut()).await.is_err(),
        "answered although the client owes so much reading"
    );
    // Giving the first answer up makes room as well as reading it.
    drop(first);
    assert_eq!(soon(second).await.unwrap().status(), 200);
}

#[tokio::test]
async fn a_connection_gets_as_many_streams_as_are_allowed() {
    let server = serve(Limits::default()).await;
    let (mut client, _connection) = http2(server.address, 65_535).await;
    let (response, _) = client.send_request(request("/small"), true).unwrap();
    soon(response).await.unwrap();
    assert_eq!(client.current_max_send_streams(), 16);
}

#[tokio::test]
async fn clients_that_read_keep_their_connections() {
    let server = serve(Limits {
        write_timeout: SHORT,
        ..Limits::default()
    })
    .await;
    let mut events = TcpStream::connect(server.address).await.unwrap();
    get_http1(&mut events, "/events").await;
    read_until(&mut events, "first\n\n\r\n").await;
    let mut http1 = TcpStream::connect(server.address).await.unwrap();
    get_http1(&mut http1, "/small").await;
    read_until(&mut http1, "small").await;
    let (mut client, connection) = http2(server.address, 65_535).await;
    let (response, _) = client.send_request(request("/large"), true).unwrap();
    let mut body = soon(response).await.unwrap().into_body();
    let mut length = 0;
    while let Some(piece) = soon(body.data()).await {
        let piece = piece.unwrap();
        length += piece.len();
        body.flow_control().release_capacity(piece.len()).unwrap();
    }
    assert_eq!(length, LARGE);
    let mut byte = [0];
    assert!(
        tokio::time::timeout(4 * SHORT, events.read(&mut byte))
            .await
            .is_err(),
        "the stream of events ended"
    );
    get_http1(&mut http1, "/small").await;
    read_until(&mut http1, "small").await;
    let (response, _) = client.send_request(request("/small"), true).unwrap();
    soon(response).await.unwrap();
    assert!(!connection.is_finished());
}

#[tokio::test]
async fn a_connection_without_requests_is_kept_for_the_idle_time_and_then_closed() {
    let server = serve(Limits {
        header_read_timeout: SHORT / 4,
        idle_timeout: SHORT,
        ..Limits::default()
    })
    .await;
    let mut http1 = TcpStream::connect(server.address).await.unwrap();
    get_http1(&mut http1, "/small").await;
    read_until(&mut http1, "small").await;
    let mut byte = [0];
    assert!(
        tokio::time::timeout(SHORT / 2, http1.read(&mut byte))
            .await
            .is_err(),
        "closed before its time"
    );
    read_to_end(&mut http1).await;
    let (mut client, connection) = http2(server.address, 65_535).await;
    let (response, _) = client.send_request(request("/small"), true).unwrap();
    soon(response).await.unwrap();
    // An orderly end: the server says goodbye first.
    soon(connection).await.unwrap().unwrap();
}

#[tokio::test]
async fn the_header_of_a_second_request_has_a_deadline_too() {
    let server = serve(Limits {
        header_read_timeout: SHORT,
        ..Limits::default()
    })
    .await;
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    get_http1(&mut stream, "/small").await;
    read_until(&mut stream, "small").await;
    stream
        .write_all(b"GET /small HTTP/1.1\r\nho")
        .await
        .unwrap();
    read_to_end(&mut stream).await;
}

#[tokio::test]
async fn one_address_gets_so_many_connections_and_no_more() {
    let before = closed(&METRICS, "address");
    let server = serve(Limits {
        connections_per_address_max: Some(2),
        ..Limits::default()
    })
    .await;
    let mut open = Vec::new();
    for _ in 0..2 {
        let mut stream = TcpStream::connect(server.address).await.unwrap();
        get_http1(&mut stream, "/small").await;
        read_until(&mut stream, "small").await;
        open.push(stream);
    }
    let mut third = TcpStream::connect(server.address).await.unwrap();
    read_to_end(&mut third).await;
    assert!(closed(&METRICS, "address") > before);
    drop(open);
    soon(until_one_is_answered(server.address)).await;
}

/// Connects again and again until there is room for one more.
async fn until_one_is_answered(address: SocketAddr) {
    loop {
        let mut stream = TcpStream::connect(address).await.unwrap();
        let _ = stream
            .write_all(b"GET /small HTTP/1.1\r\nhost: test\r\n\r\n")
            .await;
        if stream.read_u8().await.is_ok() {
            return;
        }
    }
}

/// Reads 16 bytes at a time until the server has enough of it.
async fn read_slowly(mut stream: TcpStream) {
    let mut pace = tokio::time::interval(Duration::from_millis(2));
    let mut some = [0; 16];
    while stream.read_exact(&mut some).await.is_ok() {
        pace.tick().await;
    }
}
