//! `GET /storage/drives` and `GET /storage/robots-device-hosts` (from 10.5): tape drives, and the
//! hosts of robots (docs/netbackup-api.md#tape-drives). A drive that several hosts share says
//! `<multiple>`.

use std::sync::Arc;

use serde_json::{Value, json};

use super::fixture::{Fixture, Paging};
use super::offset::Envelope;
use crate::http::reply::Reply;
use crate::http::request::Request;
use crate::settings::Release;
use crate::shared::Shared;
use crate::truth::Truth;
use crate::world::World;
use crate::world::drives::{self, Drive, DrivePath};

/// The list of drives.
pub(crate) static DRIVES: Fixture = Fixture {
    path: "/storage/drives",
    permission: "|STORAGE|TAPE-DEVICES|",
    since: Release::R10_3,
    paging: Paging::Offset(0..=100, Envelope::Meta),
    rows: &[drives::DRIVES],
    enums: &["driveType", "driveStatus", "robotType"],
    handle: get,
    make: |_, _, _| {},
};

/// The document of the hosts of robots.
pub(crate) static ROBOTS: Fixture = Fixture {
    path: "/storage/robots-device-hosts",
    permission: "|STORAGE|TAPE-DEVICES|",
    since: Release::R10_5,
    paging: Paging::Document,
    rows: &[],
    enums: &[],
    handle: robots,
    make: |_, _, _| {},
};

/// Text in place of several values.
const MULTIPLE: &str = "<multiple>";

fn get(server: &Shared, request: &Request) -> Reply {
    DRIVES.list(server, request, |world| world.tape.drives.len(), row)
}

fn robots(server: &Shared, request: &Request) -> Reply {
    let row =
        |world: &World, host: usize| json!({"type": "deviceHost", "id": &*world.names.media[host]});
    ROBOTS.select(server, request, |world| Ok(world.tape.robot_hosts()), row)
}

fn host<'w>(world: &'w World, drive: &Drive) -> &'w str {
    match drive.paths.as_slice() {
        [path] => &world.names.media[path.host],
        _ => MULTIPLE,
    }
}

fn row(world: &World, index: usize) -> Value {
    let drive = &world.tape.drives[index];
    let shared = drive.paths.len() > 1;
    let paths: Vec<Value> =
        drive.paths.iter().map(|path| path_row(world, drive, index, path)).collect();
    let one = |value: &str| if shared { MULTIPLE.to_owned() } else { value.to_owned() };
    let mut row = json!({
        "type": "drive",
        "id": &*drive.name,
        "attributes": {
            "controlHostname": &*world.names.server,
            "serialNumber": format!("SN{index:08}"),
            "driveIndex": index,
            "devicePaths": paths,
            "driveType": drive.kind,
            "robotType": world.tape.robot_type(drive.robot),
            "cleaningFrequency": 0,
            "tapeAlertEnabled": true,
            "sharedDrive": shared,
            "driveControl": "DRIVE_CONTROL_ROBOT_STRING",
            "driveStatus": drive.status,
            "enabled": drive.status != "DRIVE_STATUS_DISABLED",
            "ready": false,
            "deviceHost": host(world, drive),
            "devicePath": one(&device(index)),
            "port": one("0"),
            "bus": one("0"),
            "target": one("1"),
            "lun": one("0"),
        },
    });
    let attributes = &mut row["attributes"];
    if let Some(robot) = drive.robot {
        attributes["robotNumber"] = robot.into();
        attributes["robotDriveNumber"] = (index + 1).into();
    }
    if drive.needs_cleaning {
        attributes["cleaningComment"] = "NEEDS CLEANING".into();
    }
    for (name, alert) in ["tapeAlert1", "tapeAlert2"].into_iter().zip(drive.alerts) {
        if let Some(alert) = alert {
            attributes[name] = alert.into();
        }
    }
    row
}

/// The device of a drive on its hosts.
fn device(index: usize) -> String {
    format!("/dev/nst{index}")
}

fn path_row(world: &World, drive: &Drive, index: usize, path: &DrivePath) -> Value {
    json!({
        "deviceHost": &*world.names.media[path.host],
        "driveName": &*drive.name,
        "devicePath": device(index),
        "pathStatus": path.status,
        "isEnabled": true,
    })
}

/// A drive as it truly is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TapeDriveView {
    /// Name, which is the record's id.
    pub name: Arc<str>,
    /// deviceHost.
    pub host: String,
    /// driveType.
    pub drive_type: &'static str,
    /// robotType.
    pub robot_type: &'static str,
    /// robotNumber; none where it stands alone.
    pub robot_number: Option<usize>,
    /// driveStatus.
    pub status: &'static str,
    /// Statuses of the paths that lead to it.
    pub paths: Vec<&'static str>,
    /// It needs cleaning.
    pub needs_cleaning: bool,
    /// TapeAlert flags that are set, as the server writes them.
    pub alerts: Vec<&'static str>,
}

impl Truth {
    /// The tape drives, in the order in which the server lists them.
    pub fn tape_drives(&self) -> Vec<TapeDriveView> {
        self.read(|world| {
            let view = |drive: &Drive| TapeDriveView {
                name: Arc::clone(&drive.name),
                host: host(world, drive).to_owned(),
                drive_type: drive.kind,
                robot_type: world.tape.robot_type(drive.robot),
                robot_number: drive.robot,
                status: drive.status,
                paths: drive.paths.iter().map(|path| path.status).collect(),
                needs_cleaning: drive.needs_cleaning,
                alerts: drive.alerts.into_iter().flatten().collect(),
            };
            world.tape.drives.iter().map(view).collect()
        })
    }

    /// Returns the number of hosts that control robots.
    pub fn robot_hosts(&self) -> usize {
        self.read(|world| world.tape.robot_hosts().len())
    }
}
