//! `healthcheck`: asks a running agent whether it lives, for containers without a shell.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use super::ask::{causes, client, local, wants_certificate};
use super::run::block_on;
use crate::config::{self, ProcessEnvironment};
use crate::http::{self, Probe};
use crate::supervisor::{HealthCheck, health_check_in_force};

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
        (None, Some(path)) => match check_of(&path) {
            Some(HealthCheck::At(probe)) => local(&probe),
            Some(HealthCheck::PushOnly) => {
                return super::output::print(
                    "healthy: it has no endpoint (server.enabled is false)\n",
                );
            }
            None => {
                super::output::print_error(
                    "no agent of this user runs with this configuration, which has no endpoint\n",
                );
                return ExitCode::FAILURE;
            }
        },
        // The parser asks for one of them.
        (None, None) => return ExitCode::FAILURE,
    };
    block_on(ask(&format!("{base}/-/healthy")))
}

/// Returns how the agent with this configuration is checked: as it says itself, which may not be as the
/// file says by now. If it says nothing, the file is all there is.
fn check_of(path: &Path) -> Option<HealthCheck> {
    let in_force = health_check_in_force(path);
    let of_file = match config::load(path, &ProcessEnvironment) {
        Ok(loaded) => loaded.config.http.probe(),
        Err(errors) => {
            // The agent runs on with what was valid before.
            super::output::print_error(&format!(
                "the configuration file is no longer valid:\n{errors}\n"
            ));
            errors.endpoint.or_else(|| Some(default_probe()))
        }
    };
    in_force.or_else(|| of_file.map(HealthCheck::At))
}

/// Returns whom to ask where the configuration does not even tell that.
fn default_probe() -> Probe {
    Probe { address: http::Address { host: "127.0.0.1".to_owned(), port: 9440 }, is_tls: false }
}

async fn ask(url: &str) -> ExitCode {
    // Nothing is sent that a wrong server must not have.
    let answer = match client() {
        Ok(client) => client.get(url).send().await,
        Err(error) => Err(error),
    };
    match answer {
        Ok(response) if response.status().is_success() => super::output::print("healthy\n"),
        // Who asks for a password has read the request.
        Ok(response) if response.status() == reqwest::StatusCode::UNAUTHORIZED => {
            super::output::print("healthy: it asks for credentials\n")
        }
        Ok(response) => {
            super::output::print_error(&format!("{url}: {}\n", response.status()));
            ExitCode::FAILURE
        }
        Err(error) if wants_certificate(&error) => {
            super::output::print("healthy: it asks for a client certificate\n")
        }
        Err(error) => {
            super::output::print_error(&format!("{url} does not respond: {}\n", causes(&error)));
            ExitCode::FAILURE
        }
    }
}
