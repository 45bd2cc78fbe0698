//! Setup of the process: panics go to the log, and the limit of open files is raised.

use std::backtrace::{Backtrace, BacktraceStatus};
use std::panic::PanicHookInfo;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::net::text::one_line;

/// Open files that are enough for any number of sites.
const MAX_OPEN_FILES: u64 = 1 << 20;

/// Longest message of a panic that is logged.
const MAX_MESSAGE: usize = 1_024;

/// Sends panics to the log: each once, with its place, on any thread. The task or request that
/// panicked ends; its owner decides whether to restart it.
pub fn log_panics() {
    std::panic::set_hook(Box::new(log_panic));
}

fn log_panic(info: &PanicHookInfo<'_>) {
    let place = info.location().map(ToString::to_string);
    let payload = info.payload();
    let message = payload.downcast_ref::<&str>().copied();
    let message = message.or_else(|| payload.downcast_ref::<String>().map(String::as_str));
    let message = one_line(message.unwrap_or("no message"), MAX_MESSAGE);
    let thread = std::thread::current();
    let thread = thread.name().unwrap_or("unnamed");
    // Only where RUST_BACKTRACE asks for it.
    let backtrace = Backtrace::capture();
    let backtrace =
        (backtrace.status() == BacktraceStatus::Captured).then(|| backtrace.to_string());
    tracing::error!(
        place = place.as_deref(),
        thread,
        backtrace,
        "panic: {message}; this is a bug in the agent, please report it"
    );
}

/// Raises the soft limit of open files to the hard limit. A login gives 1,024, which many sites and
/// scrapers exceed.
pub(crate) fn raise_file_limit() {
    let before = getrlimit(Resource::Nofile);
    let wanted = before.maximum.unwrap_or(MAX_OPEN_FILES).min(MAX_OPEN_FILES);
    let Some(soft) = before.current.filter(|soft| *soft < wanted) else { return };
    let raised = Rlimit { current: Some(wanted), maximum: before.maximum };
    match setrlimit(Resource::Nofile, raised) {
        Ok(()) => tracing::debug!(from = soft, to = wanted, "raised the limit of open files"),
        Err(error) => tracing::warn!(
            %error,
            soft,
            hard = wanted,
            "cannot raise the limit of open files; set it with ulimit -n or LimitNOFILE"
        ),
    }
}

/// Returns how many files and sockets the process may have open.
pub(crate) fn file_limit() -> usize {
    let limit = getrlimit(Resource::Nofile).current.unwrap_or(MAX_OPEN_FILES);
    usize::try_from(limit).unwrap_or(usize::MAX)
}
