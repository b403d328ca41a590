//! Lets clients in: takes arrivals from the listener, checks what they show, gives them their
//! seat and hands their connection to the match.
//!
//! It knows nothing of the simulation; nothing of a client reaches a match before it is welcomed.

mod admission;
mod door;
mod resume_token;
mod tickets;

use std::sync::Arc;
use std::time::Duration;

use gameserver_contract::session::Role;
use gameserver_transport::close::CloseCode;
use gameserver_transport::connection::Connection;
use gameserver_transport::listener::{Listener, PendingConnection};
use tokio_util::sync::CancellationToken;

pub use admission::Admission;
use admission::{Admitted, Place};
use door::DoorCounts;

use crate::host::MatchHost;
use crate::simulation::Entrant;
use crate::telemetry;

/// How often the listener's counters are shown in the metrics.
const PUBLISH_INTERVAL: Duration = Duration::from_secs(1);

/// Takes arrivals until it is told to stop, then closes the door.
pub async fn run(
    mut listener: Listener,
    admission: Arc<Admission>,
    host: Arc<MatchHost>,
    stop: CancellationToken,
) {
    let mut counts = DoorCounts::new(listener.events());
    let mut publish = tokio::time::interval(PUBLISH_INTERVAL);
    loop {
        let arrival = tokio::select! {
            () = stop.cancelled() => break,
            _ = publish.tick() => {
                counts.publish();
                continue;
            }
            arrival = listener.accept() => arrival,
        };
        let Some(arrival) = arrival else { break };
        // Answering a refusal waits for the peer, so each arrival has a task; the listener
        // bounds how many there are.
        tokio::spawn(answer(arrival, admission.clone(), host.clone()));
    }
    listener.close().await;
}

async fn answer(arrival: PendingConnection, admission: Arc<Admission>, host: Arc<MatchHost>) {
    let kind = arrival.kind();
    match admission.decide(arrival.hello()) {
        Ok(admitted) => match arrival.welcome(admitted.welcome.clone()) {
            Ok(connection) => {
                let role = admitted.role;
                enter(&host, admitted, &connection);
                watch(connection, role).await;
            }
            Err(error) => {
                tracing::error!(error = &error as &dyn std::error::Error, "welcome not sent");
            }
        },
        Err(code) => {
            telemetry::arrival_refused(code.as_str());
            tracing::debug!(
                code = code.as_str(),
                transport = kind.as_str(),
                "arrival refused"
            );
            arrival.refuse(admission::refused(code)).await;
        }
    }
}

fn enter(host: &MatchHost, admitted: Admitted, connection: &Connection) {
    let id = admitted.match_id;
    let seat = match admitted.place {
        Place::Seat(seat) => seat,
        Place::Audience(watch) => {
            if !host.watch(id, connection.clone(), watch) {
                connection.close(CloseCode::MatchOver, "nobody else can watch this match now");
            }
            return;
        }
    };
    let entrant = Entrant {
        player: admitted.player,
        display_name: admitted.display_name,
        seat,
        connection: connection.clone(),
    };
    match host.enter(id, entrant) {
        Ok(true) => {}
        Ok(false) => connection.close(CloseCode::MatchOver, "the match is over"),
        Err(error) => {
            tracing::warn!(
                match.id = %id, error = &error as &dyn std::error::Error,
                "welcomed client not handed to its match"
            );
            connection.close(CloseCode::Internal, "the match cannot take you now");
        }
    }
}

/// Counts a connection while it lives, and its bytes.
async fn watch(connection: Connection, role: Role) {
    telemetry::connection_opened(&connection, role);
    let reason = watch_until_closed(&connection).await;
    telemetry::connection_closed(&connection, role, &reason);
    tracing::debug!(%reason, transport = connection.kind().as_str(), "connection ended");
}

async fn watch_until_closed(connection: &Connection) -> gameserver_transport::close::CloseReason {
    let mut interval = tokio::time::interval(Duration::from_secs(1));
    let mut counted = connection.stats();
    loop {
        let closed = tokio::select! {
            reason = connection.wait_closed() => Some(reason),
            _ = interval.tick() => None,
        };
        let now = connection.stats();
        telemetry::bytes_moved(
            now.bytes_in - counted.bytes_in,
            now.bytes_out - counted.bytes_out,
        );
        telemetry::packets_dropped("incoming", now.dropped_in - counted.dropped_in);
        telemetry::packets_dropped("outgoing", now.dropped_out - counted.dropped_out);
        telemetry::packets_dropped("replaced", now.replaced_out - counted.replaced_out);
        counted = now;
        if let Some(reason) = closed {
            return reason;
        }
    }
}
