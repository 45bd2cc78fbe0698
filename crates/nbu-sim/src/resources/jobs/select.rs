//! Which jobs can match a filter at all, and the sorted walks over the world's indices.

use super::fields::{Field, Filter};
use crate::filter::{Op, Value};
use crate::world::{FIRST_JOB_ID, Index, World};

/// A place in a sorted list: the key, then the index of the job. Ranges are from one place up to, and
/// without, another.
pub(crate) type Place = (i64, u64);

/// The key of a job's visible row.
type KeyOf = fn(&World, u32) -> Option<i64>;

/// A sort that the world keeps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Order {
    JobId,
    Start,
    Update,
    End,
}

/// An inclusive range of a key.
type Range = (i64, i64);

const EVERYTHING: Range = (i64::MIN, i64::MAX);

/// Ranges to which a filter narrows the sorted keys.
pub(crate) struct Bounds {
    id: Range,
    start: Range,
    update: Range,
    end: Range,
    /// Only jobs that are not DONE match.
    live: bool,
}

impl Bounds {
    pub(crate) fn of(filter: Option<&Filter>) -> Self {
        let mut bounds = Self {
            id: EVERYTHING,
            start: EVERYTHING,
            update: EVERYTHING,
            end: EVERYTHING,
            live: false,
        };
        if let Some(filter) = filter {
            filter.conjuncts(&mut |field, op, wanted| bounds.narrow(field, op, wanted));
        }
        bounds
    }

    fn narrow(&mut self, field: &Field, op: Op, wanted: &Value<'_>) {
        if let ("state", Value::Text(state)) = (field.name, wanted) {
            self.live |= (op == Op::Eq) != (state == "DONE");
        }
        let range = match field.name {
            "jobId" => &mut self.id,
            "startTime" => &mut self.start,
            "lastUpdateTime" => &mut self.update,
            "endTime" => &mut self.end,
            _ => return,
        };
        let Value::Integer(key) = *wanted else { return };
        match op {
            Op::Eq => *range = (range.0.max(key), range.1.min(key)),
            Op::Gt => range.0 = range.0.max(key.saturating_add(1)),
            Op::Ge => range.0 = range.0.max(key),
            Op::Lt => range.1 = range.1.min(key.saturating_sub(1)),
            Op::Le => range.1 = range.1.min(key),
            _ => {}
        }
    }

    fn range(&self, order: Order) -> Range {
        match order {
            Order::JobId => self.id,
            Order::Start => self.start,
            Order::Update => self.update,
            Order::End => self.end,
        }
    }

    /// The range of an order as places.
    pub(crate) fn places(&self, order: Order) -> (Place, Place) {
        let (low, high) = self.range(order);
        ((low, 0), (high.saturating_add(1), 0))
    }

    /// About how many jobs the range of an order holds.
    pub(crate) fn count(&self, world: &World, order: Order) -> usize {
        let (low, high) = self.places(order);
        match order {
            Order::JobId | Order::Start => order.span(world, low, high).len(),
            Order::Update => slice(&world.by_update, low, high).len() + world.live.len(),
            Order::End => slice(&world.by_end, low, high).len() + world.live.len(),
        }
    }
}

/// The jobs that a scan looks at.
pub(crate) enum Candidates {
    Live,
    Order(Order, Place, Place),
}

impl Candidates {
    /// The smallest set that has every match.
    pub(crate) fn choose(world: &World, bounds: &Bounds) -> Self {
        if bounds.live {
            return Self::Live;
        }
        let orders = [Order::JobId, Order::Start, Order::Update, Order::End];
        let kept =
            orders.into_iter().filter(|order| *order != Order::Start || world.start_is_sorted());
        let order = kept.min_by_key(|order| bounds.count(world, *order)).unwrap_or(Order::JobId);
        let (low, high) = bounds.places(order);
        Self::Order(order, low, high)
    }

    pub(crate) fn count(&self, world: &World) -> usize {
        match *self {
            Self::Live => world.live.len(),
            Self::Order(Order::Update, low, high) => {
                slice(&world.by_update, low, high).len() + world.live.len()
            }
            Self::Order(Order::End, low, high) => {
                slice(&world.by_end, low, high).len() + world.live.len()
            }
            Self::Order(order, low, high) => order.span(world, low, high).len(),
        }
    }

    pub(crate) fn iter<'w>(&self, world: &'w World) -> Box<dyn Iterator<Item = u32> + 'w> {
        match *self {
            Self::Live => Box::new(world.live.iter().copied()),
            Self::Order(order, low, high) => order.walk(world, low, high, false),
        }
    }
}

impl Order {
    /// The order of a sort, where the world keeps it.
    pub(crate) fn of(world: &World, sort: &[(&'static Field, bool)]) -> Option<Self> {
        let [(field, _)] = sort else { return None };
        match field.name {
            "jobId" => Some(Self::JobId),
            "startTime" => world.start_is_sorted().then_some(Self::Start),
            "lastUpdateTime" => Some(Self::Update),
            "endTime" => Some(Self::End),
            _ => None,
        }
    }

    /// Indices of the jobs in a range of jobId or startTime; what is purged at the front is left out.
    fn span(self, world: &World, low: Place, high: Place) -> std::ops::Range<usize> {
        let place = |at: Place| match self {
            Self::JobId => {
                let jobs = world.jobs.len();
                let id = |key: i64| usize::try_from(key.saturating_sub(FIRST_JOB_ID)).unwrap_or(0);
                // A place with an index is the row itself, or the one after it.
                let index = usize::try_from(at.1).unwrap_or(usize::MAX);
                id(at.0).max(index).min(jobs)
            }
            _ => world.jobs.partition_point(|job| {
                let key = world.start_stamp(job);
                // All jobs of one second are told apart by their index, which `slot` looks at.
                key < at.0
            }),
        };
        let (mut from, mut to) = (place(low), place(high));
        if self == Self::Start {
            from = from.max(slot(low, from, world.jobs.len()));
            to = to.max(slot(high, to, world.jobs.len()));
        }
        let from = from.max(world.first_kept);
        from..to.max(from)
    }

    /// The jobs between two places, in the order or against it.
    pub(crate) fn walk<'w>(
        self,
        world: &'w World,
        low: Place,
        high: Place,
        backwards: bool,
    ) -> Box<dyn Iterator<Item = u32> + 'w> {
        let (settled, key): (&Index, KeyOf) = match self {
            Self::JobId | Self::Start => {
                let span = self.span(world, low, high);
                let span = narrow(span.start)..narrow(span.end);
                return if backwards { Box::new(span.rev()) } else { Box::new(span) };
            }
            Self::Update => (&world.by_update, |world, index| {
                world.visible(index as usize).map(|look| world.stamp(look.updated))
            }),
            Self::End => (&world.by_end, |world, index| {
                world.visible(index as usize).map(|look| world.end_stamp(index as usize, &look))
            }),
        };
        let inside =
            |at: &(i64, u32)| (at.0, u64::from(at.1)) >= low && (at.0, u64::from(at.1)) < high;
        let mut live: Index =
            world.live.iter().filter_map(|i| Some((key(world, *i)?, *i))).filter(inside).collect();
        live.sort_unstable();
        // Purged jobs are at the front of both indices; leave them out at once.
        let kept = low.max((world.purge_horizon(), 0));
        let settled = slice(settled, kept, high);
        if backwards {
            Box::new(merge(settled.iter().rev(), live.into_iter().rev(), |a, b| a > b))
        } else {
            Box::new(merge(settled.iter(), live.into_iter(), |a, b| a < b))
        }
    }
}

/// Returns the position of a place among the jobs of one second: its own index, or `from` if it has
/// none.
fn slot(at: Place, from: usize, jobs: usize) -> usize {
    if at.1 == 0 { from } else { usize::try_from(at.1).unwrap_or(usize::MAX).min(jobs) }
}

fn narrow(index: usize) -> u32 {
    u32::try_from(index).unwrap_or(u32::MAX)
}

/// The part of an index between two places.
fn slice(index: &Index, low: Place, high: Place) -> &[(i64, u32)] {
    let before = |place: Place| index.partition_point(|at| (at.0, u64::from(at.1)) < place);
    let from = before(low);
    &index[from..before(high).max(from)]
}

/// Two sorted sequences as one.
fn merge<'w>(
    settled: impl Iterator<Item = &'w (i64, u32)> + 'w,
    live: impl Iterator<Item = (i64, u32)> + 'w,
    first: fn((i64, u32), (i64, u32)) -> bool,
) -> impl Iterator<Item = u32> + 'w {
    let (mut settled, mut live) = (settled.copied().peekable(), live.peekable());
    std::iter::from_fn(move || {
        let take_settled = match (settled.peek(), live.peek()) {
            (Some(a), Some(b)) => first(*a, *b),
            (a, _) => a.is_some(),
        };
        if take_settled { settled.next() } else { live.next() }.map(|(_, index)| index)
    })
}
