//! Admits clients: takes arrivals from the listener, checks their credentials and hands their
//! connections to the match.
//!
//! It does not know the simulation; nothing of a client reaches a match before it is welcomed.

mod admission_control;
mod listener_metrics;
mod resume_token;
mod traffic;

use std::sync::Arc;
use std::time::Duration;

use gameserver_contract::session::Role;
use gameserver_transport::close::CloseCode;
use gameserver_transport::connection::Connection;
use gameserver_transport::listener::{Listener, PendingConnection};
use tokio_util::sync::CancellationToken;

pub use admission_control::AdmissionControl;
use listener_metrics::ListenerMetrics;
use traffic::Traffic;

use crate::host::{Admission, Entry, MatchHost};
use crate::simulation::Entrant;
use crate::telemetry;

/// How often the counters of the listener and of connections are shown in the metrics.
const PUBLISH_INTERVAL: Duration = Duration::from_secs(1);

/// Takes arrivals until it is stopped, then closes the listener.
pub async fn run(
    mut listener: Listener,
    control: Arc<AdmissionControl>,
    host: Arc<MatchHost>,
    stop: CancellationToken,
) {
    let mut metrics = ListenerMetrics::new(listener.events());
    let traffic = Arc::new(Traffic::default());
    let mut publish = tokio::time::interval(PUBLISH_INTERVAL);
    loop {
        let arrival = tokio::select! {
            () = stop.cancelled() => break,
            _ = publish.tick() => {
                metrics.publish();
                traffic.publish();
                continue;
            }
            arrival = listener.accept() => arrival,
        };
        let Some(arrival) = arrival else { break };
        // Answering a refusal waits for the peer, so each arrival has a task; the listener
        // bounds how many there are.
        let (control, host, traffic) = (control.clone(), host.clone(), traffic.clone());
        tokio::spawn(async move {
            if let Some((connection, role)) = answer(arrival, &control, &host).await {
                traffic.add(connection.clone());
                count_until_closed(&connection, role).await;
            }
        });
    }
    listener.close().await;
    traffic.publish();
}

/// Answers an arrival, and returns the connection of one that was welcomed.
async fn answer(
    arrival: PendingConnection,
    control: &AdmissionControl,
    host: &MatchHost,
) -> Option<(Connection, Role)> {
    let kind = arrival.kind();
    let admission = match control.admit(arrival.hello()) {
        Ok(admission) => admission,
        Err(code) => {
            telemetry::arrival_refused(code.as_str());
            tracing::debug!(
                code = code.as_str(),
                transport = kind.as_str(),
                "arrival refused"
            );
            arrival.refuse(admission_control::refused(code)).await;
            return None;
        }
    };
    let welcome = admission_control::welcome(&admission);
    let role = welcome.role;
    match arrival.welcome(welcome) {
        Ok(connection) => {
            enter(host, admission, &connection);
            Some((connection, role))
        }
        Err(error) => {
            tracing::error!(error = &error as &dyn std::error::Error, "welcome not sent");
            host.directory().revoke(&admission);
            None
        }
    }
}

fn enter(host: &MatchHost, admission: Admission, connection: &Connection) {
    let id = admission.match_id;
    let seat = match admission.entry {
        Entry::Seat { seat, .. } => seat,
        Entry::Spectator(feed) => {
            if !host.watch(id, connection.clone(), feed) {
                connection.close(CloseCode::MatchOver, "nobody else can watch this match now");
            }
            return;
        }
    };
    let entrant = Entrant {
        player: admission.player,
        display_name: admission.display_name,
        seat,
        connection_id: admission.connection,
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

/// Counts a connection while it lives.
async fn count_until_closed(connection: &Connection, role: Role) {
    telemetry::connection_opened(connection, role);
    let reason = connection.wait_closed().await;
    telemetry::connection_closed(connection, role, &reason);
    tracing::debug!(%reason, transport = connection.kind().as_str(), "connection ended");
}
