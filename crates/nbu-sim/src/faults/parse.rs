//! Faults and permissions as the command line writes them: `/admin/jobs=status:503`, `storage`.

use std::str::FromStr;
use std::time::Duration;

use super::Fault;
use crate::shared::Permissions;

/// The kinds of `PATH=KIND`, for help and errors.
pub const FAULT_KINDS: &str = "hang, close, cut, html, empty, invalid-json, wrong-content-type, \
                               repeated-cursor, endless-pages, garbage-record, unknown-enum, \
                               duplicate-rows, latency:MS, status:CODE";

/// `PATH=KIND`, the path being one below `/netbackup`; `/` is all of them.
impl FromStr for Fault {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        // No kind has an equals sign in it.
        let Some((path, kind)) = text.rsplit_once('=') else {
            return Err(format!("no PATH=KIND, such as /admin/jobs=hang; kinds: {FAULT_KINDS}"));
        };
        if !path.starts_with('/') || path.contains(['?', '#']) {
            return Err(format!(
                "{path:?} is no path below /netbackup, such as /admin/jobs, or / for all"
            ));
        }
        if path == "/netbackup" || path.starts_with("/netbackup/") {
            return Err(format!("{path:?} is written without /netbackup, such as /admin/jobs"));
        }
        let fault = Self::on(path);
        let (name, number) = match kind.split_once(':') {
            Some((name, number)) => (name, Some(number)),
            None => (kind, None),
        };
        match (name, number) {
            ("latency", number) => Ok(fault.latency(Duration::from_millis(read(
                number,
                0..=u64::MAX,
                "latency:MS takes milliseconds, such as latency:1500",
            )?))),
            ("status", number) => {
                let wrong = "status:CODE takes a code from 200 to 599, such as status:503";
                let code = read(number, 200..=599, wrong)?;
                Ok(fault.status(u16::try_from(code).map_err(|_| wrong)?))
            }
            ("hang", None) => Ok(fault.hang()),
            ("close", None) => Ok(fault.close_connection()),
            ("cut", None) => Ok(fault.cut_body()),
            ("html", None) => Ok(fault.html()),
            ("empty", None) => Ok(fault.empty_body()),
            ("invalid-json", None) => Ok(fault.invalid_json()),
            ("wrong-content-type", None) => Ok(fault.wrong_content_type()),
            ("repeated-cursor", None) => Ok(fault.repeated_cursor()),
            ("endless-pages", None) => Ok(fault.endless_pages()),
            ("garbage-record", None) => Ok(fault.garbage_record()),
            ("unknown-enum", None) => Ok(fault.unknown_enum()),
            ("duplicate-rows", None) => Ok(fault.duplicate_rows()),
            _ => Err(unknown(kind)),
        }
    }
}

fn unknown(kind: &str) -> String {
    format!("no kind {kind:?}: {FAULT_KINDS}")
}

fn read(
    text: Option<&str>,
    range: std::ops::RangeInclusive<u64>,
    wrong: &str,
) -> Result<u64, String> {
    let number = text.and_then(|text| text.parse().ok());
    number.filter(|number| range.contains(number)).ok_or_else(|| wrong.to_owned())
}

/// A right that a key can be without; [`Denial::from_str`] reads `jobs`, `job-counts`, `storage` or `others`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Denial {
    /// [`Permissions::jobs`].
    Jobs,
    /// [`Permissions::job_counts`].
    JobCounts,
    /// [`Permissions::storage`].
    Storage,
    /// [`Permissions::others`].
    Others,
}

impl Denial {
    /// `permissions` without this one.
    #[must_use]
    pub fn from(self, permissions: Permissions) -> Permissions {
        match self {
            Self::Jobs => Permissions { jobs: false, ..permissions },
            Self::JobCounts => Permissions { job_counts: false, ..permissions },
            Self::Storage => Permissions { storage: false, ..permissions },
            Self::Others => Permissions { others: false, ..permissions },
        }
    }
}

impl FromStr for Denial {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "jobs" => Ok(Self::Jobs),
            "job-counts" => Ok(Self::JobCounts),
            "storage" => Ok(Self::Storage),
            "others" => Ok(Self::Others),
            _ => Err(format!("no permission {text:?}: jobs, job-counts, storage or others")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Action, ErrorBody};
    use super::*;

    fn action(kind: &str) -> Action {
        format!("/admin/jobs={kind}").parse::<Fault>().unwrap().action
    }

    fn problem(text: &str) -> String {
        text.parse::<Fault>().unwrap_err()
    }

    #[test]
    fn listed_fault_kinds_are_parsed_as_themselves() {
        let status = Action::Status { status: 503, retry_after: None, body: ErrorBody::Json };
        let expected = [
            ("hang", Action::Hang),
            ("close", Action::CloseConnection),
            ("cut", Action::CutBody),
            ("html", Action::Html),
            ("empty", Action::EmptyBody),
            ("invalid-json", Action::InvalidJson),
            ("wrong-content-type", Action::WrongContentType),
            ("repeated-cursor", Action::RepeatedCursor),
            ("endless-pages", Action::EndlessPages),
            ("garbage-record", Action::GarbageRecord),
            ("unknown-enum", Action::UnknownEnum),
            ("duplicate-rows", Action::DuplicateRows),
            ("latency:1500", Action::Latency(Duration::from_millis(1500))),
            ("status:503", status),
        ];
        for (kind, expected) in &expected {
            assert_eq!(action(kind), *expected, "{kind}");
        }
        let name = |kind: &str| kind.split(':').next().map(str::to_owned);
        let listed: Vec<_> = FAULT_KINDS.split(", ").map(name).collect();
        let tested: Vec<_> = expected.iter().map(|(kind, _)| name(kind)).collect();
        assert_eq!(listed, tested);
    }

    #[test]
    fn path_selects_requests_to_strike() {
        let jobs: Fault = "/admin/jobs=hang".parse().unwrap();
        assert!(jobs.matches("GET", "/admin/jobs", "", 1));
        assert!(!jobs.matches("GET", "/storage/storage-units", "", 1));
        let all: Fault = "/=hang".parse().unwrap();
        assert!(all.matches("GET", "/admin/jobs", "", 1) && all.matches("GET", "/ping", "", 1));
    }

    #[test]
    fn invalid_rule_is_reported_with_the_valid_form() {
        for kind in ["", "Hang", "hangs", "hang:3", "cut ", "status503"] {
            let said = problem(&format!("/admin/jobs={kind}"));
            assert!(said.contains(&format!("{kind:?}")), "{said}");
            assert!(said.contains(FAULT_KINDS), "{said}");
        }
        for text in ["", "/admin/jobs", "hang"] {
            assert!(problem(text).contains(FAULT_KINDS), "{}", problem(text));
        }
        for path in ["", "admin/jobs", "/admin/jobs?x=1"] {
            assert!(problem(&format!("{path}=hang")).contains("no path"), "{path}");
        }
        assert!(problem("/netbackup/admin/jobs=hang").contains("without /netbackup"));
        for kind in ["status", "status:", "status:abc", "status:99", "status:600", "status:101"] {
            assert!(problem(&format!("/={kind}")).contains("from 200 to 599"), "{kind}");
        }
        for kind in ["latency", "latency:", "latency:-1", "latency:1s"] {
            assert!(problem(&format!("/={kind}")).contains("milliseconds"), "{kind}");
        }
    }

    #[test]
    fn denied_resource_is_hidden_and_others_stay() {
        let denied = |names: &[&str]| {
            let deny = |permissions, name: &&str| name.parse::<Denial>().unwrap().from(permissions);
            names.iter().fold(Permissions::ALL, deny)
        };
        assert_eq!(denied(&["jobs"]), Permissions { jobs: false, ..Permissions::ALL });
        assert_eq!(denied(&["job-counts"]), Permissions { job_counts: false, ..Permissions::ALL });
        assert_eq!(denied(&["storage"]), Permissions { storage: false, ..Permissions::ALL });
        let all = ["jobs", "storage", "job-counts", "others", "jobs"];
        assert_eq!(denied(&all), Permissions::NONE);
        let said = "job".parse::<Denial>().unwrap_err();
        assert!(said.contains("jobs, job-counts, storage or others"), "{said}");
    }
}
