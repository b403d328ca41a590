//! What a game shows of its entities: kinds with fields, each a range cut into steps, each for an
//! audience. It knows no entity, only how one is described.

/// Fields of one kind: a record's mask is one bit for each.
pub const FIELDS_MAX: usize = 32;
/// Kinds of one game.
pub const KINDS_MAX: usize = 64;

/// Who is shown a field.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Audience {
    /// Everybody who may see the entity.
    All,
    /// The entity's team.
    Team,
    /// The entity's own player.
    Owner,
}

/// What somebody is to an entity, which decides the fields that they see: an owner sees what its
/// team sees, the team sees what all see.
pub type Relation = Audience;

/// Whether a field's values form a line or a circle.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    /// The last value is the farthest from the first.
    Line,
    /// The first value follows the last, as with angles and counters.
    Circle,
}

/// One number that clients see of an entity: `minimum + q × step` with `0 ≤ q < count`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Field {
    /// Name in the schema.
    pub name: &'static str,
    /// What q = 0 means.
    pub minimum: f64,
    /// What one more means; above 0.
    pub step: f64,
    /// How many values there are, 1 to 2³².
    pub count: u64,
    /// Line or circle.
    pub shape: Shape,
    /// Who sees it.
    pub audience: Audience,
}

impl Field {
    /// A number from `minimum` to `maximum` in steps; beyond the range it stays at the end.
    ///
    /// # Panics
    ///
    /// When the range is empty or has more than 2³² steps; games declare fields as constants, so
    /// that this is found when they are compiled.
    #[must_use]
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "checked to be within the range"
    )]
    pub const fn line(name: &'static str, minimum: f64, maximum: f64, step: f64) -> Self {
        assert!(step > 0.0 && maximum >= minimum, "the range is empty");
        let steps = (maximum - minimum) / step + 1.5;
        assert!(steps <= 4_294_967_296.0, "more than 2^32 steps");
        Self {
            name,
            minimum,
            step,
            count: steps as u64,
            shape: Shape::Line,
            audience: Audience::All,
        }
    }

    /// A whole number from 0 to `maximum`.
    #[must_use]
    pub const fn integer(name: &'static str, maximum: u32) -> Self {
        Self {
            name,
            minimum: 0.0,
            step: 1.0,
            count: maximum as u64 + 1,
            shape: Shape::Line,
            audience: Audience::All,
        }
    }

    /// A circle of `count` values that is `round` around: an angle in turns is `1.0` around.
    ///
    /// # Panics
    ///
    /// When count is 0.
    #[must_use]
    pub const fn circle(name: &'static str, round: f64, count: u32) -> Self {
        assert!(count > 0, "a circle needs a value");
        Self {
            name,
            minimum: 0.0,
            step: round / count as f64,
            count: count as u64,
            shape: Shape::Circle,
            audience: Audience::All,
        }
    }

    /// The same for an audience.
    #[must_use]
    pub const fn shown_to(self, audience: Audience) -> Self {
        Self { audience, ..self }
    }

    /// The step that is nearest to a value. What is no number is the minimum.
    #[must_use]
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "clamped to the count, which fits; a cast of NaN is 0"
    )]
    pub fn quantise(&self, value: f64) -> u32 {
        let steps = ((value - self.minimum) / self.step).round();
        let last = (self.count - 1) as f64;
        match self.shape {
            Shape::Line => steps.clamp(0.0, last) as u32,
            Shape::Circle => steps.rem_euclid(self.count as f64).min(last) as u32,
        }
    }

    /// What a step means.
    #[must_use]
    pub fn meaning(&self, q: u32) -> f64 {
        self.minimum + f64::from(q) * self.step
    }

    /// The shortest way from one step to another, as it is written: zigzag.
    #[must_use]
    pub fn difference(&self, from: u32, to: u32) -> u32 {
        let (from, to) = (u64::from(from), u64::from(to));
        let forward = if to >= from {
            to - from
        } else {
            to + self.count - from
        };
        let backward = self.count - forward;
        let zigzag = if forward * 2 < self.count {
            forward * 2
        } else {
            backward * 2 - 1
        };
        u32::try_from(zigzag).unwrap_or(u32::MAX)
    }

    /// Where a written difference leads; the inverse of [`Self::difference`].
    #[must_use]
    pub fn follow(&self, from: u32, zigzag: u32) -> u32 {
        let distance = u64::from(zigzag / 2) % self.count;
        let there = if zigzag.is_multiple_of(2) {
            u64::from(from) + distance
        } else {
            u64::from(from) + self.count - (distance + 1) % self.count
        };
        u32::try_from(there % self.count).unwrap_or(u32::MAX)
    }
}

/// A kind of entity.
#[derive(Debug, Clone, PartialEq)]
pub struct Kind {
    /// Name in the schema.
    pub name: &'static str,
    /// What is shown of it, what changes most often first: low bits of a mask are short.
    pub fields: Vec<Field>,
    /// How much sooner than others it is sent when not everything fits, 1–8.
    pub priority: u8,
}

impl Kind {
    /// The fields that somebody of this relation sees, one bit each.
    #[must_use]
    pub fn mask(&self, relation: Relation) -> u32 {
        let shown = self.fields.iter().enumerate();
        shown
            .filter(|(_, field)| field.audience <= relation)
            .fold(0, |mask, (index, _)| mask | 1 << index)
    }
}

/// Everything that a game shows.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Schema {
    /// The kinds; records name them by index.
    pub kinds: Vec<Kind>,
}

/// A schema that cannot be sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SchemaError {
    /// More than [`KINDS_MAX`].
    #[error("a game shows at most {KINDS_MAX} kinds")]
    TooManyKinds,
    /// More than [`FIELDS_MAX`].
    #[error("kind {kind} has more than {FIELDS_MAX} fields")]
    TooManyFields {
        /// The kind.
        kind: &'static str,
    },
}

impl Schema {
    /// Adds a kind and returns its index.
    ///
    /// # Errors
    ///
    /// There are too many kinds, or the kind has too many fields.
    pub fn add(&mut self, kind: Kind) -> Result<u8, SchemaError> {
        if kind.fields.len() > FIELDS_MAX {
            return Err(SchemaError::TooManyFields { kind: kind.name });
        }
        if self.kinds.len() == KINDS_MAX {
            return Err(SchemaError::TooManyKinds);
        }
        self.kinds.push(kind);
        u8::try_from(self.kinds.len() - 1).map_err(|_| SchemaError::TooManyKinds)
    }

    /// Fields of the kind that has most.
    #[must_use]
    pub fn fields_max(&self) -> usize {
        let counts = self.kinds.iter().map(|kind| kind.fields.len());
        counts.max().unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_value_is_found_again_within_half_a_step() {
        let x = Field::line("x", -10.0, 40.0, 1.0 / 64.0);
        for value in [-10.0, -3.217, 0.0, 39.999, 40.0] {
            assert!((x.meaning(x.quantise(value)) - value).abs() <= 1.0 / 128.0);
        }
        assert_eq!(x.quantise(1e9), 50 * 64);
        assert_eq!(x.quantise(-1e9), 0);
        assert_eq!(x.quantise(f64::NAN), 0);
    }

    #[test]
    fn an_angle_goes_the_short_way_round() {
        let aim = Field::circle("aim", 1.0, 256);
        assert_eq!(aim.quantise(1.0), 0);
        assert_eq!(aim.quantise(-0.25), 192);
        assert_eq!(aim.difference(250, 4), 20);
        assert_eq!(aim.difference(4, 250), 19);
    }

    proptest! {
        #[test]
        fn a_difference_leads_where_it_was_taken(
            count in 1u64..=1 << 32, from: u32, to: u32
        ) {
            let field = Field { count, ..Field::integer("n", 0) };
            let fit = |q: u32| u32::try_from(u64::from(q) % count).unwrap();
            let (from, to) = (fit(from), fit(to));
            prop_assert_eq!(field.follow(from, field.difference(from, to)), to);
        }

        #[test]
        fn no_difference_leads_out_of_the_range(count in 1u64..=1 << 32, from: u32, any: u32) {
            let field = Field { count, ..Field::integer("n", 0) };
            let from = u32::try_from(u64::from(from) % count).unwrap();
            prop_assert!(u64::from(field.follow(from, any)) < count);
        }
    }
}
