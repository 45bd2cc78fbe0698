//! The candidate: stands for election, renews the Lease while it leads, and gives it back.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tokio::sync::{mpsc, watch};
use tokio::time::{sleep, timeout};
use uuid::Uuid;

use super::config::Config;
use super::record::{Leases, Record, RequestError, Seen, Version, Written};
use super::standing::{Office, Standing, Wish};
use super::stats::Stats;
use crate::tenure::{Moment, Tenure};

/// Parts of the duration of a Lease.
#[derive(Debug, Clone, Copy)]
struct Times {
    duration: Duration,
    /// The time for which the leader leads after it sent a renewal; a standby waits for the whole duration.
    tenure: Duration,
    renewal: Duration,
    request: Duration,
    /// Time between two readings of a standby.
    reading: Duration,
    /// Time to the next attempt after one that failed.
    retry: Duration,
    /// Time in which an agent that was elected must have begun to poll.
    beginning: Duration,
    /// Time for which one that did not leaves the Lease to others.
    abstention: Duration,
}

impl Times {
    fn new(duration: Duration) -> Self {
        Self {
            duration,
            tenure: duration * 4 / 5,
            renewal: duration / 5,
            request: duration / 5,
            reading: duration / 15,
            retry: duration / 20,
            beginning: duration * 2,
            abstention: duration * 3,
        }
    }
}

/// Returns the name of this agent among the candidates: another for each process.
pub(super) fn identity(host: &str) -> String {
    format!("{host}_{}", Uuid::new_v4())
}

/// A candidate: it stands for election, or leads.
#[derive(Debug)]
pub(super) struct Candidate {
    identity: String,
    times: Times,
    leases: Box<dyn Leases>,
    stats: Arc<Stats>,
    office: watch::Sender<Office>,
    /// The term by which the agent runs.
    begun: watch::Receiver<Option<u64>>,
    /// The term in which it leads.
    term: Option<Term>,
    /// The number of the last one.
    led: Option<u64>,
    seen: Option<Seen>,
    /// The least number of its next term.
    floor: u64,
    abstains_until: Option<Moment>,
}

#[derive(Debug)]
struct Term {
    number: u64,
    acquired: SystemTime,
    /// The moment of it, by this machine's own clock.
    since: Moment,
    tenure: Arc<Tenure>,
    /// The version of the last write; none while it is in doubt.
    version: Option<Version>,
}

impl Candidate {
    pub(super) fn new(
        config: &Config,
        identity: String,
        leases: Box<dyn Leases>,
        stats: Arc<Stats>,
        office: watch::Sender<Office>,
        begun: watch::Receiver<Option<u64>>,
    ) -> Self {
        let times = Times::new(config.duration);
        let (term, led, seen, floor, abstains_until) = Default::default();
        Self {
            identity,
            times,
            leases,
            stats,
            office,
            begun,
            term,
            led,
            seen,
            floor,
            abstains_until,
        }
    }

    /// Runs until it is asked to resign.
    pub(super) async fn run(mut self, mut wishes: mpsc::Receiver<Wish>) {
        loop {
            let round = async {
                let pause = self.round().await;
                sleep(pause).await;
            };
            let wish = tokio::select! {
                biased;
                wish = wishes.recv() => wish,
                () = round => continue,
            };
            match wish {
                Some(Wish::Raise(number)) => self.floor = self.floor.max(number),
                Some(Wish::Abstain) => self.abstain().await,
                Some(Wish::Resign(done)) => {
                    self.give_back().await;
                    // Nobody waits any more: it was too late for them.
                    let _ = done.send(());
                    return;
                }
                None => return,
            }
        }
    }

    /// Renews the Lease, or looks whether it is free. Returns the time until the next round.
    async fn round(&mut self) -> Duration {
        if self.term.as_ref().is_some_and(|term| term.tenure.is_over()) {
            self.step_down("the Lease could not be renewed in time");
        }
        if self.is_late() {
            tracing::error!(
                "this agent was elected, and could not begin in time; leaving it to others"
            );
            self.abstain().await;
        }
        let result = if self.term.is_some() { self.renew().await } else { self.stand().await };
        let pause = result.unwrap_or(self.times.retry);
        // The end of the tenure is seen in time.
        self.left().map_or(pause, |left| pause.min(left))
    }

    /// Returns the time that is left of the term.
    fn left(&self) -> Option<Duration> {
        self.term.as_ref()?.tenure.left()
    }

    /// Returns whether the agent does not run by the term although it should by now: a file system that hangs must not
    /// keep others from polling.
    fn is_late(&self) -> bool {
        self.term.as_ref().is_some_and(|term| {
            *self.begun.borrow() != Some(term.number)
                && Moment::now().since(term.since) > self.times.beginning
        })
    }

    async fn abstain(&mut self) {
        self.abstains_until = Some(Moment::now().after(self.times.abstention));
        self.give_back().await;
    }

    async fn renew(&mut self) -> Result<Duration, RequestError> {
        let Some(Term { number, acquired, version, .. }) = &mut self.term else {
            return Ok(Duration::ZERO);
        };
        let (number, acquired) = (*number, *acquired);
        let mut over = version.take();
        if over.is_none() {
            // Whether the last write was done is not known.
            match self.read().await? {
                Some((record, version)) if self.has(&record) => over = Some(version),
                Some((record, _)) => {
                    let holder = record.holder.as_deref().unwrap_or("nobody").to_owned();
                    self.step_down(&format!("the Lease is held by {holder}"));
                    return Ok(self.times.retry);
                }
                // Somebody removed it.
                None => {}
            }
        }
        let next = number.max(self.floor);
        self.hold(next, acquired, over.as_ref()).await?;
        let is_held = self.term.as_ref().is_some_and(|term| term.version.is_some());
        Ok(if is_held { self.times.renewal } else { self.times.retry })
    }

    /// Takes the Lease if it is free. Returns the time until it may be.
    async fn stand(&mut self) -> Result<Duration, RequestError> {
        if let Some(until) = self.abstains_until {
            if Moment::now() < until {
                return Ok(self.times.reading);
            }
            self.abstains_until = None;
        }
        let found = self.read().await?;
        let now = Moment::now();
        let Some((record, version)) = found else {
            // One that was removed does not begin anew, and its holder makes it again.
            let seen = self.seen.as_ref();
            let wait = seen.map_or(Duration::ZERO, |it| it.until_free(now, self.times.duration));
            if !wait.is_zero() {
                return Ok(wait.min(self.times.reading));
            }
            let after = seen.and_then(|seen| seen.record.transitions).max(self.led);
            let number = after.map_or(0, |number| number.saturating_add(1)).max(self.floor);
            self.hold(number, SystemTime::now(), None).await?;
            return Ok(self.times.reading);
        };
        let is_own = self.has(&record);
        let seen = Seen::update(&mut self.seen, record, now);
        let wait = seen.until_free(now, self.times.duration);
        if !wait.is_zero() && !is_own {
            return Ok(wait.min(self.times.reading));
        }
        let number = match seen.record.transitions {
            // It wrote this, and was not told.
            Some(number) if is_own && self.led != Some(number) => number,
            before => before.map_or(0, |number| number.saturating_add(1)),
        };
        let number = number.max(self.floor);
        self.hold(number, SystemTime::now(), Some(&version)).await?;
        Ok(self.times.reading)
    }

    /// Writes that this agent has the Lease in the term with this number, and leads if that was done.
    async fn hold(
        &mut self,
        number: u64,
        acquired: SystemTime,
        over: Option<&Version>,
    ) -> Result<(), RequestError> {
        let record = self.record(Some(self.identity.clone()), number, acquired);
        // From before it is sent: the server may do it at once.
        let sent = Moment::now();
        let Written::Done(version) = self.write(&record, over).await? else { return Ok(()) };
        self.stats.see(&record);
        self.seen = None;
        let end = sent.after(self.times.tenure);
        match &mut self.term {
            Some(term) if term.number == number => {
                term.tenure.extend(end);
                term.version = Some(version);
            }
            _ => self.begin(Term {
                number,
                acquired,
                since: sent,
                tenure: Arc::new(Tenure::until(end)),
                version: Some(version),
            }),
        }
        Ok(())
    }

    fn begin(&mut self, term: Term) {
        if let Some(before) = &self.term {
            before.tenure.end();
        }
        let (number, tenure) = (term.number, Arc::clone(&term.tenure));
        self.led = Some(number);
        self.term = Some(term);
        self.office.send_replace(Office { standing: Standing::Leader(number), tenure });
        tracing::info!(term = number, identity = self.identity, "this agent is the leader");
    }

    fn record(&self, holder: Option<String>, number: u64, acquired: SystemTime) -> Record {
        Record {
            holder,
            transitions: Some(number),
            duration: Some(self.times.duration),
            acquired: Some(acquired),
            renewed: Some(SystemTime::now()),
        }
    }

    fn step_down(&mut self, reason: &str) {
        if self.leave().is_some() {
            tracing::warn!(
                reason,
                "this agent is no longer the leader; it neither polls nor exports"
            );
        }
    }

    /// Ends the term, if there is one, and returns it.
    fn leave(&mut self) -> Option<Term> {
        let term = self.term.take().inspect(|term| term.tenure.end());
        self.office.send_replace(Office::none());
        term
    }

    /// Returns whether this agent has the Lease by its record.
    fn has(&self, record: &Record) -> bool {
        record.holder.as_ref() == Some(&self.identity)
    }

    /// Frees the Lease, if this agent has it or may have it.
    async fn give_back(&mut self) {
        let (number, over) = match self.leave() {
            Some(Term { number, version: Some(version), .. }) => (number, version),
            // Whether the last write was done is not known.
            _ => match self.read().await {
                Ok(Some((record, version))) if self.has(&record) => {
                    (record.transitions.unwrap_or_default(), version)
                }
                _ => return,
            },
        };
        let record = self.record(None, number, SystemTime::now());
        if let Ok(Written::Done(_)) = self.write(&record, Some(&over)).await {
            tracing::info!("the Lease was given back");
        }
    }

    async fn read(&mut self) -> Result<Option<(Record, Version)>, RequestError> {
        let limit = self.limit();
        let result = timeout(limit, self.leases.read()).await.unwrap_or_else(|_| Err(late(limit)));
        self.note(&result);
        if let Ok(Some((record, _))) = &result {
            self.stats.see(record);
        }
        result
    }

    async fn write(
        &mut self,
        record: &Record,
        over: Option<&Version>,
    ) -> Result<Written, RequestError> {
        let limit = self.limit();
        let written = timeout(limit, self.leases.write(record, over)).await;
        let result = written.unwrap_or_else(|_| Err(late(limit)));
        self.note(&result);
        result
    }

    /// Returns the time that a request may take.
    fn limit(&self) -> Duration {
        self.left().map_or(self.times.request, |left| left.min(self.times.request))
    }

    fn note<T>(&self, result: &Result<T, RequestError>) {
        match (self.stats.note(result), result) {
            (true, Err(error)) => tracing::warn!(
                %error,
                "cannot reach the Lease; retrying; without it no agent leads for long"
            ),
            (true, Ok(_)) => tracing::info!("the Lease can be reached again"),
            (false, _) => {}
        }
    }
}

fn late(limit: Duration) -> RequestError {
    RequestError(format!("the API server did not answer within {:.1} s", limit.as_secs_f64()))
}
