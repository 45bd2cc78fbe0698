//! What is exported of clients and of policies: the same two families, declared once.

use crate::metric::{Definition, Metric};

/// The metrics of one family.
pub(super) struct Metrics {
    pub(super) last_backup: Metric<1>,
    pub(super) never_succeeded: Metric<1>,
    pub(super) last_success: Metric<2>,
    pub(super) last_failure: Metric<2>,
    pub(super) last_status: Metric<2>,
    pub(super) failures: Metric<2>,
    pub(super) last_bytes: Metric<2>,
    pub(super) last_duration: Metric<2>,
}

/// Declares a family. Interner and helps of metrics are constants, so they are put together here.
macro_rules! family {
    ($name:literal, $list:literal) => {
        Metrics {
            last_backup: Metric::gauge(
                concat!("nbu.", $name, ".last_successful_backup.timestamp"),
                "s",
                &[$name],
                concat!("When the newest BACKUP job of the ", $name, " with status 0 ended, Unix seconds; it is looked for beyond the window, too. Kept while fetching fails. Off unless ", $list, " selects the ", $name, ", like all of this family."),
            ),
            never_succeeded: Metric::gauge(
                concat!("nbu.", $name, ".never_succeeded"),
                "",
                &[$name],
                concat!("1 where the server has no BACKUP job of the ", $name, " with status 0, as far as it keeps jobs; 0 where one is known. Absent until the server has told; what was not found is asked for again after a day. Interner that ", $list, ".allowlist spells out have it though no job of theirs was seen."),
            ),
            last_success: Metric::gauge(
                concat!("nbu.", $name, ".last_success.timestamp"),
                "s",
                &[$name, "action"],
                concat!("When the newest job of the ", $name, " with status 0 ended, Unix seconds, for each job type that was seen of it: 32 of them, further ones together under OTHER."),
            ),
            last_failure: Metric::gauge(
                concat!("nbu.", $name, ".last_failure.timestamp"),
                "s",
                &[$name, "action"],
                concat!("When the newest job of the ", $name, " ended that failed, Unix seconds: any status but 0, 1 (partial success) and 150 (cancelled)."),
            ),
            last_status: Metric::gauge(
                concat!("nbu.", $name, ".last_status"),
                "",
                &[$name, "action"],
                concat!("Status of the job of the ", $name, " that ended last. Absent where the server gave none."),
            ),
            failures: Metric::gauge(
                concat!("nbu.", $name, ".consecutive_failures"),
                "{job}",
                &[$name, "action"],
                concat!("Jobs of the ", $name, " without children that failed since the last one with status 0 or 1; cancelled ones count neither way. Of those that the agent saw, 256 at most."),
            ),
            last_bytes: Metric::gauge(
                concat!("nbu.", $name, ".last_transferred"),
                "By",
                &[$name, "action"],
                concat!("kilobytesTransferred x 1024 of the last job of the ", $name, " without children that ended with status 0 or 1."),
            ),
            last_duration: Metric::gauge(
                concat!("nbu.", $name, ".last_duration"),
                "s",
                &[$name, "action"],
                concat!("From start to end of the last job of the ", $name, " without children that ended with status 0 or 1."),
            ),
        }
    };
}

pub(super) static CLIENT: Metrics = family!("client", "collectors.perClient");
pub(super) static POLICY: Metrics = family!("policy", "collectors.perPolicy");

pub(super) static LAST_JOB_SUCCESS: Metric<3> = Metric::gauge(
    "nbu.client.last_job_success",
    "s",
    &["client", "policy", "action"],
    "When the newest job of the client with status 0 ended, Unix seconds, by policy. Of each client the 100 newest.",
);

pub(super) static FOLDED: Metric<1> = Metric::counter(
    "nbu.agent.names_folded",
    "{job}",
    &["label"],
    "Jobs that ended of clients or policies (label) beyond the limit of names: they count under other, and have no last results.",
);

/// Everything that is declared here.
pub(in crate::jobs) fn definitions() -> Vec<&'static Definition> {
    let mut all = vec![LAST_JOB_SUCCESS.definition()];
    all.extend(CLIENT.definitions());
    all.extend(POLICY.definitions());
    all.push(FOLDED.definition());
    all
}

impl Metrics {
    fn definitions(&'static self) -> [&'static Definition; 8] {
        [
            self.last_backup.definition(),
            self.never_succeeded.definition(),
            self.last_success.definition(),
            self.last_failure.definition(),
            self.last_status.definition(),
            self.failures.definition(),
            self.last_bytes.definition(),
            self.last_duration.definition(),
        ]
    }
}
