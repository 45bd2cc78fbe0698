//! The connections of an endpoint: the activity of each, and the choice of those that are closed
//! because they take too long or others need their place.
//!
//! A connection waits (it is idle, or sends the head of a request), or it is answered. The path of a
//! request is not known before its head is read, and health checks may share an address with
//! scrapers: room is made by age, not by name.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::OwnedSemaphorePermit;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::telemetry::prometheus::gzip::GzipPage;

pub(super) const MAX_CONNECTIONS: usize = 512;

/// Longest time from the first byte of a request to the end of its head.
const HEAD_TIMEOUT: Duration = Duration::from_secs(10);

/// Longest time between two requests: longer than any usual interval of scrapes.
const IDLE_TIMEOUT: Duration = Duration::from_secs(300);

/// Longest time in which a client takes nothing of a response. A window of TCP that is full opens
/// again only after a good part of it was read, so a slow client seems to stand still for a while.
const STALL_TIMEOUT: Duration = Duration::from_secs(30);

/// Longest time that the sending of a response takes.
const RESPONSE_TIMEOUT: Duration = Duration::from_secs(120);

/// Connections of one address that wait, where places are getting scarce.
const MAX_WAITING_PER_ADDRESS: usize = 128;

/// A connection that waits for less may have its request on the way.
const WAIT_TOLERANCE: Duration = Duration::from_millis(250);

/// A client that takes nothing for so long gives up its place where others want it.
const STALL_TOLERANCE: Duration = Duration::from_secs(1);

/// Bytes of pages that responses may keep from being freed. A page is made at most once a second.
const MAX_PINNED: usize = 32 << 20;

/// A response that took so long ends where too many pages are kept: a scraper's usual timeout.
const PIN_TOLERANCE: Duration = Duration::from_secs(10);

/// The connections of an endpoint, by the order in which they came.
#[derive(Debug, Default)]
pub(super) struct Connections(Mutex<Vec<Arc<Connection>>>);

/// The activity of one connection, as its socket and its service report it.
#[derive(Debug)]
pub(super) struct Connection {
    pub(super) peer: IpAddr,
    activity: Mutex<Activity>,
    /// Cancelled when the connection is to be closed.
    pub(super) closed: CancellationToken,
}

#[derive(Debug)]
struct Activity {
    phase: Phase,
    since: Instant,
    /// Start of the time in which the client takes nothing of the response.
    stalled: Option<Instant>,
    scrape: Option<Arc<Scrape>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// Between two requests, or before the first.
    Idle,
    /// A part of a head is here.
    Head,
    Answering,
    Sending,
    /// The response is complete, and not flushed yet.
    Flushing,
}

/// A page that is being sent, and its place among the scrapes in flight.
#[derive(Debug)]
pub(super) struct Scrape {
    pub(super) _place: OwnedSemaphorePermit,
    /// The page, whose address is its identity as long as this keeps it.
    pub(super) _kept: Arc<GzipPage>,
    /// Address and size of the page in memory.
    pub(super) page: (usize, usize),
}

impl Connection {
    fn activity(&self) -> MutexGuard<'_, Activity> {
        self.activity.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes that bytes of the client arrived.
    pub(super) fn received(&self) {
        let mut activity = self.activity();
        if activity.phase == Phase::Idle {
            activity.enter(Phase::Head);
        }
    }

    /// Notes that the TLS handshake is complete: a head may be long in coming.
    pub(super) fn secured(&self) {
        self.activity().enter(Phase::Idle);
    }

    /// Notes that a head is complete.
    pub(super) fn begin_answer(&self) {
        self.activity().enter(Phase::Answering);
    }

    /// Notes that a response was made.
    pub(super) fn begin_sending(&self, scrape: Option<Arc<Scrape>>) {
        let mut activity = self.activity();
        activity.enter(Phase::Sending);
        activity.scrape = scrape;
    }

    /// Notes that the whole response was handed to the connection.
    pub(super) fn end_of_body(&self) {
        let mut activity = self.activity();
        if activity.phase == Phase::Sending {
            // Not `enter`: it is sent since before.
            activity.phase = Phase::Flushing;
        }
    }

    /// Notes if the client took some bytes of the response.
    pub(super) fn wrote(&self, some: bool) {
        let mut activity = self.activity();
        activity.stalled =
            if some { None } else { Some(activity.stalled.unwrap_or_else(Instant::now)) };
    }

    /// Notes that nothing is left to be sent.
    pub(super) fn flushed(&self) {
        let mut activity = self.activity();
        if activity.phase == Phase::Flushing {
            activity.enter(Phase::Idle);
            activity.scrape = None;
        }
    }

    fn close(&self) {
        self.closed.cancel();
    }
}

impl Activity {
    fn enter(&mut self, phase: Phase) {
        (self.phase, self.since, self.stalled) = (phase, Instant::now(), None);
    }

    fn waits(&self) -> bool {
        matches!(self.phase, Phase::Idle | Phase::Head)
    }

    fn is_overdue(&self) -> bool {
        let stalls = self.stalls_for(STALL_TIMEOUT);
        match self.phase {
            Phase::Idle => self.since.elapsed() >= IDLE_TIMEOUT,
            Phase::Head => self.since.elapsed() >= HEAD_TIMEOUT,
            // The handlers have limits of their own.
            Phase::Answering => stalls,
            Phase::Sending | Phase::Flushing => stalls || self.since.elapsed() >= RESPONSE_TIMEOUT,
        }
    }

    fn stalls_for(&self, time: Duration) -> bool {
        self.stalled.is_some_and(|since| since.elapsed() >= time)
    }
}

/// A connection in the list; dropped, it is none of it any more.
#[derive(Debug)]
pub(super) struct Entry {
    list: Arc<Connections>,
    pub(super) connection: Arc<Connection>,
}

impl Drop for Entry {
    fn drop(&mut self) {
        self.list.list().retain(|connection| !Arc::ptr_eq(connection, &self.connection));
    }
}

impl Connections {
    fn list(&self) -> MutexGuard<'_, Vec<Arc<Connection>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a connection. Where too many of its address wait, the one that waits longest is closed.
    pub(super) fn add(self: &Arc<Self>, peer: IpAddr) -> Entry {
        // An address of IPv4 has two spellings.
        let peer = peer.to_canonical();
        let mut list = self.list();
        let of_peer = || list.iter().filter(|c| c.peer == peer && !c.closed.is_cancelled());
        let waiting = of_peer().filter(|connection| connection.activity().waits()).count();
        if list.len() >= MAX_CONNECTIONS / 2 && waiting >= MAX_WAITING_PER_ADDRESS {
            longest_waiting(of_peer());
        }
        let activity =
            Activity { phase: Phase::Idle, since: Instant::now(), stalled: None, scrape: None };
        let closed = CancellationToken::new();
        let connection = Arc::new(Connection { peer, activity: Mutex::new(activity), closed });
        list.push(Arc::clone(&connection));
        drop(list);
        Entry { list: Arc::clone(self), connection }
    }

    /// Closes the connection that others can best do without: the one that waits longest, else the
    /// one that stalls longest.
    pub(super) fn make_room(&self) {
        let list = self.list();
        if !longest_waiting(list.iter()) {
            longest_stalled(list.iter());
        }
    }

    /// Closes the scrape that stalls longest, if one does.
    pub(super) fn make_room_for_scrape(&self) {
        let list = self.list();
        longest_stalled(list.iter().filter(|c| c.activity().scrape.is_some()));
    }

    /// Closes connections that take too long, and those that keep too many old pages in memory.
    pub(super) fn sweep(&self) {
        let list = self.list();
        for connection in list.iter().filter(|connection| connection.activity().is_overdue()) {
            connection.close();
        }
        free_pages(&list);
    }
}

/// Closes the one that waits longest; returns whether one waits.
fn longest_waiting<'a>(connections: impl Iterator<Item = &'a Arc<Connection>>) -> bool {
    close_first(connections, |activity| {
        let waits = activity.waits() && activity.since.elapsed() >= WAIT_TOLERANCE;
        waits.then_some(activity.since)
    })
}

/// Closes the one that stalls longest; returns whether one stalls.
fn longest_stalled<'a>(connections: impl Iterator<Item = &'a Arc<Connection>>) -> bool {
    close_first(connections, |activity| {
        activity.stalled.filter(|_| activity.stalls_for(STALL_TOLERANCE))
    })
}

fn close_first<'a>(
    connections: impl Iterator<Item = &'a Arc<Connection>>,
    since: impl Fn(&Activity) -> Option<Instant>,
) -> bool {
    let open = connections.filter(|connection| !connection.closed.is_cancelled());
    let first = open.filter_map(|c| Some((since(&c.activity())?, c))).min_by_key(|(at, _)| *at);
    first.inspect(|(_, connection)| connection.close()).is_some()
}

/// Closes the scrapes of the oldest pages, until those that are left keep little enough.
fn free_pages(connections: &[Arc<Connection>]) {
    // By page: its length, when its last scrape began, and who keeps it.
    let mut pages: BTreeMap<usize, (usize, Instant, Vec<&Connection>)> = BTreeMap::new();
    for connection in connections.iter().filter(|connection| !connection.closed.is_cancelled()) {
        let activity = connection.activity();
        if let Some((page, length)) = activity.scrape.as_ref().map(|scrape| scrape.page) {
            let entry = pages.entry(page).or_insert((length, activity.since, Vec::new()));
            entry.1 = entry.1.max(activity.since);
            entry.2.push(connection);
        }
    }
    let mut pinned: usize = pages.values().map(|(length, ..)| length).sum();
    let mut pages: Vec<_> = pages.into_values().collect();
    pages.sort_by_key(|(_, since, _)| *since);
    // The newest page is the renderer's own.
    pages.pop();
    for (length, since, keepers) in pages {
        if pinned <= MAX_PINNED || since.elapsed() < PIN_TOLERANCE {
            return;
        }
        pinned -= length;
        for connection in keepers {
            connection.close();
        }
    }
}

#[cfg(test)]
mod tests;
