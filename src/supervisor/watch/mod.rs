//! Watches the configuration file and every file that it names.
//!
//! Events and a slow rescan only make it look; whether something changed is decided by content. What
//! it compares with is what was tried last, not what is in force: a file that was refused is not
//! tried again until it changes, and one that was broken and is restored is.

mod directories;
mod events;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, sleep_until, timeout};

use crate::config::{self, Files};

use events::Events;

/// It looks when the directories were quiet for so long,
const QUIET: Duration = Duration::from_millis(100);

/// or, if they never are, so long after the first event.
const LONGEST_DEBOUNCE: Duration = Duration::from_secs(1);

/// Two looks this far apart that agree make a file stable. Where they differ, the next is later.
const BETWEEN_LOOKS: Duration = Duration::from_millis(50);
const LONGEST_BETWEEN_LOOKS: Duration = Duration::from_millis(400);

/// Time between two checks while a directory is missing: it has no events.
const MISSING: Duration = Duration::from_secs(1);

/// No rescan is more frequent, whatever is asked for.
const SHORTEST_RESCAN: Duration = Duration::from_millis(100);

/// A look that takes longer is worth a line in the log.
const SLOW: Duration = Duration::from_secs(10);

/// Watcher of the configuration's files. Dropping it ends it, even while a file system hangs.
pub(in crate::supervisor) struct Watcher {
    wanted: watch::Sender<Arc<Wanted>>,
    task: JoinHandle<()>,
}

struct Wanted {
    tried: Files,
    rescan: Duration,
}

impl Watcher {
    /// Starts a watch that knows no files yet. Needs a runtime.
    ///
    /// One message goes into `changed` when the files differ from what was tried, and are stable. It
    /// stands for everything up to the moment when it is received: who merges messages must take
    /// them out before reading the files, not after. Where the channel is full, the message that
    /// waits in it does.
    pub(in crate::supervisor) fn spawn(changed: mpsc::Sender<()>) -> Self {
        Self::with(changed, Events::new())
    }

    fn with(changed: mpsc::Sender<()>, events: Events) -> Self {
        let nothing = Wanted { tried: Files::new(), rescan: Duration::MAX };
        let (wanted, asked) = watch::channel(Arc::new(nothing));
        let happened = events.happened();
        let task = Task { changed, asked, happened, events: Some(events), sent: None };
        Self { wanted, task: tokio::spawn(task.run()) }
    }

    /// Returns whether it ended.
    pub(in crate::supervisor) fn is_dead(&self) -> bool {
        self.task.is_finished()
    }

    /// Kills its task.
    #[cfg(test)]
    pub(in crate::supervisor) fn kill(&self) {
        self.task.abort();
    }

    /// Sets the files of the last attempt to load, whether it was accepted or not. `rescan` is the time
    /// between two checks without an event, for file systems that have none.
    pub(in crate::supervisor) fn set(&self, tried: Files, rescan: Duration) {
        let rescan = rescan.max(SHORTEST_RESCAN);
        self.wanted.send_replace(Arc::new(Wanted { tried, rescan }));
    }
}

/// The watch was dropped, or nobody receives its messages any more.
struct Ended;

/// Result of one check.
struct Seen {
    content: Files,
    /// A directory is missing.
    incomplete: bool,
}

/// Last message.
struct Sent {
    content: Files,
    at: Instant,
    /// The files that it was compared with: those of the last attempt until then.
    wanted: Arc<Wanted>,
}

struct Task {
    changed: mpsc::Sender<()>,
    asked: watch::Receiver<Arc<Wanted>>,
    /// Time of the last event.
    happened: watch::Receiver<Instant>,
    /// Absent while a look has them.
    events: Option<Events>,
    sent: Option<Sent>,
}

impl Task {
    async fn run(mut self) {
        if self.asked.changed().await.is_err() {
            return;
        }
        let mut gap = BETWEEN_LOOKS;
        while let Ok(incomplete) = self.settle(gap).await {
            match self.reason(incomplete).await {
                Ok(next) => gap = next,
                Err(Ended) => return,
            }
        }
    }

    /// Waits until there is a reason to look; says how far apart the looks must be.
    async fn reason(&mut self, incomplete: bool) -> Result<Duration, Ended> {
        let rescan = self.asked.borrow().rescan;
        let pause = if incomplete { rescan.min(MISSING) } else { rescan };
        tokio::select! {
            asked = self.asked.changed() => {
                asked.map_err(|_| Ended)?;
                Ok(BETWEEN_LOOKS)
            }
            Ok(()) = self.happened.changed() => Ok(self.debounce().await),
            () = sleep(pause) => Ok(BETWEEN_LOOKS),
            () = self.changed.closed() => Err(Ended),
        }
    }

    /// Waits for quiet. Where there is none, the looks must be as far apart as the quiet would be
    /// long: whoever writes slowly shall not be caught between two writes.
    async fn debounce(&mut self) -> Duration {
        let limit = Instant::now() + LONGEST_DEBOUNCE;
        loop {
            let due = *self.happened.borrow_and_update() + QUIET;
            if Instant::now() >= due {
                return BETWEEN_LOOKS;
            }
            sleep_until(due.min(limit)).await;
            if due >= limit {
                return QUIET;
            }
        }
    }

    /// Looks until two looks agree, and tells of what differs from what was tried. Says whether a
    /// directory is missing.
    async fn settle(&mut self, mut gap: Duration) -> Result<bool, Ended> {
        let wanted = Arc::clone(&self.asked.borrow_and_update());
        let mut before: Option<Seen> = None;
        loop {
            let seen = self.look(&wanted).await?;
            if self.asked.has_changed().map_err(|_| Ended)? {
                // Compared with what is past, it would be told of twice.
                return Ok(seen.incomplete);
            }
            if seen.content == wanted.tried {
                self.sent = None;
                return Ok(seen.incomplete);
            }
            if before.is_some_and(|before| before.content == seen.content) {
                self.tell(seen.content, wanted)?;
                return Ok(seen.incomplete);
            }
            before = Some(seen);
            sleep(gap).await;
            gap = (gap * 2).min(LONGEST_BETWEEN_LOOKS);
        }
    }

    /// Sends a message, unless it was sent. Should an attempt not have taken what was seen, it is
    /// told of again, but no faster than by the rescan: two sides that cannot agree on a file must
    /// not end in a storm of reloads.
    fn tell(&mut self, content: Files, wanted: Arc<Wanted>) -> Result<(), Ended> {
        if let Some(sent) = &self.sent
            && sent.content == content
            && (Arc::ptr_eq(&sent.wanted, &wanted) || sent.at.elapsed() < wanted.rescan)
        {
            return Ok(());
        }
        self.sent = Some(Sent { content, at: Instant::now(), wanted });
        match self.changed.try_send(()) {
            Ok(()) | Err(mpsc::error::TrySendError::Full(())) => Ok(()),
            Err(mpsc::error::TrySendError::Closed(())) => Err(Ended),
        }
    }

    /// Looks once, on a blocking thread. One look at a time: a file system that hangs costs one
    /// thread, and a reload would hang in it as well.
    async fn look(&mut self, wanted: &Arc<Wanted>) -> Result<Seen, Ended> {
        let mut events = self.events.take().unwrap_or_else(Events::none);
        let job = Arc::clone(wanted);
        let mut look = tokio::task::spawn_blocking(move || {
            let found = directories::of(job.tried.keys());
            // First the watches, then the content: what changes in between makes an event.
            events.watch(&found, job.rescan);
            let content = job.tried.keys().map(|path| (path.clone(), config::look(path))).collect();
            (events, Seen { content, incomplete: found.incomplete })
        });
        let mut asked = self.asked.clone();
        let ended = async move { while asked.changed().await.is_ok() {} };
        tokio::pin!(ended);
        loop {
            let looked = tokio::select! {
                looked = timeout(SLOW, &mut look) => looked,
                () = &mut ended => return Err(Ended),
            };
            match looked {
                Ok(Ok((events, seen))) => {
                    self.events = Some(events);
                    return Ok(seen);
                }
                Ok(Err(_)) => {
                    tracing::error!(
                        "checking the configuration files failed; this is a bug in the agent, \
                         please report it"
                    );
                    return Ok(Seen { content: wanted.tried.clone(), incomplete: false });
                }
                Err(_) => tracing::warn!(
                    "reading the configuration files is taking long; changes are not noticed \
                     until it finishes; check for a file system that hangs"
                ),
            }
        }
    }
}
