//! `once`: poll every server once, print the exposition.

use std::fmt::Write as _;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use super::run::block_on;
use crate::config::ProcessEnvironment;
use crate::reload::Trigger;
use crate::snapshot::{CollectorState, Snapshot, Store};
use crate::supervisor::{Source, Supervisor};

pub(super) fn run(path: &Path) -> ExitCode {
    block_on(once(path))
}

async fn once(path: &Path) -> ExitCode {
    let source = Source::File(path.to_owned());
    let mut supervisor = Supervisor::new(source, Arc::new(ProcessEnvironment), None).polling_only();
    if let Err(error) = supervisor.reload(Trigger::Start).await {
        super::output::print_error(&format!("{error}\n"));
        return ExitCode::FAILURE;
    }
    let deadline = supervisor.config().map_or(Duration::ZERO, |config| config.polling.deadline());
    let settled = settle(supervisor.store());
    // Each collector ends by its own deadline; a little more lets the last one publish.
    let _ = tokio::time::timeout(deadline + Duration::from_secs(5), settled).await;
    supervisor.renderer().render_off_thread().await;
    let page = supervisor.renderer().scrape(false).chunks.concat();
    let printed = super::output::print(&String::from_utf8_lossy(&page));
    let failed = complaints(&supervisor.store().snapshots());
    supervisor.shutdown().await;
    super::output::print_error(&failed);
    if failed.is_empty() { printed } else { ExitCode::FAILURE }
}

/// Waits until every collector of every site ended one attempt.
async fn settle(store: &Store) {
    let mut changes = store.subscribe();
    while !store.snapshots().iter().all(|snapshot| snapshot.is_settled()) {
        if changes.changed().await.is_err() {
            return;
        }
    }
}

/// Returns a line for each collector that failed. A resource that the release lacks is no failure, nor is one that nobody
/// asked for and the role does not permit.
fn complaints(snapshots: &[Arc<Snapshot>]) -> String {
    let mut text = String::new();
    for snapshot in snapshots {
        for status in &snapshot.collectors {
            let problem = match &status.state {
                CollectorState::Up | CollectorState::Unsupported | CollectorState::LeftOut => {
                    continue;
                }
                CollectorState::Failing(error) => error.as_str(),
                CollectorState::Pending => "did not finish in time",
            };
            // Writing to a String cannot fail.
            let _ = writeln!(text, "{}/{}: {problem}", snapshot.site, status.collector);
        }
    }
    text
}
