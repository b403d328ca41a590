//! The token that gives a seat back after a broken connection: `match || seat || secret` in
//! base64url. It does not know who holds the seat. Only this instance reads it.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use gameserver_contract::ids::{MatchId, Seat};
use uuid::Uuid;

const MATCH_BYTES: usize = 16;
const SEAT_BYTES: usize = 2;
const SECRET_BYTES: usize = 16;

/// What a resume token contains.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct ResumeToken {
    pub(super) match_id: MatchId,
    pub(super) seat: Seat,
    pub(super) secret: [u8; SECRET_BYTES],
}

impl ResumeToken {
    pub(super) fn encode(&self) -> String {
        let seat = self.seat.0.to_be_bytes();
        URL_SAFE_NO_PAD.encode([&self.match_id.0.as_bytes()[..], &seat, &self.secret].concat())
    }

    pub(super) fn decode(text: &str) -> Option<Self> {
        let bytes = URL_SAFE_NO_PAD.decode(text).ok()?;
        let (match_id, rest) = bytes.split_at_checked(MATCH_BYTES)?;
        let (seat, secret) = rest.split_at_checked(SEAT_BYTES)?;
        Some(Self {
            match_id: MatchId(Uuid::from_slice(match_id).ok()?),
            seat: Seat(u16::from_be_bytes(seat.try_into().ok()?)),
            secret: secret.try_into().ok()?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_comes_back_and_other_texts_do_not() {
        let token = ResumeToken {
            match_id: MatchId(Uuid::from_u128(7)),
            seat: Seat(300),
            secret: [9; SECRET_BYTES],
        };
        let text = token.encode();
        assert_eq!(ResumeToken::decode(&text), Some(token));
        assert_eq!(ResumeToken::decode(&text[1..]), None);
        assert_eq!(ResumeToken::decode(""), None);
        assert_eq!(ResumeToken::decode("ä"), None);
    }
}
