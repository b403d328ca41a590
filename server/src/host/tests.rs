//! Who is admitted to which seat, and what frees it again.

use std::time::Duration;

use gameserver_contract::game::{GameDescriptor, NetcodeModel};
use gameserver_contract::ids::{
    GameId, InstanceEpoch, InstanceId, MatchId, PlayerId, Seat, SessionId,
};
use gameserver_contract::session::Role;
use gameserver_contract::spectator::SpectatorClaim;
use gameserver_contract::ticket::{JoinTicket, TICKET_VERSION};
use gameserver_transport::close::RefusalCode;
use gameserver_transport::frame::{Credential, Hello, Mode};
use uuid::Uuid;

use super::admission::Admission;
use super::headroom::BudgetMax;
use super::hosted_match::MatchInfo;
use super::match_directory::MatchDirectory;
use super::spec::HostConfig;
use super::spectator_inbox::SpectatorInbox;

const MATCH: MatchId = MatchId(Uuid::from_u128(1));

/// A directory for so many players, with one match of four seats.
fn directory(players_max: usize) -> MatchDirectory {
    let directory = MatchDirectory::new(&HostConfig {
        workers: 2,
        matches_max: 3,
        players_max,
        resume_window: Duration::ZERO,
        empty_match_lifetime: Duration::ZERO,
        logs: None,
        budget_max: BudgetMax::OFF,
    });
    assert_eq!(host(&directory, MATCH), 0);
    directory
}

/// Hosts a match and returns its worker.
fn host(directory: &MatchDirectory, id: MatchId) -> usize {
    let info = |worker| MatchInfo {
        game: GameDescriptor {
            id: GameId::new("arena").unwrap(),
            name: "Arena".to_owned(),
            tick_rate_hz: 60,
            snapshot_rate_hz: 20,
            netcode: NetcodeModel::StateReplication,
            modes: Vec::new(),
        },
        fingerprint: 7,
        players_max: 4,
        worker,
        spectators: SpectatorInbox::new().0,
    };
    directory.add(id, info).unwrap().unwrap().worker
}

fn ticket(id: u8, player: u128, seat: u16) -> JoinTicket {
    JoinTicket {
        version: TICKET_VERSION,
        id: [id; 16],
        player: PlayerId(Uuid::from_u128(player)),
        display_name: format!("player {player}"),
        session: SessionId(Uuid::from_u128(1)),
        match_id: MATCH,
        seat: Some(Seat(seat)),
        role: Role::Player,
        watch: None,
        instance: InstanceId(Uuid::from_u128(1)),
        epoch: InstanceEpoch(1),
        issued_at_ms: 0,
        expires_at_ms: 10_000,
    }
}

fn admit(directory: &MatchDirectory, ticket: &JoinTicket) -> Result<Admission, RefusalCode> {
    let hello = Hello::new(Mode::Thin, Credential::Ticket(String::new()), "tests");
    directory.admit(ticket, &hello, ticket.id, 1)
}

fn refusal(directory: &MatchDirectory, ticket: &JoinTicket) -> Option<RefusalCode> {
    admit(directory, ticket).err()
}

#[test]
fn a_seat_has_one_holder_and_a_player_one_seat() {
    let directory = directory(10);
    admit(&directory, &ticket(1, 1, 0)).unwrap();
    let taken = Some(RefusalCode::SeatTaken);
    assert_eq!(refusal(&directory, &ticket(2, 2, 0)), taken);
    assert_eq!(refusal(&directory, &ticket(3, 1, 1)), taken);
    assert_eq!(refusal(&directory, &ticket(4, 1, 0)), None, "their own");
    let full = Some(RefusalCode::MatchFull);
    assert_eq!(refusal(&directory, &ticket(5, 2, 4)), full);
    assert_eq!(directory.summary(MATCH).unwrap().seats.len(), 1);
}

#[test]
fn clients_that_arrive_together_never_pass_the_limit_of_the_instance() {
    let directory = directory(2);
    std::thread::scope(|scope| {
        for player in 0_u8..4 {
            let directory = &directory;
            scope.spawn(move || {
                let ticket = ticket(player, player.into(), player.into());
                assert!(matches!(
                    refusal(directory, &ticket),
                    None | Some(RefusalCode::Busy)
                ));
            });
        }
    });
    assert_eq!(directory.summary(MATCH).unwrap().seats.len(), 2);
}

#[test]
fn a_refusal_before_the_claim_does_not_spend_the_ticket() {
    let directory = directory(1);
    let first = admit(&directory, &ticket(1, 1, 0)).unwrap();
    let second = ticket(2, 2, 1);
    let busy = Some(RefusalCode::Busy);
    assert_eq!(refusal(&directory, &second), busy);
    directory.revoke(&first);
    assert_eq!(refusal(&directory, &second), None);
    directory.remove(MATCH);
    assert_eq!(refusal(&directory, &second), Some(RefusalCode::TicketUsed));
}

#[test]
fn a_report_about_an_older_connection_frees_no_seat() {
    let directory = directory(10);
    let first = admit(&directory, &ticket(1, 1, 0)).unwrap();
    let second = directory.resume(MATCH, Seat(0), [1; 16], [2; 16]).unwrap();
    let stale = directory.resume(MATCH, Seat(0), [1; 16], [3; 16]);
    assert!(stale.is_none(), "the secret was replaced");
    directory.release_seat(MATCH, Seat(0), first.connection);
    let held = directory.summary(MATCH).unwrap().seats;
    assert_eq!(held.get(&Seat(0)), Some(&first.player));
    directory.release_seat(MATCH, Seat(0), second.connection);
    assert!(directory.summary(MATCH).unwrap().seats.is_empty());
}

#[test]
fn spectators_are_counted_in_and_out() {
    let directory = directory(0);
    let watching = JoinTicket {
        seat: None,
        role: Role::Spectator,
        watch: Some(SpectatorClaim::default()),
        ..ticket(1, 1, 0)
    };
    let spectator = admit(&directory, &watching).unwrap();
    assert_eq!(directory.spectators(MATCH), 1);
    directory.revoke(&spectator);
    assert_eq!(directory.spectators(MATCH), 0);
}

#[test]
fn a_match_goes_to_the_worker_with_the_fewest() {
    let directory = directory(10);
    let (second, third) = (MatchId(Uuid::from_u128(2)), MatchId(Uuid::from_u128(3)));
    assert_eq!(host(&directory, second), 1);
    directory.remove(MATCH);
    assert_eq!(host(&directory, third), 0);
}
