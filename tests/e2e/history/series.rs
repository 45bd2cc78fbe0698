//! Series, as promtool's tests take them.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Arc;

use nbu_otel_agent::metric::{Family, Kind, Value};

/// A series, as a selector writes it.
type Name = String;

/// A sample of a poll.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Sample {
    Number(f64),
    /// The series ended: Prometheus does not look back beyond this.
    Stale,
}

/// Samples of a group of series.
type Group = Vec<(usize, f64)>;

#[derive(Default)]
pub struct Recorder {
    /// Unix ms of the first poll.
    begin: i64,
    /// By name, a place in `runs`.
    names: BTreeMap<Name, usize>,
    /// Of each series, runs of equal samples, from the poll on.
    runs: Vec<Vec<(usize, Sample)>>,
    /// The samples of the groups of the last poll, and of the present one: most of them are the same.
    before: Vec<(Arc<Vec<Family>>, Group)>,
    groups: Vec<(Arc<Vec<Family>>, Group)>,
    others: Group,
    polls: usize,
}

impl Recorder {
    /// Begins at a time, Unix ms.
    pub fn from(begin: i64) -> Self {
        Self { begin, ..Self::default() }
    }

    /// Records a value of the present poll.
    pub fn record(&mut self, name: &str, labels: &[(&str, &str)], value: f64) {
        let sample = self.sample(name, labels, value);
        self.others.push(sample);
    }

    fn sample(&mut self, name: &str, labels: &[(&str, &str)], value: f64) -> (usize, f64) {
        let mut text = format!("{name}{{job=\"netbackup\",instance=\"agent:9440\",site=\"paris\"");
        for (label, value) in labels {
            let _ = write!(text, ",{label}=\"{value}\"");
        }
        text.push('}');
        // promtool's time begins at 0.
        let value = if name.ends_with("_timestamp_seconds") {
            value - (self.begin / 1000) as f64
        } else {
            value
        };
        let place = *self.names.entry(text).or_insert(self.runs.len());
        self.runs.resize(self.runs.len().max(place + 1), Vec::new());
        (place, value)
    }

    /// Records the series of a group, those that `wanted` selects.
    pub fn record_group(&mut self, group: &Arc<Vec<Family>>, wanted: impl Fn(&str) -> bool) {
        let known = self.before.iter().position(|(before, _)| Arc::ptr_eq(before, group));
        let samples = match known {
            Some(place) => self.before.swap_remove(place).1,
            None => self.samples(group, wanted),
        };
        self.groups.push((Arc::clone(group), samples));
    }

    fn samples(&mut self, families: &[Family], wanted: impl Fn(&str) -> bool) -> Group {
        let mut samples = Group::new();
        for family in families {
            let name = family.definition.prometheus_name();
            let is_distribution = matches!(family.definition.kind, Kind::Histogram(_));
            let (bucket, count) = (format!("{name}_bucket"), format!("{name}_count"));
            if !wanted(if is_distribution { &bucket } else { &name }) {
                continue;
            }
            for point in &family.points {
                let labels: Vec<(&str, &str)> = family
                    .definition
                    .attributes
                    .iter()
                    .copied()
                    .zip(point.attributes.iter().map(AsRef::as_ref))
                    .collect();
                match (&point.value, family.definition.kind) {
                    (Value::Distribution(times), Kind::Histogram(bounds)) => {
                        let mut sum = 0;
                        let bounds = bounds.iter().map(f64::to_string);
                        let bounds = bounds.chain(["+Inf".to_owned()]);
                        for (bound, number) in bounds.zip(&times.counts) {
                            sum += number;
                            let labels = [&labels[..], &[("le", &*bound)]].concat();
                            samples.push(self.sample(&bucket, &labels, sum as f64));
                        }
                        samples.push(self.sample(&count, &labels, sum as f64));
                    }
                    (Value::Number(number), _) => {
                        samples.push(self.sample(&name, &labels, *number));
                    }
                    _ => {}
                }
            }
        }
        samples
    }

    /// Ends a poll.
    pub fn finish_poll(&mut self) {
        let poll = self.polls;
        let groups = self.groups.iter().flat_map(|(_, samples)| samples);
        for (place, value) in groups.chain(&self.others) {
            let runs = &mut self.runs[*place];
            // It goes on.
            runs.pop_if(|(at, sample)| *at == poll && *sample == Sample::Stale);
            if runs.last().is_none_or(|(_, sample)| *sample != Sample::Number(*value)) {
                runs.push((poll, Sample::Number(*value)));
            }
            // Unless the next poll has it, too.
            runs.push((poll + 1, Sample::Stale));
        }
        self.before = std::mem::take(&mut self.groups);
        self.others.clear();
        self.polls += 1;
    }

    /// Returns the number of polls.
    pub fn polls(&self) -> usize {
        self.polls
    }

    /// Returns the series as `input_series`, and their number.
    pub fn input(&self) -> (String, usize) {
        let mut text = String::new();
        for (name, place) in &self.names {
            let runs = &self.runs[*place];
            let mut values = String::new();
            let first = runs.first().map_or(0, |(at, _)| *at);
            if first > 0 {
                let _ = write!(values, "_x{first} ");
            }
            let ends = runs.iter().skip(1).map(|(at, _)| *at).chain([self.polls]);
            for ((at, sample), end) in runs.iter().zip(ends) {
                let more = end.saturating_sub(at + 1);
                match sample {
                    _ if *at >= self.polls => {}
                    Sample::Number(value) => {
                        let _ = write!(values, "{value}x{more} ");
                    }
                    Sample::Stale => {
                        values.push_str("stale ");
                        if more > 0 {
                            let _ = write!(values, "_x{more} ");
                        }
                    }
                }
            }
            let _ =
                writeln!(text, "      - {{ series: '{name}', values: '{}' }}", values.trim_end());
        }
        (text, self.names.len())
    }
}
