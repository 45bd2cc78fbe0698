//! Statistics of the push. They belong to the process, so they survive every rebuilt exporter.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use super::error::Kind;
use super::gate::Gate;
use super::memory::Memory;
use super::transport::{Accepted, Signal};
use crate::state::WeakStateDir;

/// Counts of the push, and the memory of what the receiver acknowledged.
#[derive(Debug, Default)]
pub struct OtlpStats {
    signals: [Mutex<SignalStats>; 2],
    gates: [Gate; 2],
    /// Held by one export at a time, an exporter that is being replaced included.
    pub(super) memory: Arc<tokio::sync::Mutex<Memory>>,
}

#[derive(Debug, Clone, Default, PartialEq)]
pub struct SignalStats {
    /// By result; `success` and `partial` always, others once they occurred.
    pub exports: BTreeMap<&'static str, u64>,
    pub items: Items,
    /// Requests that were sent, failed tries included.
    pub requests: u64,
    /// Bytes in them, before compression.
    pub bytes: u64,
    /// True once the receiver took the signal, false if it answered that it does not.
    pub supported: Option<bool>,
    /// Increments are on disk before they are pushed; `None` if they are not kept, or not pushed.
    pub saved: Option<bool>,
    pub last_success: Option<SystemTime>,
    pub last_duration: Option<Duration>,
}

/// Points or spans, by what became of them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Items {
    pub accepted: u64,
    /// Rejected by a receiver that took the rest.
    pub rejected: u64,
    /// Not sent, or sent without an answer.
    pub dropped: u64,
}

impl Items {
    pub(crate) fn of(count: u64, accepted: &Accepted) -> Self {
        let rejected = accepted.rejected.min(count);
        Self { accepted: count - rejected, rejected, dropped: 0 }
    }

    pub(crate) const fn add(&mut self, other: Self) {
        self.accepted += other.accepted;
        self.rejected += other.rejected;
        self.dropped += other.dropped;
    }
}

impl OtlpStats {
    /// Keeps the memory of increments in this directory no longer, if it is there: another agent may want it.
    pub(crate) async fn forget_directory(&self, directory: WeakStateDir) {
        let mut memory = self.memory.lock().await;
        if let Some(directory) = directory.upgrade() {
            memory.forget(&directory);
        }
    }

    pub fn snapshot(&self) -> [(Signal, SignalStats); 2] {
        [Signal::Metrics, Signal::Traces].map(|signal| {
            let mut stats = self.of(signal).clone();
            stats.supported = self.gate(signal).supported();
            // Complete from the start, so that the first one shows in a rate.
            for result in ["success", "partial"] {
                stats.exports.entry(result).or_default();
            }
            (signal, stats)
        })
    }

    pub(super) fn request(&self, signal: Signal, bytes: usize) {
        let mut stats = self.of(signal);
        stats.requests += 1;
        stats.bytes += bytes as u64;
    }

    /// Counts an export that ended, with the kind of its first error.
    pub(super) fn export(&self, signal: Signal, items: Items, error: Option<Kind>, took: Duration) {
        let mut stats = self.of(signal);
        let result = match error {
            None if items.rejected > 0 => "partial",
            None => "success",
            Some(kind) if kind.is_unsupported() => "unsupported",
            Some(kind) => kind.as_str(),
        };
        *stats.exports.entry(result).or_default() += 1;
        stats.items.add(items);
        stats.last_duration = Some(took);
        if error.is_none() {
            stats.last_success = Some(SystemTime::now());
        }
    }

    pub(super) fn set_saved(&self, saved: Option<bool>) {
        self.of(Signal::Metrics).saved = saved;
    }

    pub(crate) const fn gate(&self, signal: Signal) -> &Gate {
        &self.gates[signal as usize]
    }

    fn of(&self, signal: Signal) -> MutexGuard<'_, SignalStats> {
        self.signals[signal as usize].lock().unwrap_or_else(PoisonError::into_inner)
    }
}
