//! Files of the Helm chart that repeat others. Helm reads nothing outside the folder of a chart, and tools that
//! take a chart from git drop links: the dashboards and rules are copied, and the schema of the values has that
//! of the configuration in it, so that `helm install` rejects a key that the agent does not know.

use nbu_otel_agent::config;
use serde_json::Value;

use crate::File;

/// The folder of the chart.
pub const FOLDER: &str = "deploy/helm/nbu-otel-agent";

/// The schema of the values, without that of `config`.
const VALUES: &str = include_str!("values.schema.json");

/// Returns the copies of `files` and the schema of the values.
///
/// # Errors
///
/// A schema that is no JSON.
pub fn files(files: &[File]) -> Result<Vec<File>, String> {
    let copy = |file: &File| {
        let place = file.path.strip_prefix("deploy/grafana/");
        let place = place.or_else(|| file.path.strip_prefix("deploy/prometheus/"))?;
        Some(File { path: format!("{FOLDER}/{place}"), text: file.text.clone() })
    };
    let mut copies: Vec<File> = files.iter().filter_map(copy).collect();
    let text = values_schema().map_err(|error| format!("{FOLDER}/values.schema.json: {error}"))?;
    copies.push(File { path: format!("{FOLDER}/values.schema.json"), text });
    Ok(copies)
}

fn values_schema() -> serde_json::Result<String> {
    let mut values: Value = serde_json::from_str(VALUES)?;
    let mut configuration: Value = serde_json::from_str(&config::json_schema())?;
    if let Some(schema) = configuration.as_object_mut() {
        schema.remove("$schema");
    }
    values["definitions"]["configuration"] = configuration;
    Ok(serde_json::to_string_pretty(&values)? + "\n")
}
