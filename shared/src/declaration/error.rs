//! What is wrong with a declaration.

use gameserver_stream::schema::{SchemaError, WrongField};

/// Why a game's state cannot be what it was declared to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum DeclarationError {
    /// A field cannot have any value, or too many.
    #[error("component {component}: {source}")]
    Field {
        /// The component.
        component: &'static str,
        /// What is wrong with the field.
        source: WrongField,
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
