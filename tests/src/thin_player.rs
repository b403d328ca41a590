//! A player without the simulation: thin mode, as a program in another language would speak it.

use bytes::Bytes;
use gameserver_contract::session::{JoinResponse, TransportKind};
use gameserver_shared::stream::frame::{self, ClientFrame};
use gameserver_shared::stream::reader::{Entities, Entity, SnapshotReader, Start, Taken};
use gameserver_transport::frame::{Credential, Hello, Mode};
use serde::Serialize;

use crate::patience::eventually;
use crate::raw_player::RawPlayer;

/// An event as it came.
#[derive(Debug, Clone)]
pub struct Heard {
    /// What happened.
    pub name: String,
    /// The rest, as MessagePack.
    pub payload: Vec<u8>,
}

/// A welcomed thin client, and what it knows.
#[derive(Debug)]
pub struct ThinPlayer {
    /// The link.
    pub raw: RawPlayer,
    /// What was told first; none before it came.
    pub start: Option<Start>,
    /// Every event so far.
    pub events: Vec<Heard>,
    /// Every frame so far, as it came.
    pub frames: Vec<Bytes>,
    /// Snapshots that were taken in.
    pub snapshots: u32,
    reader: Option<SnapshotReader>,
}

impl ThinPlayer {
    /// Joins.
    ///
    /// # Panics
    ///
    /// When the instance does not let them in.
    pub async fn join(answer: &JoinResponse, kind: TransportKind) -> Self {
        let credential = Credential::Ticket(answer.ticket.clone());
        let hello = Hello::new(Mode::Thin, credential, "gameserver-tests");
        let joined = RawPlayer::say_hello(&answer.transports, hello, kind).await;
        Self::over(joined.expect("the instance lets them in"))
    }

    /// Speaks thin mode over a connection that was welcomed.
    #[must_use]
    pub fn over(raw: RawPlayer) -> Self {
        Self {
            raw,
            start: None,
            events: Vec::new(),
            frames: Vec::new(),
            snapshots: 0,
            reader: None,
        }
    }

    /// Takes in what came.
    ///
    /// # Panics
    ///
    /// When the server sends what the protocol does not have.
    pub fn look(&mut self) {
        while let Some(frame) = self.raw.connection.try_recv_reliable() {
            self.take_in(frame);
        }
        while let Some(frame) = self.raw.connection.try_recv() {
            self.take_in(frame);
        }
    }

    fn take_in(&mut self, frame: Bytes) {
        let fields: Vec<rmpv::Value> = rmp_serde::from_slice(&frame).expect("a frame is an array");
        let number = fields[0]
            .as_u64()
            .and_then(|number| u32::try_from(number).ok());
        match number.expect("a frame begins with its number") {
            frame::START => {
                let start = Start::decode(&frame).expect("a start frame");
                self.reader = Some(SnapshotReader::new(&start));
                self.start = Some(start);
            }
            frame::SNAPSHOT => {
                // One that overtakes the start is as good as lost.
                if let Some(reader) = &mut self.reader {
                    let taken = reader.read(&frame).expect("a snapshot frame");
                    self.snapshots += u32::from(taken == Taken::In);
                }
            }
            frame::EVENT => self.events.push(Heard {
                name: fields[3].as_str().expect("a name").to_owned(),
                payload: rmp_serde::to_vec(&fields[4]).expect("plain data"),
            }),
            frame::PONG | frame::BYE => {}
            other => unreachable!("frame {other} has no meaning"),
        }
        self.frames.push(frame);
    }

    /// The ticks of all snapshots so far.
    #[must_use]
    pub fn snapshot_ticks(&self) -> Vec<u32> {
        let fields = |frame: &Bytes| rmp_serde::from_slice::<Vec<rmpv::Value>>(frame).ok();
        let frames = self.frames.iter().filter_map(fields);
        let snapshots = frames.filter(|fields| fields[0].as_u64() == Some(frame::SNAPSHOT.into()));
        snapshots
            .filter_map(|fields| u32::try_from(fields[2].as_u64()?).ok())
            .collect()
    }

    /// Says something reliably.
    pub fn say(&self, bytes: Vec<u8>) {
        // An end is what some of these frames ask for.
        let _ = self.raw.connection.send_reliable(bytes.into());
    }

    /// Sends this input for the next tick, and which snapshots arrived.
    ///
    /// # Panics
    ///
    /// When the input is no plain data.
    pub fn press(&self, input: &impl Serialize) {
        let input = rmp_serde::to_vec(input).expect("plain data");
        let acks = self.reader.as_ref().map(SnapshotReader::acks);
        let mut bytes = Vec::new();
        frame::put_input(&mut bytes, 0, &[&input], acks.unwrap_or_default());
        debug_assert!(ClientFrame::decode(&bytes).is_ok());
        let _ = self.raw.connection.send(bytes.into());
    }

    /// Presses once a frame until this player's knowledge shows something.
    pub async fn press_until(
        &mut self,
        what: &str,
        input: &impl Serialize,
        mut shows: impl FnMut(&Self) -> bool,
    ) {
        eventually(what, || {
            self.look();
            self.press(input);
            shows(self)
        })
        .await;
    }

    /// What is known of the match now.
    pub fn entities(&self) -> impl Iterator<Item = (u32, &Entity)> + '_ {
        let known = self.reader.iter().map(SnapshotReader::entities);
        known.flat_map(Entities::iter)
    }

    /// The meaning of a field, of the entity whose seat is this one.
    #[must_use]
    pub fn field_of_seat(&self, seat: u16, field: &str) -> Option<f64> {
        let is_of_seat = |entity: &&Entity| self.field(entity, "seat") == Some(seat.into());
        let entity = self.entities().map(|row| row.1).find(is_of_seat)?;
        self.field(entity, field)
    }

    /// The meaning of a field.
    #[must_use]
    pub fn field(&self, entity: &Entity, name: &str) -> Option<f64> {
        let kinds = self.reader.as_ref()?.kinds();
        let fields = &kinds.get(entity.kind)?.fields;
        let index = fields.iter().position(|field| field.name == name)?;
        Some(fields[index].meaning(entity.values()[index]))
    }

    /// The tick of the newest snapshot; 0 before the first.
    #[must_use]
    pub fn tick(&self) -> u32 {
        self.reader.as_ref().map_or(0, SnapshotReader::tick)
    }

    /// The first event of that name.
    #[must_use]
    pub fn heard(&self, name: &str) -> Option<&Heard> {
        self.events.iter().find(|event| event.name == name)
    }

    /// How many events of that name came.
    #[must_use]
    pub fn count(&self, name: &str) -> u64 {
        let named = self.events.iter().filter(|event| event.name == name);
        named.count() as u64
    }

    /// How early the own inputs come.
    #[must_use]
    pub fn lead(&self) -> Option<i32> {
        self.reader.as_ref()?.lead()
    }
}
