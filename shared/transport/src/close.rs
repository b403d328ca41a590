//! Why connections end and why they never begin: numbered codes that mean the same on every
//! transport.
//!
//! A close with number *n* is QUIC application error `0x100 + n`, and `4000 + n` for WebSocket and
//! for WebTransport's sessions. Numbers are never reused.

use crate::limits::CLOSE_TEXT_LENGTH_MAX;

const QUIC_CODE_BASE: u32 = 0x100;
const WEBSOCKET_CODE_BASE: u16 = 4000;
/// WebSocket's own codes for an ordinary end (RFC 6455 §7.4.1): normal, none given.
const WEBSOCKET_ORDINARY_CODES: [u16; 2] = [1000, 1005];
/// A page that is left or loaded again ends its connections so (RFC 6455 §7.4.1), and may come
/// back.
const WEBSOCKET_GOING_AWAY: u16 = 1001;

macro_rules! numbered_codes {
    ($(#[$doc:meta])* $name:ident {
        $($(#[$code_doc:meta])* $code:ident = $number:literal, $label:literal;)*
    }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum $name { $($(#[$code_doc])* $code = $number,)* }

        impl $name {
            /// Every code, in the order of the numbers.
            pub const ALL: &'static [Self] = &[$(Self::$code,)*];

            /// The number on the wire.
            #[must_use]
            pub const fn number(self) -> u16 {
                match self { $(Self::$code => $number,)* }
            }

            /// The code of that number.
            #[must_use]
            pub const fn from_number(number: u16) -> Option<Self> {
                match number { $($number => Some(Self::$code),)* _ => None }
            }

            /// The name in documents, logs and metric labels.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$code => $label,)* }
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(self.as_str())
            }
        }
    };
}

numbered_codes! {
    /// Why a connection ended.
    CloseCode {
        /// One side was done; nothing is wrong.
        Consented = 0, "consented";
        /// A person or a rule removed the player; joining again is allowed.
        Kicked = 1, "kicked";
        /// The player may not play here any more.
        Banned = 2, "banned";
        /// The same player connected again; the newer connection counts.
        Replaced = 3, "replaced";
        /// The instance is going away. Resume or join elsewhere.
        Draining = 4, "draining";
        /// The peers speak different versions.
        ProtocolMismatch = 5, "protocol_mismatch";
        /// The peer did not take what was sent to it for too long.
        SlowConsumer = 6, "slow_consumer";
        /// The peer sent more than it may.
        RateLimited = 7, "rate_limited";
        /// The ticket or the resume token was refused.
        TicketInvalid = 8, "ticket_invalid";
        /// The match has ended.
        MatchOver = 9, "match_over";
        /// Nothing was received for too long.
        Timeout = 10, "timeout";
        /// A fault of the side that closed.
        Internal = 11, "internal";
        /// The peer sent something that the protocol does not have.
        ProtocolError = 12, "protocol_error";
        /// A refusal was sent; it states why.
        Refused = 13, "refused";
        /// The link broke, or a page was left with it. Never sent: it is what is noticed when
        /// nothing was.
        Lost = 14, "lost";
    }
}

numbered_codes! {
    /// Why a Hello was answered with a refusal.
    RefusalCode {
        /// The client speaks another version.
        ProtocolMismatch = 0, "protocol_mismatch";
        /// The ticket cannot be read.
        TicketMalformed = 1, "ticket_malformed";
        /// The ticket's signature is wrong.
        TicketBadSignature = 2, "ticket_bad_signature";
        /// The ticket's time is over, or its times make no sense.
        TicketExpired = 3, "ticket_expired";
        /// The ticket is for another instance, or for an earlier run of this one.
        TicketWrongInstance = 4, "ticket_wrong_instance";
        /// The ticket was used before.
        TicketUsed = 5, "ticket_used";
        /// No seat is held under this resume token.
        ResumeUnknown = 6, "resume_unknown";
        /// The ticket's match is not here (any more).
        MatchUnknown = 7, "match_unknown";
        /// The match takes nobody else.
        MatchFull = 8, "match_full";
        /// Somebody has the seat.
        SeatTaken = 9, "seat_taken";
        /// The instance is going away.
        Draining = 10, "draining";
        /// Too many arrivals at once. Try again a little later.
        Busy = 11, "busy";
        /// The first bytes were no Hello.
        MalformedHello = 12, "malformed_hello";
        /// The Hello did not come in time.
        Timeout = 13, "timeout";
        /// The match's server has no processor time left for one more. Come back after the time
        /// that the refusal states.
        Overloaded = 14, "overloaded";
    }
}

impl CloseCode {
    /// QUIC application error code.
    #[must_use]
    pub fn quic_code(self) -> u32 {
        QUIC_CODE_BASE + u32::from(self.number())
    }

    /// WebSocket close code.
    #[must_use]
    pub const fn websocket_code(self) -> u16 {
        WEBSOCKET_CODE_BASE + self.number()
    }

    /// Reads a peer's QUIC application error code. 0 is what QUIC itself sends for an end without
    /// a code; a number that nobody has given a meaning to is an internal fault of the peer.
    #[must_use]
    pub fn from_quic_code(code: u64) -> Self {
        if code == 0 {
            return Self::Consented;
        }
        let number = code.checked_sub(u64::from(QUIC_CODE_BASE));
        let number = number.and_then(|number| u16::try_from(number).ok());
        number.and_then(Self::from_number).unwrap_or(Self::Internal)
    }

    /// Reads a peer's WebSocket close code, in the same way.
    #[must_use]
    pub fn from_websocket_code(code: u16) -> Self {
        if WEBSOCKET_ORDINARY_CODES.contains(&code) {
            return Self::Consented;
        }
        if code == WEBSOCKET_GOING_AWAY {
            return Self::Lost;
        }
        let number = code.checked_sub(WEBSOCKET_CODE_BASE);
        number.and_then(Self::from_number).unwrap_or(Self::Internal)
    }

    /// The code that a WebTransport session is closed with: WebSocket's, so that browsers see one
    /// set of them.
    #[must_use]
    pub fn session_code(self) -> u32 {
        u32::from(self.websocket_code())
    }

    /// Reads a peer's WebTransport session code. 0 is what browsers send for an end without one.
    #[must_use]
    pub fn from_session_code(code: u32) -> Self {
        if code == 0 {
            return Self::Consented;
        }
        u16::try_from(code).map_or(Self::Internal, Self::from_websocket_code)
    }
}

impl RefusalCode {
    /// The code that the transport is closed with after this refusal.
    #[must_use]
    pub const fn close_code(self) -> CloseCode {
        match self {
            Self::ProtocolMismatch => CloseCode::ProtocolMismatch,
            Self::TicketMalformed
            | Self::TicketBadSignature
            | Self::TicketExpired
            | Self::TicketWrongInstance
            | Self::TicketUsed
            | Self::ResumeUnknown => CloseCode::TicketInvalid,
            Self::MatchUnknown
            | Self::MatchFull
            | Self::SeatTaken
            | Self::Busy
            | Self::Overloaded => CloseCode::Refused,
            Self::Draining => CloseCode::Draining,
            Self::MalformedHello => CloseCode::ProtocolError,
            Self::Timeout => CloseCode::Timeout,
        }
    }
}

/// The side that ended a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Side {
    /// This process.
    Us,
    /// The other process.
    Peer,
    /// Neither: the link broke or went silent.
    Network,
}

/// How a connection ended.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{code} by {by:?}: {text}")]
pub struct CloseReason {
    /// Why.
    pub code: CloseCode,
    /// The same for people: at most [`CLOSE_TEXT_LENGTH_MAX`] bytes. A peer's text is shown, never
    /// interpreted.
    pub text: String,
    /// The side that ended it.
    pub by: Side,
}

impl CloseReason {
    /// An end; a text that is too long is cut.
    #[must_use]
    pub fn new(code: CloseCode, text: &str, by: Side) -> Self {
        Self {
            code,
            text: cut(text, CLOSE_TEXT_LENGTH_MAX).to_owned(),
            by,
        }
    }

    /// The end of a connection whose peer sends more than anybody may.
    pub(crate) fn flooded() -> Self {
        Self::new(CloseCode::RateLimited, "too much was sent", Side::Us)
    }

    /// The end of every connection of a listener that is closed.
    pub(crate) fn stopping() -> Self {
        Self::new(CloseCode::Draining, "the server is closing", Side::Us)
    }
}

/// The longest beginning of a text that has at most so many bytes.
pub(crate) fn cut(text: &str, length_max: usize) -> &str {
    &text[..text.floor_char_boundary(length_max)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_close_code_comes_back_from_every_transport() {
        for &code in CloseCode::ALL {
            assert_eq!(CloseCode::from_quic_code(u64::from(code.quic_code())), code);
            assert_eq!(CloseCode::from_websocket_code(code.websocket_code()), code);
            assert_eq!(CloseCode::from_session_code(code.session_code()), code);
        }
    }

    #[test]
    fn numbers_are_the_positions_in_the_list() {
        for (index, code) in CloseCode::ALL.iter().enumerate() {
            assert_eq!(usize::from(code.number()), index);
        }
        for (index, &code) in RefusalCode::ALL.iter().enumerate() {
            assert_eq!(usize::from(code.number()), index);
            assert_eq!(RefusalCode::from_number(code.number()), Some(code));
        }
    }

    #[test]
    fn a_number_without_a_meaning_is_the_peers_fault() {
        assert_eq!(CloseCode::from_quic_code(u64::MAX), CloseCode::Internal);
        assert_eq!(CloseCode::from_quic_code(7), CloseCode::Internal);
        assert_eq!(CloseCode::from_websocket_code(4999), CloseCode::Internal);
        assert_eq!(CloseCode::from_websocket_code(1002), CloseCode::Internal);
        assert_eq!(CloseCode::from_session_code(70_000), CloseCode::Internal);
    }

    #[test]
    fn an_ordinary_end_is_consented() {
        assert_eq!(CloseCode::from_websocket_code(1000), CloseCode::Consented);
        assert_eq!(CloseCode::from_quic_code(0), CloseCode::Consented);
        assert_eq!(CloseCode::from_session_code(0), CloseCode::Consented);
    }

    #[test]
    fn a_page_that_goes_away_has_not_said_goodbye() {
        assert_eq!(CloseCode::from_websocket_code(1001), CloseCode::Lost);
    }

    #[test]
    fn a_long_text_is_cut_between_characters() {
        let reason = CloseReason::new(CloseCode::Kicked, &"ä".repeat(100), Side::Us);
        assert_eq!(reason.text.len(), 122);
    }
}
