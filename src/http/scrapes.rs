//! Scrapes in flight. They are bounded, since each of them keeps a page in memory until it is sent.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, timeout};

use super::connections::Connections;

/// Scrapes in flight; more wait.
const MAX_IN_FLIGHT: usize = 40;

/// Scrapes that wait; more are refused, so that they leave connections to others.
const MAX_QUEUED: usize = 200;

/// Longest wait for a place, within a scraper's own timeout of 10 s.
const QUEUE_TIMEOUT: Duration = Duration::from_secs(5);

/// Time between two attempts of a waiting scrape to close one that stalls.
const RETRY_DELAY: Duration = Duration::from_millis(250);

/// The places of scrapes at one endpoint.
#[derive(Debug)]
pub(super) struct Scrapes {
    places: Arc<Semaphore>,
    queue: Semaphore,
    connections: Arc<Connections>,
}

impl Scrapes {
    pub(super) fn new(connections: Arc<Connections>) -> Self {
        let places = Arc::new(Semaphore::new(MAX_IN_FLIGHT));
        Self { places, queue: Semaphore::new(MAX_QUEUED), connections }
    }

    /// Waits for a place, and takes that of a client that does not read. Returns `None` if too many
    /// wait or none becomes free.
    pub(super) async fn place(&self) -> Option<OwnedSemaphorePermit> {
        if let Ok(place) = Arc::clone(&self.places).try_acquire_owned() {
            return Some(place);
        }
        let _queued = self.queue.try_acquire().ok()?;
        let started = Instant::now();
        while started.elapsed() < QUEUE_TIMEOUT {
            self.connections.make_room_for_scrape();
            let free = Arc::clone(&self.places).acquire_owned();
            if let Ok(place) = timeout(RETRY_DELAY, free).await {
                return place.ok();
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn scrape_beyond_limit_waits_then_times_out() {
        let scrapes = Scrapes::new(Arc::default());
        let mut places = Vec::new();
        for _ in 0..MAX_IN_FLIGHT {
            places.push(scrapes.place().await.unwrap());
        }
        let started = Instant::now();
        assert!(scrapes.place().await.is_none());
        assert_eq!(started.elapsed(), QUEUE_TIMEOUT);
        let (freed, ()) = tokio::join!(scrapes.place(), async { drop(places.pop()) });
        assert!(freed.is_some());
    }

    #[tokio::test(start_paused = true)]
    async fn scrapes_beyond_the_queue_are_refused_at_once() {
        let scrapes = Arc::new(Scrapes::new(Arc::default()));
        let _places = Arc::clone(&scrapes.places).acquire_many_owned(40).await.unwrap();
        let _queued = scrapes.queue.acquire_many(200).await.unwrap();
        let started = Instant::now();
        assert!(scrapes.place().await.is_none());
        assert_eq!(started.elapsed(), Duration::ZERO);
    }
}
