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
use crate::world::tape::{self, Drive};

/// The list of drives.
pub(crate) static DRIVES: Fixture = Fixture {
    path: "/storage/drives",
    permission: "|STORAGE|TAPE-DEVICES|",
    since: Release::R10_3,
    paging: Paging::Offset(0..=100, Envelope::Meta),
    rows: &[tape::DRIVES],
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
    drive.host.map_or(MULTIPLE, |host| &world.names.media[host])
}

fn row(world: &World, index: usize) -> Value {
    let drive = &world.tape.drives[index];
    let hosts: Vec<usize> = match drive.host {
        Some(host) => vec![host],
        None => (0..2).collect(),
    };
    let paths: Vec<Value> = hosts.iter().map(|host| path(world, drive, index, *host)).collect();
    let one = |value: &str| if hosts.len() > 1 { MULTIPLE.to_owned() } else { value.to_owned() };
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
            "sharedDrive": hosts.len() > 1,
            "driveControl": "DRIVE_CONTROL_ROBOT_STRING",
            "driveStatus": drive.status,
            "enabled": drive.status != "DRIVE_STATUS_DISABLED",
            "ready": false,
            "deviceHost": host(world, drive),
            "devicePath": one(&format!("/dev/nst{index}")),
            "port": one("0"),
            "bus": one("0"),
            "target": one("1"),
            "lun": one("0"),
        },
    });
    if let Some(robot) = drive.robot {
        row["attributes"]["robotNumber"] = robot.into();
        row["attributes"]["robotDriveNumber"] = (index + 1).into();
    }
    row
}

fn path(world: &World, drive: &Drive, index: usize, host: usize) -> Value {
    let status = match drive.status {
        "DRIVE_STATUS_DOWN" => "PATH_STATUS_DOWN",
        "DRIVE_STATUS_DISABLED" => "PATH_STATUS_DISABLED",
        _ => "PATH_STATUS_UP",
    };
    json!({
        "deviceHost": &*world.names.media[host],
        "driveName": &*drive.name,
        "devicePath": format!("/dev/nst{index}"),
        "pathStatus": status,
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
            };
            world.tape.drives.iter().map(view).collect()
        })
    }

    /// Returns the number of hosts that control robots.
    pub fn robot_hosts(&self) -> usize {
        self.read(|world| world.tape.robot_hosts().len())
    }
}
