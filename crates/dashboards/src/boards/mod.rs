//! The dashboards, each for one question that somebody who keeps backups running asks.

mod agent;
mod jobs;
mod lifecycle;
mod overview;
mod protection;
mod sites;
mod storage;
mod tape;

use crate::grafana::{Board, Step};
use crate::query::Selector;

/// All dashboards.
pub fn all() -> Vec<Board> {
    vec![
        overview::board(),
        jobs::board(),
        storage::board(),
        protection::board(),
        tape::board(),
        lifecycle::board(),
        sites::board(),
        agent::board(),
    ]
}

/// The series of a metric that the variables choose.
fn m(name: &'static str) -> Selector {
    Selector::shown(name)
}

/// Grafana's choice of a span that has enough samples.
const SPAN: &str = "$__rate_interval";

/// What the time picker says.
const RANGE: &str = "$__range";

/// More than none is bad.
const NONE_IS_GOOD: [Step; 2] = [(None, "green"), (Some(1.0), "red")];

/// More than none is worth a look.
const NONE_IS_BETTER: [Step; 2] = [(None, "green"), (Some(1.0), "orange")];

/// Shares of successes.
const SUCCESS: [Step; 3] = [(None, "red"), (Some(0.9), "orange"), (Some(0.97), "green")];

/// Shares of space that is used.
const FILLED: [Step; 3] = [(None, "green"), (Some(0.8), "orange"), (Some(0.9), "red")];

/// Days that are left.
const DAYS: [Step; 3] = [(None, "red"), (Some(7.0), "orange"), (Some(30.0), "green")];

/// Seconds since the last good backup.
const AGE: [Step; 3] = [(None, "green"), (Some(93_600.0), "orange"), (Some(172_800.0), "red")];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dashboards_and_panels_are_named_once_and_explained() {
        let boards = all();
        let mut uids: Vec<_> = boards.iter().map(|board| board.uid).collect();
        uids.sort_unstable();
        uids.dedup();
        assert_eq!(uids.len(), 8);
        for board in &boards {
            let mut titles: Vec<_> = board.panels().map(|panel| panel.title).collect();
            let count = titles.len();
            titles.sort_unstable();
            titles.dedup();
            assert_eq!(titles.len(), count, "{}", board.title);
            assert!(count >= 8, "{} has {count} panels", board.title);
            for panel in board.panels() {
                assert!(panel.help.ends_with('.'), "{} / {}", board.title, panel.title);
            }
        }
    }
}
