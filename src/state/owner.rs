//! The owner of a state directory.

/// The owner of a state directory.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) enum Owner {
    /// A single agent.
    #[default]
    Alone,
    /// The agent with this name, together with others.
    Member(String),
    /// The leader of agents that take turns.
    Leader(Term),
}

/// The beginning of the name of a leader, before the number of its term.
pub(super) const LEADER: &str = "leader-";

impl Owner {
    /// Returns the name of a member.
    pub(super) fn member(&self) -> Option<&str> {
        match self {
            Self::Member(member) => Some(member),
            Self::Alone | Self::Leader(_) => None,
        }
    }

    /// Returns the name by which it differs from others that have the directory at the same time; empty for one alone.
    pub(super) fn name(&self) -> String {
        match self {
            Self::Alone => String::new(),
            Self::Member(name) => name.clone(),
            Self::Leader(term) => leader_name(term.number),
        }
    }
}

/// Returns the name of the leader of a term.
pub(super) fn leader_name(number: u64) -> String {
    format!("{LEADER}{number}")
}

/// The term of a leader among agents that take turns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Term {
    /// It grows with each leader.
    pub(crate) number: u64,
    /// The directory is that of all of them, so that state goes on from whoever was the leader before.
    pub(crate) shared: bool,
}
