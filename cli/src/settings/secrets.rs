//! Secrets: demanded in production, made up for each start in development.

use gameserver_contract::entropy::{Entropy, random_bytes};
use gameserver_control::secret::ControlSecret;
use gameserver_web_api::{Keys, SecretKey};

use super::{RunMode, Settings, SettingsError};

/// What must not be known to others.
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
        let text = match (&settings.control.secret, settings.mode) {
            (Some(secret), _) => secret.clone(),
            (None, RunMode::Production) => return Err(SettingsError::Missing("control.secret")),
            (None, RunMode::Development) => made_up(entropy),
        };
        let secret = ControlSecret::new(&text).map_err(|problem| SettingsError::Invalid {
            name: "control.secret",
            problem: problem.to_string(),
        })?;
        Ok((secret, text.into()))
    }

    /// All that web-api needs.
    pub(crate) fn all(settings: &Settings, entropy: &dyn Entropy) -> Result<Self, SettingsError> {
        let (control, control_text) = Self::control(settings, entropy)?;
        let keys = &settings.keys;
        let key = |name, text: &Option<String>| match (text, settings.mode) {
            (Some(text), _) => parse_key(name, text),
            (None, RunMode::Production) => Err(SettingsError::Missing(name)),
            (None, RunMode::Development) => Ok(SecretKey::generate(entropy)),
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
    fn production_names_the_secret_that_is_missing() {
        let entropy = SeededEntropy::new(1);
        let mut settings = settings(RunMode::Production);
        let missing = |settings: &Settings| Secrets::all(settings, &*entropy).unwrap_err();
        assert!(missing(&settings).to_string().contains("control.secret"));
        settings.control.secret = Some("0123456789abcdef".to_owned());
        assert!(missing(&settings).to_string().contains("keys.access_token"));
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
