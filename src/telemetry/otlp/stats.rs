//! Statistics of the push. They belong to the process, so they survive every rebuilt exporter.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering::Relaxed};
use std::time::{Duration, SystemTime};

use super::error::Kind;
use super::gate::Gate;
use super::memory::Memory;
use super::time::{nanos, unix_nanos};
use super::transport::Signal;

/// Counts of the push, and the memory of what the receiver acknowledged.
#[derive(Debug, Default)]
pub struct OtlpStats {
    metrics: SignalStats,
    traces: SignalStats,
    gates: [Gate; 2],
    /// Held by one export at a time, an exporter that is being replaced included.
    pub(super) memory: Arc<tokio::sync::Mutex<Memory>>,
    /// Saving of increments to disk before a push: 0 does not apply, 1 not saved, 2 saved.
    saved: AtomicU8,
}

#[derive(Debug, Default)]
struct SignalStats {
    success: AtomicU64,
    partial: AtomicU64,
    unsupported: AtomicU64,
    failed: [AtomicU64; Kind::ALL.len()],
    accepted: AtomicU64,
    rejected: AtomicU64,
    dropped: AtomicU64,
    requests: AtomicU64,
    bytes: AtomicU64,
    /// Nanoseconds since 1970; 0 before the first success.
    last_success: AtomicU64,
    /// Nanoseconds; 0 before the first export.
    last_duration: AtomicU64,
}

/// Result of an export.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExportResult {
    /// Everything was accepted.
    Success,
    /// The receiver rejected some of it.
    Partial,
    /// The receiver does not take this signal.
    Unsupported,
    /// At least one request failed.
    Failed(Kind),
}

impl ExportResult {
    /// Returns the result of an export that failed with this error.
    pub(crate) const fn failed(kind: Kind) -> Self {
        if kind.is_unsupported() { Self::Unsupported } else { Self::Failed(kind) }
    }

    /// The value of the label.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Success => "success",
            Self::Partial => "partial",
            Self::Unsupported => "unsupported",
            Self::Failed(kind) => kind.as_str(),
        }
    }
}

/// Points or spans of one export, by what became of them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Items {
    /// Taken by the receiver.
    pub accepted: u64,
    /// Rejected by a receiver that took the rest.
    pub rejected: u64,
    /// Not sent, or sent without an answer.
    pub dropped: u64,
}

/// The counts of one signal at one moment.
#[derive(Debug, Clone, PartialEq)]
pub struct SignalSnapshot {
    /// Metrics or traces.
    pub signal: Signal,
    /// Exports by result; `success` and `partial` always, kinds of failure once they occurred.
    pub exports: Vec<(&'static str, u64)>,
    /// Points or spans by what became of them.
    pub items: Items,
    /// Requests that were sent, tries that failed included.
    pub requests: u64,
    /// Bytes in them, before compression.
    pub bytes: u64,
    /// True once the receiver took the signal, false if it answered that it does not.
    pub supported: Option<bool>,
    /// Time of the last accepted export, seconds since 1970.
    pub last_success: Option<f64>,
    /// Duration of the last export.
    pub last_duration: Option<Duration>,
}

impl OtlpStats {
    /// The counts of both signals.
    pub fn snapshot(&self) -> [SignalSnapshot; 2] {
        [Signal::Metrics, Signal::Traces].map(|signal| {
            let supported = self.gate(signal).supported();
            SignalSnapshot { supported, ..self.of(signal).snapshot(signal) }
        })
    }

    /// Counts a request that is about to be sent.
    pub(crate) fn request(&self, signal: Signal, bytes: usize) {
        let stats = self.of(signal);
        stats.requests.fetch_add(1, Relaxed);
        stats.bytes.fetch_add(bytes as u64, Relaxed);
    }

    /// Counts an export that ended.
    pub(crate) fn export(
        &self,
        signal: Signal,
        result: ExportResult,
        items: Items,
        took: Duration,
    ) {
        let stats = self.of(signal);
        match result {
            ExportResult::Success => &stats.success,
            ExportResult::Partial => &stats.partial,
            ExportResult::Unsupported => &stats.unsupported,
            ExportResult::Failed(kind) => &stats.failed[kind as usize],
        }
        .fetch_add(1, Relaxed);
        stats.accepted.fetch_add(items.accepted, Relaxed);
        stats.rejected.fetch_add(items.rejected, Relaxed);
        stats.dropped.fetch_add(items.dropped, Relaxed);
        stats.last_duration.store(nanos(took).max(1), Relaxed);
        if matches!(result, ExportResult::Success | ExportResult::Partial) {
            stats.last_success.store(unix_nanos(SystemTime::now()), Relaxed);
        }
    }

    /// Returns whether increments are on disk before they are pushed; none where they are not kept, or not pushed.
    pub fn saved(&self) -> Option<bool> {
        match self.saved.load(Relaxed) {
            0 => None,
            saved => Some(saved == 2),
        }
    }

    /// Notes whether increments are on disk.
    pub(super) fn set_saved(&self, saved: Option<bool>) {
        self.saved.store(saved.map_or(0, |saved| 1 + u8::from(saved)), Relaxed);
    }

    /// Returns what says when a signal may be sent.
    pub(crate) const fn gate(&self, signal: Signal) -> &Gate {
        match signal {
            Signal::Metrics => &self.gates[0],
            Signal::Traces => &self.gates[1],
        }
    }

    /// Asks receivers anew which signals they take, after a change of settings.
    pub(crate) fn ask_anew(&self, signal: Signal) {
        self.gate(signal).ask_anew();
    }

    const fn of(&self, signal: Signal) -> &SignalStats {
        match signal {
            Signal::Metrics => &self.metrics,
            Signal::Traces => &self.traces,
        }
    }
}

impl SignalStats {
    fn snapshot(&self, signal: Signal) -> SignalSnapshot {
        let mut exports =
            vec![("success", self.success.load(Relaxed)), ("partial", self.partial.load(Relaxed))];
        let failed = Kind::ALL.iter().map(|kind| kind.as_str()).zip(&self.failed);
        let others = failed.chain([("unsupported", &self.unsupported)]);
        exports.extend(
            others
                .map(|(result, count)| (result, count.load(Relaxed)))
                .filter(|(_, count)| *count > 0),
        );
        let read = |cell: &AtomicU64| Some(cell.load(Relaxed)).filter(|value| *value > 0);
        SignalSnapshot {
            signal,
            exports,
            items: Items {
                accepted: self.accepted.load(Relaxed),
                rejected: self.rejected.load(Relaxed),
                dropped: self.dropped.load(Relaxed),
            },
            requests: self.requests.load(Relaxed),
            bytes: self.bytes.load(Relaxed),
            supported: None,
            last_success: read(&self.last_success)
                .map(|nanos| Duration::from_nanos(nanos).as_secs_f64()),
            last_duration: read(&self.last_duration).map(Duration::from_nanos),
        }
    }
}
