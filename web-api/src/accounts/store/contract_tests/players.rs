//! Accounts and profiles.

use crate::accounts::store::players::{DeviceRow, Update};
use crate::tests::subject::{Subject, at, device_id, new_guest, player_id};

crate::tests::for_each_database! {
    a_guest_is_read_back_with_their_device
    an_unknown_player_or_device_is_none
    a_guest_whose_device_is_known_already_is_not_half_made
    a_rename_from_an_old_version_changes_nothing
    of_many_renames_from_one_version_one_wins
}

async fn a_guest_is_read_back_with_their_device(subject: Subject) {
    let guest = new_guest();
    let made = subject
        .store
        .accounts
        .create_guest(guest.clone(), None)
        .await
        .unwrap();
    let read = subject
        .store
        .accounts
        .player(guest.player)
        .await
        .unwrap()
        .unwrap();
    assert_eq!((read.player, read.version), (made.clone(), 1));
    assert_eq!(
        (made.display_name.as_str(), made.created_at),
        ("Ann", at(0))
    );
    let device = DeviceRow {
        player: guest.player,
        secret_hash: guest.device_secret_hash,
    };
    assert_eq!(
        subject.store.accounts.device(guest.device).await.unwrap(),
        Some((device, made))
    );
}

async fn an_unknown_player_or_device_is_none(subject: Subject) {
    assert_eq!(
        subject.store.accounts.player(player_id()).await.unwrap(),
        None
    );
    assert_eq!(
        subject.store.accounts.device(device_id()).await.unwrap(),
        None
    );
    let renamed = subject
        .store
        .accounts
        .rename_player(player_id(), 1, "Bob", at(1))
        .await
        .unwrap();
    assert_eq!(renamed, Update::NotFound);
}

async fn a_guest_whose_device_is_known_already_is_not_half_made(subject: Subject) {
    let first = new_guest();
    subject
        .store
        .accounts
        .create_guest(first.clone(), None)
        .await
        .unwrap();
    let mut second = new_guest();
    second.device = first.device;
    subject
        .store
        .accounts
        .create_guest(second.clone(), None)
        .await
        .unwrap_err();
    assert_eq!(
        subject.store.accounts.player(second.player).await.unwrap(),
        None
    );
}

async fn a_rename_from_an_old_version_changes_nothing(subject: Subject) {
    let player = subject.player().await;
    let renamed = subject
        .store
        .accounts
        .rename_player(player, 1, "Bob", at(5))
        .await
        .unwrap();
    let Update::Done(row) = renamed else {
        panic!("the version was right: {renamed:?}")
    };
    assert_eq!((row.player.display_name.as_str(), row.version), ("Bob", 2));
    assert_eq!(
        (row.player.created_at, row.player.updated_at),
        (at(0), at(5))
    );
    let again = subject
        .store
        .accounts
        .rename_player(player, 1, "Eve", at(6))
        .await
        .unwrap();
    assert_eq!(again, Update::VersionMismatch);
    assert_eq!(
        subject.store.accounts.player(player).await.unwrap(),
        Some(row)
    );
}

async fn of_many_renames_from_one_version_one_wins(subject: Subject) {
    let player = subject.player().await;
    let mut renames = tokio::task::JoinSet::new();
    for number in 0..64 {
        let store = subject.store.clone();
        let name = format!("Bob {number}");
        renames.spawn(async move {
            store
                .accounts
                .rename_player(player, 1, &name, at(1))
                .await
                .unwrap()
        });
    }
    let outcomes = renames.join_all().await;
    let won = outcomes
        .iter()
        .filter(|outcome| matches!(outcome, Update::Done(_)))
        .count();
    assert_eq!(won, 1);
}
