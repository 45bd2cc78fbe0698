//! Alerts: what the server tells its administrators (docs/netbackup-api.md#alerts).

use async_trait::async_trait;
use serde::Deserialize;

use super::collector::{Cadence, Collected, Collector, Row};
use super::counts::{Counts, Seen, label};
use crate::metric::{Metric, Samples};
use crate::netbackup::lenient::{self, Text};
use crate::netbackup::{Error, OffsetPager, Permission, Query, Resource, Session};

pub(super) const ROW: Row = Row {
    name: "alerts",
    resource: &ALERTS,
    also: &[],
    cadence: Cadence::Slow,
    requests: "1 for 100 alerts",
    core: false,
    metrics: || vec![ALERTS_COUNT.definition()],
    switch: Some("alerts"),
    build: |_| Box::new(Alerts),
    same: |_, _| true,
};

static ALERTS: Resource = Resource {
    name: "alerts",
    path: "/manage/alerts",
    permission: Some(Permission::view("|MANAGE|EMAIL-NOTIFICATIONS|")),
    // It documents none.
    max_limit: 0,
};

/// Severities, and the only category that there is; closed sets.
const SEVERITIES: [&str; 3] = ["INFO", "WARNING", "ERROR"];
const CATEGORY: &str = "JOB";

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct AlertRow<'a> {
    #[serde(borrow, deserialize_with = "lenient::text")]
    severity: Text<'a>,
    #[serde(borrow, deserialize_with = "lenient::text")]
    category: Text<'a>,
}

static ALERTS_COUNT: Metric<2> = Metric::gauge(
    "nbu.alerts.count",
    "{alert}",
    &["severity", "category"],
    "Alerts stored on the server, by severity and category.",
);

struct Alerts;

#[async_trait]
impl Collector for Alerts {
    async fn collect(&mut self, session: &Session) -> Result<Collected, Error> {
        let (mut counts, mut seen) = (Counts::default(), Seen::default());
        for severity in SEVERITIES {
            counts.expect([severity, CATEGORY]);
        }
        let mut walk = OffsetPager::new(session, &ALERTS, &Query::all());
        while let Some(page) = walk.next_page::<AlertRow<'_>>().await? {
            for alert in page.rows.iter().filter(|alert| seen.is_new(&alert.id)) {
                counts.add([label(&alert.severity), label(&alert.category)]);
            }
        }
        let mut samples = Samples::new();
        counts.record(&ALERTS_COUNT, &mut samples);
        Ok(Collected::whole(samples))
    }
}
