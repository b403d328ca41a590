//! How a game lets programs play it, for tests, samples and load: one policy, [`BotGame`], for all
//! kinds of bots. They differ in where its view comes from: the World of a full client, the
//! snapshot stream, or nowhere.

use std::fmt::{self, Debug};
use std::marker::PhantomData;

use bevy_ecs::prelude::*;
use gameserver_contract::ids::Seat;
use gameserver_stream::reader::{Entity as KnownEntity, SnapshotReader, Start};
use lightyear::prelude::LocalTimeline;

use crate::declaration::{FieldReader, StateSchema};
use crate::determinism::MatchRng;
use crate::game::Game;
use crate::player::Avatar;

/// A policy that plays: what is in view and a random source in, an input out.
pub trait BotGame: Game {
    /// What one bot remembers from one decision to the next.
    type Memory: Default + Send + Sync + 'static;

    /// The declared fields of avatars that the policy reads, by name.
    const FIELDS: &'static [&'static str] = &[];

    /// The input of the own player for the next tick. Some bots read nothing of what they are
    /// sent: they see nobody, not even themselves, and should play as well as one can then.
    fn decide(memory: &mut Self::Memory, view: &BotView, rng: &mut MatchRng) -> Self::Input;

    /// The own player's numbers for the bot report, by the fields of the own avatar.
    #[must_use]
    fn tally(own: &[f32]) -> BotTally {
        let _ = own;
        BotTally::default()
    }
}

/// The avatars that a bot's client was sent, as the values of [`BotGame::FIELDS`] in their order.
#[derive(Debug, Clone, Default)]
pub struct BotView {
    stride: usize,
    count: usize,
    values: Vec<f32>,
    own: Option<usize>,
}

impl BotView {
    /// The own avatar.
    #[must_use]
    pub fn own(&self) -> Option<&[f32]> {
        self.own.map(|index| self.row(index))
    }

    /// Those of others.
    pub fn others(&self) -> impl Iterator<Item = &[f32]> {
        let others = (0..self.count).filter(|index| Some(*index) != self.own);
        others.map(|index| self.row(index))
    }

    fn row(&self, index: usize) -> &[f32] {
        &self.values[index * self.stride..][..self.stride]
    }

    fn clear(&mut self, stride: usize) {
        self.values.clear();
        (self.stride, self.count, self.own) = (stride, 0, None);
    }

    /// Adds an avatar, unless one of its values is missing, and returns whether it did.
    fn add(&mut self, values: impl Iterator<Item = Option<f32>>) -> bool {
        let start = self.values.len();
        for value in values {
            let Some(value) = value else {
                self.values.truncate(start);
                return false;
            };
            self.values.push(value);
        }
        self.count += 1;
        true
    }
}

/// What a bot has achieved.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct BotTally {
    /// Opponents defeated.
    pub kills: u32,
    /// The game's score.
    pub score: i64,
}

/// A game that whole clients can play by themselves; every [`BotGame`] is one.
pub trait BotPolicy: Game {
    /// The input of `own` for the next tick. The world is the client's: it holds only what the
    /// player was sent.
    fn decide(world: &mut World, own: Entity, rng: &mut MatchRng) -> Self::Input;

    /// The own player's numbers for the bot report, as the client knows them.
    fn tally(world: &mut World, own: Entity) -> BotTally;
}

/// A game that crowds of bots can play, which know nothing but what they are sent; every
/// [`BotGame`] is one.
pub trait ThinBots: BotPolicy {
    /// The same policy for those that know the snapshot stream only.
    type Thin: ThinPolicy<Input = Self::Input>;

    /// The same policy for those that do not even read what they are sent.
    type Blind: BlindPolicy<Input = Self::Input>;
}

/// A policy that sees nothing. Light native bots play so, because reading replicated state costs
/// as much as a whole client.
pub trait BlindPolicy: Default + Send + 'static {
    /// What a player sends for one tick.
    type Input;

    /// The input for the next tick.
    fn decide(&mut self, rng: &mut MatchRng) -> Self::Input;
}

/// A policy that plays from the snapshot stream alone. What it has learnt of the match is shared by
/// all bots in it.
pub trait ThinPolicy: Send + Sync + Sized + 'static {
    /// What a player sends for one tick.
    type Input;
    /// What one bot keeps in mind from one decision to the next.
    type Mind: Default + Send + 'static;

    /// Learns what the numbers of the snapshots mean. None when this is not the game.
    fn learn(start: &Start) -> Option<Self>;

    /// The input of the player on this seat, until the next snapshot.
    fn decide(
        &self,
        mind: &mut Self::Mind,
        seat: Seat,
        known: &SnapshotReader,
        rng: &mut MatchRng,
    ) -> Self::Input;

    /// The player's numbers.
    fn tally(&self, seat: Seat, known: &SnapshotReader) -> BotTally;
}

/// What a bot with a whole client keeps in mind, on its avatar.
#[derive(Component)]
struct MemoryOf<G: BotGame>(G::Memory);

/// The avatars in a client's World, read once a tick.
#[derive(Resource)]
struct WorldView<G: BotGame> {
    readings: Vec<FieldReader>,
    tick: Option<u32>,
    entities: Vec<Entity>,
    view: BotView,
    game: PhantomData<G>,
}

impl<G: BotGame> WorldView<G> {
    fn new() -> Self {
        let schema = StateSchema::checked::<G>();
        let readings = G::FIELDS.iter().map(|name| schema.reading(name));
        let readings: Option<_> = readings.collect();
        Self {
            readings: readings.expect("a bot reads fields that the game declares"),
            tick: None,
            entities: Vec::new(),
            view: BotView::default(),
            game: PhantomData,
        }
    }

    /// What that avatar's player sees.
    fn of(&mut self, world: &mut World, own: Entity) -> &BotView {
        let tick = world.resource::<LocalTimeline>().tick().0;
        if self.tick.replace(tick) != Some(tick) {
            self.read(world);
        }
        self.view.own = self.entities.iter().position(|entity| *entity == own);
        &self.view
    }

    fn read(&mut self, world: &mut World) {
        self.view.clear(self.readings.len());
        self.entities.clear();
        let mut avatars = world.query_filtered::<EntityRef, With<Avatar>>();
        for avatar in avatars.iter(world) {
            let values = self.readings.iter().map(|reading| reading(avatar));
            if self.view.add(values) {
                self.entities.push(avatar.id());
            }
        }
    }
}

impl<G: BotGame> BotPolicy for G {
    fn decide(world: &mut World, own: Entity, rng: &mut MatchRng) -> G::Input {
        let mind = world.entity_mut(own).take::<MemoryOf<G>>();
        let mut mind = mind.map_or_else(G::Memory::default, |mind| mind.0);
        let mut seen = world
            .remove_resource::<WorldView<G>>()
            .unwrap_or_else(WorldView::new);
        let input = <G as BotGame>::decide(&mut mind, seen.of(world, own), rng);
        world.insert_resource(seen);
        world.entity_mut(own).insert(MemoryOf::<G>(mind));
        input
    }

    fn tally(world: &mut World, own: Entity) -> BotTally {
        let mut seen = WorldView::<G>::new();
        let own = seen.of(world, own).own();
        own.map_or_else(BotTally::default, <G as BotGame>::tally)
    }
}

impl<G: BotGame> ThinBots for G {
    type Thin = SnapshotBot<G>;
    type Blind = BlindBot<G>;
}

/// A bot that sees nobody.
pub struct BlindBot<G: BotGame> {
    mind: G::Memory,
    view: BotView,
}

impl<G: BotGame> Default for BlindBot<G> {
    fn default() -> Self {
        Self {
            mind: G::Memory::default(),
            view: BotView::default(),
        }
    }
}

impl<G: BotGame> Debug for BlindBot<G> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BlindBot").finish_non_exhaustive()
    }
}

impl<G: BotGame> BlindPolicy for BlindBot<G> {
    type Input = G::Input;

    fn decide(&mut self, rng: &mut MatchRng) -> G::Input {
        <G as BotGame>::decide(&mut self.mind, &self.view, rng)
    }
}

/// Where a policy's fields are in the snapshots of a match.
#[derive(Debug)]
pub struct SnapshotBot<G: BotGame> {
    kind: usize,
    seat: usize,
    fields: Vec<ThinField>,
    game: PhantomData<G>,
}

#[derive(Debug, Clone, Copy)]
struct ThinField {
    index: usize,
    minimum: f64,
    step: f64,
}

/// What a bot that reads snapshots keeps in mind.
pub struct SnapshotBotMemory<G: BotGame> {
    mind: G::Memory,
    view: BotView,
}

impl<G: BotGame> Default for SnapshotBotMemory<G> {
    fn default() -> Self {
        Self {
            mind: G::Memory::default(),
            view: BotView::default(),
        }
    }
}

impl<G: BotGame> Debug for SnapshotBotMemory<G> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SnapshotBotMemory").finish_non_exhaustive()
    }
}

impl<G: BotGame> SnapshotBot<G> {
    #[expect(
        clippy::cast_possible_truncation,
        reason = "a bot needs no more than an f32 has"
    )]
    fn values<'a>(&'a self, known: &'a KnownEntity) -> impl Iterator<Item = Option<f32>> + 'a {
        let meaning = move |field: &ThinField| {
            let value = f64::from(*known.values().get(field.index)?);
            Some((field.minimum + value * field.step) as f32)
        };
        self.fields.iter().map(meaning)
    }

    fn is_of(&self, known: &KnownEntity, seat: Seat) -> bool {
        known.values().get(self.seat) == Some(&u32::from(seat.0))
    }

    fn avatars<'a>(&self, known: &'a SnapshotReader) -> impl Iterator<Item = &'a KnownEntity> {
        let kind = self.kind;
        let all = known.entities().all().iter();
        all.filter(move |known| known.kind == kind)
    }
}

impl<G: BotGame> ThinPolicy for SnapshotBot<G> {
    type Input = G::Input;
    type Mind = SnapshotBotMemory<G>;

    fn learn(start: &Start) -> Option<Self> {
        let learn = |(kind, described): (usize, &gameserver_stream::reader::EntityKind)| {
            let find = |name: &str| {
                let mut fields = described.fields.iter().enumerate();
                fields.find(|(_, field)| field.name == name)
            };
            let field = |name: &'static str| {
                find(name).map(|(index, field)| ThinField {
                    index,
                    minimum: field.minimum,
                    step: field.step,
                })
            };
            Some(Self {
                kind,
                seat: find("seat")?.0,
                fields: G::FIELDS
                    .iter()
                    .copied()
                    .map(field)
                    .collect::<Option<_>>()?,
                game: PhantomData,
            })
        };
        start.kinds.iter().enumerate().find_map(learn)
    }

    fn decide(
        &self,
        mind: &mut SnapshotBotMemory<G>,
        seat: Seat,
        known: &SnapshotReader,
        rng: &mut MatchRng,
    ) -> G::Input {
        let SnapshotBotMemory { mind, view } = mind;
        view.clear(self.fields.len());
        for avatar in self.avatars(known) {
            let index = view.count;
            if view.add(self.values(avatar)) && self.is_of(avatar, seat) {
                view.own = Some(index);
            }
        }
        <G as BotGame>::decide(mind, view, rng)
    }

    fn tally(&self, seat: Seat, known: &SnapshotReader) -> BotTally {
        let own = self.avatars(known).find(|known| self.is_of(known, seat));
        let values = own.map(|own| self.values(own).flatten().collect::<Vec<_>>());
        let whole = values.filter(|values| values.len() == self.fields.len());
        whole.map_or_else(BotTally::default, |own| <G as BotGame>::tally(&own))
    }
}
