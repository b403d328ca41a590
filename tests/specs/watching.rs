//! Spectators: any number, at any time, outside of the seats; each sees what their ticket grants,
//! as late as it says.

use std::time::Duration;

use game_arena::{Arena, ArenaInput};
use gameserver_contract::ids::MatchId;
use gameserver_contract::session::TransportKind::{Quic, WebSocket, WebTransport};
use gameserver_contract::spectator::{SpectatorClaim, SpectatorView};
use gameserver_server::HostedGames;
use gameserver_shared::flow::MatchSettings;
use gameserver_shared::stream::frame;
use gameserver_tests::patience::eventually;
use gameserver_tests::raw_player::{RawPlayer, refusal};
use gameserver_tests::stage::Stage;
use gameserver_tests::thin_player::ThinPlayer;
use gameserver_transport::close::{CloseCode, RefusalCode};
use gameserver_transport::frame::Credential;

const EVERYTHING: SpectatorClaim = SpectatorClaim {
    view: SpectatorView::All,
    team: None,
    delay_s: 0,
};
const TICKS_PER_S: u32 = 60;

fn arena() -> HostedGames {
    let games = HostedGames::default().with::<Arena>();
    games.expect("arena is consistent")
}

/// A match whose seats are all taken, and that goes on.
struct Show {
    stage: Stage,
    match_id: MatchId,
    players: Vec<ThinPlayer>,
}

impl Show {
    async fn of(players: u16) -> Self {
        Self::shown_after(0, players).await
    }

    /// In a session whose spectators are so many seconds late.
    async fn shown_after(delay_s: u64, players: u16) -> Self {
        let stage = Stage::open(arena(), 1);
        let settings = MatchSettings {
            mode: "ffa".to_owned(),
            players_min: 1,
            players_max: players,
            tick_rate_hz: 60,
            seed: 7,
        };
        let delay = Duration::from_secs(delay_s);
        let match_id = stage.start_match_shown_after(delay, "arena", settings);
        let mut seated = Vec::new();
        for seat in 0..players {
            seated.push(ThinPlayer::join(&stage.join(match_id, seat), Quic).await);
        }
        Self {
            stage,
            match_id,
            players: seated,
        }
    }

    /// Plays on until something is so.
    async fn until(&mut self, what: &str, mut is_so: impl FnMut(&[ThinPlayer]) -> bool) {
        eventually(what, || {
            for player in &mut self.players {
                player.look();
                let stick_x = [80, -80][(player.tick() / 90 % 2) as usize];
                player.press(&ArenaInput {
                    stick_x,
                    ..ArenaInput::default()
                });
            }
            is_so(&self.players)
        })
        .await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_spectator_sees_all_fighters_of_a_full_match_on_every_transport() {
    let mut show = Show::of(4).await;
    for kind in [Quic, WebTransport, WebSocket] {
        let answer = show.stage.watch(show.match_id, EVERYTHING);
        let mut watcher = ThinPlayer::join(&answer, kind).await;
        show.until("the spectator sees everybody", |_| {
            watcher.look();
            watcher.entities().count() == 4 && watcher.snapshots > 20
        })
        .await;
        let joined = watcher.events.iter().filter(|event| event.name == "joined");
        let names = joined.flat_map(|event| {
            let names: Vec<(u16, String)> = rmp_serde::from_slice(&event.payload).unwrap();
            names
        });
        assert!(names.count() >= 4, "how things stand was not told");
        assert!(watcher.heard("phase").is_some());
        // What only its owner sees, a spectator of everything sees too.
        assert_eq!(watcher.field_of_seat(2, "ammunition"), Some(12.0));
    }
    assert_eq!(show.stage.summary(show.match_id).seats.len(), 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_teams_spectator_sees_what_the_team_sees_and_no_more() {
    let mut show = Show::of(4).await;
    let watch = SpectatorClaim {
        view: SpectatorView::Team,
        team: Some(1),
        delay_s: 0,
    };
    let answer = show.stage.watch(show.match_id, watch);
    let mut watcher = ThinPlayer::join(&answer, Quic).await;
    let mut compared = 0;
    show.until(
        "the spectator saw what the player saw for two seconds",
        |players| {
            watcher.look();
            if watcher.tick() == players[1].tick() && watcher.snapshots > 0 {
                let ids =
                    |player: &ThinPlayer| player.entities().map(|row| row.0).collect::<Vec<_>>();
                assert_eq!(ids(&watcher), ids(&players[1]));
                compared += 1;
            }
            compared >= 40
        },
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_delayed_spectator_is_never_told_anything_before_its_time() {
    let mut show = Show::of(2).await;
    let watch = SpectatorClaim {
        delay_s: 1,
        ..EVERYTHING
    };
    let answer = show.stage.watch(show.match_id, watch);
    let mut watcher = ThinPlayer::join(&answer, Quic).await;
    let mut closest = u32::MAX;
    show.until("the delayed spectator saw a second of play", |players| {
        let told_before = watcher.tick();
        watcher.look();
        if watcher.tick() > told_before {
            // The player's snapshot may itself be a little old: that makes it closer, not farther.
            closest = closest.min(players[0].tick() - watcher.tick().min(players[0].tick()));
        }
        watcher.snapshots > 20
    })
    .await;
    assert!(closest + 6 >= TICKS_PER_S, "it was {closest} ticks behind");
    assert!(closest < 2 * TICKS_PER_S, "it was {closest} ticks behind");
}

/// Longer than what is kept without anybody's wish, which is 5 s.
const LONG_DELAY_S: u16 = 8;

#[tokio::test(flavor = "multi_thread")]
async fn the_first_delayed_spectator_of_a_session_sees_at_once_what_is_old_enough() {
    let mut show = Show::shown_after(LONG_DELAY_S.into(), 2).await;
    let delay = u32::from(LONG_DELAY_S) * TICKS_PER_S;
    show.until(
        "the match is older than the delay and a key frame",
        |players| players[0].tick() > delay + 3 * TICKS_PER_S,
    )
    .await;
    let watch = SpectatorClaim {
        delay_s: LONG_DELAY_S,
        ..EVERYTHING
    };
    let came = show.players[0].tick();
    let answer = show.stage.watch(show.match_id, watch);
    let mut watcher = ThinPlayer::join(&answer, Quic).await;
    let mut saw = 0;
    show.until("the spectator sees something", |players| {
        watcher.look();
        saw = players[0].tick();
        watcher.snapshots > 0
    })
    .await;
    let (waited, behind) = (saw - came, saw.saturating_sub(watcher.tick()));
    assert!(waited < TICKS_PER_S, "it waited {waited} ticks");
    assert!(behind + 6 >= delay, "it was {behind} ticks behind");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_spectator_cannot_play_and_may_go_when_they_like() {
    let mut show = Show::of(2).await;
    let answer = show.stage.watch(show.match_id, EVERYTHING);
    let mut watcher = ThinPlayer::join(&answer, WebSocket).await;
    let before = show.players[0].events.len();
    let mut chat = Vec::new();
    frame::put_chat(&mut chat, "I am not here");
    watcher.say(chat);
    watcher.press(&ArenaInput::default());
    show.until("the spectator watches", |_| {
        watcher.look();
        watcher.snapshots > 40
    })
    .await;
    assert!(show.players[0].heard("chat").is_none());
    assert!(show.players[0].events.len() >= before);
    let counted = show.stage.summary(show.match_id).spectators;
    assert_eq!(counted, 1);
    let mut leave = Vec::new();
    frame::put_leave(&mut leave);
    watcher.say(leave);
    assert_eq!(watcher.raw.closed().await.code, CloseCode::Consented);
    show.stage
        .shows(show.match_id, "the spectator is counted out", |facts| {
            facts.spectators == 0
        })
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_end_of_the_match_is_the_end_of_the_show() {
    let mut show = Show::of(2).await;
    let answer = show.stage.watch(show.match_id, EVERYTHING);
    let mut watcher = ThinPlayer::join(&answer, Quic).await;
    show.until("the spectator watches", |_| {
        watcher.look();
        watcher.snapshots > 5
    })
    .await;
    assert_eq!(show.stage.host.stop_match(show.match_id), Ok(true));
    assert_eq!(watcher.raw.closed().await.code, CloseCode::MatchOver);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_native_client_may_not_watch() {
    let stage = Stage::open(arena(), 1);
    let match_id = stage.start_match("arena", 1, 2);
    let answer = stage.watch(match_id, EVERYTHING);
    let hello = stage.hello(Credential::Ticket(answer.ticket.clone()));
    let joined = RawPlayer::say_hello(&answer.transports, hello, Quic).await;
    assert_eq!(refusal(joined), RefusalCode::ProtocolMismatch);
}
