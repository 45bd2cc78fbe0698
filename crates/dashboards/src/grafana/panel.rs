//! A panel of a dashboard.

use crate::query::Query;

/// The format of values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    /// A plain number.
    Number,
    /// A number that may be large.
    Short,
    /// 0 to 1.
    Ratio,
    /// 0 to 100.
    Percent,
    /// Bytes.
    Bytes,
    /// Bytes per second.
    BytesPerSecond,
    /// A span.
    Seconds,
    /// A span.
    Milliseconds,
    /// A span.
    Days,
    /// Events per second.
    PerSecond,
    /// Unix seconds, as how long ago.
    Since,
}

impl Unit {
    pub(super) const fn id(self) -> &'static str {
        match self {
            Self::Number => "none",
            Self::Short => "short",
            Self::Ratio => "percentunit",
            Self::Percent => "percent",
            Self::Bytes => "bytes",
            Self::BytesPerSecond => "Bps",
            Self::Seconds => "s",
            Self::Milliseconds => "ms",
            Self::Days => "d",
            Self::PerSecond => "ops",
            Self::Since => "dateTimeFromNow",
        }
    }
}

/// From this value on, this colour. The first has no value.
pub type Step = (Option<f64>, &'static str);

/// Grafana's kinds of panels, as far as they are used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A number, or a number for each series.
    Stat,
    /// Lines over time.
    Lines,
    /// Areas over time, one upon the other.
    Stack,
    /// Steps of colour over time, one lane a series.
    Lanes,
    /// A bar for each series.
    Bars,
    /// A row for each series, a column for each query.
    Table,
    /// Buckets over time.
    Heat,
}

/// A query and what its series are called.
#[derive(Debug, Clone)]
pub struct Target {
    /// The expression.
    pub query: Query,
    /// Grafana's template; in tables, the name of the column.
    pub legend: &'static str,
}

/// A column of a table.
#[derive(Debug, Clone)]
pub struct Column {
    pub(super) title: &'static str,
    pub(super) unit: Unit,
    pub(super) steps: Vec<Step>,
}

/// A panel.
#[derive(Debug)]
pub struct Panel {
    /// Its name.
    pub title: &'static str,
    /// The meaning, for people.
    pub help: &'static str,
    /// The kind of drawing.
    pub kind: Kind,
    /// The queries.
    pub targets: Vec<Target>,
    pub(super) unit: Unit,
    pub(super) size: (u32, u32),
    pub(super) steps: Vec<Step>,
    pub(super) words: Vec<(f64, &'static str, &'static str)>,
    pub(super) range: (Option<f64>, Option<f64>),
    pub(super) columns: Vec<Column>,
    pub(super) link: Option<&'static str>,
}

impl Panel {
    fn new(kind: Kind, title: &'static str, help: &'static str, size: (u32, u32)) -> Self {
        Self {
            title,
            help,
            kind,
            targets: Vec::new(),
            unit: Unit::Short,
            size,
            steps: vec![(None, "blue")],
            words: Vec::new(),
            range: (None, None),
            columns: Vec::new(),
            link: None,
        }
    }

    /// Makes a panel with a number.
    pub fn stat(title: &'static str, help: &'static str) -> Self {
        Self::new(Kind::Stat, title, help, (4, 4))
    }

    /// Lines over time.
    pub fn lines(title: &'static str, help: &'static str) -> Self {
        Self::new(Kind::Lines, title, help, (12, 8))
    }

    /// Areas over time.
    pub fn stack(title: &'static str, help: &'static str) -> Self {
        Self::new(Kind::Stack, title, help, (12, 8))
    }

    /// Lanes over time.
    pub fn lanes(title: &'static str, help: &'static str) -> Self {
        Self::new(Kind::Lanes, title, help, (12, 8))
    }

    /// Bars.
    pub fn bars(title: &'static str, help: &'static str) -> Self {
        Self::new(Kind::Bars, title, help, (12, 8))
    }

    /// A table.
    pub fn table(title: &'static str, help: &'static str) -> Self {
        Self::new(Kind::Table, title, help, (24, 9))
    }

    /// A heat map of buckets.
    pub fn heat(title: &'static str, help: &'static str) -> Self {
        Self::new(Kind::Heat, title, help, (12, 8))
    }

    /// Asks this; the legend is Grafana's template.
    #[must_use]
    pub fn ask(mut self, legend: &'static str, query: Query) -> Self {
        self.targets.push(Target { query, legend });
        self
    }

    /// A column of a table; one without a name is not shown: the labels are what matters.
    #[must_use]
    pub fn column(mut self, title: &'static str, unit: Unit, steps: &[Step], query: Query) -> Self {
        self.columns.push(Column { title, unit, steps: steps.to_vec() });
        self.ask(title, query)
    }

    /// The unit of its values.
    #[must_use]
    pub fn unit(mut self, unit: Unit) -> Self {
        self.unit = unit;
        self
    }

    /// Width, of 24, and height.
    #[must_use]
    pub fn size(mut self, width: u32, height: u32) -> Self {
        self.size = (width, height);
        self
    }

    /// Colours by value.
    #[must_use]
    pub fn steps(mut self, steps: &[Step]) -> Self {
        self.steps = steps.to_vec();
        self
    }

    /// Words for values: value, word, colour.
    #[must_use]
    pub fn words(mut self, words: &[(f64, &'static str, &'static str)]) -> Self {
        self.words = words.to_vec();
        self
    }

    /// Smallest and largest value of the scale.
    #[must_use]
    pub fn range(mut self, least: f64, most: f64) -> Self {
        self.range = (Some(least), Some(most));
        self
    }

    /// The scale begins at 0.
    #[must_use]
    pub fn from_zero(mut self) -> Self {
        self.range.0 = Some(0.0);
        self
    }

    /// The dashboard that says more, by its uid.
    #[must_use]
    pub fn leads_to(mut self, uid: &'static str) -> Self {
        self.link = Some(uid);
        self
    }

    /// Returns its problems.
    pub(super) fn problems(&self) -> Vec<String> {
        let mut problems: Vec<String> = Vec::new();
        for target in &self.targets {
            problems.extend(target.query.problems().iter().cloned());
            let known: Vec<&str> = target.query.labels().collect();
            for label in
                target.legend.split("{{").skip(1).filter_map(|rest| rest.split("}}").next())
            {
                if !known.contains(&label) {
                    problems.push(format!("the legend names {label}: no such label"));
                }
            }
        }
        if self.targets.is_empty() {
            problems.push("it asks nothing".to_owned());
        }
        // Grafana merges rows by all labels.
        let labels = |target: &Target| target.query.labels().map(str::to_owned).collect::<Vec<_>>();
        let mixed = self.targets.windows(2).any(|pair| labels(&pair[0]) != labels(&pair[1]));
        if self.kind == Kind::Table && mixed {
            problems.push("the columns have different labels: rows would not merge".to_owned());
        }
        if self.kind == Kind::Table && self.columns.len() != self.targets.len() {
            problems.push("each query of a table is a column".to_owned());
        }
        problems.into_iter().map(|problem| format!("{}: {problem}", self.title)).collect()
    }
}
