//! What a game shows of its entities: kinds with fields, each a range cut into steps, each for an
//! audience. It knows no entity, only how one is described.

/// Fields of one kind: a record's mask is one bit for each.
pub const FIELDS_MAX: usize = 32;
/// Kinds of one game.
pub const KINDS_MAX: usize = 64;
/// Longest name of a kind or a field in bytes.
pub const NAME_BYTES_MAX: usize = 64;
/// Values of one field.
const VALUES_MAX: u64 = 1 << 32;
/// Highest priority of a kind.
const PRIORITY_MAX: u8 = 8;

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
    #[must_use]
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a cast from f64 saturates, and `check` refuses what does not fit"
    )]
    pub const fn line(name: &'static str, minimum: f64, maximum: f64, step: f64) -> Self {
        let steps = (maximum - minimum) / step + 1.5;
        Self {
            name,
            minimum,
            step,
            count: if maximum >= minimum { steps as u64 } else { 0 },
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
    #[must_use]
    pub const fn circle(name: &'static str, round: f64, count: u32) -> Self {
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

    /// Finds what makes the field one that cannot be sent.
    ///
    /// # Errors
    ///
    /// The rule that it breaks.
    pub fn check(&self) -> Result<(), WrongField> {
        let name = self.name;
        if name.is_empty() || name.len() > NAME_BYTES_MAX {
            return Err(WrongField::Name(name));
        }
        if !self.step.is_finite() || self.step <= 0.0 {
            return Err(WrongField::Step(name));
        }
        if self.count == 0 || !self.minimum.is_finite() {
            return Err(WrongField::Empty(name));
        }
        if self.count > VALUES_MAX {
            return Err(WrongField::TooManyValues(name));
        }
        Ok(())
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

/// Why a field cannot be sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum WrongField {
    /// The name is missing or longer than [`NAME_BYTES_MAX`].
    #[error("field {0} needs a name of 1 to {NAME_BYTES_MAX} bytes")]
    Name(&'static str),
    /// The step is not above 0.
    #[error("the step of field {0} is not a number above 0")]
    Step(&'static str),
    /// No value lies in the range.
    #[error("the range of field {0} is empty")]
    Empty(&'static str),
    /// More values than a difference can name.
    #[error("the range of field {0} has more than 2^32 steps")]
    TooManyValues(&'static str),
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
    fn check(&self) -> Result<(), SchemaError> {
        let kind = self.name;
        if !(1..=PRIORITY_MAX).contains(&self.priority) {
            return Err(SchemaError::Priority { kind });
        }
        if self.fields.len() > FIELDS_MAX {
            return Err(SchemaError::TooManyFields { kind });
        }
        for (index, field) in self.fields.iter().enumerate() {
            let in_kind = |source| SchemaError::Field { kind, source };
            field.check().map_err(in_kind)?;
            let mut earlier = self.fields[..index].iter();
            if earlier.any(|other| other.name == field.name) {
                let field = field.name;
                return Err(SchemaError::FieldTwice { kind, field });
            }
        }
        Ok(())
    }

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
    /// A name that is missing, too long, or another kind's.
    #[error("kind {kind} needs a name of its own of 1 to {NAME_BYTES_MAX} bytes")]
    KindName {
        /// The kind.
        kind: &'static str,
    },
    /// Two fields have one name.
    #[error("kind {kind} has field {field} twice")]
    FieldTwice {
        /// The kind.
        kind: &'static str,
        /// The field.
        field: &'static str,
    },
    /// A priority that is none.
    #[error("the priority of kind {kind} is not 1 to {PRIORITY_MAX}")]
    Priority {
        /// The kind.
        kind: &'static str,
    },
    /// A field that cannot be sent.
    #[error("kind {kind} cannot be sent: {source}")]
    Field {
        /// The kind.
        kind: &'static str,
        /// What is wrong with the field.
        source: WrongField,
    },
}

impl Schema {
    /// Adds a kind and returns its index.
    ///
    /// # Errors
    ///
    /// The kind cannot be sent.
    pub fn add(&mut self, kind: Kind) -> Result<u8, SchemaError> {
        if self.kinds.len() == KINDS_MAX {
            return Err(SchemaError::TooManyKinds);
        }
        let name = kind.name;
        let is_taken = self.kinds.iter().any(|other| other.name == name);
        if is_taken || name.is_empty() || name.len() > NAME_BYTES_MAX {
            return Err(SchemaError::KindName { kind: name });
        }
        kind.check()?;
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

    #[test]
    fn a_field_that_cannot_have_a_value_is_refused() {
        let check = |field: Field| field.check();
        assert_eq!(check(Field::line("x", 0.0, 0.0, 1.0)), Ok(()));
        assert_eq!(
            check(Field::line("x", 1.0, 0.9, 1.0)),
            Err(WrongField::Empty("x"))
        );
        assert_eq!(
            check(Field::line("x", 0.0, f64::NAN, 1.0)),
            Err(WrongField::Empty("x"))
        );
        assert_eq!(
            check(Field::line("x", 0.0, 1.0, 0.0)),
            Err(WrongField::Step("x"))
        );
        assert_eq!(
            check(Field::circle("x", 1.0, 0)),
            Err(WrongField::Step("x"))
        );
        assert_eq!(
            check(Field::circle("x", 0.0, 8)),
            Err(WrongField::Step("x"))
        );
        assert_eq!(
            check(Field::line("", 0.0, 1.0, 1.0)),
            Err(WrongField::Name(""))
        );
        let fine = Field::line("x", 0.0, 1e10, 1.0);
        assert_eq!(check(fine), Err(WrongField::TooManyValues("x")));
    }

    #[test]
    fn a_schema_refuses_what_a_client_could_not_tell_apart() {
        let kind = |name, fields: &[Field]| Kind {
            name,
            fields: fields.to_vec(),
            priority: 1,
        };
        let x = Field::integer("x", 9);
        let mut schema = Schema::default();
        assert_eq!(schema.add(kind("rock", &[x])), Ok(0));
        let again = Err(SchemaError::KindName { kind: "rock" });
        assert_eq!(schema.add(kind("rock", &[])), again);
        let twice = Err(SchemaError::FieldTwice {
            kind: "tree",
            field: "x",
        });
        assert_eq!(schema.add(kind("tree", &[x, x])), twice);
        let urgent = Kind {
            priority: 9,
            ..kind("tree", &[x])
        };
        assert_eq!(
            schema.add(urgent),
            Err(SchemaError::Priority { kind: "tree" })
        );
        assert_eq!(schema.add(kind("tree", &[x])), Ok(1));
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
