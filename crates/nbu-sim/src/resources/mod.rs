//! The resources that the server has: one file each, and one row each in [`ROUTES`].

pub(crate) mod alerts;
mod cursor_list;
pub(crate) mod disk_pools;
pub(crate) mod images;
pub(crate) mod iso;
mod job_count;
pub(crate) mod jobs;
pub(crate) mod offset;
mod ping;
pub(crate) mod scans;
pub(crate) mod slos;
mod storage_units;
pub(crate) mod tape_drives;
pub(crate) mod tape_media;

use crate::http::reply::Reply;
use crate::http::request::Request;
use crate::settings::Release::{self, R10_5};
use crate::settings::Settings;
use crate::shared::Shared;
use crate::world::lists::Lists;
use crate::world::names::Names;

/// Function that answers a request.
type Handler = fn(&Shared, &Request) -> Reply;

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
    /// Path under `/netbackup`.
    pub(crate) path: &'static str,
    pub(crate) access: Access,
    /// The first release that has it.
    pub(crate) since: Release,
    /// RBAC namespace without which it answers 401; empty where its handler checks that itself.
    pub(crate) permission: &'static str,
    pub(crate) handle: Handler,
}

/// Every operation of the simulated server.
pub(crate) const ROUTES: &[Route] = &[
    route("GET", "/ping", Access::Open, ping::get),
    route("GET", "/admin/jobs", Access::Key, jobs::get),
    route("POST", "/admin/jobs-count-requests", Access::Key, job_count::post),
    route("GET", "/storage/storage-units", Access::Key, storage_units::get),
    list("/manage/alerts", "|MANAGE|EMAIL-NOTIFICATIONS|", alerts::get),
    list("/malware/latest-scan-results", "|MANAGE|MALWARE|", scans::get),
    list("/catalog/images", "|MANAGE|IMAGES|", images::get),
    list("/servicecatalog/slos", "SERVICE-CATALOG", slos::get),
    list("/storage/drives", "|STORAGE|TAPE-DEVICES|", tape_drives::get),
    newer(
        R10_5,
        list("/storage/robots-device-hosts", "|STORAGE|TAPE-DEVICES|", tape_drives::robots),
    ),
    newer(R10_5, list("/storage/tape-media", "|STORAGE|TAPE-MEDIA|", tape_media::get)),
    newer(
        R10_5,
        list("/storage/tape-volume-pools", "|STORAGE|TAPE-MEDIA|VOLUME-POOLS|", tape_media::pools),
    ),
    list("/storage/disk-pools", "|STORAGE|DISK-POOLS|", disk_pools::get),
];

const fn route(method: &'static str, path: &'static str, access: Access, handle: Handler) -> Route {
    Route { method, path, access, since: Release::R10_3, permission: "", handle }
}

/// A list or document of every release that takes a permission.
const fn list(path: &'static str, permission: &'static str, handle: Handler) -> Route {
    Route { permission, ..route("GET", path, Access::Key, handle) }
}

/// ... that not every release has.
const fn newer(since: Release, route: Route) -> Route {
    Route { since, ..route }
}

/// Makes the lists that do not change with time.
pub(crate) fn lists(settings: &Settings, names: &Names) -> Lists {
    let mut lists = Lists::default();
    let images = images::Image::all(settings, names);
    lists.insert(scans::Scan::all(settings, &images));
    lists.insert(images);
    lists.insert(disk_pools::DiskPool::all(settings, names));
    lists.insert(slos::Slo::all(settings));
    lists.insert(alerts::Alert::all(settings));
    lists
}
