//! PromQL, built rather than written: an expression knows its labels, and what is wrong with it.

use std::collections::BTreeSet;
use std::fmt::{Display, Write as _};

use crate::declared::{self, Declared};

/// Which series of a metric.
#[derive(Debug, Clone)]
pub struct Selector {
    name: &'static str,
    declared: Option<Declared>,
    matchers: Vec<String>,
    /// Asks for the values of so long ago; empty for those of now.
    offset: &'static str,
    problems: Vec<String>,
}

impl Selector {
    /// All series of `name`, as rules select them.
    pub fn every(name: &'static str) -> Self {
        let declared = declared::look_up(name);
        let problems = match declared {
            Some(_) => Vec::new(),
            None => vec![format!("{name} is not declared")],
        };
        Self { name, declared, matchers: Vec::new(), offset: "", problems }
    }

    /// The series that a dashboard's variables `job` and `site` choose.
    pub fn shown(name: &'static str) -> Self {
        let mut selector = Self::every(name);
        let known = selector.declared.clone();
        if known.as_ref().is_some_and(|known| known.ours) {
            selector.matchers.push("job=\"$job\"".to_owned());
        }
        if known.is_some_and(|known| known.labels.contains(&"site")) {
            selector.matchers.push("site=~\"$site\"".to_owned());
        }
        selector
    }

    fn matching(mut self, label: &str, operator: &str, value: &str) -> Self {
        let known = self.declared.as_ref();
        if known.is_some_and(|known| !known.labels.contains(&label)) {
            self.problems.push(format!("{} has no label {label}", self.name));
        }
        self.matchers.push(format!("{label}{operator}{}", quoted(value)));
        self
    }

    /// `label="value"`.
    #[must_use]
    pub fn is(self, label: &str, value: &str) -> Self {
        self.matching(label, "=", value)
    }

    /// `label!="value"`.
    #[must_use]
    pub fn is_not(self, label: &str, value: &str) -> Self {
        self.matching(label, "!=", value)
    }

    /// `label=~"pattern"`.
    #[must_use]
    pub fn like(self, label: &str, pattern: &str) -> Self {
        self.matching(label, "=~", pattern)
    }

    /// `label!~"pattern"`.
    #[must_use]
    pub fn unlike(self, label: &str, pattern: &str) -> Self {
        self.matching(label, "!~", pattern)
    }

    /// `offset`: the series as they were so long ago.
    #[must_use]
    pub fn before(mut self, offset: &'static str) -> Self {
        self.offset = offset;
        self
    }

    fn text(&self) -> String {
        if self.matchers.is_empty() {
            return self.name.to_owned();
        }
        format!("{}{{{}}}", self.name, self.matchers.join(", "))
    }

    /// Returns the expression that `of` makes of the series, with a range if any.
    fn query(self, range: &str, wants_counter: bool, of: impl Fn(&str) -> String) -> Query {
        let series = format!("{}{range}", self.text());
        let text = match self.offset {
            "" => of(&series),
            offset => of(&format!("{series} offset {offset}")),
        };
        // What is exercised has no past.
        let operands = (!self.offset.is_empty()).then(|| vec![of(&series)]);
        let mut problems = self.problems;
        let known = self.declared;
        if known.as_ref().is_some_and(|known| known.counter != wants_counter) {
            let what = if wants_counter { "no counter" } else { "a counter, and wants a rate" };
            problems.push(format!("{} is {what}", self.name));
        }
        let labels = known.map(|known| known.labels).unwrap_or_default();
        Query {
            text,
            labels: labels.into_iter().map(str::to_owned).collect(),
            joined: false,
            operands,
            problems,
        }
    }

    /// Returns the values as they are.
    pub fn now(self) -> Query {
        self.query("", false, str::to_owned)
    }

    /// Returns the total of a counter as it is: what changed since the agent started.
    pub fn total(self) -> Query {
        self.query("", true, str::to_owned)
    }

    /// Returns the growth of a counter per second.
    pub fn rate(self, span: &str) -> Query {
        self.query(&format!("[{span}]"), true, |series| format!("rate({series})"))
    }

    /// Returns the growth of a counter over a span.
    pub fn increase(self, span: &str) -> Query {
        self.query(&format!("[{span}]"), true, |series| format!("increase({series})"))
    }

    /// Returns the series of a counter that began within a span, with what they count, which `increase` does not see.
    /// A gap of less than a day is no beginning, nor is another agent that goes on with the total.
    pub fn begun(self, span: &str) -> Query {
        let labels = self.declared.as_ref().map(|declared| declared.labels.clone());
        let mut on = labels.unwrap_or_default();
        on.retain(|label| *label != "instance");
        let on = on.join(", ");
        let mut begun = self.query("", true, |series| {
            format!("{series} unless on ({on}) last_over_time({series}[1d] offset {span})")
        });
        begun.joined = true;
        begun
    }

    /// Returns a function of a gauge over a span.
    pub fn over(self, function: &str, span: &str) -> Query {
        self.query(&format!("[{span}]"), false, |series| format!("{function}({series})"))
    }

    /// Predicts a gauge from its course over a span.
    pub fn predict(self, span: &str, ahead: &str) -> Query {
        self.query(&format!("[{span}]"), false, |series| {
            format!("predict_linear({series}, {ahead})")
        })
    }
}

/// A PromQL string.
pub(crate) fn quoted(value: &str) -> String {
    format!("\"{}\"", value.replace('\\', "\\\\").replace('"', "\\\""))
}

/// An instant vector.
#[derive(Debug, Clone)]
pub struct Query {
    text: String,
    labels: BTreeSet<String>,
    /// A binary operation: parentheses where it is an operand.
    joined: bool,
    /// The operands of comparisons; `None` without one.
    operands: Option<Vec<String>>,
    problems: Vec<String>,
}

impl Query {
    /// The expression.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Labels of its series.
    pub fn labels(&self) -> impl Iterator<Item = &str> {
        self.labels.iter().map(String::as_str)
    }

    /// Returns its problems.
    pub fn problems(&self) -> &[String] {
        &self.problems
    }

    /// Returns the operands of its comparisons, which have values even if it does not hold; the whole
    /// expression if it compares nothing.
    pub fn operands(&self) -> Vec<String> {
        self.operands.clone().unwrap_or_else(|| vec![self.text.clone()])
    }

    fn has(&mut self, labels: &[&str], what: &str) {
        for label in labels {
            if !self.labels.contains(*label) {
                self.problems.push(format!("{what} {label}: no such label in {}", self.text));
            }
        }
    }

    fn aggregate(mut self, operation: &str, by: &[&str]) -> Self {
        self.has(by, operation);
        let by_text =
            if by.is_empty() { String::new() } else { format!(" by ({})", by.join(", ")) };
        self.text = format!("{operation}{by_text} ({})", self.text);
        self.joined = false;
        self.labels = by.iter().map(|label| (*label).to_owned()).collect();
        self
    }

    /// `sum by (...)`.
    #[must_use]
    pub fn sum(self, by: &[&str]) -> Self {
        self.aggregate("sum", by)
    }

    /// `max by (...)`.
    #[must_use]
    pub fn max(self, by: &[&str]) -> Self {
        self.aggregate("max", by)
    }

    /// `min by (...)`.
    #[must_use]
    pub fn min(self, by: &[&str]) -> Self {
        self.aggregate("min", by)
    }

    /// `avg by (...)`.
    #[must_use]
    pub fn mean(self, by: &[&str]) -> Self {
        self.aggregate("avg", by)
    }

    /// `count by (...)`.
    #[must_use]
    pub fn count(self, by: &[&str]) -> Self {
        self.aggregate("count", by)
    }

    /// `group by (...)`: 1 for each.
    #[must_use]
    pub fn group(self, by: &[&str]) -> Self {
        self.aggregate("group", by)
    }

    /// The median, `by (...)`.
    #[must_use]
    pub fn median(mut self, by: &[&str]) -> Self {
        self.has(by, "quantile");
        self.text = format!("quantile by ({}) (0.5, {})", by.join(", "), self.text);
        self.joined = false;
        self.labels = by.iter().map(|label| (*label).to_owned()).collect();
        self
    }

    fn call(mut self, head: &str, tail: &str) -> Self {
        self.text = format!("{head}{}{tail}", self.text);
        self.joined = false;
        self
    }

    /// The `count` largest.
    #[must_use]
    pub fn top(self, count: usize) -> Self {
        self.call(&format!("topk({count}, "), ")")
    }

    /// Largest first, in tables.
    #[must_use]
    pub fn sorted(self) -> Self {
        self.call("sort_desc(", ")")
    }

    /// At least this much.
    #[must_use]
    pub fn at_least(self, value: impl Display) -> Self {
        self.call("clamp_min(", &format!(", {value})"))
    }

    /// At most this much.
    #[must_use]
    pub fn at_most(self, value: impl Display) -> Self {
        self.call("clamp_max(", &format!(", {value})"))
    }

    /// A quantile of the buckets of a histogram.
    #[must_use]
    pub fn quantile(mut self, quantile: f64) -> Self {
        self.has(&["le"], "histogram_quantile");
        self.labels.remove("le");
        self.call(&format!("histogram_quantile({quantile}, "), ")")
    }

    fn operand(&self) -> String {
        if self.joined { format!("({})", self.text) } else { self.text.clone() }
    }

    fn with_number(mut self, text: String) -> Self {
        self.text = text;
        self.joined = true;
        self
    }

    /// Seconds since the timestamp that it is.
    #[must_use]
    pub fn age(self) -> Self {
        let text = format!("time() - {}", self.operand());
        self.with_number(text)
    }

    /// Times a number.
    #[must_use]
    pub fn times(self, number: impl Display) -> Self {
        let text = format!("{} * {number}", self.operand());
        self.with_number(text)
    }

    /// Divided by a number.
    #[must_use]
    pub fn divided_by(self, number: impl Display) -> Self {
        let text = format!("{} / {number}", self.operand());
        self.with_number(text)
    }

    /// Subtracts it from a number.
    #[must_use]
    pub fn short_of(self, number: impl Display) -> Self {
        let text = format!("{number} - {}", self.operand());
        self.with_number(text)
    }

    /// With its sign turned.
    #[must_use]
    pub fn negated(self) -> Self {
        let text = format!("-{}", self.operand());
        self.with_number(text)
    }

    /// Compared with a number.
    #[must_use]
    pub fn compared(mut self, operator: &str, number: impl Display) -> Self {
        self.operands = Some(self.operands());
        let text = format!("{} {operator} {number}", self.operand());
        self.with_number(text)
    }

    /// Returns a function of its values over a span, one at each step.
    #[must_use]
    pub fn over(mut self, function: &str, span: &str, step: &str) -> Self {
        self.text = format!("{function}({}[{span}:{step}])", self.operand());
        self.joined = false;
        self
    }

    /// 1 where it is above a number, else 0.
    #[must_use]
    pub fn above(self, number: impl Display) -> Self {
        let text = format!("{} > bool {number}", self.operand());
        self.with_number(text)
    }

    fn joined_with(mut self, matching: &str, other: Self) -> Self {
        if self.operands.is_some() || other.operands.is_some() {
            let mut operands = self.operands();
            operands.extend(other.operands());
            self.operands = Some(operands);
        }
        self.text = format!("{} {matching} {}", self.operand(), other.operand());
        self.joined = true;
        self.problems.extend(other.problems);
        self
    }

    /// A binary operation over series that have the same labels.
    #[must_use]
    pub fn with(mut self, operator: &str, other: Self) -> Self {
        if self.labels != other.labels {
            self.problems.push(format!(
                "{} {operator} {}: other labels ({:?} and {:?})",
                self.text, other.text, self.labels, other.labels
            ));
        }
        self.joined_with(operator, other)
    }

    /// A binary operation over series that have these labels in common; `self` may have further ones,
    /// and many series for one of `other`.
    #[must_use]
    pub fn with_each(mut self, operator: &str, on: &[&str], mut other: Self) -> Self {
        self.has(on, operator);
        other.has(on, operator);
        self.joined_with(&format!("{operator} on ({}) group_left ()", on.join(", ")), other)
    }

    /// The same with a comparison: its operands have values whether it holds or not.
    #[must_use]
    pub fn compared_each(mut self, operator: &str, on: &[&str], other: Self) -> Self {
        self.operands = Some(self.operands());
        self.with_each(operator, on, other)
    }

    fn set(mut self, operator: &str, on: &[&str], mut other: Self) -> Self {
        self.has(on, operator);
        other.has(on, operator);
        self.operands = Some(self.operands());
        let mut matching = operator.to_owned();
        // Writing to a String cannot fail.
        let _ = write!(matching, " on ({})", on.join(", "));
        self.joined_with(&matching, other)
    }

    /// Keeps series for which `other` has a value.
    #[must_use]
    pub fn and(self, on: &[&str], other: Self) -> Self {
        self.set("and", on, other)
    }

    /// Keeps series for which `other` has no value.
    #[must_use]
    pub fn unless(self, on: &[&str], other: Self) -> Self {
        self.set("unless", on, other)
    }

    /// Keeps its series, and those of `other` for which it has none.
    #[must_use]
    pub fn or(self, on: &[&str], other: Self) -> Self {
        Self::first_of(on, vec![self, other])
    }

    /// For each value of these labels, the series of the first of several queries that has one.
    #[must_use]
    pub fn first_of(on: &[&str], queries: Vec<Self>) -> Self {
        let mut texts = Vec::new();
        let mut operands = Vec::new();
        let mut whole: Option<Self> = None;
        for mut query in queries {
            query.has(on, "or");
            texts.push(query.operand());
            operands.extend(query.operands());
            match &mut whole {
                None => whole = Some(query),
                Some(whole) => {
                    if whole.labels != query.labels {
                        let problem =
                            format!("or {}: other labels than {}", query.text, whole.text);
                        whole.problems.push(problem);
                    }
                    whole.problems.append(&mut query.problems);
                }
            }
        }
        let mut whole = whole.unwrap_or_else(|| Self {
            text: String::new(),
            labels: BTreeSet::new(),
            joined: false,
            operands: None,
            problems: vec!["the first of no query".to_owned()],
        });
        whole.text = texts.join(&format!(" or on ({}) ", on.join(", ")));
        whole.joined = true;
        whole.operands = Some(operands);
        whole
    }

    /// Its series and those of `other`, with the labels that both have. No two of them may have the same labels.
    #[must_use]
    pub fn beside(self, other: Self) -> Self {
        let common: BTreeSet<String> = self.labels.intersection(&other.labels).cloned().collect();
        let operands = self.operands().into_iter().chain(other.operands()).collect();
        let mut whole = self.joined_with("or", other);
        (whole.labels, whole.operands) = (common, Some(operands));
        whole
    }

    /// Names a query that has series where this one may have none, to be exercised instead of it.
    #[must_use]
    pub fn exercised_as(mut self, query: &Self) -> Self {
        self.operands = Some(query.operands());
        self
    }

    /// Adds labels of `other`, whose values are 1, to series that have these labels in common with it.
    #[must_use]
    pub fn labelled(self, on: &[&str], added: &[&str], mut other: Self) -> Self {
        other.has(added, "group_left");
        other.has(on, "group_left");
        let mut whole = self;
        whole.has(on, "group_left");
        whole.labels.extend(added.iter().map(|label| (*label).to_owned()));
        let matching = format!("* on ({}) group_left ({})", on.join(", "), added.join(", "));
        whole.joined_with(&matching, other)
    }

    /// Without the labels `job` and `instance`, which a dashboard that shows one job needs not.
    #[must_use]
    pub fn per_site(self, further: &[&str]) -> Self {
        let mut by = vec!["site"];
        by.extend(further);
        self.sum(&by)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn expression_renders_as_promql() {
        let failed = Selector::every("nbu_jobs_outcomes_total").is("outcome", "failure");
        let all = Selector::every("nbu_jobs_outcomes_total");
        let share = failed.rate("5m").sum(&["site"]).with("/", all.rate("5m").sum(&["site"]));
        assert_eq!(
            share.text(),
            "sum by (site) (rate(nbu_jobs_outcomes_total{outcome=\"failure\"}[5m])) / \
             sum by (site) (rate(nbu_jobs_outcomes_total[5m]))"
        );
        assert_eq!(share.problems(), [""; 0]);
        let alert = share.clone().compared(">", 0.1);
        assert_eq!(alert.operands(), [share.text()]);
    }

    #[test]
    fn names_and_labels_that_are_not_declared_are_problems() {
        let problems = |query: Query| query.problems().len();
        assert_eq!(problems(Selector::every("nbu_upp").now()), 1);
        assert_eq!(problems(Selector::every("nbu_up").is("client", "a").now()), 1);
        assert_eq!(problems(Selector::every("nbu_up").now().sum(&["client"])), 1);
        assert_eq!(problems(Selector::every("nbu_up").rate("5m")), 1);
        assert_eq!(problems(Selector::every("nbu_jobs_outcomes_total").now()), 1);
        let up = || Selector::every("nbu_up").now();
        assert_eq!(problems(up().sum(&["site"]).with("/", up().sum(&["job"]))), 1);
        assert_eq!(problems(up().quantile(0.9)), 1);
    }

    #[test]
    fn first_of_several_queries_is_one_chain() {
        let up = |site| Selector::every("nbu_up").is("site", site).now();
        let first = Query::first_of(&["job"], vec![up("a"), up("b").compared("==", 1), up("c")]);
        assert_eq!(
            first.clone().compared(">", 0).text(),
            "(nbu_up{site=\"a\"} or on (job) (nbu_up{site=\"b\"} == 1) or on (job) nbu_up{site=\"c\"}) > 0"
        );
        assert_eq!(first.operands().len(), 3);
        let mixed = up("a").or(&["job"], up("b").sum(&["job"]));
        assert_eq!(mixed.problems().len(), 1);
        assert_eq!(Query::first_of(&[], Vec::new()).problems().len(), 1);
    }

    #[test]
    fn query_of_the_past_is_exercised_as_of_now() {
        let past = Selector::every("nbu_jobs_gap_seconds_total").before("1w").increase("26h");
        assert_eq!(past.text(), "increase(nbu_jobs_gap_seconds_total[26h] offset 1w)");
        assert_eq!(past.sum(&["site"]).operands(), ["increase(nbu_jobs_gap_seconds_total[26h])"]);
    }

    #[test]
    fn labels_of_an_info_are_joined() {
        let info = Selector::every("nbu_queue_reason_info").now().max(&["site", "reason", "text"]);
        let queued = Selector::every("nbu_jobs_queued_count").now().sum(&["site", "reason"]);
        let named = queued.labelled(&["site", "reason"], &["text"], info);
        assert!(named.text().contains("* on (site, reason) group_left (text) max by"));
        assert!(named.labels().any(|label| label == "text"));
        assert_eq!(named.problems(), [""; 0]);
    }

    #[test]
    fn compared_metrics_are_known_through_joins() {
        let up = || Selector::every("nbu_up").now();
        let refused = Selector::every("nbu_agent_api_key_refused").now().compared("==", 1);
        let both = up().compared("==", 0).unless(&["job", "site"], refused);
        assert_eq!(both.operands(), ["nbu_up", "nbu_agent_api_key_refused"]);
        assert_eq!(
            both.text(),
            "(nbu_up == 0) unless on (job, site) (nbu_agent_api_key_refused == 1)"
        );
        assert_eq!(up().operands(), ["nbu_up"]);
    }
}
