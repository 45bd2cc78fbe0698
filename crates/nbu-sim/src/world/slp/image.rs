//! An image under an SLP at an instant.

use std::sync::Arc;

use super::copies::Script;
use super::policy::{DAY, HOUR};

/// A copy at an instant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SlpCopy {
    /// copyType.
    pub(crate) kind: &'static str,
    pub(crate) number: usize,
    /// copyState.
    pub(crate) state: &'static str,
    pub(crate) retries: i64,
    /// World time at which it was complete, if it is.
    pub(crate) completed: Option<i64>,
}

/// An image at an instant.
#[derive(Clone, Debug)]
pub(crate) struct SlpImage {
    /// Distinguishes it from the others for as long as the world is.
    pub(crate) id: u32,
    pub(crate) backup_id: String,
    pub(crate) client: Arc<str>,
    /// Index of the policy.
    pub(crate) policy: usize,
    pub(crate) slp: Arc<str>,
    /// World time of its backup.
    pub(crate) made: i64,
    /// backupTime.
    pub(crate) made_stamp: i64,
    /// expirationTime; `None` for never.
    pub(crate) expires: Option<i64>,
    pub(crate) kilobytes: i64,
    /// The catalogue has it.
    pub(crate) cataloged: bool,
    /// slpImageState.
    pub(crate) state: &'static str,
    /// In the order of the operations; those that exist.
    pub(crate) copies: Vec<SlpCopy>,
    /// Name of the server that made it, of a replica.
    pub(crate) origin: Option<Arc<str>>,
    /// World time at which a replica was imported.
    pub(crate) imported: Option<i64>,
    pub(crate) luck: u64,
}

impl SlpImage {
    /// Makes the image at `at`; `made` is in world time and as stamped. What is its own of the other fields is left to the caller.
    #[allow(clippy::too_many_arguments, reason = "the parts that all images have in common")]
    pub(super) fn new(
        id: u32,
        slp: &Arc<str>,
        client: Arc<str>,
        (made, made_stamp): (i64, i64),
        luck: u64,
        scripts: &[Script],
        at: i64,
    ) -> Self {
        let copies = scripts.iter().enumerate().filter_map(|(index, script)| {
            let (kind, number) = (script.kind, index + 1);
            let (retries, completed) = (script.retries(at), script.completed(at));
            script.state(at).map(|state| SlpCopy { kind, number, state, retries, completed })
        });
        Self {
            id,
            backup_id: format!("{client}_{}", made_stamp / 1000),
            client,
            policy: 0,
            slp: Arc::clone(slp),
            made,
            made_stamp,
            expires: match luck % 16 {
                0 => None,
                1 => Some(made_stamp + 12 * HOUR),
                _ => Some(made_stamp + 30 * DAY),
            },
            kilobytes: 0,
            cataloged: false,
            state: state(scripts, at),
            copies: copies.collect(),
            origin: None,
            imported: None,
            luck,
        }
    }

    /// isStorageLifecycleInactive.
    pub(crate) fn is_inactive(&self) -> bool {
        self.state.ends_with("|INACTIVE")
    }
}

/// slpImageState.
fn state(scripts: &[Script], at: i64) -> &'static str {
    let left = || scripts.iter().filter(|script| !script.is_settled(at));
    if left().next().is_none() {
        return "COMPLETE";
    }
    let begun = scripts.iter().skip(1).filter_map(|script| script.state(at));
    let begun = begun.into_iter().any(|state| !state.starts_with("NOT_STARTED"));
    let holds = |script: &Script| script.state(at).is_some_and(|state| state.ends_with("INACTIVE"));
    match (left().all(holds), begun) {
        (true, true) => "IN_PROCESS|INACTIVE",
        (true, false) => "NOT_STARTED|INACTIVE",
        (false, true) => "IN_PROCESS",
        (false, false) => "NOT_STARTED",
    }
}
