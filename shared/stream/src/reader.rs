//! The client's end: from frames to the state that they mean. For bots, tools and tests; other
//! languages do the same from `docs/protocol.md`.

use std::collections::BTreeSet;

pub use crate::entities::{Entities, Entity};
use crate::frame::{Acks, SNAPSHOT, START};
use crate::history::{DecodedSnapshot, SnapshotHistory};
use crate::record::fields;
use crate::schema::{FIELDS_MAX, Field, KINDS_MAX, NAME_BYTES_MAX, Shape};
use crate::snapshot_buffer::BASELINES_MAX;
use crate::wire::{Reader, WireError};

/// Longest configuration of a game in bytes.
const CONFIG_BYTES_MAX: usize = 60_000;
/// Entities of one match.
pub(crate) const ENTITIES_MAX: usize = 65_536;
/// Snapshots that are kept: as many as a server may refer to, and the newest.
pub(crate) const SNAPSHOTS_MAX: usize = BASELINES_MAX as usize + 1;
/// Integers in one group: a frame's bytes.
const INTEGERS_MAX: usize = 65_536;

/// The first frame of a connection.
#[derive(Debug, Clone, PartialEq)]
pub struct Start {
    /// The server's tick.
    pub tick: u32,
    /// Ticks between two snapshots.
    pub interval: u32,
    /// The kinds of entities.
    pub kinds: Vec<EntityKind>,
    /// What the game lets everybody know, as JSON.
    pub config: String,
}

/// A kind of entity, as a client sees it.
#[derive(Debug, Clone, PartialEq)]
pub struct EntityKind {
    /// Its name.
    pub name: String,
    /// Its fields.
    pub fields: Vec<EntityField>,
}

/// A field, as a client sees it.
#[derive(Debug, Clone, PartialEq)]
pub struct EntityField {
    /// Its name.
    pub name: String,
    /// What q = 0 means.
    pub minimum: f64,
    /// What one more means.
    pub step: f64,
    /// How many values there are.
    pub count: u64,
    /// Line or circle.
    pub shape: Shape,
}

impl EntityField {
    /// What a step means.
    #[must_use]
    pub fn meaning(&self, q: u32) -> f64 {
        self.minimum + f64::from(q) * self.step
    }

    fn follow(&self, from: u32, zigzag: u32) -> u32 {
        let field = Field {
            count: self.count,
            ..Field::integer("", 0)
        };
        field.follow(from, zigzag)
    }
}

impl Start {
    /// Reads the frame.
    ///
    /// # Errors
    ///
    /// What is wrong with it.
    pub fn decode(bytes: &[u8]) -> Result<Self, WireError> {
        let mut frame = Reader::new(bytes);
        if frame.array("frame", 64)? < 5 {
            return Err(WireError::Malformed("frame"));
        }
        match frame.uint("frame")? {
            START => {}
            other => return Err(WireError::UnknownFrame(other)),
        }
        let (tick, interval) = (frame.uint("tick")?, frame.uint("interval")?.max(1));
        let count = frame.array("kinds", KINDS_MAX)?;
        let kinds = (0..count).map(|_| EntityKind::read(&mut frame));
        Ok(Self {
            tick,
            interval,
            kinds: kinds.collect::<Result<_, _>>()?,
            config: frame.str("config", CONFIG_BYTES_MAX)?.to_owned(),
        })
    }
}

impl EntityKind {
    fn read(frame: &mut Reader<'_>) -> Result<Self, WireError> {
        if frame.array("kind", 2)? != 2 {
            return Err(WireError::Malformed("kind"));
        }
        let name = frame.str("name", NAME_BYTES_MAX)?.to_owned();
        let count = frame.array("fields", FIELDS_MAX)?;
        let fields = (0..count).map(|_| EntityField::read(frame));
        Ok(Self {
            name,
            fields: fields.collect::<Result<_, _>>()?,
        })
    }
}

impl EntityField {
    fn read(frame: &mut Reader<'_>) -> Result<Self, WireError> {
        if frame.array("field", 5)? != 5 {
            return Err(WireError::Malformed("field"));
        }
        let field = Self {
            name: frame.str("name", NAME_BYTES_MAX)?.to_owned(),
            minimum: frame.f64("minimum")?,
            step: frame.f64("step")?,
            count: frame.u64("count")?,
            shape: match frame.uint("wraps")? {
                0 => Shape::Line,
                1 => Shape::Circle,
                _ => return Err(WireError::Malformed("wraps")),
            },
        };
        let is_range = field.minimum.is_finite() && field.step.is_finite();
        if is_range && (1..=1 << 32).contains(&field.count) {
            Ok(field)
        } else {
            Err(WireError::Malformed("count"))
        }
    }
}

/// What became of a snapshot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Taken {
    /// It is part of the state now.
    In,
    /// It was overtaken by a newer one, or needs a state that is not here; as if it was lost.
    Ignored,
}

/// The state that a connection has been told.
#[derive(Debug)]
pub struct SnapshotReader {
    kinds: Vec<EntityKind>,
    interval: u32,
    tick: u32,
    lead: Option<i32>,
    acks: Acks,
    entities: Entities,
    history: SnapshotHistory,
}

/// The snapshot that a group's records are differences to.
#[derive(Clone, Copy)]
struct Baseline {
    tick: u32,
    /// Where it stands among the last ones; none when it is not there any more.
    position: Option<usize>,
}

/// What a snapshot makes forgotten, before its records are read.
enum Gone {
    /// It is a key frame.
    All,
    These(BTreeSet<u32>),
}

impl Gone {
    fn has(&self, id: u32) -> bool {
        match self {
            Self::All => true,
            Self::These(ids) => ids.contains(&id),
        }
    }
}

impl SnapshotReader {
    /// Knows no entity yet.
    #[must_use]
    pub fn new(start: &Start) -> Self {
        Self {
            kinds: start.kinds.clone(),
            interval: start.interval,
            tick: 0,
            lead: None,
            acks: Acks::default(),
            entities: Entities::default(),
            history: SnapshotHistory::default(),
        }
    }

    /// The kinds of entities.
    #[must_use]
    pub fn kinds(&self) -> &[EntityKind] {
        &self.kinds
    }

    /// The tick of the newest snapshot.
    #[must_use]
    pub fn tick(&self) -> u32 {
        self.tick
    }

    /// How many ticks early the own inputs come.
    #[must_use]
    pub fn lead(&self) -> Option<i32> {
        self.lead
    }

    /// What is to be acknowledged.
    #[must_use]
    pub fn acks(&self) -> Acks {
        self.acks
    }

    /// Everything that is known.
    #[must_use]
    pub fn entities(&self) -> &Entities {
        &self.entities
    }

    /// How many snapshots are kept.
    #[cfg(any(test, feature = "fuzzing"))]
    pub(crate) fn snapshots(&self) -> usize {
        self.history.len()
    }

    /// Takes a snapshot frame in.
    ///
    /// # Errors
    ///
    /// The bytes are no snapshot; nothing was taken in.
    pub fn read(&mut self, bytes: &[u8]) -> Result<Taken, WireError> {
        let mut frame = Reader::new(bytes);
        if frame.array("frame", 64)? < 6 {
            return Err(WireError::Malformed("frame"));
        }
        match frame.uint("frame")? {
            SNAPSHOT => {}
            other => return Err(WireError::UnknownFrame(other)),
        }
        let (number, tick) = (frame.uint("number")?, frame.uint("tick")?);
        if number <= self.acks.newest {
            return Ok(Taken::Ignored);
        }
        let lead = if frame.nil() {
            None
        } else {
            Some(frame.int("lead")?)
        };
        let gone = if frame.nil() {
            Gone::All
        } else {
            read_gone(&mut frame)?
        };
        let mut told = self.history.blank(tick);
        let read = self.read_groups(&mut frame, &gone, &mut told);
        let taken = read.and_then(|is_whole| {
            self.check_room(&told, &gone)?;
            Ok(is_whole)
        });
        if !matches!(taken, Ok(true)) {
            self.history.discard(told);
            return taken.map(|_| Taken::Ignored);
        }
        self.take_all_in(&gone, told);
        self.acks = self.acks.with(number);
        (self.tick, self.lead) = (tick, lead);
        Ok(Taken::In)
    }

    fn take_all_in(&mut self, gone: &Gone, mut told: DecodedSnapshot) {
        match gone {
            Gone::All => self.entities.clear(),
            Gone::These(ids) => self.entities.forget(ids),
        }
        told.sort();
        self.entities.take_in(&told);
        let keep_from = told.tick.saturating_sub(BASELINES_MAX * self.interval);
        self.history.add(told, keep_from, SNAPSHOTS_MAX);
    }

    /// The entity as it is known after what is gone is gone.
    fn known(&self, id: u32, gone: &Gone) -> Option<&Entity> {
        self.entities.get(id).filter(|_| !gone.has(id))
    }

    /// Refuses more entities than a match has.
    fn check_room(&self, told: &DecodedSnapshot, gone: &Gone) -> Result<(), WireError> {
        if self.entities.len() + told.len() <= ENTITIES_MAX {
            return Ok(());
        }
        let stay = self.entities.ids().iter();
        let stay = stay.filter(|id| !gone.has(**id)).count();
        let come = told.states().map(|state| state.id);
        let come: BTreeSet<_> = come.filter(|id| self.known(*id, gone).is_none()).collect();
        if stay + come.len() > ENTITIES_MAX {
            return Err(WireError::TooLong("entities"));
        }
        Ok(())
    }

    /// False when a record needs a state that is not here.
    fn read_groups(
        &self,
        frame: &mut Reader<'_>,
        gone: &Gone,
        told: &mut DecodedSnapshot,
    ) -> Result<bool, WireError> {
        let count = frame.array("groups", 2 * (BASELINES_MAX as usize + 1))?;
        if count % 2 != 0 {
            return Err(WireError::Malformed("groups"));
        }
        for _ in 0..count / 2 {
            let age = frame.uint("age")?;
            if !self.read_records(frame, age, gone, told)? {
                return Ok(false);
            }
        }
        if told.len() > ENTITIES_MAX {
            return Err(WireError::TooLong("records"));
        }
        Ok(true)
    }

    fn read_records(
        &self,
        frame: &mut Reader<'_>,
        age: u32,
        gone: &Gone,
        told: &mut DecodedSnapshot,
    ) -> Result<bool, WireError> {
        let mut left = frame.array("records", INTEGERS_MAX)?;
        let baseline = self.baseline(told.tick, age);
        let mut id = 0_u32;
        while left > 0 {
            let step = frame.uint("id step")?;
            id = id
                .checked_add(step)
                .ok_or(WireError::Malformed("id step"))?;
            let read = match age {
                0 => Some(self.read_whole(frame, id, gone, told)?),
                _ => self.read_difference(frame, id, baseline, gone, told)?,
            };
            let Some(integers) = read else {
                return Ok(false);
            };
            left = left
                .checked_sub(1 + integers)
                .ok_or(WireError::Malformed("records"))?;
        }
        Ok(true)
    }

    fn baseline(&self, tick: u32, age: u32) -> Option<Baseline> {
        let tick = tick.checked_sub(age)?;
        let position = self.history.position(tick);
        Some(Baseline { tick, position })
    }

    fn read_whole(
        &self,
        frame: &mut Reader<'_>,
        id: u32,
        gone: &Gone,
        told: &mut DecodedSnapshot,
    ) -> Result<usize, WireError> {
        let kind = frame.uint("kind")? as usize;
        let is_other = |entity: &Entity| entity.kind != kind;
        if self.known(id, gone).is_some_and(is_other) {
            return Err(WireError::Malformed("kind"));
        }
        let described = &self
            .kinds
            .get(kind)
            .ok_or(WireError::Malformed("kind"))?
            .fields;
        let mask = frame.uint("mask")?;
        let values = told.add(id, kind, std::iter::repeat_n(0, described.len()));
        for index in fields(mask) {
            let field = described.get(index).ok_or(WireError::Malformed("mask"))?;
            values[index] = frame.uint("value")?;
            if u64::from(values[index]) >= field.count {
                return Err(WireError::Malformed("value"));
            }
        }
        Ok(2 + mask.count_ones() as usize)
    }

    fn read_difference(
        &self,
        frame: &mut Reader<'_>,
        id: u32,
        baseline: Option<Baseline>,
        gone: &Gone,
        told: &mut DecodedSnapshot,
    ) -> Result<Option<usize>, WireError> {
        let known = self.known(id, gone);
        let earlier = known.and_then(|entity| Some((entity.kind, self.at(baseline?, id, entity)?)));
        let Some((kind, earlier)) = earlier else {
            return Ok(None);
        };
        let described = &self.kinds[kind].fields;
        let mask = frame.uint("mask")?;
        let values = told.add(id, kind, earlier.iter().copied());
        for index in fields(mask) {
            let field = described.get(index).ok_or(WireError::Malformed("mask"))?;
            values[index] = field.follow(values[index], frame.uint("difference")?);
        }
        Ok(Some(1 + mask.count_ones() as usize))
    }

    /// The entity's values as they were known after that snapshot.
    fn at<'a>(&'a self, baseline: Baseline, id: u32, entity: &'a Entity) -> Option<&'a [u32]> {
        if entity.tick() == baseline.tick {
            return Some(entity.values());
        }
        let position = baseline.position?;
        if entity.tick() < baseline.tick {
            return Some(entity.values());
        }
        let state = self.history.state_at(position, id, entity.since)?;
        (state.kind == entity.kind).then_some(state.values)
    }
}

impl Acks {
    /// The same after a newer snapshot was taken in.
    #[must_use]
    pub fn with(self, number: u32) -> Self {
        let steps = number.saturating_sub(self.newest);
        let shifted = self.before.checked_shl(steps).unwrap_or(0);
        let own = if self.newest == 0 {
            0
        } else {
            1_u32.checked_shl(steps.wrapping_sub(1)).unwrap_or(0)
        };
        Self {
            newest: number,
            before: shifted | own,
        }
    }
}

fn read_gone(frame: &mut Reader<'_>) -> Result<Gone, WireError> {
    let count = frame.array("gone", ENTITIES_MAX)?;
    let ids = (0..count).map(|_| frame.uint("gone"));
    Ok(Gone::These(ids.collect::<Result<_, _>>()?))
}
