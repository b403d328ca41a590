//! The embedded migrations: up, down, and which of them are applied.
//!
//! Two processes may start at once: one migrates, the other waits and finds nothing to do.

use std::collections::BTreeSet;

use sqlx::migrate::{Migrate, MigrateError, Migrator};
use sqlx::{ConnectOptions as _, Connection as _, Executor as _, PgConnection, SqliteConnection};

use crate::kit::db::backend::Backend;
use crate::kit::db::{Db, DbError};

static POSTGRES: Migrator = sqlx_macros::migrate!("../migrations/postgres");
static SQLITE: Migrator = sqlx_macros::migrate!("../migrations/sqlite");

/// Where sqlx remembers what it applied.
const TABLE: &str = "_sqlx_migrations";

/// A migration may take as long as it needs, but waits at most a minute for another process that
/// migrates or for a busy table.
const POSTGRES_SETTINGS: &str = "SET statement_timeout = 0; SET lock_timeout = '60s'; \
                                 SET idle_in_transaction_session_timeout = 0";

impl Db {
    /// Brings the schema up to date. Safe to call from several processes at once.
    ///
    /// # Errors
    ///
    /// [`DbError::Migration`] when a statement fails, or when the database holds a migration
    /// that was edited after it ran; [`DbError::Newer`] when it holds a later one than this
    /// build does.
    pub async fn migrate(&self) -> Result<(), DbError> {
        self.with_migrator(Step::Up).await.map(drop)
    }

    /// Undoes the newest migration; returns its version, `None` when none was applied.
    ///
    /// # Errors
    ///
    /// [`DbError::Migration`] when a statement fails, [`DbError::Newer`] when the database
    /// holds a later migration than this build does.
    pub async fn migrate_down(&self) -> Result<Option<i64>, DbError> {
        self.with_migrator(Step::Down)
            .await
            .map(|applied| applied.last().copied())
    }

    /// (version, description, applied) of every known migration.
    ///
    /// # Errors
    ///
    /// [`DbError::Migration`] when the database cannot be read, [`DbError::Newer`] when it
    /// holds a migration that is later than those of this build: what its tables mean is unknown.
    pub async fn migration_status(&self) -> Result<Vec<(i64, String, bool)>, DbError> {
        let applied = self.with_migrator(Step::None).await?;
        let known = self
            .migrator()
            .iter()
            .filter(|one| one.migration_type.is_up_migration());
        let described = known.map(|one| {
            (
                one.version,
                one.description.to_string(),
                applied.contains(&one.version),
            )
        });
        Ok(described.collect())
    }

    /// Takes the step and returns the versions that were applied before it.
    async fn with_migrator(&self, step: Step) -> Result<BTreeSet<i64>, DbError> {
        let applied = match &self.0 {
            Backend::Pg(pg) => migrate_postgres(pg.pool(), step).await,
            Backend::Lite { writer, .. } => migrate_sqlite(writer, step).await,
        };
        let known = self.migrator().iter().map(|one| one.version).max();
        let newer = |database| DbError::Newer {
            database,
            known: known.unwrap_or_default(),
        };
        match applied {
            Ok(applied) => match applied.last() {
                Some(last) if Some(*last) > known => Err(newer(*last)),
                Some(_) | None => Ok(applied),
            },
            Err(MigrateError::VersionMissing(version)) if Some(version) > known => {
                Err(newer(version))
            }
            Err(other) => Err(DbError::Migration(other)),
        }
    }

    fn migrator(&self) -> &'static Migrator {
        match &self.0 {
            Backend::Pg(_) => &POSTGRES,
            Backend::Lite { .. } => &SQLITE,
        }
    }
}

#[derive(Debug, Clone, Copy)]
enum Step {
    Up,
    Down,
    None,
}

/// Uses a connection of its own: closing it gives the advisory lock back, whatever happened.
async fn migrate_postgres(pool: &sqlx::PgPool, step: Step) -> Result<BTreeSet<i64>, MigrateError> {
    let mut connection: PgConnection = pool.connect_options().connect().await?;
    connection.execute(POSTGRES_SETTINGS).await?;
    let outcome = take_step(&POSTGRES, &mut connection, step).await;
    connection.close().await?;
    outcome
}

/// The migrator takes no lock on SQLite, so the whole step is one immediate transaction; the
/// migrations' own transactions become savepoints in it.
async fn migrate_sqlite(
    pool: &sqlx::SqlitePool,
    step: Step,
) -> Result<BTreeSet<i64>, MigrateError> {
    let mut tx = pool.begin_with("BEGIN IMMEDIATE").await?;
    let connection: &mut SqliteConnection = &mut tx;
    let applied = take_step(&SQLITE, connection, step).await?;
    tx.commit().await?;
    Ok(applied)
}

async fn take_step<C: Migrate>(
    migrator: &Migrator,
    connection: &mut C,
    step: Step,
) -> Result<BTreeSet<i64>, MigrateError> {
    // Creating the table of migrations is part of what only one process may do at a time.
    connection.lock().await?;
    connection.ensure_migrations_table(TABLE).await?;
    let rows = connection.list_applied_migrations(TABLE).await?;
    let applied: BTreeSet<i64> = rows.iter().map(|row| row.version).collect();
    match step {
        Step::Up => migrator.run_direct(None, connection, false).await?,
        Step::Down => undo_newest(migrator, connection, &applied).await?,
        Step::None => {}
    }
    connection.unlock().await?;
    Ok(applied)
}

async fn undo_newest<C: Migrate>(
    migrator: &Migrator,
    connection: &mut C,
    applied: &BTreeSet<i64>,
) -> Result<(), MigrateError> {
    let Some(&newest) = applied.last() else {
        return Ok(());
    };
    let down = migrator
        .iter()
        .find(|one| one.version == newest && one.migration_type.is_down_migration())
        .ok_or(MigrateError::VersionMissing(newest))?;
    connection.revert(TABLE, down).await.map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(migrator: &Migrator) -> Vec<(i64, String, bool)> {
        let name = |one: &sqlx::migrate::Migration| {
            (
                one.version,
                one.description.to_string(),
                one.migration_type.is_up_migration(),
            )
        };
        migrator.iter().map(name).collect()
    }

    #[test]
    fn both_databases_have_the_same_migrations() {
        assert_eq!(names(&POSTGRES), names(&SQLITE));
    }

    #[test]
    fn migrations_are_numbered_without_gaps_and_each_can_be_undone() {
        let all = names(&SQLITE);
        for number in 1..=i64::try_from(all.len() / 2).unwrap() {
            let pair = all.iter().filter(|(version, ..)| *version == number);
            assert_eq!(
                pair.map(|(.., up)| u8::from(*up)).sum::<u8>(),
                1,
                "number {number}"
            );
        }
    }
}
