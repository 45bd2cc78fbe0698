//! Series that differ in their action alone. Actions can be renamed (`actionNames`): then series go and
//! others come with the same totals, which the receiver was told already.

use serde::{Deserialize, Serialize};

use super::point::Total;

/// State of a series that the receiver has acknowledged.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Acknowledged {
    /// Start time of the total: another one means that it began anew.
    pub(super) origin: u64,
    /// End of the last interval.
    pub(super) time: u64,
    pub(super) total: Total,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Member {
    /// Empty where the series has no action.
    pub(super) action: String,
    pub(super) acknowledged: Acknowledged,
}

/// A series of an export.
#[derive(Debug)]
pub(super) struct Present {
    pub(super) action: String,
    pub(super) origin: u64,
    pub(super) total: Total,
}

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Group(pub(super) Vec<Member>);

impl Group {
    pub(super) fn get(&self, action: &str) -> Option<&Acknowledged> {
        let found = self.0.iter().find(|member| member.action == action);
        found.map(|member| &member.acknowledged)
    }

    pub(super) fn set(&mut self, action: &str, acknowledged: Acknowledged) {
        match self.0.iter_mut().find(|member| member.action == action) {
            Some(member) => member.acknowledged = acknowledged,
            None => self.0.push(Member { action: action.to_owned(), acknowledged }),
        }
    }

    /// Moves what was acknowledged to where it is shown now. What the group has in all stays the same, so
    /// that nothing is told twice, or not at all, whatever becomes of names.
    pub(super) fn reconcile(&mut self, present: &[Present]) {
        let Some(origin) = present.first().map(|series| series.origin) else { return };
        if present.iter().any(|series| series.origin != origin) {
            return;
        }
        let is_present =
            |member: &Member| present.iter().any(|series| series.action == member.action);
        let (known, other): (Vec<_>, Vec<_>) = std::mem::take(&mut self.0)
            .into_iter()
            .partition(|member| member.acknowledged.origin == origin);
        let (mut here, gone): (Vec<_>, Vec<_>) = known.into_iter().partition(is_present);
        let mut kept = Vec::new();
        for member in gone {
            if !hand_over(&mut here, present, &member) {
                // It may come back: one that was cut by a limit, say.
                kept.push(member);
            }
        }
        spread_excess(&mut here, present);
        self.0 = here;
        self.0.extend(kept);
        self.0.extend(other);
    }
}

/// Gives a series that is gone to those that have grown by as much together, new ones first, or does nothing.
fn hand_over(here: &mut Vec<Member>, present: &[Present], gone: &Member) -> bool {
    let Acknowledged { time, total, .. } = &gone.acknowledged;
    if total.is_zero() {
        return false;
    }
    let mut after = here.clone();
    let is_new = |series: &&Present| !here.iter().any(|member| member.action == series.action);
    let (new, old): (Vec<_>, Vec<_>) = present.iter().partition(is_new);
    let left = spread(&mut after, new.into_iter().chain(old), total.clone(), *time);
    let all = left.is_zero();
    if all {
        *here = after;
    }
    all
}

/// Gives what series have less than was acknowledged to those with more: names that were one, or swapped.
fn spread_excess(here: &mut Vec<Member>, present: &[Present]) {
    for fallen in present {
        let Some(place) = here.iter().position(|member| member.action == fallen.action) else {
            continue;
        };
        let Acknowledged { time, total, .. } = here[place].acknowledged.clone();
        if fallen.total.covers(&total) || !fallen.total.fits(&total) {
            continue;
        }
        let excess = total.minus(&fallen.total);
        let others = present.iter().filter(|series| series.action != fallen.action);
        let left = spread(here, others, excess.clone(), time);
        here[place].acknowledged.total = total.minus(&excess.minus(&left));
    }
}

/// Gives of `amount` to each of the series what it has more than was acknowledged, and returns what is left.
fn spread<'a>(
    here: &mut Vec<Member>,
    takers: impl Iterator<Item = &'a Present>,
    mut amount: Total,
    time: u64,
) -> Total {
    for taker in takers {
        if !taker.total.fits(&amount) {
            continue;
        }
        let known = here.iter_mut().find(|member| member.action == taker.action);
        let untold = match &known {
            Some(member) => taker.total.minus(&member.acknowledged.total),
            None => taker.total.clone(),
        };
        let taken = amount.common(&untold);
        if taken.is_zero() {
            continue;
        }
        amount = amount.minus(&taken);
        if let Some(member) = known {
            member.acknowledged.total = member.acknowledged.total.plus(&taken);
        } else {
            let acknowledged = Acknowledged { origin: taker.origin, time, total: taken };
            here.push(Member { action: taker.action.clone(), acknowledged });
        }
    }
    amount
}
