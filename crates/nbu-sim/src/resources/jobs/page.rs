//! Finds the rows of one page. Where the filter has a range on the sort key, or the sort is by a key that
//! the world keeps sorted, a page costs the search for its beginning and its rows; else the smallest set
//! of candidates that the filter allows is scanned.

use std::cmp::Ordering;

use super::cursor::Cursor;
use super::fields::{Field, Filter};
use super::row::Row;
use super::select::{Bounds, Candidates, Order, Place};
use crate::filter::Value;
use crate::settings::Release;
use crate::world::World;

/// Query for one page of jobs.
pub(crate) struct Query {
    pub(crate) filter: Option<Filter>,
    /// Sort keys, each with whether it descends; at least one.
    pub(crate) sort: Vec<(&'static Field, bool)>,
    pub(crate) after: Option<Cursor>,
    pub(crate) before: Option<Cursor>,
    pub(crate) limit: usize,
    pub(crate) release: Release,
}

/// Rows that were found, in the order of the sort.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Found {
    pub(crate) rows: Vec<u32>,
    /// There are rows after the last one.
    pub(crate) more: bool,
    /// There are rows before the first one.
    pub(crate) earlier: bool,
    /// Both ends of a range were given and it held more than a page.
    pub(crate) truncated: bool,
}

/// The page of a query.
pub(crate) fn find(world: &World, query: &Query) -> Found {
    // Backwards from `before`, unless `after` says where to begin.
    let backwards = query.before.is_some() && query.after.is_none();
    let bounds = Bounds::of(query.filter.as_ref());
    let candidates = Candidates::choose(world, &bounds);
    let mut rows = match Order::of(world, &query.sort) {
        Some(order) if candidates.count(world) * 8 >= bounds.count(world, order) => {
            in_order(world, query, order, &bounds, backwards)
        }
        _ => by_sorting(world, query, &candidates, backwards),
    };
    let over = rows.len() > query.limit;
    rows.truncate(query.limit);
    if backwards {
        rows.reverse();
        return Found { rows, more: true, earlier: over, truncated: false };
    }
    let both = query.after.is_some() && query.before.is_some();
    Found { rows, more: over, earlier: query.after.is_some(), truncated: both && over }
}

/// Returns the number of rows that match.
pub(crate) fn count(world: &World, filter: Option<&Filter>, release: Release) -> usize {
    let candidates = Candidates::choose(world, &Bounds::of(filter));
    candidates
        .iter(world)
        .filter(|index| matching(world, *index, filter, release).is_some())
        .count()
}

fn matching<'w>(
    world: &'w World,
    index: u32,
    filter: Option<&Filter>,
    release: Release,
) -> Option<Row<'w>> {
    let row = Row::new(world, index, release)?;
    let matches = filter.is_none_or(|filter| filter.matches(&|field| (field.get)(&row)));
    matches.then_some(row)
}

/// The sort keys of a row.
pub(crate) fn keys<'w>(row: &Row<'w>, sort: &[(&'static Field, bool)]) -> Vec<Value<'w>> {
    sort.iter().map(|(field, _)| (field.get)(row)).collect()
}

fn in_order(
    world: &World,
    query: &Query,
    order: Order,
    bounds: &Bounds,
    backwards: bool,
) -> Vec<u32> {
    let descending = query.sort.first().is_some_and(|(_, descending)| *descending);
    let (mut low, mut high) = bounds.places(order);
    let place = |cursor: &Cursor| match cursor.keys.first() {
        Some(Value::Integer(key)) => (*key, u64::from(cursor.index)),
        _ => (0, u64::from(cursor.index)),
    };
    // After a row is above it in an ascending list, and below it in a descending one.
    let mut above = |at: Place| low = low.max((at.0, at.1 + 1));
    let mut below = |at: Place| high = high.min(at);
    if let Some(at) = query.after.as_ref().map(place) {
        if descending { below(at) } else { above(at) }
    }
    if let Some(at) = query.before.as_ref().map(place) {
        if descending { above(at) } else { below(at) }
    }
    order
        .walk(world, low, high, descending != backwards)
        .filter(|index| matching(world, *index, query.filter.as_ref(), query.release).is_some())
        .take(query.limit + 1)
        .collect()
}

fn by_sorting(world: &World, query: &Query, candidates: &Candidates, backwards: bool) -> Vec<u32> {
    let compare = |a: &(Vec<Value<'_>>, u32), b: &(Vec<Value<'_>>, u32)| {
        let order = sort_order(&query.sort, &a.0, a.1, &b.0, b.1);
        if backwards { order.reverse() } else { order }
    };
    let inside = |keys: &[Value<'_>], index: u32| {
        let against =
            |cursor: &Cursor| sort_order(&query.sort, keys, index, &cursor.keys, cursor.index);
        query.after.as_ref().is_none_or(|cursor| against(cursor).is_gt())
            && query.before.as_ref().is_none_or(|cursor| against(cursor).is_lt())
    };
    let mut rows: Vec<(Vec<Value<'_>>, u32)> = candidates
        .iter(world)
        .filter_map(|index| {
            let row = matching(world, index, query.filter.as_ref(), query.release)?;
            let keys = keys(&row, &query.sort);
            inside(&keys, index).then_some((keys, index))
        })
        .collect();
    let wanted = query.limit + 1;
    if rows.len() > wanted {
        rows.select_nth_unstable_by(wanted, compare);
        rows.truncate(wanted);
    }
    rows.sort_unstable_by(compare);
    rows.into_iter().map(|(_, index)| index).collect()
}

/// The order of two rows; ties fall to the jobId, in the direction of the first key.
fn sort_order(
    sort: &[(&'static Field, bool)],
    a: &[Value<'_>],
    a_index: u32,
    b: &[Value<'_>],
    b_index: u32,
) -> Ordering {
    for ((a, b), (_, descending)) in a.iter().zip(b).zip(sort) {
        let order = if *descending { b.order(a) } else { a.order(b) };
        if order.is_ne() {
            return order;
        }
    }
    let descending = sort.first().is_some_and(|(_, descending)| *descending);
    if descending { b_index.cmp(&a_index) } else { a_index.cmp(&b_index) }
}
