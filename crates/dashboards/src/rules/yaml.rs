//! The YAML of rules.

use std::fmt::Write as _;

use super::recording::RECORDED;
use super::rule::Alert;
use crate::query::quoted;

const HEAD: &str = "\
# Written by `cargo run -p dashboards`: change crates/dashboards instead. A test holds this file to it.
";

/// The group of alerts over long spans: evaluated more rarely, since each evaluation reads a day of many series.
pub(super) const RARE: &str = "days";

/// `deploy/prometheus/rules/recording.yml`.
pub fn recording_file() -> String {
    let mut text = format!("{HEAD}groups:\n  - name: netbackup-recording\n    rules:\n");
    for rule in RECORDED {
        // Writing to a String cannot fail.
        let _ = write!(
            text,
            "      # {}\n      - record: {}\n        expr: |-\n          {}\n",
            rule.help,
            rule.name,
            (rule.query)().text()
        );
    }
    text
}

/// `deploy/prometheus/rules/alerts.yml`.
pub fn alerts_file(alerts: &[Alert]) -> String {
    let mut text = format!(
        "{HEAD}# docs/runbook.md explains each alert. To change a threshold, change it in a copy of this file.\n\
         # Collectors that are off have no series, and their alerts never fire.\n\
         groups:\n"
    );
    let mut group = "";
    for alert in alerts {
        if alert.group != group {
            group = alert.group;
            let interval = if group == RARE { "    interval: 5m\n" } else { "" };
            let _ = write!(text, "  - name: netbackup-{group}\n{interval}    rules:\n");
        }
        one(&mut text, alert);
    }
    text
}

fn one(text: &mut String, alert: &Alert) {
    let _ = write!(
        text,
        "      - alert: {}\n        expr: |-\n          {}\n",
        alert.name,
        alert.when.text()
    );
    if alert.hold != "0s" {
        let _ = writeln!(text, "        for: {}", alert.hold);
    }
    let runbook = format!("{} See docs/runbook.md#{}", alert.runbook, alert.anchor());
    let _ = write!(
        text,
        "        labels:\n          severity: {}\n        annotations:\n          summary: {}\n          \
         description: {}\n          runbook: {}\n",
        alert.severity.as_str(),
        quoted(alert.summary),
        quoted(alert.description),
        quoted(&runbook),
    );
}

#[cfg(test)]
mod tests {
    use super::super::alerts;
    use super::*;

    #[test]
    fn files_are_yaml_and_match_the_source() {
        let file: serde_json::Value =
            serde_yaml::from_str(&alerts_file(&alerts())).expect("it is YAML");
        let groups = file["groups"].as_array().expect("groups");
        let rules: Vec<_> =
            groups.iter().flat_map(|group| group["rules"].as_array().expect("rules")).collect();
        assert_eq!(rules.len(), alerts().len());
        for (rule, alert) in rules.iter().zip(alerts()) {
            assert_eq!(rule["expr"], alert.when.text(), "{}", alert.name);
            assert_eq!(rule["annotations"]["summary"], alert.summary);
        }
        let mut names: Vec<_> = groups.iter().map(|group| group["name"].to_string()).collect();
        names.dedup();
        assert_eq!(names.len(), groups.len());
        let file: serde_json::Value = serde_yaml::from_str(&recording_file()).expect("it is YAML");
        let rules = file["groups"][0]["rules"].as_array().expect("rules");
        assert_eq!(rules.len(), RECORDED.len());
    }
}
