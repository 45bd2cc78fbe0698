//! Tapes by pool, type and kind of robot, from NetBackup 10.5 on (docs/netbackup-api.md#tape-media).

use async_trait::async_trait;
use serde::Deserialize;

use super::collector::{Cadence, Collected, Collector, Row};
use super::counts::{Counts, Seen, label};
use crate::metric::{Metric, Samples};
use crate::netbackup::lenient::{self, Text};
use crate::netbackup::{ApiVersion, CursorPager, Error, Query, Resource, Session};

pub(super) const ROW: Row = Row {
    name: "tape_media",
    resource: &TAPE_MEDIA,
    cadence: Cadence::Slow,
    requests: "1 for 100 tapes",
    core: false,
    metrics: || vec![MEDIA_COUNT.definition()],
    switch: Some("tape"),
    build: |_| Box::new(TapeMedia::default()),
    same: |_, _| true,
};

static TAPE_MEDIA: Resource = Resource {
    name: "tape_media",
    path: "/storage/tape-media",
    permission: "|STORAGE|TAPE-MEDIA|",
    max_limit: 100,
};

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct TapeRow<'a> {
    #[serde(borrow, deserialize_with = "lenient::text")]
    volume_pool: Text<'a>,
    #[serde(borrow, deserialize_with = "lenient::text")]
    media_type: Text<'a>,
    #[serde(borrow, deserialize_with = "lenient::object")]
    robot: Option<Robot<'a>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Robot<'a> {
    #[serde(borrow, deserialize_with = "lenient::text")]
    robot_type: Text<'a>,
}

static MEDIA_COUNT: Metric<3> = Metric::gauge(
    "nbu.tape.media.count",
    "{tape}",
    &["pool", "media_type", "robot_type"],
    "Tapes by volume pool, media type and robot type. Combinations seen since the agent started remain at 0 once no tape has them. NetBackup 10.5 and later.",
);

/// Remembers the combinations: a scratch pool that runs empty must read 0, not vanish.
#[derive(Default)]
struct TapeMedia {
    known: Counts<3>,
}

#[async_trait]
impl Collector for TapeMedia {
    fn since(&self) -> Option<ApiVersion> {
        Some(ApiVersion::new(12, 0))
    }

    async fn collect(&mut self, session: &Session) -> Result<Collected, Error> {
        let (mut counts, mut seen) = (self.known.clone(), Seen::default());
        counts.reset();
        let mut walk = CursorPager::new(session, &TAPE_MEDIA, &Query::all());
        while let Some(page) = walk.next_page::<TapeRow<'_>>().await? {
            for tape in page.rows.iter().filter(|tape| seen.is_new(&tape.id)) {
                let robot = tape.robot.as_ref().and_then(|robot| robot.robot_type.clone());
                counts.add([label(&tape.volume_pool), label(&tape.media_type), label(&robot)]);
            }
        }
        let mut samples = Samples::new();
        counts.record(&MEDIA_COUNT, &mut samples);
        self.known = counts;
        Ok(Collected::whole(samples))
    }
}
