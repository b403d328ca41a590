//! The policy for bots that know the snapshot stream only.

use std::marker::PhantomData;

use bevy_math::Vec2;
use gameserver_shared::bot::{BotTally, ThinBots, ThinPolicy};
use gameserver_shared::prelude::*;
use gameserver_shared::stream::reader::{Entity, ShownKind, SnapshotReader, Start};

use super::blind::BlindFighter;
use super::{Errand, Own, decide, tally};
use crate::Shooter;
use crate::config::{ArenaConfig, Ground};
use crate::input::ArenaInput;

/// What all bots of a match know of it.
#[derive(Debug)]
pub struct ThinFighter<P: Ground> {
    config: ArenaConfig,
    kind: ShownKind,
    fields: Fields,
    ground: PhantomData<P>,
}

/// Where the fields stand among a fighter's values.
#[derive(Debug, Clone, Copy)]
struct Fields {
    x: usize,
    y: usize,
    aim: usize,
    life: usize,
    kills: usize,
    seat: usize,
}

impl Fields {
    fn of(kind: &ShownKind) -> Option<Self> {
        let at = |name| kind.fields.iter().position(|field| field.name == name);
        Some(Self {
            x: at("x")?,
            y: at("y")?,
            aim: at("aim")?,
            life: at("life")?,
            kills: at("kills")?,
            seat: at("seat")?,
        })
    }
}

impl<P: Ground> ThinBots for Shooter<P> {
    type Thin = ThinFighter<P>;
    type Blind = BlindFighter;
}

impl<P: Ground> ThinPolicy for ThinFighter<P> {
    type Input = ArenaInput;
    type Mind = Option<Errand>;

    fn learn(start: &Start) -> Option<Self> {
        let kind = start.kinds.iter().find(|kind| kind.name == "fighter")?;
        Some(Self {
            config: ArenaConfig::of::<P>(),
            kind: kind.clone(),
            fields: Fields::of(kind)?,
            ground: PhantomData,
        })
    }

    fn decide(
        &self,
        errand: &mut Option<Errand>,
        seat: Seat,
        known: &SnapshotReader,
        rng: &mut MatchRng,
    ) -> ArenaInput {
        let Some(own) = self.own(seat, known).filter(|own| self.is_alive(own)) else {
            return ArenaInput::default();
        };
        let fighter = Own {
            position: self.position(own),
            aim: self.aim(own),
        };
        let others = known.entities().all().iter();
        let opponents = others
            .filter(|other| !std::ptr::eq(*other, own) && self.is_alive(other))
            .map(|other| self.position(other));
        decide(&self.config, (fighter, opponents), errand, rng)
    }

    fn tally(&self, seat: Seat, known: &SnapshotReader) -> BotTally {
        let own = self.own(seat, known);
        tally(own.map_or(0, |own| own.values()[self.fields.kills]))
    }
}

impl<P: Ground> ThinFighter<P> {
    fn own<'a>(&self, seat: Seat, known: &'a SnapshotReader) -> Option<&'a Entity> {
        let seat = u32::from(seat.0);
        let mut all = known.entities().all().iter();
        all.find(|entity| entity.values()[self.fields.seat] == seat)
    }

    /// A life that is even is lived, an odd one is over.
    fn is_alive(&self, entity: &Entity) -> bool {
        entity.values()[self.fields.life].is_multiple_of(2)
    }

    fn position(&self, entity: &Entity) -> Vec2 {
        Vec2::new(
            self.meaning(entity, self.fields.x),
            self.meaning(entity, self.fields.y),
        )
    }

    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a share of a turn, below 1"
    )]
    fn aim(&self, entity: &Entity) -> u16 {
        (self.meaning(entity, self.fields.aim) * 65_536.0) as u16
    }

    #[expect(
        clippy::cast_possible_truncation,
        reason = "metres and shares are small"
    )]
    fn meaning(&self, entity: &Entity, field: usize) -> f32 {
        self.kind.fields[field].meaning(entity.values()[field]) as f32
    }
}
