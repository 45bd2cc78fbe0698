//! Grafana's JSON, from dashboards that are rows of panels.

mod json;
mod panel;

use crate::declared;
use crate::query::{Query, Selector};

pub use panel::{Column, Kind, Panel, Step, Target, Unit};

/// The metric that every site has: its labels are the choice of jobs and sites.
const SITES: &str = "nbu_up";

/// Returns the reloads of the configuration, which are marks on every graph.
pub fn reloads() -> Query {
    let loaded = Selector::shown("nbu_agent_config_last_reload_success_timestamp_seconds");
    loaded.over("changes", "2m").compared(">", 0)
}

/// Beside `site`: values of a label, to choose from.
#[derive(Debug)]
pub struct Variable {
    /// The label, and the variable's name.
    pub label: &'static str,
    /// The name of the choice.
    pub title: &'static str,
    /// The metric whose series have it.
    pub metric: &'static str,
}

/// Panels under one heading.
#[derive(Debug)]
pub struct Row {
    /// The heading.
    pub title: &'static str,
    /// From left to right, and on where the width is used up.
    pub panels: Vec<Panel>,
}

/// A dashboard.
#[derive(Debug)]
pub struct Board {
    /// Stable: links go by it. Also the name of the file.
    pub uid: &'static str,
    /// Its name.
    pub title: &'static str,
    /// The question that it answers.
    pub description: &'static str,
    /// The choices apart from the job and the sites.
    pub variables: Vec<Variable>,
    /// Top to bottom.
    pub rows: Vec<Row>,
}

impl Board {
    /// All panels, in their order.
    pub fn panels(&self) -> impl Iterator<Item = &Panel> {
        self.rows.iter().flat_map(|row| &row.panels)
    }

    /// Returns its problems.
    pub fn problems(&self) -> Vec<String> {
        let mut problems = reloads().problems().to_vec();
        let variables = self.variables.iter().map(|variable| (variable.metric, variable.label));
        for (metric, label) in variables.chain([(SITES, "job"), (SITES, "site")]) {
            let known = declared::look_up(metric);
            if !known.is_some_and(|known| known.labels.contains(&label)) {
                problems.push(format!("no {metric} with {label}"));
            }
        }
        for panel in self.panels() {
            problems.extend(panel.problems());
        }
        problems.into_iter().map(|problem| format!("{}: {problem}", self.title)).collect()
    }
}
