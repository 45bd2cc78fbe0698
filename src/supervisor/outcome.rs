//! How an attempt to put a configuration in force ended: noted, told, and tried again where that helps.

use super::{Supervisor, Trigger, Verdict, plan};
use crate::config::{self, Diff};

/// Why a configuration could not be put in force. Nothing changed.
#[derive(Debug, thiserror::Error)]
pub enum ReloadError {
    /// It is wrong.
    #[error("{0}")]
    Config(#[from] config::Errors),
    /// It is right, but cannot be had here and now.
    #[error(transparent)]
    Prepare(#[from] plan::PrepareError),
    /// The process was told to end meanwhile.
    #[error("the agent is shutting down")]
    Ending,
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

    /// Returns the error with what happens next.
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

impl Supervisor {
    /// Notes a failure, and plans another attempt where that can help.
    pub(super) fn plan_retry(&mut self, trigger: Trigger, result: &Result<Diff, ReloadError>) {
        // What is put right says nothing about the files.
        let of_files = trigger != Trigger::Recovery;
        let may_pass = result.as_ref().is_err_and(ReloadError::may_pass);
        if of_files && (trigger != Trigger::Retry || !may_pass) {
            self.retry.cancel();
        }
        if of_files && may_pass {
            self.retry.schedule();
        }
        let Err(error) = result else { return };
        self.agent.update_config(|state| {
            state.count(trigger.as_str(), Verdict::Rejected.as_str());
            if of_files {
                state.last_ok = false;
                state.pending = may_pass;
                state.last_error = Some(error.with_outlook());
            } else {
                state.recovery_error = Some(error.to_string());
            }
        });
    }

    pub(super) fn log_verdict(&self, trigger: Trigger, result: &Result<Diff, ReloadError>) {
        let verdict = result.as_ref().map_or(Verdict::Rejected, Verdict::of);
        let (by, result_label) = (trigger.as_str(), verdict.as_str());
        match result {
            Ok(changes) => {
                tracing::info!(trigger = by, result = result_label, %changes, "configuration loaded");
            }
            // At the start nothing runs yet, and the command says it.
            Err(_) if self.safe.is_none() => {}
            Err(error) if trigger == Trigger::Retry && error.may_pass() => {
                tracing::debug!(
                    trigger = by,
                    result = result_label,
                    "configuration still cannot be applied; retrying: {error}"
                );
            }
            Err(error) if error.may_pass() => tracing::error!(
                trigger = by,
                result = result_label,
                "configuration cannot be applied now; keeping the current one and retrying: {error}"
            ),
            Err(error) => tracing::error!(
                trigger = by,
                result = result_label,
                "configuration rejected; keeping the current one: {error}"
            ),
        }
    }
}
