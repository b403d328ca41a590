//! Declarations that fit together, and those that do not.

use bevy_ecs::prelude::*;
use gameserver_stream::schema::{Audience, Field};
use serde::{Deserialize, Serialize};

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
                    "0", "1", "2", "3", "4", "5", "6", "7", "8", "9", "a", "b", "c", "d", "e", "f",
                    "g", "h", "i", "j", "k", "l", "m", "n", "o", "p", "q", "r", "s", "t", "u", "v",
                    "w",
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
