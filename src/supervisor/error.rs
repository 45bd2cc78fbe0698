//! Errors of a reload. Nothing changed when one is returned.

use std::time::Duration;

use crate::config;
use crate::http::BindError;
use crate::telemetry::otlp::BuildError;
use crate::{netbackup, state};

/// Reason for which a configuration could not be put in force.
#[derive(Debug, thiserror::Error)]
pub enum ReloadError {
    /// It is invalid.
    #[error("{0}")]
    Config(#[from] config::Errors),
    /// It is valid, but cannot be put in force here and now.
    #[error(transparent)]
    Prepare(#[from] PrepareError),
    /// The process is shutting down.
    #[error("the agent is shutting down")]
    Ending,
}

/// Part of a valid configuration that cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum PrepareError {
    /// The endpoint's address.
    #[error(transparent)]
    Bind(#[from] BindError),
    /// The state directory.
    #[error(transparent)]
    State(#[from] state::Error),
    /// A client (its TLS material, its proxy).
    #[error(transparent)]
    Client(#[from] netbackup::BuildError),
    /// The OTLP transport.
    #[error(transparent)]
    Otlp(#[from] BuildError),
    /// The reload blocks for longer than this.
    #[error(
        "the reload did not finish within {} s and was abandoned: a file system or the name \
         resolution hangs; check the files that the configuration names, and the host name in \
         server.host",
        .0.as_secs()
    )]
    Timeout(Duration),
    /// None of the above.
    #[error("a bug in the agent, please report it: {0}")]
    Bug(String),
}

impl ReloadError {
    /// Returns whether the same configuration may be put in force later, without a change to it.
    pub(super) fn may_pass(&self) -> bool {
        match self {
            Self::Config(errors) => errors.may_pass(),
            Self::Prepare(error) => error.may_pass(),
            Self::Ending => false,
        }
    }

    /// Returns the error with what the agent does next.
    pub(super) fn with_outlook(&self) -> String {
        if self.may_pass() {
            format!(
                "{self}\nthe current configuration stays; the agent retries until this succeeds"
            )
        } else {
            self.to_string()
        }
    }
}

impl PrepareError {
    fn may_pass(&self) -> bool {
        match self {
            Self::Bind(_) | Self::State(_) | Self::Timeout(_) => true,
            // The system's certificates can be missing for a while.
            Self::Client(error) => error.setting == "caFile",
            Self::Otlp(error) => matches!(error, BuildError::Tls(_)),
            Self::Bug(_) => false,
        }
    }
}
