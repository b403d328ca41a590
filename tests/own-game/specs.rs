//! A program with a game of its own has what the sample binary has, and nothing of its games.

use gameserver_client_sim::lobby::Lobby;
use gameserver_contract::session::{CreateSession, JoinSession};
use gameserver_tests::program::Program;

const PROGRAM: Program = Program(env!("CARGO_BIN_EXE_own-game"));

fn session_of(game: &str) -> CreateSession {
    CreateSession {
        game: game.to_owned(),
        ..CreateSession::default()
    }
}

#[tokio::test]
async fn a_session_of_a_game_of_ones_own_is_opened_and_joined_over_rest() {
    let (_dev, api) = PROGRAM.dev(&[]);
    let lobby = Lobby::new(&api).expect("an HTTP client");
    let ann = lobby.log_in_as_guest().await.expect("a guest login");
    let session = ann.create_session(&session_of("line")).await;
    let session = session.expect("a session");
    assert_eq!(
        (session.game.as_str(), session.mode.as_str()),
        ("line", "walk")
    );
    let join = ann.join(session.id, &JoinSession::default()).await;
    let join = join.expect("a ticket");
    assert!(join.seat.is_some());
    assert!(!join.transports.is_empty(), "its instance is up");
    let foreign = ann.create_session(&session_of("arena")).await;
    assert!(foreign.is_err(), "the sample games are not in it");
}

#[test]
fn commands_that_need_bots_say_that_there_are_none() {
    for command in ["bots", "load"] {
        let (code, _, err) = PROGRAM.run(&[command], &[]);
        assert_eq!(code, 2, "{err}");
        assert!(err.contains("no game of this program has bots"), "{err}");
    }
    let (code, out, err) = PROGRAM.run(&["config", "print"], &[]);
    assert_eq!(code, 0, "{err}");
    assert!(out.contains("instance.matches_max"), "{out}");
}
