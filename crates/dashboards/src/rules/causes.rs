//! The alert on failures that have a cause in common: one a site, which names the place to look at.

use super::rule::{Alert, Severity, m};
use crate::declared::SITE;
use crate::query::{Query, Selector};

/// Families, and the dimensions that name their cause best, the best first. What is full is a storage unit, what is
/// down is a server before it is a storage unit, and what a client refuses is of the client.
const BEST: [(&str, [&str; 2]); 3] = [
    ("storage_full|disk_io", ["storage_unit", "media_server"]),
    ("storage_down|tape", ["media_server", "storage_unit"]),
    ("network|access_or_certificate|client", ["client", "media_server"]),
];

/// The dimensions of the other families, and where none of the best is shown. `family` alone says least.
const REST: [&str; 5] = ["policy", "client", "media_server", "storage_unit", "family"];

pub(super) fn alert(group: &'static str) -> Alert {
    Alert {
        name: "NetBackupFailuresClustered",
        group,
        severity: Severity::Warning,
        when: best_named().max(&["job", "site", "dimension", "value", "family"]),
        hold: "0s",
        summary: "{{ $labels.site }}: {{ $value }} of {{ with printf \"nbu_jobs_failed_recently{job=%q,site=%q}\" $labels.job $labels.site | query }}{{ . | first | value }}{{ end }} failures: {{ $labels.family }}{{ if ne $labels.dimension \"family\" }} on {{ $labels.value }}{{ end }}",
        description: "Failed jobs of the last hour have {{ if ne $labels.dimension \"family\" }}the {{ $labels.dimension }} {{ $labels.value }} and {{ end }}the family {{ $labels.family }} in common.{{ with printf \"nbu_status_info{job=%q,site=%q} and on (job, site, status) nbu_failure_cluster{job=%q,site=%q,dimension=%q,value=%q}\" $labels.job $labels.site $labels.job $labels.site $labels.dimension $labels.value | query }}{{ range . }} Status {{ .Labels.status }}: {{ .Labels.text }}.{{ end }}{{ end }}",
        runbook: "The table of families says what to check first. Mend that one cause; most of the failed jobs will be tried again.",
    }
}

/// Returns the cluster of each site that names the cause best. All clusters of a site have one family, since each has
/// more than half of its failures.
fn best_named() -> Query {
    let every = || m("nbu_failure_cluster");
    let mut clusters = Vec::new();
    for (families, dimensions) in BEST {
        clusters
            .extend(dimensions.map(|one| every().like("family", families).is("dimension", one)));
    }
    clusters.extend(REST.map(|one| every().is("dimension", one)));
    let clusters = clusters.into_iter().map(Selector::now).collect();
    Query::first_of(&SITE, clusters).exercised_as(&every().now())
}

/// Returns the sites whose failures had a cause in common within a span: the alert on it says more than a rate does.
pub(super) fn explained(span: &str) -> Query {
    m("nbu_failure_cluster").over("last_over_time", span).group(&SITE)
}
