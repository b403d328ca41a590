//! `gameserver healthcheck`: for containers, whose image has no other program.

use std::time::Duration;

use super::say;
use crate::arguments::HealthcheckArguments;
use crate::error::CliError;
use crate::settings::Settings;

const DEADLINE: Duration = Duration::from_secs(2);

/// Fails unless the service says that it is ready.
pub(super) async fn run(
    settings: &Settings,
    arguments: HealthcheckArguments,
) -> Result<(), CliError> {
    let port = settings.metrics.address.port();
    let url = arguments
        .url
        .unwrap_or_else(|| format!("http://127.0.0.1:{port}/readyz"));
    let unhealthy = |why: String| CliError::Unhealthy(format!("{url} is not ready: {why}"));
    let client = reqwest::Client::builder().timeout(DEADLINE).build();
    let client = client.map_err(|error| unhealthy(error.to_string()))?;
    let answer = client
        .get(&url)
        .send()
        .await
        .map_err(|error| unhealthy(error.to_string()))?;
    if !answer.status().is_success() {
        return Err(unhealthy(answer.status().to_string()));
    }
    say("ready");
    Ok(())
}
