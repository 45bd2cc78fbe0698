//! Tape drives: how many there are, and what each is (docs/netbackup-api.md#tape-drives).

use async_trait::async_trait;
use serde::Deserialize;
use serde_json::Value;

use super::drive_health::{self, DriveHealth, Told};
use crate::collectors::collector::{Cadence, Collected, Collector, Row};
use crate::collectors::counts::{Counts, label};
use crate::metric::{Metric, Samples, UNKNOWN};
use crate::netbackup::lenient::{self, Text};
use crate::netbackup::{Error, OffsetPager, Permission, Query, Resource, Session};

pub(in crate::collectors) const ROW: Row = Row {
    name: "tape_drives",
    resource: &DRIVES,
    also: &[],
    cadence: Cadence::Slow,
    requests: "1 for 100 drives",
    core: false,
    metrics: || {
        [vec![DRIVES_COUNT.definition(), DRIVE_INFO.definition()], drive_health::metrics()].concat()
    },
    switch: Some("tape"),
    build: |_| Box::new(TapeDrives),
    same: |_, _| true,
};

static DRIVES: Resource = Resource {
    name: "drives",
    path: "/storage/drives",
    permission: Some(Permission::view("|STORAGE|TAPE-DEVICES|")),
    max_limit: 100,
};

/// Values of driveStatus; a closed set.
const STATUSES: [&str; 4] =
    ["DRIVE_STATUS_UP", "DRIVE_STATUS_DOWN", "DRIVE_STATUS_MIXED", "DRIVE_STATUS_DISABLED"];

/// The attributes of a drive that the agent uses. Its name is the record's id.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct DriveRow<'a> {
    #[serde(borrow, deserialize_with = "lenient::text")]
    drive_type: Text<'a>,
    #[serde(borrow, deserialize_with = "lenient::text")]
    drive_status: Text<'a>,
    #[serde(borrow, deserialize_with = "lenient::text")]
    robot_type: Text<'a>,
    /// None for a drive that stands alone.
    #[serde(deserialize_with = "lenient::integer")]
    robot_number: Option<i64>,
    /// `<multiple>` for a drive that several hosts share.
    #[serde(borrow, deserialize_with = "lenient::text")]
    device_host: Text<'a>,
    #[serde(borrow, deserialize_with = "lenient::text")]
    cleaning_comment: Text<'a>,
    #[serde(borrow, deserialize_with = "lenient::text")]
    tape_alert1: Text<'a>,
    #[serde(borrow, deserialize_with = "lenient::text")]
    tape_alert2: Text<'a>,
    /// A list of objects with a `pathStatus`, if the server keeps to it.
    device_paths: Value,
}

static DRIVES_COUNT: Metric<3> = Metric::gauge(
    "nbu.tape.drives.count",
    "{drive}",
    &["drive_type", "robot_type", "status"],
    "Tape drives by drive type, robot type and driveStatus; for each type found, all known statuses are exported. DRIVE_STATUS_MIXED is a shared drive that is down on some hosts only.",
);
static DRIVE_INFO: Metric<5> = Metric::gauge(
    "nbu.tape.drive.info",
    "",
    &["drive_name", "media_server", "drive_type", "robot_number", "status"],
    "Properties of a tape drive; always 1. media_server is <multiple> for a shared drive, robot_number is UNKNOWN for a standalone drive.",
);

struct TapeDrives;

#[async_trait]
impl Collector for TapeDrives {
    async fn collect(&mut self, session: &Session) -> Result<Collected, Error> {
        let (mut samples, mut counts) = (Samples::new(), Counts::default());
        let mut health = DriveHealth::default();
        let mut walk = OffsetPager::new(session, &DRIVES, &Query::all());
        while let Some(page) = walk.next_page::<DriveRow<'_>>().await? {
            for drive in &page.rows {
                let name = drive.id.to_string();
                if name.is_empty() {
                    session.note_unreadable(&DRIVES, &drive.id, "id: missing");
                } else {
                    fold(&name, drive, &mut counts, &mut samples);
                    health.add(&name, &drive.told());
                }
            }
        }
        counts.record(&DRIVES_COUNT, &mut samples);
        health.record(&mut samples);
        Ok(Collected::whole(samples))
    }
}

impl DriveRow<'_> {
    fn told(&self) -> Told<'_> {
        Told {
            cleaning: self.cleaning_comment.as_deref().unwrap_or_default(),
            alerts: [&self.tape_alert1, &self.tape_alert2]
                .map(|alert| alert.as_deref().unwrap_or_default()),
            paths: self.device_paths.as_array().map(Vec::as_slice),
        }
    }
}

fn fold(name: &str, drive: &DriveRow<'_>, counts: &mut Counts<3>, samples: &mut Samples) {
    let (kind, robot) = (label(&drive.drive_type), label(&drive.robot_type));
    let status = label(&drive.drive_status);
    for known in STATUSES {
        counts.expect([kind, robot, known]);
    }
    counts.add([kind, robot, status]);
    let number = drive.robot_number.map_or_else(|| UNKNOWN.to_owned(), |number| number.to_string());
    let host = label(&drive.device_host);
    samples.record(&DRIVE_INFO, [name, host, kind, &number, status], 1.0);
}
