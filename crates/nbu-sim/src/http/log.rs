//! Log of requests, bounded, and exact counts beside it.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

/// Number of requests that the log keeps; older ones are dropped.
pub const LOG_CAPACITY: usize = 10_000;

/// Content of the `Authorization` header of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Authorization {
    /// There was no such header.
    Absent,
    /// It held the key.
    Valid,
    /// It held anything else.
    Invalid,
}

/// Request that was answered, or that a fault kept from being answered.
#[derive(Clone, Debug)]
pub struct RequestLog {
    /// Method.
    pub method: String,
    /// Path under `/netbackup`.
    pub path: String,
    /// Query parameters, decoded, in the order in which they came.
    pub query: Vec<(String, String)>,
    /// Status of the answer; 0 where a fault sent none.
    pub status: u16,
    /// The credential.
    pub authorization: Authorization,
    /// The Accept header.
    pub accept: Option<String>,
    /// Server time of arrival, unix milliseconds.
    pub at_ms: i64,
}

impl RequestLog {
    /// A query parameter, decoded.
    pub fn parameter(&self, name: &str) -> Option<&str> {
        self.query.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }
}

/// The log.
#[derive(Debug, Default)]
pub(crate) struct Log {
    entries: Mutex<VecDeque<RequestLog>>,
    keys: Mutex<VecDeque<String>>,
    requests: AtomicU64,
    connections: AtomicU64,
}

impl Log {
    /// Counts a request on its arrival, so that one that is never answered counts too, and keeps the
    /// key that it carried.
    pub(crate) fn arrived(&self, key: Option<&str>) {
        self.requests.fetch_add(1, Ordering::SeqCst);
        let mut keys = self.keys.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(key) = key {
            if keys.len() == LOG_CAPACITY {
                keys.pop_front();
            }
            keys.push_back(key.to_owned());
        }
    }

    pub(crate) fn keys(&self) -> Vec<String> {
        self.keys.lock().unwrap_or_else(PoisonError::into_inner).iter().cloned().collect()
    }

    pub(crate) fn push(&self, entry: RequestLog) {
        let mut entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        if entries.len() == LOG_CAPACITY {
            entries.pop_front();
        }
        entries.push_back(entry);
    }

    pub(crate) fn connected(&self) {
        self.connections.fetch_add(1, Ordering::SeqCst);
    }

    pub(crate) fn entries(&self) -> Vec<RequestLog> {
        let entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        entries.iter().cloned().collect()
    }

    pub(crate) fn requests(&self) -> u64 {
        self.requests.load(Ordering::SeqCst)
    }

    pub(crate) fn connections(&self) -> u64 {
        self.connections.load(Ordering::SeqCst)
    }
}
