//! The dashboards, each for one question that somebody who keeps backups running asks.

mod agent;
mod common;
mod jobs;
mod lifecycle;
mod overview;
mod protection;
mod sites;
mod slp;
mod storage;
mod tape;

use crate::grafana::Board;

/// Returns all dashboards.
pub fn all() -> Vec<Board> {
    vec![
        overview::board(),
        jobs::board(),
        storage::board(),
        protection::board(),
        tape::board(),
        slp::board(),
        lifecycle::board(),
        sites::board(),
        agent::board(),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dashboards_and_panels_are_named_once_and_explained() {
        let boards = all();
        let mut uids: Vec<_> = boards.iter().map(|board| board.uid).collect();
        uids.sort_unstable();
        uids.dedup();
        assert_eq!(uids.len(), 9);
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
