//! The resources that the server has: one file each. A [`Fixture`] has one row in [`FIXTURES`]; the others,
//! which are more than that, are in [`ROUTES`].

mod alerts;
pub(crate) mod api_key;
mod cursor_list;
mod disk_pools;
pub(crate) mod fixture;
mod image_rows;
mod images;
pub(crate) mod iso;
mod job_count;
pub(crate) mod jobs;
pub(crate) mod offset;
mod ping;
mod scans;
mod server_time;
mod serverinfo;
mod slos;
mod slp_images;
mod slps;
mod status_codes;
mod storage_servers;
mod storage_units;
mod storage_views;
mod tape_drives;
mod tape_media;

/// The truth of the resources, for tests.
pub(crate) mod views {
    pub use super::alerts::AlertView;
    pub use super::images::ImageView;
    pub use super::scans::ScanView;
    pub use super::slos::SloView;
    pub use super::slp_images::{SlpCopyView, SlpImageView};
    pub use super::slps::{SlpOperationView, SlpView};
    pub use super::storage_views::{
        DiskPoolView, DiskVolumeView, Msdp, PoolSpace, StorageServerView,
    };
    pub use super::tape_drives::TapeDriveView;
    pub use super::tape_media::{TapeView, VolumePoolView};
}

use self::fixture::{Fixture, Handler};
use crate::rows::Rows;
use crate::settings::{Release, Settings};
use crate::world::lists::Lists;
use crate::world::names::Names;

/// The lists and documents that are read by path alone.
static FIXTURES: &[&Fixture] = &[
    &alerts::ALERTS,
    &scans::SCANS,
    &images::IMAGES,
    &slos::SLOS,
    &tape_drives::DRIVES,
    &tape_drives::ROBOTS,
    &tape_media::TAPES,
    &tape_media::POOLS,
    &disk_pools::DISK_POOLS,
    &storage_servers::STORAGE_SERVERS,
    &slp_images::SLP_IMAGES,
    &slps::SLPS,
];

/// Returns all fixtures: the lists and documents that are read by path alone.
pub fn fixtures() -> impl Iterator<Item = &'static Fixture> {
    FIXTURES.iter().copied()
}

/// Checks that each of these names is that of a list.
///
/// # Errors
/// Names those that there are.
pub(crate) fn check(rows: &Rows) -> Result<(), String> {
    let known = || fixtures().flat_map(|fixture| fixture.rows).map(|count| count.name);
    match rows.names().find(|name| known().all(|known| known != *name)) {
        None => Ok(()),
        Some(name) => Err(format!("no list {name:?}: {}", known().collect::<Vec<_>>().join(", "))),
    }
}

/// Returns true if an attribute has a closed set of values in some resource.
pub(crate) fn is_enum(attribute: &str) -> bool {
    let core = [jobs::ENUMS, storage_units::ENUMS].into_iter();
    core.chain(fixtures().map(|fixture| fixture.enums)).any(|enums| enums.contains(&attribute))
}

/// Requirements of a resource for authentication and version negotiation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Access {
    /// Neither key nor media type is asked for here.
    Open,
    /// A valid key and a media type that the server knows.
    Key,
}

/// Operation of the API, with its handler.
#[derive(Clone, Copy)]
pub(crate) struct Route {
    pub(crate) method: &'static str,
    /// Path under `/netbackup`; a last segment in braces stands for any one.
    pub(crate) path: &'static str,
    pub(crate) access: Access,
    /// The first release that has it.
    pub(crate) since: Release,
    /// The last release that has it.
    pub(crate) until: Release,
    /// RBAC namespace without which it answers 401; empty where its handler checks that itself.
    pub(crate) permission: &'static str,
    pub(crate) handle: Handler,
}

impl Route {
    /// Returns true if requests for this path are the operation's, in this release.
    pub(crate) fn leads_to(&self, path: &str, release: Release) -> bool {
        let same = match self.path.split_once('{') {
            Some((parent, _)) => path
                .strip_prefix(parent)
                .is_some_and(|last| !last.is_empty() && !last.contains('/')),
            None => self.path == path,
        };
        same && (self.since..=self.until).contains(&release)
    }
}

/// The operations that are no fixtures.
const ROUTES: [Route; 9] = [
    route("GET", "/ping", Access::Open, ping::get),
    route("GET", "/security/serverinfo", Access::Open, serverinfo::get),
    route("GET", "/security/api-keys/{apiKeyTag}", Access::Key, api_key::get),
    route("GET", "/admin/jobs", Access::Key, jobs::get),
    route("POST", "/admin/jobs-count-requests", Access::Key, job_count::post),
    route("GET", "/storage/storage-units", Access::Key, storage_units::get),
    route("GET", "/security/servertime", Access::Open, server_time::get),
    Route {
        permission: disk_pools::PERMISSION,
        ..route("GET", "/storage/disk-pools/{diskPoolId}", Access::Key, disk_pools::get_one)
    },
    Route {
        since: Release::R10_5,
        until: Release::R11_0,
        ..route("GET", "/status-codes/{statusCode}", Access::Key, status_codes::get)
    },
];

const fn route(method: &'static str, path: &'static str, access: Access, handle: Handler) -> Route {
    let (since, until) = (Release::R10_3, Release::R11_2);
    Route { method, path, access, since, until, permission: "", handle }
}

/// Returns every operation of the simulated server.
pub(crate) fn routes() -> impl Iterator<Item = Route> {
    let of_fixture = |fixture: &'static Fixture| Route {
        since: fixture.since,
        permission: fixture.permission,
        ..route("GET", fixture.path, Access::Key, fixture.handle)
    };
    ROUTES.into_iter().chain(fixtures().map(of_fixture))
}

/// Makes the lists that do not change with time.
pub(crate) fn lists(settings: &Settings, names: &Names) -> Lists {
    let mut lists = Lists::default();
    fixtures().for_each(|fixture| (fixture.make)(settings, names, &mut lists));
    lists
}
