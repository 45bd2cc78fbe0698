//! Which API version to speak (docs/netbackup-api.md#version-negotiation).
//!
//! `/ping` names the server's version in a header; the lower of that and the newest that the agent
//! knows is spoken. Only where the header is missing are versions tried one by one. A 406 asks again.

use std::sync::{Mutex, PoisonError};

use tokio::time::timeout_at;

use super::attempt::{Call, DEADLINE_HINT};
use super::request::Link;
use crate::netbackup::error::{Error, ErrorKind};
use crate::netbackup::ping::PING;
use crate::netbackup::resource::append;
use crate::netbackup::session::Session;
use crate::netbackup::version::ApiVersion;
use crate::netbackup::wire::jobs::JOBS;

/// What is known of the server's version; collectors that start together share one negotiation.
#[derive(Debug, Default)]
pub(crate) struct Negotiation {
    turn: tokio::sync::Mutex<()>,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    version: Option<ApiVersion>,
    /// What the server's header said last.
    advertised: Option<ApiVersion>,
    /// Negotiations that ended.
    rounds: u64,
    /// How the last one failed.
    failure: Option<Error>,
}

impl Negotiation {
    fn with<T>(&self, f: impl FnOnce(&mut State) -> T) -> T {
        f(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner))
    }

    pub(crate) fn current(&self) -> Option<ApiVersion> {
        self.with(|state| state.version)
    }

    /// Takes back `tried` for `old`, unless somebody else has found another since.
    pub(crate) fn restore(&self, tried: ApiVersion, old: ApiVersion) {
        self.with(|state| {
            if state.version == Some(tried) {
                state.version = Some(old);
            }
        });
    }

    /// A ping said `advertised`. A server that was upgraded says something new; one that says the
    /// same may have refused it since, which is not forgotten.
    pub(crate) fn heard(&self, advertised: ApiVersion) {
        self.with(|state| {
            if state.advertised != Some(advertised) && advertised >= ApiVersion::OLDEST {
                state.advertised = Some(advertised);
                state.version = Some(advertised.min(ApiVersion::NEWEST));
            }
        });
    }

    /// Nothing is known any more: the configuration says something else.
    pub(crate) fn forget(&self) {
        self.with(|state| *state = State { rounds: state.rounds, ..State::default() });
    }

    fn end(&self, result: &Result<ApiVersion, Error>) {
        self.with(|state| {
            state.rounds += 1;
            match result {
                Ok(version) => {
                    state.version = Some(*version);
                    state.failure = None;
                }
                // One whose deadline passed says nothing about those who have time left.
                Err(error) if error.kind() == ErrorKind::Deadline => state.failure = None,
                Err(error) => state.failure = Some(error.clone()),
            }
        });
    }
}

impl Session {
    /// The version to speak: configured, known, or found out now.
    pub async fn version(&self) -> Result<ApiVersion, Error> {
        loop {
            let link = Link::new(self);
            if let Some(result) = link.unless_replaced(link.version()).await {
                return result;
            }
        }
    }
}

impl Link<'_> {
    /// The version to speak over this connection.
    pub(crate) async fn version(&self) -> Result<ApiVersion, Error> {
        let known = self.connection.config.api_version;
        if let Some(version) = known.or_else(|| self.client.0.negotiation.current()) {
            return Ok(version);
        }
        let negotiation = &self.client.0.negotiation;
        let rounds = negotiation.with(|state| state.rounds);
        let _turn = self.turn().await?;
        let (version, failure) = negotiation
            .with(|state| (state.version, (state.rounds != rounds).then(|| state.failure.clone())));
        if let Some(version) = version {
            return Ok(version);
        }
        if let Some(failure) = failure.flatten() {
            return Err(failure);
        }
        let result = self.negotiate().await;
        negotiation.end(&result);
        result
    }

    async fn negotiate(&self) -> Result<ApiVersion, Error> {
        match self.advertised().await? {
            Some(advertised) => self.usable(advertised),
            None => self.probe(None).await?.ok_or_else(|| {
                self.client
                    .error(
                        &JOBS,
                        ErrorKind::Version,
                        "the server rejects every API version from 10.0 to 14.0 (status 406)",
                    )
                    .with_hint("this agent needs NetBackup 10.3 or later")
            }),
        }
    }

    /// After `refusal` of `refused`: another version, or the refusal.
    pub(crate) async fn renegotiate(
        &self,
        refused: ApiVersion,
        refusal: Error,
    ) -> Result<ApiVersion, Error> {
        if self.connection.config.api_version.is_some() {
            return Err(refusal.with_hint(format!(
                "the server does not accept the configured apiVersion {refused}: remove \
                 apiVersion to detect the version"
            )));
        }
        let negotiation = &self.client.0.negotiation;
        let _turn = self.turn().await?;
        if let Some(version) = negotiation.current().filter(|version| *version != refused) {
            return Ok(version);
        }
        let found = match self.advertised().await? {
            Some(advertised) if advertised.min(ApiVersion::NEWEST) != refused => {
                Some(self.usable(advertised)?)
            }
            _ => self.probe(Some(refused)).await?,
        };
        let result = found.ok_or_else(|| {
            refusal.with_hint(format!(
                "the server accepts neither API version {refused} nor an older one that this \
                 agent supports"
            ))
        });
        if result.is_ok() {
            negotiation.end(&result);
        }
        result
    }

    async fn turn(&self) -> Result<tokio::sync::MutexGuard<'_, ()>, Error> {
        timeout_at(self.deadline, self.client.0.negotiation.turn.lock()).await.map_err(|_| {
            let detail = "the collector's deadline passed during API version negotiation";
            self.client.error(&PING, ErrorKind::Deadline, detail).with_hint(DEADLINE_HINT)
        })
    }

    async fn advertised(&self) -> Result<Option<ApiVersion>, Error> {
        let call = Call::get(&PING, String::new());
        Ok(self.with_retries(&call, None, &mut Vec::new()).await?.api_version)
    }

    fn usable(&self, advertised: ApiVersion) -> Result<ApiVersion, Error> {
        if advertised < ApiVersion::OLDEST {
            let detail = format!(
                "API version {advertised} is older than {} (NetBackup 10.3), the oldest that this \
                 agent supports",
                ApiVersion::OLDEST
            );
            return Err(self
                .client
                .error(&PING, ErrorKind::Version, detail)
                .with_hint("upgrade the primary server, or check host and port"));
        }
        self.client.0.negotiation.with(|state| state.advertised = Some(advertised));
        Ok(advertised.min(ApiVersion::NEWEST))
    }

    /// Tries the known versions, newest first and below `below`. Any answer but a 406 comes from a
    /// server that took the version: whether the key is good is for the collectors to see.
    async fn probe(&self, below: Option<ApiVersion>) -> Result<Option<ApiVersion>, Error> {
        let mut query = String::new();
        append(&mut query, "page[limit]", "1");
        let call = Call::get(&JOBS, query);
        for version in ApiVersion::KNOWN {
            if below.is_some_and(|below| version >= below) {
                continue;
            }
            match self.with_retries(&call, Some(version), &mut Vec::new()).await {
                Err(error) if error.status() == Some(406) => {}
                Ok(_) => return Ok(Some(version)),
                Err(error) if matches!(error.status(), Some(400..=499)) => {
                    return Ok(Some(version));
                }
                Err(error) => return Err(error),
            }
        }
        Ok(None)
    }
}
