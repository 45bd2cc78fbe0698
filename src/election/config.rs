//! Settings of an election.

use std::time::Duration;

/// Settings of an election.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// Name of the Lease.
    pub lease: String,
    /// Its namespace; that of the pod if there is none.
    pub namespace: Option<String>,
    /// The time after which a standby takes a Lease over that nobody renews.
    pub duration: Duration,
}
