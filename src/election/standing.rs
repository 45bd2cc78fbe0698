//! The standing of a candidate, and what it is asked to change about it.

use std::sync::Arc;

use tokio::sync::oneshot;

use crate::tenure::Tenure;

/// The standing of this agent among those that could poll.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Standing {
    /// There is no election.
    #[default]
    Alone,
    /// Another agent leads, or it is not known who.
    Standby,
    /// This agent leads, in the term with this number.
    Leader(u64),
}

impl Standing {
    /// Returns whether this agent polls and exports.
    pub(crate) fn leads(self) -> bool {
        self != Self::Standby
    }

    /// Returns the number of its term, where it was elected.
    pub(crate) fn term(self) -> Option<u64> {
        match self {
            Self::Leader(number) => Some(number),
            Self::Alone | Self::Standby => None,
        }
    }
}

/// A standing, and the time for which it permits to poll and export. Each term has a time of its own, so that nothing of
/// an earlier term goes on in a later one.
#[derive(Debug, Clone, Default)]
pub(crate) struct Office {
    pub(crate) standing: Standing,
    pub(crate) tenure: Arc<Tenure>,
}

impl Office {
    /// Returns that of a standby.
    pub(crate) fn none() -> Self {
        Self { standing: Standing::Standby, tenure: Arc::new(Tenure::over()) }
    }
}

/// A wish of the supervisor.
#[derive(Debug)]
pub(super) enum Wish {
    /// Lead with at least this number, or not at all.
    Raise(u64),
    /// Give the Lease to others, and do not ask for it for a while.
    Abstain,
    /// Give the Lease to others, and end.
    Resign(oneshot::Sender<()>),
}
