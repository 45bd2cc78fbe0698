//! Service level objectives, which the product calls protection plans
//! (docs/netbackup-api.md#protection-plans).

use async_trait::async_trait;
use serde::de::IgnoredAny;

use super::collector::{Cadence, Collected, Collector, Row};
use super::counts::Seen;
use crate::metric::{Metric, Samples};
use crate::netbackup::{Error, OffsetPager, Permission, Query, Resource, Session};

pub(super) const ROW: Row = Row {
    name: "slo",
    resource: &SLOS,
    also: &[],
    cadence: Cadence::Slow,
    requests: "1 for 100 plans",
    core: false,
    metrics: || vec![SLO_COUNT.definition()],
    switch: Some("slo"),
    build: |_| Box::new(Slo),
    same: |_, _| true,
};

/// Its answers have no word on paging: a page that is not full is the last one.
static SLOS: Resource = Resource {
    name: "slos",
    path: "/servicecatalog/slos",
    permission: Some(Permission::view("|PROTECTION|PROTECTION_PLAN|")),
    max_limit: 0,
};

static SLO_COUNT: Metric<0> = Metric::gauge(
    "nbu.slo.count",
    "{slo}",
    &[],
    "Service level objectives (protection plans) visible to the API key's role.",
);

struct Slo;

#[async_trait]
impl Collector for Slo {
    async fn collect(&mut self, session: &Session) -> Result<Collected, Error> {
        let (mut count, mut seen) = (0_u64, Seen::default());
        let mut walk = OffsetPager::new(session, &SLOS, &Query::all());
        while let Some(page) = walk.next_page::<IgnoredAny>().await? {
            count += page.rows.iter().filter(|slo| seen.is_new(&slo.id)).count() as u64;
        }
        let mut samples = Samples::new();
        samples.record(&SLO_COUNT, [], count as f64);
        // The right is one to each plan: an empty list does not tell whether there is none.
        let permitted = (count > 0).then_some(true);
        Ok(Collected { permitted, ..Collected::whole(samples) })
    }
}
