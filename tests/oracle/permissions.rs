//! A key that may not see jobs gets an empty list, as one of a server without jobs does.

use std::time::Duration;

use nbu_sim::{Fault, Permissions, Settings};

use crate::site::{HOUR, Site};
use crate::support::{eventually, world};

const DENIED: Permissions = Permissions { jobs: false, job_counts: false, ..Permissions::ALL };

/// Waits for an answer to the question for finished jobs, and then permits everything while the one for
/// the live jobs is still on its way.
async fn permit_in_mid_cycle(site: &Site) {
    let simulator = site.simulator();
    let before = simulator.requests().len();
    simulator
        .faults()
        .add(Fault::on("/admin/jobs").filter("ne 'DONE'").latency(Duration::from_secs(1)));
    eventually("an empty answer", || async {
        let requests = simulator.requests();
        let mut filters =
            requests[before..].iter().filter_map(|request| request.parameter("filter"));
        filters.any(|filter| filter.contains("eq 'DONE'")).then_some(())
    })
    .await;
    simulator.set_permissions(Permissions::ALL);
}

#[tokio::test(flavor = "multi_thread")]
async fn permission_granted_in_mid_cycle_hides_nothing() {
    let settings = Settings { jobs_per_hour: 120.0, policies: 3, ..world(5) };
    let mut site = Site::new("a permission comes", settings, 12 * HOUR).await;
    site.simulator().set_permissions(DENIED);
    site.start();
    permit_in_mid_cycle(&site).await;
    site.mend();
    site.settle().await;
    site.simulator().set_permissions(DENIED);
    site.asked(6).await;
    site.pass(3 * HOUR).await;
    permit_in_mid_cycle(&site).await;
    site.mend();
    assert!(site.settle().await > 200);
    site.stop().await;
}
