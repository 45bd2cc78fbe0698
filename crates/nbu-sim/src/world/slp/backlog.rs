//! Images of the backlog at the start.

use std::collections::HashSet;
use std::sync::Arc;

use fastrand::Rng;

use super::copies::{Script, scripts};
use super::policy::{DAY, HOUR, MINUTE, SLPS, Slp};
use crate::rows::RowCount;
use crate::settings::Settings;
use crate::world::names::Names;

/// Number of images whose copies are not done at the start.
pub(crate) const BACKLOG: RowCount = RowCount {
    name: "slp-images",
    default: 60,
    help: "Images under an SLP whose copies are not done at the start; two thirds of the policies add further ones",
};

/// An image of the backlog at the start.
#[derive(Clone, Debug)]
pub(crate) struct Waiting {
    pub(super) client: u32,
    pub(super) policy: usize,
    pub(super) slp: usize,
    /// World time of its backup, a whole second.
    pub(super) made: i64,
    /// Time that the backup took, ms.
    pub(super) took: i64,
    pub(super) kilobytes: i64,
    pub(super) luck: u64,
}

/// The SLPs of a server, and what it gets from others.
pub(crate) struct SlpWorld {
    pub(crate) slps: Vec<Slp>,
    pub(super) backlog: Vec<Waiting>,
    pub(super) seed: u64,
    /// Name of the server that its images are replicated to.
    pub(crate) target: Option<Arc<str>>,
}

impl SlpWorld {
    pub(crate) fn new(settings: &Settings, names: &Names, now: i64) -> Self {
        let mut rng = Rng::with_seed(settings.seed ^ 0x51_b0);
        let slps: Vec<Slp> = (0..settings.rows.of(&SLPS)).map(Slp::new).collect();
        let count = if slps.is_empty() { 0 } else { settings.rows.of(&BACKLOG) };
        let mut taken = HashSet::new();
        let backlog = (0..count).map(|index| {
            let slp = index % slps.len();
            let (luck, took) = (rng.u64(..), rng.i64(1..90) * MINUTE);
            let scripts = scripts(&slps[slp], 0, took, luck);
            let last = scripts.iter().map(Script::settled).max().unwrap_or(0);
            let client = rng.u32(0..1000);
            let made = now - rng.i64(1_000..last.clamp(HOUR, 5 * DAY));
            let mut made = made - made.rem_euclid(1000);
            while !taken.insert((client, made)) {
                made -= 1000;
            }
            let (policy, kilobytes) = (rng.usize(0..names.policies.len()), rng.i64(1..1 << 32));
            Waiting { client, policy, slp, made, took, kilobytes, luck }
        });
        let backlog = backlog.collect();
        Self { slps, backlog, seed: settings.seed, target: None }
    }

    /// Returns the SLP of the backups of a policy, if it has one.
    pub(super) fn of_policy(&self, policy: usize) -> Option<&Slp> {
        self.slps.get(policy % self.slps.len().max(1)).filter(|_| policy % 3 != 2)
    }
}
