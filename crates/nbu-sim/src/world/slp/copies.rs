//! Scripts of copies: everything that will ever happen to one.

use fastrand::Rng;

use super::policy::{DAY, MINUTE, Operation, Slp};

/// World time of what never happens.
pub(crate) const NEVER: i64 = i64::MAX / 4;

/// End of the work on a copy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ending {
    Complete,
    Cancelled,
    /// It cannot be processed, and stays so.
    Stuck,
    ImportFailed,
}

/// Script of a copy. Times are world time in milliseconds.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Script {
    pub(crate) kind: &'static str,
    /// The moment from which the image has it.
    planned: i64,
    started: i64,
    done: i64,
    ending: Ending,
    /// Retries in the second half of the work.
    retries: i64,
    /// State while it waits.
    waits: &'static str,
}

impl Script {
    /// Makes the script of an import.
    pub(crate) fn import(arrived: i64, started: i64, done: i64, ending: Ending) -> Self {
        let waits = "IMPORT_PENDING";
        Self { kind: "IMPORT", planned: arrived, started, done, ending, retries: 0, waits }
    }

    /// The state at `at`; `None` before it exists.
    pub(crate) fn state(&self, at: i64) -> Option<&'static str> {
        Some(match at {
            _ if at < self.planned => return None,
            _ if at < self.started => self.waits,
            _ if at < self.done => "IN_PROCESS",
            _ => match self.ending {
                Ending::Complete => "COPYCOMPLETE",
                Ending::Cancelled => "CANCELLED",
                Ending::Stuck => "CANT_PROCESS",
                Ending::ImportFailed => "IMPORT_FAILED",
            },
        })
    }

    /// The moment at which it was complete, if it is.
    pub(crate) fn completed(&self, at: i64) -> Option<i64> {
        (self.ending == Ending::Complete && self.done <= at).then_some(self.done)
    }

    /// retryCount.
    pub(crate) fn retries(&self, at: i64) -> i64 {
        let half = self.started.midpoint(self.done);
        if self.retries > 0 && at >= half { self.retries } else { 0 }
    }

    /// The moment from which the image has to wait for it no more.
    pub(crate) fn settled(&self) -> i64 {
        match self.ending {
            Ending::Complete | Ending::Cancelled => self.done,
            Ending::Stuck | Ending::ImportFailed => NEVER,
        }
    }

    /// Returns true if it is there from `at` on and will be worked on no more.
    pub(crate) fn is_settled(&self, at: i64) -> bool {
        self.settled() <= at
    }
}

/// Scripts of the copies of an image whose backup ran from `made` to `backed_up`.
pub(crate) fn scripts(slp: &Slp, made: i64, backed_up: i64, luck: u64) -> Vec<Script> {
    let mut rng = Rng::with_seed(luck);
    let mut operations = slp.operations.iter();
    let first = operations.next().map(|operation| Script {
        kind: operation.kind,
        planned: made,
        started: made,
        done: backed_up,
        ending: Ending::Complete,
        retries: 0,
        waits: "NOT_STARTED",
    });
    let planned = backed_up + rng.i64(5 * MINUTE..10 * MINUTE);
    let later = operations.map(|operation| script(slp, *operation, made, planned, &mut rng));
    first.into_iter().chain(later).collect()
}

fn script(slp: &Slp, operation: Operation, made: i64, planned: i64, rng: &mut Rng) -> Script {
    // Drawn in any case, so that the fate of the next one does not depend on it.
    let wait = rng.i64(slp.lag / 4..slp.lag * 2);
    let (work, fate, retries) = (rng.i64(5..60) * MINUTE, rng.u8(0..32), rng.i64(1..5));
    let script = Script {
        kind: operation.kind,
        planned,
        started: planned + wait,
        done: planned + wait + work,
        ending: match fate {
            0 => Ending::Stuck,
            1 => Ending::Cancelled,
            _ => Ending::Complete,
        },
        retries: if (2..6).contains(&fate) { retries } else { 0 },
        waits: "NOT_STARTED",
    };
    if !slp.active || operation.suspended {
        return Script { started: NEVER, done: NEVER, waits: "NOT_STARTED|INACTIVE", ..script };
    }
    if operation.deferred {
        let started = made + 10 * DAY;
        return Script { started, done: started + work, waits: "DEFERRED", ..script };
    }
    script
}
