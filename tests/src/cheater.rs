//! Two arena clients that a spec drives frame by frame: one modified to send any input message,
//! one honest, whose player stands still unless somebody else moves it.

use bevy_app::App;
use bevy_ecs::prelude::*;
use game_arena::{Arena, ArenaInput, Body};
use gameserver_client::connection::{ConnectionState, GameConnection};
use gameserver_client::headless::headless_client;
use gameserver_contract::ids::{MatchId, Seat};
use gameserver_shared::input::PlayerAction;
use gameserver_shared::player::Avatar;
use lightyear::input::input_buffer::InputBuffer;
use lightyear::input::input_message::{
    ActionStateSequence, InputMessage, InputTarget, PerTargetData,
};
use lightyear::prelude::input::InputChannel;
use lightyear::prelude::input::native::{InputMarker, NativeBuffer, NativeStateSequence};
use lightyear::prelude::{LocalTimeline, MessageSender, Tick};
use tokio::runtime::Handle;

use crate::patience::eventually;
use crate::stage::Stage;

/// What arena's clients send for their inputs.
pub type ArenaInputs = InputMessage<NativeStateSequence<ArenaInput>>;

/// Frames after which an input that was let through would have moved somebody: half a second.
const FRAMES_ENOUGH: u32 = 30;

/// The two clients.
pub struct Pair {
    cheater: App,
    victim: App,
    cheater_seat: Seat,
    victim_seat: Seat,
}

impl std::fmt::Debug for Pair {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let seats = (self.cheater_seat, self.victim_seat);
        f.debug_tuple("Pair").field(&seats).finish()
    }
}

impl Pair {
    /// Seats both and waits until each sees both.
    pub async fn join(stage: &Stage, match_id: MatchId) -> Self {
        let mut pair = Self {
            cheater: join(stage, match_id, 0),
            victim: join(stage, match_id, 1),
            cheater_seat: Seat(0),
            victim_seat: Seat(1),
        };
        eventually("both clients play and see each other", || {
            pair.frame();
            [&mut pair.cheater, &mut pair.victim]
                .into_iter()
                .all(|client| sees_both(client.world_mut()))
        })
        .await;
        silence(pair.cheater.world_mut());
        pair
    }

    fn frame(&mut self) {
        self.cheater.update();
        self.victim.update();
    }

    /// Sends an input message of the cheater's, again in each frame, until the spec has seen
    /// enough. The message is made anew each time, with the tick that the cheater simulates.
    pub async fn cheat_until(
        &mut self,
        what: &str,
        message: impl Fn(&Scene) -> ArenaInputs,
        mut enough: impl FnMut(&mut Self) -> bool,
    ) {
        eventually(what, || {
            self.cheat(&message);
            self.frame();
            enough(self)
        })
        .await;
    }

    /// Lets both play on, long enough for an input to have an effect.
    pub async fn play_on(&mut self) {
        let mut frames_left = FRAMES_ENOUGH;
        eventually("some frames pass", || {
            self.frame();
            frames_left -= 1;
            frames_left == 0
        })
        .await;
    }

    /// Lets both play on until the cheater simulates this tick.
    pub async fn play_until_tick(&mut self, tick: Tick) {
        eventually("the match comes so far", || {
            self.frame();
            self.cheater.world().resource::<LocalTimeline>().tick() >= tick
        })
        .await;
    }

    fn cheat(&mut self, message: impl Fn(&Scene) -> ArenaInputs) {
        let world = self.cheater.world_mut();
        let scene = Scene {
            own: avatar(world, self.cheater_seat).expect("the cheater plays"),
            victim: avatar(world, self.victim_seat).expect("the cheater sees the victim"),
            tick: world.resource::<LocalTimeline>().tick(),
        };
        let message = message(&scene);
        let mut senders = world.query::<&mut MessageSender<ArenaInputs>>();
        let mut sender = senders.single_mut(world).expect("one link to the instance");
        sender.send::<InputChannel>(message);
    }

    /// Where the cheater's own client has the cheater.
    #[must_use]
    pub fn cheaters_body(&mut self) -> Body {
        body(self.cheater.world_mut(), self.cheater_seat)
    }

    /// Where the victim's own client has the victim: predicted, and corrected by the instance.
    #[must_use]
    pub fn victims_body(&mut self) -> Body {
        body(self.victim.world_mut(), self.victim_seat)
    }

    /// True while both are connected.
    #[must_use]
    pub fn is_connected(&self) -> bool {
        [&self.cheater, &self.victim].into_iter().all(|client| {
            let state = client.world().resource::<GameConnection>().state();
            matches!(state, ConnectionState::Open { .. })
        })
    }
}

/// What the cheater knows.
#[derive(Debug, Clone, Copy)]
pub struct Scene {
    /// The cheater's avatar.
    pub own: Entity,
    /// The victim's avatar.
    pub victim: Entity,
    /// The tick that an honest message would be for.
    pub tick: Tick,
}

/// An input message that asks for the same input in so many ticks, the last being `end_tick`.
///
/// # Panics
///
/// When there are no ticks.
#[must_use]
pub fn inputs(
    target: InputTarget,
    input: ArenaInput,
    end_tick: Tick,
    tick_count: u32,
) -> ArenaInputs {
    let mut buffer = InputBuffer::<PlayerAction<ArenaInput>, ArenaInput>::default();
    // Counted from 1: the sequence carries no ticks, only the message does.
    for tick in 1..=tick_count {
        buffer.set(Tick(tick), PlayerAction(input));
    }
    let count = usize::try_from(tick_count).expect("a few ticks");
    let states = NativeStateSequence::build_from_input_buffer(&buffer, count, Tick(tick_count))
        .expect("the buffer has these ticks");
    let mut message = ArenaInputs::new(end_tick);
    message.inputs.push(PerTargetData { target, states });
    message
}

fn join(stage: &Stage, match_id: MatchId, seat: u16) -> App {
    let mut app = headless_client::<Arena>(Handle::current());
    let answer = stage.join(match_id, seat);
    app.world_mut()
        .resource_mut::<GameConnection>()
        .join(&answer);
    app
}

/// The modified client sends what the spec wants and nothing else, so that no honest input takes
/// back what a dishonest one did.
fn silence(world: &mut World) {
    let mut own = world.query_filtered::<Entity, With<InputMarker<ArenaInput>>>();
    let own = own.single(world).expect("one player has one avatar");
    world
        .entity_mut(own)
        .remove::<(InputMarker<ArenaInput>, NativeBuffer<ArenaInput>)>();
}

fn sees_both(world: &mut World) -> bool {
    let mut own = world.query_filtered::<(), With<InputMarker<ArenaInput>>>();
    let mut all = world.query_filtered::<(), (With<Avatar>, With<Body>)>();
    own.iter(world).count() == 1 && all.iter(world).count() == 2
}

fn avatar(world: &mut World, seat: Seat) -> Option<Entity> {
    let mut avatars = world.query::<(Entity, &Avatar)>();
    let mut rows = avatars.iter(world);
    rows.find(|(_, avatar)| avatar.seat == seat)
        .map(|row| row.0)
}

fn body(world: &mut World, seat: Seat) -> Body {
    let entity = avatar(world, seat).expect("the avatar is there");
    *world.get::<Body>(entity).expect("avatars have bodies")
}
