//! Expected totals of jobs, from the server's lists and docs/metrics.md alone.
//!
//! A completion that happened after the first contact of the agent with the server, and was listed for
//! more than ten minutes up to a moment at which the agent had read everything, counts once. One that the
//! list showed as finished at the first contact counts never. All others may count once or not at all.

use nbu_sim::{Completion, RequestLog, Simulator};

use crate::bounds::Bounds;
use crate::support::exposition::{Series, key};

/// Time for which a completion must have been listed to be certain to count, ms.
const LISTED: i64 = 600_000;

/// A server clock that is set back by less than this loses nothing (docs/adr/0010), ms.
const SET_BACK: i64 = 3_600_000;

const OUTCOMES: [&str; 6] =
    ["success", "partial", "cancelled", "failure", "missed", "nothing_to_do"];

/// Names of the series that [`Promise::bounds`] gives bounds for.
const PROMISED: [&str; 6] = [
    "nbu_jobs_completed_total",
    "nbu_jobs_outcomes_total",
    "nbu_jobs_transferred_bytes_total",
    "nbu_jobs_files_total",
    "nbu_job_duration_seconds_count",
    "nbu_job_duration_seconds_sum",
];

/// Returns true for the totals that are promised.
pub fn is_promised(name: &str) -> bool {
    PROMISED.contains(&name)
}

/// Totals that one server owes. Times are world times, ms.
#[derive(Debug, Default)]
pub struct Promise {
    /// The first contact lies between these.
    first_contact: Option<(i64, i64)>,
    /// The agent was killed before it had shown anything.
    may_forget: bool,
    /// Moments at which the agent had read everything that was listed.
    settled: Vec<i64>,
    clock_changes: Vec<ClockChange>,
}

/// A change of the server's clock.
#[derive(Debug)]
struct ClockChange {
    /// World time of the change.
    at: i64,
    /// Latest time that the clock had shown until then.
    latest: i64,
    /// Difference of the clock to the world's time from then on, ms.
    skew: i64,
}

impl Promise {
    /// The agent may have reached the server at `at` for the first time.
    pub fn reached(&mut self, at: i64) {
        self.first_contact.get_or_insert((at, i64::MAX));
    }

    /// Notes that the list of finished jobs was answered, if it was: the agent has reached the server.
    pub fn heard(&mut self, simulator: &Simulator) {
        let Some((_, latest)) = &mut self.first_contact else { return };
        let is_answered = |request: &RequestLog| {
            let filter = request.parameter("filter").unwrap_or_default();
            request.path == "/admin/jobs" && request.status == 200 && filter.contains("eq 'DONE'")
        };
        if *latest == i64::MAX && !self.may_forget && simulator.requests().iter().any(is_answered) {
            *latest = simulator.clock().world_ms();
        }
    }

    /// The agent was killed. A first contact that nothing was shown of yet may be forgotten.
    pub fn killed(&mut self) {
        self.may_forget = self.settled.is_empty();
        if let (true, Some((_, latest))) = (self.may_forget, &mut self.first_contact) {
            *latest = i64::MAX;
        }
    }

    /// At `at` the agent had read everything that was listed.
    pub fn settled(&mut self, at: i64) {
        self.reached(at);
        if let Some((_, latest)) = &mut self.first_contact {
            *latest = (*latest).min(at);
        }
        if self.settled.last() != Some(&at) {
            self.settled.push(at);
        }
    }

    /// The server's clock is about to be changed to one that is off by `skew` ms.
    pub fn clock_changes(&mut self, simulator: &Simulator, skew: i64) {
        let shown = simulator.clock().now_ms();
        let latest = self.clock_changes.last().map_or(shown, |change| shown.max(change.latest));
        self.clock_changes.push(ClockChange { at: simulator.clock().world_ms(), latest, skew });
    }

    /// Returns the bounds of all totals of `site` at the present moment, and how many completions must
    /// have been counted.
    pub fn bounds(&self, simulator: &Simulator, site: &str) -> (Bounds, usize) {
        let (mut bounds, mut certain) = (Bounds::default(), 0);
        let now = simulator.clock().world_ms();
        for completion in simulator.truth().completions() {
            let is_certain = self.must_count(&completion, now);
            certain += usize::from(is_certain);
            if is_certain || self.may_count(&completion, now) {
                for (series, value) in counted(&completion, site) {
                    bounds.add(series, value, is_certain);
                }
                let certainly_lasted = is_certain && !self.ends_ahead(&completion);
                for (series, value) in lasted(&completion, site) {
                    bounds.add(series, value, certainly_lasted);
                }
            }
        }
        (bounds, certain)
    }

    /// Says in words which completions became certain since the last settled moment.
    pub fn news(&self, simulator: &Simulator) -> String {
        let now = simulator.clock().world_ms();
        let before = self.settled.last().copied().unwrap_or(i64::MIN);
        let news = simulator.truth().completions().filter(|completion| {
            self.must_count(completion, now)
                && (before == i64::MIN || !self.must_count(completion, before))
        });
        news.take(8).map(|completion| format!("{completion:?}\n")).collect::<Vec<_>>().concat()
    }

    /// Moments at which everything was read, the present one among them.
    fn moments(&self, now: i64) -> impl Iterator<Item = i64> {
        self.settled.iter().copied().chain([now])
    }

    fn must_count(&self, completion: &Completion, now: i64) -> bool {
        let Some((_, latest)) = self.first_contact else { return false };
        let is_seen = |at: i64| {
            completion.listed_from + LISTED <= at
                && completion.listed_until.is_none_or(|until| at < until)
        };
        completion.done_at > latest
            && self.moments(now).any(is_seen)
            && !self.is_stamped_in_the_past(completion)
    }

    fn may_count(&self, completion: &Completion, now: i64) -> bool {
        let is_listed = completion.listed_from <= now
            && completion.listed_until.is_none_or(|until| completion.listed_from < until);
        let first = self.first_contact.map_or(i64::MIN, |(earliest, _)| earliest);
        is_listed && completion.listed_from > first
    }

    /// Returns true where the end lies ahead of the server's clock: such a row may tell no duration.
    fn ends_ahead(&self, completion: &Completion) -> bool {
        let skew = self.change_before(completion).map_or(0, |change| change.skew);
        completion.end_ms > completion.done_at + skew
    }

    /// Returns true where the clock was changed after a completion and before its row showed: nothing tells
    /// how late it was.
    pub fn shows_after_a_step(&self, completion: &Completion) -> bool {
        let between = |change: &ClockChange| {
            completion.done_at <= change.at && change.at < completion.listed_from
        };
        self.clock_changes.iter().any(between)
    }

    /// Returns true where the clock was set back so far that the end cannot be told from one of before,
    /// or the row showed after a step.
    fn is_stamped_in_the_past(&self, completion: &Completion) -> bool {
        if self.shows_after_a_step(completion) {
            return true;
        }
        let before = self.change_before(completion);
        before.is_some_and(|change| completion.end_ms + SET_BACK < change.latest)
    }

    /// Returns the last change of the clock before a completion.
    fn change_before(&self, completion: &Completion) -> Option<&ClockChange> {
        self.clock_changes.iter().rfind(|change| change.at <= completion.done_at)
    }
}

/// Returns the additions of a completion's duration to the totals: seconds, and number.
fn lasted(completion: &Completion, site: &str) -> Vec<(Series, f64)> {
    let took = completion.end_ms - completion.start_ms;
    if took < 0 {
        return Vec::new();
    }
    let of_type =
        [("site", site), ("action", completion.job_type), ("policy_type", completion.policy_type)];
    vec![
        (key("nbu_job_duration_seconds_count", &of_type), 1.0),
        (key("nbu_job_duration_seconds_sum", &of_type), (took / 1000) as f64),
    ]
}

/// Returns the additions of a completion to the other totals.
fn counted(completion: &Completion, site: &str) -> Vec<(Series, f64)> {
    let action = completion.job_type;
    let status = completion.status.to_string();
    let outcome = match completion.status {
        0 => OUTCOMES[0],
        1 => OUTCOMES[1],
        150 => OUTCOMES[2],
        196 => OUTCOMES[4],
        190 | 200 => OUTCOMES[5],
        _ => OUTCOMES[3],
    };
    let role = if completion.leaf { "leaf" } else { "parent" };
    let of_action = [("site", site), ("action", action)];
    let of_type = [of_action[0], of_action[1], ("policy_type", completion.policy_type)];
    let by_outcome = [of_action[0], of_action[1], ("outcome", outcome)];
    let full = [&of_type[..], &[("status", &status), ("outcome", outcome), ("role", role)]];
    let mut all = vec![
        (key("nbu_jobs_completed_total", &full.concat()), 1.0),
        (key("nbu_jobs_outcomes_total", &by_outcome), 1.0),
    ];
    if completion.leaf {
        let bytes = completion.kilobytes.max(0) as f64 * 1024.0;
        all.push((key("nbu_jobs_transferred_bytes_total", &of_type), bytes));
        all.push((key("nbu_jobs_files_total", &of_type), completion.files.max(0) as f64));
    }
    all
}
