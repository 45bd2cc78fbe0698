//! The end of an activity that nothing announces: requests came, and come no more.

use std::time::{Duration, Instant};

use crate::process::Process;

/// Longest time until an activity ends.
const LIMIT: Duration = Duration::from_secs(120);

/// Waits until there are more requests than `before`, and none came for the time `quiet`. Returns when the last
/// one came, to 5 ms.
pub async fn until_quiet<N: PartialEq + Copy>(
    agent: &mut Process,
    before: N,
    quiet: Duration,
    count: impl Fn() -> N,
) -> Instant {
    let started = Instant::now();
    let (mut seen, mut last) = (before, started);
    while seen == before || last.elapsed() < quiet {
        let goes_on = agent.is_alive() && started.elapsed() < LIMIT;
        assert!(goes_on, "no end of its requests:\n{}", agent.said());
        tokio::time::sleep(Duration::from_millis(5)).await;
        let now = count();
        if now != seen {
            (seen, last) = (now, Instant::now());
        }
    }
    last
}
