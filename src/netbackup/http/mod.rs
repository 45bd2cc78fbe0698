//! Requests and responses: the connection, attempts, retries, and the API version that requests carry.

mod attempt;
pub(super) mod body;
pub(super) mod connection;
pub(super) mod negotiate;
pub(super) mod request;
pub(super) mod response;
mod transport;
pub(super) mod version_cache;
