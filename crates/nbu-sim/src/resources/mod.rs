//! The resources that the server has: one file each, and one row each in [`ROUTES`].

pub(crate) mod iso;
mod job_count;
pub(crate) mod jobs;
pub(crate) mod offset;
mod ping;
mod storage_units;

use crate::http::reply::Reply;
use crate::http::request::Request;
use crate::server::Shared;

/// What answers a request.
type Handler = fn(&Shared, &Request) -> Reply;

/// How a resource stands to authentication and version negotiation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Access {
    /// Neither key nor media type is asked for here.
    Open,
    /// A valid key and a media type that the server knows.
    Key,
}

/// One operation.
pub(crate) struct Route {
    pub(crate) method: &'static str,
    /// Path under `/netbackup`.
    pub(crate) path: &'static str,
    pub(crate) access: Access,
    pub(crate) handle: Handler,
}

/// Every operation of the simulated server.
pub(crate) const ROUTES: &[Route] = &[
    route("GET", "/ping", Access::Open, ping::get),
    route("GET", "/admin/jobs", Access::Key, jobs::get),
    route("POST", "/admin/jobs-count-requests", Access::Key, job_count::post),
    route("GET", "/storage/storage-units", Access::Key, storage_units::get),
];

const fn route(method: &'static str, path: &'static str, access: Access, handle: Handler) -> Route {
    Route { method, path, access, handle }
}
