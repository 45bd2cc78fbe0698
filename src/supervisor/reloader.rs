//! Reloads: read, prepare, commit; and the retry of those that may succeed later.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::blocking::Blocking;
use super::error::ReloadError;
use super::prepare::{PreparedReload, ReloadPlan};
use super::retry::Retry;
use super::running::Running;
use super::{commit, credentials};
use crate::config::{self, Config, Diff, Environment, Fingerprints, Kept, Loaded};
use crate::http;
use crate::log::Log;
use crate::reload::{Trigger, Verdict};

/// Time for which a takeover waits for a directory that this agent used before.
const RELEASE_TIMEOUT: Duration = Duration::from_secs(2);

/// Source of the configuration.
#[derive(Debug, Clone)]
pub enum Source {
    /// A file, read again at each reload.
    File(PathBuf),
    /// A text that does not change, for the demo and the tests.
    Text(String),
}

impl Source {
    fn load(&self, environment: &dyn Environment) -> Result<Loaded, config::Errors> {
        match self {
            Self::File(path) => config::load(path, environment),
            Self::Text(text) => config::from_text(text, Path::new("built-in"), environment),
        }
    }
}

/// Reloads the configuration, and owns what runs by it.
pub(super) struct Reloader {
    pub(super) source: Source,
    pub(super) environment: Arc<dyn Environment + Send + Sync>,
    pub(super) log: Option<Log>,
    pub(super) services: Arc<http::State>,
    pub(super) running: Running,
    /// The next attempt to put a valid configuration in force.
    pub(super) retry: Retry,
    pub(super) blocking: Blocking,
    /// Listen and push, or poll only.
    pub(super) serves: bool,
    /// The files that the last attempt read.
    pub(super) last_read: Fingerprints,
    pub(super) last_valid: Option<Arc<Kept>>,
}

impl Reloader {
    /// Reads the configuration and puts it in force. Returns the changes.
    ///
    /// # Errors
    ///
    /// If the configuration is invalid or cannot be put in force. Nothing changes then.
    pub(super) async fn reload(&mut self, trigger: Trigger) -> Result<Diff, ReloadError> {
        let result = self.try_reload(trigger).await;
        if !matches!(result, Err(ReloadError::Ending)) {
            self.plan_retry(trigger, &result);
            self.log_verdict(trigger, &result);
        }
        result
    }

    async fn try_reload(&mut self, trigger: Trigger) -> Result<Diff, ReloadError> {
        let deadline = self.blocking.deadline();
        let recovers = trigger == Trigger::Recovery;
        let current = self.running.config();
        let loaded = match &current {
            // The current configuration is put right, whatever the files say by now.
            Some(config) if recovers => self.reuse_current(config),
            _ => self.load(deadline).await?,
        };
        let diff = config::diff(current.as_deref(), &loaded.config);
        let valid = current.is_some().then(|| loaded.clone());
        let result = (trigger, Verdict::of_changes(!diff.is_empty()));
        if let Err(error) = self.put_in_force(loaded, Some(result), deadline).await {
            if !recovers && valid.is_some() {
                Box::pin(self.take_credentials(valid, deadline)).await;
            }
            return Err(error);
        }
        Ok(diff)
    }

    /// Runs by the configuration in force and the present standing of this agent, whatever the files say by now. The
    /// result is no reload, and is not counted as one.
    ///
    /// # Errors
    ///
    /// If what a leader needs cannot be had. Nothing changes then.
    pub(super) async fn follow_election(&mut self) -> Result<(), ReloadError> {
        let Some(config) = self.running.config() else { return Ok(()) };
        self.running.states_released(RELEASE_TIMEOUT).await;
        let loaded = self.reuse_current(&config);
        if !self.running.office_by(&config).standing.leads() {
            let prepared = PreparedReload::of_standby(loaded.config, loaded.sha256);
            let (running, log) = (&mut self.running, self.log.as_ref());
            Box::pin(commit::commit(running, &self.services, log, prepared, None)).await;
            return Ok(());
        }
        self.put_in_force(loaded, None, self.blocking.deadline()).await
    }

    /// Prepares and commits. `result` is that of a reload.
    async fn put_in_force(
        &mut self,
        loaded: Loaded,
        result: Option<(Trigger, Verdict)>,
        deadline: Instant,
    ) -> Result<(), ReloadError> {
        let recovers = result.is_some_and(|(trigger, _)| trigger == Trigger::Recovery);
        let log = self.log.as_ref();
        let plan = ReloadPlan::new(loaded, &self.running, log, self.serves, recovers);
        let built = self.blocking.run(deadline, move || plan.build()).await;
        let prepared = built.and_then(|built| Ok(built?))?;
        let running = &mut self.running;
        Box::pin(commit::commit(running, &self.services, log, prepared, result)).await;
        Ok(())
    }

    /// Reads the configuration, and notes which files were read.
    async fn load(&mut self, deadline: Instant) -> Result<Loaded, ReloadError> {
        let (source, environment) = (self.source.clone(), Arc::clone(&self.environment));
        match self.blocking.run(deadline, move || source.load(environment.as_ref())).await? {
            Ok(loaded) => {
                self.last_read = loaded.watched();
                self.last_valid = Some(Arc::clone(&loaded.kept));
                Ok(loaded)
            }
            Err(errors) => {
                self.last_read = errors.watched();
                Box::pin(self.take_credentials(None, deadline)).await;
                Err(errors.into())
            }
        }
    }

    /// Returns the current configuration as if it was read again.
    fn reuse_current(&self, config: &Config) -> Loaded {
        Loaded {
            config: config.clone(),
            warnings: Vec::new(),
            sha256: self.services.agent.config().sha256,
            files: self.last_read.clone(),
            places: Fingerprints::new(),
            kept: self.last_valid.clone().unwrap_or_default(),
        }
    }

    /// Puts changed keys and certificates of sites whose server stays in force. `valid` is the
    /// configuration that could not be put in force as a whole. Without one, the last valid one is
    /// read again, with the files that it names as they are now.
    async fn take_credentials(&mut self, valid: Option<Loaded>, deadline: Instant) {
        let Some(current) = self.running.config() else { return };
        let (environment, last) = (Arc::clone(&self.environment), self.last_valid.clone());
        let now = Arc::clone(&current);
        let read = move || {
            let reread = || config::reread(&*last?, environment.as_ref()).ok();
            valid.or_else(reread).map(|loaded| credentials::rotated(&now, loaded))
        };
        if let Ok(Some(rotated)) = self.blocking.run(deadline, read).await {
            for (path, content) in &rotated.files {
                self.last_read.entry(path.clone()).or_insert(*content);
            }
            credentials::apply(&mut self.running, &current, rotated).await;
        }
    }

    /// Notes a failure, and plans another attempt if that can help.
    pub(super) fn plan_retry(&mut self, trigger: Trigger, result: &Result<Diff, ReloadError>) {
        let may_pass = result.as_ref().is_err_and(ReloadError::may_pass);
        // A recovery says nothing about the files.
        if trigger != Trigger::Recovery {
            if trigger != Trigger::Retry || !may_pass {
                self.retry.cancel();
            }
            if may_pass {
                self.retry.schedule();
            }
        }
        if let Err(error) = result {
            let text = match trigger {
                Trigger::Recovery => error.to_string(),
                _ => error.with_outlook(),
            };
            self.services.agent.note_rejection(trigger, text, may_pass);
        }
    }

    fn log_verdict(&self, trigger: Trigger, result: &Result<Diff, ReloadError>) {
        let by = trigger.as_str();
        let error = match result {
            Ok(changes) => {
                let result = Verdict::of_changes(!changes.is_empty()).as_str();
                tracing::info!(trigger = by, result, %changes, "configuration loaded");
                return;
            }
            Err(error) => error,
        };
        let result = Verdict::Rejected.as_str();
        if self.running.config().is_none() {
            // At the start nothing runs yet, and the command reports it.
        } else if !error.may_pass() {
            tracing::error!(
                trigger = by,
                result,
                "configuration rejected; keeping the current one: {error}"
            );
        } else if trigger == Trigger::Retry {
            tracing::debug!(
                trigger = by,
                result,
                "configuration still cannot be applied; retrying: {error}"
            );
        } else {
            tracing::error!(
                trigger = by,
                result,
                "configuration cannot be applied now; keeping the current one and retrying: {error}"
            );
        }
    }
}
