//! Counters of a listener and of its connections, for the server's metrics. Counting never waits
//! and never allocates.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use crate::close::RefusalCode;
use crate::unsent_bytes::UnsentBytes;

macro_rules! labelled {
    ($(#[$doc:meta])* $name:ident {
        $($(#[$variant_doc:meta])* $variant:ident = $label:literal;)*
    }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum $name { $($(#[$variant_doc])* $variant,)* }

        impl $name {
            /// All of them, in the order of their counters.
            pub const ALL: [Self; [$($label),*].len()] = [$(Self::$variant),*];

            /// The name in metric labels.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $label,)* }
            }
        }
    };
}

labelled! {
    /// Why a datagram was dropped by this process.
    DropReason {
        /// The simulation did not take it in time.
        IncomingFull = "incoming_full";
        /// The peer sent more than a datagram may have.
        IncomingTooLarge = "incoming_too_large";
        /// The peer sent more than anybody may.
        IncomingFlood = "incoming_flood";
        /// A text in it was none.
        IncomingBadText = "incoming_bad_text";
        /// The link did not take it in time.
        OutgoingFull = "outgoing_full";
        /// The path became narrower than the datagram.
        OutgoingTooLarge = "outgoing_too_large";
    }
}

labelled! {
    /// Something that happened before a Hello, or that concerns all connections.
    Incident {
        /// A connection was closed unread because too many were pending.
        PendingFull = "pending_full";
        /// A handshake failed, was given up or took too long.
        HandshakeFailed = "handshake_failed";
        /// A client went away before its Hello was complete.
        HelloAbandoned = "hello_abandoned";
        /// A QUIC client was asked to prove its address.
        RetrySent = "retry_sent";
        /// The operating system did not hand out a connection.
        AcceptFailed = "accept_failed";
        /// A connection was closed because its address has as many as it may.
        AddressFull = "address_full";
        /// A connection was closed because too much waits to be sent on all of them.
        UnsentFull = "unsent_full";
    }
}

/// What went over one link, or over all links of a listener, so far. A reliable frame counts as a
/// datagram, too.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct LinkStats {
    /// Datagrams received, with those dropped afterwards.
    pub datagrams_in: u64,
    /// Datagrams handed to the carrier.
    pub datagrams_out: u64,
    /// Payload bytes received.
    pub bytes_in: u64,
    /// Payload bytes handed to the carrier.
    pub bytes_out: u64,
    /// Received datagrams that were dropped.
    pub dropped_in: u64,
    /// Datagrams that were dropped instead of sent.
    pub dropped_out: u64,
    /// Datagrams that a newer one of their kind took the place of before they were sent.
    pub replaced_out: u64,
}

/// The counters behind [`LinkStats`].
#[derive(Debug, Default)]
pub(crate) struct Traffic {
    datagrams_in: AtomicU64,
    datagrams_out: AtomicU64,
    bytes_in: AtomicU64,
    bytes_out: AtomicU64,
    replaced_out: AtomicU64,
    dropped: [AtomicU64; DropReason::ALL.len()],
}

impl Traffic {
    pub(crate) fn received(&self, bytes: usize) {
        self.datagrams_in.fetch_add(1, Relaxed);
        self.bytes_in.fetch_add(bytes as u64, Relaxed);
    }

    pub(crate) fn sent(&self, bytes: usize) {
        self.datagrams_out.fetch_add(1, Relaxed);
        self.bytes_out.fetch_add(bytes as u64, Relaxed);
    }

    pub(crate) fn dropped(&self, reason: DropReason, datagrams: u64) {
        self.dropped[reason as usize].fetch_add(datagrams, Relaxed);
    }

    pub(crate) fn replaced(&self, datagrams: u64) {
        self.replaced_out.fetch_add(datagrams, Relaxed);
    }

    fn drops(&self, reason: DropReason) -> u64 {
        self.dropped[reason as usize].load(Relaxed)
    }

    pub(crate) fn stats(&self) -> LinkStats {
        LinkStats {
            datagrams_in: self.datagrams_in.load(Relaxed),
            datagrams_out: self.datagrams_out.load(Relaxed),
            bytes_in: self.bytes_in.load(Relaxed),
            bytes_out: self.bytes_out.load(Relaxed),
            dropped_in: self.drops(DropReason::IncomingFull)
                + self.drops(DropReason::IncomingTooLarge)
                + self.drops(DropReason::IncomingFlood)
                + self.drops(DropReason::IncomingBadText),
            dropped_out: self.drops(DropReason::OutgoingFull)
                + self.drops(DropReason::OutgoingTooLarge),
            replaced_out: self.replaced_out.load(Relaxed),
        }
    }
}

/// The counters of one listener, shared with all its connections.
#[derive(Debug, Default)]
pub struct Events {
    pub(crate) traffic: Traffic,
    /// What waits to be sent on all its connections.
    pub(crate) unsent: UnsentBytes,
    arrivals: AtomicU64,
    refused: [AtomicU64; RefusalCode::ALL.len()],
    incidents: [AtomicU64; Incident::ALL.len()],
}

impl Events {
    /// Clients that came as far as a readable Hello.
    #[must_use]
    pub fn arrivals(&self) -> u64 {
        self.arrivals.load(Relaxed)
    }

    /// Refusals for this reason.
    #[must_use]
    pub fn refused(&self, code: RefusalCode) -> u64 {
        self.refused[usize::from(code.number())].load(Relaxed)
    }

    /// Incidents of this kind.
    #[must_use]
    pub fn incidents(&self, incident: Incident) -> u64 {
        self.incidents[incident as usize].load(Relaxed)
    }

    /// Datagrams dropped for this reason, over all connections.
    #[must_use]
    pub fn drops(&self, reason: DropReason) -> u64 {
        self.traffic.drops(reason)
    }

    /// What went over all connections.
    #[must_use]
    pub fn traffic(&self) -> LinkStats {
        self.traffic.stats()
    }

    /// Bytes that wait to be sent, over all connections.
    #[must_use]
    pub fn unsent_bytes(&self) -> usize {
        self.unsent.bytes()
    }

    pub(crate) fn count_arrival(&self) {
        self.arrivals.fetch_add(1, Relaxed);
    }

    pub(crate) fn count_refusal(&self, code: RefusalCode) {
        self.refused[usize::from(code.number())].fetch_add(1, Relaxed);
    }

    pub(crate) fn count(&self, incident: Incident) {
        self.incidents[incident as usize].fetch_add(1, Relaxed);
    }
}
