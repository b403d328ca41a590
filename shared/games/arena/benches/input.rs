//! What it costs to read a thin player's frame of inputs, as a server does: the frame, each of its
//! inputs, and whether an honest client can send it.

mod crowd;

use criterion::{Criterion, criterion_group, criterion_main};
use crowd::{Crowd, TICKS_PER_DECISION};
use game_arena::ArenaInput;
use gameserver_shared::prelude::*;
use gameserver_shared::stream::frame::{Acks, ClientFrame, put_input};

/// Inputs in one frame: the newest, and those before it in case their frames were lost.
const INPUTS_PER_FRAME: usize = 3;
/// What a tick of a long match looks like.
const TICK: u32 = 20_000;

/// What each fighter of a battle would send in one tick.
fn frames() -> Vec<Vec<u8>> {
    let mut crowd = Crowd::fighting();
    let mut decided: Vec<Vec<Vec<u8>>> = Vec::new();
    for _ in 0..INPUTS_PER_FRAME {
        for _ in 0..TICKS_PER_DECISION {
            crowd.prepare();
            crowd.tick();
        }
        let world = crowd.app.world_mut();
        let mut actions = world.query::<&PlayerAction<ArenaInput>>();
        let encoded = actions.iter(world).map(|action| {
            // Plain numbers always have an encoding.
            rmp_serde::to_vec(&action.0).unwrap_or_default()
        });
        decided.push(encoded.collect());
    }
    let acks = Acks {
        newest: TICK / TICKS_PER_DECISION,
        before: u32::MAX,
    };
    let frame = |fighter: usize| {
        let inputs: Vec<&[u8]> = decided
            .iter()
            .map(|inputs| inputs[fighter].as_slice())
            .collect();
        let mut frame = Vec::new();
        put_input(&mut frame, TICK, &inputs, acks);
        frame
    };
    (0..decided[0].len()).map(frame).collect()
}

fn read(frame: &[u8]) -> Option<[ArenaInput; INPUTS_PER_FRAME]> {
    let Ok(ClientFrame::Input { inputs: raw, .. }) = ClientFrame::decode(frame) else {
        return None;
    };
    let mut inputs = [ArenaInput::default(); INPUTS_PER_FRAME];
    for (input, bytes) in inputs.iter_mut().zip(raw.as_slices()) {
        *input = rmp_serde::from_slice(bytes).ok()?;
        input.check().ok()?;
    }
    Some(inputs)
}

/// `cargo xtask bench --counts` counts what is done in functions whose names begin like this.
#[inline(never)]
fn measured(frame: &[u8]) -> Option<[ArenaInput; INPUTS_PER_FRAME]> {
    read(frame)
}

fn input(criterion: &mut Criterion) {
    let frames = frames();
    assert!(frames.iter().all(|frame| read(frame).is_some()));
    let mut next = frames.iter().cycle();
    criterion.bench_function("input decode, a frame of 3", |bencher| {
        bencher.iter(|| next.next().map(|frame| measured(frame)));
    });
}

criterion_group!(benches, input);
criterion_main!(benches);
