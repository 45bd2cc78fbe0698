//! `state inspect`: the content of the state files, for people and for programs.

use std::fmt::{self, Display, Write as _};
use std::path::Path;
use std::time::{Duration, SystemTime};

use jiff::Timestamp;
use serde::Serialize;

use crate::jobs::{Ledger, RestoreError, Summary};
use crate::state::{self, Header, Loaded, Maintenance, OpenError, StateFile};

#[derive(Debug, Default, Serialize)]
pub(super) struct Report {
    pub(super) file: String,
    bytes: u64,
    /// Absent if the file can be used.
    pub(super) problem: Option<String>,
    pub(super) set_aside: bool,
    pub(super) site: Option<String>,
    pub(super) server: Option<String>,
    /// Totals go on from this file; otherwise another server was polled last for the site.
    in_force: Option<bool>,
    /// Bytes of a last save that was cut.
    cut_bytes: u64,
    #[serde(flatten)]
    content: Option<Content>,
}

#[derive(Debug, Serialize)]
struct Content {
    totals_since: String,
    saved_at: Option<String>,
    read_up_to: String,
    complete_from: String,
    ended_jobs: usize,
    unfinished_jobs: usize,
    completions: u64,
    success: u64,
    partial: u64,
    cancelled: u64,
    failure: u64,
    #[serde(skip_serializing_if = "is_none")]
    missed: u64,
    #[serde(skip_serializing_if = "is_none")]
    nothing_to_do: u64,
}

/// Reports on the journals of the directory, and on its documents.
pub(super) fn reports(directory: &Maintenance) -> Result<Vec<Report>, String> {
    let files = directory.journals().map_err(|error| error.to_string())?;
    let mut reports: Vec<Report> = files.iter().map(|file| Report::on(directory, file)).collect();
    for (file, intact) in directory.documents().map_err(|error| error.to_string())? {
        let problem = (!intact).then(|| "it is corrupt".to_owned());
        reports.push(Report { problem, ..Report::of(&file) });
    }
    Ok(reports)
}

impl Report {
    fn of(file: &StateFile) -> Self {
        let name = file.path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        Self { file: name, bytes: file.size, set_aside: file.aside, ..Self::default() }
    }

    fn on(directory: &Maintenance, file: &StateFile) -> Self {
        let mut report = Self::of(file);
        match read(&file.path) {
            Ok((Loaded { header: Header { site, server }, cut, .. }, summary)) => {
                let last = directory.last_server(&site);
                report.in_force = Some(!file.aside && last.is_none_or(|last| last == server));
                (report.site, report.server, report.cut_bytes) = (Some(site), Some(server), cut);
                report.content = Some(Content::of(&summary));
            }
            Err(error) => {
                report.problem = Some(error.to_string());
                if let Some(Header { site, server }) = state::header(&file.path) {
                    (report.site, report.server) = (Some(site), Some(server));
                }
            }
        }
        report
    }

    /// Returns whether it is about this site; each is about none in particular.
    pub(super) fn is_about(&self, site: Option<&str>) -> bool {
        site.is_none() || self.site.as_deref() == site
    }

    pub(super) fn text(&self) -> String {
        let mut text = String::new();
        let state = match (&self.problem, self.set_aside) {
            (Some(problem), _) => format!("cannot be used: {problem}"),
            (None, true) => "set aside".to_owned(),
            (None, false) => "intact".to_owned(),
        };
        line(&mut text, format_args!("{}: {state}", self.file));
        let mut add = |name: &str, value: &dyn Display| {
            line(&mut text, format_args!("  {name:<16}{value}"));
        };
        for (name, value) in [("site", &self.site), ("server", &self.server)] {
            if let Some(value) = value {
                add(name, &value.escape_debug());
            }
        }
        match self.in_force {
            Some(true) => add("totals", &"continue from this file"),
            Some(false) if !self.set_aside => {
                add(
                    "totals",
                    &"start at 0 if this server is polled again (another server was polled last)",
                );
            }
            _ => {}
        }
        if let Some(content) = &self.content {
            content.lines(&mut add);
        }
        if self.cut_bytes > 0 {
            let cut = format!("{} bytes; re-read from the server", self.cut_bytes);
            add("truncated save", &cut);
        }
        add("size", &format_args!("{} bytes", self.bytes));
        text
    }
}

impl Content {
    fn of(summary: &Summary) -> Self {
        let [success, partial, cancelled, failure, missed, nothing_to_do] = summary.outcomes;
        Self {
            totals_since: system_time(summary.origin),
            saved_at: summary.saved_at.map(system_time),
            read_up_to: time(summary.watermark),
            complete_from: time(summary.horizon),
            ended_jobs: summary.finished_jobs,
            unfinished_jobs: summary.unfinished_jobs,
            completions: summary.outcomes.iter().sum(),
            success,
            partial,
            cancelled,
            failure,
            missed,
            nothing_to_do,
        }
    }

    fn lines(&self, add: &mut impl FnMut(&str, &dyn Display)) {
        add("counting since", &self.totals_since);
        if let Some(saved_at) = &self.saved_at {
            add("saved at", saved_at);
        }
        add("watermark", &self.read_up_to);
        add("complete from", &self.complete_from);
        let jobs = format!("{} ended, {} unfinished", self.ended_jobs, self.unfinished_jobs);
        add("jobs", &jobs);
        let Self { completions, success, partial, cancelled, failure, .. } = self;
        let mut counted = format!(
            "{completions}: {success} success, {partial} partial, {cancelled} cancelled, {failure} failure"
        );
        for (jobs, outcome) in [(self.missed, "missed"), (self.nothing_to_do, "nothing to do")] {
            if jobs > 0 {
                // Writing to a String cannot fail.
                let _ = write!(counted, ", {jobs} {outcome}");
            }
        }
        add("counted", &counted);
    }
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde wants it")]
fn is_none(jobs: &u64) -> bool {
    *jobs == 0
}

pub(super) fn line(text: &mut String, line: fmt::Arguments<'_>) {
    // Writing to a String cannot fail.
    let _ = writeln!(text, "{line}");
}

fn read(path: &Path) -> Result<(Loaded, Summary), OpenError> {
    let mut ledger = Ledger::new(0, Duration::ZERO, SystemTime::now());
    let open_error = |error: RestoreError| match error {
        RestoreError::Newer { .. } => OpenError::Newer(error.to_string()),
        RestoreError::CorruptState => OpenError::Corrupt(error.to_string()),
    };
    let loaded = state::read(path, |frame| ledger.restore(frame).map_err(open_error))?;
    let loaded = loaded.ok_or_else(|| std::io::Error::from(std::io::ErrorKind::NotFound))?;
    ledger.finish_restore().map_err(open_error)?;
    Ok((loaded, ledger.summary()))
}

/// Formats Unix ms by the server's clock; one that no calendar has stays a number.
fn time(ms: i64) -> String {
    Timestamp::from_millisecond(ms).map_or_else(|_| ms.to_string(), |time| time.to_string())
}

fn system_time(at: SystemTime) -> String {
    Timestamp::try_from(at).map_or_else(|_| "unknown".to_owned(), |time| time.to_string())
}
