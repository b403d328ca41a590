//! `gameserver healthcheck`: for containers, whose image has no other program.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use super::print;
use crate::arguments::HealthcheckArguments;
use crate::error::{CliError, explain};
use crate::settings::Settings;

const DEADLINE: Duration = Duration::from_secs(2);

/// Fails unless the service reports that it is ready.
pub(super) async fn run(
    settings: &Settings,
    arguments: HealthcheckArguments,
) -> Result<(), CliError> {
    let url = match arguments.url {
        Some(url) => url,
        None => own_url(settings.metrics.address)?,
    };
    let unhealthy = |why: String| CliError::Unhealthy(format!("{url} is not ready: {why}"));
    // This very service must respond: no proxy may do it in its place.
    let client = reqwest::Client::builder()
        .timeout(DEADLINE)
        .no_proxy()
        .build();
    let client = client.map_err(|error| unhealthy(explain(&error)))?;
    let answer = client.get(&url).send().await;
    let answer = answer.map_err(|error| unhealthy(explain(&error)))?;
    if !answer.status().is_success() {
        return Err(unhealthy(answer.status().to_string()));
    }
    print("ready");
    Ok(())
}

/// The URL of the service on this machine that has these settings.
fn own_url(address: SocketAddr) -> Result<String, CliError> {
    if address.port() == 0 {
        return Err(CliError::Usage(
            "metrics.address has port 0, so nobody knows which was taken; name one with --url"
                .to_owned(),
        ));
    }
    // Processes listen on the unspecified address but cannot connect to it.
    let ip = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        IpAddr::V4(_) | IpAddr::V6(_) => address.ip(),
    };
    let address = SocketAddr::new(ip, address.port());
    Ok(format!("http://{address}/readyz"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_address_that_is_bound_is_asked() {
        for (bound, url) in [
            ("127.0.0.1:9090", "http://127.0.0.1:9090/readyz"),
            ("0.0.0.0:9091", "http://127.0.0.1:9091/readyz"),
            ("10.0.0.7:9090", "http://10.0.0.7:9090/readyz"),
            ("[::]:9090", "http://[::1]:9090/readyz"),
            ("[fd00::7]:9090", "http://[fd00::7]:9090/readyz"),
        ] {
            assert_eq!(own_url(bound.parse().unwrap()).unwrap(), url);
        }
        assert!(own_url("127.0.0.1:0".parse().unwrap()).is_err());
    }
}
