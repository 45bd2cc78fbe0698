//! `run`: poll and export until a signal says to end.

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::Builder;

use crate::config::ProcessEnvironment;
use crate::log::Log;
use crate::reload::Trigger;
use crate::supervisor::{ReloadError, Signals, Source, Supervisor};

pub(super) fn run(path: PathBuf, log: Log) -> ExitCode {
    block_on(serve(Source::File(path), log, || {}))
}

/// Runs a configuration until a signal says to end. `started` is called once it is in force.
pub(super) async fn serve(source: Source, log: Log, started: impl FnOnce()) -> ExitCode {
    // Before anything else: a signal that comes during the start is not lost.
    let signals = match &source {
        Source::File(_) => Signals::install(),
        Source::Text(_) => Signals::install_at_terminal(),
    };
    let signals = match signals {
        Ok(signals) => signals,
        Err(error) => {
            tracing::error!(%error, "cannot install the signal handlers");
            return ExitCode::FAILURE;
        }
    };
    let environment = Arc::new(ProcessEnvironment);
    let mut supervisor = Supervisor::new(source, environment, Some(log)).with_shutdown(&signals);
    if let Err(error) = supervisor.reload(Trigger::Start).await {
        if matches!(error, ReloadError::Ending) {
            return ExitCode::SUCCESS;
        }
        // Also where the log is filtered, or goes to a file.
        super::output::print_error(&format!("nbu-otel-agent cannot start:\n{error}\n"));
        return if signals.ending().is_cancelled() { ExitCode::SUCCESS } else { ExitCode::FAILURE };
    }
    tracing::info!(version = env!("CARGO_PKG_VERSION"), "nbu-otel-agent started");
    started();
    Box::pin(supervisor.run(signals)).await;
    ExitCode::SUCCESS
}

/// Runs a command that does I/O. Name resolution and other blocking work cannot be cancelled; it is left
/// behind at the end.
pub(super) fn block_on(command: impl Future<Output = ExitCode>) -> ExitCode {
    let runtime = match Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            super::output::print_error(&format!("cannot start the async runtime: {error}\n"));
            return ExitCode::FAILURE;
        }
    };
    let code = runtime.block_on(command);
    runtime.shutdown_timeout(Duration::from_millis(200));
    code
}
