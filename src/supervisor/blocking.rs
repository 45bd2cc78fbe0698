//! Blocking work of a reload, bounded and one at a time: a resolver or a file system may hang.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Mutex;
use tokio::task::spawn_blocking;
use tokio::time::{Instant, timeout_at};
use tokio_util::sync::CancellationToken;

use super::error::{PrepareError, ReloadError};

/// Time for reading and preparing a configuration. Longer than a resolver takes to give up
/// (30 s for three servers), less than what `POST /-/reload` waits and `TimeoutStartSec` allows.
pub(super) const RELOAD_TIMEOUT: Duration = Duration::from_secs(50);

/// Work on blocking threads. It cannot be cancelled: abandoned work goes on, and the next work waits
/// for it, so that at most one thread is lost.
#[derive(Debug)]
pub(super) struct Blocking {
    turn: Arc<Mutex<()>>,
    limit: Duration,
    ending: CancellationToken,
}

impl Blocking {
    /// Returns a place for work that ends after `limit`, or once `ending` is cancelled.
    pub(super) fn new(limit: Duration, ending: CancellationToken) -> Self {
        Self { turn: Arc::default(), limit, ending }
    }

    /// Returns the deadline of a reload that begins now.
    pub(super) fn deadline(&self) -> Instant {
        Instant::now() + self.limit
    }

    /// Runs `work` until it ends, `deadline` passes, or the process is ending.
    ///
    /// # Errors
    ///
    /// If it did not finish in time, the process is ending, or `work` panicked.
    pub(super) async fn run<T: Send + 'static>(
        &self,
        deadline: Instant,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, ReloadError> {
        let turn = Arc::clone(&self.turn);
        let work = async move {
            let turn = turn.lock_owned().await;
            spawn_blocking(move || {
                let _turn = turn;
                work()
            })
            .await
        };
        tokio::select! {
            biased;
            () = self.ending.cancelled() => Err(ReloadError::Ending),
            done = timeout_at(deadline, work) => match done {
                Ok(Ok(done)) => Ok(done),
                // It panicked, which is a bug, or the runtime ends.
                Ok(Err(error)) => Err(PrepareError::Bug(error.to_string()).into()),
                Err(_) => Err(PrepareError::Timeout(self.limit).into()),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::channel;

    use super::*;

    const SHORT: Duration = Duration::from_millis(100);
    const LONG: Duration = Duration::from_secs(30);

    #[tokio::test]
    async fn work_beyond_deadline_is_abandoned_and_blocks_the_next() {
        let (release, hangs) = channel::<()>();
        let blocking = Blocking::new(SHORT, CancellationToken::new());
        let hung = blocking.run(blocking.deadline(), move || hangs.recv()).await;
        let error = hung.unwrap_err().to_string();
        assert!(error.contains("hangs") && error.contains("server.host"), "{error}");
        let next = blocking.run(blocking.deadline(), || 1).await;
        assert!(next.is_err(), "two of them ran at once");
        release.send(()).unwrap();
        let blocking = Blocking { limit: LONG, ..blocking };
        assert_eq!(blocking.run(blocking.deadline(), || 2).await.unwrap(), 2);
    }

    #[tokio::test]
    async fn work_that_hangs_does_not_delay_the_end() {
        let (_release, hangs) = channel::<()>();
        let blocking = Blocking::new(LONG, CancellationToken::new());
        blocking.ending.cancel();
        let hung = blocking.run(blocking.deadline(), move || hangs.recv()).await;
        assert!(matches!(hung, Err(ReloadError::Ending)));
    }
}
