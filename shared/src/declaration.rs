//! What a game's state consists of, declared once for each component: which fields thin clients
//! see, how native clients treat it, and that the match log records it. lightyear's registration,
//! the snapshot schema and the recorded state all follow from this one declaration.
//!
//! It needs no App to be read, so that a game is checked before any match of it is built.

use std::any::TypeId;
use std::fmt::{self, Debug};

use bevy_app::prelude::*;
use bevy_ecs::component::Mutable;
use bevy_ecs::prelude::*;
use bevy_ecs::schedule::ScheduleConfigs;
use bevy_ecs::system::ScheduleSystem;
use gameserver_stream::schema::{Audience, Field, FieldError, Kind, Schema, SchemaError};
use lightyear::prelude::{
    AppComponentExt as _, AppInterpolationExt as _, InterpolationFns, PredictionBuilderExt as _,
};
use serde::Serialize;
use serde::de::DeserializeOwned;
use xxhash_rust::xxh3::xxh3_64;

use crate::game::Game;
use crate::snapshot;
use crate::state::{self, Recorded};

/// A component that is part of a match's state.
pub trait MatchState:
    Component<Mutability = Mutable> + Clone + PartialEq + Debug + Serialize + DeserializeOwned
{
    /// States everything that the engine has to know of it. Without a word it stays on the server
    /// and is recorded.
    fn declare(component: Declaration<Self>) -> Declaration<Self>;
}

/// One component's declaration.
pub struct Declaration<C: MatchState> {
    is_replicated: bool,
    is_predicted: bool,
    interpolate: Option<fn(C, C, f32) -> C>,
    fields: Vec<Field>,
    pub(crate) columns: Vec<Column<C>>,
}

/// Turns a component into the step of one field.
pub(crate) type Column<C> = Box<dyn Fn(&C) -> u32 + Send + Sync>;

impl<C: MatchState> Debug for Declaration<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct(state::short_name::<C>())
            .field("is_replicated", &self.is_replicated)
            .field("is_predicted", &self.is_predicted)
            .field("is_interpolated", &self.interpolate.is_some())
            .field("fields", &self.fields)
            .finish_non_exhaustive()
    }
}

impl<C: MatchState> Declaration<C> {
    pub(crate) fn read() -> Self {
        C::declare(Self {
            is_replicated: false,
            is_predicted: false,
            interpolate: None,
            fields: Vec::new(),
            columns: Vec::new(),
        })
    }

    /// Native clients receive it, whenever it changes.
    #[must_use]
    pub fn replicated(self) -> Self {
        Self {
            is_replicated: true,
            ..self
        }
    }

    /// Native clients receive it, and its own player's client simulates it ahead of the server.
    #[must_use]
    pub fn predicted(self) -> Self {
        Self {
            is_replicated: true,
            is_predicted: true,
            ..self
        }
    }

    /// Native clients receive it, and show other players' between two received states: from the
    /// first to the second by a share of 0 to 1.
    #[must_use]
    pub fn interpolated(self, between: fn(C, C, f32) -> C) -> Self {
        Self {
            is_replicated: true,
            interpolate: Some(between),
            ..self
        }
    }

    /// Thin clients, spectators and replays see this number of it. What changes most often comes
    /// first: low bits of a mask are short.
    #[must_use]
    pub fn field<V: Into<f64>>(
        mut self,
        field: Field,
        value: impl Fn(&C) -> V + Send + Sync + 'static,
    ) -> Self {
        self.fields.push(field);
        let column = move |component: &C| field.quantise(value(component).into());
        self.columns.push(Box::new(column));
        self
    }

    fn check(&self) -> Result<(), DeclarationError> {
        let component = state::short_name::<C>();
        for (index, field) in self.fields.iter().enumerate() {
            let in_component = |source| DeclarationError::Field { component, source };
            field.check().map_err(in_component)?;
            let (earlier, name) = (&self.fields[..index], field.name);
            if earlier.iter().any(|other| other.name == name) {
                return Err(DeclarationError::FieldTwice { component, name });
            }
            if self.interpolate.is_some() && field.audience != Audience::All {
                return Err(DeclarationError::HiddenButInterpolated { component, name });
            }
        }
        Ok(())
    }
}

/// Reads one field of an entity as it is shown; none when it does not have the component.
pub(crate) type Reading = Box<dyn Fn(EntityRef<'_>) -> Option<f32> + Send + Sync>;

#[expect(
    clippy::cast_possible_truncation,
    reason = "a bot needs no more than an f32 has"
)]
fn reading<C: MatchState>(index: usize) -> Reading {
    let mut declared = Declaration::<C>::read();
    let column = declared.columns.swap_remove(index);
    let field = declared.fields[index];
    Box::new(move |entity: EntityRef<'_>| Some(field.meaning(column(entity.get::<C>()?)) as f32))
}

/// Registers a component with lightyear, as both sides do in the same order.
fn replicate<C: MatchState>(app: &mut App) {
    let declared = Declaration::<C>::read();
    if !declared.is_replicated {
        return;
    }
    let component = app.component::<C>().replicate();
    if declared.is_predicted {
        component.predict();
    }
    if let Some(between) = declared.interpolate {
        app.interpolate_with::<C>(InterpolationFns::interpolate(between));
    }
}

/// A component whose type is erased.
struct Member {
    name: &'static str,
    id: TypeId,
    is_predicted: bool,
    fields: Vec<Field>,
    /// What both sides must agree on.
    summary: String,
    replicate: fn(&mut App),
    recorded: Recorded,
    enter: fn(u8) -> ScheduleConfigs<ScheduleSystem>,
    capture: fn(u8, usize) -> ScheduleConfigs<ScheduleSystem>,
    reading: fn(usize) -> Reading,
}

impl Member {
    fn of<C: MatchState>() -> Result<Self, DeclarationError> {
        let declared = Declaration::<C>::read();
        declared.check()?;
        Ok(Self {
            name: state::short_name::<C>(),
            id: TypeId::of::<C>(),
            is_predicted: declared.is_predicted,
            summary: format!("{declared:?}"),
            fields: declared.fields,
            replicate: replicate::<C>,
            recorded: Recorded::component::<C>(),
            enter: snapshot::enter::<C>,
            capture: snapshot::capture::<C>,
            reading: reading::<C>,
        })
    }
}

/// A kind of entity that thin clients see.
struct DeclaredKind {
    name: &'static str,
    priority: u8,
    has_seat: bool,
    /// Indices of components; the first one decides which entities are of this kind.
    members: Vec<usize>,
}

/// Collects what a game declares; [`Game::state`] fills it.
#[derive(Default)]
pub struct StateBuilder {
    members: Vec<Member>,
    kinds: Vec<DeclaredKind>,
    resources: Vec<Recorded>,
    rules_hash: u64,
    error: Option<DeclarationError>,
}

impl Debug for StateBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = self.members.iter().map(|member| member.name);
        f.debug_list().entries(names).finish()
    }
}

impl StateBuilder {
    /// Entities of players, as thin clients see them: the fields of its components, and last the
    /// field `seat`, by which a client knows its own.
    pub fn avatar(&mut self, name: &'static str) -> KindBuilder<'_> {
        self.add_kind(name, true)
    }

    /// Other entities that thin clients see.
    pub fn kind(&mut self, name: &'static str) -> KindBuilder<'_> {
        self.add_kind(name, false)
    }

    fn add_kind(&mut self, name: &'static str, has_seat: bool) -> KindBuilder<'_> {
        self.kinds.push(DeclaredKind {
            name,
            priority: 1,
            has_seat,
            members: Vec::new(),
        });
        KindBuilder { state: self }
    }

    /// A component that thin clients do not see.
    pub fn component<C: MatchState>(&mut self) -> &mut Self {
        self.add_member::<C>();
        self
    }

    /// A resource that decides ticks to come.
    pub fn resource<R>(&mut self) -> &mut Self
    where
        R: Resource<Mutability = Mutable> + Serialize + DeserializeOwned,
    {
        self.resources.push(Recorded::resource::<R>());
        self
    }

    /// The game's numbers, as it reads them: a match log of a game with other numbers cannot be
    /// verified.
    pub fn rules(&mut self, rules: &[u8]) -> &mut Self {
        self.rules_hash = xxh3_64(rules);
        self
    }

    fn add_member<C: MatchState>(&mut self) -> Option<usize> {
        let id = TypeId::of::<C>();
        if let Some(known) = self.members.iter().position(|member| member.id == id) {
            return Some(known);
        }
        match Member::of::<C>() {
            Ok(member) => self.members.push(member),
            Err(error) => {
                self.error.get_or_insert(error);
                return None;
            }
        }
        Some(self.members.len() - 1)
    }

    fn finish<Motion: MatchState>(mut self) -> Result<StateSchema, DeclarationError> {
        if let Some(error) = self.error.take() {
            return Err(error);
        }
        let mut names: Vec<_> = self.members.iter().map(|member| member.name).collect();
        names.extend(self.resources.iter().map(|resource| resource.name));
        names.sort_unstable();
        if let Some(pair) = names.windows(2).find(|pair| pair[0] == pair[1]) {
            return Err(DeclarationError::NameTwice { name: pair[0] });
        }
        let is_motion =
            |member: &Member| member.is_predicted && member.id == TypeId::of::<Motion>();
        if !self.members.iter().any(is_motion) {
            let component = state::short_name::<Motion>();
            return Err(DeclarationError::MotionNotPredicted { component });
        }
        let snapshots = self.snapshot_schema()?;
        let Self {
            members,
            kinds,
            mut resources,
            rules_hash,
            ..
        } = self;
        let mut order: Vec<usize> = (0..members.len()).collect();
        order.sort_unstable_by_key(|index| members[*index].name);
        resources.sort_unstable_by_key(|resource| resource.name);
        Ok(StateSchema {
            members,
            order,
            kinds,
            resources,
            rules_hash,
            snapshots,
        })
    }

    fn snapshot_schema(&self) -> Result<Schema, DeclarationError> {
        let mut schema = Schema::default();
        for (index, kind) in self.kinds.iter().enumerate() {
            let kind_name = kind.name;
            let Some(first) = kind.members.first() else {
                return Err(DeclarationError::EmptyKind { kind: kind_name });
            };
            let first_of = |other: &DeclaredKind| other.members.first() == Some(first);
            if self.kinds[..index].iter().any(first_of) {
                let component = self.members[*first].name;
                return Err(DeclarationError::TwoKinds { component });
            }
            let members = kind.members.iter().map(|member| &self.members[*member]);
            let mut fields: Vec<_> = members.flat_map(|member| member.fields.clone()).collect();
            if kind.has_seat {
                fields.push(snapshot::SEAT);
            }
            schema.add(Kind {
                name: kind_name,
                fields,
                priority: kind.priority,
            })?;
        }
        Ok(schema)
    }
}

/// Adds components to the kind that was declared last.
#[derive(Debug)]
pub struct KindBuilder<'a> {
    state: &'a mut StateBuilder,
}

impl KindBuilder<'_> {
    /// Entities of the kind have this component. The first one decides which are of the kind.
    pub fn with<C: MatchState>(&mut self) -> &mut Self {
        let added = self.state.add_member::<C>();
        if let (Some(member), Some(kind)) = (added, self.state.kinds.last_mut()) {
            if kind.members.contains(&member) {
                let component = state::short_name::<C>();
                let error = DeclarationError::ComponentTwice { component };
                self.state.error.get_or_insert(error);
            }
            kind.members.push(member);
        }
        self
    }

    /// How much sooner than others it is sent when not everything fits: 1 to 8, 1 unless set.
    pub fn priority(&mut self, priority: u8) -> &mut Self {
        if let Some(kind) = self.state.kinds.last_mut() {
            kind.priority = priority;
        }
        self
    }
}

/// A game's state, as it was declared and found to be free of contradictions.
pub struct StateSchema {
    members: Vec<Member>,
    /// Indices of the components, by name: the order of registration on both sides.
    order: Vec<usize>,
    kinds: Vec<DeclaredKind>,
    resources: Vec<Recorded>,
    rules_hash: u64,
    snapshots: Schema,
}

impl Debug for StateSchema {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = self.sorted().map(|member| member.name);
        f.debug_list().entries(names).finish()
    }
}

impl StateSchema {
    /// Reads a game's declaration.
    ///
    /// # Errors
    ///
    /// The declaration contradicts itself.
    pub fn of<G: Game>() -> Result<Self, DeclarationError> {
        let mut state = StateBuilder::default();
        G::state(&mut state);
        state.finish::<G::Motion>()
    }

    /// The same for those who build an App of a game.
    ///
    /// # Panics
    ///
    /// When the declaration contradicts itself; a server refuses such a game before.
    #[must_use]
    #[expect(clippy::panic, reason = "no App can be built of such a game")]
    pub fn checked<G: Game>() -> Self {
        match Self::of::<G>() {
            Ok(schema) => schema,
            Err(error) => panic!("the state of the game contradicts itself: {error}"),
        }
    }

    fn sorted(&self) -> impl Iterator<Item = &Member> {
        self.order.iter().map(|index| &self.members[*index])
    }

    /// What thin clients, spectators and replays see.
    #[must_use]
    pub fn snapshots(&self) -> &Schema {
        &self.snapshots
    }

    /// One number for each component, by name: builds that declare it otherwise have another.
    pub fn component_hashes(&self) -> impl Iterator<Item = (&'static str, u64)> {
        let hash = |member: &Member| (member.name, xxh3_64(member.summary.as_bytes()));
        self.sorted().map(hash)
    }

    /// The whole declaration as one number.
    #[must_use]
    pub fn hash(&self) -> u64 {
        let components: Vec<_> = self.component_hashes().collect();
        xxh3_64(format!("{components:?} {:?}", self.snapshots).as_bytes())
    }

    /// Registers what native clients receive, on server and clients alike.
    pub(crate) fn replicate(&self, app: &mut App) {
        self.sorted().for_each(|member| (member.replicate)(app));
    }

    /// What the match log records, and the hash of the game's numbers.
    pub(crate) fn recorded(&self) -> (impl Iterator<Item = Recorded>, u64) {
        let components = self.sorted().map(|member| member.recorded);
        let recorded = components.chain(self.resources.iter().copied());
        (recorded, self.rules_hash)
    }

    /// How an avatar's field of that name is read.
    pub(crate) fn reading(&self, name: &str) -> Option<Reading> {
        let mut avatars = self.kinds.iter().filter(|kind| kind.has_seat);
        let members = avatars.next()?.members.iter();
        members
            .map(|member| &self.members[*member])
            .find_map(|member| {
                let mut fields = member.fields.iter();
                let index = fields.position(|field| field.name == name)?;
                Some((member.reading)(index))
            })
    }

    /// The systems that turn components into snapshots.
    pub(crate) fn capture_systems(&self) -> Vec<ScheduleConfigs<ScheduleSystem>> {
        let mut systems = Vec::new();
        for (kind, index) in self.kinds.iter().zip(0_u8..) {
            let mut offset = 0;
            systems.push((self.members[kind.members[0]].enter)(index));
            for member in kind.members.iter().map(|member| &self.members[*member]) {
                systems.push((member.capture)(index, offset));
                offset += member.fields.len();
            }
            if kind.has_seat {
                systems.push(snapshot::capture_seat(index, offset));
            }
        }
        systems
    }
}

/// Why a game's state cannot be what it was declared to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum DeclarationError {
    /// A field cannot have any value, or too many.
    #[error("component {component}: {source}")]
    Field {
        /// The component.
        component: &'static str,
        /// What is wrong with the field.
        source: FieldError,
    },
    /// Two fields of a component have one name.
    #[error("component {component} declares field {name} twice")]
    FieldTwice {
        /// The component.
        component: &'static str,
        /// The field.
        name: &'static str,
    },
    /// A field that is not for all belongs to a component that all receive and show.
    #[error(
        "component {component} is interpolated by everybody, but its field {name} is not for all: \
         move the field to another component"
    )]
    HiddenButInterpolated {
        /// The component.
        component: &'static str,
        /// The field.
        name: &'static str,
    },
    /// A kind has a component more than once.
    #[error("component {component} is twice in one kind of entities")]
    ComponentTwice {
        /// The component.
        component: &'static str,
    },
    /// Two components or resources have one name, so that no order of registration follows.
    #[error("two components or resources are called {name}: rename one")]
    NameTwice {
        /// The name.
        name: &'static str,
    },
    /// Two kinds begin with the same component.
    #[error("two kinds of entities begin with component {component}: it decides which is which")]
    TwoKinds {
        /// The component.
        component: &'static str,
    },
    /// A kind has no component.
    #[error("no component tells which entities are of kind {kind}")]
    EmptyKind {
        /// The kind.
        kind: &'static str,
    },
    /// The game's motion is not predicted.
    #[error("component {component} is the game's motion, but is not declared as predicted")]
    MotionNotPredicted {
        /// The component.
        component: &'static str,
    },
    /// The snapshots have no room for a kind.
    #[error(transparent)]
    Snapshots(#[from] SchemaError),
}

/// The hash of the declared state, for the fingerprint of an App.
#[derive(Resource, Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct StateSchemaHash(pub(crate) u64);

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    #[derive(Component, Debug, Clone, PartialEq, Serialize, Deserialize)]
    struct Spot(f32);

    impl MatchState for Spot {
        fn declare(spot: Declaration<Self>) -> Declaration<Self> {
            spot.predicted()
                .interpolated(|from, _, _| from)
                .field(Field::line("x", 0.0, 10.0, 0.5), |spot| spot.0)
        }
    }

    /// Declares what its number says.
    #[derive(Component, Debug, Clone, PartialEq, Serialize, Deserialize)]
    struct Odd<const CASE: u8>;

    impl<const CASE: u8> MatchState for Odd<CASE> {
        fn declare(odd: Declaration<Self>) -> Declaration<Self> {
            let own = Field::integer("own", 9).shown_to(Audience::Owner);
            match CASE {
                0 => odd,
                1 => odd.field(Field::line("z", 1.0, 0.0, 1.0), |_| 0.0),
                2 => odd.field(Field::line("z", 0.0, 1.0, 0.0), |_| 0.0),
                3 => odd.interpolated(|from, _, _| from).field(own, |_| 0.0),
                4 => odd.field(own, |_| 0.0).field(own, |_| 1.0),
                5 => odd.field(Field::integer("x", 9), |_| 0.0),
                _ => {
                    let names = [
                        "0", "1", "2", "3", "4", "5", "6", "7", "8", "9", "a", "b", "c", "d", "e",
                        "f", "g", "h", "i", "j", "k", "l", "m", "n", "o", "p", "q", "r", "s", "t",
                        "u", "v", "w",
                    ];
                    let add =
                        |odd: Declaration<Self>, name| odd.field(Field::integer(name, 9), |_| 0.0);
                    names.into_iter().fold(odd, add)
                }
            }
        }
    }

    mod elsewhere {
        use super::*;

        #[derive(Component, Debug, Clone, PartialEq, Serialize, Deserialize)]
        pub(super) struct Spot;

        impl MatchState for Spot {
            fn declare(spot: Declaration<Self>) -> Declaration<Self> {
                spot
            }
        }
    }

    fn declare(game: impl Fn(&mut StateBuilder)) -> Result<StateSchema, String> {
        let mut state = StateBuilder::default();
        game(&mut state);
        state.finish::<Spot>().map_err(|error| error.to_string())
    }

    /// What is said of a kind whose second component is that odd one.
    fn refusal<const CASE: u8>() -> String {
        let declared = declare(|state| {
            state.avatar("walker").with::<Spot>().with::<Odd<CASE>>();
        });
        declared.expect_err("it contradicts itself")
    }

    #[test]
    fn a_contradiction_is_refused_with_the_name_of_its_component() {
        assert_eq!(
            refusal::<1>(),
            "component Odd<1>: the range of field z is empty"
        );
        assert!(refusal::<2>().starts_with("component Odd<2>: the step of field z"));
        assert!(refusal::<3>().starts_with("component Odd<3> is interpolated by everybody"));
        assert_eq!(refusal::<4>(), "component Odd<4> declares field own twice");
        assert_eq!(refusal::<5>(), "kind walker has field x twice");
        assert_eq!(refusal::<6>(), "kind walker has more than 32 fields");
    }

    #[test]
    fn kinds_that_cannot_be_told_apart_are_refused() {
        let twice = declare(|state| {
            state.avatar("walker").with::<Spot>().with::<Spot>();
        });
        let twice = twice.expect_err("one component twice");
        assert_eq!(twice, "component Spot is twice in one kind of entities");
        let alike = declare(|state| {
            state.avatar("walker").with::<Spot>();
            state.kind("rock").with::<Spot>();
        });
        let alike = alike.expect_err("two kinds alike");
        assert!(alike.starts_with("two kinds of entities begin with component Spot"));
        let empty = declare(|state| {
            state.component::<Spot>().kind("rock");
        });
        let empty = empty.expect_err("an empty kind");
        assert_eq!(empty, "no component tells which entities are of kind rock");
    }

    #[test]
    fn a_name_that_two_components_have_is_refused() {
        let declared = declare(|state| {
            state.component::<Spot>().component::<elsewhere::Spot>();
        });
        let error = declared.expect_err("two components of one name");
        assert!(error.contains("called Spot"), "{error}");
    }

    #[test]
    fn a_motion_that_is_not_predicted_is_refused() {
        let declared = declare(|state| {
            state.component::<Odd<0>>();
        });
        let error = declared.expect_err("nothing is predicted");
        assert!(
            error.starts_with("component Spot is the game's motion"),
            "{error}"
        );
    }

    #[test]
    fn components_are_registered_by_name_and_shown_as_they_were_declared() {
        let one = declare(|state| {
            state.component::<Spot>().component::<Odd<0>>();
            state.avatar("walker").with::<Spot>();
        });
        let other = declare(|state| {
            state.component::<Odd<0>>();
            state.avatar("walker").with::<Spot>();
        });
        let (one, other) = (one.unwrap(), other.unwrap());
        assert_eq!(format!("{one:?}"), r#"["Odd<0>", "Spot"]"#);
        assert_eq!(one.hash(), other.hash(), "the order of words means nothing");
        let fields = &one.snapshots().kinds[0].fields;
        let names: Vec<_> = fields.iter().map(|field| field.name).collect();
        assert_eq!(names, ["x", "seat"]);
    }

    #[test]
    fn what_differs_in_a_field_has_another_hash_under_its_name() {
        let hashes = |schema: StateSchema| schema.component_hashes().collect::<Vec<_>>();
        let mut state = StateBuilder::default();
        state.component::<Spot>();
        let first = hashes(state.finish::<Spot>().unwrap());
        let mut other = StateBuilder::default();
        other.component::<Spot>();
        other.members[0].summary.push_str("another step");
        let second = hashes(other.finish::<Spot>().unwrap());
        assert_eq!(first[0].0, second[0].0);
        assert_ne!(first[0].1, second[0].1);
    }
}
