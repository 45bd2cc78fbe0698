//! Troubles of a soak: each begins, ends, and comes again until the time is over. Their periods are primes of seconds, so
//! that samples, a minute apart, see each of them at all of its stages.

use std::time::{Duration, Instant};

use nbu_sim::{ErrorBody, Fault};
use tokio::time::sleep;

use super::stage::{KEY_FILE, Stage};
use crate::collector::Collector;
use crate::endpoint::Endpoint;
use crate::process::{Process, Signal};

/// Lines of the log that tell of a bug.
const BUGS: [&str; 3] = ["panicked", "a bug", "abandoning"];

/// The end of a soak.
#[derive(Debug, Clone, Copy)]
pub struct Until(pub Instant);

impl Until {
    /// Waits for a time, not beyond the end. Returns whether there is time left.
    async fn waits(self, time: Duration) -> bool {
        sleep(time.min(self.0.saturating_duration_since(Instant::now()))).await;
        Instant::now() < self.0
    }
}

const fn seconds(count: u64) -> Duration {
    Duration::from_secs(count)
}

/// Answers that go wrong. Records that cannot be read are left out of the list of jobs: they are not counted.
fn faults() -> Vec<Fault> {
    let everything = || Fault::on("/");
    let jobs = || Fault::on("/admin/jobs");
    let mut faults = vec![
        everything().hang(),
        everything().status(500),
        everything().status(503).retry_after("1"),
        everything().status(429).retry_after("2"),
        everything().status(502).error_body(ErrorBody::Html),
        everything().close_connection(),
        everything().cut_body(),
        everything().invalid_json(),
        everything().empty_body(),
        everything().html(),
        everything().latency(Duration::from_millis(700)),
        everything().without_meta(),
        jobs().from_page(2).status(500),
        jobs().duplicate_rows(),
        jobs().repeated_cursor(),
        jobs().short_pages(5),
    ];
    for path in ["/storage", "/manage", "/malware", "/catalog"] {
        let rows = || Fault::on(path);
        faults.extend([rows().garbage_record(), rows().null_attributes(), rows().wrong_types()]);
        faults.extend([rows().unknown_enum(), rows().endless_pages()]);
    }
    faults
}

/// Lets answers of the troubled sites go wrong for ten seconds in 29, of each in another way.
pub async fn wrong_answers(stage: &Stage, until: Until) -> usize {
    let faults = faults();
    let mut begun = 0;
    while until.waits(seconds(19)).await {
        for site in &stage.troubled {
            site.simulator.faults().add(faults[begun % faults.len()].clone());
            begun += 1;
        }
        until.waits(seconds(10)).await;
        stage.troubled.iter().for_each(|site| site.simulator.faults().clear());
    }
    begun
}

/// Takes a server away for eight seconds, every 37.
pub async fn restarts(stage: &Stage, until: Until) -> usize {
    let mut begun = 0;
    while until.waits(seconds(29)).await {
        stage.gate.set_open(false);
        until.waits(seconds(8)).await;
        stage.gate.set_open(true);
        begun += 1;
    }
    begun
}

/// Replaces a key on its server every 47 seconds, and in its file seven seconds later.
pub async fn rotations(stage: &Stage, until: Until) -> usize {
    let mut begun = 0;
    while until.waits(seconds(40)).await {
        begun += 1;
        let key = format!("rotated-key-{begun}");
        stage.rekeyed.simulator.set_api_key(&key);
        until.waits(seconds(7)).await;
        stage.desk.write(KEY_FILE, &key);
    }
    begun
}

/// Puts another configuration in force every 23 seconds; each fifth is refused.
pub async fn reloads(stage: &Stage, until: Until) -> usize {
    let endpoint = Endpoint::on(stage.port);
    let mut begun = 0;
    let mut last = stage.configuration(begun);
    while until.waits(seconds(23)).await {
        begun += 1;
        let is_bad = begun.is_multiple_of(5);
        let next = stage.configuration(begun);
        let text = if is_bad { next.replace("apiKeyFile", "apiKeyFiel") } else { next.clone() };
        stage.desk.write("config.yaml", &text);
        let (status, body) = endpoint.post_reload().await;
        assert_eq!(status, if is_bad { 400 } else { 200 }, "{body}");
        if is_bad {
            stage.desk.write("config.yaml", &last);
        } else {
            last = next;
        }
    }
    begun
}

/// Renames the log every 31 seconds, as logrotate does, and reads it.
pub async fn rotated_logs(stage: &Stage, agent: &Process, until: Until) -> usize {
    let mut begun = 0;
    while until.waits(seconds(31)).await {
        begun += 1;
        std::fs::rename(stage.desk.path("agent.log"), stage.desk.path("agent.log.1"))
            .expect("a log");
        agent.signal(Signal::HUP);
        let reopened = || async { stage.desk.path("agent.log").exists().then_some(()) };
        crate::support::eventually("a new log", reopened).await;
        assert_sound(&stage.desk.read("agent.log.1"));
    }
    begun
}

/// Takes the Collector away for fifteen seconds, every 113.
pub async fn outages(collector: &mut Collector, until: Until) -> usize {
    let mut begun = 0;
    while until.waits(seconds(98)).await {
        collector.kill();
        until.waits(seconds(15)).await;
        collector.start_again(&[]).await;
        begun += 1;
    }
    begun
}

/// Fails if the log tells of a bug of the agent.
pub fn assert_sound(log: &str) {
    let bug = log.lines().find(|line| BUGS.iter().any(|word| line.contains(word)));
    assert!(bug.is_none(), "{}", bug.unwrap_or_default());
}
