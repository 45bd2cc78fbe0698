//! `GET /catalog/images`: the images, filtered (docs/netbackup-api.md#images). Without a bound of
//! backupTime the list is of the last 24 hours. What an image tells of malware and anomalies
//! differs by release: 10.3 has malwareScanResult only, 10.5 adds anomalyStatus, 11.0 adds
//! malwareStatus.

use std::cell::RefCell;

use fastrand::Rng;
use serde_json::{Value, json};

use super::fixture::{Fixture, Paging};
use super::image_rows::{flags, merged, sizes, times, whose};
use super::offset::Envelope;
use crate::filter::{self, Expr, Kind, Op, Ops, Spec, Value as Literal};
use crate::http::reply::Reply;
use crate::http::request::Request;
use crate::rows::RowCount;
use crate::settings::{Release, Settings};
use crate::shared::Shared;
use crate::truth::Truth;
use crate::world::names::Names;
use crate::world::slp::SlpImage;
use crate::world::{World, recurring};

/// Number of rows.
const COUNT: RowCount = RowCount {
    name: "images",
    default: 60,
    help: "Images that are made again and again; two thirds are from the last 24 hours",
};

/// Number of the images of which malware was searched.
pub(crate) const SCANNED: RowCount = RowCount {
    name: "scans",
    default: 20,
    help: "Results of malware scans, the latest of each image",
};

/// The list, with its rows. Records are counted and not read: their attributes need no faults.
pub(crate) static IMAGES: Fixture = Fixture {
    path: "/catalog/images",
    permission: "|MANAGE|IMAGES|",
    since: Release::R10_3,
    paging: Paging::Offset(1..=100, Envelope::Meta),
    rows: &[COUNT],
    enums: &[],
    handle: get,
    make: |settings, names, lists| lists.insert(Image::all(settings, names)),
};

/// The span of a list without a bound of backupTime, in milliseconds.
const DEFAULT_SPAN: i64 = 24 * 3_600_000;

/// malwareScanResult and malwareStatus that go together; the first ones by what a scan found.
const FINDINGS: [(&str, &str); 6] = [
    ("CLEAN", "CLEAN"),
    ("IMPACTED", "INFECTION_DETECTED_BY_MALWARE_SCAN"),
    ("NOT_SCANNED", "NOT_SCANNED"),
    ("NOT_SUPPORTED", "NOT_SUPPORTED"),
    ("NOT_SCANNED", "INFECTION_DETECTED_BY_FILE_HASH_SEARCH"),
    ("NOT_SCANNED", "UNKNOWN_TYPE"),
];

/// anomalyStatus that a filter may ask for. UNDEFINED is in answers only.
const ANOMALIES: [&str; 6] =
    ["NOT_PROCESSED", "NOT_ANOMALOUS", "ANOMALOUS", "NOT_REVIEWED", "FALSE_POSITIVE", "IGNORED"];

/// An image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Image {
    pub(crate) client: usize,
    policy: usize,
    finding: usize,
    anomaly: &'static str,
    pub(crate) phase: i64,
}

impl Image {
    /// The images of a world. The first ones were scanned, as many as there are scans.
    pub(crate) fn all(settings: &Settings, names: &Names) -> Vec<Self> {
        let mut rng = Rng::with_seed(settings.seed ^ 0x1a6e5);
        let scans = settings.rows.of(&SCANNED);
        let images = (0..settings.rows.of(&COUNT)).map(|index| Self {
            client: rng.usize(0..names.clients.len()),
            policy: rng.usize(0..names.policies.len()),
            finding: match (index < scans, rng.u32(0..10)) {
                (true, 0..7) => 0,
                (true, _) => 1,
                (false, 0..6) => 2,
                (false, 6 | 7) => 3,
                (false, 8) => 4,
                (false, _) => 5,
            },
            anomaly: ANOMALIES[rng.usize(0..ANOMALIES.len() * 2) % ANOMALIES.len()],
            phase: recurring::phase(&mut rng),
        });
        images.collect()
    }

    /// Returns true if a scan found malware.
    pub(crate) fn is_impacted(&self) -> bool {
        FINDINGS[self.finding].0 == "IMPACTED"
    }

    /// Returns the time of its latest backup, as stamped, cut to the second.
    pub(crate) fn backup_ms(&self, world: &World, now: i64) -> i64 {
        let stamp = world.stamp(recurring::latest(self.phase, now));
        stamp - stamp.rem_euclid(1000)
    }
}

/// Attributes that a filter may use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Attribute {
    BackupId,
    BackupTime,
    Client,
    Policy,
    ScanResult,
    Anomaly,
    Malware,
}

fn spec(name: &str, release: Release) -> Option<Spec<Attribute>> {
    let words = |words: &[&'static str]| Kind::Enum(words.to_vec());
    let (attribute, ops, kind) = match name {
        "backupId" => (Attribute::BackupId, Ops::EQ, Kind::Text),
        "backupTime" => (Attribute::BackupTime, Ops::RANGE, Kind::DateTime),
        "clientName" => (Attribute::Client, Ops::EQ, Kind::Text),
        "policyName" => (Attribute::Policy, Ops::EQ, Kind::Text),
        "malwareScanResult" => {
            let known = words(&["NOT_SCANNED", "IMPACTED", "CLEAN", "NOT_SUPPORTED"]);
            (Attribute::ScanResult, Ops::EQ, known)
        }
        "anomalyStatus" if release >= Release::R10_5 => {
            (Attribute::Anomaly, Ops::EQ, words(&ANOMALIES))
        }
        "malwareStatus" if release >= Release::R11_0 => {
            (Attribute::Malware, Ops::EQ, words(&FINDINGS.map(|finding| finding.1)))
        }
        _ => return None,
    };
    Some(Spec { attribute, ops, kind })
}

fn get(server: &Shared, request: &Request) -> Reply {
    let release = request.release();
    let text = request.parameter("filter").unwrap_or("").trim();
    let filter = match text {
        "" => None,
        text => match filter::parse(text, &|name| spec(name, release)) {
            Ok(filter) => Some(filter),
            Err(error) => return Reply::bad_filter(request.served(), &error.to_string()),
        },
    };
    // Images under an SLP come after those of the list.
    let managed = RefCell::new(Vec::new());
    let rows = |world: &World| {
        let images = world.slp_images(world.now).into_iter().filter(|image| image.cataloged);
        *managed.borrow_mut() = images.collect();
        Ok(select(world, &managed.borrow(), filter.as_ref()))
    };
    IMAGES.select(server, request, rows, |world, index| {
        let managed = managed.borrow();
        let place = index.checked_sub(world.list::<Image>().len());
        match place.and_then(|place| managed.get(place)) {
            Some(image) => managed_row(world, image, release),
            None => row(world, index, release),
        }
    })
}

/// Returns the numbers of the images that a filter selects: of the list, and after them of those under an SLP.
fn select(world: &World, managed: &[SlpImage], filter: Option<&Expr<Attribute>>) -> Vec<usize> {
    let now = world.stamp(world.now);
    let (mut from, mut to) = (now - DEFAULT_SPAN, now);
    if let Some(filter) = filter {
        filter.conjuncts(&mut |attribute, op, _| match (attribute, op) {
            (Attribute::BackupTime, Op::Ge) => from = i64::MIN,
            (Attribute::BackupTime, Op::Le) => to = i64::MAX,
            _ => {}
        });
    }
    let matches = |image: &Image| {
        let made = image.backup_ms(world, world.now);
        let value = |attribute| value(world, image, attribute);
        (from..=to).contains(&made) && filter.is_none_or(|filter| filter.matches(&value))
    };
    let matches_managed = |image: &SlpImage| {
        let value = |attribute| managed_value(world, image, attribute);
        (from..=to).contains(&image.made_stamp)
            && filter.is_none_or(|filter| filter.matches(&value))
    };
    let listed = world.list::<Image>();
    let all = listed.iter().enumerate().filter(|(_, image)| matches(image));
    let others = (listed.len()..).zip(managed).filter(|(_, image)| matches_managed(image));
    all.map(|(index, _)| index).chain(others.map(|(index, _)| index)).collect()
}

/// The places in [`FINDINGS`] and [`ANOMALIES`] of images under an SLP: nothing has looked at them.
const UNSEEN: (usize, usize) = (2, 0);

fn managed_value<'w>(world: &'w World, image: &'w SlpImage, attribute: Attribute) -> Literal<'w> {
    match attribute {
        Attribute::BackupId => Literal::Text(image.backup_id.as_str().into()),
        Attribute::BackupTime => Literal::Integer(image.made_stamp),
        Attribute::Client => Literal::Text((&*image.client).into()),
        Attribute::Policy => Literal::Text((&*world.names.policies[image.policy].name).into()),
        Attribute::ScanResult => Literal::Text(FINDINGS[UNSEEN.0].0.into()),
        Attribute::Anomaly => Literal::Text(ANOMALIES[UNSEEN.1].into()),
        Attribute::Malware => Literal::Text(FINDINGS[UNSEEN.0].1.into()),
    }
}

fn managed_row(world: &World, image: &SlpImage, release: Release) -> Value {
    let whose = whose(world, image.policy, &image.client, &image.slp);
    let mut attributes = merged([whose, times(image.made_stamp), sizes(image.kilobytes), flags()]);
    if let Some(origin) = &image.origin {
        attributes["originMasterServer"] = (&**origin).into();
    }
    finished_row(&image.backup_id, attributes, UNSEEN.0, ANOMALIES[UNSEEN.1], release)
}

fn value<'w>(world: &'w World, image: &Image, attribute: Attribute) -> Literal<'w> {
    match attribute {
        Attribute::BackupId => Literal::Text(backup_id(world, image).into()),
        Attribute::BackupTime => Literal::Integer(image.backup_ms(world, world.now)),
        Attribute::Client => Literal::Text((&*world.names.clients[image.client]).into()),
        Attribute::Policy => Literal::Text((&*world.names.policies[image.policy].name).into()),
        Attribute::ScanResult => Literal::Text(FINDINGS[image.finding].0.into()),
        Attribute::Anomaly => Literal::Text(image.anomaly.into()),
        Attribute::Malware => Literal::Text(FINDINGS[image.finding].1.into()),
    }
}

/// Client and time, as NetBackup names images.
pub(crate) fn backup_id(world: &World, image: &Image) -> String {
    let seconds = image.backup_ms(world, world.now) / 1000;
    format!("{}_{seconds}", world.names.clients[image.client])
}

fn row(world: &World, index: usize, release: Release) -> Value {
    let image = &world.list::<Image>()[index];
    let id = backup_id(world, image);
    let client = &world.names.clients[image.client];
    let made = image.backup_ms(world, world.now);
    let whose = whose(world, image.policy, client, "");
    let attributes = merged([whose, times(made), sizes(1_048_576), flags()]);
    finished_row(&id, attributes, image.finding, image.anomaly, release)
}

/// Adds what a release tells of malware and anomalies.
fn finished_row(
    id: &str,
    mut attributes: Value,
    finding: usize,
    anomaly: &str,
    release: Release,
) -> Value {
    let (scan_result, malware_status) = FINDINGS[finding];
    attributes["malwareScanResult"] = scan_result.into();
    if release >= Release::R10_5 {
        attributes["anomalyStatus"] = anomaly.into();
    }
    if release >= Release::R11_0 {
        attributes["malwareStatus"] = malware_status.into();
    }
    json!({
        "links": {"self": {"href": format!("/catalog/images/{id}")}},
        "type": "image",
        "id": id,
        "attributes": attributes,
    })
}

/// An image as it truly is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ImageView {
    /// backupTime, server time in unix milliseconds.
    pub backup_ms: i64,
    /// malwareScanResult, which all releases have.
    pub scan_result: &'static str,
    /// malwareStatus, which releases have from 11.0 on.
    pub malware_status: &'static str,
    /// anomalyStatus, which releases have from 10.5 on.
    pub anomaly_status: &'static str,
}

impl Truth {
    /// The images of the last 24 hours.
    pub fn images(&self) -> Vec<ImageView> {
        let (at, now) = (self.at, self.server_time());
        self.read(|world| {
            let views = world.list::<Image>().iter().map(|image| ImageView {
                backup_ms: image.backup_ms(world, at),
                scan_result: FINDINGS[image.finding].0,
                malware_status: FINDINGS[image.finding].1,
                anomaly_status: image.anomaly,
            });
            let managed = world.slp_images(at).into_iter().filter(|image| image.cataloged);
            let managed = managed.map(|image| ImageView {
                backup_ms: image.made_stamp,
                scan_result: FINDINGS[UNSEEN.0].0,
                malware_status: FINDINGS[UNSEEN.0].1,
                anomaly_status: ANOMALIES[UNSEEN.1],
            });
            let last_day = |view: &ImageView| view.backup_ms >= now - DEFAULT_SPAN;
            views.chain(managed).filter(last_day).collect()
        })
    }
}
