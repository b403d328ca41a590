//! `gameserver migrate`: the database's schema.

use gameserver_web_api::store::Store;

use super::say;
use crate::arguments::MigrateCommand;
use crate::error::CliError;
use crate::settings::{Settings, SettingsError};

/// Changes or lists the migrations of the configured database.
pub(super) async fn run(settings: &Settings, command: MigrateCommand) -> Result<(), CliError> {
    let url = settings.database.url.as_deref();
    let url = url.ok_or(SettingsError::Missing("database.url (or DATABASE_URL)"))?;
    let store = Store::connect(url, 1).await?;
    match command {
        MigrateCommand::Up => {
            store.migrate().await?;
            say("the schema is up to date");
        }
        MigrateCommand::Down => match store.migrate_down().await? {
            Some(version) => say(&format!("migration {version} is undone")),
            None => say("there is no migration to undo"),
        },
        MigrateCommand::Status => {
            for (version, name, applied) in store.migration_status().await? {
                let state = if applied { "applied" } else { "waiting" };
                say(&format!("{version:>4}  {state}  {name}"));
            }
        }
    }
    Ok(())
}
