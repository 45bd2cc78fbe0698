//! The API version of a server, as far as it is known.

use std::sync::{Mutex, PoisonError};

use crate::netbackup::error::{Error, ErrorKind};
use crate::netbackup::version::ApiVersion;

/// The known version of a server; requests that start together share one negotiation.
#[derive(Debug, Default)]
pub(crate) struct VersionCache {
    /// Held by the request that negotiates.
    pub(super) turn: tokio::sync::Mutex<()>,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    version: Option<ApiVersion>,
    /// The version in the header of the latest ping.
    advertised: Option<ApiVersion>,
    /// Negotiations that ended.
    rounds: u64,
    /// The error of the latest negotiation.
    failure: Option<Error>,
}

impl VersionCache {
    fn with<T>(&self, f: impl FnOnce(&mut State) -> T) -> T {
        f(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Returns the known version.
    pub(crate) fn current(&self) -> Option<ApiVersion> {
        self.with(|state| state.version)
    }

    /// Returns the number of negotiations that ended.
    pub(super) fn rounds(&self) -> u64 {
        self.with(|state| state.rounds)
    }

    /// Returns the result of the negotiations that ended after `rounds`; `None` if there was none, or
    /// if it left nothing known.
    pub(super) fn result_since(&self, rounds: u64) -> Option<Result<ApiVersion, Error>> {
        self.with(|state| match (state.version, &state.failure) {
            (Some(version), _) => Some(Ok(version)),
            (None, Some(failure)) if state.rounds != rounds => Some(Err(failure.clone())),
            (None, _) => None,
        })
    }

    /// Replaces the version `tried` by `old`, unless another request has found a third one since.
    pub(super) fn restore(&self, tried: ApiVersion, old: ApiVersion) {
        self.with(|state| {
            if state.version == Some(tried) {
                state.version = Some(old);
            }
        });
    }

    /// Remembers the version in the header of a ping. A new one means that the server was upgraded.
    /// The same one changes nothing: the server may have rejected it since.
    pub(crate) fn observe(&self, advertised: ApiVersion) {
        self.with(|state| {
            if state.advertised != Some(advertised) && advertised >= ApiVersion::OLDEST {
                state.advertised = Some(advertised);
                state.version = Some(advertised.min(ApiVersion::NEWEST));
            }
        });
    }

    /// Remembers the header of the ping of a negotiation.
    pub(super) fn set_advertised(&self, advertised: ApiVersion) {
        self.with(|state| state.advertised = Some(advertised));
    }

    /// Forgets everything, after the configured version changed.
    pub(crate) fn clear(&self) {
        self.with(|state| *state = State { rounds: state.rounds, ..State::default() });
    }

    /// Records the result of a negotiation.
    pub(super) fn finish(&self, result: &Result<ApiVersion, Error>) {
        self.with(|state| {
            state.rounds += 1;
            match result {
                Ok(version) => {
                    state.version = Some(*version);
                    state.failure = None;
                }
                // A deadline that passed does not concern requests that have time left.
                Err(error) if error.kind() == ErrorKind::Deadline => state.failure = None,
                Err(error) => state.failure = Some(error.clone()),
            }
        });
    }
}
