//! The bytes before a game begins: the client's Hello and the server's answer.
//!
//! Each is one MessagePack array, small enough to be written by hand in any language:
//!
//! ```text
//! hello   = [0, protocol version, mode, credential kind, credential, build, fingerprint]
//! welcome = [1, connection, player, seat | nil, role, tick rate, snapshot rate,
//!            resume token, datagram size, game]
//! refused = [2, code, text]
//!         | [2, code, text, retry after]     where coming back helps
//! ```
//!
//! Mode: 0 native, 1 thin. Credential kind: 0 ticket, 1 resume token. Role: 0 player, 1 spectator.
//! The player is `bin` of 16 bytes, texts are `str`, everything else is an unsigned integer of any
//! width that holds it, or a floating-point number without a fraction. More or fewer fields,
//! unknown numbers, texts over their limits, more than
//! [`FRAME_BYTES_MAX`] bytes and bytes after the array are errors.
//!
//! On QUIC both travel on the client's first bidirectional stream, each after its length as two
//! bytes, big-endian. On WebSocket each is one binary message.

use std::time::Duration;

use gameserver_contract::PROTOCOL_VERSION;
use gameserver_contract::ids::{GameId, PlayerId, Seat};
use gameserver_contract::number::integer_of;
use gameserver_contract::session::Role;
use rmp::{Marker, decode, encode};
use uuid::Uuid;

use crate::close::{RefusalCode, cut};
use crate::limits::{
    BUILD_LENGTH_MAX, FRAME_BYTES_MAX, REFUSAL_TEXT_LENGTH_MAX, RESUME_TOKEN_LENGTH_MAX,
    TICKET_LENGTH_MAX,
};

const TAG_HELLO: u8 = 0;
const TAG_WELCOME: u8 = 1;
const TAG_REFUSED: u8 = 2;
const HELLO_FIELDS: u32 = 7;
const WELCOME_FIELDS: u32 = 10;
const REFUSED_FIELDS: u32 = 3;
/// With the time to come back after.
const REFUSED_FIELDS_WITH_RETRY: u32 = 4;
const PLAYER_LENGTH: usize = 16;
/// First bytes of floating-point numbers.
const FLOAT_32: u8 = 0xca;
const FLOAT_64: u8 = 0xcb;

/// What the client speaks after the Welcome.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Mode {
    /// lightyear packets, for clients that run the simulation themselves.
    Native,
    /// Our snapshot stream, for every other program.
    Thin,
}

impl Mode {
    /// The name, as in metrics.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Native => "native",
            Self::Thin => "thin",
        }
    }
}

/// The right to a seat.
#[derive(Clone, PartialEq, Eq)]
pub enum Credential {
    /// A join ticket, for the first connection to a match.
    Ticket(String),
    /// The resume token of an earlier Welcome, for getting the same seat back.
    Resume(String),
}

/// Secrets stay out of logs.
impl std::fmt::Debug for Credential {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Ticket(_) => "Ticket(..)",
            Self::Resume(_) => "Resume(..)",
        })
    }
}

/// The first message of a client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hello {
    /// Version the client speaks. Another one than ours is refused whatever follows it.
    pub protocol_version: u16,
    /// What it wants to speak after the Welcome.
    pub mode: Mode,
    /// Why it may be admitted.
    pub credential: Credential,
    /// Name and version of the program, for logs; at most [`BUILD_LENGTH_MAX`] bytes.
    pub build: String,
    /// What the client's game sends and replicates, as one number: a native client of another
    /// build of the game has another one and is refused. 0 in thin mode.
    pub fingerprint: u64,
}

/// The answer to an accepted Hello.
#[derive(Clone, PartialEq, Eq)]
pub struct Welcome {
    /// Number of the connection in this process, for logs on both sides.
    pub connection: u64,
    /// The player that the credential names.
    pub player: PlayerId,
    /// Its place in the match; none for spectators.
    pub seat: Option<Seat>,
    /// Play or watch.
    pub role: Role,
    /// Simulation steps in a second.
    pub tick_rate_hz: u16,
    /// Snapshots in a second.
    pub snapshot_rate_hz: u16,
    /// Gives the same seat back after a lost connection, once.
    pub resume_token: String,
    /// Largest payload in bytes. The listener lowers it to what the carrier can take.
    pub datagram_size_max: u16,
    /// The game that is played.
    pub game: GameId,
}

/// The resume token is a secret and stays out of logs.
impl std::fmt::Debug for Welcome {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Welcome")
            .field("connection", &self.connection)
            .field("player", &self.player)
            .field("seat", &self.seat)
            .field("role", &self.role)
            .field("game", &self.game)
            .finish_non_exhaustive()
    }
}

/// The answer to a refused Hello.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{code}: {text}")]
pub struct Refused {
    /// Why, for programs.
    pub code: RefusalCode,
    /// Why, for people; at most [`REFUSAL_TEXT_LENGTH_MAX`] bytes.
    pub text: String,
    /// Milliseconds after which it is worth to come back; none when it is not, or with a new
    /// ticket only.
    pub retry_after_ms: Option<u32>,
}

impl Refused {
    /// A refusal; a text that is too long is cut.
    #[must_use]
    pub fn new(code: RefusalCode, text: &str) -> Self {
        Self {
            code,
            text: cut(text, REFUSAL_TEXT_LENGTH_MAX).to_owned(),
            retry_after_ms: None,
        }
    }

    /// The same for somebody who may come back after this time.
    #[must_use]
    pub fn for_now(code: RefusalCode, text: &str, retry_after: Duration) -> Self {
        let retry_after_ms = u32::try_from(retry_after.as_millis()).unwrap_or(u32::MAX);
        Self {
            retry_after_ms: Some(retry_after_ms),
            ..Self::new(code, text)
        }
    }
}

/// The server's answer to a Hello.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// The client is admitted.
    Welcome(Welcome),
    /// The client is not.
    Refused(Refused),
}

/// Bytes that are no frame, or a frame that has no bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// Longer than [`FRAME_BYTES_MAX`].
    #[error("the frame is longer than {FRAME_BYTES_MAX} bytes")]
    TooLong,
    /// Not the array that it should be.
    #[error("{field} cannot be read")]
    Malformed {
        /// The first thing that is wrong.
        field: &'static str,
    },
    /// A number that nobody has given a meaning to.
    #[error("{field} has no meaning")]
    Unknown {
        /// The field with the number.
        field: &'static str,
    },
    /// A text over its limit.
    #[error("{field} is longer than {length_max} bytes")]
    TextTooLong {
        /// Which text.
        field: &'static str,
        /// Its limit.
        length_max: usize,
    },
    /// Bytes after the array.
    #[error("bytes follow the frame")]
    TrailingBytes,
    /// A Hello of another version; the rest of it was not read.
    #[error("the peer speaks version {theirs}, this side {PROTOCOL_VERSION}")]
    VersionMismatch {
        /// The peer's version.
        theirs: u16,
    },
}

impl Hello {
    /// A Hello in the version of this crate.
    #[must_use]
    pub fn new(mode: Mode, credential: Credential, build: impl Into<String>) -> Self {
        Self {
            protocol_version: PROTOCOL_VERSION,
            mode,
            credential,
            build: build.into(),
            fingerprint: 0,
        }
    }

    /// The same with the fingerprint of the client's game.
    #[must_use]
    pub fn with_fingerprint(self, fingerprint: u64) -> Self {
        Self {
            fingerprint,
            ..self
        }
    }

    /// Writes the bytes.
    ///
    /// # Errors
    ///
    /// [`FrameError::TextTooLong`] when a text is over its limit.
    pub fn encode(&self) -> Result<Vec<u8>, FrameError> {
        let mut frame = FrameWriter::new(HELLO_FIELDS, TAG_HELLO);
        frame.uint(u64::from(self.protocol_version));
        frame.uint(match self.mode {
            Mode::Native => 0,
            Mode::Thin => 1,
        });
        match &self.credential {
            Credential::Ticket(text) => {
                frame.uint(0);
                frame.text("credential", text, TICKET_LENGTH_MAX)?;
            }
            Credential::Resume(text) => {
                frame.uint(1);
                frame.text("credential", text, RESUME_TOKEN_LENGTH_MAX)?;
            }
        }
        frame.text("build", &self.build, BUILD_LENGTH_MAX)?;
        frame.uint(self.fingerprint);
        frame.finish()
    }

    /// Reads the bytes.
    ///
    /// # Errors
    ///
    /// What is wrong with them. The version is judged first.
    pub fn decode(bytes: &[u8]) -> Result<Self, FrameError> {
        let (mut frame, fields, tag) = FrameReader::open(bytes)?;
        if tag != TAG_HELLO {
            return Err(FrameError::Unknown { field: "tag" });
        }
        let protocol_version = frame.uint("protocol version")?;
        if protocol_version != PROTOCOL_VERSION {
            return Err(FrameError::VersionMismatch {
                theirs: protocol_version,
            });
        }
        expect_fields(fields, HELLO_FIELDS)?;
        let mode = match frame.uint::<u8>("mode")? {
            0 => Mode::Native,
            1 => Mode::Thin,
            _ => return Err(FrameError::Unknown { field: "mode" }),
        };
        let credential = match frame.uint::<u8>("credential kind")? {
            0 => Credential::Ticket(frame.text("credential", TICKET_LENGTH_MAX)?),
            1 => Credential::Resume(frame.text("credential", RESUME_TOKEN_LENGTH_MAX)?),
            _ => {
                return Err(FrameError::Unknown {
                    field: "credential kind",
                });
            }
        };
        let build = frame.text("build", BUILD_LENGTH_MAX)?;
        let fingerprint = frame.uint("fingerprint")?;
        frame.finish()?;
        Ok(Self {
            protocol_version,
            mode,
            credential,
            build,
            fingerprint,
        })
    }
}

impl Answer {
    /// Writes the bytes.
    ///
    /// # Errors
    ///
    /// [`FrameError::TextTooLong`] when a text is over its limit.
    pub fn encode(&self) -> Result<Vec<u8>, FrameError> {
        match self {
            Self::Welcome(welcome) => welcome.encode(),
            Self::Refused(refused) => refused.encode(),
        }
    }

    /// Reads the bytes.
    ///
    /// # Errors
    ///
    /// What is wrong with them.
    pub fn decode(bytes: &[u8]) -> Result<Self, FrameError> {
        let (mut frame, fields, tag) = FrameReader::open(bytes)?;
        let answer = match tag {
            TAG_WELCOME => {
                expect_fields(fields, WELCOME_FIELDS)?;
                Self::Welcome(Welcome::read(&mut frame)?)
            }
            TAG_REFUSED => Self::Refused(Refused::read(&mut frame, fields)?),
            _ => return Err(FrameError::Unknown { field: "tag" }),
        };
        frame.finish()?;
        Ok(answer)
    }
}

impl Welcome {
    fn encode(&self) -> Result<Vec<u8>, FrameError> {
        let mut frame = FrameWriter::new(WELCOME_FIELDS, TAG_WELCOME);
        frame.uint(self.connection);
        frame.bin(self.player.0.as_bytes());
        match self.seat {
            Some(seat) => frame.uint(u64::from(seat.0)),
            None => frame.nil(),
        }
        frame.uint(match self.role {
            Role::Player => 0,
            Role::Spectator => 1,
        });
        frame.uint(u64::from(self.tick_rate_hz));
        frame.uint(u64::from(self.snapshot_rate_hz));
        frame.text("resume token", &self.resume_token, RESUME_TOKEN_LENGTH_MAX)?;
        frame.uint(u64::from(self.datagram_size_max));
        frame.text("game", self.game.as_str(), GameId::LENGTH_MAX)?;
        frame.finish()
    }

    fn read(frame: &mut FrameReader<'_>) -> Result<Self, FrameError> {
        Ok(Self {
            connection: frame.uint("connection")?,
            player: PlayerId(Uuid::from_bytes(frame.bin("player")?)),
            seat: frame.optional_uint("seat")?.map(Seat),
            role: match frame.uint::<u8>("role")? {
                0 => Role::Player,
                1 => Role::Spectator,
                _ => return Err(FrameError::Unknown { field: "role" }),
            },
            tick_rate_hz: frame.uint("tick rate")?,
            snapshot_rate_hz: frame.uint("snapshot rate")?,
            resume_token: frame.text("resume token", RESUME_TOKEN_LENGTH_MAX)?,
            datagram_size_max: frame.uint("datagram size")?,
            game: GameId::new(frame.text("game", GameId::LENGTH_MAX)?)
                .map_err(|_| FrameError::Malformed { field: "game" })?,
        })
    }
}

impl Refused {
    fn encode(&self) -> Result<Vec<u8>, FrameError> {
        let fields = match self.retry_after_ms {
            Some(_) => REFUSED_FIELDS_WITH_RETRY,
            None => REFUSED_FIELDS,
        };
        let mut frame = FrameWriter::new(fields, TAG_REFUSED);
        frame.uint(u64::from(self.code.number()));
        frame.text("text", &self.text, REFUSAL_TEXT_LENGTH_MAX)?;
        if let Some(retry_after_ms) = self.retry_after_ms {
            frame.uint(u64::from(retry_after_ms));
        }
        frame.finish()
    }

    fn read(frame: &mut FrameReader<'_>, fields: u32) -> Result<Self, FrameError> {
        let code = RefusalCode::from_number(frame.uint("code")?);
        let code = code.ok_or(FrameError::Unknown { field: "code" })?;
        let text = frame.text("text", REFUSAL_TEXT_LENGTH_MAX)?;
        let retry_after_ms = if fields == REFUSED_FIELDS_WITH_RETRY {
            Some(frame.uint("retry after")?)
        } else {
            expect_fields(fields, REFUSED_FIELDS)?;
            None
        };
        Ok(Self {
            code,
            text,
            retry_after_ms,
        })
    }
}

fn expect_fields(fields: u32, expected: u32) -> Result<(), FrameError> {
    if fields == expected {
        Ok(())
    } else {
        Err(FrameError::Malformed {
            field: "field count",
        })
    }
}

/// Writes the fields of one array. Writing to memory cannot fail, so only limits are checked.
struct FrameWriter {
    bytes: Vec<u8>,
}

const IN_MEMORY: &str = "writing to memory cannot fail";

impl FrameWriter {
    fn new(fields: u32, tag: u8) -> Self {
        let mut writer = Self { bytes: Vec::new() };
        encode::write_array_len(&mut writer.bytes, fields).expect(IN_MEMORY);
        writer.uint(u64::from(tag));
        writer
    }

    fn uint(&mut self, value: u64) {
        encode::write_uint(&mut self.bytes, value).expect(IN_MEMORY);
    }

    fn nil(&mut self) {
        encode::write_nil(&mut self.bytes).expect(IN_MEMORY);
    }

    fn bin(&mut self, value: &[u8]) {
        encode::write_bin(&mut self.bytes, value).expect(IN_MEMORY);
    }

    fn text(&mut self, field: &'static str, text: &str, max: usize) -> Result<(), FrameError> {
        if text.len() > max {
            return Err(FrameError::TextTooLong {
                field,
                length_max: max,
            });
        }
        encode::write_str(&mut self.bytes, text).expect(IN_MEMORY);
        Ok(())
    }

    fn finish(self) -> Result<Vec<u8>, FrameError> {
        if self.bytes.len() > FRAME_BYTES_MAX {
            Err(FrameError::TooLong)
        } else {
            Ok(self.bytes)
        }
    }
}

/// Reads the fields of one array. It never descends, so no nesting can exhaust the stack, and it
/// checks every length before it copies.
struct FrameReader<'a> {
    rest: &'a [u8],
}

impl<'a> FrameReader<'a> {
    fn open(bytes: &'a [u8]) -> Result<(Self, u32, u8), FrameError> {
        if bytes.len() > FRAME_BYTES_MAX {
            return Err(FrameError::TooLong);
        }
        let mut reader = Self { rest: bytes };
        let fields = decode::read_array_len(&mut reader.rest);
        let fields = fields.map_err(|_| FrameError::Malformed { field: "array" })?;
        let tag = reader.uint("tag")?;
        Ok((reader, fields, tag))
    }

    fn uint<T: TryFrom<u64>>(&mut self, field: &'static str) -> Result<T, FrameError> {
        let value = self.integer().and_then(|value| T::try_from(value).ok());
        value.ok_or(FrameError::Malformed { field })
    }

    /// An integer, also when it is written as a floating-point number.
    fn integer(&mut self) -> Option<u64> {
        let value = match *self.rest.first()? {
            FLOAT_32 => f64::from(decode::read_f32(&mut self.rest).ok()?),
            FLOAT_64 => decode::read_f64(&mut self.rest).ok()?,
            _ => return decode::read_int(&mut self.rest).ok(),
        };
        u64::try_from(integer_of(value)?).ok()
    }

    fn optional_uint(&mut self, field: &'static str) -> Result<Option<u16>, FrameError> {
        match self.rest.split_first() {
            Some((&first, rest)) if Marker::from_u8(first) == Marker::Null => {
                self.rest = rest;
                Ok(None)
            }
            _ => self.uint(field).map(Some),
        }
    }

    fn bin(&mut self, field: &'static str) -> Result<[u8; PLAYER_LENGTH], FrameError> {
        let length = decode::read_bin_len(&mut self.rest);
        let length = length.map_err(|_| FrameError::Malformed { field })?;
        let bytes = self.take(field, length)?;
        bytes
            .try_into()
            .map_err(|_| FrameError::Malformed { field })
    }

    fn text(&mut self, field: &'static str, max: usize) -> Result<String, FrameError> {
        let length = decode::read_str_len(&mut self.rest);
        let length = length.map_err(|_| FrameError::Malformed { field })?;
        let bytes = self.take(field, length)?;
        if bytes.len() > max {
            return Err(FrameError::TextTooLong {
                field,
                length_max: max,
            });
        }
        let text = std::str::from_utf8(bytes).map_err(|_| FrameError::Malformed { field })?;
        Ok(text.to_owned())
    }

    fn take(&mut self, field: &'static str, length: u32) -> Result<&'a [u8], FrameError> {
        let length = usize::try_from(length).map_err(|_| FrameError::Malformed { field })?;
        let (taken, rest) = self
            .rest
            .split_at_checked(length)
            .ok_or(FrameError::Malformed { field })?;
        self.rest = rest;
        Ok(taken)
    }

    fn finish(self) -> Result<(), FrameError> {
        if self.rest.is_empty() {
            Ok(())
        } else {
            Err(FrameError::TrailingBytes)
        }
    }
}

#[cfg(test)]
mod tests;
