//! Inputs in the form of lightyear's input message: those of the newest ticks, in case that earlier
//! messages were lost.

use std::collections::VecDeque;

use bevy_ecs::prelude::Entity;
use bevy_replicon::postcard_utils::to_extend_mut;
use gameserver_packets::put_varint;
use gameserver_shared::input::PlayerInput;
use lightyear::input::input_message::Compressed;
use serde::Serialize;

/// The bit that says that an entity's name is already the server's.
const MAPPED: u64 = 1 << 63;

/// The inputs of one player's newest ticks, the oldest first.
#[derive(Debug)]
pub(crate) struct Inputs<I> {
    newest: VecDeque<I>,
    ticks_per_message: usize,
    /// How many of them were in no message yet.
    unsent: u32,
}

/// `InputMessage` of `lightyear_inputs` 0.30.1, with the own avatar as its only target.
#[derive(Serialize)]
struct Message<'a, I> {
    interpolation_delay: Option<()>,
    end_tick: u32,
    inputs: &'a [(Target, &'a [Compressed<&'a I>])],
    rebroadcast: bool,
}

#[derive(Serialize)]
enum Target {
    Entity(u64),
}

impl<I: PlayerInput> Inputs<I> {
    pub(crate) fn new(ticks_per_message: u16) -> Self {
        let ticks_per_message = ticks_per_message.into();
        Self {
            newest: VecDeque::with_capacity(ticks_per_message),
            ticks_per_message,
            unsent: 0,
        }
    }

    /// Adds the next tick's.
    pub(crate) fn push(&mut self, input: I) {
        if self.newest.len() == self.ticks_per_message {
            self.newest.pop_front();
        }
        self.newest.push_back(input);
        self.unsent += 1;
    }

    /// How many were added since this was asked last.
    pub(crate) fn take_unsent(&mut self) -> u32 {
        std::mem::take(&mut self.unsent)
    }

    /// Writes the message, whose newest input is that of `end_tick`.
    pub(crate) fn write(
        &self,
        (kind, avatar): (u16, Entity),
        end_tick: u32,
        bytes: &mut Vec<u8>,
    ) -> Result<(), bevy_replicon::postcard::Error> {
        let mut before = None;
        let states: Vec<_> = self
            .newest
            .iter()
            .map(|input| match before.replace(input) {
                Some(before) if before == input => Compressed::SameAsPrecedent,
                _ => Compressed::Input(input),
            })
            .collect();
        put_varint(bytes, kind.into());
        let message = Message {
            interpolation_delay: None,
            end_tick,
            inputs: &[(Target::Entity(avatar.to_bits() | MAPPED), &states)],
            rebroadcast: false,
        };
        to_extend_mut(&message, bytes)
    }
}

#[cfg(test)]
mod tests {
    use bevy_ecs::entity::{EntityMapper, MapEntities};
    use bevy_reflect::Reflect;
    use gameserver_shared::input::{InputRefusal, PlayerAction};
    use lightyear::input::input_buffer::InputBuffer;
    use lightyear::input::input_message::{
        ActionStateSequence, InputMessage, InputTarget, PerTargetData,
    };
    use lightyear::prelude::input::native::NativeStateSequence;
    use lightyear::prelude::{RemoteEntityMap, Tick};
    use serde::Deserialize;

    use super::*;

    const TICKS_PER_MESSAGE: u16 = 5;

    #[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize, Reflect)]
    struct Push {
        way: i8,
        aim: u16,
    }

    impl MapEntities for Push {
        fn map_entities<M: EntityMapper>(&mut self, _: &mut M) {}
    }

    impl PlayerInput for Push {
        fn check(&self) -> Result<(), InputRefusal> {
            Ok(())
        }
    }

    /// What lightyear makes of the same inputs.
    fn by_lightyear(inputs: &[Push], end_tick: u32, avatar: Entity) -> Vec<u8> {
        let mut buffer = InputBuffer::<PlayerAction<Push>, Push>::default();
        let ages = (0..end_tick).take(inputs.len());
        for (input, age) in inputs.iter().zip(ages.rev()) {
            buffer.set(Tick(end_tick - age), PlayerAction(*input));
        }
        let ticks = inputs.len();
        let states =
            NativeStateSequence::build_from_input_buffer(&buffer, ticks, Tick(end_tick)).unwrap();
        let mut map = RemoteEntityMap::default();
        let local = Entity::from_raw_u32(1).unwrap();
        map.insert(avatar, local);
        let target = InputTarget::Entity(map.to_remote(local));
        let mut message = InputMessage::<NativeStateSequence<Push>>::new(Tick(end_tick));
        message.inputs.push(PerTargetData { target, states });
        let mut bytes = Vec::new();
        to_extend_mut(&message, &mut bytes).unwrap();
        bytes
    }

    #[test]
    fn a_message_is_byte_for_byte_what_lightyear_sends() {
        let push = |way, aim| Push { way, aim };
        let avatar = Entity::from_raw_u32(77).unwrap();
        let all = [
            push(1, 0),
            push(1, 0),
            push(-100, 40_000),
            push(-100, 40_000),
            push(-100, 40_001),
            push(0, 0),
            push(0, 0),
        ];
        let mut inputs = Inputs::new(TICKS_PER_MESSAGE);
        for (sent, input) in all.iter().enumerate() {
            inputs.push(*input);
            let end_tick = 299 + u32::try_from(sent).unwrap();
            let mut bytes = Vec::new();
            inputs.write((70, avatar), end_tick, &mut bytes).unwrap();
            let oldest = (sent + 1).saturating_sub(TICKS_PER_MESSAGE.into());
            let expected = by_lightyear(&all[oldest..=sent], end_tick, avatar);
            assert_eq!(bytes, [&[0x40, 70][..], &expected].concat(), "{sent}");
        }
    }
}
