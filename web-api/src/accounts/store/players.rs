//! Accounts: guests, their devices and their profiles.

use chrono::{DateTime, Utc};
use gameserver_contract::account::Player;
use gameserver_contract::ids::{DeviceId, PlayerId};
use sqlx_macros::FromRow;
use uuid::Uuid;

use crate::accounts::store::AccountsStore;
use crate::accounts::store::logins::{NewRefreshToken, insert_login};
use crate::kit::db::DbError;
use crate::kit::db::backend::Tx;
use crate::kit::db::sql::{Sql, bytes32, time};

/// A new guest account with its first device.
#[derive(Debug, Clone)]
pub(crate) struct NewGuest {
    /// The account's id.
    pub(crate) player: PlayerId,
    /// Name that others see.
    pub(crate) display_name: String,
    /// The device that may log the guest in again.
    pub(crate) device: DeviceId,
    /// SHA-256 of the device's secret.
    pub(crate) device_secret_hash: [u8; 32],
    /// When the account is made.
    pub(crate) now: DateTime<Utc>,
}

/// A device that may log its player in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct DeviceRow {
    /// Whom it logs in.
    pub(crate) player: PlayerId,
    /// SHA-256 of its secret.
    pub(crate) secret_hash: [u8; 32],
}

/// A profile with the version that its `ETag` shows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PlayerRow {
    /// The profile.
    pub(crate) player: Player,
    /// Counts the changes, from 1.
    pub(crate) version: i64,
}

/// What became of a change that named the version it was made from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Update<T> {
    /// The changed record.
    Done(T),
    /// Somebody else changed it in between.
    VersionMismatch,
    /// There is no such record.
    NotFound,
}

impl AccountsStore {
    /// Makes an account and its first device, and its first login, if there is one.
    pub(crate) async fn create_guest(
        &self,
        guest: NewGuest,
        login: Option<NewRefreshToken>,
    ) -> Result<Player, DbError> {
        self.0
            .transaction(move |tx| Box::pin(insert_guest(tx, guest, login)))
            .await
    }

    /// The device of that id, with the player whom it logs in.
    pub(crate) async fn device(
        &self,
        id: DeviceId,
    ) -> Result<Option<(DeviceRow, Player)>, DbError> {
        let sql = Sql::new(
            "SELECT p.id, p.display_name, p.version, p.created_at_ms, p.updated_at_ms, \
             d.secret_hash FROM devices AS d JOIN players AS p ON p.id = d.player_id \
             WHERE d.id = $1",
        );
        let row: Option<StoredDevice> = self.0.optional(sql.bind(id)).await?;
        let known = row.map(|row| {
            let player = PlayerRow::try_from(row.player)?.player;
            let device = DeviceRow {
                player: player.id,
                secret_hash: bytes32("devices.secret_hash", row.secret_hash)?,
            };
            Ok((device, player))
        });
        known.transpose()
    }

    /// The profile of that player.
    pub(crate) async fn player(&self, id: PlayerId) -> Result<Option<PlayerRow>, DbError> {
        let sql = Sql::new(
            "SELECT id, display_name, version, created_at_ms, updated_at_ms \
             FROM players WHERE id = $1",
        );
        let row: Option<StoredPlayer> = self.0.optional(sql.bind(id)).await?;
        row.map(PlayerRow::try_from).transpose()
    }

    /// Renames a player whose profile still has the given version.
    pub(crate) async fn rename_player(
        &self,
        id: PlayerId,
        version: i64,
        display_name: &str,
        now: DateTime<Utc>,
    ) -> Result<Update<PlayerRow>, DbError> {
        let rename = Sql::new(
            "UPDATE players SET display_name = $3, version = version + 1, updated_at_ms = $4 \
             WHERE id = $1 AND version = $2 \
             RETURNING id, display_name, version, created_at_ms, updated_at_ms",
        );
        let rename = rename.bind(id).bind(version).bind(display_name).bind(now);
        self.0
            .transaction(move |tx| Box::pin(update_player(tx, id, rename)))
            .await
    }
}

async fn insert_guest(
    tx: &mut Tx,
    guest: NewGuest,
    login: Option<NewRefreshToken>,
) -> Result<Player, DbError> {
    let player = Sql::new(
        "INSERT INTO players (id, display_name, created_at_ms, updated_at_ms) \
         VALUES ($1, $2, $3, $3) \
         RETURNING id, display_name, version, created_at_ms, updated_at_ms",
    );
    let player = player
        .bind(guest.player)
        .bind(guest.display_name)
        .bind(guest.now);
    let stored: Vec<StoredPlayer> = tx.all(player).await?;
    let device = Sql::new(
        "INSERT INTO devices (id, player_id, secret_hash, created_at_ms) VALUES ($1, $2, $3, $4)",
    );
    let device = device.bind(guest.device).bind(guest.player);
    tx.execute(device.bind(&guest.device_secret_hash).bind(guest.now))
        .await?;
    if let Some(login) = login {
        insert_login(tx, login).await?;
    }
    let row = stored
        .into_iter()
        .next()
        .ok_or(DbError::Database(sqlx::Error::RowNotFound))?;
    PlayerRow::try_from(row).map(|row| row.player)
}

async fn update_player(
    tx: &mut Tx,
    id: PlayerId,
    update: Sql,
) -> Result<Update<PlayerRow>, DbError> {
    if let Some(row) = tx.optional::<StoredPlayer>(update).await? {
        return PlayerRow::try_from(row).map(Update::Done);
    }
    let exists = Sql::new("SELECT id FROM players WHERE id = $1").bind(id);
    let found: Option<(Uuid,)> = tx.optional(exists).await?;
    Ok(if found.is_some() {
        Update::VersionMismatch
    } else {
        Update::NotFound
    })
}

#[derive(Debug, FromRow)]
struct StoredDevice {
    #[sqlx(flatten)]
    player: StoredPlayer,
    secret_hash: Vec<u8>,
}

#[derive(Debug, FromRow)]
struct StoredPlayer {
    id: Uuid,
    display_name: String,
    version: i64,
    created_at_ms: i64,
    updated_at_ms: i64,
}

impl TryFrom<StoredPlayer> for PlayerRow {
    type Error = DbError;

    fn try_from(row: StoredPlayer) -> Result<Self, DbError> {
        let player = Player {
            id: PlayerId(row.id),
            display_name: row.display_name,
            created_at: time("players.created_at_ms", row.created_at_ms)?,
            updated_at: time("players.updated_at_ms", row.updated_at_ms)?,
        };
        Ok(Self {
            player,
            version: row.version,
        })
    }
}
