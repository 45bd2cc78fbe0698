//! Requests for a reload by signals, the file watcher and HTTP. One is served at a time; requests that
//! wait together are coalesced into one, whose reading comes after all of them.

use serde_json::Value;
use tokio::sync::{mpsc, oneshot};

use super::error::ReloadError;
use super::signals::Signals;
use crate::config::Diff;
use crate::reload::{ReloadAnswer, ReloadRequest, Trigger, Verdict};

/// Requests over HTTP that wait; further ones are refused.
const MAX_WAITING: usize = 64;

/// Requests that one reading serves.
#[derive(Debug)]
pub(super) struct Batch {
    /// The trigger that is counted: a person's request before a change that was merely seen.
    pub(super) trigger: Trigger,
    /// SIGHUP is among them, which reopens the log as well.
    pub(super) reopens_log: bool,
    replies: Vec<oneshot::Sender<Result<ReloadAnswer, String>>>,
}

impl Batch {
    pub(super) fn of(trigger: Trigger) -> Self {
        Self { trigger, reopens_log: trigger == Trigger::Sighup, replies: Vec::new() }
    }

    /// Sends the answer to the clients that wait for it. Some may be gone.
    pub(super) fn answer(self, result: &Result<Diff, ReloadError>) {
        let answer = match result {
            Ok(diff) => Ok(ReloadAnswer {
                result: Verdict::of_changes(!diff.is_empty()),
                // It has neither maps with other keys than texts, nor numbers.
                changes: serde_json::to_value(diff).unwrap_or(Value::Null),
            }),
            // The endpoint takes a dropped reply for the end of the agent.
            Err(ReloadError::Ending) => return,
            Err(error) => Err(error.with_outlook()),
        };
        for reply in self.replies {
            let _ = reply.send(answer.clone());
        }
    }
}

/// Queues of the requests that are no signals.
pub(super) struct Inbox {
    http: mpsc::Receiver<ReloadRequest>,
    watch: mpsc::Receiver<()>,
}

/// Senders of an [`Inbox`].
pub(super) struct Senders {
    pub(super) http: mpsc::Sender<ReloadRequest>,
    pub(super) watch: mpsc::Sender<()>,
}

impl Inbox {
    /// Returns an empty inbox and its senders.
    pub(super) fn new() -> (Senders, Self) {
        let (http, from_http) = mpsc::channel(MAX_WAITING);
        // One message stands for all that changed until it is taken.
        let (watch, from_watch) = mpsc::channel(1);
        (Senders { http, watch }, Self { http: from_http, watch: from_watch })
    }

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

    /// Adds all requests that wait. Must be called before the files are read, not after.
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

    /// Refuses further requests, and drops those that wait.
    pub(super) fn close(&mut self) {
        self.http.close();
        while self.http.try_recv().is_ok() {}
    }
}
