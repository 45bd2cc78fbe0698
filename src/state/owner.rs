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

/// The term of a leader among agents that take turns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Term {
    /// It grows with each leader.
    pub(crate) number: u64,
    /// The directory is that of all of them, so that state goes on from whoever was the leader before.
    pub(crate) shared: bool,
}
