//! Requests to reload the configuration, and their verdicts: shared by the endpoint, the supervisor
//! and the agent's own metrics.

use tokio::sync::oneshot;

/// Cause of a reload.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Trigger {
    /// The start of the process.
    Start,
    /// SIGHUP.
    Sighup,
    /// A file that differs from the one that was read last.
    Watch,
    /// POST /-/reload.
    Http,
    /// A background task that died.
    Recovery,
    /// A valid configuration that could not be put in force before.
    Retry,
}

impl Trigger {
    /// All triggers.
    pub const ALL: [Self; 6] =
        [Self::Start, Self::Sighup, Self::Watch, Self::Http, Self::Recovery, Self::Retry];

    /// Returns the value of the label.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Start => "start",
            Self::Sighup => "sighup",
            Self::Watch => "watch",
            Self::Http => "http",
            Self::Recovery => "recovery",
            Self::Retry => "retry",
        }
    }
}

/// Verdict on an attempt to reload the configuration.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// It changed something, and is in force.
    Applied,
    /// It was in force already.
    Unchanged,
    /// It is invalid, or cannot be put in force now; nothing changed.
    Rejected,
}

impl Verdict {
    /// All verdicts.
    pub const ALL: [Self; 3] = [Self::Applied, Self::Unchanged, Self::Rejected];

    /// Returns the value of the label.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Applied => "applied",
            Self::Unchanged => "unchanged",
            Self::Rejected => "rejected",
        }
    }

    /// Returns the verdict on a configuration that is in force and changed something, or did not.
    pub(crate) const fn of_changes(any: bool) -> Self {
        if any { Self::Applied } else { Self::Unchanged }
    }
}

/// Request to reload the configuration, on its way from the endpoint to the supervisor.
#[derive(Debug)]
pub struct ReloadRequest {
    /// Receiver of the answer, or of the reason for a rejection. The client may be gone by then; the
    /// reload is done all the same.
    pub reply: oneshot::Sender<Result<ReloadAnswer, String>>,
}

/// Answer to a reload that succeeded.
#[derive(Debug, Clone, serde::Serialize)]
pub struct ReloadAnswer {
    /// The verdict.
    pub result: Verdict,
    /// The changes as JSON, free of secrets.
    pub changes: serde_json::Value,
}
