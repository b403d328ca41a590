//! The declaration of one component, and what the engine makes of it once its type is erased.

use std::any::TypeId;
use std::fmt::{self, Debug};

use bevy_app::prelude::*;
use bevy_ecs::component::Mutable;
use bevy_ecs::prelude::*;
use bevy_ecs::schedule::ScheduleConfigs;
use bevy_ecs::system::ScheduleSystem;
use gameserver_stream::schema::{Audience, Field};
use lightyear::prelude::{
    AppComponentExt as _, AppInterpolationExt as _, InterpolationFns, PredictionBuilderExt as _,
};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::error::DeclarationError;
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
pub(crate) type FieldReader = Box<dyn Fn(EntityRef<'_>) -> Option<f32> + Send + Sync>;

#[expect(
    clippy::cast_possible_truncation,
    reason = "a bot needs no more than an f32 has"
)]
fn reading<C: MatchState>(index: usize) -> FieldReader {
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
pub(super) struct DeclaredComponent {
    pub(super) name: &'static str,
    pub(super) id: TypeId,
    pub(super) is_predicted: bool,
    pub(super) fields: Vec<Field>,
    /// What both sides must agree on.
    pub(super) summary: String,
    pub(super) replicate: fn(&mut App),
    pub(super) recorded: Recorded,
    pub(super) enter: fn(u8) -> ScheduleConfigs<ScheduleSystem>,
    pub(super) capture: fn(u8, usize) -> ScheduleConfigs<ScheduleSystem>,
    pub(super) reading: fn(usize) -> FieldReader,
}

impl DeclaredComponent {
    pub(super) fn of<C: MatchState>() -> Result<Self, DeclarationError> {
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
