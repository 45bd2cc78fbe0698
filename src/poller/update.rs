//! An update of a running poller: what stays the same is not touched, and what is counted,
//! remembered or shown is not lost.

use std::sync::Arc;

use tokio::time::Instant;

use super::site::{SitePoller, LEAST_KEY_BACKOFF};
use super::slot::Lane;
use super::{Rules, Update};
use crate::netbackup::Connection;

impl SitePoller {
    /// Puts an update in force and publishes.
    pub(super) async fn apply(&mut self, update: Update) {
        let at = Instant::now() + update.delay;
        let before = std::mem::replace(&mut self.rules, update.rules);
        if let Some(connection) = update.connection {
            self.reconnect(connection, at).await;
        }
        if before.polling != self.rules.polling {
            self.reschedule(&before, at);
        }
        self.arrange_lanes(&before, at);
        self.ask_for_the_missing(at);
        self.drop_stale();
        self.publish();
    }

    /// Runs under way go on over the new connection. Everything is asked for at once, also what is
    /// cached: another key may see something else.
    async fn reconnect(&mut self, connection: Connection, at: Instant) {
        self.client.replace(connection).await;
        if self.client.key_refused_until().is_none() {
            self.key_backoff = LEAST_KEY_BACKOFF;
        }
        for lane in &mut self.lanes {
            lane.excuse();
            lane.ask_again();
            lane.refused = false;
        }
        self.ask(at);
    }

    fn reschedule(&mut self, before: &Rules, at: Instant) {
        let (old, new) = (&before.polling, &self.rules.polling);
        if old.deadline() != new.deadline() {
            self.limit.send_replace(new.deadline());
            self.lanes.iter_mut().for_each(Lane::excuse);
        }
        self.lanes.iter_mut().for_each(Lane::spare);
        if old.interval != new.interval {
            self.schedule.replan(new.interval, at);
        }
    }

    /// The lanes of the collectors that are enabled now: those that were stay, new ones start at once,
    /// the others vanish with all that they showed.
    fn arrange_lanes(&mut self, before: &Rules, at: Instant) {
        let mut before_lanes = std::mem::take(&mut self.lanes);
        let (table, enabled) = (self.table, Arc::clone(&self.rules.collectors));
        for row in table.iter().filter(|row| (row.enabled)(&enabled)) {
            let place = before_lanes.iter().position(|lane| lane.row.name == row.name);
            let lane = if let Some(place) = place {
                let mut lane = before_lanes.swap_remove(place);
                if !(row.same)(&before.settings(), &self.rules.settings()) {
                    lane.reconfigure(&self.rules);
                    self.ask(at);
                }
                lane
            } else {
                self.ask(at);
                self.open(row)
            };
            self.lanes.push(lane);
        }
        before_lanes.into_iter().for_each(Lane::close);
    }

    /// Somebody changed something about this site: a look whether the server has by now what it lacked.
    fn ask_for_the_missing(&mut self, at: Instant) {
        let missing = self.lanes.iter_mut().filter(|lane| lane.is_unsupported());
        if missing.map(Lane::ask_again).count() > 0 {
            self.ask(at);
        }
    }

    /// A cycle at `at`, if none comes before.
    fn ask(&mut self, at: Instant) {
        self.asked = true;
        self.schedule.hasten(at);
    }
}
