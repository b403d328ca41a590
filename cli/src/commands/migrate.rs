//! `gameserver migrate`: the database's schema.

use gameserver_web_api::Db;

use super::print;
use crate::arguments::MigrateCommand;
use crate::error::CliError;
use crate::settings::{Settings, SettingsError};

/// Changes or lists the migrations of the configured database.
pub(super) async fn run(settings: &Settings, command: MigrateCommand) -> Result<(), CliError> {
    let url = settings.database.url.as_deref();
    let url = url.ok_or(SettingsError::NoDatabase)?;
    let store = Db::connect(url, 1).await?;
    match command {
        MigrateCommand::Up => {
            store.migrate().await?;
            print("the schema is up to date");
        }
        MigrateCommand::Down => match store.migrate_down().await? {
            Some(version) => print(&format!("migration {version} is undone")),
            None => print("there is no migration to undo"),
        },
        MigrateCommand::Status => {
            for (version, name, applied) in store.migration_status().await? {
                let state = if applied { "applied" } else { "waiting" };
                print(&format!("{version:>4}  {state}  {name}"));
            }
        }
    }
    Ok(())
}
