//! The Grafana dashboards and the Prometheus rules of `deploy/`, written from one source: every metric
//! name is looked up among the agent's own declarations, and every label of a selector or a grouping
//! among those that the metric has. What is not declared is a problem, and nothing is written then.
//!
//! - [`query`] builds expressions and keeps what is wrong with them.
//! - [`declared`] knows which names there are, and their labels.
//! - [`grafana`] turns panels into Grafana's JSON; [`boards`] are the dashboards.
//! - [`rules`] are the recording rules and the alerts, and how they are written.
//! - [`chart`] has what the Helm chart repeats of these.
//!
//! `cargo run -p dashboards` writes the files; a test holds them to it.

pub mod boards;
pub mod chart;
pub mod declared;
mod file;
pub mod grafana;
pub mod query;
pub mod rules;

pub use file::File;

/// Everything that is generated.
///
/// # Errors
///
/// All problems of all expressions, where there are any.
pub fn files() -> Result<Vec<File>, Vec<String>> {
    let boards = boards::all();
    let alerts = rules::alerts();
    let mut problems: Vec<String> = rules::problems(&alerts);
    for board in &boards {
        problems.extend(board.problems());
    }
    if !problems.is_empty() {
        return Err(problems);
    }
    let mut files: Vec<File> = boards
        .iter()
        .map(|board| File {
            path: format!("deploy/grafana/dashboards/{}.json", board.uid),
            text: board.json(),
        })
        .collect();
    files.push(File {
        path: "deploy/prometheus/rules/recording.yml".to_owned(),
        text: rules::recording_file(),
    });
    files.push(File {
        path: "deploy/prometheus/rules/alerts.yml".to_owned(),
        text: rules::alerts_file(&alerts),
    });
    files.extend(chart::files(&files).map_err(|problem| vec![problem])?);
    Ok(files)
}

/// An expression that a Prometheus with data must answer, and where it is from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exercise {
    /// Dashboard and panel, or rule.
    pub origin: String,
    /// PromQL; of dashboards, with Grafana's variables in it.
    pub expression: String,
}

/// Every expression of every panel and recording rule, and the operands of the comparisons of alerts.
pub fn exercises() -> Vec<Exercise> {
    let mark = |expression| Exercise { origin: "marks of reloads".to_owned(), expression };
    let mut all: Vec<Exercise> = grafana::reloads().operands().into_iter().map(mark).collect();
    for board in boards::all() {
        for panel in board.panels() {
            all.extend(panel.targets.iter().map(|target| Exercise {
                origin: format!("{} / {}", board.title, panel.title),
                expression: target.query.text().to_owned(),
            }));
        }
    }
    all.extend(rules::RECORDED.iter().map(|rule| Exercise {
        origin: rule.name.to_owned(),
        expression: (rule.query)().text().to_owned(),
    }));
    for alert in rules::alerts() {
        all.extend(
            alert
                .when
                .operands()
                .into_iter()
                .map(|expression| Exercise { origin: alert.name.to_owned(), expression }),
        );
    }
    all
}
