//! Warns at the start of settings that are allowed and still likely a mistake.
//!
//! It changes nothing and refuses nothing.

use std::path::Path;

use gameserver_web_api::Db;

use crate::settings::{RunMode, Settings};

/// Permission of all users to read a file.
const READABLE_BY_ALL: u32 = 0o004;

/// Warnings for every process.
fn of_process(settings: &Settings) -> Vec<String> {
    let address = settings.metrics.address;
    let is_open = address.ip().is_unspecified();
    let open = is_open.then(|| {
        format!(
            "metrics.address is {address}: metrics are open to every network of this machine, \
             without a login; name an address of the private network, or let a firewall keep them"
        )
    });
    open.into_iter().collect()
}

/// Warns of what concerns the player services.
pub(super) async fn warn_about_api(settings: &Settings, store: &Db) {
    let mut warnings = of_process(settings);
    match store.is_superuser().await {
        Ok(true) => warnings.push(
            "the database user is a superuser: whoever takes this process over has every database \
             of the server; use a role that owns this database alone"
                .to_owned(),
        ),
        Ok(false) => {}
        Err(error) => {
            let error = &error as &dyn std::error::Error;
            tracing::warn!(error, "failed to ask what the database user may do");
        }
    }
    log(&warnings);
}

/// Logs the warnings for a process that hosts matches.
pub(super) fn warn_about_instance(settings: &Settings) {
    let mut warnings = of_process(settings);
    warnings.extend(of_instance(settings));
    log(&warnings);
}

/// The same for both in one process.
pub(super) fn warn_about_hosting(settings: &Settings) {
    log(&of_instance(settings));
}

fn of_instance(settings: &Settings) -> Vec<String> {
    let game = &settings.game;
    let mut warnings = Vec::new();
    if let Some(key) = game.certificate_key.as_deref().filter(|key| is_open(key)) {
        warnings.push(format!(
            "everybody on this machine can read game.certificate_key ({}); chmod it to 600",
            key.display()
        ));
    }
    if settings.mode == RunMode::Production && game.origins.is_empty() {
        warnings.push(
            "game.origins is not set: pages of every site may connect players' browsers to the \
             game port; name the origins of your pages"
                .to_owned(),
        );
    }
    warnings
}

/// Whether users of this machine that have nothing to do with the file can read it.
fn is_open(file: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt as _;

    // Opening an unreadable file reports its own error.
    let metadata = std::fs::metadata(file);
    metadata.is_ok_and(|metadata| metadata.permissions().mode() & READABLE_BY_ALL != 0)
}

fn log(warnings: &[String]) {
    for warning in warnings {
        tracing::warn!("{warning}");
    }
}

#[cfg(test)]
mod tests {
    use std::fs::{self, Permissions};
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn nothing_is_warned_about_with_the_defaults() {
        let settings = Settings::default();
        let nothing = Vec::<String>::new();
        assert_eq!(of_process(&settings), nothing);
        assert_eq!(of_instance(&settings), nothing);
    }

    #[test]
    fn open_metrics_and_missing_origins_are_named() {
        let mut settings = Settings {
            mode: RunMode::Production,
            ..Settings::default()
        };
        settings.metrics.address = "0.0.0.0:9090".parse().unwrap();
        assert!(of_process(&settings)[0].contains("metrics.address"));
        assert!(of_instance(&settings)[0].contains("game.origins"));
        settings.metrics.address = "[::]:9090".parse().unwrap();
        assert_eq!(of_process(&settings).len(), 1);
        settings.game.origins = vec!["https://play.example".to_owned()];
        assert_eq!(of_instance(&settings).len(), 0);
    }

    #[test]
    fn a_key_that_everybody_can_read_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let key = folder.path().join("key.pem");
        fs::write(&key, "").unwrap();
        let mut settings = Settings::default();
        settings.game.certificate_key = Some(key.clone());
        for (mode, warnings) in [(0o644, 1), (0o640, 0), (0o600, 0)] {
            // Set, so that the umask of whoever runs the tests does not matter.
            fs::set_permissions(&key, Permissions::from_mode(mode)).unwrap();
            assert_eq!(of_instance(&settings).len(), warnings, "{mode:o}");
        }
    }
}
