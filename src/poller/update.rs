//! An update of a running poller: what stays the same is not touched, and what is counted,
//! remembered or shown is not lost.

use std::sync::Arc;

use tokio::time::Instant;

use super::site::{MIN_KEY_BACKOFF, SitePoller};
use super::slot::CollectorSlot;
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
        self.arrange_slots(&before, at);
        self.recheck_unsupported(at);
        self.drop_stale();
        self.publish();
    }

    /// Runs under way go on over the new connection. Everything is read at once, also what is
    /// cached: another key may see something else.
    async fn reconnect(&mut self, connection: Connection, at: Instant) {
        self.client.replace(connection).await;
        if self.client.key_refused_until().is_none() {
            self.key_backoff = MIN_KEY_BACKOFF;
        }
        for slot in &mut self.slots {
            slot.ignore_failure();
            slot.mark_due();
            slot.unauthorized = false;
        }
        self.request_cycle(at);
    }

    fn reschedule(&mut self, before: &Rules, at: Instant) {
        let (old, new) = (&before.polling, &self.rules.polling);
        if old.deadline() != new.deadline() {
            self.limit.send_replace(new.deadline());
            self.slots.iter_mut().for_each(CollectorSlot::ignore_failure);
        }
        self.slots.iter_mut().for_each(CollectorSlot::keep_until_next_run);
        if old.interval != new.interval {
            self.schedule.reschedule(new.interval, at);
        }
    }

    /// The slots of the collectors that are enabled now: those that were stay, new ones start at once,
    /// the others vanish with all that they showed.
    fn arrange_slots(&mut self, before: &Rules, at: Instant) {
        let mut previous = std::mem::take(&mut self.slots);
        let (table, enabled) = (self.table, Arc::clone(&self.rules.collectors));
        for row in table.iter().filter(|row| (row.enabled)(&enabled)) {
            let place = previous.iter().position(|slot| slot.row.name == row.name);
            let slot = if let Some(place) = place {
                let mut slot = previous.swap_remove(place);
                if !(row.same)(&before.settings(), &self.rules.settings()) {
                    slot.reconfigure(&self.rules);
                    self.request_cycle(at);
                }
                slot
            } else {
                self.request_cycle(at);
                self.open(row)
            };
            self.slots.push(slot);
        }
        previous.into_iter().for_each(CollectorSlot::close);
    }

    /// Somebody changed something about this site: a look whether the server has by now what it lacked.
    fn recheck_unsupported(&mut self, at: Instant) {
        let missing = self.slots.iter_mut().filter(|slot| slot.is_unsupported());
        if missing.map(CollectorSlot::mark_due).count() > 0 {
            self.request_cycle(at);
        }
    }

    /// A cycle at `at`, if none comes before.
    fn request_cycle(&mut self, at: Instant) {
        self.requested = true;
        self.schedule.run_no_later_than(at);
    }
}
