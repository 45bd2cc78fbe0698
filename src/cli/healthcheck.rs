//! `healthcheck`: asks a running agent whether it lives, for containers without a shell.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use super::run::block_on;
use crate::config::{self, ProcessEnvironment};
use crate::http;
use crate::net::tls::install_provider;
use crate::supervisor::address_in_force;

/// A process that answers later than this does not live.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(3);

/// Whom to ask where the configuration does not even tell that.
const DEFAULT: &str = "http://127.0.0.1:9440";

/// Whom to ask.
#[derive(Debug, clap::Args)]
#[group(required = true, multiple = false)]
pub(super) struct Options {
    /// Check the agent that runs with this configuration file.
    #[arg(short = 'c', long = "config", value_name = "FILE")]
    path: Option<PathBuf>,
    /// Check the agent at this address, such as http://127.0.0.1:9440.
    #[arg(long, value_name = "URL")]
    url: Option<url::Url>,
}

pub(super) fn run(options: Options) -> ExitCode {
    let base = match (options.url, options.path) {
        (Some(url), _) => url.to_string().trim_end_matches('/').to_owned(),
        (None, Some(path)) => base_of(&path),
        // The parser asks for one of them.
        (None, None) => return ExitCode::FAILURE,
    };
    block_on(ask(&format!("{base}/-/healthy")))
}

/// Returns where the agent with this configuration is asked: where it says that it listens, which may
/// not be where the file says by now. If it says nothing, the file is all there is.
fn base_of(path: &Path) -> String {
    let in_force =
        address_in_force(path).map(|address| local(&address.ip().to_string(), address.port()));
    let of_file = match config::load(path, &ProcessEnvironment) {
        Ok(loaded) => Some(loaded.config.http),
        Err(errors) => {
            // The agent runs on with what was valid before.
            super::output::print_error(&format!(
                "the configuration file is no longer valid:\n{errors}\n"
            ));
            errors.endpoint
        }
    };
    let of_file = of_file.map(|endpoint| local(&endpoint.host, endpoint.port));
    in_force.or(of_file).unwrap_or_else(|| DEFAULT.to_owned())
}

/// Returns the URL at which the same machine reaches an agent that listens there.
fn local(host: &str, port: u16) -> String {
    let host = match host {
        "0.0.0.0" => "127.0.0.1",
        "::" => "::1",
        host => host,
    };
    format!("http://{}", http::display(host, port))
}

async fn ask(url: &str) -> ExitCode {
    install_provider();
    let client =
        reqwest::Client::builder().no_proxy().tls_certs_only([]).timeout(REQUEST_TIMEOUT).build();
    let answer = match client {
        Ok(client) => client.get(url).send().await,
        Err(error) => Err(error),
    };
    match answer {
        Ok(response) if response.status().is_success() => super::output::print("healthy\n"),
        Ok(response) => {
            super::output::print_error(&format!("{url}: {}\n", response.status()));
            ExitCode::FAILURE
        }
        Err(error) => {
            super::output::print_error(&format!("{url} does not respond: {error}\n"));
            ExitCode::FAILURE
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wildcard_listener_is_checked_on_loopback() {
        for (host, expected) in [
            ("0.0.0.0", "http://127.0.0.1:9440"),
            ("::", "http://[::1]:9440"),
            ("::1", "http://[::1]:9440"),
            ("10.1.2.3", "http://10.1.2.3:9440"),
        ] {
            assert_eq!(local(host, 9440), expected);
        }
    }
}
