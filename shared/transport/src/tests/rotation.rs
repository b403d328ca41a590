//! Another certificate in an open listener, as days go by.

use std::net::Ipv4Addr;
use std::time::{Duration, SystemTime};

use gameserver_contract::session::TransportOffer;

use super::harness::*;
use crate::certificate::{LIFETIME, ServerCertificate};
use crate::connect::{ConnectError, ConnectOptions, connect};
use crate::connection::Connection;
use crate::listener::{CertificateSwitch, Listener, ListenerConfig};
use crate::rotation::{ANNOUNCED_AHEAD, CertificateRotation, RotationChange};

const DAY: Duration = Duration::from_hours(24);

/// A listener with a rotating certificate and a clock that moves when it is told to.
struct Rotating {
    listener: Listener,
    switch: CertificateSwitch,
    rotation: CertificateRotation,
    now: SystemTime,
}

impl Rotating {
    fn begin() -> Self {
        let now = SystemTime::UNIX_EPOCH + LIFETIME;
        let rotation = CertificateRotation::begin(vec!["localhost".to_owned()], now).unwrap();
        let address = (Ipv4Addr::LOCALHOST, 0).into();
        let config = ListenerConfig::new(address, rotation.served().clone());
        let listener = Listener::bind(config).unwrap();
        Self {
            switch: listener.certificate_switch(),
            listener,
            rotation,
            now,
        }
    }

    fn after(&mut self, time: Duration) -> RotationChange {
        self.now += time;
        let turn = self.rotation.advance(self.now).unwrap();
        if turn == RotationChange::Switched {
            self.switch.serve(self.rotation.served()).unwrap();
        }
        turn
    }

    /// What a client is told that joins now.
    fn offers(&self) -> Vec<TransportOffer> {
        let offers = self.rotation.hashes().map(|hash| TransportOffer {
            certificate_sha256: Some(hash.to_owned()),
            ..offer(&self.listener, Quic)
        });
        offers.collect()
    }

    async fn connect(&mut self, offers: &[TransportOffer]) -> (Connection, Connection) {
        let serve = async {
            let arrival = arrival(&mut self.listener).await;
            arrival.welcome(welcome()).unwrap()
        };
        let (client, server) = tokio::join!(join(offers), serve);
        (client.unwrap().connection, server)
    }
}

#[tokio::test]
async fn after_a_week_there_is_another_certificate_and_nobody_was_turned_away() {
    let mut server = Rotating::begin();
    let first = server.offers();
    let (old_client, old_server) = server.connect(&first).await;
    assert_eq!(
        server.after((DAY * 7).saturating_sub(ANNOUNCED_AHEAD)),
        RotationChange::Announced
    );
    let both = server.offers();
    let (_before, _) = server.connect(&both).await;
    assert_eq!(server.after(ANNOUNCED_AHEAD), RotationChange::Switched);
    let second = server.offers();
    assert_ne!(first, second);
    // Who joined before the switch comes in after it, and so does who joins now.
    let (_late, _) = server.connect(&both).await;
    let (new_client, new_server) = server.connect(&second).await;
    assert_flows(&old_client, &old_server, b"old").await;
    assert_flows(&new_server, &new_client, b"new").await;
}

#[tokio::test]
async fn after_twenty_days_asleep_the_expired_certificate_is_replaced_at_once() {
    let mut server = Rotating::begin();
    let first = server.offers();
    let (old_client, old_server) = server.connect(&first).await;
    assert_eq!(server.after(DAY * 20), RotationChange::Switched);
    let second = server.offers();
    let (_new, _) = server.connect(&second).await;
    assert_flows(&old_client, &old_server, b"old").await;
    let refused = connect(&first, hello(), ConnectOptions::default()).await;
    assert!(matches!(refused, Err(ConnectError::Unreachable(_))));
}

#[tokio::test]
async fn every_certificate_of_a_month_is_taken_by_browsers_clients_too() {
    let mut server = Rotating::begin();
    for _ in 0..30 * 24 {
        if server.after(Duration::from_hours(1)) != RotationChange::Switched {
            continue;
        }
        let web = TransportOffer {
            certificate_sha256: Some(server.rotation.served().sha256().to_owned()),
            ..offer(&server.listener, WebTransport)
        };
        let (client, _) = server.connect(&[web]).await;
        assert_eq!(client.kind(), WebTransport);
    }
    let same: &ServerCertificate = server.rotation.served();
    assert_ne!(same.sha256(), server.listener.certificate_sha256());
}
