//! `metrics.drop`: rules for series that are not exported, checked against the catalog.

use serde_json::{Value as Json, json};

use super::kinds::free_text;
use crate::catalog::catalog;
use crate::config::entries::{self, quote};
use crate::config::yaml::context::Context;
use crate::config::yaml::diagnostics::{Cause, Position, Reported, nearest, quoted};
use crate::config::yaml::setting::{Found, Kind, items};
use crate::config::yaml::tree::{Entry, Node, Value};
use crate::config::yaml::values::Parsed;
use crate::metric::{Definition, Scope};
use crate::telemetry::drop_rules::DropRule;

const EXPECTED: &str = "a name, or a mapping with name and labels";

/// A list of rules, each a name, or a mapping with `name` and `labels`.
#[derive(Clone, Copy)]
pub(super) struct DropRules;

impl Kind for DropRules {
    type Value = Vec<DropRule>;

    fn parse(_: &str) -> Parsed<Self::Value> {
        Err("expected a list, found a single value".into())
    }

    fn read(context: &Context<'_>, node: &Node, path: &str) -> Found<Self::Value> {
        items(context, node, path, rule)
    }

    fn from_schema(_: &Json) -> Option<Self::Value> {
        Some(Vec::new())
    }

    fn show(rules: &Self::Value) -> entries::Value {
        let rules: Vec<_> = rules.iter().map(shown).collect();
        entries::Value::Plain(format!("[{}]", rules.join(", ")))
    }

    fn schema() -> Json {
        let labels = json!({ "type": ["object", "null"], "additionalProperties": free_text() });
        let rule = json!({
            "type": "object",
            "properties": { "name": free_text(), "labels": labels },
            "additionalProperties": false,
        });
        let rule = json!({ "anyOf": [{ "type": "string" }, rule] });
        json!({ "type": ["array", "null"], "items": rule })
    }
}

/// Returns a rule as YAML has it in flow style.
fn shown(rule: &DropRule) -> String {
    if rule.labels.is_empty() {
        return quote(&rule.name);
    }
    // A dollar sign means something in values only.
    let key = |label: &str| quote(label).replace("$$", "$");
    let pair = |(label, value): &(String, String)| format!("{}: {}", key(label), quote(value));
    let labels: Vec<_> = rule.labels.iter().map(pair).collect();
    format!("{{name: {}, labels: {{{}}}}}", quote(&rule.name), labels.join(", "))
}

fn rule(context: &Context<'_>, node: &Node, path: &str) -> Result<DropRule, Reported> {
    let fields = match &node.value {
        Value::Text { .. } => return named(context, node, path).map(|(rule, _)| rule),
        Value::Map(fields) => fields,
        other => return Err(context.mismatch(node.position, path, EXPECTED, other)),
    };
    let (mut name, mut labels, mut is_wrong) = (None, None, false);
    for Entry { key, position, value } in fields {
        match key.as_str() {
            "name" => name = Some(value),
            "labels" => labels = Some(value),
            _ => {
                let near = nearest(key, ["name", "labels"]);
                let hint = near.map_or("expected name or labels".to_owned(), |near| {
                    format!("did you mean \"{near}\"?")
                });
                let key = quoted(key, near.is_some(), value.is_null());
                context.error(*position, path, format!("unknown key{key}; {hint}"));
                is_wrong = true;
            }
        }
    }
    let Some(name) = name else {
        context.error(node.position, &format!("{path}.name"), "required, but missing");
        return Err(Reported);
    };
    let (mut rule, metrics) = named(context, name, &format!("{path}.name"))?;
    if let Some(labels) = labels {
        rule.labels = read_labels(context, labels, &format!("{path}.labels"), &metrics)?;
    }
    if is_wrong { Err(Reported) } else { Ok(rule) }
}

/// Reads the name of a rule. Also returns the metrics that have it.
fn named(
    context: &Context<'_>,
    node: &Node,
    path: &str,
) -> Result<(DropRule, Vec<&'static Definition>), Reported> {
    let name = text(context, node, path)?;
    let rule = DropRule { name, labels: Vec::new() };
    let (of_sites, of_agent): (Vec<_>, Vec<_>) = catalog()
        .into_iter()
        .filter(|definition| rule.names(definition))
        .partition(|definition| definition.scope == Scope::Site);
    if !of_sites.is_empty() {
        return Ok((rule, of_sites));
    }
    let message = if of_agent.is_empty() {
        let names: Vec<String> = catalog().iter().map(|it| it.prometheus_name()).collect();
        let near = nearest(&rule.name, names.iter().map(String::as_str));
        let hint = near.map_or("docs/metrics.md lists them".to_owned(), |near| {
            format!("did you mean \"{near}\"?")
        });
        format!("no metric has such a name; {hint}")
    } else {
        "the metrics of the agent itself are always exported".to_owned()
    };
    if rule.name.contains(['*', '?']) {
        // A later release may have some.
        context.report(Cause::Unwise, Some(node.position), path, message);
        return Ok((rule, of_sites));
    }
    context.error(node.position, path, message);
    Err(Reported)
}

fn read_labels(
    context: &Context<'_>,
    node: &Node,
    path: &str,
    metrics: &[&'static Definition],
) -> Result<Vec<(String, String)>, Reported> {
    let fields = match &node.value {
        Value::Null => return Ok(Vec::new()),
        Value::Map(fields) => fields,
        other => return Err(context.mismatch(node.position, path, "a mapping of labels", other)),
    };
    let known: Vec<&str> = metrics.iter().flat_map(|metric| metric.sorted_keys()).collect();
    let mut labels = Vec::new();
    let mut is_wrong = false;
    for Entry { key, position, value } in fields {
        if !known.is_empty() && !known.contains(&key.as_str()) {
            unknown_label(context, (key, *position, value), path, &known);
            is_wrong = true;
        } else if let Ok(value) = text(context, value, &format!("{path}.{key}")) {
            labels.push((key.clone(), value));
        } else {
            is_wrong = true;
        }
    }
    if is_wrong { Err(Reported) } else { Ok(labels) }
}

fn unknown_label(
    context: &Context<'_>,
    (key, at, value): (&str, Position, &Node),
    path: &str,
    known: &[&str],
) {
    let near = nearest(key, known.iter().copied());
    let hint = near.map(|near| format!("; did you mean \"{near}\"?")).unwrap_or_default();
    let key = quoted(key, near.is_some(), value.is_null());
    context.error(at, path, format!("no metric of that name has the label{key}{hint}"));
}

/// Reads a name or a pattern.
fn text(context: &Context<'_>, node: &Node, path: &str) -> Result<String, Reported> {
    match &node.value {
        Value::Text { text, .. } if !text.trim().is_empty() => Ok(text.trim().to_owned()),
        Value::Text { .. } | Value::Null => {
            context.error(node.position, path, "expected a name or a pattern with * and ?");
            Err(Reported)
        }
        other => Err(context.mismatch(node.position, path, "a name or a pattern", other)),
    }
}
