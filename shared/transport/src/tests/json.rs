//! Clients that speak JSON over WebSocket.

use bytes::Bytes;
use futures_util::{SinkExt as _, StreamExt as _};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::http::HeaderValue;
use tokio_tungstenite::tungstenite::http::header::SEC_WEBSOCKET_PROTOCOL;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream};

use super::harness::*;
use crate::close::{CloseCode, RefusalCode};
use crate::connection::Connection;
use crate::events::DropReason;
use crate::frame::{Mode, Refused};
use crate::limits::{WEBSOCKET_SUBPROTOCOL, WEBSOCKET_SUBPROTOCOL_JSON};
use crate::listener::Listener;

type Client = WebSocketStream<MaybeTlsStream<TcpStream>>;

/// A client that asks for these sub-protocols, and the one it got.
async fn dial(listener: &Listener, asked: &'static str) -> (Client, Option<HeaderValue>) {
    let url = format!("ws://{}", listener.local_address());
    let mut request = url.into_client_request().unwrap();
    let asked = HeaderValue::from_static(asked);
    request.headers_mut().insert(SEC_WEBSOCKET_PROTOCOL, asked);
    let connecting = Box::pin(tokio_tungstenite::connect_async(request));
    let (client, response) = within(connecting).await.unwrap();
    (
        client,
        response.headers().get(SEC_WEBSOCKET_PROTOCOL).cloned(),
    )
}

async fn say(client: &mut Client, frame: &Value) {
    client.send(Message::text(frame.to_string())).await.unwrap();
}

async fn hear(client: &mut Client) -> Value {
    loop {
        if let Message::Text(text) = within(client.next()).await.unwrap().unwrap() {
            return serde_json::from_str(&text).unwrap();
        }
    }
}

async fn close_code(client: &mut Client) -> CloseCode {
    loop {
        if let Message::Close(Some(frame)) = within(client.next()).await.unwrap().unwrap() {
            return CloseCode::from_websocket_code(frame.code.into());
        }
    }
}

fn hello_of(mode: u8) -> Value {
    json!([0, 1, mode, 0, "ticket", "test", 0])
}

/// A client that was let in; the server's end of it.
async fn player(listener: &mut Listener) -> (Client, Connection) {
    let (mut client, _) = dial(listener, WEBSOCKET_SUBPROTOCOL_JSON).await;
    say(&mut client, &hello_of(1)).await;
    let server = arrival(listener).await.welcome(welcome()).unwrap();
    let expected = json!([
        1,
        1,
        "00000000000000000000000000000002",
        3,
        0,
        60,
        20,
        "resume",
        1200,
        "arena"
    ]);
    assert_eq!(hear(&mut client).await, expected);
    (client, server)
}

#[tokio::test]
async fn hello_frames_and_last_words_are_json_both_ways() {
    let mut listener = listener();
    let (mut client, server) = player(&mut listener).await;
    assert_eq!(server.mode(), Mode::Thin);
    say(&mut client, &json!([16, 7, [[0, -100, 65535, 1]], 0, 0])).await;
    let input = b"\x95\x10\x07\x91\x94\x00\xd0\x9c\xcd\xff\xff\x01\x00\x00";
    assert_eq!(within(server.receive()).await.unwrap().as_ref(), input);
    let event = Bytes::from_static(b"\x95\x05\x01\xcd\x01\x2c\xa4over\x91\x93\x00\x01\xc0");
    server.send_reliable(event).unwrap();
    let expected = json!([5, 1, 300, "over", [[0, 1, null]]]);
    assert_eq!(hear(&mut client).await, expected);
    server
        .send_latest(Bytes::from_static(b"\x92\x06\x2a"))
        .unwrap();
    assert_eq!(hear(&mut client).await, json!([6, 42]));
    server.finish(CloseCode::MatchOver, "");
    assert_eq!(close_code(&mut client).await, CloseCode::MatchOver);
}

#[tokio::test]
async fn a_refusal_is_json_too() {
    let mut listener = listener();
    let (mut client, _) = dial(&listener, WEBSOCKET_SUBPROTOCOL_JSON).await;
    say(&mut client, &hello_of(1)).await;
    let refused = Refused::new(RefusalCode::MatchFull, "full");
    let refusing = tokio::spawn(arrival(&mut listener).await.refuse(refused));
    assert_eq!(hear(&mut client).await, json!([2, 8, "full"]));
    assert_eq!(close_code(&mut client).await, CloseCode::Refused);
    refusing.await.unwrap();
}

#[tokio::test]
async fn native_mode_has_no_json() {
    let listener = listener();
    let (mut client, _) = dial(&listener, WEBSOCKET_SUBPROTOCOL_JSON).await;
    say(&mut client, &hello_of(0)).await;
    let code = RefusalCode::MalformedHello.number();
    assert_eq!(hear(&mut client).await[1], json!(code));
}

#[tokio::test]
async fn messages_of_the_other_kind_and_no_frames_end_the_connection() {
    let mut listener = listener();
    let nested = "[".repeat(4000) + &"]".repeat(4000);
    let messages = [
        Message::binary(b"\x91\x14".to_vec()),
        Message::text("{}"),
        Message::text("[18, 18446744073709551616]"),
        Message::text(nested),
    ];
    for message in messages {
        let (mut client, server) = player(&mut listener).await;
        client.send(message).await.unwrap();
        assert_eq!(close_code(&mut client).await, CloseCode::ProtocolError);
        let reason = within(server.wait_closed()).await;
        assert_eq!(reason.code, CloseCode::ProtocolError);
    }
}

#[tokio::test]
async fn a_chat_line_with_half_a_character_costs_the_line_and_nothing_else() {
    let mut listener = listener();
    let (mut client, server) = player(&mut listener).await;
    for line in [r#"[19,"\ud83d"]"#, r#"[19,"cut: \ud83d"]"#] {
        client.send(Message::text(line)).await.unwrap();
    }
    say(&mut client, &json!([20])).await;
    // What comes after it arrives, as the first.
    assert_eq!(within(server.receive()).await.unwrap(), &b"\x91\x14"[..]);
    assert_eq!(server.closed(), None);
    assert_eq!(listener.events().drops(DropReason::IncomingBadText), 2);
}

#[tokio::test]
async fn a_frame_that_json_cannot_tell_is_the_servers_fault() {
    let mut listener = listener();
    let (mut client, server) = player(&mut listener).await;
    server.send(Bytes::from_static(b"\x81\x01\x02")).unwrap();
    assert_eq!(close_code(&mut client).await, CloseCode::Internal);
}

#[tokio::test]
async fn the_first_sub_protocol_that_the_server_speaks_is_chosen() {
    let listener = listener();
    for (asked, chosen) in [
        (
            "gs.v9, gs.v1.json, gs.v1.msgpack",
            WEBSOCKET_SUBPROTOCOL_JSON,
        ),
        ("gs.v1.msgpack,gs.v1.json", WEBSOCKET_SUBPROTOCOL),
    ] {
        let (_client, got) = dial(&listener, asked).await;
        assert_eq!(got.unwrap(), chosen);
    }
}
