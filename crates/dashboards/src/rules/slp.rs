//! Alerts on storage lifecycle policies: second copies that are behind, and who has stopped them. Silent where the
//! collector slp is off.

use super::rule::{Alert, Severity, m};
use crate::query::Query;

const GROUP: &str = "slp";

const SLP: [&str; 3] = ["job", "site", "slp"];

const OPERATION: [&str; 4] = ["job", "site", "slp", "operation"];

/// States in which nothing is worked on: somebody has suspended it, or it failed for good. They have alerts of their own.
pub(super) const RESTS: &str = ".*INACTIVE|CANT_PROCESS|IMPORT_FAILED";

/// Operations that run as jobs of the types DUPLICATE and REPLICATE.
pub(super) const COPYING: &str = "DUPLICATE|REPLICATE_TO_REMOTE_MASTER|REPLICATION";

/// Returns the age of the oldest copy of each operation that is worked on.
fn oldest() -> Query {
    let suspended = m("nbu_slp_operation_suspended").now().max(&OPERATION).compared("==", 1);
    let inactive = m("nbu_slp_active").now().max(&SLP).compared("==", 0);
    let oldest = m("nbu_slp_backlog_oldest_age_seconds").unlike("state", RESTS);
    oldest.now().max(&OPERATION).unless(&SLP, inactive).unless(&OPERATION, suspended)
}

/// Returns the SLPs that are inactive; where the server does not list SLPs, those whose copies are.
fn inactive() -> Query {
    let told = m("nbu_slp_active").now().max(&SLP).compared("==", 0);
    let copies = m("nbu_slp_backlog_copies").like("state", ".*INACTIVE").now().sum(&SLP);
    let listed = m("nbu_slp_active").now().count(&["job", "site"]);
    told.or(&SLP, copies.unless(&["job", "site"], listed))
}

pub(super) fn alerts() -> Vec<Alert> {
    let copies = || m("nbu_slp_backlog_copies");
    let suspended = m("nbu_slp_operation_suspended").now();
    let suspended = suspended.max(&["job", "site", "slp", "operation_index", "operation"]);
    let failed = copies().like("state", "CANT_PROCESS|IMPORT_FAILED").now();
    let drain = m("site:nbu_slp_backlog_drain_seconds:rate6h").now();
    vec![
        Alert {
            name: "NetBackupSlpBehind",
            group: GROUP,
            severity: Severity::Warning,
            when: oldest().compared(">", 86_400),
            hold: "30m",
            summary: "{{ $labels.site }}: {{ $labels.operation }} of the SLP {{ $labels.slp }} is behind",
            description: "The oldest copy has been due since a backup of {{ $value | humanizeDuration }} ago.",
            runbook: "The dashboard of second copies shows when the backlog began to grow. Look for failed jobs of this operation, full or slow target storage, and a closed SLP window.",
        },
        Alert {
            name: "NetBackupSlpFarBehind",
            group: GROUP,
            severity: Severity::Critical,
            when: oldest().compared(">", 3 * 86_400),
            hold: "30m",
            summary: "{{ $labels.site }}: {{ $labels.operation }} of the SLP {{ $labels.slp }} is days behind",
            description: "The oldest copy has been due since a backup of {{ $value | humanizeDuration }} ago: there is no second copy of what was backed up since.",
            runbook: "Source copies are kept until their copies are made, and fill the disk. Give the operation more streams or a wider window, or cancel old copies that nobody needs (nbstlutil).",
        },
        Alert {
            name: "NetBackupSlpDrainsSlowly",
            group: GROUP,
            severity: Severity::Warning,
            when: drain.compared(">", 2 * 86_400),
            // Windows of SLPs close for hours: then nothing is copied, by design.
            hold: "24h",
            summary: "{{ $labels.site }}: the backlog of second copies takes days",
            description: "At the rate of the last six hours, duplications and replications need {{ $value | humanizeDuration }} for what waits.",
            runbook: "More waits than is copied. Compare the throughput of duplications with what is backed up in a day.",
        },
        Alert {
            name: "NetBackupSlpInactive",
            group: GROUP,
            severity: Severity::Warning,
            when: inactive(),
            hold: "24h",
            summary: "{{ $labels.site }}: the SLP {{ $labels.slp }} is inactive",
            description: "Somebody has suspended it more than a day ago: its backups get no further copies.",
            runbook: "Activate it when the reason is gone (web UI, or nbstlutil active); what waits is then processed.",
        },
        Alert {
            name: "NetBackupSlpOperationSuspended",
            group: GROUP,
            severity: Severity::Warning,
            when: suspended.compared("==", 1),
            hold: "24h",
            summary: "{{ $labels.site }}: {{ $labels.operation }} of the SLP {{ $labels.slp }} is suspended",
            description: "Somebody has suspended operation {{ $labels.operation_index }} more than a day ago.",
            runbook: "Activate it when the reason is gone; what waits is then processed.",
        },
        Alert {
            name: "NetBackupSlpCopiesFailed",
            group: GROUP,
            severity: Severity::Warning,
            when: failed.sum(&["job", "site", "slp", "operation", "state"]).compared(">", 0),
            hold: "30m",
            summary: "{{ $labels.site }}: copies of the SLP {{ $labels.slp }} are in {{ $labels.state }}",
            description: "{{ $value }} copies by {{ $labels.operation }} are not tried again.",
            runbook: "nbstlutil stlilist names the images. Mend the cause, then have NetBackup try again; an import that failed needs the SLP and the storage of the target.",
        },
        Alert {
            name: "NetBackupSlpExpiredIncomplete",
            group: GROUP,
            severity: Severity::Info,
            when: m("nbu_slp_expired_incomplete_images").now().max(&SLP).compared(">", 0),
            hold: "1h",
            summary: "{{ $labels.site }}: expired images of the SLP {{ $labels.slp }} hold space",
            description: "{{ $value }} images are past their expiration and stay only because a copy is missing.",
            runbook: "Let the copies be made, or cancel those that nobody needs: the space is then freed.",
        },
        Alert {
            name: "NetBackupReplicasNotImported",
            group: GROUP,
            severity: Severity::Warning,
            when: m("nbu_air_longest_wait_seconds")
                .now()
                .max(&["job", "site", "origin"])
                .compared(">", 4 * 3600),
            hold: "30m",
            summary: "{{ $labels.site }}: images replicated by {{ $labels.origin }} are not imported",
            description: "One has waited for {{ $value | humanizeDuration }} since its replication was complete.",
            runbook: "nbu_air_pending_images says whether they did not arrive, wait for their import, or failed. Check the trust between the servers, the import SLP of the target, and its storage server.",
        },
    ]
}
