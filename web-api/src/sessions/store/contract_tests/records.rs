//! Sessions: reading, the list and its filters, and the walk through the states.

use gameserver_contract::ids::{GameId, PlayerId};
use gameserver_contract::session::{SessionState, SessionVisibility};
use gameserver_contract::spectator::{SpectatorView, SpectatorsPolicy};

use crate::fleet::report::MatchReport;
use crate::kit::cursor::After;
use crate::sessions::store::records::{NewSession, SessionFilter, SessionRow};
use crate::sessions::store::seats::Reservation;
use crate::tests::subject::{Subject, at, key, match_id, new_session, player_id, session_id};

crate::tests::for_each_database! {
    a_session_is_read_back_by_its_id_and_by_its_match
    a_list_shows_live_public_sessions_newest_first
    a_list_goes_through_sessions_of_one_moment_without_gaps_or_repeats
    each_filter_narrows_the_list
    a_tag_is_matched_whole_and_to_the_letter
    free_slots_count_neither_taken_seats_nor_holds_but_expired_ones
    a_final_session_is_listed_only_when_its_state_is_asked_for
    a_session_moves_along_allowed_edges_only
    of_many_transitions_to_one_state_one_is_made
    a_final_state_refuses_every_change
}

const NO_FILTER: SessionFilter = SessionFilter {
    game: None,
    mode: None,
    region: None,
    state: None,
    free_slots_min: None,
    tag: None,
};

async fn list(subject: &Subject, filter: SessionFilter, second: i64) -> Vec<SessionRow> {
    subject
        .store
        .sessions
        .list_sessions(&filter, None, 100, at(second))
        .await
        .unwrap()
}

fn names(rows: &[SessionRow]) -> Vec<&str> {
    rows.iter().map(|row| row.session.name.as_str()).collect()
}

fn named(name: &str) -> NewSession {
    NewSession {
        name: name.to_owned(),
        ..new_session()
    }
}

async fn a_session_is_read_back_by_its_id_and_by_its_match(subject: Subject) {
    let new = NewSession {
        tags: ["ranked", "a \"b\" ❤", "ranked"]
            .map(str::to_owned)
            .to_vec(),
        join_code: Some("K7QX".to_owned()),
        visibility: SessionVisibility::Private,
        spectators: SpectatorsPolicy {
            allowed: false,
            view: SpectatorView::Team,
            delay_s: 300,
        },
        ..new_session()
    };
    let made = subject.opened(new.clone()).await;
    assert_eq!((made.instance, made.epoch), (new.instance, new.epoch));
    assert_eq!((made.result_key, made.version), (key(9), 1));
    assert_eq!(made.session.tags, new.tags);
    assert_eq!(made.session.join_code, new.join_code);
    assert_eq!(made.session.spectators_policy, new.spectators);
    assert_eq!(made.session.state, SessionState::Created);
    assert_eq!((made.session.players, made.session.players_max), (0, 4));
    assert_eq!(
        (made.session.created_at, made.session.updated_at),
        (at(0), at(0))
    );
    assert_eq!(
        subject.store.sessions.session(new.id, at(0)).await.unwrap(),
        Some(made.clone())
    );
    assert_eq!(
        subject
            .store
            .sessions
            .session_of_match(new.match_id, at(0))
            .await
            .unwrap(),
        Some(made)
    );
    assert_eq!(
        subject
            .store
            .sessions
            .session(session_id(), at(0))
            .await
            .unwrap(),
        None
    );
    assert_eq!(
        subject
            .store
            .sessions
            .session_of_match(match_id(), at(0))
            .await
            .unwrap(),
        None
    );
}

async fn a_list_shows_live_public_sessions_newest_first(subject: Subject) {
    for (name, second) in [("second", 2), ("first", 1), ("third", 3)] {
        subject
            .joinable(NewSession {
                now: at(second),
                ..named(name)
            })
            .await;
    }
    subject
        .joinable(NewSession {
            visibility: SessionVisibility::Private,
            ..named("private")
        })
        .await;
    let failed = subject.joinable(named("failed")).await.session.id;
    subject.walk(failed, &[SessionState::Failed]).await;
    let rows = list(&subject, SessionFilter::default(), 9).await;
    assert_eq!(names(&rows), ["third", "second", "first"]);
}

async fn a_list_goes_through_sessions_of_one_moment_without_gaps_or_repeats(subject: Subject) {
    let mut expected = Vec::new();
    for _ in 0..7 {
        expected.push(subject.session(4).await.session.id);
    }
    expected.sort_by(|a, b| b.cmp(a));
    let (mut seen, mut after) = (Vec::new(), None);
    loop {
        let filter = SessionFilter::default();
        let page = subject
            .store
            .sessions
            .list_sessions(&filter, after, 3, at(0))
            .await
            .unwrap();
        let Some(last) = page.last() else { break };
        after = Some(After {
            at: last.session.created_at,
            id: last.session.id.0,
        });
        seen.extend(page.iter().map(|row| row.session.id));
    }
    assert_eq!(seen, expected);
}

async fn each_filter_narrows_the_list(subject: Subject) {
    let duel = GameId::new("duel").unwrap();
    let (teams, us_east, ranked) = (
        "teams".to_owned(),
        "us-east".to_owned(),
        "ranked".to_owned(),
    );
    let mut new = ["game", "mode", "region", "tag"].map(named);
    new[0].game = duel.clone();
    new[1].mode.clone_from(&teams);
    new[2].region.clone_from(&us_east);
    new[3].tags.push(ranked.clone());
    for session in new {
        subject.joinable(session).await;
    }
    subject.opened(named("state")).await;

    let mut filters = [const { NO_FILTER }; 5];
    filters[0].game = Some(duel.clone());
    filters[1].mode = Some(teams.clone());
    filters[2].region = Some(us_east);
    filters[3].tag = Some(ranked);
    filters[4].state = Some(SessionState::Created);
    for (filter, name) in filters
        .into_iter()
        .zip(["game", "mode", "region", "tag", "state"])
    {
        assert_eq!(names(&list(&subject, filter, 0).await), [name]);
    }
    let both = SessionFilter {
        game: Some(duel),
        mode: Some(teams),
        ..NO_FILTER
    };
    assert!(list(&subject, both, 0).await.is_empty());
}

async fn a_tag_is_matched_whole_and_to_the_letter(subject: Subject) {
    let tags = ["Ranked", "ran%", ","].map(str::to_owned).to_vec();
    subject
        .joinable(NewSession {
            tags,
            ..named("tagged")
        })
        .await;
    for (tag, found) in [
        ("Ranked", 1),
        ("ranked", 0),
        ("Rank", 0),
        ("ran%", 1),
        ("ran_", 0),
        (",", 1),
        ("\"", 0),
    ] {
        let filter = SessionFilter {
            tag: Some(tag.to_owned()),
            ..NO_FILTER
        };
        assert_eq!(list(&subject, filter, 0).await.len(), found, "{tag}");
    }
}

async fn free_slots_count_neither_taken_seats_nor_holds_but_expired_ones(subject: Subject) {
    let session = subject.session(4).await.session.id;
    subject.reserve(session, player_id(), 0, 30).await;
    subject.reserve(session, player_id(), 0, 60).await;
    let free = async |slots, second| {
        let filter = SessionFilter {
            free_slots_min: Some(slots),
            ..NO_FILTER
        };
        !list(&subject, filter, second).await.is_empty()
    };
    assert!(free(2, 29).await);
    assert!(!free(3, 29).await);
    assert!(free(3, 30).await);
    assert!(free(0, 30).await);
    assert!(!free(4, 30).await);
    assert!(free(4, 60).await);
}

async fn a_final_session_is_listed_only_when_its_state_is_asked_for(subject: Subject) {
    let session = subject.session(4).await.session.id;
    subject
        .walk(session, &[SessionState::Ending, SessionState::Ended])
        .await;
    let of = |state| SessionFilter {
        state: Some(state),
        ..NO_FILTER
    };
    assert_eq!(list(&subject, of(SessionState::Ended), 0).await.len(), 1);
    assert_eq!(list(&subject, of(SessionState::Failed), 0).await.len(), 0);
    assert_eq!(list(&subject, SessionFilter::default(), 0).await.len(), 0);
}

async fn a_session_moves_along_allowed_edges_only(subject: Subject) {
    use SessionState::{Ended, Filling, Running};
    let session = subject.session(4).await;
    let (id, version) = (session.session.id, session.version);
    let refused = subject
        .store
        .sessions
        .transition(id, Ended, at(1))
        .await
        .unwrap();
    assert_eq!(refused, Some(Err(Filling)));
    assert_eq!(subject.read(id, 1).await, session);
    let moved = subject
        .store
        .sessions
        .transition(id, Running, at(2))
        .await
        .unwrap()
        .unwrap()
        .unwrap();
    assert_eq!((moved.session.state, moved.version), (Running, version + 1));
    assert_eq!(moved.session.updated_at, at(2));
    assert_eq!(
        subject
            .store
            .sessions
            .transition(session_id(), Running, at(2))
            .await
            .unwrap(),
        None
    );
}

async fn of_many_transitions_to_one_state_one_is_made(subject: Subject) {
    let session = subject.session(4).await.session.id;
    let mut moves = tokio::task::JoinSet::new();
    for _ in 0..64 {
        let store = subject.store.clone();
        let next = SessionState::Running;
        moves.spawn(async move {
            store
                .sessions
                .transition(session, next, at(1))
                .await
                .unwrap()
                .unwrap()
        });
    }
    assert_eq!(moves.join_all().await.into_iter().flatten().count(), 1);
}

async fn a_final_state_refuses_every_change(subject: Subject) {
    let session = subject.session(4).await;
    let (id, match_id) = (session.session.id, session.session.match_id);
    let player: PlayerId = player_id();
    subject.reserve(id, player, 0, 30).await;
    subject.walk(id, &[SessionState::Failed]).await;
    let failed = subject.read(id, 1).await;
    assert_eq!(failed.session.players, 0);

    for next in SessionState::ALL {
        let refused = subject
            .store
            .sessions
            .transition(id, next, at(1))
            .await
            .unwrap();
        assert_eq!(refused, Some(Err(SessionState::Failed)));
    }
    let not_joinable = Reservation::NotJoinable(SessionState::Failed);
    assert_eq!(subject.reserve(id, player, 1, 30).await, not_joinable);
    assert!(!subject.release(id, player, 1).await);
    let report = MatchReport {
        match_id,
        state: SessionState::Running,
        seats: vec![],
        spectators: 3,
    };
    let (instance, epoch) = (session.instance, session.epoch);
    let applied = subject
        .store
        .sessions
        .apply_reports(instance, epoch, &[report], at(1))
        .await
        .unwrap();
    assert_eq!(applied.unwanted, [match_id]);
    assert_eq!(applied.changed, []);
    assert_eq!(subject.read(id, 1).await, failed);
}
