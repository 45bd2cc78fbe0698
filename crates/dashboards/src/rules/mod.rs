//! Recording rules and alerts: per site, and per way that the series came (`job`), so that a Prometheus
//! that has both ways says so twice rather than counting everything twice.

mod agent;
mod catalogue;
mod causes;
mod jobs;
mod names;
mod protection;
mod recording;
mod rule;
mod sites;
mod slp;
mod storage;
mod tape;
mod yaml;

pub use recording::RECORDED;
pub use rule::{Alert, Recorded, Severity};
pub use yaml::{alerts_file, recording_file};

use crate::declared;

/// Returns all alerts.
pub fn alerts() -> Vec<Alert> {
    let mut all = agent::alerts();
    all.extend(sites::alerts());
    all.extend(jobs::alerts());
    all.extend(catalogue::alerts());
    all.extend(names::alerts());
    all.extend(storage::alerts());
    all.extend(slp::alerts());
    all.extend(tape::alerts());
    all.extend(protection::alerts());
    all
}

/// Returns the problems of all rules.
pub fn problems(alerts: &[Alert]) -> Vec<String> {
    let mut problems = Vec::new();
    for rule in RECORDED {
        let query = (rule.query)();
        problems.extend(query.problems().iter().map(|problem| format!("{}: {problem}", rule.name)));
        match declared::look_up(rule.name) {
            None => problems.push(format!("{} is not declared", rule.name)),
            Some(declared::Declared { mut labels, .. }) => {
                labels.sort_unstable();
                if query.labels().collect::<Vec<_>>() != labels {
                    problems.push(format!("{}: its labels are not {labels:?}", rule.name));
                }
            }
        }
    }
    for alert in alerts {
        let texts = [alert.summary, alert.description, alert.runbook];
        let known: Vec<&str> = alert.when.labels().collect();
        for label in texts.iter().flat_map(|text| labels_of(text)) {
            if !known.contains(&label) {
                problems.push(format!("{}: no label {label} in its series", alert.name));
            }
        }
        let found = alert.when.problems().iter();
        problems.extend(found.map(|problem| format!("{}: {problem}", alert.name)));
    }
    problems
}

/// Returns the labels that a template names.
fn labels_of(text: &str) -> impl Iterator<Item = &str> {
    text.split("$labels.").skip(1).map(|rest| {
        let end = rest.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_'));
        &rest[..end.unwrap_or(rest.len())]
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn alerts_have_unique_names_and_all_texts() {
        let alerts = alerts();
        let mut names: Vec<&str> = alerts.iter().map(|alert| alert.name).collect();
        names.sort_unstable();
        let count = names.len();
        names.dedup();
        assert_eq!(names.len(), count);
        for alert in &alerts {
            for text in [alert.summary, alert.description, alert.runbook] {
                assert!(text.ends_with(['.', '?', '}']) || text == alert.summary, "{}", alert.name);
                assert!(!text.is_empty(), "{}", alert.name);
            }
        }
    }

    #[test]
    fn alerts_of_a_site_keep_its_name() {
        // Those of the agent as a whole, and of all sites together.
        let without = [
            "NetBackupAgentDown",
            "NetBackupAgentSilent",
            "NetBackupConfigReloadFailed",
            "NetBackupShardMissing",
            "NetBackupNoLeader",
            "NetBackupNoStandby",
            "NetBackupCardinalityOverflow",
            "NetBackupAgentTaskRestarted",
            "NetBackupLogLinesDropped",
            "NetBackupOtlpFailing",
            "NetBackupVersionsDiffer",
        ];
        for alert in alerts() {
            let kept = alert.when.labels().any(|label| label == "site");
            assert_eq!(kept, !without.contains(&alert.name), "{}", alert.name);
            assert_eq!(kept, alert.summary.contains("$labels.site"), "{}", alert.name);
        }
    }
}
