//! A thread of its own for each open file: only that thread waits for a disk that hangs, never a
//! thread of the runtime. It is left behind when the process ends.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::timeout;

/// Enough for decoding records; 500 sites have one thread each.
const STACK_SIZE: usize = 512 * 1024;

type Job<T> = Box<dyn FnOnce(&mut T) + Send>;

/// The owner of a value that blocks. The thread ends after the last job once this is dropped, and the
/// value is dropped there.
#[derive(Debug)]
pub(crate) struct Worker<T> {
    jobs: mpsc::Sender<Job<T>>,
}

/// The result of a job, now or later.
#[derive(Debug)]
pub(crate) struct Pending<R>(oneshot::Receiver<R>);

impl<T: Send + 'static> Worker<T> {
    /// Starts the thread. `name` is shown by the system's tools.
    ///
    /// # Errors
    ///
    /// If the system has no more threads.
    pub(crate) fn spawn(name: &str, mut value: T) -> io::Result<Self> {
        let (jobs, todo) = mpsc::channel::<Job<T>>();
        let run = move || {
            for job in todo {
                // A panic is logged by the hook; the job's result is missing, and the file stays owned.
                let _ = catch_unwind(AssertUnwindSafe(|| job(&mut value)));
            }
        };
        thread::Builder::new().name(name.to_owned()).stack_size(STACK_SIZE).spawn(run)?;
        Ok(Self { jobs })
    }

    /// Queues a job. Does not block.
    pub(crate) fn start<R: Send + 'static>(
        &self,
        work: impl FnOnce(&mut T) -> R + Send + 'static,
    ) -> Pending<R> {
        let (sender, receiver) = oneshot::channel();
        let job = move |value: &mut T| {
            // Whoever asked may have given up.
            let _ = sender.send(work(value));
        };
        // A thread that is gone drops the job, and with it the sender.
        let _ = self.jobs.send(Box::new(job));
        Pending(receiver)
    }
}

impl<R> Pending<R> {
    /// Waits for the result for at most `limit`; `None` if it is still missing then. Call it again later.
    pub(crate) async fn wait(&mut self, limit: Duration) -> Option<io::Result<R>> {
        let result = timeout(limit, &mut self.0).await.ok()?;
        Some(result.map_err(|_| io::Error::other(BUG)))
    }
}

/// The text of a job that panicked.
const BUG: &str = "a bug in the agent; please report it with the file and the log";

/// Runs `work` on a thread of its own for at most `limit`; `None` if it takes longer, and is left behind.
pub(super) fn within<R: Send + 'static>(
    limit: Duration,
    work: impl FnOnce() -> R + Send + 'static,
) -> Option<R> {
    let (sender, receiver) = mpsc::channel();
    let run = move || {
        let _ = sender.send(work());
    };
    thread::Builder::new().stack_size(STACK_SIZE).spawn(run).ok()?;
    receiver.recv_timeout(limit).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONG: Duration = Duration::from_secs(60);

    #[tokio::test]
    async fn jobs_run_in_order_on_one_value() {
        let worker = Worker::spawn("test", Vec::new()).unwrap();
        let mut last = worker.start(|seen: &mut Vec<u32>| seen.len());
        for number in 0..50_u32 {
            last = worker.start(move |seen| {
                seen.push(number);
                seen.len()
            });
        }
        assert_eq!(last.wait(LONG).await.unwrap().unwrap(), 50);
    }

    #[tokio::test]
    async fn job_that_blocks_is_late_not_lost() {
        let (release, released) = mpsc::channel::<()>();
        let worker = Worker::spawn("test", 7).unwrap();
        let mut blocked = worker.start(move |value| {
            let _ = released.recv();
            *value
        });
        assert!(blocked.wait(Duration::from_millis(5)).await.is_none());
        release.send(()).unwrap();
        assert_eq!(blocked.wait(LONG).await.unwrap().unwrap(), 7);
    }

    #[tokio::test]
    async fn panicking_job_fails_alone() {
        let worker = Worker::spawn("test", 7).unwrap();
        let mut broken = worker.start(|_: &mut i32| panic!("as the test wants"));
        assert!(broken.wait(LONG).await.unwrap().is_err());
        let mut next = worker.start(|value| *value);
        assert_eq!(next.wait(LONG).await.unwrap().unwrap(), 7);
    }

    #[test]
    fn work_beyond_its_timeout_is_abandoned() {
        let (_release, released) = mpsc::channel::<()>();
        assert!(within(Duration::from_millis(5), move || released.recv()).is_none());
        assert_eq!(within(LONG, || 7), Some(7));
    }
}
