//! One consistent view of everything to export: which series of which site feed which metric,
//! after the cardinality limit. Readers collect over a frame, never over the moving store.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::SystemTime;

use crate::metric::{Definition, Point, Scope};
use crate::snapshot::{Part, Snapshot};

/// All metrics that the agent can export, each declared once.
#[derive(Debug)]
pub struct Catalog {
    definitions: Vec<&'static Definition>,
    index: HashMap<&'static str, usize>,
}

impl Catalog {
    /// The catalog of these declarations.
    pub fn new(definitions: Vec<&'static Definition>) -> Arc<Self> {
        let index = definitions.iter().enumerate().map(|(i, d)| (d.name, i)).collect();
        Arc::new(Self { definitions, index })
    }

    /// The declarations, in the order of the tables they come from.
    pub fn definitions(&self) -> &[&'static Definition] {
        &self.definitions
    }
}

/// The series that one part of one site gives to one metric.
#[derive(Debug, Clone)]
struct Block {
    site: Option<Arc<str>>,
    origin: SystemTime,
    part: Arc<Vec<crate::metric::Family>>,
    family: usize,
    /// How many of its points fit under the cardinality limit.
    take: usize,
}

/// A consistent set of series, by metric.
#[derive(Debug, Default)]
pub struct Frame {
    /// Parallel to [`Catalog::definitions`].
    blocks: Vec<Vec<Block>>,
}

/// One series of a frame.
#[derive(Debug, Clone, Copy)]
pub struct Series<'a> {
    /// The site, of site-scoped metrics.
    pub site: Option<&'a Arc<str>>,
    /// Since when a total counts.
    pub origin: SystemTime,
    /// Attributes and value.
    pub point: &'a Point,
}

/// A metric of which series were dropped, and how many.
pub type Dropped = Vec<(&'static Definition, usize)>;

impl Frame {
    /// Arranges what the sites and the agent itself have to show, at most `limit` series a metric.
    /// Also returns what did not fit.
    pub fn build(
        catalog: &Catalog,
        sites: &[Arc<Snapshot>],
        agent: Option<&Part>,
        limit: usize,
    ) -> (Self, Dropped) {
        let mut frame = Self { blocks: vec![Vec::new(); catalog.definitions.len()] };
        for snapshot in sites {
            for part in &snapshot.parts {
                frame.add(catalog, Some(&snapshot.site), part);
            }
        }
        if let Some(part) = agent {
            frame.add(catalog, None, part);
        }
        let mut dropped = Dropped::new();
        for (definition, blocks) in catalog.definitions.iter().zip(&mut frame.blocks) {
            let excess = fit(blocks, limit);
            if excess > 0 {
                dropped.push((definition, excess));
            }
        }
        (frame, dropped)
    }

    fn add(&mut self, catalog: &Catalog, site: Option<&Arc<str>>, part: &Part) {
        for (family, content) in part.families.iter().enumerate() {
            let Some(&metric) = catalog.index.get(content.definition.name) else { continue };
            debug_assert_eq!(content.definition.scope == Scope::Site, site.is_some());
            self.blocks[metric].push(Block {
                site: site.cloned(),
                origin: part.origin,
                part: Arc::clone(&part.families),
                family,
                take: content.points.len(),
            });
        }
    }

    /// The series of the metric at this position of the catalog.
    pub fn series(&self, metric: usize) -> impl Iterator<Item = Series<'_>> {
        self.blocks.get(metric).into_iter().flatten().flat_map(|block| {
            block.part[block.family].points[..block.take].iter().map(|point| Series {
                site: block.site.as_ref(),
                origin: block.origin,
                point,
            })
        })
    }

    /// How many series the metric at this position has.
    pub fn len(&self, metric: usize) -> usize {
        self.blocks.get(metric).map_or(0, |blocks| blocks.iter().map(|block| block.take).sum())
    }

    /// How many series there are in all.
    pub fn total(&self) -> usize {
        (0..self.blocks.len()).map(|metric| self.len(metric)).sum()
    }
}

/// Cuts the blocks of one metric to `limit` series in all, smallest first, so that one site with a
/// flood of series costs the others nothing. Returns how many series were cut.
fn fit(blocks: &mut [Block], limit: usize) -> usize {
    let total: usize = blocks.iter().map(|block| block.take).sum();
    if total <= limit {
        return 0;
    }
    let mut order: Vec<usize> = (0..blocks.len()).collect();
    order.sort_by_key(|&i| blocks[i].take);
    let mut room = limit;
    for (done, &i) in order.iter().enumerate() {
        let share = room / (order.len() - done);
        blocks[i].take = blocks[i].take.min(share);
        room -= blocks[i].take;
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
            families: Arc::new(samples.finish().0),
            origin: SystemTime::UNIX_EPOCH,
        });
        Arc::new(snapshot)
    }

    #[test]
    fn a_flood_from_one_site_takes_nothing_from_the_others() {
        let catalog = Catalog::new(vec![SIZE.definition()]);
        let sites = [snapshot("a", 10), snapshot("flood", 1000), snapshot("z", 20)];
        let (frame, dropped) = Frame::build(&catalog, &sites, None, 100);
        let of = |site: &str| {
            frame.series(0).filter(|s| s.site.is_some_and(|name| **name == *site)).count()
        };
        assert_eq!((of("a"), of("flood"), of("z")), (10, 70, 20));
        assert_eq!(dropped, [(SIZE.definition(), 930)]);
        assert_eq!(frame.len(0), 100);
    }

    #[test]
    fn under_the_limit_nothing_is_cut() {
        let catalog = Catalog::new(vec![SIZE.definition()]);
        let (frame, dropped) =
            Frame::build(&catalog, &[snapshot("a", 3), snapshot("b", 0)], None, 3);
        assert_eq!((frame.total(), dropped.len()), (3, 0));
        let (empty, _) = Frame::build(&catalog, &[], None, 3);
        assert_eq!(empty.total(), 0);
    }
}
