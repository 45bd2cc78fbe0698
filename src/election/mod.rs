//! The election of one agent among several that have one configuration, by a Lease (docs/adr/0032-election.md).
//!
//! A candidate reads and renews the record. The supervisor is told its standing, and
//! everything that leaves the process asks the tenure (src/tenure.rs).

mod candidate;
mod config;
#[cfg(feature = "kubernetes")]
mod kubernetes;
mod record;
mod standing;
mod stats;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinHandle;

use crate::net::host_name;
use candidate::Candidate;
pub use config::Config;
use record::{Leases, Record};
use standing::Wish;
pub(crate) use standing::{Office, Standing};
pub(crate) use stats::{Numbers, Stats};

/// A candidate that runs. Dropping it ends it, and the Lease with its duration.
#[derive(Debug)]
pub(crate) struct Election {
    pub(crate) config: Config,
    stats: Arc<Stats>,
    office: watch::Receiver<Office>,
    begun: watch::Sender<Option<u64>>,
    wishes: mpsc::Sender<Wish>,
    task: JoinHandle<()>,
}

impl Election {
    /// Begins as a standby.
    pub(crate) fn start(config: &Config) -> Self {
        Self::with(config, candidate::identity(&host_name()), leases(config, false))
    }

    fn with(config: &Config, identity: String, leases: Box<dyn Leases>) -> Self {
        let (sender, office) = watch::channel(Office::none());
        let (begun, has_begun) = watch::channel(None);
        // A wish that comes while another waits is one of the same kind.
        let (wishes, received) = mpsc::channel(4);
        let stats = Arc::new(Stats::default());
        let candidate =
            Candidate::new(config, identity, leases, Arc::clone(&stats), sender, has_begun);
        let task = tokio::spawn(candidate.run(received));
        Self { config: config.clone(), stats, office, begun, wishes, task }
    }

    pub(crate) fn office(&self) -> Office {
        self.office.borrow().clone()
    }

    pub(crate) fn stats(&self) -> &Arc<Stats> {
        &self.stats
    }

    pub(crate) fn is_dead(&self) -> bool {
        self.task.is_finished()
    }

    /// Waits until the standing is none of these.
    pub(crate) async fn changed(&self, known: &[Option<Standing>]) {
        let mut office = self.office.clone();
        if office.wait_for(|now| !known.contains(&Some(now.standing))).await.is_err() {
            // The candidate died. It is started again by those who check for that.
            std::future::pending::<()>().await;
        }
    }

    /// Says by which standing the agent runs.
    pub(crate) fn runs_by(&self, standing: Standing) {
        self.begun.send_replace(standing.term());
    }

    /// Asks for a term with at least this number.
    pub(crate) fn raise(&self, number: u64) {
        self.wish(Wish::Raise(number));
    }

    /// Gives the Lease to others, and does not ask for it for a while.
    pub(crate) fn abstain(&self) {
        self.end_tenure();
        self.wish(Wish::Abstain);
    }

    /// Ends what this agent may do at once. Only a new term permits it again.
    pub(crate) fn end_tenure(&self) {
        self.office().tenure.end();
    }

    /// Gives the Lease to others, once nothing is polled and exported any more. Waits for it at most so long.
    pub(crate) async fn resign(mut self, limit: Duration) {
        self.end_tenure();
        let (done, resigned) = oneshot::channel();
        self.wish(Wish::Resign(done));
        let _ = tokio::time::timeout(limit, resigned).await;
        self.task.abort();
        let _ = (&mut self.task).await;
    }

    fn wish(&self, wish: Wish) {
        if let Err(error) = self.wishes.try_send(wish) {
            tracing::debug!(%error, "the candidate is busy");
        }
    }
}

impl Drop for Election {
    fn drop(&mut self) {
        self.end_tenure();
        self.task.abort();
    }
}

/// Returns whether this build can take part in an election.
pub(crate) const fn is_built_in() -> bool {
    cfg!(feature = "kubernetes")
}

/// Tries what an election needs, and changes nothing. Returns what there is to say of the Lease.
///
/// # Errors
///
/// If the Lease cannot be read, made or renewed: the reason, in one line.
pub(crate) async fn examine(config: &Config) -> Result<String, String> {
    let mut leases = leases(config, true);
    let found = leases.read().await.map_err(|error| error.to_string())?;
    let (said, record, over) = match found {
        Some((record, version)) => {
            let term = record.transitions.unwrap_or_default();
            let state = if record.holder.is_some() { "held by an agent" } else { "free" };
            (format!("{state}, term {term}"), record, Some(version))
        }
        None => ("not there yet; the agent makes it".to_owned(), Record::new(config), None),
    };
    // Overtaken by a renewal of the holder, which is as good.
    leases.write(&record, over.as_ref()).await.map_err(|error| error.to_string())?;
    Ok(said)
}

/// Returns the place of the Lease; with a `dry_run`, writes are only tried there.
#[cfg(feature = "kubernetes")]
fn leases(config: &Config, dry_run: bool) -> Box<dyn Leases> {
    Box::new(kubernetes::Kubernetes::new(config, dry_run))
}

/// Returns none: a configuration with an election is refused before it gets here.
#[cfg(not(feature = "kubernetes"))]
fn leases(_: &Config, _: bool) -> Box<dyn Leases> {
    Box::new(record::NoLeases)
}
