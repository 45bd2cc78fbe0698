//! `GET /malware/latest-scan-results`: the latest completed scan of each image that was scanned
//! (docs/netbackup-api.md#malware-scans). 10.3 spells the files with malware noOfFilesImpacted, the
//! others numberOfFilesImpacted.

use fastrand::Rng;
use serde_json::{Value, json};

use super::fixture::{Fixture, Paging};
use super::images::{Image, SCANNED, backup_id};
use super::iso;
use super::offset::Envelope;
use crate::http::reply::Reply;
use crate::http::request::Request;
use crate::settings::{Release, Settings};
use crate::shared::Shared;
use crate::truth::Truth;
use crate::world::World;

/// The list, with its rows.
pub(crate) static SCANS: Fixture = Fixture {
    path: "/malware/latest-scan-results",
    permission: "|MANAGE|MALWARE|",
    since: Release::R10_3,
    paging: Paging::Offset(0..=100, Envelope::Full),
    rows: &[SCANNED],
    enums: &["scanState", "scanResult"],
    handle: get,
    make: |settings, names, lists| lists.insert(Scan::all(settings, &Image::all(settings, names))),
};

/// A scan.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Scan {
    state: &'static str,
    scanned: i64,
    impacted: i64,
}

impl Scan {
    /// The scans of a world: those of its first images, and of images that have expired since.
    fn all(settings: &Settings, images: &[Image]) -> Vec<Self> {
        let mut rng = Rng::with_seed(settings.seed ^ 0x5ca7);
        let scans = (0..settings.rows.of(&SCANNED)).map(|index| {
            let impacted = images.get(index).is_some_and(Image::is_impacted);
            let scanned = rng.i64(1..5_000_000);
            let state = match rng.u32(0..10) {
                _ if impacted => "SCAN_COMPLETED",
                0 => "SCAN_FAILED",
                1 => "CANCELLED",
                _ => "SCAN_COMPLETED",
            };
            Self { state, scanned, impacted: if impacted { rng.i64(1..500) } else { 0 } }
        });
        scans.collect()
    }
}

fn get(server: &Shared, request: &Request) -> Reply {
    let release = request.release();
    let count = |world: &World| world.list::<Scan>().len();
    SCANS.list(server, request, count, |world, index| row(world, index, release))
}

fn row(world: &World, index: usize, release: Release) -> Value {
    let scan = &world.list::<Scan>()[index];
    let image = world.list::<Image>().get(index);
    let client = image.map_or(0, |image| image.client);
    let made = image.map_or(world.stamp(world.now), |image| image.backup_ms(world, world.now));
    let files =
        if release == Release::R10_3 { "noOfFilesImpacted" } else { "numberOfFilesImpacted" };
    let result = match scan.state {
        "SCAN_COMPLETED" if scan.impacted > 0 => "IMPACTED",
        "SCAN_COMPLETED" => "CLEAN",
        _ => "NOT_SCANNED",
    };
    let mut row = json!({
        "type": "scanResult",
        "id": image.map_or(format!("expired_{index}"), |image| backup_id(world, image)),
        "attributes": {
            "scanState": scan.state,
            "scanResult": result,
            "policyType": "STANDARD",
            "backupType": "FULL",
            "signature": "simulated",
            "malwareToolId": "1",
            "scanHostId": "1",
            "dateOfScan": iso::text(made + 3_600_000),
            "endDateOfScan": iso::text(made + 4_000_000),
            "client": &*world.names.clients[client],
            "backupTime": made / 1000,
            "triggerMethod": "AUTOMATIC",
            "mediaServerName": &*world.names.media[index % world.names.media.len()],
            "numberOfFilesScanned": scan.scanned,
            "totalNumberOfFiles": scan.scanned,
            "startDateOfScan": iso::text(made + 3_600_000),
        },
    });
    row["attributes"][files] = scan.impacted.into();
    row
}

/// A scan as it truly is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ScanView {
    /// scanState.
    pub state: &'static str,
    /// numberOfFilesScanned.
    pub scanned: i64,
    /// numberOfFilesImpacted.
    pub impacted: i64,
}

impl Truth {
    /// The latest scans, in the order in which the server lists them.
    pub fn scans(&self) -> Vec<ScanView> {
        self.read(|world| {
            let view = |scan: &Scan| ScanView {
                state: scan.state,
                scanned: scan.scanned,
                impacted: scan.impacted,
            };
            world.list::<Scan>().iter().map(view).collect()
        })
    }
}
