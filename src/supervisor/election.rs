//! The part of the supervisor that follows the election: this agent becomes the leader, or no longer is.

use super::Supervisor;
use super::error::{PrepareError, ReloadError};
use crate::election::Election;

/// Durations of the Lease for which an agent leaves it to others that won and cannot begin.
const ABSTENTION: u32 = 3;

impl Supervisor {
    /// Begins to poll and export, or ends it.
    pub(super) async fn follow_election(&mut self) {
        let standing = self.reloader.running.election.as_ref().map(Election::standing);
        let result = self.reloader.follow_election().await;
        let running = &mut self.reloader.running;
        running.refused = standing.filter(|_| result.is_err());
        let (Err(error), Some(election)) = (result, &running.election) else { return };
        let later = match &error {
            ReloadError::Prepare(PrepareError::State(error)) => error.overtaken(),
            _ => None,
        };
        if let Some(later) = later {
            // The Lease was removed and began anew.
            tracing::warn!(found = later, "the state has a later term; asking for one after it");
            election.raise(later + 1);
        } else {
            tracing::error!(
                "this agent won the election but cannot begin; leaving it to others for a while: {error}"
            );
            election.abstain(election.config.duration * ABSTENTION);
        }
    }
}
