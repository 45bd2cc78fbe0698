//! Faults: what a server, a proxy before it or a network can do to a client, told as rules.
//!
//! ```
//! use nbu_sim::Fault;
//! use std::time::Duration;
//! let busy = Fault::on("/admin/jobs").status(503).retry_after("3").times(2);
//! let slow = Fault::on("/").latency(Duration::from_secs(1));
//! let late = Fault::on("/admin/jobs").from_page(3).garbage_record();
//! ```

pub(crate) mod apply;
pub(crate) mod parse;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// Body of an error that a fault answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrorBody {
    /// An ErrorResponse, as the API writes it.
    Json,
    /// A page of a proxy.
    Html,
    /// Nothing.
    Empty,
}

/// Effect of a fault.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Action {
    Status { status: u16, retry_after: Option<String>, body: ErrorBody },
    BadFilter,
    Latency(Duration),
    Hang,
    CloseConnection,
    CutBody,
    Html,
    WrongContentType,
    EmptyBody,
    InvalidJson,
    RepeatedCursor,
    EmptyNext,
    EndlessPages,
    GarbageRecord,
    NullAttributes,
    WrongTypes,
    UnknownEnum,
    DuplicateRows,
    Body(String),
    ShortPages(usize),
    WithoutMeta,
}

/// A rule: which requests, how many of them, and what happens to them. The last action that is named holds.
#[derive(Clone, Debug)]
pub struct Fault {
    path: String,
    /// Requests for the path itself are left alone.
    below: bool,
    method: Option<String>,
    /// Text that the filter must contain.
    filter: Option<String>,
    /// Matching requests that pass before it begins.
    skip: u64,
    /// Requests that it strikes; `None` is forever.
    times: Option<u64>,
    from_page: u32,
    pub(crate) action: Action,
}

impl Fault {
    /// A fault on this path (under `/netbackup`, without percent encoding) and those below it; `/` is all of them. Without an action it
    /// is a status of 500. `/admin/jobs` leaves `/admin/jobs-count-requests` alone.
    pub fn on(path: &str) -> Self {
        let action = Action::Status { status: 500, retry_after: None, body: ErrorBody::Json };
        Self {
            path: path.to_owned(),
            below: false,
            method: None,
            filter: None,
            skip: 0,
            times: None,
            from_page: 1,
            action,
        }
    }

    /// A fault on the paths below this one, not on the path itself: on `/storage/disk-pools` it strikes single pools,
    /// and the list is well.
    pub fn below(path: &str) -> Self {
        Self { below: true, ..Self::on(path) }
    }

    /// Only for this method, `GET` or `POST`.
    #[must_use]
    pub fn method(mut self, method: &str) -> Self {
        self.method = Some(method.to_ascii_uppercase());
        self
    }

    /// Only requests whose filter has this text in it.
    #[must_use]
    pub fn filter(mut self, text: &str) -> Self {
        self.filter = Some(text.to_owned());
        self
    }

    /// Only the first `times` requests that it would strike; without it, all.
    #[must_use]
    pub fn times(mut self, times: u64) -> Self {
        self.times = Some(times);
        self
    }

    /// Begins at the nth matching request, counted from 1.
    #[must_use]
    pub fn from_request(mut self, nth: u64) -> Self {
        self.skip = nth.saturating_sub(1);
        self
    }

    /// Only pages of a list from the nth on, counted from 1.
    #[must_use]
    pub fn from_page(mut self, nth: u32) -> Self {
        self.from_page = nth;
        self
    }

    /// Answers this status.
    #[must_use]
    pub fn status(mut self, status: u16) -> Self {
        let (retry_after, body) = match self.action {
            Action::Status { retry_after, body, .. } => (retry_after, body),
            _ => (None, ErrorBody::Json),
        };
        self.action = Action::Status { status, retry_after, body };
        self
    }

    /// With a status: the Retry-After header, whatever text is given (seconds, a date, a mistake).
    #[must_use]
    pub fn retry_after(mut self, value: &str) -> Self {
        if let Action::Status { retry_after, .. } = &mut self.action {
            *retry_after = Some(value.to_owned());
        }
        self
    }

    /// With a status: the kind of body.
    #[must_use]
    pub fn error_body(mut self, kind: ErrorBody) -> Self {
        if let Action::Status { body, .. } = &mut self.action {
            *body = kind;
        }
        self
    }

    /// Answers 400: the server does not take the filter.
    #[must_use]
    pub fn bad_filter(self) -> Self {
        self.does(Action::BadFilter)
    }

    /// Answers rightly, but this much later.
    #[must_use]
    pub fn latency(self, delay: Duration) -> Self {
        self.does(Action::Latency(delay))
    }

    /// Never answers; the connection stays open.
    #[must_use]
    pub fn hang(self) -> Self {
        self.does(Action::Hang)
    }

    /// Closes the connection without an answer.
    #[must_use]
    pub fn close_connection(self) -> Self {
        self.does(Action::CloseConnection)
    }

    /// Sends half of the body that Content-Length promises, then closes.
    #[must_use]
    pub fn cut_body(self) -> Self {
        self.does(Action::CutBody)
    }

    /// 200 with a page of a proxy.
    #[must_use]
    pub fn html(self) -> Self {
        self.does(Action::Html)
    }

    /// The right body as application/octet-stream.
    #[must_use]
    pub fn wrong_content_type(self) -> Self {
        self.does(Action::WrongContentType)
    }

    /// 200 without a body.
    #[must_use]
    pub fn empty_body(self) -> Self {
        self.does(Action::EmptyBody)
    }

    /// 200 with a body that ends in the middle, though its length is right.
    #[must_use]
    pub fn invalid_json(self) -> Self {
        self.does(Action::InvalidJson)
    }

    /// The next page of a list is always the same one.
    #[must_use]
    pub fn repeated_cursor(self) -> Self {
        self.does(Action::RepeatedCursor)
    }

    /// The end of a cursor list is an empty `next` in place of none
    /// (docs/netbackup-api.md#paging-cursor).
    #[must_use]
    pub fn empty_next(self) -> Self {
        self.does(Action::EmptyNext)
    }

    /// A list never ends: after its last page comes its first one, each time under a new cursor.
    #[must_use]
    pub fn endless_pages(self) -> Self {
        self.does(Action::EndlessPages)
    }

    /// The first record of a page is a string.
    #[must_use]
    pub fn garbage_record(self) -> Self {
        self.does(Action::GarbageRecord)
    }

    /// All attributes of the first record of a page are null.
    #[must_use]
    pub fn null_attributes(self) -> Self {
        self.does(Action::NullAttributes)
    }

    /// All attributes of the first record of a page have other types: strings are numbers, the others
    /// objects.
    #[must_use]
    pub fn wrong_types(self) -> Self {
        self.does(Action::WrongTypes)
    }

    /// The enums of the first record of a page have the value `SOMETHING_NEW`.
    #[must_use]
    pub fn unknown_enum(self) -> Self {
        self.does(Action::UnknownEnum)
    }

    /// Each page has its first record twice.
    #[must_use]
    pub fn duplicate_rows(self) -> Self {
        self.does(Action::DuplicateRows)
    }

    /// 200 with this JSON, such as an error's body or a list without its rows.
    #[must_use]
    pub fn json(self, body: &str) -> Self {
        self.does(Action::Body(body.to_owned()))
    }

    /// Pages of a list have this many rows at most, however many were asked for.
    #[must_use]
    pub fn short_pages(self, rows: usize) -> Self {
        self.does(Action::ShortPages(rows))
    }

    /// A list comes without `meta` and `links`: nothing tells whether there is a next page.
    #[must_use]
    pub fn without_meta(self) -> Self {
        self.does(Action::WithoutMeta)
    }

    fn does(mut self, action: Action) -> Self {
        self.action = action;
        self
    }

    fn matches(&self, method: &str, path: &str, filter: &str, page: u32) -> bool {
        let rest = path.strip_prefix(self.path.trim_end_matches('/'));
        rest.is_some_and(|rest| rest.is_empty() && !self.below || rest.starts_with('/'))
            && self.method.as_deref().is_none_or(|wanted| wanted == method)
            && self.filter.as_deref().is_none_or(|wanted| filter.contains(wanted))
            && page >= self.from_page
    }
}

/// The rules in force; clones share them.
#[derive(Clone, Debug, Default)]
pub struct Faults(Arc<Mutex<Vec<(Fault, u64)>>>);

impl Faults {
    /// Adds a rule. Several that match all apply: latencies add up, of those that replace the answer the
    /// first one counts.
    pub fn add(&self, fault: Fault) {
        self.rules().push((fault, 0));
    }

    /// Removes all rules.
    pub fn clear(&self) {
        self.rules().clear();
    }

    /// Returns the number of requests that the rules have struck, summed over the rules in force.
    pub fn struck(&self) -> u64 {
        let rules = self.rules();
        let struck = |seen: u64, fault: &Fault| {
            let seen = seen.saturating_sub(fault.skip);
            fault.times.map_or(seen, |times| seen.min(times))
        };
        rules.iter().map(|(fault, seen)| struck(*seen, fault)).sum()
    }

    /// Returns the actions that strike a request, and counts the request.
    pub(crate) fn strike(&self, method: &str, path: &str, filter: &str, page: u32) -> Vec<Action> {
        let mut actions = Vec::new();
        for (fault, seen) in self.rules().iter_mut() {
            if !fault.matches(method, path, filter, page) {
                continue;
            }
            *seen += 1;
            let nth = *seen;
            let over = fault.times.is_some_and(|times| nth > fault.skip.saturating_add(times));
            if nth > fault.skip && !over {
                actions.push(fault.action.clone());
            }
        }
        actions
    }

    fn rules(&self) -> std::sync::MutexGuard<'_, Vec<(Fault, u64)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fault_rule_strikes_only_requests_it_names() {
        let faults = Faults::default();
        faults.add(Fault::on("/admin").method("get").from_request(2).times(2).hang());
        let strikes =
            |method, path, page| faults.strike(method, path, "state eq 'DONE'", page).len();
        assert_eq!(strikes("GET", "/storage", 1), 0);
        assert_eq!(strikes("POST", "/admin/jobs", 1), 0);
        assert_eq!(strikes("GET", "/administration", 1), 0);
        let struck: Vec<_> = (0..5).map(|_| strikes("GET", "/admin/jobs", 1)).collect();
        assert_eq!(struck, [0, 1, 1, 0, 0]);
        assert_eq!(faults.struck(), 2);
        faults.clear();
        faults.add(Fault::on("/").from_page(3).html());
        assert_eq!((strikes("GET", "/x", 2), strikes("GET", "/x", 3)), (0, 1));
        faults.clear();
        faults.add(Fault::below("/x").hang());
        assert_eq!((strikes("GET", "/x", 1), strikes("GET", "/x/a:b", 1)), (0, 1));
        faults.clear();
        faults.add(Fault::on("/").filter("'DONE'").hang());
        faults.add(Fault::on("/").filter("endTime").hang());
        assert_eq!(strikes("GET", "/x", 1), 1);
    }
}
