//! The JSON that Grafana reads.

use serde_json::{Map, Value, json};

use super::panel::{Column, Kind, Panel, Step, Unit};
use super::{Board, SITES, Variable, reloads};

/// The data source of deploy/grafana/provisioning.
fn datasource() -> Value {
    json!({ "type": "prometheus", "uid": "prometheus" })
}

/// The schema of Grafana 12's classic dashboards.
const SCHEMA: u32 = 41;

/// Width of a dashboard in Grafana's units.
const WIDTH: u32 = 24;

impl Board {
    /// The file.
    pub fn json(&self) -> String {
        let mut variables = vec![job(), site()];
        variables.extend(self.variables.iter().map(variable));
        let board = json!({
            "uid": self.uid,
            "title": self.title,
            "description": self.description,
            "tags": ["netbackup"],
            "schemaVersion": SCHEMA,
            "version": 1,
            "editable": true,
            "graphTooltip": 1,
            "refresh": "30s",
            "time": { "from": "now-24h", "to": "now" },
            "timezone": "browser",
            "annotations": { "list": [annotation()] },
            "links": [{
                "type": "dashboards",
                "title": "NetBackup",
                "tags": ["netbackup"],
                "asDropdown": true,
                "includeVars": true,
                "keepTime": true,
            }],
            "templating": { "list": variables },
            "panels": self.placed(),
        });
        // A value of our own making can be written.
        let text = serde_json::to_string_pretty(&board).unwrap_or_default();
        text + "\n"
    }

    /// Headings and panels with their places.
    fn placed(&self) -> Vec<Value> {
        let mut placed = Vec::new();
        let (mut id, mut y) = (0, 0);
        for row in &self.rows {
            id += 1;
            placed.push(json!({
                "id": id,
                "type": "row",
                "title": row.title,
                "collapsed": false,
                "panels": [],
                "gridPos": { "x": 0, "y": y, "w": WIDTH, "h": 1 },
            }));
            y += 1;
            let (mut x, mut height) = (0, 0);
            for panel in &row.panels {
                id += 1;
                let (w, h) = panel.size;
                if x + w > WIDTH {
                    (x, y, height) = (0, y + height, 0);
                }
                placed.push(panel.json(id, &json!({ "x": x, "y": y, "w": w, "h": h })));
                x += w;
                height = height.max(h);
            }
            y += height;
        }
        placed
    }
}

/// Reloads of the configuration, on every graph.
fn annotation() -> Value {
    json!({
        "name": "Configuration reloaded",
        "datasource": datasource(),
        "enable": true,
        "iconColor": "blue",
        "expr": reloads().text(),
        "step": "60s",
        "titleFormat": "Configuration reloaded",
    })
}

/// Which way the series came: one, or everything is there twice.
fn job() -> Value {
    let query = format!("label_values({SITES}, job)");
    json!({
        "name": "job",
        "label": "Source",
        "description": "netbackup is the scrape of the agent; a Collector has another name. Both have the same series.",
        "type": "query",
        "datasource": datasource(),
        "query": { "query": query, "refId": "job" },
        "definition": query,
        "current": { "text": "netbackup", "value": "netbackup" },
        "multi": false,
        "includeAll": false,
        "refresh": 2,
        "sort": 1,
    })
}

fn site() -> Value {
    choice("site", "Site", &format!("label_values({SITES}, site)"))
}

fn variable(variable: &Variable) -> Value {
    let Variable { label, title, metric } = variable;
    let query = format!("label_values({metric}{{job=\"$job\", site=~\"$site\"}}, {label})");
    choice(label, title, &query)
}

fn choice(name: &str, title: &str, query: &str) -> Value {
    json!({
        "name": name,
        "label": title,
        "type": "query",
        "datasource": datasource(),
        "query": { "query": query, "refId": name },
        "definition": query,
        "current": { "text": ["All"], "value": ["$__all"] },
        "multi": true,
        "includeAll": true,
        "allValue": ".*",
        "refresh": 2,
        "sort": 1,
    })
}

fn thresholds(steps: &[Step]) -> Value {
    let steps: Vec<Value> =
        steps.iter().map(|(value, color)| json!({ "value": value, "color": color })).collect();
    json!({ "mode": "absolute", "steps": steps })
}

fn unit_of_column(column: &Column) -> Value {
    let mut properties = vec![json!({ "id": "unit", "value": column.unit.id() })];
    if matches!(column.unit, Unit::Since) {
        // Dates are too wide for colours.
        properties.push(json!({ "id": "custom.width", "value": 160 }));
    }
    if !column.steps.is_empty() {
        properties.push(json!({ "id": "thresholds", "value": thresholds(&column.steps) }));
        properties.push(json!({
            "id": "custom.cellOptions",
            "value": { "type": "color-background", "mode": "basic" },
        }));
    }
    json!({ "matcher": { "id": "byName", "options": column.title }, "properties": properties })
}

impl Panel {
    fn json(&self, id: u32, place: &Value) -> Value {
        let kind = match self.kind {
            Kind::Stat => "stat",
            Kind::Lines | Kind::Stack => "timeseries",
            Kind::Lanes => "state-timeline",
            Kind::Bars => "bargauge",
            Kind::Table => "table",
            Kind::Heat => "heatmap",
        };
        let mut panel = json!({
            "id": id,
            "type": kind,
            "title": self.title,
            "description": self.help,
            "datasource": datasource(),
            "gridPos": place,
            "targets": self.asked(),
            "fieldConfig": { "defaults": self.defaults(), "overrides": self.overrides() },
            "options": self.options(),
        });
        if self.kind == Kind::Table {
            panel["transformations"] = self.transformations();
        }
        if let Some(uid) = self.link {
            panel["links"] = json!([{
                "title": "More",
                "url": format!("/d/{uid}?${{__url_time_range}}&${{job:queryparam}}&${{site:queryparam}}"),
            }]);
        }
        panel
    }

    fn asked(&self) -> Vec<Value> {
        let now = matches!(self.kind, Kind::Stat | Kind::Bars | Kind::Table);
        let format = match self.kind {
            Kind::Table => "table",
            Kind::Heat => "heatmap",
            _ => "time_series",
        };
        let targets = self.targets.iter().zip('A'..).map(|(target, letter)| {
            json!({
                "refId": letter.to_string(),
                "datasource": datasource(),
                "editorMode": "code",
                "expr": target.query.text(),
                "legendFormat": target.legend,
                "format": format,
                "instant": now,
                "range": !now,
            })
        });
        targets.collect()
    }

    fn defaults(&self) -> Value {
        let mut defaults = Map::new();
        defaults.insert("unit".into(), json!(self.unit.id()));
        defaults.insert("thresholds".into(), thresholds(&self.steps));
        if let Some(least) = self.range.0 {
            defaults.insert("min".into(), json!(least));
        }
        if let Some(most) = self.range.1 {
            defaults.insert("max".into(), json!(most));
        }
        let by_step = matches!(self.kind, Kind::Stat | Kind::Lanes | Kind::Bars | Kind::Table);
        let mode = if by_step { "thresholds" } else { "palette-classic" };
        defaults.insert("color".into(), json!({ "mode": mode }));
        let words: Map<String, Value> = self
            .words
            .iter()
            .enumerate()
            .map(|(index, (value, text, color))| {
                (value.to_string(), json!({ "text": text, "color": color, "index": index }))
            })
            .collect();
        if !words.is_empty() {
            defaults.insert("mappings".into(), json!([{ "type": "value", "options": words }]));
        }
        let custom = match self.kind {
            Kind::Lines => json!({ "lineWidth": 2, "fillOpacity": 5, "showPoints": "never" }),
            Kind::Stack => json!({
                "lineWidth": 1, "fillOpacity": 40, "showPoints": "never",
                "stacking": { "mode": "normal", "group": "A" },
            }),
            Kind::Lanes => json!({ "fillOpacity": 80, "lineWidth": 0 }),
            _ => return defaults.into(),
        };
        defaults.insert("custom".into(), custom);
        defaults.into()
    }

    fn overrides(&self) -> Vec<Value> {
        let named = self.columns.iter().filter(|column| !column.title.is_empty());
        named.map(unit_of_column).collect()
    }

    fn options(&self) -> Value {
        let last = json!({ "calcs": ["lastNotNull"], "fields": "", "values": false });
        match self.kind {
            Kind::Stat => json!({
                "reduceOptions": last, "colorMode": "background", "graphMode": "none",
                "textMode": "auto", "justifyMode": "center",
            }),
            Kind::Lines | Kind::Stack => json!({
                "legend": { "displayMode": "table", "placement": "right", "calcs": ["lastNotNull", "max"], "showLegend": true },
                "tooltip": { "mode": "multi", "sort": "desc" },
            }),
            Kind::Lanes => json!({
                "mergeValues": true, "showValue": "never", "rowHeight": 0.8,
                "legend": { "displayMode": "list", "placement": "bottom", "showLegend": true },
            }),
            Kind::Bars => json!({
                "reduceOptions": last, "orientation": "horizontal", "displayMode": "basic",
                "valueMode": "color", "showUnfilled": true,
            }),
            Kind::Table => json!({ "showHeader": true, "cellHeight": "sm" }),
            Kind::Heat => json!({
                "calculate": false, "cellGap": 1,
                "color": { "mode": "scheme", "scheme": "Blues", "steps": 64 },
                "yAxis": { "unit": self.unit.id() },
                "tooltip": { "mode": "single", "yHistogram": false },
                "legend": { "show": true },
            }),
        }
    }

    /// Makes a row for each set of labels, and a named column for each query.
    fn transformations(&self) -> Value {
        let mut hidden = Map::from_iter([("Time".to_owned(), json!(true))]);
        let mut names = Map::new();
        for (column, letter) in self.columns.iter().zip('A'..) {
            // A single query keeps the plain name.
            let value = match self.columns.len() {
                1 => "Value".to_owned(),
                _ => format!("Value #{letter}"),
            };
            if column.title.is_empty() {
                hidden.insert(value, json!(true));
            } else {
                names.insert(value, json!(column.title));
            }
        }
        json!([
            { "id": "merge", "options": {} },
            {
                "id": "organize",
                "options": { "excludeByName": hidden, "renameByName": names, "indexByName": {} },
            },
        ])
    }
}
