//! Publishes how players reach the game port: the offers that web-api hands out, and the
//! certificate behind them, which is replaced in time. It does not know connections.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use gameserver_contract::clock::SharedClock;
use gameserver_contract::session::TransportKind;
use gameserver_control::Transport;
use gameserver_transport::certificate::{IdentityError, ServerCertificate};
use gameserver_transport::listener::{CertificateSwitch, Listener};
use gameserver_transport::rotation::{CertificateRotation, RotationChange};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::certificate::CertificateKeeper;
use crate::config::{CertificateFiles, InstanceConfig, PublicAddress, WebSocketTls};
use crate::validity::{self, ValidityWatch};

/// How often the certificate is looked after.
const LOOK_AFTER_EVERY: Duration = Duration::from_mins(1);

/// The certificate of the game port.
#[derive(Debug)]
pub(crate) enum Identity {
    /// Made here, recognised by its hash, rotated.
    SelfSigned(CertificateRotation),
    /// Signed by an authority; whoever put the files there replaces them.
    Given(CertificateFiles, ServerCertificate),
}

impl Identity {
    /// The configured certificate, or one for the public host.
    pub(crate) fn of(config: &InstanceConfig, clock: &SharedClock) -> Result<Self, IdentityError> {
        if let Some(files) = &config.certificate {
            let given = ServerCertificate::from_pem_files(&files.chain, &files.key)?;
            return Ok(Self::Given(files.clone(), given));
        }
        let now = SystemTime::from(clock.now());
        let names = vec![config.public.host.as_str().to_owned()];
        CertificateRotation::begin(names, now).map(Self::SelfSigned)
    }

    /// The certificate to open the port with.
    pub(crate) fn served(&self) -> &ServerCertificate {
        match self {
            Self::SelfSigned(rotation) => rotation.served(),
            Self::Given(_, certificate) => certificate,
        }
    }
}

/// Where players reach the game port.
#[derive(Debug)]
struct Addresses {
    public: PublicAddress,
    bound_port: u16,
    websocket_tls: WebSocketTls,
}

impl Addresses {
    fn of(config: &InstanceConfig, listener: &Listener) -> Self {
        let host = &config.public.host;
        if config.game_address.ip().is_unspecified() && host.is_loopback() {
            tracing::warn!(
                address = %config.game_address, public_host = %host,
                "the game port is open to every network, but players are sent to this machine's \
                 own address; set game.public_host to what they reach it by"
            );
        }
        Self {
            public: config.public.clone(),
            bound_port: listener.local_address().port(),
            websocket_tls: config.websocket_tls,
        }
    }

    fn offer(&self, kind: TransportKind, certificate_sha256: &str) -> Transport {
        let public = &self.public;
        let port = public.port.unwrap_or(self.bound_port);
        let host = format!("{}:{port}", public.host);
        let behind_proxy = format!(
            "{}:{}{}",
            public.host,
            public.websocket_port.unwrap_or(port),
            public.websocket_path.as_str()
        );
        let url = match (kind, self.websocket_tls) {
            (TransportKind::Quic, _) => format!("quic://{host}"),
            (TransportKind::WebTransport, _) => format!("https://{host}"),
            (TransportKind::WebSocket, WebSocketTls::Plain) => format!("ws://{behind_proxy}"),
            (TransportKind::WebSocket, WebSocketTls::ByProxy) => format!("wss://{behind_proxy}"),
        };
        Transport {
            kind: kind.as_str().to_owned(),
            url,
            certificate_sha256: certificate_sha256.to_owned(),
        }
    }

    /// What web-api is sent, in the order to try. During the time before a rotation there are two
    /// offers of a kind; whoever fails with the first certificate goes on to the second.
    fn offers(&self, identity: &Identity) -> Vec<Transport> {
        let hashes: Vec<&str> = match identity {
            Identity::SelfSigned(rotation) => rotation.hashes().collect(),
            Identity::Given(..) => vec![""],
        };
        let mut offers = Vec::new();
        for kind in [TransportKind::Quic, TransportKind::WebTransport] {
            offers.extend(hashes.iter().map(|hash| self.offer(kind, hash)));
        }
        offers.push(self.offer(TransportKind::WebSocket, ""));
        offers
    }
}

/// Keeps the certificate young and the offers true.
#[derive(Debug)]
pub(crate) struct Offers {
    addresses: Addresses,
    identity: Identity,
    switch: CertificateSwitch,
    /// When the certificate is a given one.
    keeper: Option<Arc<CertificateKeeper>>,
    validity: ValidityWatch,
    published: watch::Sender<Vec<Transport>>,
}

impl Offers {
    pub(crate) fn new(config: &InstanceConfig, identity: Identity, listener: &Listener) -> Self {
        Self::at(Addresses::of(config, listener), identity, listener)
    }

    fn at(addresses: Addresses, identity: Identity, listener: &Listener) -> Self {
        let switch = listener.certificate_switch();
        let keeper = match &identity {
            Identity::SelfSigned(_) => None,
            Identity::Given(files, served) => {
                let keeper = CertificateKeeper::new(files.clone(), served, switch.clone());
                Some(Arc::new(keeper))
            }
        };
        Self {
            published: watch::Sender::new(addresses.offers(&identity)),
            addresses,
            identity,
            switch,
            keeper,
            validity: ValidityWatch::default(),
        }
    }

    /// What reads a given certificate again.
    pub(crate) fn certificate_keeper(&self) -> Option<Arc<CertificateKeeper>> {
        self.keeper.clone()
    }

    /// The offers that count, now and later.
    pub(crate) fn subscribe(&self) -> watch::Receiver<Vec<Transport>> {
        self.published.subscribe()
    }

    /// Renews the certificate until it is stopped.
    pub(crate) async fn keep(mut self, clock: SharedClock, stop: CancellationToken) {
        let look_after = async {
            self.look_at_validity(clock.now().into());
            loop {
                tokio::time::sleep(LOOK_AFTER_EVERY).await;
                self.look_after(clock.now().into());
            }
        };
        stop.run_until_cancelled(look_after).await;
    }

    fn look_after(&mut self, now: SystemTime) {
        let looked = match &self.keeper {
            Some(keeper) => keeper.look().map(drop),
            None => self.advance(now),
        };
        if let Err(error) = looked {
            tracing::error!(
                error = &error as &dyn std::error::Error,
                "the certificate was not replaced"
            );
        }
        self.look_at_validity(now);
    }

    fn look_at_validity(&mut self, now: SystemTime) {
        match (&self.keeper, self.identity.served().validity()) {
            (Some(keeper), _) => self.validity.look_at_given(&keeper.served(), now),
            (None, Some(own)) => validity::note(own),
            (None, None) => {}
        }
    }

    fn advance(&mut self, now: SystemTime) -> Result<(), IdentityError> {
        let Identity::SelfSigned(rotation) = &mut self.identity else {
            return Ok(());
        };
        match rotation.advance(now)? {
            RotationChange::Unchanged => return Ok(()),
            RotationChange::Announced => tracing::info!("the next certificate is announced"),
            RotationChange::Switched => {
                self.switch.serve(rotation.served())?;
                tracing::info!("the next certificate is served");
            }
        }
        self.published
            .send_replace(self.addresses.offers(&self.identity));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::net::Ipv4Addr;
    use std::path::Path;

    use gameserver_contract::clock::{Clock as _, ManualClock};
    use gameserver_contract::session::TransportOffer;
    use gameserver_transport::connect::{ConnectOptions, connect};
    use gameserver_transport::frame::{Credential, Hello, Mode};
    use gameserver_transport::listener::ListenerConfig;

    use super::*;
    use crate::config::{PathPrefix, PublicHost};

    const DAY: Duration = Duration::from_hours(24);

    fn addresses() -> Addresses {
        Addresses {
            public: PublicAddress::of(PublicHost::new("localhost").unwrap()),
            bound_port: 7777,
            websocket_tls: WebSocketTls::ByProxy,
        }
    }

    #[test]
    fn a_proxy_before_the_websocket_end_has_a_port_and_a_path_of_its_own() {
        let mut addresses = addresses();
        addresses.public.host = PublicHost::new("2001:db8::7").unwrap();
        addresses.public.port = Some(7_000);
        let url = |addresses: &Addresses, kind| addresses.offer(kind, "").url;
        let at = |addresses: &Addresses| url(addresses, TransportKind::WebSocket);
        assert_eq!(at(&addresses), "wss://[2001:db8::7]:7000");
        addresses.public.websocket_port = Some(443);
        addresses.public.websocket_path = PathPrefix::new("/eu1").unwrap();
        assert_eq!(at(&addresses), "wss://[2001:db8::7]:443/eu1");
        addresses.websocket_tls = WebSocketTls::Plain;
        assert_eq!(at(&addresses), "ws://[2001:db8::7]:443/eu1");
        for (kind, expected) in [
            (TransportKind::Quic, "quic://[2001:db8::7]:7000"),
            (TransportKind::WebTransport, "https://[2001:db8::7]:7000"),
        ] {
            assert_eq!(url(&addresses, kind), expected);
        }
    }

    fn offers(clock: &SharedClock) -> (Offers, Listener) {
        let now = SystemTime::from(clock.now());
        let rotation = CertificateRotation::begin(vec!["localhost".to_owned()], now).unwrap();
        let identity = Identity::SelfSigned(rotation);
        let address = (Ipv4Addr::LOCALHOST, 0).into();
        let config = ListenerConfig::new(address, identity.served().clone());
        let listener = Listener::bind(config).unwrap();
        (Offers::at(addresses(), identity, &listener), listener)
    }

    fn kinds(published: &watch::Receiver<Vec<Transport>>) -> Vec<String> {
        let published = published.borrow();
        published.iter().map(|offer| offer.kind.clone()).collect()
    }

    #[tokio::test]
    async fn offers_stand_in_the_order_to_try() {
        let clock: SharedClock = ManualClock::at_ms(1_700_000_000_000);
        let (offers, listener) = offers(&clock);
        let published = offers.subscribe().borrow().clone();
        let pinned = listener.certificate_sha256();
        let expected = [
            ("quic", "quic://localhost:7777", pinned),
            ("webtransport", "https://localhost:7777", pinned),
            ("websocket", "wss://localhost:7777", ""),
        ];
        let published: Vec<_> = published
            .iter()
            .map(|offer| {
                let hash = offer.certificate_sha256.as_str();
                (offer.kind.as_str(), offer.url.as_str(), hash)
            })
            .collect();
        assert_eq!(published, expected);
    }

    #[tokio::test]
    async fn both_hashes_are_offered_before_the_switch_and_the_new_one_after_it() {
        let clock = ManualClock::at_ms(1_700_000_000_000);
        let (mut offers, _listener) = offers(&(clock.clone() as SharedClock));
        let published = offers.subscribe();
        let before = published.borrow().clone();
        clock.advance(DAY * 7);
        offers.advance(clock.now().into()).unwrap();
        let twice = ["quic", "quic", "webtransport", "webtransport", "websocket"];
        assert_eq!(kinds(&published), twice);
        clock.advance(DAY);
        offers.advance(clock.now().into()).unwrap();
        assert_eq!(kinds(&published), ["quic", "webtransport", "websocket"]);
        assert_ne!(*published.borrow(), before);
    }

    #[tokio::test(start_paused = true)]
    async fn the_certificate_is_looked_after_until_the_stop() {
        let clock = ManualClock::at_ms(1_700_000_000_000);
        let (offers, _listener) = offers(&(clock.clone() as SharedClock));
        let mut published = offers.subscribe();
        published.mark_unchanged();
        let stop = CancellationToken::new();
        let keeper = tokio::spawn(offers.keep(clock.clone(), stop.clone()));
        clock.advance(DAY * 20);
        published.changed().await.unwrap();
        assert_eq!(kinds(&published), ["quic", "webtransport", "websocket"]);
        stop.cancel();
        keeper.await.unwrap();
    }

    /// Puts another certificate for `localhost` into the folder, and returns its hash.
    fn put_certificate(folder: &Path) -> String {
        let names = ["localhost".to_owned()];
        let made = rcgen::generate_simple_self_signed(names).unwrap();
        let (chain, key) = (folder.join("chain.pem"), folder.join("key.pem"));
        fs::write(&key, made.signing_key.serialize_pem()).unwrap();
        fs::write(&chain, made.cert.pem()).unwrap();
        let read = ServerCertificate::from_pem_files(&chain, &key).unwrap();
        read.sha256().to_owned()
    }

    /// Whether the listener proves to have this certificate. It gets no further, for lack of a
    /// ticket.
    async fn is_served(listener: &mut Listener, sha256: &str) -> bool {
        let offer = TransportOffer {
            kind: TransportKind::Quic,
            url: format!("quic://{}", listener.local_address()),
            certificate_sha256: Some(sha256.to_owned()),
        };
        let hello = Hello::new(Mode::Thin, Credential::Ticket("none".to_owned()), "tests");
        let offers = [offer];
        let connecting = connect(&offers, hello, ConnectOptions::default());
        tokio::select! {
            arrival = listener.accept() => arrival.is_some(),
            _ = connecting => false,
        }
    }

    #[tokio::test]
    async fn certificate_files_that_have_changed_are_served_from_the_next_look_on() {
        let folder = tempfile::tempdir().unwrap();
        let first = put_certificate(folder.path());
        let files = CertificateFiles {
            chain: folder.path().join("chain.pem"),
            key: folder.path().join("key.pem"),
        };
        let read = ServerCertificate::from_pem_files(&files.chain, &files.key).unwrap();
        let address = (Ipv4Addr::LOCALHOST, 0).into();
        let mut listener = Listener::bind(ListenerConfig::new(address, read.clone())).unwrap();
        let identity = Identity::Given(files.clone(), read);
        let mut offers = Offers::at(addresses(), identity, &listener);
        let now = SystemTime::UNIX_EPOCH;
        offers.look_after(now);
        assert!(is_served(&mut listener, &first).await);
        let second = put_certificate(folder.path());
        offers.look_after(now);
        assert!(is_served(&mut listener, &second).await);
        assert!(!is_served(&mut listener, &first).await);
        fs::write(&files.chain, "half a certi").unwrap();
        offers.look_after(now);
        assert!(is_served(&mut listener, &second).await);
        let third = put_certificate(folder.path());
        offers.look_after(now);
        assert!(is_served(&mut listener, &third).await);
    }
}
