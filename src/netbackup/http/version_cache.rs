//! The API version of a server, as far as it is known.

use std::sync::{Mutex, MutexGuard, PoisonError};

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
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn current(&self) -> Option<ApiVersion> {
        self.lock().version
    }

    pub(super) fn rounds(&self) -> u64 {
        self.lock().rounds
    }

    /// Returns the result of the negotiations that ended after `rounds`; `None` if there was none, or
    /// if it left nothing known.
    pub(super) fn result_since(&self, rounds: u64) -> Option<Result<ApiVersion, Error>> {
        let state = self.lock();
        match (state.version, &state.failure) {
            (Some(version), _) => Some(Ok(version)),
            (None, Some(failure)) if state.rounds != rounds => Some(Err(failure.clone())),
            (None, _) => None,
        }
    }

    /// Replaces the version `tried` by `old`, unless another request has found a third one since.
    pub(super) fn restore(&self, tried: ApiVersion, old: ApiVersion) {
        let mut state = self.lock();
        if state.version == Some(tried) {
            state.version = Some(old);
        }
    }

    /// Remembers the version in the header of a ping. A new one means that the server was upgraded.
    /// The same one changes nothing: the server may have rejected it since.
    pub(crate) fn observe(&self, advertised: ApiVersion) {
        let mut state = self.lock();
        if state.advertised != Some(advertised) && advertised >= ApiVersion::OLDEST {
            state.advertised = Some(advertised);
            state.version = Some(advertised.min(ApiVersion::NEWEST));
        }
    }

    pub(super) fn set_advertised(&self, advertised: ApiVersion) {
        self.lock().advertised = Some(advertised);
    }

    /// Forgets everything, after the configured version changed.
    pub(crate) fn clear(&self) {
        let mut state = self.lock();
        *state = State { rounds: state.rounds, ..State::default() };
    }

    /// Records the result of a negotiation.
    pub(super) fn finish(&self, result: &Result<ApiVersion, Error>) {
        let mut state = self.lock();
        state.rounds += 1;
        state.version = result.as_ref().ok().copied().or(state.version);
        // A deadline that passed does not concern requests that have time left.
        let failure = result.as_ref().err();
        state.failure = failure.filter(|error| error.kind() != ErrorKind::Deadline).cloned();
    }
}
