//! Refresh tokens: one use each, a short grace, and the end of a family.

use std::time::Duration;

use gameserver_contract::ids::PlayerId;
use uuid::Uuid;

use crate::accounts::store::logins::{NewRefreshToken, RotateRefreshToken, Rotation};
use crate::tests::subject::{Subject, at, key, player_id};

crate::tests::for_each_database! {
    a_token_is_good_for_one_successor
    within_the_grace_the_same_successor_comes_again
    a_token_that_comes_back_after_the_grace_ends_its_family
    a_token_that_comes_back_after_its_successor_was_used_ends_its_family
    the_end_of_one_family_leaves_the_players_other_logins_alone
    an_unknown_or_expired_token_is_refused
    a_logout_ends_every_token_of_the_family
    of_many_uses_of_one_token_one_rotates_and_the_others_repeat_it
    a_logout_next_to_a_rotation_leaves_no_good_token
}

/// The family that [`login`] opens as number 1.
const LOGIN: Uuid = Uuid::from_u128(1);

/// Logs a new player in at second 0 with token 1 of the given family, good for an hour.
async fn login(subject: &Subject, family: u128) -> PlayerId {
    let player = subject.player().await;
    insert(subject, player, family, 1).await;
    player
}

async fn insert(subject: &Subject, player: PlayerId, family: u128, token: u8) {
    let token = NewRefreshToken {
        hash: key(token),
        family: Uuid::from_u128(family),
        player,
        issued_at: at(0),
        expires_at: at(3_600),
    };
    subject
        .store
        .accounts
        .insert_refresh_token(token)
        .await
        .unwrap();
}

fn rotation(old: u8, new: u8, second: i64) -> RotateRefreshToken {
    RotateRefreshToken {
        old_hash: key(old),
        new_hash: key(new),
        successor_seed: vec![new, 1],
        now: at(second),
        expires_at: at(second + 3_600),
        grace: Duration::from_secs(10),
    }
}

async fn rotate(subject: &Subject, old: u8, new: u8, second: i64) -> Rotation {
    subject
        .store
        .accounts
        .rotate_refresh_token(rotation(old, new, second))
        .await
        .unwrap()
}

async fn a_token_is_good_for_one_successor(subject: Subject) {
    let player = login(&subject, 1).await;
    assert_eq!(
        rotate(&subject, 1, 2, 100).await,
        Rotation::Rotated {
            player,
            login: LOGIN
        }
    );
    assert_eq!(
        rotate(&subject, 2, 3, 200).await,
        Rotation::Rotated {
            player,
            login: LOGIN
        }
    );
}

async fn within_the_grace_the_same_successor_comes_again(subject: Subject) {
    let player = login(&subject, 1).await;
    rotate(&subject, 1, 2, 100).await;
    let repeated = Rotation::Repeated {
        player,
        login: LOGIN,
        successor_seed: vec![2, 1],
    };
    assert_eq!(rotate(&subject, 1, 3, 109).await, repeated);
    assert_eq!(rotate(&subject, 3, 4, 110).await, Rotation::Refused);
    assert_eq!(
        rotate(&subject, 2, 5, 120).await,
        Rotation::Rotated {
            player,
            login: LOGIN
        }
    );
}

async fn a_token_that_comes_back_after_the_grace_ends_its_family(subject: Subject) {
    let player = login(&subject, 1).await;
    rotate(&subject, 1, 2, 100).await;
    assert_eq!(
        rotate(&subject, 1, 3, 110).await,
        Rotation::Reused {
            player,
            login: LOGIN
        }
    );
    assert_eq!(rotate(&subject, 2, 4, 111).await, Rotation::Refused);
    assert_eq!(rotate(&subject, 1, 5, 112).await, Rotation::Refused);
}

async fn a_token_that_comes_back_after_its_successor_was_used_ends_its_family(subject: Subject) {
    let player = login(&subject, 1).await;
    rotate(&subject, 1, 2, 100).await;
    rotate(&subject, 2, 3, 101).await;
    assert_eq!(
        rotate(&subject, 1, 4, 102).await,
        Rotation::Reused {
            player,
            login: LOGIN
        }
    );
    assert_eq!(rotate(&subject, 3, 5, 103).await, Rotation::Refused);
}

async fn the_end_of_one_family_leaves_the_players_other_logins_alone(subject: Subject) {
    let player = login(&subject, 1).await;
    insert(&subject, player, 2, 11).await;
    subject
        .store
        .accounts
        .revoke_refresh_family(&key(1))
        .await
        .unwrap();
    let login = Uuid::from_u128(2);
    assert_eq!(
        rotate(&subject, 11, 12, 100).await,
        Rotation::Rotated { player, login }
    );
}

async fn an_unknown_or_expired_token_is_refused(subject: Subject) {
    login(&subject, 1).await;
    assert_eq!(rotate(&subject, 99, 2, 100).await, Rotation::Refused);
    assert_eq!(rotate(&subject, 1, 2, 3_600).await, Rotation::Refused);
    let stranger = NewRefreshToken {
        hash: key(50),
        family: Uuid::from_u128(50),
        player: player_id(),
        issued_at: at(0),
        expires_at: at(1),
    };
    subject
        .store
        .accounts
        .insert_refresh_token(stranger)
        .await
        .unwrap_err();
}

async fn a_logout_ends_every_token_of_the_family(subject: Subject) {
    login(&subject, 1).await;
    rotate(&subject, 1, 2, 100).await;
    for (token, ended) in [(99, None), (2, Some(LOGIN)), (2, Some(LOGIN))] {
        let revoked = subject
            .store
            .accounts
            .revoke_refresh_family(&key(token))
            .await;
        assert_eq!(revoked.unwrap(), ended);
    }
    assert_eq!(rotate(&subject, 2, 3, 101).await, Rotation::Refused);
    assert_eq!(rotate(&subject, 1, 4, 101).await, Rotation::Refused);
}

async fn of_many_uses_of_one_token_one_rotates_and_the_others_repeat_it(subject: Subject) {
    login(&subject, 1).await;
    let mut uses = tokio::task::JoinSet::new();
    for new in 100..164 {
        let store = subject.store.clone();
        uses.spawn(async move {
            (
                new,
                store
                    .accounts
                    .rotate_refresh_token(rotation(1, new, 100))
                    .await
                    .unwrap(),
            )
        });
    }
    let outcomes = uses.join_all().await;
    let rotated = |(_, outcome): &&(u8, Rotation)| matches!(outcome, Rotation::Rotated { .. });
    let (winner, _) = outcomes.iter().find(rotated).expect("one of them rotates");
    assert_eq!(outcomes.iter().filter(rotated).count(), 1);
    for (_, outcome) in outcomes.iter().filter(|one| !rotated(one)) {
        let Rotation::Repeated { successor_seed, .. } = outcome else {
            panic!("{outcome:?}")
        };
        assert_eq!(successor_seed, &[*winner, 1]);
    }
}

async fn a_logout_next_to_a_rotation_leaves_no_good_token(subject: Subject) {
    for round in 0..20_u8 {
        let (old, new) = (100 + round, 150 + round);
        let player = subject.player().await;
        insert(&subject, player, 1_000 + u128::from(round), old).await;
        let store = subject.store.clone();
        let logout =
            tokio::spawn(async move { store.accounts.revoke_refresh_family(&key(old)).await });
        rotate(&subject, old, new, 100).await;
        logout.await.unwrap().unwrap();
        assert_eq!(
            rotate(&subject, new, 200 + round, 101).await,
            Rotation::Refused
        );
    }
}
