//! The part of the supervisor that follows the election: this agent becomes the leader, or no longer is.

use super::Supervisor;
use super::error::{PrepareError, ReloadError};

impl Supervisor {
    /// Begins to poll and export, or ends it.
    pub(super) async fn follow_election(&mut self) {
        let result = self.reloader.follow_election().await;
        let running = &mut self.reloader.running;
        // Of a standing that has changed meanwhile, this one is tried next; a standby needs nothing that cannot be had.
        let standing = running.election.as_ref().map(|election| election.office().standing);
        running.refused = standing.filter(|standing| result.is_err() && standing.leads());
        let (Err(error), Some(election)) = (result, &running.election) else { return };
        let later = match &error {
            ReloadError::Prepare(PrepareError::State(error)) => error.overtaken(),
            _ => None,
        };
        if let Some(later) = later {
            // The Lease was removed and began anew, or an attempt to begin this term failed halfway.
            tracing::info!(
                found = later,
                "the state has this term already; asking for the one after it"
            );
            election.raise(later + 1);
        } else {
            tracing::error!(
                "this agent won the election but cannot begin; leaving it to others for a while: {error}"
            );
            election.abstain();
        }
    }
}
