//! Secrets: demanded in production, made up for each start in development.

use gameserver_contract::entropy::{Entropy, random_bytes};
use gameserver_control::secret::ControlSecret;
use gameserver_web_api::{Keys, SecretKey};

use super::{RunMode, Settings, SettingsError};

/// Keys and secrets, which are never printed.
#[derive(Debug, Clone)]
pub(crate) struct Secrets {
    pub(crate) keys: Keys,
    pub(crate) control: ControlSecret,
    pub(crate) control_text: secrecy::SecretString,
}

impl Secrets {
    /// The secret that an instance needs.
    pub(crate) fn control(
        settings: &Settings,
        entropy: &dyn Entropy,
    ) -> Result<(ControlSecret, secrecy::SecretString), SettingsError> {
        demand(settings, &[CONTROL])?;
        let text = settings.control.secret.clone();
        let text = text.unwrap_or_else(|| made_up(entropy));
        let secret = ControlSecret::new(&text).map_err(|problem| SettingsError::Invalid {
            name: CONTROL.0,
            problem: problem.to_string(),
        })?;
        Ok((secret, text.into()))
    }

    /// All that web-api needs. In production all that is missing is named at once, the database
    /// among it.
    pub(crate) fn all(settings: &Settings, entropy: &dyn Entropy) -> Result<Self, SettingsError> {
        demand(settings, &NEEDED_BY_API)?;
        let (control, control_text) = Self::control(settings, entropy)?;
        let keys = &settings.keys;
        let key = |name, text: &Option<String>| match text {
            Some(text) => parse_key(name, text),
            None => Ok(SecretKey::generate(entropy)),
        };
        let previous = keys
            .access_token_previous
            .iter()
            .map(|text| parse_key("keys.access_token_previous", text))
            .collect::<Result<_, _>>()?;
        let keys = Keys {
            access_token: key("keys.access_token", &keys.access_token)?,
            access_token_previous: previous,
            ticket: key("keys.ticket", &keys.ticket)?,
            refresh: key("keys.refresh", &keys.refresh)?,
            cursor: key("keys.cursor", &keys.cursor)?,
        };
        Ok(Self {
            keys,
            control,
            control_text,
        })
    }
}

/// The name of a setting that production needs, and its value.
type Needed = (&'static str, fn(&Settings) -> &Option<String>);

const CONTROL: Needed = ("control.secret", |settings| &settings.control.secret);

const NEEDED_BY_API: [Needed; 6] = [
    CONTROL,
    ("keys.access_token", |settings| &settings.keys.access_token),
    ("keys.ticket", |settings| &settings.keys.ticket),
    ("keys.refresh", |settings| &settings.keys.refresh),
    ("keys.cursor", |settings| &settings.keys.cursor),
    ("database.url", |settings| &settings.database.url),
];

fn demand(settings: &Settings, needed: &[Needed]) -> Result<(), SettingsError> {
    let missing = needed
        .iter()
        .filter(|(_, value)| value(settings).is_none())
        .map(|(name, _)| *name);
    let missing: Vec<_> = missing.collect();
    if settings.mode == RunMode::Development || missing.is_empty() {
        return Ok(());
    }
    Err(SettingsError::Missing(missing))
}

fn parse_key(name: &'static str, text: &str) -> Result<SecretKey, SettingsError> {
    SecretKey::from_base64url(text).map_err(|problem| SettingsError::Invalid {
        name,
        problem: problem.to_string(),
    })
}

fn made_up(entropy: &dyn Entropy) -> String {
    let bytes: [u8; 16] = random_bytes(entropy);
    format!("{:032x}", u128::from_be_bytes(bytes))
}

#[cfg(test)]
mod tests {
    use gameserver_contract::entropy::SeededEntropy;

    use super::*;

    fn settings(mode: RunMode) -> Settings {
        Settings {
            mode,
            ..Settings::default()
        }
    }

    #[test]
    fn production_names_everything_that_is_missing_at_once() {
        let entropy = SeededEntropy::new(1);
        let mut settings = settings(RunMode::Production);
        let missing = |settings: &Settings| Secrets::all(settings, &*entropy).unwrap_err();
        let message = missing(&settings).to_string();
        assert!(
            message.starts_with(
                "production mode needs control.secret, keys.access_token, keys.ticket, \
                 keys.refresh, keys.cursor, database.url;"
            ),
            "{message}"
        );
        settings.control.secret = Some("0123456789abcdef".to_owned());
        settings.database.url = Some("sqlite::memory:".to_owned());
        let message = missing(&settings).to_string();
        assert!(
            message.starts_with("production mode needs keys.access_token, keys.ticket,"),
            "{message}"
        );
        assert!(Secrets::control(&settings, &*entropy).is_ok());
    }

    #[test]
    fn development_makes_secrets_up() {
        let entropy = SeededEntropy::new(1);
        assert!(Secrets::all(&settings(RunMode::Development), &*entropy).is_ok());
    }

    #[test]
    fn a_short_control_secret_is_refused_in_every_mode() {
        let entropy = SeededEntropy::new(1);
        let mut settings = settings(RunMode::Development);
        settings.control.secret = Some("short".to_owned());
        assert!(matches!(
            Secrets::all(&settings, &*entropy),
            Err(SettingsError::Invalid {
                name: "control.secret",
                ..
            })
        ));
    }
}
