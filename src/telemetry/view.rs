//! Consistent view of everything to export: the parts of all sites, cut to the cardinality limit.
//! Readers collect over a view, never over the store, which changes meanwhile.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::SystemTime;

use crate::metric::{Definition, Family, Point, Scope};
use crate::snapshot::{Part, Place, Snapshot};

/// View of one part of one site (or of the agent itself).
#[derive(Debug, Clone)]
pub struct PartView {
    /// None for the agent's own metrics.
    pub site: Option<Arc<str>>,
    pub collector: &'static str,
    pub place: Place,
    /// Since when the totals among it count.
    pub origin: SystemTime,
    /// Shared with the snapshot.
    pub families: Arc<Vec<Family>>,
    /// Number of points of each family that fit under the cardinality limit.
    pub series_limits: Vec<usize>,
}

impl PartView {
    /// Creates the view of a part that is not cut.
    pub fn whole(site: Option<&Arc<str>>, part: &Part) -> Self {
        for family in part.families.iter() {
            debug_assert_eq!(family.definition.scope == Scope::Site, site.is_some());
        }
        Self {
            site: site.cloned(),
            collector: part.collector,
            place: part.place,
            origin: part.origin,
            families: Arc::clone(&part.families),
            series_limits: part.families.iter().map(|family| family.points.len()).collect(),
        }
    }

    /// Returns true if it shows all of a part.
    pub(super) fn is_whole(&self, part: &Part) -> bool {
        let sizes = self.families.iter().map(|family| family.points.len());
        Arc::ptr_eq(&self.families, &part.families) && self.series_limits.iter().copied().eq(sizes)
    }

    /// Returns true if the other shows the same: the same samples, cut in the same way.
    pub fn same_as(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.families, &other.families) && self.series_limits == other.series_limits
    }

    /// Returns the families with the points that fit.
    pub fn content(&self) -> impl Iterator<Item = (&'static Definition, &[Point])> {
        let shown = self.families.iter().zip(&self.series_limits);
        shown.map(|(family, take)| (family.definition, &family.points[..*take]))
    }

    /// Returns the places of all points that fit, by family and point.
    pub(super) fn places(&self) -> impl Iterator<Item = (usize, usize)> {
        let families = (0..).zip(&self.series_limits);
        families.flat_map(|(family, take)| (0..*take).map(move |point| (family, point)))
    }
}

/// A consistent set of parts: by site, then in the order in which parts are shown.
#[derive(Debug, Default)]
pub struct ExportView {
    pub parts: Vec<PartView>,
}

/// Metrics of which series were dropped, and how many.
pub type Dropped = Vec<(&'static Definition, usize)>;

impl ExportView {
    /// Arranges what the sites and the agent itself have to show, at most `limit` series a metric.
    /// Also returns what did not fit.
    pub fn build(sites: &[Arc<Snapshot>], agent: Option<&Part>, limit: usize) -> (Self, Dropped) {
        let of_sites = sites.iter().flat_map(|snapshot| {
            snapshot.parts.iter().map(|part| PartView::whole(Some(&snapshot.site), part))
        });
        let of_agent = agent.map(|part| PartView::whole(None, part));
        let mut view = Self { parts: of_sites.chain(of_agent).collect() };
        let dropped = view.cut(limit);
        (view, dropped)
    }

    fn cut(&mut self, limit: usize) -> Dropped {
        let mut places: HashMap<&'static str, Vec<(usize, usize)>> = HashMap::new();
        for (position, part) in self.parts.iter().enumerate() {
            for (family, content) in part.families.iter().enumerate() {
                places.entry(content.definition.name).or_default().push((position, family));
            }
        }
        let mut dropped = Dropped::new();
        for places in places.into_values() {
            // By site: that a site shows a metric in two parts gives it no second share.
            let mut sites: BTreeMap<Option<Arc<str>>, usize> = BTreeMap::new();
            for &(part, family) in &places {
                let site = self.parts[part].site.clone();
                *sites.entry(site).or_default() += self.parts[part].series_limits[family];
            }
            let mut shares: Vec<usize> = sites.values().copied().collect();
            let excess = fit(&mut shares, limit);
            if excess == 0 {
                continue;
            }
            for (left, share) in sites.values_mut().zip(shares) {
                *left = share;
            }
            for &(part, family) in &places {
                let part = &mut self.parts[part];
                let left = sites.entry(part.site.clone()).or_default();
                part.series_limits[family] = part.series_limits[family].min(*left);
                *left -= part.series_limits[family];
            }
            if let Some(&(part, family)) = places.first() {
                dropped.push((self.parts[part].families[family].definition, excess));
            }
        }
        dropped.sort_by_key(|(definition, _)| definition.name);
        dropped
    }

    /// Returns the number of series.
    pub fn total(&self) -> usize {
        self.parts.iter().flat_map(|part| &part.series_limits).sum()
    }
}

/// Cuts sizes to `limit` in all, the largest first and no further than needed, so that one site with
/// a flood of series costs the others nothing. Returns how much was cut.
fn fit(series_limits: &mut [usize], limit: usize) -> usize {
    let total: usize = series_limits.iter().sum();
    if total <= limit {
        return 0;
    }
    let mut order: Vec<usize> = (0..series_limits.len()).collect();
    order.sort_by_key(|&i| series_limits[i]);
    let mut room = limit;
    for (done, &i) in order.iter().enumerate() {
        let share = room / (order.len() - done);
        series_limits[i] = series_limits[i].min(share);
        room -= series_limits[i];
    }
    total - (limit - room)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metric::{Metric, Samples};

    static SIZE: Metric<1> = Metric::gauge("test.size", "", &["name"], "help");

    fn snapshot(site: &str, series: usize) -> Arc<Snapshot> {
        let mut samples = Samples::new();
        for i in 0..series {
            samples.record(&SIZE, [&format!("n{i:05}")], 1.0);
        }
        let mut snapshot = Snapshot::unpolled(site, "");
        snapshot.parts.push(Part {
            collector: "test",
            place: Place::default(),
            families: Arc::new(samples.finish().0),
            origin: SystemTime::UNIX_EPOCH,
        });
        Arc::new(snapshot)
    }

    #[test]
    fn flood_of_one_site_cuts_no_other_site() {
        let sites = [snapshot("a", 10), snapshot("flood", 1000), snapshot("z", 20)];
        let (view, dropped) = ExportView::build(&sites, None, 100);
        let of = |site: &str| {
            let parts = view.parts.iter().filter(|part| part.site.as_deref() == Some(site));
            parts.flat_map(|part| &part.series_limits).sum::<usize>()
        };
        assert_eq!((of("a"), of("flood"), of("z")), (10, 70, 20));
        assert_eq!(dropped, [(SIZE.definition(), 930)]);
        assert_eq!(view.total(), 100);
    }

    #[test]
    fn under_the_limit_nothing_is_cut() {
        let (view, dropped) = ExportView::build(&[snapshot("a", 3), snapshot("b", 0)], None, 3);
        assert_eq!((view.total(), dropped.len()), (3, 0));
        let (empty, _) = ExportView::build(&[], None, 3);
        assert_eq!(empty.total(), 0);
    }
}
