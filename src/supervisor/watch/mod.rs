//! Watches the configuration file and every file that it names.
//!
//! Events and a slow rescan only trigger a check; the content decides if something changed. The check
//! compares with the files of the last attempt, not with those in force: a rejected file is not loaded
//! again until it changes, and a broken file that is restored is.

mod directories;
mod events;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, sleep_until, timeout};

use crate::config::{self, Fingerprints};

use events::Events;

/// Quiet time of the directories before a check.
const QUIET_PERIOD: Duration = Duration::from_millis(100);

/// Longest time from the first event to a check, if the directories are never quiet.
const MAX_DEBOUNCE: Duration = Duration::from_secs(1);

/// Time between two checks that must agree before a change is reported. If they differ, the next one
/// is later.
const STABILITY_DELAY: Duration = Duration::from_millis(50);
const MAX_STABILITY_DELAY: Duration = Duration::from_millis(400);

/// Time between two checks while a directory is missing: it has no events.
const MISSING_CHECK_INTERVAL: Duration = Duration::from_secs(1);

const MIN_RESCAN_INTERVAL: Duration = Duration::from_millis(100);

/// Duration of a check that is logged.
const SLOW_CHECK: Duration = Duration::from_secs(10);

/// Watcher of the configuration's files. Dropping it ends it, even while a file system hangs.
pub(in crate::supervisor) struct Watcher {
    baseline: watch::Sender<Arc<Baseline>>,
    task: JoinHandle<()>,
}

struct Baseline {
    last_read: Fingerprints,
    rescan: Duration,
}

impl Watcher {
    /// Starts a watch that knows no files yet. Needs a runtime.
    ///
    /// Sends a message into `changed` when the files differ from those that were read last, and are
    /// stable. It covers all changes until it is received: a receiver that coalesces messages must
    /// take them before it reads the files, not after. A message that waits in the channel is enough.
    pub(in crate::supervisor) fn spawn(changed: mpsc::Sender<()>) -> Self {
        Self::with(changed, Events::new())
    }

    fn with(changed: mpsc::Sender<()>, events: Events) -> Self {
        let nothing = Baseline { last_read: Fingerprints::new(), rescan: Duration::MAX };
        let (baseline, baselines) = watch::channel(Arc::new(nothing));
        let happened = events.happened();
        let task = Task { changed, baselines, happened, events: Some(events), reported: None };
        Self { baseline, task: tokio::spawn(task.run()) }
    }

    pub(in crate::supervisor) fn is_dead(&self) -> bool {
        self.task.is_finished()
    }

    #[cfg(test)]
    pub(in crate::supervisor) fn kill(&self) {
        self.task.abort();
    }

    /// Sets the files of the last attempt to load, whether it was accepted or not. `rescan` is the time
    /// between two checks without an event, for file systems that have none.
    pub(in crate::supervisor) fn set(&self, last_read: Fingerprints, rescan: Duration) {
        let rescan = rescan.max(MIN_RESCAN_INTERVAL);
        self.baseline.send_replace(Arc::new(Baseline { last_read, rescan }));
    }
}

/// The watch was dropped, or nobody receives its messages any more.
struct Ended;

struct CheckResult {
    content: Fingerprints,
    /// A directory is missing.
    incomplete: bool,
}

struct Report {
    content: Fingerprints,
    at: Instant,
    /// The files that it was compared with: those of the last attempt until then.
    baseline: Arc<Baseline>,
}

struct Task {
    changed: mpsc::Sender<()>,
    baselines: watch::Receiver<Arc<Baseline>>,
    happened: watch::Receiver<Instant>,
    /// Absent during a check, which owns them.
    events: Option<Events>,
    reported: Option<Report>,
}

impl Task {
    async fn run(mut self) {
        if self.baselines.changed().await.is_err() {
            return;
        }
        let mut gap = STABILITY_DELAY;
        while let Ok(incomplete) = self.check_until_stable(gap).await {
            match self.reason(incomplete).await {
                Ok(next) => gap = next,
                Err(Ended) => return,
            }
        }
    }

    /// Waits until a check is due. Returns the time between the two checks that must agree.
    async fn reason(&mut self, incomplete: bool) -> Result<Duration, Ended> {
        let rescan = self.baselines.borrow().rescan;
        let pause = if incomplete { rescan.min(MISSING_CHECK_INTERVAL) } else { rescan };
        tokio::select! {
            changed = self.baselines.changed() => {
                changed.map_err(|_| Ended)?;
                Ok(STABILITY_DELAY)
            }
            Ok(()) = self.happened.changed() => Ok(self.debounce().await),
            () = sleep(pause) => Ok(STABILITY_DELAY),
            () = self.changed.closed() => Err(Ended),
        }
    }

    /// Waits for quiet. Without it, the checks must be as far apart as the quiet time is long, so that
    /// both of them do not fall between two slow writes.
    async fn debounce(&mut self) -> Duration {
        let limit = Instant::now() + MAX_DEBOUNCE;
        loop {
            let due = *self.happened.borrow_and_update() + QUIET_PERIOD;
            if Instant::now() >= due {
                return STABILITY_DELAY;
            }
            sleep_until(due.min(limit)).await;
            if due >= limit {
                return QUIET_PERIOD;
            }
        }
    }

    /// Checks until two checks agree, and reports files that differ from those that were read last.
    /// Returns whether a directory is missing.
    async fn check_until_stable(&mut self, mut gap: Duration) -> Result<bool, Ended> {
        let baseline = Arc::clone(&self.baselines.borrow_and_update());
        let mut before: Option<CheckResult> = None;
        loop {
            let found = self.check(&baseline).await?;
            if self.baselines.has_changed().map_err(|_| Ended)? {
                // Compared with an older attempt, the change would be reported twice.
                return Ok(found.incomplete);
            }
            if found.content == baseline.last_read {
                self.reported = None;
                return Ok(found.incomplete);
            }
            if before.is_some_and(|before| before.content == found.content) {
                self.report(found.content, baseline)?;
                return Ok(found.incomplete);
            }
            before = Some(found);
            sleep(gap).await;
            gap = (gap * 2).min(MAX_STABILITY_DELAY);
        }
    }

    /// Sends a message, unless this content was reported. If the next attempt reads other content, it is
    /// reported again, but at most once a rescan: a disagreement about a file must not end in a storm
    /// of reloads.
    fn report(&mut self, content: Fingerprints, baseline: Arc<Baseline>) -> Result<(), Ended> {
        if let Some(reported) = &self.reported
            && reported.content == content
            && (Arc::ptr_eq(&reported.baseline, &baseline)
                || reported.at.elapsed() < baseline.rescan)
        {
            return Ok(());
        }
        self.reported = Some(Report { content, at: Instant::now(), baseline });
        match self.changed.try_send(()) {
            Ok(()) | Err(mpsc::error::TrySendError::Full(())) => Ok(()),
            Err(mpsc::error::TrySendError::Closed(())) => Err(Ended),
        }
    }

    /// Checks once, on a blocking thread. One check at a time: a file system that hangs costs one
    /// thread, and a reload would hang in it as well.
    async fn check(&mut self, baseline: &Arc<Baseline>) -> Result<CheckResult, Ended> {
        let mut events = self.events.take().unwrap_or_else(Events::none);
        let job = Arc::clone(baseline);
        let mut check = tokio::task::spawn_blocking(move || {
            let directories = directories::of(job.last_read.keys());
            // First the watches, then the content: what changes in between makes an event.
            events.watch(&directories, job.rescan);
            let content = job
                .last_read
                .keys()
                .map(|path| (path.clone(), config::fingerprint(path)))
                .collect();
            (events, CheckResult { content, incomplete: directories.incomplete })
        });
        let mut baselines = self.baselines.clone();
        let ended = async move { while baselines.changed().await.is_ok() {} };
        tokio::pin!(ended);
        loop {
            let checked = tokio::select! {
                checked = timeout(SLOW_CHECK, &mut check) => checked,
                () = &mut ended => return Err(Ended),
            };
            match checked {
                Ok(Ok((events, found))) => {
                    self.events = Some(events);
                    return Ok(found);
                }
                Ok(Err(_)) => {
                    tracing::error!(
                        "checking the configuration files failed; this is a bug in the agent, \
                         please report it"
                    );
                    return Ok(CheckResult {
                        content: baseline.last_read.clone(),
                        incomplete: false,
                    });
                }
                Err(_) => tracing::warn!(
                    "reading the configuration files is taking long; changes are not noticed \
                     until it finishes; check for a file system that hangs"
                ),
            }
        }
    }
}
