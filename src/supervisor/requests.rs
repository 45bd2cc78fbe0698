//! Who asks for a reload: signals, the watch of the files, HTTP. One is served at a time; requests that
//! wait together are served by one reading, which comes after all of them.

use serde_json::Value;
use tokio::sync::{mpsc, oneshot};

use super::{ReloadError, signals::Signals};
use crate::config::Diff;
use crate::http::{ReloadAnswer, ReloadRequest, ReloadResult};

/// Requests over HTTP that wait; further ones are told to come again.
const WAITING: usize = 64;

/// What asked for the configuration to be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trigger {
    /// The start of the process.
    Start,
    /// SIGHUP.
    Sighup,
    /// A file that differs from what was tried last.
    Watch,
    /// POST /-/reload.
    Http,
    /// Something ended that should run.
    Recovery,
    /// A valid configuration could not be put in force before.
    Retry,
}

impl Trigger {
    /// All of them.
    pub const ALL: [Self; 6] =
        [Self::Start, Self::Sighup, Self::Watch, Self::Http, Self::Recovery, Self::Retry];

    /// The value of the label.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Start => "start",
            Self::Sighup => "sighup",
            Self::Watch => "watch",
            Self::Http => "http",
            Self::Recovery => "recovery",
            Self::Retry => "retry",
        }
    }
}

/// How an attempt to load the configuration ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Something changed, and is in force.
    Applied,
    /// It was in force already.
    Unchanged,
    /// It is wrong, or cannot be had here and now; nothing changed.
    Rejected,
}

impl Verdict {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Applied, Self::Unchanged, Self::Rejected];

    /// The value of the label.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Applied => "applied",
            Self::Unchanged => "unchanged",
            Self::Rejected => "rejected",
        }
    }

    /// Of a configuration that is valid.
    pub(super) fn of(diff: &Diff) -> Self {
        if diff.is_empty() { Self::Unchanged } else { Self::Applied }
    }
}

/// Requests that one reading serves.
#[derive(Debug)]
pub(super) struct Batch {
    /// The one that it is counted for: what a person asked for, before what was merely seen.
    pub(super) trigger: Trigger,
    /// Whether SIGHUP is among them, which opens the log anew as well.
    pub(super) reopens_log: bool,
    replies: Vec<oneshot::Sender<Result<ReloadAnswer, String>>>,
}

impl Batch {
    pub(super) fn of(trigger: Trigger) -> Self {
        Self { trigger, reopens_log: trigger == Trigger::Sighup, replies: Vec::new() }
    }

    /// Tells those who wait for it. Some may be gone.
    pub(super) fn answer(self, result: &Result<Diff, ReloadError>) {
        let answer = match result {
            Ok(diff) => Ok(ReloadAnswer {
                result: if diff.is_empty() {
                    ReloadResult::Unchanged
                } else {
                    ReloadResult::Applied
                },
                // It has neither maps with other keys than texts, nor numbers.
                changes: serde_json::to_value(diff).unwrap_or(Value::Null),
            }),
            // Dropped, the replies say so.
            Err(ReloadError::Ending) => return,
            Err(error) => Err(error.with_outlook()),
        };
        for reply in self.replies {
            let _ = reply.send(answer.clone());
        }
    }
}

/// Where requests arrive that are no signals.
pub(super) struct Inbox {
    http: mpsc::Receiver<ReloadRequest>,
    watch: mpsc::Receiver<()>,
}

/// The other ends of an [`Inbox`].
pub(super) struct Senders {
    pub(super) http: mpsc::Sender<ReloadRequest>,
    pub(super) watch: mpsc::Sender<()>,
}

impl Inbox {
    pub(super) fn new() -> (Senders, Self) {
        let (http, from_http) = mpsc::channel(WAITING);
        // One message stands for all that changed until it is taken.
        let (watch, from_watch) = mpsc::channel(1);
        (Senders { http, watch }, Self { http: from_http, watch: from_watch })
    }

    /// The next request.
    pub(super) async fn next(&mut self) -> Batch {
        tokio::select! {
            Some(request) = self.http.recv() => {
                let mut batch = Batch::of(Trigger::Http);
                batch.replies.push(request.reply);
                batch
            }
            Some(()) = self.watch.recv() => Batch::of(Trigger::Watch),
            // Their senders live as long as the supervisor.
            else => std::future::pending().await,
        }
    }

    /// Adds what waits. It has to be taken before the files are read, not after.
    pub(super) fn coalesce(&mut self, batch: &mut Batch, signals: &mut Signals) {
        if signals.take_reloads() {
            batch.reopens_log = true;
            if batch.trigger == Trigger::Retry {
                batch.trigger = Trigger::Sighup;
            }
        }
        while let Ok(request) = self.http.try_recv() {
            if matches!(batch.trigger, Trigger::Watch | Trigger::Retry) {
                batch.trigger = Trigger::Http;
            }
            batch.replies.push(request.reply);
        }
        while self.watch.try_recv().is_ok() {
            if batch.trigger == Trigger::Retry {
                batch.trigger = Trigger::Watch;
            }
        }
    }

    /// Takes no more requests: who asks is told that the agent ends.
    pub(super) fn close(&mut self) {
        self.http.close();
        while self.http.try_recv().is_ok() {}
    }
}
